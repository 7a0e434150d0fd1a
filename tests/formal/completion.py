"""Proof of the way of completions onto CC: whole packets, every beat once, in order, as it was put together.

The account is a list of the beats that came and have not left, each put together here from what the beat said: each
dword from the RAM or from registers. The room for a packet is made smaller than in the endpoint, by a parameter:
nothing else depends on it.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.pcie.completion import CompletionSender, beat_layout
from epbell.ram import READ_CLOCKS
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_HEAD = 3


class _Sender(Bench):
    """Beats come whenever there was room in the clock before; the stream is ready when it likes."""

    def __init__(self, width: int, largest: int) -> None:
        self.width, self.largest, self.lanes = width, largest, width // 32
        # Beats for which there is room: the largest packet's, and one. Places: also those that come all the same, and
        # one that has left in the clock before.
        self.beats = -(-(_HEAD + largest) // self.lanes) + 1
        self.places = self.beats + READ_CLOCKS + 2
        ram = data.ArrayLayout(32, self.lanes)
        super().__init__({"valid": In(1), "beat": In(beat_layout(self.lanes)), "ram_data": In(ram), "tready": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        dut: Any = CompletionSender(self.width, self.largest)
        self.look = Inside(dut)
        m.submodules.dut = dut
        cc = dut.cc
        m.d.comb += [
            dut.valid.eq(self.valid),
            dut.beat.eq(self.beat),
            dut.ram_data.eq(self.ram_data),
            cc.tready.eq(self.tready),
        ]
        rooms = [dut.room]
        for clock in range(READ_CLOCKS):
            rooms.append(checks.past(rooms[-1], f"room_{clock + 1}_ago"))
        checks.assume(
            "a beat comes only so many clocks after one with room, since the read engine says so (reads.beats)",
            ~self.valid | rooms[-1],
        )
        held, count, goes = self._account(m, cc)
        shown: Any = Cat(cc.tdata, cc.tkeep, cc.tlast)
        ends = [(count > n) & beat[-1] for n, beat in enumerate(held)]
        came = [checks.past(self.valid, "came_1_ago")]
        for clock in (2, 3):
            came.append(checks.past(came[-1], f"came_{clock}_ago"))
        self._state_inside(m, checks, cc, held, count, came)
        granted: Any = sum(rooms[1:], start=rooms[0])
        checks.invariant(
            "what may still come has its place", self.look.signal("level") + granted <= self.places
        )
        older: Any = Signal(range(len(held) + 1), name="older")  # beats that came four clocks ago or earlier
        m.d.comb += older.eq(count - came[0] - came[1] - came[2])
        due: Any = Cat(end & (older > n) for n, end in enumerate(ends)).any()
        middle: Any = Signal(name="middle")
        m.d.sync += middle.eq(Mux(goes, ~cc.tlast, middle))
        checks.invariant("a packet that has begun to leave is whole", ~middle | Cat(*ends).any())
        checks.forward("a packet is on the stream four clocks after its last beat came at the latest", ~due | cc.tvalid)
        checks.backward(
            "nothing is before its packet is whole, and nothing that did not come",
            ~cc.tvalid | count.any() & Cat(*ends).any(),
        )
        checks.forward("the beat on the stream is the oldest, as it came", ~cc.tvalid | (shown == held[0]))
        waits = checks.past(cc.tvalid & ~cc.tready, "waited")
        before = checks.past(shown, "shown_before")
        checks.backward(
            "what is on the stream stays, unchanged, until it is taken", ~waits | cc.tvalid & (shown == before)
        )
        checks.backward("the stream does not pause within a packet", ~middle | cc.tvalid)
        crowd = checks.past(count >= self.beats, "crowd")
        checks.forward("there is room for the beats of the largest packet, and one", crowd | dut.room)
        checks.forward("every beat that comes has its place", ~self.valid | (self.look.signal("level") < self.places))
        checks.forward("empty says that nothing was left", dut.empty == ~count.any())
        checks.cover("a packet of several beats leaves", goes & middle & cc.tlast & held[0][0])
        checks.cover("no room is left", ~dut.room)
        ending: Any = sum(ends[1:], start=ends[0])
        checks.cover("one packet ends while the next one leaves", goes & self.valid & self.beat.last & (ending == 2))

    def _account(self, m: Any, cc: Any) -> tuple[list[Any], Any, Any]:
        """Keep the beats that came and have not left, the oldest first; return them, how many, and that one leaves."""
        beat, lanes, places = self.beat, self.lanes, self.places + 3
        words = [Mux(beat.from_ram[lane], self.ram_data[lane], beat.words[lane]) for lane in range(lanes)]
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

    def _state_inside(
        self, m: Any, checks: Checks, cc: Any, held: list[Any], count: Any, came: list[Any]
    ) -> None:
        """Say where each beat is: on the stream, in the head, read, or in the memory."""
        look, size = self.look, len(held[0])
        counted, left, stored = (look.signal(name) for name in ("level", "left", "stored"))
        has_read, has_head = look.signal("has_read"), look.signal("has_head")
        number, some, ended, ends_next = (
            look.signal(name) for name in ("whole", "some_whole", "comes", "last_is_read")
        )  # fmt: skip
        number, gone = (number - look.signal("whole_ended"))[: len(number)], look.signal("whole_ended")
        level = (counted - left)[: len(counted)]
        kept = look.module.submodules.kept
        read, write = kept.read_ports[0], kept.write_ports[0]
        checks.invariant("that there is no beat on the stream is known", look.signal("spare") == ~cc.tvalid)
        checks.invariant("what has left was there", (counted >= left) & (look.signal("whole") >= gone))
        checks.invariant("what has left the memory has been read", ~left | has_read)
        checks.invariant("as many are kept as came and did not leave", level + has_read + has_head + cc.tvalid == count)
        checks.invariant("there is one in the memory", stored == level.any())
        checks.invariant("in a ring", write.addr == (read.addr + level)[: len(write.addr)])
        words = [look.word(m, "kept", (read.addr + n)[: len(read.addr)])[:size] for n in range(self.places)]
        for ahead in range(4):  # those that are not in the memory any more
            here = cc.tvalid + has_head + has_read == ahead
            for n, word in enumerate(words):
                checks.invariant("each is where it has to be", ~here | (level <= n) | (word == held[n + ahead]))
        before = cc.tvalid + has_head
        for n in range(3):
            checks.invariant("what was read", ~has_read | (before != n) | (read.data[:size] == held[n]))
        head = Mux(cc.tvalid, held[1], held[0])
        checks.invariant("the head", ~has_head | (look.signal("head")[:size] == head))
        checks.invariant("on the stream", ~cc.tvalid | (Cat(cc.tdata, cc.tkeep, cc.tlast) == held[0]))
        checks.invariant("read at once", has_read | (level == came[0]))
        checks.invariant("in the head at once", has_head | (has_read == came[1]) & (level == came[0]))
        flags: Any = [(count > n) & beat[-1] & ((n != 0) | ~cc.tvalid) for n, beat in enumerate(held)]
        checks.invariant(
            "ends of packets that are here, two clocks later",
            number + ended + ends_next == sum(flags[1:], start=flags[0]),
        )
        checks.invariant("whether there are any", some == number.any())
        newest = [Mux(count == n + 1, beat[-1], 0) for n, beat in enumerate(held)]
        checks.invariant("the last one that came", ends_next == (came[0] & Cat(*newest).any()))
        last_but = [Mux(count == n + 1 + came[0], beat[-1], 0) for n, beat in enumerate(held)]
        checks.invariant("and the one a clock before", ended == (came[1] & Cat(*last_but).any()))
        checks.invariant("what has begun to leave is whole", ~(cc.tvalid & ~cc.tlast) | some)


PROOFS = [
    Proof(
        f"completion.beats.{width}",
        "whole packets on CC: each beat once, in order, as it was put together; the stream rules",
        partial(_Sender, width, largest),
        depth=1,
        cover_depth=16,
        mutant_depth=18,
        wide=True,
    )
    for width, largest in ((64, 1),)
]
