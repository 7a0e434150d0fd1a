"""An output for a simulation that says: the clock changes nothing.

It is added to the RTLIL of a whole design, on its way to SystemVerilog. It is 1 while every flip-flop has at its input
what it has at its output, no memory is written but with the word that was written to the same place in the clock
before, and every registered read of a memory gives what it gave then. Once it has been 1 for two clocks in which no
input has changed, no clock edge can change anything until an input does: whoever simulates may leave them out. Nothing
of the design itself is touched.
"""

import re
from collections.abc import Collection, Mapping

__all__ = [
    "AT_REST",
    "add_at_rest",
]

AT_REST = "at_rest"
"""Name of the output."""

_MODULE = re.compile(r"^module (\S+)$")
_CELL = re.compile(r"^ *cell (\S+) (\S+)$")
_FIELD = re.compile(r"^ *(?:parameter|connect) (?:signed )?(\\\S+) (.*)$")
_PORT = re.compile(r"^ *wire .*\b(?:input|output|inout) (\d+)\b")
_STATELESS = frozenset({
    *("$not", "$and", "$or", "$xor", "$neg", "$add", "$sub", "$mul", "$divfloor", "$modfloor", "$mux", "$bmux"),
    *("$eq", "$ne", "$lt", "$le", "$gt", "$ge", "$reduce_and", "$reduce_or", "$reduce_bool", "$reduce_xor"),
    *("$shl", "$shr", "$sshr", "$shift", "$shiftx", "$check", "$print", "$meminit_v2"),
})  # fmt: skip
_MEMORY = "\\epbell_memory"


def add_at_rest(text: str, name: str, besides: Mapping[str, Collection[str]] | None = None) -> str:
    """Add the output ``at_rest`` to a design.

    Parameters
    ----------
    text : str
        The design in RTLIL, as Amaranth writes it.
    name : str
        Name of its top module.
    besides : mapping, optional
        Names of registers that may change all the same, by the path of their module below the top one. What depends on
        them does count: whoever leaves clock edges out must know how they go on.

    Raises
    ------
    ValueError
        If the text holds what may have a state and is not known here, or not what `besides` names.
    """
    left = {f"\\{name}.{path}": {f"\\{one}" for one in names} for path, names in (besides or {}).items()}
    known = {found[1] for line in text.splitlines() if (found := _MODULE.match(line))}
    lines: list[str] = []
    module: _Module | None = None
    for line in text.splitlines():
        found = _MODULE.match(line)
        if found:
            module = _Module(found[1], known, left.get(found[1], set()))
            lines.append(line)
        elif module is None:
            lines.append(line)
        elif line == "end":
            lines += [*module.end(), line]
            module = None
        else:
            module.take(line)
    missing = [f"{path[1:]}.{one[1:]}" for path, names in left.items() for one in sorted(names)]
    if missing:
        raise ValueError(f"The registers that may change must be the design's, not {', '.join(missing)}")
    return "\n".join(lines) + "\n"


class _Module:
    """One module: what its lines say, and what is to be added at its end."""

    def __init__(self, name: str, known: set[str], besides: set[str]) -> None:
        self._name = name
        self._known = known
        self._besides = besides
        self._ports = 0
        self._cell: tuple[str, dict[str, str]] | None = None
        self._body: list[str] = []
        self._added: list[str] = []
        self._terms = 0
        self._writes: dict[str, list[dict[str, str]]] = {}

    def take(self, line: str) -> None:
        """Read a line."""
        port, cell = _PORT.match(line), _CELL.match(line)
        if port:
            self._ports = max(self._ports, int(port[1]) + 1)
        elif cell:
            self._cell = cell[1], {}
        elif line.lstrip().startswith("sync "):
            raise ValueError(f"No process may have a state, not as {line.strip()!r} in {self._name[1:]}")
        elif self._cell is not None:
            field = _FIELD.match(line)
            if field:
                self._cell[1][field[1]] = field[2]
            elif line.strip() == "end":
                self._judge(*self._cell)
                self._cell = None
        self._body.append(line)

    def end(self) -> list[str]:
        """Return the lines of the module, with what is added to them."""
        for ports in self._writes.values():
            for port in ports:
                if len(ports) == 1:
                    self._nothing_new(port)
                else:  # another port may have written over it in between
                    self._none(int(port["\\WIDTH"]), port["\\EN"])
        lines = [f"  wire width 1 output {self._ports} \\{AT_REST}"]
        if not self._terms:
            return [*lines, *self._body, f"  connect \\{AT_REST} 1'1"]
        lines += [f"  wire width {self._terms} $rests", *self._body, *self._added]
        return [*lines, *_cell("$reduce_and", "$all_rest", self._terms, "$rests", f"\\{AT_REST}")]

    def _judge(self, kind: str, fields: dict[str, str]) -> None:
        """Take note of a cell."""
        if kind == "$dff":
            register = fields["\\Q"]
            if register in self._besides:
                self._besides.remove(register)
            else:
                self._same(int(fields["\\WIDTH"]), fields["\\D"], register)
        elif kind == "$memwr_v2":
            self._writes.setdefault(fields["\\MEMID"], []).append(fields)
        elif kind == "$memrd_v2":
            if int(fields["\\CLK_ENABLE"]):
                self._as_before(int(fields["\\WIDTH"]), fields["\\CLK"], fields["\\DATA"])
        elif kind == _MEMORY:
            width = int(fields["\\WIDTH"])
            self._none(width // int(fields["\\GRANULE"]), fields["\\w_en"])
            self._as_before(width, fields["\\clk"], fields["\\r_data"])
        elif kind in self._known:
            self._body.append(f"    connect \\{AT_REST} {self._term()}")
        elif kind not in _STATELESS:
            raise ValueError(f"Whether a cell has a state must be known, not as of {kind} in {self._name[1:]}")

    def _term(self) -> str:
        self._terms += 1
        return f"$rests [{self._terms - 1}]"

    def _same(self, width: int, one: str, other: str) -> None:
        term = self._term()
        self._added += _cell("$eq", f"$rest{self._terms}", width, one, term, other)

    def _none(self, width: int, bits: str) -> None:
        term = self._term()
        self._added += _cell("$logic_not", f"$rest{self._terms}", width, bits, term)

    def _nothing_new(self, port: dict[str, str]) -> None:
        """Nothing is enabled, or all is as it was in the clock before."""
        width = int(port["\\WIDTH"])
        whole = "{ " + " ".join(port[one] for one in ("\\EN", "\\ADDR", "\\DATA")) + " }"
        term = self._term()
        number = self._terms
        none, same = f"$none{number}", f"$same{number}"
        self._added += [f"  wire width 1 {none}", f"  wire width 1 {same}"]
        self._added += _cell("$logic_not", f"$none_of{number}", width, port["\\EN"], none)
        before = self._before(2 * width + int(port["\\ABITS"]), port["\\CLK"], whole)
        self._added += _cell("$eq", f"$same_as{number}", 2 * width + int(port["\\ABITS"]), whole, same, before)
        self._added += _cell("$or", f"$rest{number}", 1, none, term, same)

    def _as_before(self, width: int, clock: str, word: str) -> None:
        self._same(width, word, self._before(width, clock, word))

    def _before(self, width: int, clock: str, word: str) -> str:
        """Return what a word was in the clock before."""
        before = f"$before{len(self._added)}"
        self._added += [
            f"  wire width {width} {before}",
            f"  cell $dff {before}_register",
            f"    parameter \\WIDTH {width}",
            "    parameter \\CLK_POLARITY 1",
            f"    connect \\D {word}",
            f"    connect \\CLK {clock}",
            f"    connect \\Q {before}",
            "  end",
        ]
        return before


def _cell(kind: str, name: str, width: int, first: str, result: str, second: str | None = None) -> list[str]:
    """Return a cell with one result bit of one or two operands of ``width`` bits."""
    operands = {"A": first} if second is None else {"A": first, "B": second}
    lines = [f"  cell {kind} {name}"]
    for operand, signal in operands.items():
        lines += [f"    parameter \\{operand}_SIGNED 0", f"    parameter \\{operand}_WIDTH {width}"]
        lines += [f"    connect \\{operand} {signal}"]
    return [*lines, "    parameter \\Y_WIDTH 1", f"    connect \\Y {result}", "  end"]
