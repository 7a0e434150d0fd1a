"""Proof of the host's writes: which dword goes where with which strobes, and which ones write nothing.

Parser and target as in `completer.packets`, with whatever the windows say. The account keeps the payload of the beat
that was taken last, which dwords of its packet that is, and where the window sends the packet.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Array, Cat, Const, Mux, Signal
from completer import DOORBELLS, EDMA, RAM, RAM_SIZE, SIDE_B, WRITE, Front

from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

_LONGEST = 4


class _Writes(Front):
    """Parser and target, beside the payload that is on its way."""

    def state(self, m: Any, checks: Checks) -> None:
        """State where each dword of a write goes, and when."""
        self.m = m
        target, lanes, moved = self.target, self.lanes, self.ready
        self._stable(checks)
        sound = self.known & ~self.withdrawn & ~self.wrong & (self.kind == WRITE)
        before = 4 if lanes == 2 else 0
        here: Any = Signal(12, name="payload_before")  # dwords of the payload before this beat
        number: Any = Signal(range(lanes + 1), name="payload_here")
        rest: Any = Signal(12, name="payload_left")
        fits = lanes if lanes == 2 else Mux(self.sop, lanes - 4, lanes)
        m.d.comb += [
            here.eq(Mux(self.sop, 0, self.place - 4)),
            rest.eq(self.length - here),
            number.eq(Mux((self.place < before) | (lanes == 4), 0, Mux(rest < fits, rest, fits))),
        ]
        words = [self.tdata.word_select(n, 32) for n in range(lanes)]
        behind = [words[n + 4] if n + 4 < lanes else Const(0, 32) for n in range(lanes)]  # the descriptor
        # What was taken last: payload of a write that was sound so far.
        full: Any = Signal(name="holds")
        over: Any = Signal(name="packet_over")
        whole: Any = Signal(name="holds_last")
        first: Any = Signal(name="holds_first")
        count: Any = Signal(range(lanes + 1), name="holds_dwords")
        length: Any = Signal(11, name="holds_length")
        enables: Any = Signal(8, name="holds_enables")
        kept: Any = [Signal(32, name=f"held{n}") for n in range(lanes)]
        where: Any = Signal(64, name="where")  # of the packet's first dword
        spot: Any = Signal(10, name="spot")  # of the first dword that is held, within 4 KiB
        hit: Any = Signal(name="hit")
        running: Any = Signal(name="running")  # payload of the packet on the stream was taken
        payload = sound & (number != 0)
        begins: Any = Signal(name="begins")
        m.d.comb += begins.eq(here == 0)
        with m.If(moved):
            m.d.sync += [full.eq(self.tvalid & payload), over.eq(self.tvalid & self.tlast)]
        with m.If(self.taken & payload):
            m.d.sync += [
                first.eq(begins), count.eq(number), whole.eq(rest <= fits), length.eq(self.length),
                enables.eq(self.byte_enables), spot.eq(Mux(begins, self.local[2:12], spot + count)),
                *(kept[n].eq(Mux(self.sop, word, words[n])) for n, word in enumerate(behind)),
            ]  # fmt: skip
            with m.If(begins):
                m.d.sync += [where.eq(self.local), hit.eq(self.claimed & self.fits & (self.header[104:112] == 0))]
        with m.If(self.taken):
            m.d.sync += running.eq(payload & ~self.tlast)
        # Where it goes.
        ram = hit & (where >= RAM) & (where < RAM + RAM_SIZE)
        side_b = hit & (where[16:] == SIDE_B >> 16)
        doorbell = (where[2:16] == DOORBELLS[0] >> 2) | (where[2:16] == DOORBELLS[1] >> 2)
        edma = hit & (where[16:] == EDMA >> 16) & doorbell & (length == 1)
        page: Any = Signal(name="page")
        m.d.comb += page.eq((side_b | edma) & (length <= _LONGEST))
        strobes: Any = [
            Mux(
                n < count,
                Mux(first & (n == 0), enables[:4], Mux(whole & (n + 1 == count) & (length != 1), enables[4:], 15)),
                0,
            )
            for n in range(lanes)
        ]
        checks.forward(
            "what is of the RAM goes there, in the clock after it was taken", ~(full & ram) | target.ram_valid
        )
        checks.backward("nothing else does", ~target.ram_valid | full & ram)
        checks.forward(
            "to its address, with its words and strobes",
            ~(full & ram)
            | (target.ram_addr == spot)
            & (target.ram_data.as_value() == Cat(kept))
            & (target.ram_strb.as_value() == Cat(value[:4] for value in strobes)),
        )
        # A page takes a dword a clock, when the packet has ended well or is about to.
        lane: Any = Signal(range(lanes + 1), name="lane")
        well: Any = Signal(name="ends_well")
        badly: Any = Signal(name="ends_badly")
        ending = self.tvalid & self.tlast & ~self.sop & sound
        waits = full & page & ~over
        may_go = over | well
        strobe: Any = Array(value[:4] for value in strobes)[lane[: (lanes - 1).bit_length()]]
        due: Any = Signal(name="due")
        steps: Any = Signal(name="steps")
        m.d.comb += [
            due.eq(full & page & may_go & (strobe != 0)),
            steps.eq(full & page & may_go & ((strobe == 0) | self.bus_ready)),
        ]
        leaves = ~(full & page) | badly | (steps & (lane + 1 == count))
        with m.If(leaves):
            m.d.sync += [lane.eq(0), well.eq(0), badly.eq(0)]
        with m.Elif(waits & ~well):
            m.d.sync += [well.eq(ending), badly.eq(self.tvalid & ~ending)]
        with m.Elif(steps):
            m.d.sync += lane.eq(lane + 1)
        checks.forward(
            "a dword for a page is written in its turn, when its packet has ended well, or its end is there and good",
            ~due | target.bus_valid,
        )
        checks.backward("nothing else rings: not what is refused, and not what is bad", ~target.bus_valid | due)
        checks.backward(
            "a write that waits goes when it has been done, or its packet has failed",
            ~(full & page) | (moved == leaves),
        )
        low: Any = spot + lane  # 10: beyond 4 KiB, which inbound.ends excludes
        checks.forward(
            "to its page and address, with its word and strobes",
            ~due
            | low[10]
            | (target.bus_pages == Cat(side_b, edma))
            & (target.bus_addr == Cat(Const(0, 2), low[:10], where[12:16]))
            & (target.bus_data == Array(kept)[lane[: (lanes - 1).bit_length()]])
            & (target.bus_strb == strobe),
        )
        self._reports(m, checks, over, full & over, hit & (ram | page), moved)
        done: Any = Signal(name="page_written")  # something of the packet on the stream
        with m.If(self.taken & (self.tlast | self.sop)):
            m.d.sync += done.eq(0)
        with m.Elif(target.bus_valid & ~over):
            m.d.sync += done.eq(1)
        wrote = done | (target.bus_valid & ~over)
        checks.backward(
            "a packet of which something was written to a page ends well", ~(wrote & self.taken) | (ending & ~self.sop)
        )
        checks.invariant("its end is there", (~well | ending & page) & (~done | well))
        checks.invariant("only writes of pages wait", (lane == 0) & ~badly | page)
        self._inside(
            checks, full, whole, first, count, length, enables, kept, where, spot, hit, lane, well, badly, over, running
        )
        checks.cover("a doorbell of one dword", target.bus_valid & self.bus_ready & over & (length == 1))
        checks.cover("two dwords of one write", (lane == 1) & target.bus_valid & (strobe == 3))
        if lanes == 2:
            checks.cover("a write of two beats waits for its end", full & page & well & (lane == 1) & ~over)
        checks.cover("a packet is torn", self.torn)

    def _stable(self, checks: Checks) -> None:
        """Assume what AXI4-Stream demands of the hard block."""
        pins = Cat(self.tdata, self.tkeep, self.tuser, self.tlast)
        held = checks.past(self.tvalid & ~self.ready, "not_taken")
        before = checks.past(pins, "pins_ago")
        checks.assume(
            "the hard block keeps a beat until it is taken, since AXI4-Stream demands it",
            ~held | self.tvalid & (pins == before),
        )

    def _reports(self, m: Any, checks: Checks, over: Any, holds: Any, good: Any, moved: Any) -> None:
        """State which writes are reported as refused, and which packets as torn."""
        target = self.target
        checks.forward(
            "a sound write that writes nothing is reported as refused, when it leaves",
            ~(holds & moved & ~good) | target.write_refused,
        )
        checks.backward("no other is", ~target.write_refused | holds & moved & ~good)
        checks.backward(
            "what is refused is not written", ~target.write_refused | ~(target.bus_valid | target.ram_valid)
        )
        torn: Any = Signal(name="torn_now")
        m.d.comb += torn.eq(self.taken & self.sop & (self.at != 0))
        checks.forward("a packet that the next one replaces is reported, then", ~torn | self.torn)
        checks.backward("no other is", ~self.torn | torn)
        checks.backward(
            "a torn packet is reported in no clock in which another one is malformed", ~(self.torn & target.malformed)
        )

    def _inside(self, checks: Checks, *account: Any) -> None:
        """What is in the stage is what the account says."""
        full, whole, first, count, length, enables, kept, where, spot, hit, lane, well, badly, over, running = account
        target = self.target
        stage: Any = Signal(target.segment.shape(), name="stage_segment")
        raw = self.in_target.signal("stage")
        size = len(stage.as_value())
        self.m.d.comb += stage.eq(raw[:size])
        local, claimed = raw[size : size + 64], raw[size + 64]
        holds = self.in_target.signal("full")
        checks.invariant("payload is held", (holds & stage.write) == full)
        checks.invariant("the end is", over == (holds & stage.final))
        h = stage.header
        checks.invariant("nothing has come after an end", ~over | (self.at == 0))
        checks.invariant(
            "as it came",
            ~full
            | (Cat(stage.first, stage.tail, stage.count) == Cat(first, whole, count))
            & (h.length == length)
            & (Cat(h.first_be, h.last_be) == enables)
            & (h.kind.as_value() == WRITE),
        )
        checks.invariant(
            "its words", ~full | Cat((n >= count) | (stage.data[n] == kept[n]) for n in range(self.lanes)).all()
        )
        checks.invariant("how far", ~(full | running) | (stage.count == count) & (count != 0))
        checks.invariant("what is held and is not the end goes on", ~full | over | running)
        sound = (self.at != 0) & ~self.was_wrong & ~self.in_parser.signal("withdrawn") & (self.kept_kind == WRITE)
        checks.invariant("what goes on is a write, sound so far", ~running | sound & self.in_parser.signal("active"))
        checks.invariant("and there is more of it", ~sound | (self.at < 4) | self.in_parser.signal("left").any())
        plain = stage.final & stage.known & ~stage.discontinued & ~stage.malformed
        writes = plain & (h.kind.as_value() == WRITE)
        checks.invariant("the end of a sound write has payload", ~(holds & writes) | stage.write)
        fresh = self.in_parser.signal("fresh")
        if self.lanes == 2:
            goes_on = (self.at >= 4) & sound
            checks.invariant("no payload yet", ~goes_on | (fresh == (self.at == 4)) & (running == (self.at != 4)))
        else:
            checks.invariant("payload in the first beat", ~sound | ~fresh & running)
        checks.invariant(
            "where it goes",
            ~(full | running) | (Cat(local[2:12], local[12:]) == Cat(spot, where[12:])) & (claimed == hit),
        )
        checks.invariant("the first goes there", ~(full & first) | (spot == where[2:12]))
        checks.invariant("in its turn", self.in_target.signal("lane") == lane)
        checks.invariant(
            "released", (self.in_target.signal("released") == well) & (self.in_target.signal("dropped") == badly)
        )
        checks.invariant("lanes are in range", (lane == 0) | full & (lane < count))
        checks.invariant("one outlook", ~((well | badly) & (~full | over)) & ~(well & badly))
        checks.invariant("something is held", ~full | (count != 0) & (count <= self.lanes))
        checks.invariant("first and last are all", ~(full & first & whole) | (count == length))
        checks.invariant("a single dword is the first", ~full | (length != 1) | first & (count == 1))


PROOFS = [
    Proof(
        f"writes.places.{width}",
        "each dword of a write goes where the window says, with its strobes; what is refused or bad rings nothing",
        partial(_Writes, width),
        depth=1,
        cover_depth=8,
        mutant_depth=7,
        wide=True,
    )
    for width in (64,)
]
