"""``make profile``: where the time of a simulation goes, by py-spy: shares of each layer, and a flame graph.

Only the simulator's process counts, and only from the first event on: not Python's start, not the imports. A sample
belongs to the layer of its innermost function; what the standard library does belongs to whoever called it, and what no
Python function is in belongs to the simulator. Exit status: 0, 1 if the simulation fails or py-spy is missing, 2 if the
command line is wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from epbell_tb import runner, toolchain
from epbell_tb.arguments import number

__all__ = ["flame_graph", "layer", "main", "shares", "stacks"]

Stack = tuple[str, ...]
"""Functions from the outermost one, each ``name (file)``."""

_MODULE, _BENCH = "epbell_endpoint_usp256", "epbell_tb.benches.tier_model"
_KNOWN = "writes,reads,idle"
_RATE = 250
_SIMULATOR = "simulator and RTL"
_JUDGES = (
    *("monitors", "packets", "clock", "to_host", "scoreboard", "aims", "latch", "bells", "permissions", "msis"),
    *("shadow", "completions", "sidebands", "counters", "link_checks", "in_reset"),
)
_LAYERS = (
    ("site-packages/cocotbext/axi", "cocotbext-axi: the CPU's bus"),
    ("site-packages/cocotbext/pcie", "cocotbext-pcie: packets, hard block, streams"),
    ("site-packages/cocotb", "cocotb: event loop, triggers, pins"),
    ("epbell_models", "reference models"),
    (f"epbell_tb/endpoint/({'|'.join(_JUDGES)})", "monitors and scoreboard"),
    ("epbell_tb", "host, hard block and bench"),
)  # fmt: skip
_ROOT, _FIRST_EVENT = "simulation", "EventLoop.run"
_HUES = (28, 200, 95, 265, 340, 55, 170)
_ROW, _WIDE, _SHOWN = 16, 1200, 0.002


def layer(function: str) -> str | None:
    """Return the layer of ``name (file)``; None for the standard library."""
    return next((title for pattern, title in _LAYERS if re.search(pattern, function)), None)


def stacks(raw: Iterable[str]) -> Counter[Stack]:
    """Read py-spy's raw format, full file names, and keep what is of the simulation.

    Raises
    ------
    ValueError
        If a line is none of that format.
    """
    found: Counter[Stack] = Counter()
    for line in raw:
        frames, _, count = line.rpartition(" ")
        if not frames or not count.strip().isdigit():
            raise ValueError(f"A line of py-spy's raw format ends with a number of samples; this one is {line[:80]!r}")
        names = [re.sub(r":\d+\)$", ")", frame) for frame in frames.split(";")]
        processes = [place for place, name in enumerate(names) if name.startswith("process ")]
        if not processes or _MODULE not in names[processes[-1]].partition(":")[2].partition(" ")[0]:
            continue
        inner = names[processes[-1] + 1 :]
        begin = next((place for place, name in enumerate(inner) if name.startswith(_FIRST_EVENT)), None)
        if begin is not None:
            found[tuple(inner[begin:])] += int(count)
        elif not inner:
            found[()] += int(count)
    return found


def shares(found: Counter[Stack]) -> dict[str, float]:
    """Return each layer's share of the samples, the greatest first."""
    layers: Counter[str] = Counter()
    for stack, count in found.items():
        layers[next(filter(None, map(layer, reversed(stack))), _SIMULATOR)] += count
    return {title: count / found.total() for title, count in layers.most_common()}


def flame_graph(found: Counter[Stack], title: str) -> str:
    """Draw the stacks as SVG, 1200 pixels for all samples: who called whom upwards, a colour for each layer."""
    boxes: list[tuple[int, float, float, str]] = []
    deepest = _draw(boxes, found, 0, 0.0, _ROOT, found.total())
    high = (deepest + 3) * _ROW
    names = [name for _, name in _LAYERS]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}" font-size="11">',
        f'<text x="4" y="12">{escape(title)}</text>',
    ]
    for depth, x, share, name in boxes:
        of = layer(name)
        hue = _HUES[names.index(of)] if of else 0
        y, width = high - (depth + 1) * _ROW, share * _WIDE
        short = name.partition(" (")[0]
        tip = f"{short} ({Path(name.partition(' (')[2].rstrip(')')).name}), {share:.1%}" if " (" in name else name
        lines.append(
            f'<g><title>{escape(tip)}</title><rect x="{x * _WIDE:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}" '
            f'fill="hsl({hue},{60 if of else 0}%,75%)"/>'
            f'<text x="{x * _WIDE + 2:.1f}" y="{y + 11}">{escape(short[: int(width / 6.2)])}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _draw(boxes: list, found: Counter[Stack], depth: int, x: float, name: str, total: int) -> int:
    """Append a function's box and those of what it calls; return the greatest depth."""
    share = found.total() / total
    if share < _SHOWN:
        return depth - 1
    boxes.append((depth, x, share, name))
    called: dict[str, Counter[Stack]] = {}
    for stack, count in found.items():
        if stack:
            called.setdefault(stack[0], Counter())[stack[1:]] += count
    deepest = depth
    for callee in sorted(called):
        deepest = max(deepest, _draw(boxes, called[callee], depth + 1, x, callee, total))
        x += called[callee].total() / total
    return deepest


def _record(spy: str, bench: str, repeats: int, figures: str) -> Counter[Stack]:
    build = runner.build(_MODULE, say=lambda text: print(text, file=sys.stderr, flush=True))
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        command = [spy, "record", "--subprocesses", "--full-filenames", "-r", str(_RATE), "-f", "raw", "-o", str(raw)]
        program = f"from epbell_tb import runner; runner.run(runner.build({_MODULE!r}), {bench!r}, expected=1)"
        env = {"EPBELL_BENCH_REPEATS": str(repeats), "EPBELL_BENCH_FIGURES": figures}
        env |= {"EPBELL_SIM_BUILD": str(build.folder.parents[1])}
        command += ["--", sys.executable, "-c", program]
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
        if done.returncode or not raw.exists():
            raise toolchain.ToolError(f"py-spy ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
        return stacks(raw.read_text(encoding="utf-8").splitlines())


def _figures(text: str) -> str:
    if not set(text.split(",")) <= set(_KNOWN.split(",")):
        raise argparse.ArgumentTypeError(f"it must be some of {_KNOWN}, not {text!r}")
    return text


def main(arguments: Sequence[str]) -> int:
    """Run the verb."""
    about = "Show where the time of a simulation goes, by py-spy: shares of each layer, and a flame graph."
    parser = argparse.ArgumentParser(prog="epbell profile", description=about, allow_abbrev=False)
    parser.add_argument("--bench", metavar="MODULE", default=_BENCH, help=f"cocotb module, default {_BENCH}")
    parser.add_argument("--figures", metavar="LIST", type=_figures, default="writes", help=f"{_KNOWN}; default writes")
    parser.add_argument("--repeats", metavar="N", type=number(1, 10_000), default=200, help="of them, default 200")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="draw a flame graph, too: SVG")
    options = parser.parse_args(arguments)
    spy = shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if spy is None:
        raise toolchain.ToolError("py-spy not found; install it: `.venv/bin/python -m pip install py-spy`")
    print(f"profiling {options.bench}, {_RATE} samples/s", file=sys.stderr, flush=True)
    found = _record(spy, options.bench, options.repeats, options.figures)
    if not found:
        raise toolchain.ToolError("py-spy took no sample of the simulation; more `--repeats` take longer")
    print(f"| layer | share of {found.total():,} samples |\n|---|---|")
    for title, share in shares(found).items():
        print(f"| {title} | {share:.1%} |")
    if options.picture is not None:
        options.picture.write_text(flame_graph(found, f"{options.bench}, {found.total():,} samples"), encoding="utf-8")
    return 0
