"""The read engine: fetches what a non-posted request asks for and cuts it into completions.

A completion packet is three dwords of descriptor followed by the data, so dword j of a packet whose data begins at
dword address A is data dword A - 3 + j. The engine therefore walks from A - 3 in steps of one beat, reads a whole beat
from there, and lays the descriptor over the first three dwords. No data is ever shifted between beats.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of
from epbell.pcie import tlp, usp
from epbell.pcie.completion import beat_layout
from epbell.pcie.read_beats import ReadBeats, step_layout
from epbell.pcie.read_layout import DESCRIPTOR, MAX_PAYLOAD, REFUSED, REPEATED, read_request_layout
from epbell.pcie.read_plan import ReadPlan
from epbell.pcie.tlp import CompletionStatus, RequestType

__all__ = ["ReadEngine"]


class ReadEngine(wiring.Component):
    """Serves one non-posted request after the other, a beat of completion per clock.

    A request that comes in clock 0 while the engine is idle is planned (:class:`ReadPlan`) in clock 1 and makes its
    first access in clock 2; its beat leaves `epbell.ram.READ_CLOCKS` clocks after the access that completes it
    (:class:`ReadBeats`). Requests of one beat follow each other every other clock, beats of one completion every clock,
    and so do the completions of one request that have more than one beat. A refusal waits until nothing is under way.

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
        Requests. ``i_ready`` is a flip-flop.
    ram_valid, ram_ready, ram_addr : Out(1), In(1), Out(address_width)
        Read of a beat from the RAM; its data are there `epbell.ram.READ_CLOCKS` clocks later, and so is its ``beat``.
    bus_valid, bus_ready, bus_pages, bus_addr, bus_data : Out(1), In(1), Out(pages), Out(16), In(32)
        Read of a dword from a register page; its data are there `epbell.registers.READ_CLOCKS` clocks later.
    room : In(1)
        One more beat may be completed. One access behind flip-flops.
    room_again : In(1)
        ``room`` once more, out of another flip-flop: for what goes on in here, and is not asked for.
    beat_valid : Out(1)
        ``beat`` belongs to this cycle.
    beat : Out(beat_layout(lanes))
        A beat of a completion, without the data from the RAM.
    idle : Out(1)
        There was no request in hand in the clock before, no beat under way, and no request came.
    answered : Out(1)
        ``beat`` is the last of the answer to a request.

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
    room_again: Any
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
        self._lanes, self._address_width, self._pages = lanes, address_width, pages
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
            "room_again": In(1),
            "beat_valid": Out(1),
            "beat": Out(beat_layout(lanes)),
            "idle": Out(1, init=1),
            "answered": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Walk over the beats of the completion in progress."""
        m: Any = Module()
        lanes = self._lanes
        m.submodules.plan = plan = ReadPlan(self._address_width, self._pages, max(0, lanes - DESCRIPTOR))
        m.submodules.beats = beats = ReadBeats(lanes)
        self._active: Any = Signal(name="active")
        self._origin: Any = Signal(self._address_width, name="origin")  # address of what is in lane 0 of this beat
        self._left: Any = Signal(range(MAX_PAYLOAD + DESCRIPTOR + 1), name="left")  # dwords of the packet from there on
        self._last: Any = Signal(name="last")  # it is the last beat of the packet
        self._first: Any = Signal(name="first")
        self._second: Any = Signal(name="second")
        self._final: Any = Signal(name="final")  # it is the last packet of the request
        self._from_ram: Any = Signal(name="from_ram")
        self._paged: Any = Signal(name="paged")
        self._descriptor: Any = Signal(96, name="descriptor")
        # What there is to do for this beat, one at most: read the RAM, go on to the next dword of a page, and if it is
        # wanted read it, nothing since there is but a descriptor, or a part of a refusal.
        self._asks_ram: Any = Signal(name="asks_ram")
        self._pages_on: Any = Signal(name="pages_on")
        self._asks_bus: Any = Signal(name="asks_bus")
        self._bare: Any = Signal(name="bare")
        self._plain: Any = Signal(name="plain")  # nothing, or the RAM: the beat is complete at once
        self._refuses: Any = Signal(name="refuses")
        # What that makes of the beat is known as soon as it is.
        self._works: Any = Signal(name="works")  # plain, or of a page
        self._ends: Any = Signal(name="ends")  # plain, and the last one
        starts: Any = Signal()  # a completion begins that has none before it
        turns: Any = Signal()  # or it is its turn, if anything is done
        begins: Any = Signal()
        goes: Any = Signal()  # there is room, and who is asked is ready
        paging: Any = Signal()  # a dword of a page is read or passed over
        complete: Any = Signal()
        repeats: Any = Signal()
        alone: Any = Signal()  # a refusal's beat, after all that was under way
        alone_ends: Any = Signal()  # and its last one
        single: Any = alone | self._plain
        works: Any = alone | self._works
        ends: Any = alone_ends | self._ends
        stands = (self._asks_ram & ~self.ram_ready) | (self._asks_bus & ~self.bus_ready)
        # What comes next is chosen out of flip-flops alone; what is ready, which comes late, only enables it.
        # The last beat of a completion that is not from a page has no use for a page's dwords: these may come early.
        word = self._page(m, plan, turns, begins, turns | (goes & self._pages_on))
        m.d.comb += [
            plan.max_payload.eq(self.max_payload),
            plan.i_valid.eq(self.i_valid),
            plan.i_data.eq(self.i_data),
            self.i_ready.eq(plan.i_ready),
            repeats.eq(alone & self.room),
            goes.eq(self.room_again & ~stands),
            paging.eq(goes & self._pages_on),
            complete.eq(goes & (single | (self._pages_on & word.ends))),
            starts.eq(plan.valid & ~self._active),
            turns.eq(starts | (plan.valid & ends)),
            begins.eq(plan.valid & (~self._active | (goes & ends))),
            plan.begins.eq(begins),
            plan.refusal_ends.eq(repeats & self._last),
            self.ram_valid.eq(self._asks_ram & self.room),
            self.ram_addr.eq(self._origin),
            self.bus_valid.eq(self._asks_bus & self.room),
        ]
        alones = self._refuses & beats.clear & ~repeats
        m.d.sync += [alone.eq(alones), alone_ends.eq(alones & self._last)]
        m.d.sync += self.idle.eq(~(self.i_valid | ~plan.i_ready | self._active | ~beats.clear))
        self._walk(m, plan, turns, begins, starts | complete)
        self._choose(m, plan, turns, starts | (goes & works), single, word)
        self._send(m, plan, beats, paging, complete, word)
        self._repeat(m, plan.shown, beats, repeats)
        return m

    def _walk(self, m: Any, plan: ReadPlan, turns: Any, begins: Any, moves: Any) -> None:
        """Go from beat to beat, and to the next packet."""
        lanes, shown = self._lanes, plan.shown
        chunk = shown.either.fetch.chunk
        with m.If(begins):
            m.d.sync += [
                self._final.eq(plan.final),
                self._from_ram.eq(shown.ram),
                self._paged.eq(shown.pages.any()),
                self._descriptor.eq(_descriptor(shown, plan.refused)),
            ]
        with m.If(moves):
            m.d.sync += [
                self._active.eq(turns | ~self._last),
                self._origin.eq(Mux(turns, shown.either.fetch.origin, self._origin + lanes)),
                self._first.eq(turns),
                self._second.eq(~turns & self._first),
            ]
            with m.If(turns):
                m.d.sync += [
                    self._left.eq(Mux(plan.refused, REFUSED + DESCRIPTOR, chunk + DESCRIPTOR)),
                    self._last.eq(self._short(plan)),
                ]
            with m.Else():
                m.d.sync += [self._left.eq(self._left - lanes), self._last.eq(self._left <= 2 * lanes)]

    def _short(self, plan: ReadPlan) -> Any:
        """Whether what is planned has one beat."""
        return Mux(plan.refused, self._lanes >= REFUSED + DESCRIPTOR, plan.short)

    def _page(self, m: Any, plan: ReadPlan, turns: Any, begins: Any, moves: Any) -> Any:
        """Go from dword to dword of a page; return what is known of the one that is next."""
        lanes, shown = self._lanes, plan.shown
        word: Any = Signal(data.StructLayout({"lane": range(lanes), "closes": 1, "ends": 1, "enabled": 1}), name="word")
        then: Any = Signal(word.shape(), name="word_then")
        dword: Any = Signal(14, name="page_dword")
        togo: Any = Signal(range(MAX_PAYLOAD + 1), name="page_dwords")  # of the packet
        last_counts: Any = Signal(name="last_counts")  # of its last dword a byte is wanted
        m.d.comb += [self.bus_addr.eq(Cat(Const(0, 2), dword)), then.ends.eq(then.closes | (then.lane == lanes - 1))]
        with m.If(turns):
            m.d.comb += [
                then.lane.eq(DESCRIPTOR if lanes > DESCRIPTOR else DESCRIPTOR - lanes),
                then.closes.eq(plan.single),
                then.enabled.eq(plan.wanted),
            ]
        with m.Else():
            m.d.comb += [
                then.lane.eq(word.lane + 1),
                then.closes.eq(togo == 2),
                then.enabled.eq(~then.closes | last_counts),
            ]
        with m.If(begins):
            m.d.sync += [self.bus_pages.eq(shown.pages), last_counts.eq(~plan.final | shown.last_be.any())]
        with m.If(moves):
            m.d.sync += [
                dword.eq(Mux(turns, shown.either.fetch.origin + DESCRIPTOR, dword + 1)),
                togo.eq(Mux(turns, shown.either.fetch.chunk, togo - 1)),
                word.eq(then),
            ]
        self._word_then = then
        return word

    def _choose(self, m: Any, plan: ReadPlan, turns: Any, moves: Any, single: Any, word: Any) -> None:
        """Say what there is to do for the next beat, or for the next dword of this one."""
        split = self._lanes == 2  # the first beat has no data
        shown, then = plan.shown, self._word_then
        paged = Const(0) if split else shown.pages.any()
        plain = ~plan.refused if split else shown.ram
        more = self._from_ram & ~self._last  # another beat of the RAM
        first = self._bare & self._paged  # dword of a page
        with m.If(moves):
            with m.If(turns):
                m.d.sync += [
                    self._asks_ram.eq(0 if split else shown.ram),
                    self._pages_on.eq(paged),
                    self._asks_bus.eq(paged & then.enabled),
                    self._bare.eq(plain if split else 0),
                    self._plain.eq(plain),
                    self._works.eq(plain | paged),
                    self._ends.eq(plain & self._short(plan)),
                    self._refuses.eq(plan.refused),
                ]
            with m.Elif(single):
                m.d.sync += [
                    self._asks_ram.eq(more),
                    self._pages_on.eq(first),
                    self._asks_bus.eq(first & word.enabled),
                    self._bare.eq(0),
                    self._plain.eq(more),
                    self._works.eq(more | first),
                    self._ends.eq(more & (self._left <= 2 * self._lanes)),
                    self._refuses.eq(self._refuses & ~self._last),
                ]
            with m.Else():
                m.d.sync += [
                    self._pages_on.eq(~word.closes),
                    self._asks_bus.eq(then.enabled & ~word.closes),
                    self._works.eq(~word.closes),
                ]

    def _send(self, m: Any, plan: ReadPlan, beats: ReadBeats, paging: Any, complete: Any, word: Any) -> None:
        """Say what is done in this clock."""
        step: Any = Signal(step_layout(self._lanes))
        happens = paging | complete
        m.d.comb += [
            step.beat.eq(complete),
            step.word.eq(paging),
            step.lane.eq(word.lane),
            step.first.eq(happens & self._first),
            step.second.eq(happens & self._second),
            step.last.eq(self._last),
            step.final.eq(self._last & self._final),
            step.ram.eq(self._from_ram),
            step.count.eq(Mux(self._last, self._left, self._lanes)),
            step.descriptor.eq(self._descriptor),
            beats.step.eq(step),
            beats.bus_data.eq(self.bus_data),
            self.beat_valid.eq(beats.beat_valid),
            self.beat.eq(beats.beat),
            self.answered.eq(beats.answered),
        ]

    def _repeat(self, m: Any, request: Any, beats: ReadBeats, repeats: Any) -> None:
        """Lay what a refusal says of the request over the words of its beats; the descriptor covers the first three."""
        asked = request.either.refused
        members = {name: request[name] for name in ("first_be", "last_be", "at", "tc", "attr", "tag", "requester")}
        members |= {name: asked[name] for name in REPEATED} | {"function": request.function}
        header: Any = Signal(tlp.HEADER, name="refused_header")
        m.d.comb += [
            *(header[name].eq(value) for name, value in members.items()),
            header.address[2:].eq(asked.address),
            beats.repeats.eq(repeats),
        ]
        packet: Any = Cat(Const(0, 32 * DESCRIPTOR), usp.refused_request(header))
        total = DESCRIPTOR + REFUSED
        for lane in range(min(self._lanes, total)):
            parts = [
                packet.word_select(start + lane, 32) & (self._left[:4] == total - start).replicate(32)
                for start in range(0, total, self._lanes)
            ]
            m.d.comb += beats.repeated[lane].eq(any_of(parts) if len(parts) > 1 else packet.word_select(lane, 32))


def _descriptor(request: Any, refused: Any) -> Any:
    """Descriptor of the completion that is planned."""
    return usp.completion_descriptor(
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
