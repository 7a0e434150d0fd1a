"""The read engine: fetches what a non-posted request asks for and cuts it into completions.

A completion packet is three dwords of descriptor followed by the data, so dword j of a packet whose data begins at
dword address A is data dword A - 3 + j. The engine therefore walks from A - 3 in steps of one beat, reads a whole beat
from there, and lays the descriptor over the first three dwords. No data is ever shifted between beats.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie import tlp, usp
from epbell.pcie.completion import beat_layout
from epbell.pcie.tlp import CompletionStatus, RequestType

__all__ = [
    "DESCRIPTOR",
    "REFUSED",
    "REPEATED",
    "ReadEngine",
    "payload_dwords",
    "read_request_layout",
]

DESCRIPTOR = 3
"""Dwords of a completion descriptor."""

REFUSED = 5
"""Dwords behind the descriptor of a refusal: what the hard block logs of the request."""

_MAX_PAYLOAD = 256  # dwords: 1024 bytes, the most that cfg_max_payload can say


REPEATED = ("length", "kind", "bar", "aperture", "spare", "tph")
"""What a refusal repeats of the header besides what every completion needs, and the address."""


def read_request_layout(address_width: int, pages: int) -> data.StructLayout:
    """Layout of a non-posted request that waits for its answer.

    Parameters
    ----------
    address_width : int
        Width of ``origin``.
    pages : int
        Number of register pages that the host may reach.

    Attributes
    ----------
    ram : 1
        Read the RAM.
    pages : pages
        One-hot: read this register page. Neither: the answer is Unsupported Request.
    fetch
        What is to be read, or nothing of meaning when refused. ``origin`` (address_width): dword address of the first
        data dword minus 3, within the RAM or the page. ``chunk`` (range(257)): data dwords of the first completion.
        ``rest`` (11): data dwords of the completions after the first.
    refused
        In the same bits, of a refused request: ``address`` without bits 1:0, ``length``, ``kind``, ``bar``,
        ``aperture``, ``spare``, ``tph`` as in the request.
    byte_count, lower : 13, 7
        Byte count and lower address of the first completion.
    first_be, last_be, at, tc, attr, tag, requester, function
        As in the request.
    """
    fetch = data.StructLayout({"origin": address_width, "chunk": range(_MAX_PAYLOAD + 1), "rest": 11})
    return data.StructLayout({
        "ram": 1,
        "pages": pages,
        "either": data.UnionLayout({
            "fetch": fetch,
            "refused": data.StructLayout({"address": 62, **{name: tlp.HEADER[name].shape for name in REPEATED}}),
        }),
        "byte_count": 13,
        "lower": 7,
        "first_be": 4,
        "last_be": 4,
        "at": 2,
        "tc": 3,
        "attr": 3,
        "tag": 8,
        "requester": 16,
        "function": 8,
    })


def payload_dwords(code: Any) -> Any:
    """Maximum payload in dwords (32, 64, 128 or 256) from ``cfg_max_payload``."""
    return Cat(*(0 for _ in range(5)), *(code == size for size in range(4)))


class ReadEngine(wiring.Component):
    """Serves one non-posted request after the other, a beat of completion per clock.

    The RAM gives a beat per clock. A register page gives one dword per clock, ascending, and only dwords of which at
    least one byte is enabled are read at all: a zero-length read has no side effect. Every completion but a request's
    last ends on a multiple of the maximum payload. A refused request is answered with one completion without data, but
    with what the hard block logs of the request (:func:`usp.refused_request`).

    Parameters
    ----------
    lanes : int
        Dwords per beat: 2, 4, 8 or 16.
    address_width : int
        Width of dword addresses in bits: enough for the RAM and for a page, 14 or more.
    pages : int
        Register pages that the host may reach, 1 or more.

    Attributes
    ----------
    max_payload : In(2)
        ``cfg_max_payload``.
    i_valid, i_ready, i_data : In(1), Out(1), In(read_request_layout(address_width, pages))
        Requests. One that comes while the engine is idle makes its first access in the next cycle.
    ram_valid, ram_ready, ram_addr : Out(1), In(1), Out(address_width)
        Read of a beat from the RAM; its data belong to the next cycle, to which ``beat`` belongs, too.
    bus_valid, bus_ready, bus_pages, bus_addr, bus_data : Out(1), In(1), Out(pages), Out(16), In(32)
        Read of a dword from a register page, data in the same cycle.
    room : In(1)
        One more beat may be sent.
    beat_valid : Out(1)
        ``beat`` belongs to this cycle.
    beat : Out(beat_layout(lanes))
        A beat of a completion, without the data from the RAM.
    idle : Out(1)
        There is no request in hand, and no beat.
    answered : Out(1)
        The last beat of the answer to a request leaves the engine.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    max_payload: Any
    i_valid: Any
    i_ready: Any
    i_data: Any
    ram_valid: Any
    ram_ready: Any
    ram_addr: Any
    bus_valid: Any
    bus_ready: Any
    bus_pages: Any
    bus_addr: Any
    bus_data: Any
    room: Any
    beat_valid: Any
    beat: Any
    idle: Any
    answered: Any

    def __init__(self, lanes: int, address_width: int, pages: int) -> None:
        if lanes not in (2, 4, 8, 16):
            raise ValueError(f"The number of lanes must be 2, 4, 8 or 16, not {lanes!r}")
        if not isinstance(address_width, int) or address_width < 14:
            raise ValueError(f"The width of a dword address must be 14 bits or more, not {address_width!r}")
        if not isinstance(pages, int) or pages < 1:
            raise ValueError(f"The host must reach at least one register page, not {pages!r}")
        self._lanes = lanes
        super().__init__({
            "max_payload": In(2),
            "i_valid": In(1),
            "i_ready": Out(1),
            "i_data": In(read_request_layout(address_width, pages)),
            "ram_valid": Out(1),
            "ram_ready": In(1),
            "ram_addr": Out(address_width),
            "bus_valid": Out(1),
            "bus_ready": In(1),
            "bus_pages": Out(pages),
            "bus_addr": Out(16),
            "bus_data": In(32),
            "room": In(1),
            "beat_valid": Out(1),
            "beat": Out(beat_layout(lanes)),
            "idle": Out(1),
            "answered": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the request, the completion and the beat in progress."""
        m: Any = Module()
        self._words: Any = Signal(data.ArrayLayout(32, self._lanes), name="collected")
        request: Any = Signal(self.i_data.shape())
        refused: Any = Signal()
        active: Any = Signal()
        fetch = request.either.fetch
        origin: Any = Signal(len(fetch.origin))  # the beat's, as fetch.origin is the completion's
        left: Any = Signal(range(_MAX_PAYLOAD + DESCRIPTOR + 1))  # dwords of the packet from this beat on
        first: Any = Signal()  # first beat of the packet
        issue: Any = Signal()
        last_beat: Any = Signal()
        last_packet: Any = Signal()
        m.d.comb += [
            last_beat.eq(left <= self._lanes),
            refused.eq(_is_refused(request)),
            last_packet.eq(refused | ~fetch.rest.any()),
            self.answered.eq(issue & last_beat & last_packet),
            self.i_ready.eq(~active | self.answered),
            self.idle.eq(~active & ~self.beat_valid),
            self.ram_addr.eq(origin),
        ]
        self._fetch(m, request, active, origin, left, first, issue)
        self._send(m, request, refused, left, first, issue)

        following: Any = Signal(self.i_data.shape())
        self._next_packet(m, request, following)
        step: Any = Signal(self.i_data.shape())
        m.d.comb += step.eq(Mux(self.i_ready, self.i_data.as_value(), following.as_value()))
        with m.If(self.i_ready | (issue & last_beat)):
            m.d.sync += [
                active.eq(self.i_valid | ~self.i_ready),
                request.eq(step),
                origin.eq(step.either.fetch.origin),
                left.eq(Mux(_is_refused(step), REFUSED, step.either.fetch.chunk) + DESCRIPTOR),
                first.eq(1),
            ]
        with m.Elif(issue):
            m.d.sync += [origin.eq(origin + self._lanes), left.eq(left - self._lanes), first.eq(0)]
        return m

    def _next_packet(self, m: Any, request: Any, following: Any) -> None:
        """Compute the rest of the request after this completion; it begins on a multiple of the maximum payload."""
        limit: Any = Signal(9, name="payload_dwords")
        chunk: Any = Signal(9, name="next_chunk")
        old, new = request.either.fetch, following.either.fetch
        m.d.comb += [
            limit.eq(payload_dwords(self.max_payload)),
            chunk.eq(Mux(old.rest > limit, limit, old.rest)),
            following.eq(request),
            new.origin.eq(old.origin + old.chunk),
            new.chunk.eq(chunk),
            new.rest.eq(old.rest - chunk),
            following.byte_count.eq(request.byte_count - (old.chunk << 2) + request.lower[:2]),
            following.lower.eq(0),
        ]

    def _fetch(self, m: Any, request: Any, active: Any, origin: Any, left: Any, first: Any, issue: Any) -> None:
        """Make the accesses of the beat; ``issue`` when it is complete."""
        lanes = self._lanes
        lane: Any = Signal(range(lanes))
        begin: Any = Signal(range(lanes))  # lane of the first data dword in the next beat
        words = self._words
        enables: Any = Signal(4)
        started: Any = Signal()  # the request's first dword has been read
        at_end: Any = Signal()  # this lane is the beat's last
        paged: Any = Signal()
        bare: Any = Signal()  # the beat has no data
        dword: Any = (origin + lane)[:14]
        last_enables = Mux(request.either.fetch.rest.any() | (left > lanes) | ~at_end, 0b1111, request.last_be)
        m.d.comb += [
            paged.eq(request.pages.any()),
            bare.eq(~(request.ram | paged) | (first if lanes == 2 else 0)),
            at_end.eq((lane == lanes - 1) | (lane + 1 == left)),
            enables.eq(Mux(started, last_enables, request.first_be)),
            self.ram_valid.eq(active & self.room & request.ram & ~bare),
            self.bus_valid.eq(active & self.room & paged & ~bare & enables.any()),
            self.bus_pages.eq(request.pages),
            self.bus_addr.eq(Cat(0, 0, dword)),
        ]
        done = Mux(request.ram, self.ram_ready, at_end & (self.bus_ready | ~enables.any()))
        m.d.comb += issue.eq(active & self.room & (bare | done))
        stepped = active & self.room & paged & ~bare & (self.bus_ready | ~enables.any())
        with m.If(stepped):
            m.d.sync += [words[lane].eq(self.bus_data), started.eq(1), lane.eq(lane + 1)]
        m.d.comb += begin.eq(self._first_data_lane(first))
        with m.If(issue & (left <= lanes)):
            m.d.sync += lane.eq(DESCRIPTOR if lanes > DESCRIPTOR else 0)
        with m.Elif(issue):
            m.d.sync += lane.eq(begin)
        with m.If(self.i_ready):
            m.d.sync += [started.eq(0), lane.eq(DESCRIPTOR if lanes > DESCRIPTOR else 0)]
        m.d.comb += self.beat.words.eq(words)

    def _first_data_lane(self, first: Any) -> Any:
        """Lane of the first data dword in the beat after this one, in the same packet."""
        return Mux(first, 1, 0) if self._lanes == 2 else 0

    def _send(self, m: Any, request: Any, refused: Any, left: Any, first: Any, issue: Any) -> None:
        """Describe the beat for the next cycle, in which the data are there."""
        descriptor = usp.completion_descriptor(
            lower_address=request.lower,
            at=request.at,
            byte_count=request.byte_count,
            locked=refused & (request.either.refused.kind == RequestType.MEM_READ_LOCKED),
            length=Mux(refused, 0, request.either.fetch.chunk),
            status=Mux(refused, CompletionStatus.UR.value, CompletionStatus.SC.value),
            requester=request.requester,
            tag=request.tag,
            function=request.function,
            tc=request.tc,
            attr=request.attr,
        )
        m.d.sync += self.beat_valid.eq(issue)
        with m.If(issue):
            m.d.sync += [
                self.beat.first.eq(first),
                self.beat.second.eq(self.beat.first),
                self.beat.last.eq(left <= self._lanes),
                self.beat.count.eq(Mux(left <= self._lanes, left, self._lanes)),
                self.beat.from_ram.eq(request.ram),
                self.beat.descriptor.eq(descriptor),
            ]
        self._repeat(m, request, issue & refused, left)

    def _repeat(self, m: Any, request: Any, begins: Any, left: Any) -> None:
        """Lay what a refusal says of the request over the words of its beats; the descriptor covers the first three."""
        asked = request.either.refused
        members = {name: request[name] for name in ("first_be", "last_be", "at", "tc", "attr", "tag", "requester")}
        members |= {name: asked[name] for name in REPEATED} | {"function": request.function}
        header: Any = Signal(tlp.HEADER, name="refused_header")
        m.d.comb += [*(header[name].eq(value) for name, value in members.items()), header.address[2:].eq(asked.address)]
        packet: Any = Cat(Const(0, 32 * DESCRIPTOR), usp.refused_request(header))
        whole = DESCRIPTOR + REFUSED
        for start in range(0, whole, self._lanes):
            with m.If(begins & (left == whole - start)):
                for lane in range(min(self._lanes, whole)):
                    m.d.sync += self._words[lane].eq(packet.word_select(start + lane, 32))


def _is_refused(request: Any) -> Any:
    """Whether a request is for nothing that there is."""
    return ~(request.ram | request.pages.any())

