"""The RTL as a target of ``epbell selftest``: builds it, simulates the tests, and hands on their TAP as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from filelock import FileLock

from epbell_models import devicetree
from epbell_models.selftest.harness import Options
from epbell_tb import runner
from epbell_tb.sim_variant import VariantError, build_variant, variant_of

__all__ = [
    "bars_for",
    "simulate",
]

_BENCH = "epbell_tb.benches.endpoint_selftest"
_SMALL_TABLE = 512
_LOOK_S = 0.2
_LIMIT_S = 14400.0


def bars_for(msix: int) -> str:
    """Return the name of a set of BARs whose BAR 0 has room for that many MSI-X vectors."""
    return "everyday" if msix <= _SMALL_TABLE else "msix"


def simulate(
    dts: Path,
    options: Options,
    out: Callable[[str], None],
    *,
    width: int,
    stalls: bool,
    seed: int,
    msix: int,
    windows: int | None,
    msix_way: str = "rq",
) -> bool:
    """Run the tests on the RTL that a device tree describes; return whether none failed and no check complained.

    Parameters
    ----------
    dts : Path
        The device tree.
    options : Options
        What to run.
    out : callable
        Takes every line.
    width, stalls, seed : int, bool, int
        Width of the streams in bits, whether they pause at random, and the seed of everything random.
    msix : int
        How many MSI-X vectors the function offers.
    windows : int or None
        How many inbound windows there are; None for as many as the device tree says.
    msix_way : str
        How MSI-X messages leave, as of `Endpoint`.

    Raises
    ------
    RuntimeError
        If the endpoint cannot be built, or the simulation ends early.
    """
    tree = devicetree.load(dts)
    if windows is not None:
        tree = replace(tree, endpoint=replace(tree.endpoint, inbound_windows=windows))
    bars = bars_for(msix)
    try:
        build = build_variant(variant_of(tree, width, bars, msix_way), say=lambda text: out(f"# {text}"))
    except (VariantError, runner.SimulationError) as error:
        raise RuntimeError(str(error)) from error
    folder = build.folder / f"selftest-{dts.stem}-stalls-{'on' if stalls else 'off'}"
    folder.mkdir(exist_ok=True)
    tap = folder / "tap"
    env = {
        "EPBELL_SELFTEST": json.dumps({**vars(options), "msix": msix}),
        "EPBELL_TAP": str(tap),
        "EPBELL_STALLS": str(int(stalls)),
        "EPBELL_BARS": bars,
        "EPBELL_MSIX": msix_way,
        "EPBELL_DTS": str(dts),
        **({} if windows is None else {"EPBELL_WINDOWS": str(windows)}),
    }
    # The files in it have fixed names.
    with FileLock(folder / "lock"):
        tap.write_text("", encoding="utf-8")
        return _run(build, folder, tap, seed, env, out)


def _run(
    build: runner.Build, folder: Path, tap: Path, seed: int, env: dict[str, str], out: Callable[[str], None]
) -> bool:
    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool, tap.open(encoding="utf-8") as written:
        run = pool.submit(
            runner.run, build, _BENCH, seed=seed, env=env, expected=1, results=folder, time_limit_s=_LIMIT_S
        )
        _hand_on(run, written, lambda line: (lines.append(line), out(line)))
    return _verdict(run, lines, out)


def _hand_on(run: Future[list[runner.Result]], written: TextIO, out: Callable[[str], object]) -> None:
    """Hand on whole lines while there may be more; interrupted, end the simulation."""
    rest = ""
    try:
        while True:
            ended = run.done()
            *whole, rest = (rest + written.read()).split("\n")
            for line in whole:
                out(line)
            if ended:
                return
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        runner.cancel()
        raise


def _verdict(run: Future[list[runner.Result]], lines: list[str], out: Callable[[str], None]) -> bool:
    try:
        result = run.result()[0]
    except runner.SimulationError as error:
        raise RuntimeError(str(error)) from error
    if not result.passed:
        out(f"# the checks of the bench complain: {result.message}")
    return result.passed and any(line.startswith("# PASSED") for line in lines)
