"""Which lines and branches of generated SystemVerilog are never reached, given signals that are constant.

A condition that is a constant bit never takes one of its two ways; a ``casez`` whose constant bits differ from a label
never takes that arm; what is inside such a way is not reached either. Everything else is taken to be reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["Dead", "dead"]

_CONDITION = re.compile(r"^( *)(end else )?if \((.*)\) begin$")
_ELSE = re.compile(r"^( *)end else begin$")
_CASE = re.compile(r"^( *)casez \((.*)\)$")
_ARM = re.compile(r"^( *)((?:\d+'[bh][0-9a-fA-F?]+(?:, )?)+|default):(?: begin)?$")
_LABEL = re.compile(r"(\d+)'([bh])([0-9a-fA-F?]+)")
_SIGNAL = re.compile(r"^\\?([^\s()!~\[\]]+) ?(?:\[(\d+)(?::(\d+))?\])?$")
_DIGITS = {"b": 1, "h": 4}
_INVERTED = str.maketrans("01", "10")
_OUTSIDE = 2
"""Indentation of what is in no process."""


class Dead(NamedTuple):
    """What is never reached: a line, and the kind of points that begin in it, ``if``, ``else``, ``elsif``, ``case``."""

    line: int
    what: str


class _Region(NamedTuple):
    """A part of a process.

    Attributes
    ----------
    indent : int
        Its indentation.
    dead : bool
        Whether it is never reached.
    inside : bool
        Whether its condition is never asked.
    taken : bool
        Whether its condition, when it is asked, is always true.
    value : str
        Of a ``casez``: its bits, ``-`` for those that change.
    """

    indent: int
    dead: bool
    inside: bool = False
    taken: bool = False
    value: str = ""


def dead(lines: list[str], fixed: Mapping[str, str]) -> Iterator[Dead]:
    """Return what is never reached in a module.

    Parameters
    ----------
    lines : list of str
        Its SystemVerilog, as Yosys writes it.
    fixed : mapping
        Bits of signals that have a constant one, the highest first, ``-`` for those that change.

    Yields
    ------
    Dead
        Its lines are counted from 0.
    """
    stack: list[_Region] = []
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        condition, arm, case = (pattern.match(line) for pattern in (_CONDITION, _ARM, _CASE))
        if condition:
            before = _leave(stack, indent) if condition[2] else None
            _drop(stack, indent)
            inside = before.inside or before.taken if before else _unreached(stack)
            value = _bits(condition[3], fixed)
            never = inside or value == "0"
            if never:
                yield Dead(number, "if")
                yield Dead(number, "elsif")
            if inside or value == "1":
                yield Dead(number, "else")
            stack.append(_Region(indent, never, inside, value == "1"))
        elif _ELSE.match(line):
            before = _leave(stack, indent)
            if before:
                stack.append(before._replace(dead=before.inside or before.taken))
        elif case:
            _drop(stack, indent)
            stack.append(_Region(indent, _unreached(stack), value=_bits(case[2], fixed)))
        elif arm:
            _drop(stack, indent)
            value = stack[-1].value if stack else ""
            labels = list(_labels(arm[2]))
            never = _unreached(stack) or (bool(labels) and not any(_may(label, value) for label in labels))
            if never:
                yield Dead(number, "case")
            stack.append(_Region(indent, never))
        elif indent <= _OUTSIDE:
            stack.clear()


def _unreached(stack: list[_Region]) -> bool:
    return bool(stack) and stack[-1].dead


def _leave(stack: list[_Region], indent: int) -> _Region | None:
    """Return the region that ends at an ``else``."""
    while stack and stack[-1].indent > indent:
        stack.pop()
    return stack.pop() if stack and stack[-1].indent == indent else None


def _drop(stack: list[_Region], indent: int) -> None:
    """Leave what is no deeper than a line."""
    while stack and stack[-1].indent >= indent:
        stack.pop()


def _bits(expression: str, fixed: Mapping[str, str]) -> str:
    """Return the bits of an expression, the highest first, ``-`` for what changes; empty if nothing is known of it."""
    inverted = expression.startswith("!")
    found = _SIGNAL.match(expression.removeprefix("!").strip())
    bits = fixed.get(found[1], "") if found else ""
    if found and found[2] and bits:
        bits = bits[len(bits) - 1 - int(found[2]) : len(bits) - int(found[3] or found[2])]
    if inverted:
        return bits.translate(_INVERTED) if len(bits) == 1 else ""
    return bits


def _labels(text: str) -> Iterator[str]:
    for width, base, digits in _LABEL.findall(text):
        size = _DIGITS[base]
        bits = "".join("?" * size if digit == "?" else f"{int(digit, 16):0{size}b}" for digit in digits)
        yield bits.rjust(int(width), "0")[-int(width) :]


def _may(label: str, value: str) -> bool:
    """Whether a value can be the one of a label; both end with bit 0."""
    pairs = zip(label[::-1], value[::-1], strict=False)
    return all("-" in pair or "?" in pair or len(set(pair)) == 1 for pair in pairs)
