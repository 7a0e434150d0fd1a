"""Proofs of what crosses between two clocks of any ratio: each word once, none lost, whatever resets come when."""

from typing import Any

from amaranth.hdl import DomainRenamer, Mux, Signal
from amaranth.lib.wiring import In
from cdc import Link, edges, one_at_most
from inside import Inside

from epbell.cdc import Receiver, Sender
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

# Bits of a word; the Messaging Unit has 32, 3 and 0. Nothing depends on it.
_WIDTH = 4


class _Channel(Link):
    """A word from A to B."""

    def __init__(self) -> None:
        super().__init__({"write": In(1), "take": In(1), "word": In(_WIDTH)}, 8)

    def build(self, m: Any) -> None:
        self.sender, self.receiver = Sender(_WIDTH), Receiver(_WIDTH)
        self.inner, self.outer = Inside(self.sender), Inside(self.receiver)
        sender, receiver = self.sender, self.receiver
        m.submodules.sender = DomainRenamer("a")(sender)
        m.submodules.receiver = DomainRenamer("b")(receiver)
        for name, end in (("a", sender), ("b", receiver)):
            m.d.comb += [
                end.up.eq(self.ends[name].up),
                end.clear.eq(self.ends[name].clear),
                end.reset.eq(getattr(self, f"reset_{name}")),
            ]
        m.d.comb += [
            receiver.toggle.eq(sender.toggle),
            receiver.echo.eq(sender.echo),
            sender.seen.eq(receiver.seen),
            sender.taken.eq(receiver.taken),
            receiver.payload.eq(sender.payload),
            sender.write.eq(self.write),
            receiver.take.eq(self.take),
        ]

    def state_rest(self, checks: Checks) -> None:
        self._account()
        self._state_restart(checks)
        self._state_work(checks)
        self._state_answers(checks)
        self._state_words(checks)
        self._state_bounds(checks)

    def _account(self) -> None:
        """Follow each word: written, sent, arrived, read; what restarts throw away."""
        m, sender, receiver = self.m, self.sender, self.receiver
        self.up_a, self.up_b = self.ends["a"].up, self.ends["b"].up
        self.out, self.back = self.synchroniser(receiver.toggle), self.synchroniser(sender.seen)
        self.gone = self.synchroniser(sender.taken)
        self.waiting = self.inner.signal("waiting")
        self.newest, self.sent = Signal(_WIDTH, name="newest"), Signal(_WIDTH, name="word_sent")
        self.fresh, self.crossing, self.there = Signal(name="fresh"), Signal(name="crossing"), Signal(name="there")
        word = Mux(self.write, self.word, self.newest)
        m.d.comb += sender.word.eq(word)
        self.resets_a = self.tick_a & (self.reset_a | self.rst_a)
        resets_b = self.tick_b & (self.reset_b | self.rst_b)
        writes = self.tick_a & self.write
        self.reads = self.tick_b & self.take & receiver.full
        self.arrives = self.tick_b & receiver.arrived
        free = self.tick_a & self.up_a & (sender.toggle == self.back.second)
        self.sends = free & (self.write | self.waiting)
        clears = (self.tick_a & self.ends["a"].clear) | (self.tick_b & self.ends["b"].clear)
        with m.If(writes):
            m.d.sync += self.newest.eq(self.word)
        with m.If(self.sends):
            m.d.sync += self.sent.eq(word)
        newest_arrives = self.arrives & self.fresh & ~self.waiting & ~resets_b
        m.d.sync += [
            self.fresh.eq(~self.resets_a & (writes | (self.fresh & ~(self.reads & self.there)))),
            self.crossing.eq(~clears & (self.sends | (self.crossing & ~self.arrives))),
            self.there.eq(~self.resets_a & ~resets_b & ~writes & (newest_arrives | (self.there & ~self.reads))),
        ]

    def _phases(self, domain: str) -> tuple[Any, ...]:
        end, far = self.ends[domain], self.ends["b" if domain == "a" else "a"]
        asks, answers = self.synchroniser(far.far_down), self.synchroniser(end.far_ack)
        return self.insides[domain].signal("released"), asks.first, asks.second, far.ack, answers.first, answers.second

    def _state_restart(self, checks: Checks) -> None:
        """State which toggles are zero as the two hand-shakes of a restart come to their ends."""
        sender, receiver = self.sender, self.receiver
        toggle, seen, taken = sender.toggle, receiver.seen, receiver.taken
        out, back, gone = self.out, self.back, self.gone
        released, x1, x2, ack, y1, y2 = self._phases("a")
        for when, zero in (
            (released, toggle | self.crossing),
            (released & ~x1, seen | taken | out.unsettled),
            (released & ~x2, out.first),
            (released & ~ack, out.second),
            (released & ~y1, back.unsettled | gone.unsettled),
            (released & ~y2, back.first | gone.first),
        ):
            checks.invariant("what the writer has zeroed, and then all that follows it, is zero", ~(when & zero))
        released_b, u1, u2, ack_b, v1, v2 = self._phases("b")
        for when, zero in (
            (released_b, seen | taken),
            (released_b & ack_b, self.crossing),
            (released_b & ~u1, (ack_b & toggle) | back.unsettled | gone.unsettled),
            (released_b & ~u2, back.first | gone.first),
            (released_b & ~ack_b, back.second | gone.second),
            (released_b & ack_b & ~u2, out.unsettled),
            (released_b & ~ack_b, out.unsettled & ~toggle),
            (released_b & ~v1, (out.first & ~toggle) | (out.unsettled & out.first)),
            (released_b & ~ack_b & ~ack, self.crossing ^ toggle),
        ):
            checks.invariant("what the reader has zeroed, and then all that follows it, is zero", ~(when & zero))
        late = released_b & ~ack_b & toggle
        k_a = self.synchroniser(self.ends["b"].far_ack)
        for zero in (k_a.unsettled, x1 & v1, x2 & v2, ack):
            checks.invariant("a restart after the first word of a link comes behind that of the link", ~(late & zero))
        self.works = ~(released | released_b | ack | ack_b)

    def _state_work(self, checks: Checks) -> None:
        """State that one toggle runs round at a time, and what arrives."""
        sender, receiver = self.sender, self.receiver
        out, back = self.out, self.back
        ring = [sender.toggle, out.first, out.second, receiver.seen, back.first, back.second]
        checks.invariant("one change is under way at a time", ~self.works | one_at_most(edges(ring)))
        for one in (out, back):
            checks.invariant(
                "an unsettled toggle is ahead of its synchroniser", ~(self.works & one.unsettled) | (one.i != one.first)
            )
        checks.invariant(
            "a word crosses while the toggles differ",
            ~self.works | (self.crossing == (sender.toggle != receiver.seen)),
        )
        checks.backward("what arrives was sent, and has not arrived before", ~self.arrives | self.crossing)
        checks.invariant("the word waits for the receiver", ~self.crossing | (sender.payload == self.sent))
        checks.backward("it arrives as it was sent", ~self.arrives | (receiver.payload == self.sent))
        payload = self.unsettled(sender.payload, "b")
        checks.invariant("a word is as old as its toggle", ~payload | out.unsettled)
        checks.backward("it has been there for a clock of the reader", ~self.arrives | ~payload)
        checks.backward("one word crosses at a time", ~(self.sends & self.crossing))

    def _state_answers(self, checks: Checks) -> None:
        """State that an answer for an older word is never taken for one about a newer word."""
        sender, receiver = self.sender, self.receiver
        back, gone = self.back, self.gone
        checks.invariant(
            "what has just been taken is what was seen", ~gone.unsettled | (receiver.taken == receiver.seen)
        )
        checks.invariant("the answers never change in the same clock", ~(self.works & gone.unsettled & back.unsettled))
        answers = self.works | (self._phases("b")[0] & ~self._phases("b")[3])
        for seen, taken in ((back.first, gone.first), (back.second, gone.second)):
            checks.invariant(
                "one answer that says taken, beside one that says seen, is the newest",
                ~(answers & (seen == sender.toggle) & (taken == sender.toggle)) | (receiver.taken == sender.toggle),
            )

    def _state_words(self, checks: Checks) -> None:
        sender, receiver = self.sender, self.receiver
        fresh, waiting, crossing = self.fresh, self.waiting, self.crossing
        a, b = self.insides["a"].signal, self.insides["b"].signal
        restarts = a("needed") | a("down") | b("needed") | b("down")
        halted_a, halted_b = a("needed") | a("down") | a("released"), b("needed") | b("down") | b("released")
        checks.invariant("what is written to a writer that is halted waits", ~(halted_a & fresh) | waiting)
        checks.invariant("while the newest word is there, nothing is under way", ~(self.there & (waiting | crossing)))
        checks.invariant("a restart begins with nothing there", ~((halted_a | halted_b) & self.there))
        checks.invariant("a reader that is halted has nothing", ~(halted_b & receiver.full))
        lost = fresh & ~(waiting | crossing | self.there)
        checks.invariant("what waits is not read", ~waiting | sender.full)
        checks.invariant("a word that is lost will be sent again", ~lost | restarts | self.ends["a"].ack)
        unanswered = (receiver.seen == sender.toggle) & (receiver.taken != receiver.seen)
        checks.invariant("until then nobody says that it was read", ~(lost & self.up_a) | unanswered)
        checks.invariant(
            "the newest word is there", ~self.there | receiver.full & (receiver.word == self.newest) & fresh
        )
        checks.invariant(
            "it is unanswered while it is there", ~(self.there & self.works) | (receiver.taken != receiver.seen)
        )
        checks.invariant(
            "the newest word is crossing", ~(fresh & crossing & ~waiting) | (self.sent == self.newest) & ~self.there
        )
        checks.forward("the writer never counts an unread word as read", ~fresh | sender.full)
        checks.forward(
            "once the link is quiet, a word that is not read is with the reader",
            ~(fresh & self.up_a & self.up_b & ~sender.busy) | (receiver.full & (receiver.word == self.newest)),
        )
        superseded = self.tick_a & sender.superseded & ~self.rst_a
        self._state_balance(checks, superseded)
        checks.cover("a word arrives", self.arrives & (receiver.payload == 5))
        checks.cover("a word is superseded", superseded & crossing)
        checks.cover("a word is lost by a reset of the reader", lost)

    def _state_balance(self, checks: Checks, superseded: Any) -> None:
        """State that all words are accounted for from a time on at which the link works and nothing is under way."""
        m = self.m
        begun: Any = Signal(name="begun")
        rung, gone = Signal(8, name="rung"), Signal(8, name="superseded_or_arrived")
        up = self.up_a & self.up_b & ~self.resets_a
        under_way: Any = Signal(range(3))
        m.d.comb += under_way.eq(self.waiting + self.crossing)
        counts = up & (begun | (under_way == 0))
        m.d.sync += begun.eq(counts)
        with m.If(counts):
            m.d.sync += [
                rung.eq(rung + (self.tick_a & self.write)),
                gone.eq(gone + superseded + self.arrives),
            ]
        with m.Else():
            m.d.sync += [rung.eq(0), gone.eq(0)]
        checks.invariant("the count begins with nothing", begun | ((rung == 0) & (gone == 0)))
        checks.forward(
            "rung = superseded + arrived + under way, while the link works", ~begun | (rung == (gone + under_way)[:8])
        )
        quiet = begun & up & ~self.sender.busy
        checks.forward("rung = superseded + arrived, once it is quiet", ~quiet | (rung == gone))
        checks.cover("three rings: one superseded, two under way", begun & up & (rung == 3) & (gone == 1))

    def _state_bounds(self, checks: Checks) -> None:
        """State how many ticks it takes while the link works."""
        m, sender, receiver = self.m, self.sender, self.receiver
        there, told = Signal(range(8), name="ticks_of_b"), Signal(range(8), name="ticks_of_a")
        with m.If(self.sends | self.arrives | ~self.up_b | ~self.crossing):
            m.d.sync += there.eq(0)
        with m.Elif(self.tick_b):
            m.d.sync += there.eq(there + 1)
        with m.If(self.arrives | ~self.up_a | self.crossing):
            m.d.sync += told.eq(0)
        with m.Elif(self.tick_a & (told != 3)):
            m.d.sync += told.eq(told + 1)
        crosses = self.crossing & self.works
        checks.invariant("a toggle is settled in one tick", ~crosses | (there < 1) | ~self.out.unsettled)
        checks.invariant("a toggle is seen in two ticks", ~crosses | (there < 2) | (self.out.first == sender.toggle))
        checks.invariant("and used in three", ~crosses | (there < 3) | (self.out.second == sender.toggle))
        checks.invariant("in four there is room", ~crosses | (there < 4) | (receiver.taken == receiver.seen))
        checks.forward("a word arrives within five clocks of the reader", there < 5)
        quiet = self.works & ~self.crossing
        checks.invariant("an answer is settled in one tick", ~quiet | (told < 1) | ~self.back.unsettled)
        checks.invariant("an answer is seen in two ticks", ~quiet | (told < 2) | (self.back.first == sender.toggle))
        checks.forward(
            "the writer knows within three clocks of its own, and may send again",
            ~(quiet & self.up_a) | (told < 3) | (self.back.second == sender.toggle),
        )


PROOFS = [
    Proof(
        f"cdc.channel.{_WIDTH}",
        "each word crosses once, as it was written, and is never counted as read before it was, whatever resets come",
        _Channel,
        cover_depth=21,
        mutant_depth=17,
    ),
]
