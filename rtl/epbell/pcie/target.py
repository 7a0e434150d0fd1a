"""The completer's way into the endpoint: which local address a segment goes to, and sending it there in order.

Requests leave strictly in the order in which they came: a write when it has been done, a read when it has joined the
queue of the reads. Nothing of a later request is done before that.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.address_map import PAGE_BITS, HostPage
from epbell.pcie.age import AGE, LATENCY_BITS, moved, shown
from epbell.pcie.decode import EVENTS, MAX_REGISTER_WRITE, Decoder, action_layout
from epbell.pcie.read_layout import read_request_layout
from epbell.pcie.request import segment_layout
from epbell.skid import Skid

__all__ = [
    "EVENTS",
    "LATENCY_BITS",
    "MAX_REGISTER_WRITE",
    "Target",
]


class Target(wiring.Component):
    """Executes the host's requests in their order.

    A segment is decoded in one stage (:class:`Decoder`) and executed in the next: RAM takes a beat per clock at any
    dword; a register page takes one dword per clock, ascending, at most four in a request (a longer write is refused).
    Byte enables go along as strobes; a dword without any is passed over. Between the two stages is a place for one
    (:class:`Skid`), so that ``ready``, with which all stages in front move, is a flip-flop.

    A register write that needs two beats (64-bit streams) waits until what follows it is there, which is the packet's
    end unless the packet is bad: a discarded packet never rings a doorbell; what it has written to RAM by then stays
    written.

    A non-posted request joins the queue of the reads: with its local address when it is a memory read that a window
    claims, as a refusal otherwise. Each request is reported by at most one of the events, in the clock after the one in
    which it leaves.

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
    ready : Out(1)
        All stages up to this one's first move at the end of this clock. A flip-flop.
    valid, segment : In(1), In(segment_layout(lanes))
        Segments; taken when ``ready``.
    idle : Out(1)
        Nothing is in the stages. It rises a clock late, and falls in the clock after a segment was taken.
    age : In(AGE)
        Clocks since the first beat of the segment's packet was accepted.
    claimed, fits, local : In(1), In(1), In(64)
        What the inbound windows say about the segment's header.
    max_payload : In(2)
        ``cfg_max_payload``.
    ram_valid, ram_ready, ram_addr, ram_data, ram_strb
        Write port of the RAM. All outputs are flip-flops, here and below.
    ram_wrote, ram_wrote_addr, ram_wrote_dwords : Out(1), Out, Out(lanes)
        A clock after the handshake: a write has been taken, its dword address, and which dwords have a strobe.
    bus_valid, bus_ready, bus_pages, bus_addr, bus_data, bus_strb
        Write of a dword to a register page, ``bus_pages`` one-hot.
    bus_age : Out(LATENCY_BITS)
        Clocks since the first beat of the request that makes this write.
    read_valid, read_ready, read : Out(1), In(1), Out(read_request_layout(...))
        Way to the queue of the reads.
    write_refused, read_refused, unsupported, discontinued, malformed : Out(1)
        Events, one clock each.
    torn : Out(1)
        One more packet is malformed: it was replaced by the one that begins to be executed in this clock.
    """

    ready: Any
    valid: Any
    segment: Any
    idle: Any
    age: Any
    claimed: Any
    fits: Any
    local: Any
    max_payload: Any
    ram_valid: Any
    ram_ready: Any
    ram_addr: Any
    ram_data: Any
    ram_strb: Any
    ram_wrote: Any
    ram_wrote_addr: Any
    ram_wrote_dwords: Any
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
    torn: Any

    def __init__(
        self, lanes: int, *, ram_base: int, ram_size: int, pages: Sequence[HostPage], functions: int = 1
    ) -> None:
        self._lanes, self._ram_bits = lanes, exact_log2(ram_size)
        place_bits = max(self._ram_bits, PAGE_BITS) - 2
        self._decoder = Decoder(lanes, ram_base=ram_base, ram_size=ram_size, pages=pages, functions=functions)
        self._layout = action_layout(lanes, place_bits, len(pages))
        super().__init__({
            "ready": Out(1),
            "valid": In(1),
            "segment": In(segment_layout(lanes)),
            "idle": Out(1, init=1),
            "age": In(AGE),
            "claimed": In(1),
            "fits": In(1),
            "local": In(64),
            "max_payload": In(2),
            "ram_valid": Out(1),
            "ram_ready": In(1),
            "ram_addr": Out(self._ram_bits - 2),
            "ram_data": Out(data.ArrayLayout(32, lanes)),
            "ram_strb": Out(data.ArrayLayout(4, lanes)),
            "ram_wrote": Out(1),
            "ram_wrote_addr": Out(self._ram_bits - 2),
            "ram_wrote_dwords": Out(lanes),
            "bus_valid": Out(1),
            "bus_ready": In(1),
            "bus_pages": Out(len(pages)),
            "bus_addr": Out(PAGE_BITS),
            "bus_data": Out(32),
            "bus_strb": Out(4),
            "bus_age": Out(LATENCY_BITS),
            "read_valid": Out(1),
            "read_ready": In(1),
            "read": Out(read_request_layout(place_bits, len(pages))),
            **{event: Out(1) for event in EVENTS},
            "torn": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Decode, keep one beside, execute."""
        m: Any = Module()
        m.submodules.decoder = decoder = self._decoder
        m.submodules.skid = skid = Skid(self._layout)
        for name in ("valid", "segment", "claimed", "fits", "local", "max_payload"):
            m.d.comb += getattr(decoder, name).eq(getattr(self, name))
        m.d.comb += [
            self.ready.eq(skid.i_ready),
            decoder.ready.eq(skid.i_ready),
            skid.i_valid.eq(decoder.o_valid),
            skid.i_data.eq(decoder.action),
        ]
        takes = self._execute(m, skid)
        self._age(m, takes)
        holds: Any = Signal()
        with m.If(takes):
            m.d.sync += holds.eq(skid.o_valid)
        m.d.sync += self.idle.eq(~(self.valid | skid.o_valid | holds))
        return m

    def _execute(self, m: Any, skid: Any) -> Any:
        """Do what is in the last stage; return "it takes what is next"."""
        lanes = self._lanes
        now: Any = Signal(self._layout, reset_less=True)
        new, steps = skid.o_data, min(lanes, MAX_REGISTER_WRITE)
        more: Any = Signal()  # dwords for a page, behind the one that is there
        waits: Any = Signal()  # for the end of the packet
        free: Any = Signal()
        takes: Any = Signal()
        stands = (self.ram_valid & ~self.ram_ready) | (self.bus_valid & ~self.bus_ready)
        m.d.comb += [
            free.eq(~(stands | (self.read_valid & ~self.read_ready) | waits)),
            takes.eq(free & ~more),
            skid.o_ready.eq(takes),
        ]
        to_wait: Any = new.page & ~new.final if lanes < MAX_REGISTER_WRITE else Const(0, 1)
        with m.If(free & ~more):
            m.d.sync += [
                now.eq(new),
                self.ram_valid.eq(skid.o_valid & new.ram),
                self.read_valid.eq(skid.o_valid & new.read),
                self.bus_valid.eq(skid.o_valid & new.page & new.bytes[0] & ~to_wait),
                more.eq(skid.o_valid & new.page & (new.steps != 0)),
                waits.eq(skid.o_valid & to_wait),
            ]
        with m.Elif(free):
            m.d.sync += [
                *(now.data[lane].eq(now.data[lane + 1]) for lane in range(steps - 1)),
                *(now.strobes[lane].eq(now.strobes[lane + 1]) for lane in range(steps - 1)),
                now.bytes.eq(now.bytes[1:]),
                now.place[: PAGE_BITS - 2].eq(now.place[: PAGE_BITS - 2] + 1),
                now.steps.eq(now.steps - 1),
                self.bus_valid.eq(now.bytes[1]),
                more.eq(now.steps != 1),
            ]
        with m.Elif(waits & skid.o_valid):
            m.d.sync += [waits.eq(0), self.bus_valid.eq(new.ends_well & now.bytes[0]), more.eq(new.ends_well & more)]
        m.d.comb += [
            self.ram_addr.eq(now.place[: self._ram_bits - 2]),
            self.ram_data.eq(now.data),
            self.ram_strb.eq(now.strobes),
            self.bus_pages.eq(now.pages),
            self.bus_addr.eq(Cat(0, 0, now.place[: PAGE_BITS - 2])),
            self.bus_data.eq(now.data[0]),
            self.bus_strb.eq(now.strobes[0]),
            self.read.eq(now.request),
        ]
        m.d.sync += [
            self.ram_wrote.eq(self.ram_valid & self.ram_ready),
            self.ram_wrote_addr.eq(self.ram_addr),
            self.ram_wrote_dwords.eq(Cat(strobe.any() for strobe in self.ram_strb)),
        ]
        reports: Any = Signal(now.events.shape(), name="reports")
        with m.If(takes):
            m.d.sync += reports.eq(Mux(skid.o_valid, new.events.as_value(), 0))
        m.d.sync += [getattr(self, event).eq(takes & reports[event]) for event in EVENTS]
        m.d.sync += self.torn.eq(takes & skid.o_valid & new.torn)
        return takes

    def _age(self, m: Any, takes: Any) -> None:
        """Count the clocks since the first beat of what is in each place."""
        decoded, kept, now = (Signal(AGE, name=f"{name}_age", reset_less=True) for name in ("decoded", "kept", "now"))
        moved(m, self.ready, self.age, decoded)
        moved(m, self.ready, decoded, kept)
        moved(m, takes, Mux(self.ready, decoded, kept), now)
        m.d.comb += self.bus_age.eq(shown(now))
