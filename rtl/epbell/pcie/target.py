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
from epbell.backlog import Backlog
from epbell.pcie.age import LATENCY_BITS, AgeClock, shown, time_shape
from epbell.pcie.decode import DECIDES, EVENTS, MAX_REGISTER_WRITE, Decoder, action_layout
from epbell.pcie.read_layout import read_request_layout
from epbell.pcie.request import STAGES, segment_layout
from epbell.registers import WRITE_CLOCKS

__all__ = [
    "EVENTS",
    "LATENCY_BITS",
    "MAX_REGISTER_WRITE",
    "Target",
]

_UNDER_WAY = STAGES + 3
"""Beats that may come from the last clock with room on: of parser and decoder, and of two clocks at the pins."""


class Target(wiring.Component):
    """Executes the host's requests in their order.

    A segment is decoded in one stage (:class:`Decoder`), waits in the next one (:class:`~epbell.backlog.Backlog`), and
    is executed in the last: RAM takes a beat per clock at any dword; a register page takes one dword per clock,
    ascending, at most four in a request (a longer write is refused). Byte enables go along as strobes; a dword without
    any is passed over.

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
    room : Out(1)
        A beat may be accepted in the next clock. One level behind flip-flops.
    valid, segment : In(1), In(segment_layout(lanes))
        Segments; each is taken.
    begins : In(1)
        Here is the first beat of a packet, which was accepted :data:`~epbell.pcie.request.STAGES` clocks ago.
    rests : In(1)
        There is nothing of a packet before this: ages need not go on. A flip-flop.
    idle : Out(1)
        Nothing is in the stages. It rises a clock late, and falls in the clock after a segment came.
    claimed, fits, local : In(1), In(1), In(64)
        What the inbound windows say about the segment's header.
    max_payload : In(2)
        ``cfg_max_payload``.
    ready : In(1)
        What is asked for at the RAM's port, or at that of a page that waits, is done. A flip-flop.
    ram_valid, ram_addr, ram_data, ram_strb
        Write port of the RAM. All outputs are flip-flops, here and below.
    ram_wrote, ram_wrote_addr, ram_wrote_dwords : Out(1), Out, Out(lanes)
        A clock after the handshake: a write has been taken, its dword address, and which dwords have a strobe.
    bus_valid, bus_pages, bus_addr, bus_data, bus_strb
        Write of a dword to a register page, ``bus_pages`` one-hot; ``ready`` is of no account to those that do not
        wait.
    bus_age : Out(LATENCY_BITS)
        In the clock in which a register write is made (:data:`~epbell.registers.WRITE_CLOCKS` after its handshake):
        clocks since the first beat of its request, at most 65535.
    read_valid, read_ready, read : Out(1), In(1), Out(read_request_layout(...))
        Way to the queue of the reads.
    write_refused, read_refused, unsupported, discontinued, malformed : Out(1)
        Events, one clock each.
    torn : Out(1)
        One more packet is malformed: the one of this clock's report replaced it.
    """

    room: Any
    valid: Any
    segment: Any
    begins: Any
    rests: Any
    idle: Any
    claimed: Any
    fits: Any
    local: Any
    max_payload: Any
    ready: Any
    ram_valid: Any
    ram_addr: Any
    ram_data: Any
    ram_strb: Any
    ram_wrote: Any
    ram_wrote_addr: Any
    ram_wrote_dwords: Any
    bus_valid: Any
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
        self._waiting = sum(page.waits << index for index, page in enumerate(pages))
        self._decoder = Decoder(lanes, ram_base=ram_base, ram_size=ram_size, pages=pages, functions=functions)
        # What waits: the action, what of it decides, and what is to be added to the time to get its age.
        action = action_layout(lanes, place_bits, len(pages))
        self._layout = data.StructLayout({"action": action, "decides": DECIDES, "since": time_shape()})
        super().__init__({
            "room": Out(1),
            "valid": In(1),
            "segment": In(segment_layout(lanes)),
            "begins": In(1),
            "rests": In(1),
            "idle": Out(1, init=1),
            "claimed": In(1),
            "fits": In(1),
            "local": In(64),
            "max_payload": In(2),
            "ready": In(1),
            "ram_valid": Out(1),
            "ram_addr": Out(self._ram_bits - 2),
            "ram_data": Out(data.ArrayLayout(32, lanes)),
            "ram_strb": Out(data.ArrayLayout(4, lanes)),
            "ram_wrote": Out(1),
            "ram_wrote_addr": Out(self._ram_bits - 2),
            "ram_wrote_dwords": Out(lanes),
            "bus_valid": Out(1),
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
        """Decode, let wait, execute."""
        m: Any = Module()
        m.submodules.decoder = decoder = self._decoder
        m.submodules.backlog = backlog = Backlog(self._layout, _UNDER_WAY, apart="decides")
        for name in ("valid", "segment", "claimed", "fits", "local", "max_payload"):
            m.d.comb += getattr(decoder, name).eq(getattr(self, name))
        held: Any = Signal(self._layout, reset_less=True)
        takes = self._execute(m, held, backlog.o_valid, backlog.o_data)
        m.d.comb += [
            backlog.i_valid.eq(decoder.o_valid),
            backlog.i_data.action.eq(decoder.action),
            backlog.i_data.decides.eq(decoder.decides),
            backlog.i_data.since.eq(self._age(m, held.since)),
            backlog.o_ready.eq(takes),
            self.room.eq(backlog.room),
        ]
        holds: Any = Signal()
        with m.If(takes):
            m.d.sync += holds.eq(backlog.o_valid)
        m.d.sync += self.idle.eq(~(self.valid | decoder.o_valid | backlog.o_valid | holds))
        return m

    def _age(self, m: Any, held: Any) -> Any:
        """Tell the age of what is executed; return what is to be added to the time for that, beside what is decoded."""
        m.submodules.clock = clock = AgeClock()
        since: Any = Signal(time_shape(), reset_less=True)
        still: Any = Signal(WRITE_CLOCKS)  # for so many clocks, and one: what was executed last has been made by then
        rests: Any = Signal()
        now: Any = Cat(self.idle & self.rests, still)
        m.d.sync += [still.eq(now), rests.eq(now.all())]
        m.d.comb += [clock.begins.eq(self.begins), clock.rests.eq(rests)]
        with m.If(self.begins):
            m.d.sync += since.eq(STAGES + WRITE_CLOCKS - clock.time)
        whole: Any = Signal(time_shape(), reset_less=True)
        m.d.sync += whole.eq(clock.time + held)
        age: Any = shown(whole)
        for stage in range(1, WRITE_CLOCKS):
            age, before = Signal(LATENCY_BITS, name=f"age{stage}", reset_less=True), age
            m.d.sync += age.eq(before)
        m.d.comb += self.bus_age.eq(age)
        return since

    def _execute(self, m: Any, held: Any, there: Any, waiting: Any) -> Any:
        """Do what is in the last stage; return "it takes what is next"."""
        lanes = self._lanes
        now, new, decides, steps = held.action, waiting.action, waiting.decides, min(lanes, MAX_REGISTER_WRITE)
        more: Any = Signal()  # dwords for a page, behind the one that is there
        waits: Any = Signal()  # for the end of the packet
        shared: Any = Signal()  # what is at a port may have to wait
        # The same for all that is held, which is far; and that it need not, for the data. It begins with one: else
        # synthesis would make one of the two.
        stands: Any = Signal(init=1)
        passes: Any = Signal(init=1)
        moves: Any = Signal()  # no write stands: this, and "no read stands", enable what is held, a LUT each
        data_moves: Any = Signal()
        goes: Any = Signal()  # the same, for what decides
        free: Any = Signal()
        takes: Any = Signal()
        reads = ~self.read_valid | self.read_ready
        # The same for what decides, since that enables all that is held of a read.
        unread: Any = Signal(init=1)
        read_goes = unread | self.read_ready
        apart = ("request", "fetches", "fetch", "data")
        may_wait = (now.pages & self._waiting).any()
        m.d.comb += [
            moves.eq(~((stands & ~self.ready) | waits)),
            data_moves.eq((passes | self.ready) & ~waits),
            goes.eq(~((shared & ~self.ready) | waits)),
            free.eq(goes & read_goes),
            takes.eq(free & ~more),
        ]
        # What is next is held again and again, beside the one thing that stands, until it is taken.
        with m.If(reads):
            m.d.sync += now.request.eq(new.request)
            with m.If(new.fetches):
                m.d.sync += now.request.either.fetch.eq(new.fetch)
        with m.If(data_moves):
            m.d.sync += now.data.eq(new.data)
            with m.If(more):
                m.d.sync += [now.data[lane].eq(now.data[lane + 1]) for lane in range(steps - 1)]
        with m.If(moves):
            m.d.sync += [
                held.since.eq(waiting.since),
                *(now[name].eq(new[name]) for name in now.shape().members if name not in apart),
            ]
            # With more, the next dword of the same request; what a page does not look at may change.
            with m.If(more):
                m.d.sync += [
                    *(now.strobes[lane].eq(now.strobes[lane + 1]) for lane in range(steps - 1)),
                    now.bytes.eq(now.bytes[1:]),
                    now.place[: PAGE_BITS - 2].eq(now.place[: PAGE_BITS - 2] + 1),
                    now.steps.eq(now.steps - 1),
                    *(kept.eq(kept) for kept in (now.pages, held.since)),
                ]
        with m.If(free):
            m.d.sync += [
                self.ram_valid.eq(there & decides.ram),
                *_either((self.read_valid,), unread, there & decides.read),
                self.bus_valid.eq(there & decides.begins),
                *_either((shared, stands), passes, there & (decides.ram | (decides.begins & decides.may_wait))),
                more.eq(there & decides.more),
                waits.eq(there & decides.waits),
            ]
            with m.If(more):
                m.d.sync += [
                    *(valid.eq(0) for valid in (self.ram_valid, waits)),
                    *_either((self.read_valid,), unread, Const(0, 1)),
                    self.bus_valid.eq(now.bytes[1]),
                    *_either((shared, stands), passes, now.bytes[1] & may_wait),
                    more.eq(now.steps != 1),
                ]
        if lanes < MAX_REGISTER_WRITE:
            with m.Elif(waits & there):
                m.d.sync += [
                    waits.eq(0),
                    self.bus_valid.eq(decides.ends_well & now.bytes[0]),
                    *_either((shared, stands), passes, decides.ends_well & now.bytes[0] & may_wait),
                    more.eq(decides.ends_well & more),
                ]
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
            self.ram_wrote.eq(self.ram_valid & self.ready),
            self.ram_wrote_addr.eq(self.ram_addr),
            self.ram_wrote_dwords.eq(Cat(strobe.any() for strobe in self.ram_strb)),
        ]
        self._report(m, takes, Mux(there, Cat(new.events, new.torn), 0))
        return takes

    def _report(self, m: Any, takes: Any, new: Any) -> None:
        """Tell what is to be said of a request in the clock after the one in which it leaves."""
        reports: Any = Signal(len(new))
        with m.If(takes):
            m.d.sync += reports.eq(new)
        for event, happened in zip((*EVENTS, "torn"), reports, strict=True):
            m.d.sync += getattr(self, event).eq(takes & happened)


def _either(these: Sequence[Any], other: Any, value: Any) -> list[Any]:
    """Assign a value to these, and what it is not to the other one."""
    return [*(one.eq(value) for one in these), other.eq(~value)]
