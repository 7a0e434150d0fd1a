"""Which timing diagrams the documentation has, and how a recorded trace becomes WaveJSON, what WaveDrom draws.

Nothing in a diagram is drawn by hand: :mod:`epbell_tb.benches.endpoint_diagrams` and
:mod:`epbell_tb.benches.mu_diagrams` record the pins of an exported module, a value per clock, and
the number of clocks at each arrow is counted in that trace. Format: WaveJSON, https://wavedrom.com/tutorial.html.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from epbell.address_map import AddressMap
from epbell_regs import offsets

__all__ = [
    "DIAGRAMS",
    "ENDPOINT",
    "MU",
    "Diagram",
    "Event",
    "Lane",
    "Span",
    "Trace",
    "spans",
    "wavejson",
]

ENDPOINT = "epbell_endpoint_usp256"
MU = "epbell_mu_imx8ulp"

Trace = Mapping[str, Sequence[int]]
"""Name of each pin -> its value in each clock, as the flip-flops took it at the clock's end."""

#: Clocks in a row without any change, of which only the first and the last are shown.
_LONG = 3
_MAP = AddressMap()
_PAGES = {_MAP.mu_a: "mu_imx8ulp", _MAP.mu_b: "mu_imx8ulp", _MAP.controller: "controller", _MAP.edma: "edma"}
_KINDS = {0: "MRd", 1: "MWr"}
_COMPLETIONS = {0: "CplD", 1: "UR", 4: "CA"}


@dataclass(frozen=True)
class Lane:
    """One line of a diagram.

    Attributes
    ----------
    pin : str
        Name of the module's port.
    valid : str
        For a bus, the pin that is 1 while it means something; empty: a single bit.
    label : callable or None
        What stands in the bus; None: the value in hexadecimal.
    held : bool
        Whether what the pins hold is shown on, once it has meant something.
    """

    pin: str
    valid: str = ""
    label: Callable[[int], str] | None = None
    held: bool = False


@dataclass(frozen=True)
class Event:
    """The first clock, of the whole trace or after another event, in which pins have changed to values.

    Attributes
    ----------
    pin : str
        The pin that gets the arrow.
    value : int
        The value that it has then, and not in the clock before.
    beside : str
        Another pin that must be 1 in that clock; then `pin` need not have changed in it. For handshakes.
    after : Event or None
        Only clocks behind that of this event count.
    """

    pin: str
    value: int = 1
    beside: str = ""
    after: Event | None = None

    def clock(self, trace: Trace) -> int:
        """Return the number of the clock.

        Raises
        ------
        ValueError
            If it never happens.
        """
        begin = 0 if self.after is None else self.after.clock(trace) + 1
        values = trace[self.pin]
        for number in range(begin, len(values)):
            changed = number > 0 and values[number - 1] != self.value
            if values[number] == self.value and (trace[self.beside][number] if self.beside else changed):
                return number
        raise ValueError(f"{self.pin} must become {self.value} in the trace behind clock {begin}, and does not")


@dataclass(frozen=True)
class Span:
    """An arrow between two events, with the number of clocks between them.

    Attributes
    ----------
    name : str
        Name of the figure, for those who compare it.
    start, end : Event
        From the first to the second.
    """

    name: str
    start: Event
    end: Event


@dataclass(frozen=True)
class Diagram:
    """A timing diagram.

    Attributes
    ----------
    name : str
        Name of its file, and of the cocotb test that records it.
    module : str
        The exported module.
    title : str
        What is above it.
    lanes : tuple of Lane
        Its lines, below that of the clock.
    spans : tuple of Span
        Its arrows.
    """

    name: str
    module: str
    title: str
    lanes: tuple[Lane, ...]
    spans: tuple[Span, ...]

    @property
    def pins(self) -> tuple[str, ...]:
        """Every pin that has to be recorded."""
        names = [name for lane in self.lanes for name in (lane.pin, lane.valid) if name]
        names += [event.beside for span in self.spans for event in (span.start, span.end) if event.beside]
        return tuple(dict.fromkeys(names))


def spans(diagram: Diagram, trace: Trace) -> dict[str, int]:
    """Return the clocks of each arrow, by name; counted in the trace.

    Raises
    ------
    ValueError
        If an event did not happen.
    """
    return {span.name: span.end.clock(trace) - span.start.clock(trace) for span in diagram.spans}


def wavejson(diagram: Diagram, trace: Trace) -> dict[str, Any]:
    """Return a recorded trace as WaveJSON.

    Long stretches of clocks in which no pin changes are cut; what is left out is marked as a gap.

    Raises
    ------
    ValueError
        If the trace is empty, its pins have different numbers of clocks, or an event of an arrow did not happen.
    """
    lengths = {len(trace[name]) for name in diagram.pins}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"The pins of {diagram.name} must have as many clocks as each other, not {sorted(lengths)}")
    (clocks,) = lengths
    columns = _columns(diagram, trace, clocks)
    place = {number: column for column, number in enumerate(columns) if number is not None}
    nodes: dict[str, list[str]] = {lane.pin: ["."] * len(columns) for lane in diagram.lanes}
    letters = iter(ascii_lowercase)
    edges = []
    counted = spans(diagram, trace)
    for span in diagram.spans:
        ends = []
        for event in (span.start, span.end):
            at = place[event.clock(trace)]
            if nodes[event.pin][at] == ".":
                nodes[event.pin][at] = next(letters)
            ends.append(nodes[event.pin][at])
        count = counted[span.name]
        edges.append(f"{ends[0]}~>{ends[1]} {count} clock{'s' * (count != 1)}")
    signal: list[dict[str, Any]] = [{"name": "clk", "wave": _gaps("p" + "." * (len(columns) - 1), columns)}]
    for lane in diagram.lanes:
        wave, data = _wave(lane, trace, columns)
        line: dict[str, Any] = {"name": lane.pin, "wave": wave}
        if data:
            line["data"] = data
        if set(nodes[lane.pin]) != {"."}:
            line["node"] = "".join(nodes[lane.pin])
        signal.append(line)
    return {"signal": signal, "edge": edges, "head": {"text": diagram.title}, "config": {"hscale": 2}}


def _columns(diagram: Diagram, trace: Trace, clocks: int) -> list[int | None]:
    """Return the clocks that are shown, None for a gap."""
    marked = {event.clock(trace) for span in diagram.spans for event in (span.start, span.end)}
    shown = [tuple(_shown(lane, trace, number) for lane in diagram.lanes) for number in range(clocks)]
    still = [n > 0 and shown[n] == shown[n - 1] and n not in marked for n in range(clocks)]
    columns: list[int | None] = []
    number = 0
    while number < clocks:
        end = number
        while end < clocks and still[end]:
            end += 1
        if end - number > _LONG:
            columns += [number, None, end - 1]
        else:
            columns += range(number, end)
        if end < clocks:
            columns.append(end)
        number = end + 1
    return columns


def _shown(lane: Lane, trace: Trace, number: int) -> str:
    """Return what a lane shows in a clock: a bit, the text in a bus, or ``x`` where it means nothing."""
    value = trace[lane.pin][number]
    if not lane.valid:
        return str(value)
    valid = trace[lane.valid]
    if not (any(valid[: number + 1]) if lane.held else valid[number]):
        return "x"
    return "=" + (f"{value:#x}" if lane.label is None else lane.label(value))


def _wave(lane: Lane, trace: Trace, columns: Sequence[int | None]) -> tuple[str, list[str]]:
    wave, data, before = "", [], ""
    for number in columns:
        if number is None:
            wave += "|"
            continue
        now = _shown(lane, trace, number)
        if now == before:
            wave += "."
        else:
            wave += now[0]
            data += [now[1:]] if now[0] == "=" else []
        before = now
    return wave, data


def _gaps(wave: str, columns: Sequence[int | None]) -> str:
    return "".join("|" if number is None else char for number, char in zip(columns, wave, strict=True))


@functools.cache
def _names(block: str) -> dict[int, str]:
    return {offset: name for name, offset in offsets(block).items()}


def _register(address: int) -> str:
    """Return the name of the register at a local address of the endpoint."""
    block = _PAGES.get(address & ~0xFFFF)
    return f"{address:#x}" if block is None else _names(block).get(address & 0xFFFF, f"{address:#x}")


def _mu_register(address: int) -> str:
    """Return the name of the Messaging Unit's register at an offset."""
    return _names("mu_imx8ulp").get(address, f"{address:#x}")


def _request(beat: int) -> str:
    """Return what a packet of one beat on CQ asks for (PG213, "Completer Request Descriptor Formats")."""
    kind, bar = _KINDS[beat >> 75 & 0xF], beat >> 112 & 0x7
    return f"{kind} BAR {bar}" if kind == "MRd" else f"{kind} {beat >> 128 & 0xFFFF_FFFF:#x}"


def _completion(beat: int) -> str:
    """Return the kind of the completion on CC (PG213, "Completer Completion Descriptor Format")."""
    return _COMPLETIONS[beat >> 43 & 0x7]


def _own_request(beat: int) -> str:
    """Return what the first beat of a packet on RQ asks for (PG213, "Requester Request Descriptor Formats")."""
    return _KINDS[beat >> 75 & 0xF]


# Data above: an arrow from or to `tvalid` would cross them.
_CQ = Lane("s_axis_cq_tdata", "s_axis_cq_tvalid", _request), Lane("s_axis_cq_tvalid")
_CC = Lane("m_axis_cc_tvalid"), Lane("m_axis_cc_tdata", "m_axis_cc_tvalid", _completion)


def _reads(port: str, name: Callable[[int], str] = _register) -> tuple[Lane, ...]:
    return (
        Lane(f"{port}_arvalid"), Lane(f"{port}_arready"), Lane(f"{port}_araddr", f"{port}_arvalid", name, True),
        Lane(f"{port}_rvalid"), Lane(f"{port}_rdata", f"{port}_rvalid"),
    )  # fmt: skip


def _writes(port: str, name: Callable[[int], str] = _register) -> tuple[Lane, ...]:
    return (
        Lane(f"{port}_awvalid"), Lane(f"{port}_awready"), Lane(f"{port}_awaddr", f"{port}_awvalid", name, True),
        Lane(f"{port}_wdata", f"{port}_wvalid", held=True),
    )  # fmt: skip


_REQUEST = Event("s_axis_cq_tvalid")
_RAISED = Event("cpu_axil_awvalid", beside="cpu_axil_awready")

DIAGRAMS: dict[str, Diagram] = {
    diagram.name: diagram
    for diagram in (
        Diagram(
            "ring_mu", ENDPOINT, "A ring of the Messaging Unit, and the read of RR0 that takes it",
            (*_CQ, Lane("irq_mu"), *_reads("cpu_axil")),
            (
                Span("first CQ beat to irq_mu", _REQUEST, Event("irq_mu")),
                Span("read of RR0 to irq_mu low", Event("cpu_axil_arvalid", beside="cpu_axil_arready"),
                     Event("irq_mu", 0, after=Event("irq_mu"))),
            ),
        ),
        Diagram(
            "first_ring", ENDPOINT, "The first ring after a window was written",
            (*_CQ, Lane("irq_mu"), *_reads("cpu_axil")),
            (Span("first beat of the first ring to irq_mu", _REQUEST, Event("irq_mu")),),
        ),
        Diagram(
            "ring_edma", ENDPOINT, "A ring of the eDMA, and the two writes of INT_CLEAR",
            (*_CQ, Lane("irq_edma"), *_writes("cpu_axil")),
            (
                Span("first CQ beat to irq_edma", _REQUEST, Event("irq_edma")),
                Span("write of INT_CLEAR to irq_edma low", _RAISED, Event("irq_edma", 0, after=Event("irq_edma"))),
            ),
        ),
        Diagram(
            "rings_back_to_back", ENDPOINT, "Three rings of vector 0 in three clocks: one interrupt, the last word",
            (Lane("s_axis_cq_tready"), *_CQ, Lane("irq_mu"), *_reads("cpu_axil")),
            (Span("first CQ beat to irq_mu", _REQUEST, Event("irq_mu")),),
        ),
        Diagram(
            "window", ENDPOINT, "A read that a window claims, and one that no window claims",
            (*_CQ, *_CC),
            (
                Span("first CQ beat to first CC beat", _REQUEST, Event("m_axis_cc_tvalid")),
                Span("first CQ beat to Unsupported Request", Event("s_axis_cq_tvalid", after=_REQUEST),
                     Event("m_axis_cc_tvalid", after=Event("m_axis_cc_tvalid"))),
            ),
        ),
        Diagram(
            "msi", ENDPOINT, "An MSI through the hard block's port",
            (*_writes("cpu_axil"), Lane("cfg_interrupt_msi_int", "cfg_interrupt_msi_int"),
             Lane("cfg_interrupt_msi_sent")),
            (Span("MSI_RAISE to cfg_interrupt_msi_int", _RAISED, Event("cfg_interrupt_msi_int", 1 << 2)),),
        ),
        Diagram(
            "msix", ENDPOINT, "An MSI-X message: its table entry is read from RAM, then a memory write leaves on RQ",
            (*_writes("cpu_axil"), Lane("m_axis_rq_tvalid"),
             Lane("m_axis_rq_tdata", "m_axis_rq_tvalid", _own_request)),
            (Span("MSIX_RAISE to first RQ beat", _RAISED, Event("m_axis_rq_tvalid")),),
        ),
        Diagram(
            "mu_alone", MU, "The Messaging Unit alone: side B writes TR0, side A reads RR0",
            (*_writes("b_axil", _mu_register), Lane("a_irq"), *_reads("a_axil", _mu_register)),
            (
                Span("write handshake to a_irq", Event("b_axil_awvalid", beside="b_axil_awready"), Event("a_irq")),
                Span("read handshake to a_irq low", Event("a_axil_arvalid", beside="a_axil_arready"),
                     Event("a_irq", 0, after=Event("a_irq"))),
            ),
        ),
    )
}  # fmt: skip
"""Every timing diagram by name."""
