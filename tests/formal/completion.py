"""Proof of the way of completions onto CC: whole packets, every beat once, in order, as it was put together.

The account is a list of the beats that came and have not left, each put together here from what the beat said: the
descriptor (PG213) over its first three dwords, the rest from the RAM or from registers. The room for a packet is made
smaller than in the endpoint, by a parameter: nothing else depends on it.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.pcie.completion import CompletionSender, beat_layout
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_HEAD = 3


class _Sender(Bench):
    """Beats come whenever there was room in the clock before; the stream is ready when it likes."""

    def __init__(self, width: int, largest: int) -> None:
        self.width, self.largest, self.lanes = width, largest, width // 32
        # Beats of the largest packet, and three that come while its first leaves.
        self.places = -(-(_HEAD + largest) // self.lanes) + 3
        ram = data.ArrayLayout(32, self.lanes)
        super().__init__({"valid": In(1), "beat": In(beat_layout(self.lanes)), "ram_data": In(ram), "tready": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        dut: Any = CompletionSender(self.width, self.largest)
        look = Inside(dut)
        fifo, whole = look.within("kept"), look.signal("whole")
        m.submodules.dut = dut
        cc = dut.cc
        m.d.comb += [
            dut.valid.eq(self.valid),
            dut.beat.eq(self.beat),
            dut.ram_data.eq(self.ram_data),
            cc.tready.eq(self.tready),
        ]
        had_room = checks.past(dut.room, "had_room")
        checks.assume(
            "a beat comes only after a clock with room, since the read engine begins none without it (reads.series)",
            ~self.valid | had_room,
        )
        held, count, goes = self._account(m, cc)
        shown: Any = Cat(cc.tdata, cc.tkeep, cc.tlast)
        ends = [(count > n) & beat[-1] for n, beat in enumerate(held)]
        number = sum(ends[1:], start=ends[0])
        self._state_inside(m, checks, fifo, held, count)
        checks.invariant("packets of which the end is kept", whole == number)
        due = count.any() & (Cat(*ends).any() | (self.valid & self.beat.last))
        middle: Any = Signal(name="middle")
        m.d.sync += middle.eq(Mux(goes, ~cc.tlast, middle))
        checks.invariant("a packet that has begun to leave is whole", ~middle | Cat(*ends).any())
        checks.forward("a packet is on the stream from the clock of its last beat on", ~due | cc.tvalid)
        checks.backward("nothing is before its packet is whole, and nothing that did not come", ~cc.tvalid | due)
        checks.forward("the beat on the stream is the oldest, as it came", ~cc.tvalid | (shown == held[0]))
        waits = checks.past(cc.tvalid & ~cc.tready, "waited")
        before = checks.past(shown, "shown_before")
        checks.backward(
            "what is on the stream stays, unchanged, until it is taken", ~waits | cc.tvalid & (shown == before)
        )
        checks.backward("the stream does not pause within a packet", ~middle | cc.tvalid)
        checks.forward(
            "there is room for one more but the one that may be coming", dut.room == (count < self.places - 1)
        )
        checks.forward("every beat that comes has its place", ~self.valid | (count < self.places))
        checks.forward("empty says that nothing is left", dut.empty == ~(count.any() | self.valid))
        checks.cover("a packet of several beats leaves", goes & middle & cc.tlast & held[0][0])
        checks.cover("no room is left", ~dut.room & had_room)
        checks.cover("one packet ends while the next one leaves", goes & self.valid & self.beat.last & (number == 2))

    def _account(self, m: Any, cc: Any) -> tuple[list[Any], Any, Any]:
        """Keep the beats that came and have not left, the oldest first; return them, how many, and that one leaves."""
        beat, lanes, places = self.beat, self.lanes, self.places
        words = []
        for lane in range(lanes):
            word: Any = Mux(beat.from_ram, self.ram_data[lane], beat.words[lane])
            if lane + lanes < _HEAD:
                word = Mux(beat.second, beat.descriptor.word_select(lane + lanes, 32), word)
            if lane < _HEAD:
                word = Mux(beat.first & ~self._both(lane), beat.descriptor.word_select(lane, 32), word)
            words.append(word)
        keep = Cat(lane < beat.count for lane in range(lanes))
        come: Any = Cat(*words, keep, beat.last)
        held: list[Any] = [Signal(len(come), name=f"held{n}") for n in range(places)]
        count: Any = Signal(range(places + 1), name="count")
        goes: Any = Signal(name="goes")
        m.d.comb += goes.eq(cc.tvalid & cc.tready)
        m.d.sync += count.eq(count + self.valid - goes)
        for n in range(places):
            after = held[n + 1] if n + 1 < places else held[n]
            kept = Mux(goes, after, held[n])
            m.d.sync += held[n].eq(Mux(self.valid & (count - goes == n), come, kept))
        return held, count, goes

    def _both(self, lane: int) -> Any:
        """Whether a beat calls itself first and second, where that makes a difference: then it is taken as second."""
        return self.beat.second if lane + self.lanes < _HEAD else 0

    def _state_inside(self, m: Any, checks: Checks, fifo: Inside, held: list[Any], count: Any) -> None:
        places = self.places
        consume, produce, level = (fifo.signal(name) for name in ("consume", "produce", "level"))
        checks.invariant("as many are kept as came and did not leave", (level == count) & (count <= places))
        checks.invariant("places are in range", (consume < places) & (produce < places))
        ring = Mux(consume + count >= places, consume + count - places, consume + count)
        checks.invariant("kept in a ring", produce == ring)
        for n in range(places):
            word = fifo.word(m, "storage", Mux(consume + n >= places, consume + n - places, consume + n))
            size: Any = word[self.width : self.width + self.lanes.bit_length()]
            keep = Cat(lane < size for lane in range(self.lanes))
            checks.invariant(
                "each is where it has to be", (count <= n) | (Cat(word[: self.width], keep, word[-1]) == held[n])
            )


PROOFS = [
    Proof(
        f"completion.beats.{width}",
        "whole packets on CC: each beat once, in order, as it was put together; the stream rules",
        partial(_Sender, width, largest),
        depth=1,
        cover_depth=16,
        mutant_depth=8,
        wide=True,
    )
    for width, largest in ((64, 1),)
]
