"""The tiers of the simulation side by side: what each of them does per second, as a multiple of the reference bench.

reference
    :mod:`epbell_tb.bench_reference`: cocotbext-pcie as it comes.
model
    The environment of the scenarios, with everything that watches them.
wire
    :mod:`epbell_tb.wire_env`: beats at the pins, judged by the same scoreboard.
metal
    :mod:`epbell_tb.native.metal`.
limit
    The same library with nobody called: what the Verilated RTL can do by itself.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table

from epbell_regs import offsets
from epbell_tb import figures, runner
from epbell_tb.native.metal import Metal, rings
from epbell_tb.window_writes import bar_window
from epbell_tb.wire_cpu import at_once
from epbell_tb.wire_env import WireEnv

__all__ = ["GOALS", "TIERS", "TierFigure", "measure", "table"]

TIERS = ("reference", "model", "wire", "metal", "limit")
"""From the slowest to the fastest."""

GOALS = {
    ("model", "writes"): 2.5, ("model", "reads"): 2.5, ("model", "idle"): 6.0, ("wire", "writes"): 30.0,
    ("metal", "writes"): 250.0,
}  # fmt: skip
"""Least multiple of the reference, by tier and figure."""

_BAR, _VECTORS = 1, 4

_TITLES = {"writes": "posted writes (rings) per second", "reads": "blocking reads per second",
           "idle": "idle clocks per second"}  # fmt: skip
_WIDTH = 256
_BENCHES = {"reference": "epbell_tb.bench_reference", "model": "epbell_tb.benches.tier_model"}
_WIRE_RINGS, _WIRE_READS, _WIRE_CLOCKS, _WIRE_BATCH = 20_000, 1000, 200_000, 1000
_METAL_RINGS, _METAL_READS, _METAL_CLOCKS = 200_000, 20_000, 200_000
_LIMIT_CLOCKS = 500_000


@dataclass(frozen=True)
class TierFigure:
    """One figure of one tier.

    Attributes
    ----------
    tier, figure : str
        One of `TIERS`; ``writes``, ``reads`` or ``idle``.
    value, minimum, maximum : float
        Median, least and most, per second of wall-clock time.
    samples : int
        How many there were.
    ratio : float
        Multiple of the reference's median.
    of_limit : float or None
        Fraction of the limit's median, if it has this figure.
    goal : float or None
        Least ratio.
    verdict : str
        ``"pass"``, ``"MISSED"``, or nothing without a goal.
    """

    tier: str
    figure: str
    value: float
    minimum: float
    maximum: float
    samples: int
    ratio: float
    of_limit: float | None
    goal: float | None
    verdict: str


def measure(repeats: int, say: Callable[[str], None]) -> list[TierFigure]:
    """Measure all tiers, one after the other, `repeats` times each figure.

    Raises
    ------
    epbell_tb.runner.SimulationError
        If one of them cannot be built or fails.
    """
    module = f"epbell_endpoint_usp{_WIDTH}"
    build = runner.build(module, say=say)
    values: dict[tuple[str, str], list[float]] = {}
    for tier, bench in _BENCHES.items():
        say(f"measuring the {'reference bench' if tier == 'reference' else tier + ' tier'}")
        report = runner.sim_build() / "report" / f"tier-{tier}.jsonl"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        env = {figures.VARIABLE: str(report), "EPBELL_BENCH_REPEATS": str(repeats)}
        for result in runner.run(build, bench, env=env, expected=1):
            if not result.passed:
                raise runner.SimulationError(f"the {tier} tier: {result.name} failed: {result.message}")
        for line in figures.read(report):
            values[tier, line["figure"].removeprefix(f"{tier}_")] = line["values"]
    values |= _wire(repeats, say)
    values |= _metal(repeats, say)
    return [_figure(values, tier, figure) for tier, figure in values]


def _wire(repeats: int, say: Callable[[str], None]) -> dict[tuple[str, str], list[float]]:
    """Measure what the model tier does, too: each write and each read is judged within the time that is measured."""
    values: dict[tuple[str, str], list[float]] = {}
    mu = offsets("mu_imx8ulp")
    with WireEnv("tier_wire", _WIDTH, say=say) as env:
        say("measuring the wire tier")
        places = env.board.map
        writes = bar_window(places["iatu"].base, 0, _BAR, places["mu_b"].base)
        for address, value in (*writes, (places["mu_a"].base + mu["RCR"], (1 << _VECTORS) - 1)):
            at_once(env.cpu.write32(address, value))
        bells = [mu[f"TR{vector}"] for vector in range(_VECTORS)]

        def ring() -> None:
            for number in range(_WIRE_RINGS):
                env.post(_BAR, bells[number % _VECTORS], number.to_bytes(4, "little"))
                if number % _WIRE_BATCH == _WIRE_BATCH - 1:
                    env.play()
            assert env.ask(_BAR, mu["TSR"], 4) == (0, bytes(4)), "no vector has been read by the CPU"

        def read() -> None:
            for _ in range(_WIRE_READS):
                assert env.ask(_BAR, mu["TSR"], 4) == (0, bytes(4)), "no vector has been read by the CPU"

        for _ in range(repeats):
            _time(values, ("wire", "writes"), _WIRE_RINGS, ring)
            _time(values, ("wire", "reads"), _WIRE_READS, read)
            _time(values, ("wire", "idle"), _WIRE_CLOCKS, lambda: env.clocks(_WIRE_CLOCKS))
        env.finish()
    return values


def _metal(repeats: int, say: Callable[[str], None]) -> dict[tuple[str, str], list[float]]:
    values: dict[tuple[str, str], list[float]] = {}
    with Metal(_WIDTH, say=say) as metal:
        say("measuring the metal tier")
        writes, reads = rings(_METAL_RINGS, edma=False), rings(_METAL_READS, reads=True)
        for _ in range(repeats):
            _time(values, ("metal", "writes"), _METAL_RINGS, lambda: metal.run(writes))
            _time(values, ("metal", "reads"), _METAL_READS, lambda: metal.run(reads))
            _time(values, ("metal", "idle"), _METAL_CLOCKS, lambda: metal.idle(_METAL_CLOCKS))
        found = metal.counts()
        if not found.good:
            raise runner.SimulationError(f"the metal tier: {found.complaint}")
        for _ in range(repeats):
            _time(values, ("limit", "writes"), _LIMIT_CLOCKS, lambda: metal.alone(_LIMIT_CLOCKS, ring=True))
    with Metal(_WIDTH) as metal:
        for _ in range(repeats):
            _time(values, ("limit", "idle"), _LIMIT_CLOCKS, lambda: metal.alone(_LIMIT_CLOCKS, ring=False))
    return values


def _time(
    values: dict[tuple[str, str], list[float]], key: tuple[str, str], count: int, run: Callable[[], object]
) -> None:
    begin = time.perf_counter()
    run()
    values.setdefault(key, []).append(count / (time.perf_counter() - begin))


def _figure(values: dict[tuple[str, str], list[float]], tier: str, figure: str) -> TierFigure:
    found = values[tier, figure]
    value = statistics.median(found)
    ratio = value / statistics.median(values["reference", figure])
    limit = values.get(("limit", figure))
    goal = GOALS.get((tier, figure))
    return TierFigure(
        tier=tier,
        figure=figure,
        value=round(value, 1),
        minimum=round(min(found), 1),
        maximum=round(max(found), 1),
        samples=len(found),
        ratio=round(ratio, 2),
        of_limit=round(value / statistics.median(limit), 4) if limit else None,
        goal=goal,
        verdict="" if goal is None else "pass" if ratio >= goal else "MISSED",
    )


def table(found: list[TierFigure]) -> Table:
    """Show the figures: per second, as a multiple of the reference, and the goals."""
    shown = Table()
    shown.add_column(f"simulation of {_WIDTH} bits", no_wrap=True)
    for tier in TIERS:
        shown.add_column(tier, justify="right")
    shown.add_column("goal")
    shown.add_column("verdict")
    for figure, title in _TITLES.items():
        of_figure = {item.tier: item for item in found if item.figure == figure}
        goals = [f"{item.tier} {item.goal:g}x" for item in of_figure.values() if item.goal is not None]
        verdicts = {item.verdict for item in of_figure.values()} - {""}
        verdict = "MISSED" if "MISSED" in verdicts else "pass" if verdicts else ""
        cells = [_cell(of_figure.get(tier)) for tier in TIERS]
        shown.add_row(title, *cells, ", ".join(goals), verdict)
    return shown


def _cell(item: TierFigure | None) -> str:
    if item is None:
        return "-"
    text = f"{item.value:,.0f}\n{item.minimum:,.0f}-{item.maximum:,.0f}"
    return text if item.tier == "reference" else f"{text}\n{item.ratio:,.1f}x"
