"""The completer's first stage: which local address a segment goes to, and sending it there in order.

Requests leave this stage strictly in the order in which they came: a write when it has been done, a read when it has
joined the queue of the reads. Nothing of a later request is done before that.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.address_map import PAGE_BITS, HostPage
from epbell.csr_register import any_of
from epbell.pcie import tlp
from epbell.pcie.read import DESCRIPTOR, REPEATED, payload_dwords, read_request_layout
from epbell.pcie.request import segment_layout
from epbell.pcie.tlp import RequestType

__all__ = [
    "EVENTS",
    "LATENCY_BITS",
    "MAX_REGISTER_WRITE",
    "Target",
]

MAX_REGISTER_WRITE = 4
"""Dwords of the longest write that may go to a register page."""

LATENCY_BITS = 16
"""Width of the ages, which saturate."""

EVENTS = ("write_refused", "read_refused", "unsupported", "discontinued", "malformed")
"""What can become of a request besides being done."""


def _stage_layout(lanes: int) -> data.StructLayout:
    return data.StructLayout({
        "segment": segment_layout(lanes),
        "local": 64,
        "claimed": 1,
        "age": LATENCY_BITS,
    })


class Target(wiring.Component):
    """Executes the host's requests in their order, out of one pipeline register.

    A segment is translated in the cycle in which it is offered and sits in the register in the next one, where its
    writes are done: RAM takes a beat per clock at any dword; a register page takes one dword per clock, ascending, at
    most four in a request (a longer write is refused). Of a page with ``words``, a request for exactly one of them is
    done and every other one is refused as a whole. Byte enables go along as strobes; a dword without any is passed
    over. A register write that needs two beats waits until the second one is seen to end the packet well, so that a
    discarded packet never rings a doorbell; what it has written to RAM by then stays written.

    A non-posted request joins the queue of the reads: with its local address when it is a memory read that a window
    claims, as a refusal otherwise. Each request is reported by at most one of the events, when it leaves.

    Parameters
    ----------
    lanes : int
        Dwords per beat: 2, 4, 8 or 16.
    ram_base, ram_size : int
        Local address and size of the RAM in bytes.
    pages : sequence of HostPage
        Register pages that the host may reach.
    functions : int
        Number of functions; requests for others are refused.

    Attributes
    ----------
    valid, ready, segment : In(1), Out(1), In(segment_layout(lanes))
        Segments. ``ready`` depends on flip-flops only.
    idle : Out(1)
        The stage is empty.
    age : In(LATENCY_BITS)
        Clocks since the first beat of the segment's packet was accepted.
    claimed, fits, local : In(1), In(1), In(64)
        What the inbound windows say about the segment's header.
    completes, fails : In(1)
        Outlook on the packet in progress, from the parser.
    max_payload : In(2)
        ``cfg_max_payload``.
    ram_valid, ram_ready, ram_addr, ram_data, ram_strb
        Write port of the RAM.
    bus_valid, bus_ready, bus_pages, bus_addr, bus_data, bus_strb
        Write of a dword to a register page, ``bus_pages`` one-hot.
    bus_age : Out(LATENCY_BITS)
        Clocks since the first beat of the request that makes this write.
    read_valid, read_ready, read : Out(1), In(1), Out(read_request_layout(...))
        Way to the queue of the reads.
    write_refused, read_refused, unsupported, discontinued, malformed : Out(1)
        Events, one clock each.
    """

    valid: Any
    ready: Any
    segment: Any
    idle: Any
    age: Any
    claimed: Any
    fits: Any
    local: Any
    completes: Any
    fails: Any
    max_payload: Any
    ram_valid: Any
    ram_ready: Any
    ram_addr: Any
    ram_data: Any
    ram_strb: Any
    bus_valid: Any
    bus_ready: Any
    bus_pages: Any
    bus_addr: Any
    bus_data: Any
    bus_strb: Any
    bus_age: Any
    read_valid: Any
    read_ready: Any
    read: Any
    write_refused: Any
    read_refused: Any
    unsupported: Any
    discontinued: Any
    malformed: Any

    def __init__(
        self, lanes: int, *, ram_base: int, ram_size: int, pages: Sequence[HostPage], functions: int = 1
    ) -> None:
        self._lanes, self._ram_base, self._pages, self._functions = lanes, ram_base, tuple(pages), functions
        self._ram_bits = exact_log2(ram_size)
        self._origin_bits = max(self._ram_bits - 2, PAGE_BITS - 2)
        super().__init__({
            "valid": In(1),
            "ready": Out(1),
            "segment": In(segment_layout(lanes)),
            "idle": Out(1),
            "age": In(LATENCY_BITS),
            "claimed": In(1),
            "fits": In(1),
            "local": In(64),
            "completes": In(1),
            "fails": In(1),
            "max_payload": In(2),
            "ram_valid": Out(1),
            "ram_ready": In(1),
            "ram_addr": Out(self._ram_bits - 2),
            "ram_data": Out(data.ArrayLayout(32, lanes)),
            "ram_strb": Out(data.ArrayLayout(4, lanes)),
            "bus_valid": Out(1),
            "bus_ready": In(1),
            "bus_pages": Out(len(self._pages)),
            "bus_addr": Out(PAGE_BITS),
            "bus_data": Out(32),
            "bus_strb": Out(4),
            "bus_age": Out(LATENCY_BITS),
            "read_valid": Out(1),
            "read_ready": In(1),
            "read": Out(read_request_layout(self._origin_bits, len(self._pages))),
            **{event: Out(1) for event in EVENTS},
        })

    def elaborate(self, platform: object) -> Module:
        """Build the pipeline register, the address decoder and the three ways out."""
        m: Any = Module()
        full: Any = Signal()
        done: Any = Signal()
        stage: Any = Signal(_stage_layout(self._lanes))
        segment = stage.segment
        m.d.comb += [self.ready.eq(~full | done), self.idle.eq(~full)]
        with m.If(self.ready):
            m.d.sync += full.eq(self.valid)
        with m.If(self.ready & self.valid):
            m.d.sync += [segment.eq(self.segment), stage.age.eq(_older(self.age))]
            with m.If(self.segment.first):
                known_function = self.segment.header.function < self._functions
                m.d.sync += [
                    stage.local.eq(self.local),
                    stage.claimed.eq(self.claimed & self.fits & known_function),
                ]
            with m.Else():
                m.d.sync += stage.local[2:12].eq(stage.local[2:12] + segment.count)
        with m.Elif(~self.ready):
            m.d.sync += stage.age.eq(_older(stage.age))

        pages, ram = self._decode(m, stage)
        strobes = self._strobes(m, segment)
        is_write: Any = Signal()
        to_page: Any = Signal()
        long: Any = Signal()
        page_done = self._write_page(m, stage, is_write & to_page & ~long, pages, strobes)
        m.d.comb += [
            is_write.eq(full & segment.write),
            to_page.eq(pages.any()),
            long.eq(segment.header.length > MAX_REGISTER_WRITE),
            self.ram_valid.eq(is_write & ram),
            self.ram_addr.eq(stage.local[2 : self._ram_bits]),
            self.ram_data.eq(segment.data),
            self.ram_strb.eq(strobes),
        ]
        refused = Mux(segment.write, ~ram & (long | ~to_page), ~ram & ~to_page)
        answer = self._answer(m, stage, ram, pages, full)
        m.d.comb += done.eq(
            Mux(answer, self.read_ready, ~segment.write | (refused | Mux(ram, self.ram_ready, page_done)))
        )
        self._report(m, segment, full & done & segment.final, refused)
        return m

    def _decode(self, m: Any, stage: Any) -> tuple[Any, Any]:
        """Which page (one-hot), or the RAM; nothing when no window claims the request."""
        pages: Any = Signal(len(self._pages))
        ram: Any = Signal()
        m.d.comb += ram.eq(stage.claimed & (stage.local[self._ram_bits :] == self._ram_base >> self._ram_bits))
        for index, page in enumerate(self._pages):
            here = stage.claimed & (stage.local[PAGE_BITS:] == page.base >> PAGE_BITS)
            if page.words is not None:
                single = stage.segment.header.length == 1
                here &= single & any_of([stage.local[2:PAGE_BITS] == word >> 2 for word in page.words])
            m.d.comb += pages[index].eq(here)
        return pages, ram

    def _strobes(self, m: Any, segment: Any) -> Any:
        """Byte strobes of every lane: first and last byte enables at the ends of the payload, none beyond."""
        header = segment.header
        strobes: Any = Signal(data.ArrayLayout(4, self._lanes))
        last_be = Mux(segment.tail & (header.length != 1), header.last_be, 0b1111)
        first_be = Mux(segment.first, header.first_be, 0b1111)
        for lane in range(self._lanes):
            upper = Mux(segment.count == lane + 1, last_be, 0b1111)
            m.d.comb += strobes[lane].eq(Mux(segment.count > lane, upper & (first_be if lane == 0 else 0b1111), 0))
        return strobes

    def _write_page(self, m: Any, stage: Any, wanted: Any, pages: Any, strobes: Any) -> Any:
        """One dword per clock; return "the segment is done"."""
        segment = stage.segment
        lanes = min(self._lanes, MAX_REGISTER_WRITE)
        lane: Any = Signal(range(lanes))
        released: Any = Signal()
        dropped: Any = Signal()
        may_go: Any = Signal()
        dword: Any = (stage.local[2:PAGE_BITS] + lane)[: PAGE_BITS - 2]
        taken = ~strobes[lane].any() | self.bus_ready
        last: Any = Signal()
        m.d.comb += [
            may_go.eq(segment.final | released),
            last.eq(lane + 1 == segment.count),
            self.bus_valid.eq(wanted & may_go & strobes[lane].any()),
            self.bus_pages.eq(pages),
            self.bus_addr.eq(Cat(0, 0, dword)),
            self.bus_data.eq(segment.data[lane]),
            self.bus_strb.eq(strobes[lane]),
            self.bus_age.eq(stage.age),
        ]
        finished = dropped | (may_go & taken & last)
        with m.If(~wanted | finished):
            m.d.sync += [released.eq(0), dropped.eq(0), lane.eq(0)]
        with m.Elif(~may_go):
            m.d.sync += [released.eq(self.completes), dropped.eq(self.fails)]
        with m.Elif(taken):
            m.d.sync += lane.eq(lane + 1)
        return finished

    def _answer(self, m: Any, stage: Any, ram: Any, pages: Any, full: Any) -> Any:
        """Offer a non-posted request to the queue of the reads; return "the segment is one"."""
        segment = stage.segment
        header, read = segment.header, self.read
        fetch, refused = read.either.fetch, read.either.refused
        answer: Any = Signal()
        good: Any = Signal(name="good_read")
        limit: Any = Signal(9, name="payload_dwords")
        to_end: Any = Signal(9)
        chunk: Any = Signal(9)
        is_read: Any = Signal()
        is_posted: Any = Signal()
        reads_memory = is_read | (header.kind == RequestType.MEM_READ_LOCKED)
        lower = Cat(tlp.first_offset(header.first_be), stage.local[2:7])
        m.d.comb += [
            is_read.eq(header.kind == RequestType.MEM_READ),
            is_posted.eq((header.kind == RequestType.MEM_WRITE) | header.kind.as_value()[2:].all()),
            answer.eq(segment.known & segment.final & ~is_posted),
            good.eq(is_read & ~segment.discontinued & ~segment.malformed),
            limit.eq(payload_dwords(self.max_payload)),
            to_end.eq(limit - (stage.local[2:10] & (limit - 1))),
            chunk.eq(Mux(header.length > to_end, to_end, header.length)),
            self.read_valid.eq(full & answer),
            read.ram.eq(good & ram),
            read.pages.eq(pages & good.replicate(len(pages))),
            read.byte_count.eq(Mux(reads_memory, tlp.byte_count(m, header), 4)),
            read.lower.eq(Mux(reads_memory, lower, 0)),
        ]
        with m.If(good & (ram | pages.any())):
            m.d.comb += [
                fetch.origin.eq(stage.local[2 : 2 + self._origin_bits] - DESCRIPTOR),
                fetch.chunk.eq(chunk),
                fetch.rest.eq(header.length - chunk),
            ]
        with m.Else():
            m.d.comb += refused.address.eq(header.address[2:])
            m.d.comb += [refused[name].eq(header[name]) for name in REPEATED]
        for name in ("first_be", "last_be", "at", "tc", "attr", "tag", "requester", "function"):
            m.d.comb += read[name].eq(header[name])
        return answer

    def _report(self, m: Any, segment: Any, over: Any, refused: Any) -> None:
        """Say what became of the request that leaves."""
        kind = segment.header.kind
        sound = segment.known & ~segment.discontinued & ~segment.malformed
        plain = (kind == RequestType.MEM_READ) | (kind == RequestType.MEM_WRITE)
        m.d.comb += [
            self.discontinued.eq(over & segment.discontinued),
            self.malformed.eq(over & segment.malformed),
            self.unsupported.eq(over & sound & ~plain),
            self.read_refused.eq(over & sound & (kind == RequestType.MEM_READ) & refused),
            self.write_refused.eq(over & sound & (kind == RequestType.MEM_WRITE) & refused),
        ]


def _older(age: Any) -> Any:
    """One clock more, up to the largest value."""
    return age + ~age.all()
