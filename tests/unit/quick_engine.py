"""Amaranth's simulator without the work that changes nothing: most of a design is idle in most clocks.

The stock engine runs all registers of a design at every edge and stores each anew. Here the code that it generates for
a fragment is kept, with three conditions in front: a clocked process runs only if something that its code mentions has
changed since it ran last, a signal is stored only if it differs, and a memory is written only if a bit is enabled. What
is skipped is what would have stored the same values again, so that all signals agree at all times;
``test_quick_engine.py`` holds it.
"""

from __future__ import annotations

import builtins
import re
from typing import Any
from unittest import mock

import amaranth.sim
from amaranth.hdl._ast import Concat, Operator
from amaranth.sim import _pyrtl
from amaranth.sim.pysim import PySimEngine

_STORE = re.compile(r"^( +)slots\[(\d+)\]\.update\((next_\d+), ", re.MULTILINE)
_WRITE = re.compile(r"^( +)(slots\[\d+\]\.write\(\w+, \w+, (\w+)\))$", re.MULTILINE)
_SLOT = re.compile(r"slots\[(\d+)\]")
_RUN = "def run():\n"
_CLOCKED = re.compile(r"^    next_\d+ = slots\[\d+\]\.next$|^    slots\[\d+\]\.write", re.MULTILINE)


def _conditional(code: str, name: str, mode: str) -> Any:
    """Compile the code of a process, with the conditions."""
    mentioned = sorted({int(slot) for slot in _SLOT.findall(code)})
    clocked = _CLOCKED.search(code) is not None
    code = _STORE.sub(r"\1if slots[\2].next != \3: slots[\2].update(\3, ", code)
    code = _WRITE.sub(r"\1if \3: \2", code)
    if clocked and "print(" not in code:
        start = "    global changed\n    if not changed: return\n    changed = False\n"
        code = f"changed, mentioned = True, {mentioned}\n" + code.replace(_RUN, _RUN + start, 1)
    return builtins.compile(code, name, mode)


class QuickEngine(PySimEngine):
    """The stock engine with conditions in the code of its processes."""

    def __init__(self, design: Any) -> None:
        with mock.patch.object(_pyrtl, "compile", _conditional, create=True):
            super().__init__(design)
        self._skipping = [names for process in self._processes if "mentioned" in (names := process.run.__globals__)]
        for names in self._skipping:
            waker = _waker(names)
            for slot in names["mentioned"]:
                self.state.slots[slot].add_waker(waker)

    def reset(self) -> None:
        super().reset()
        for names in self._skipping:
            names["changed"] = True


def _waker(names: dict[str, Any]) -> Any:
    def waker(*_: int) -> bool:
        names["changed"] = True
        return True

    return waker


class Simulator(amaranth.sim.Simulator):
    """Amaranth's, with the quick engine."""

    def __init__(self, toplevel: Any) -> None:
        with _shapes_kept(Operator), _shapes_kept(Concat):
            super().__init__(toplevel, engine=QuickEngine)


def _shapes_kept(kind: Any) -> Any:
    """Compute the shape of each expression once while a design is compiled; it never changes."""
    compute, known = kind.shape, {}

    def shape(value: Any) -> Any:
        if id(value) not in known:
            known[id(value)] = compute(value), value  # which keeps it alive, and its identity its own
        return known[id(value)][0]

    return mock.patch.object(kind, "shape", shape)
