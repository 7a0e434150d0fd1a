"""SystemVerilog on its way to Verilator's coverage, and what its lines are in Python."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from epbell_tb.presets import COUNTERS, opened

__all__ = ["Declared", "Listing", "Place", "only_named"]

_TEMPORARY = re.compile(r"^  ((?:wire|reg) (?:\[\d+:\d+\] )?\\\$\S* ?(?:= [^;]*)?;)$", re.MULTILINE)
_INVERSION = re.compile(r"^  (assign [^=]*= ~ [^&|^?~]*;)$", re.MULTILINE)
_ASSERTION = re.compile(
    r"^  (always @\(posedge \S+\) begin\n    if \(.*\) begin\n      if \(!.*\)\n        \$write\(.*\);\n"
    r"      assert \(.*\);\n    end\n  end)$",
    re.MULTILINE,
)
_SOURCE = re.compile(r'^\s*\(\* src = "([^"|]*)[^"]*" \*\)')
_MODULE = re.compile(r"^module (\\?\S+?) ?\(")
_SIGNAL = re.compile(r"^\s*(?:input |output )?(?:wire|reg) (?:\[\d+:\d+\] )?\\?([^\s;]+)")
_PORT = re.compile(r"^\s*(?:input|output) (?:\[\d+:\d+\] )?\\?([^\s;]+)")
_ALWAYS = re.compile(r"^  always")
_ASSIGNED = re.compile(r"^\s*\\?([^\s=<(]+?)\s*(?:\[[^\]]*\]\s*)?<?= ")
_CLOCKED = re.compile(r"^\s*\\?(\S+?) <= \\(\$\S+?) ?;")
_NUMBER = re.compile(r"\$(\d+)(?=\W|$)|\bport\$(\d+)\$")
_SUFFIX = re.compile(r"\$\d+(?:\$\d+)?$")
_ESCAPED = re.compile(r"__0([0-9A-Fa-f]{2})")


def only_named(text: str) -> str:
    """Have the toggles counted of signals that have a name in Python, and not of the export's own temporary ones.

    An inversion is no expression: it says no more than the signal that it inverts. Assertions are not counted: a
    simulation in which one fails ends with an error. Counters can be set by a bench (`epbell_tb.presets`).
    """
    for left_out in (_TEMPORARY, _INVERSION, _ASSERTION):
        text = left_out.sub(r"  /*verilator coverage_off*/ \1 /*verilator coverage_on*/", text)
    return opened(text, COUNTERS)


class Place(NamedTuple):
    """Where a line is: file and line of Python of it and of its module, digest of the module, its first line.

    Lines of an ``always`` are where the signal is declared that it is about, `target`.
    """

    source: str
    module: str
    variant: str
    begin: int
    target: str = ""


class Declared(NamedTuple):
    """A signal: the module that has it, its name there and in Python, its place, its bits, whether it is a vector."""

    module: str
    raw: str
    name: str
    place: Place
    width: int
    ranged: bool


class Listing:
    """What each line of a generated file is.

    Parameters
    ----------
    text : str
        The SystemVerilog.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._places: list[Place] = []
        self._signals: dict[int, str] = {}
        source = module = ""
        since = 0
        for number, line in enumerate(self._lines, 1):
            found = _SOURCE.match(line)
            if found:
                source = found[1]
            if _MODULE.match(line):
                self._outside(since, number)
                since = number
                module = source
            elif line == "endmodule":
                self._inside(since, number, module)
                source, since = "", number
        self._outside(since, len(self._lines) + 1)

    def place(self, line: int) -> Place:
        """Return where a line is, counted from 1."""
        return self._places[line - 1]

    def signal(self, line: int) -> str:
        """Return the name of the signal that a line declares, as in Python, and which of those of its name it is."""
        return self._signals[line]

    def signals(self) -> Iterator[Declared]:
        """Return every signal that has a name in Python, once."""
        module, seen = "", set()
        for number, line in enumerate(self._lines, 1):
            begins = _MODULE.match(line)
            if begins:
                module, seen = begins[1].removeprefix("\\"), set()
            declared = number in self._signals and (_SIGNAL.match(line) or _PORT.match(line))
            if declared and declared[1] not in seen and not declared[1].startswith("$"):
                seen.add(declared[1])
                high = re.search(r"\[(\d+):\d+\]", line.partition("=")[0])
                width = int(high[1]) + 1 if high else 1
                name, place = self._signals[number], self._places[number - 1]
                yield Declared(module, declared[1], name, place, width, high is not None)

    def modules(self) -> Iterator[tuple[str, str, list[str]]]:
        """Return each module: its name, the digest of its text, its lines."""
        begins = [number for number, line in enumerate(self._lines) if _MODULE.match(line)]
        for begin in begins:
            name = _MODULE.findall(self._lines[begin])[0].removeprefix("\\")
            end = self._lines.index("endmodule", begin)
            yield name, self._places[begin].variant, self._lines[begin : end + 1]

    @staticmethod
    def readable(name: str) -> str:
        """Return a name or an expression of Verilator's with the names that the signals have, without their numbers."""
        plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)
        return re.sub(r"\$\d+(?:\$\d+)?", "$", plain)

    def _outside(self, since: int, line: int) -> None:
        self._places += [Place("", "", "", since)] * (line - 1 - len(self._places))

    def _inside(self, begin: int, end: int, module: str) -> None:
        variant = _digest(self._lines[begin - 1 : end])
        source, used = module, defaultdict(int)
        for number in range(begin, end + 1):
            line = self._lines[number - 1]
            found = _SOURCE.match(line)
            source = found[1] if found else source
            declared = _SIGNAL.match(line) or _PORT.match(line)
            if declared:
                base = _SUFFIX.sub("", declared[1])
                if (number - 1) not in self._signals or self._signals[number - 1].partition("#")[0] != base:
                    used[base, source] += 1
                which = used[base, source]
                self._signals[number] = base if which == 1 else f"{base}#{which}"
            self._places.append(Place(source, module, variant, begin))
        self._aim(begin, end)

    def _aim(self, begin: int, end: int) -> None:
        """Find what each ``always`` of a module assigns: a signal, or what goes to a register at the next edge."""
        declared = {}
        registers = {}
        starts = []
        for number in range(begin, end + 1):
            line = self._lines[number - 1]
            found = _SIGNAL.match(line) or _PORT.match(line)
            if found:
                declared[found[1]] = self._places[number - 1].source
            clocked = _CLOCKED.match(line)
            if clocked:
                registers[clocked[2]] = clocked[1]
            if _ALWAYS.match(line):
                starts.append(number)
        for start in starts:
            stop = start + 1
            if self._lines[start - 1].endswith("begin"):
                stop = next(number for number in range(start, end) if self._lines[number] == "  end") + 1
            assigned = next(filter(None, map(_ASSIGNED.match, self._lines[start:stop])), None)
            if assigned is None:
                continue
            target = registers.get(assigned[1], assigned[1])
            source = declared.get(target) if not target.startswith("$") else None
            name = "" if target.startswith("$") else _SUFFIX.sub("", target)
            for number in range(start, stop + 1):
                place = self._places[number - 1]
                own = any(_SOURCE.match(line) for line in self._lines[start:number])
                self._places[number - 1] = place._replace(target=name, source=place.source if own else source or "")


def _digest(lines: list[str]) -> str:
    """Return a digest of a module that does not depend on its name nor on the numbers of its signals."""
    numbers: dict[str, str] = {}

    def renumber(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"${len(numbers)}")

    body = re.sub(r"^module [^(]*", "", "\n".join(lines))
    body = re.sub(r"^(  )\\\S+\.\S+ (?=\s?\S+\s+\($)", r"\1", body, flags=re.MULTILINE)
    return hashlib.sha256(_NUMBER.sub(renumber, body).encode()).hexdigest()[:8]
