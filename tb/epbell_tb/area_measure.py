"""One module measured: synthesized once, placed and routed once for each seed. What has been done is kept."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from epbell_tb.area_design import Design, synthesis_script
from epbell_tb.area_modules import Target
from epbell_tb.ram_registers import fold_file
from epbell_tb.synthesis import Tools
from epbell_tb.toolchain import ToolError

__all__ = ["REROUTED", "ROUTING", "Measurement", "Netlist", "Routed", "measure", "versions"]

ROUTING = [
    *("--85k", "--package", "CABGA756", "--speed", "6"),  # LFE5U-85F of the slowest grade
    *("--lpf-allow-unconstrained", "--timing-allow-fail", "--placer", "static"),
    *("--freq", "250"),  # more than any goal, so that it does not stop at what would do
]
"""Options of nextpnr, the same for every module."""

REROUTED = 2000
"""LUT4s up to which nextpnr routes anew what is on a slow path (``--tmg-ripup``); of more it finds no end."""

# LUT4s that a cell takes up: two of a carry's, the four and the two that write them of a LUT RAM of 16 x 4 bits.
_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}


@dataclass(frozen=True)
class Netlist:
    """What synthesis makes of a module.

    Attributes
    ----------
    lut4, ff, ram : int
        LUT4s, among them those of carries and of LUT RAM; flip-flops; block RAMs of 18 kbit.
    seconds : float
        Processor time.
    """

    lut4: int
    ff: int
    ram: int
    seconds: float


@dataclass(frozen=True)
class Routed:
    """What one seed gives.

    Attributes
    ----------
    seed : int
        The seed.
    mhz : float
        Highest frequency, of the slower clock where there are two.
    path : list of str
        The path that limits it: a line for each step, with its delay in ns.
    seconds : float
        Processor time.
    """

    seed: int
    mhz: float
    path: list[str]
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """What was found about a target.

    Attributes
    ----------
    target : Target
        What was measured.
    netlist : Netlist
        Its size.
    routed : list of Routed
        One for each seed.
    """

    target: Target
    netlist: Netlist
    routed: list[Routed]

    @property
    def median(self) -> Routed:
        """The seed in the middle; of two, the slower."""
        ordered = sorted(self.routed, key=lambda one: one.mhz)
        return ordered[(len(ordered) - 1) // 2]

    @property
    def mhz(self) -> tuple[float, float, float]:
        """Least, median and greatest frequency."""
        every = [one.mhz for one in self.routed]
        return min(every), statistics.median(every), max(every)

    def missed(self) -> list[str]:
        """Say which goals are not reached."""
        goal = self.target.goal
        if goal is None:
            return []
        said = []
        if goal.lut4 and self.netlist.lut4 > goal.lut4:
            said.append(f"{self.netlist.lut4} LUT4, more than {goal.lut4}")
        if self.mhz[1] < goal.mhz:
            said.append(f"{self.mhz[1]:.0f} MHz in the median, less than {goal.mhz:.0f}")
        return said


def measure(
    target: Target,
    design: Design,
    seeds: list[int],
    tools: Tools,
    folder: Path,
    done: Callable[[int], None] = lambda _: None,
) -> Measurement:
    """Measure a module.

    Parameters
    ----------
    target, design : Target, Design
        What to measure, and what was made of it.
    seeds : list of int
        Seeds of nextpnr.
    tools : Tools
        Yosys and nextpnr.
    folder : Path
        Where all files of this module are kept. What is there of the same design, the same tools and the same options
        is taken as it is.
    done : callable
        Told how many steps are done, of one and one for each seed.

    Raises
    ------
    ToolError
        If a program fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = {
        "design": design.digest,
        "script": synthesis_script(design.module, design.fanned),
        "routing": [*ROUTING, REROUTED],
        "registers": "of block RAMs folded",
        **versions(tools),
    }
    kept = folder / "key.json"
    if not kept.is_file() or json.loads(kept.read_text(encoding="utf-8")) != key:
        for path in folder.iterdir():
            path.unlink()
        kept.write_text(json.dumps(key), encoding="utf-8")
    netlist = _kept(folder / "size.json", lambda: asdict(_synthesize(design, tools, folder)))
    done(1)
    routed: list[Routed] = []
    more = ["--tmg-ripup"] if netlist["lut4"] <= REROUTED else []
    for seed in seeds:
        found = _kept(folder / f"seed-{seed}.json", lambda seed=seed: asdict(_route(seed, more, tools, folder)))
        routed.append(Routed(**found))
        done(1 + len(routed))
    return Measurement(target, Netlist(**netlist), routed)


def versions(tools: Tools) -> dict[str, str]:
    """Return the versions of Yosys and nextpnr, by the names of their packages."""
    packages = {name: f"yowasp-{name}" for name in ("yosys", "nextpnr-ecp5")}
    code = f"import importlib.metadata as m; print(*map(m.version, {tuple(packages.values())!r}))"
    python = str(Path(tools.program("yosys")).parent / "python")
    done = subprocess.run([python, "-c", code], env=tools.environment, capture_output=True, text=True, check=True)
    return dict(zip(packages, done.stdout.split(), strict=True))


def _kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a file has; made first if it is not there. It appears whole or not at all."""
    if not path.is_file():
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(make()), encoding="utf-8")
        fresh.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def _synthesize(design: Design, tools: Tools, folder: Path) -> Netlist:
    design.write(folder)
    (folder / "script.ys").write_text(synthesis_script(design.module, design.fanned), encoding="utf-8")
    seconds = _run(tools, ["yosys", "-q", "-s", "script.ys"], folder, "yosys.log")
    modules = json.loads((folder / "cells.json").read_text(encoding="utf-8"))["modules"]
    folded = fold_file(folder / "netlist.json")
    try:
        cells: dict[str, int] = modules[f"\\{design.module}"]["num_cells_by_type"]
    except KeyError:
        raise ToolError(f"Yosys has made away with {design.module}: {', '.join(modules)}") from None
    unknown = {name for name in cells if not name.startswith(("TRELLIS_", "$")) and name not in (*_LUTS, "DP16KD")}
    if unknown:
        raise ToolError(f"{design.module} has cells that nobody counts: {', '.join(sorted(unknown))}")
    lut4 = sum(each * cells.get(name, 0) for name, each in _LUTS.items())
    return Netlist(lut4, cells.get("TRELLIS_FF", 0) - folded, cells.get("DP16KD", 0), seconds)


def _route(seed: int, more: list[str], tools: Tools, folder: Path) -> Routed:
    report = f"report-{seed}.json"
    options = [*ROUTING, *more, "--json", "netlist.json", "--seed", str(seed), "--report", report, "--quiet"]
    seconds = _run(tools, ["nextpnr-ecp5", *options], folder, f"nextpnr-{seed}.log")
    found = json.loads((folder / report).read_text(encoding="utf-8"))
    clocks: dict[str, float] = {clock: speed["achieved"] for clock, speed in found["fmax"].items()}
    if not clocks:
        raise ToolError(f"nextpnr has found no clock in {folder}")
    slowest = min(clocks, key=lambda clock: clocks[clock])
    return Routed(seed, clocks[slowest], _path(found["critical_paths"], slowest), seconds)


def _run(tools: Tools, command: list[str], folder: Path, log: str) -> float:
    """Run a program; return how many seconds of processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    tools.run([tools.program(command[0]), *command[1:]], folder, folder / log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _path(paths: list[dict[str, Any]], clock: str) -> list[str]:
    """Return the path from edge to edge of a clock, a line for each step."""
    for path in paths:
        if path["from"].endswith(f" {clock}") and path["to"].endswith(f" {clock}"):
            return [_step(step) for step in path["path"]]
    return []


def _step(step: dict[str, Any]) -> str:
    what = step["net"] if step["type"] == "routing" else f"{step['to']['cell']}.{step['to']['port']}"
    return f"{step['delay']:.2f} {step['type']}: {what}"
