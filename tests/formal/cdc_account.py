"""The account of one channel between two clocks: each word written, sent, arrived, read, and what restarts throw away.

It is the prover's own memory, beside whatever writes and reads; `cdc_channel` states it of a channel by itself, and
`mu_async` of those in the Messaging Unit.
"""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Signal
from clocks import Clocks
from inside import Inside

from epbell.cdc import Receiver, Restart, Sender
from epbell_tb.formal_checks import Checks

__all__ = ["Account", "edges", "one_at_most", "other", "state_shakes"]


class Account:
    """What becomes of the words of one channel.

    Parameters
    ----------
    clocks : Clocks
        The bench.
    ends : dict of Restart
        Both ends of the restart of the link, by domain.
    sender, receiver : Sender, Receiver
        The ends of the channel; the sender has been looked into (:class:`Inside`) before it was instantiated.
    stored : Value
        What whoever writes keeps of the word written last.
    near : str
        Domain of the sender.
    name : str
        Prefix of the names of the bench's memory.

    Attributes
    ----------
    fresh : Signal
        The newest word was written, and not read since.
    crossing, there : Signal
        A word crosses; the newest one has arrived and has not been read.
    sends, superseded, arrives, reads : Value
        In this step a word begins to cross, is replaced before it did, arrives, is read.
    clears : Value
        In this step an end zeroes its toggles.
    lost : Value
        The newest word is neither read nor under way, since an end was reset: it will be sent again.
    balance : tuple
        Whether all words have been accounted for since nothing was under way; how many were written, and how many
        superseded or arrived.
    works : Value
        No restart is under way of which the ends know.
    """

    def __init__(
        self,
        clocks: Clocks,
        ends: dict[str, Restart],
        sender: Sender,
        receiver: Receiver,
        *,
        stored: Any,
        near: str,
        name: str = "",
    ) -> None:
        self.clocks, self.ends, self.m = clocks, ends, clocks.m
        self.insides = {domain: Inside(end) for domain, end in ends.items()}
        self.sender, self.receiver, self.inner = sender, receiver, Inside(sender)
        self.near, self.far, self._name = near, other(near), name
        self.tick, self.far_tick = clocks.ticks[self.near], clocks.ticks[self.far]
        self.up, self.far_up = ends[self.near].up, ends[self.far].up
        self.word: Any = getattr(sender, "word", Cat())
        self.stored = stored
        self._account()

    def state(self, checks: Checks) -> None:
        """State that nothing is lost, nothing is invented, and how long it takes."""
        self._state_restart(checks)
        self._state_work(checks)
        self._state_answers(checks)
        self._state_words(checks)
        self._state_bounds(checks)

    def _signal(self, name: str, shape: Any = 1) -> Any:
        return Signal(shape, name=f"{self._name}{name}")

    def _account(self) -> None:
        """Follow each word: written, sent, arrived, read; what restarts throw away."""
        m, sender, receiver = self.m, self.sender, self.receiver
        clocks, width = self.clocks, len(self.word)
        self.out, self.back = clocks.synchroniser(receiver.toggle), clocks.synchroniser(sender.seen)
        self.gone = clocks.synchroniser(sender.taken)
        self.newest, self.sent = self._signal("newest", width), self._signal("word_sent", width)
        self.fresh, self.crossing, self.there = (self._signal(name) for name in ("fresh", "crossing", "there"))
        self.resets = clocks.resets[self.near] | (self.tick & sender.reset)
        self.far_resets = clocks.resets[self.far] | (self.far_tick & receiver.reset)
        word = receiver.word if width else self.newest
        self.has_newest = receiver.full & (word == self.newest)
        self.waiting = self.inner.signal("waiting")
        self.superseded = self.tick & sender.superseded & ~clocks.resets[self.near]
        writes = self.tick & sender.write
        self.reads = self.far_tick & receiver.take & receiver.full
        self.arrives = self.far_tick & receiver.arrived
        free = self.tick & self.up & (sender.toggle == self.back.second)
        self.sends = free & (sender.write | self.waiting)
        phases = [self.insides[name].signal("released") | self.ends[name].ack for name in (self.near, self.far)]
        self.works = ~Cat(*phases).any()
        self.clears = (self.tick & self.ends[self.near].clear) | (self.far_tick & self.ends[self.far].clear)
        with m.If(writes):
            m.d.sync += self.newest.eq(self.word)
        with m.If(self.sends):
            m.d.sync += self.sent.eq(self.word)
        newest_arrives = self.arrives & self.fresh & ~self.waiting & ~self.far_resets
        m.d.sync += [
            self.fresh.eq(~self.resets & (writes | (self.fresh & ~(self.reads & self.there)))),
            self.crossing.eq(~self.clears & (self.sends | (self.crossing & ~self.arrives))),
            self.there.eq(~self.resets & ~self.far_resets & ~writes & (newest_arrives | (self.there & ~self.reads))),
        ]

    def _phases(self, domain: str) -> tuple[Any, ...]:
        end, far = self.ends[domain], self.ends[other(domain)]
        asks, answers = self.clocks.synchroniser(far.far_down), self.clocks.synchroniser(end.far_ack)
        return self.insides[domain].signal("released"), asks.first, asks.second, far.ack, answers.first, answers.second

    def _state_restart(self, checks: Checks) -> None:
        """State which toggles are zero as the two hand-shakes of a restart come to their ends."""
        sender, receiver = self.sender, self.receiver
        toggle, seen, taken = sender.toggle, receiver.seen, receiver.taken
        out, back, gone = self.out, self.back, self.gone
        released, x1, x2, ack, y1, y2 = self._phases(self.near)
        for when, zero in (
            (released, toggle | self.crossing),
            (released & ~x1, seen | taken | out.unsettled),
            (released & ~x2, out.first),
            (released & ~ack, out.second),
            (released & ~y1, back.unsettled | gone.unsettled),
            (released & ~y2, back.first | gone.first),
        ):
            checks.invariant("what the writer has zeroed, and then all that follows it, is zero", ~(when & zero))
        released_b, u1, u2, ack_b, v1, v2 = self._phases(self.far)
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
        k_a = self.clocks.synchroniser(self.ends[self.far].far_ack)
        for zero in (k_a.unsettled, x1 & v1, x2 & v2, ack):
            checks.invariant("a restart after the first word of a link comes behind that of the link", ~(late & zero))

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
        checks.backward("one word crosses at a time", ~(self.sends & self.crossing))
        if not len(self.word):
            return
        checks.invariant("the word waits for the receiver", ~self.crossing | (sender.payload == self.sent))
        checks.backward("it arrives as it was sent", ~self.arrives | (receiver.payload == self.sent))
        payload = self.clocks.unsettled(sender.payload, self.far)
        checks.invariant("a word is as old as its toggle", ~payload | out.unsettled)
        checks.backward("it has been there for a clock of the reader", ~self.arrives | ~payload)

    def _state_answers(self, checks: Checks) -> None:
        """State that an answer for an older word is never taken for one about a newer word."""
        sender, receiver = self.sender, self.receiver
        back, gone = self.back, self.gone
        checks.invariant(
            "what has just been taken is what was seen", ~gone.unsettled | (receiver.taken == receiver.seen)
        )
        checks.invariant("the answers never change in the same clock", ~(self.works & gone.unsettled & back.unsettled))
        answers = self.works | (self._phases(self.far)[0] & ~self._phases(self.far)[3])
        for seen, taken in ((back.first, gone.first), (back.second, gone.second)):
            checks.invariant(
                "one answer that says taken, beside one that says seen, is the newest",
                ~(answers & (seen == sender.toggle) & (taken == sender.toggle)) | (receiver.taken == sender.toggle),
            )

    def _state_words(self, checks: Checks) -> None:
        sender, receiver = self.sender, self.receiver
        fresh, waiting, crossing = self.fresh, self.waiting, self.crossing
        a, b = self.insides[self.near].signal, self.insides[self.far].signal
        restarts = a("needed") | a("down") | b("needed") | b("down")
        halted_a, halted_b = a("needed") | a("down") | a("released"), b("needed") | b("down") | b("released")
        checks.invariant("what is written to a writer that is halted waits", ~(halted_a & fresh) | waiting)
        checks.invariant("while the newest word is there, nothing is under way", ~(self.there & (waiting | crossing)))
        checks.invariant("a restart begins with nothing there", ~((halted_a | halted_b) & self.there))
        checks.invariant("a reader that is halted has nothing", ~(halted_b & receiver.full))
        self.lost = lost = fresh & ~(waiting | crossing | self.there)
        checks.invariant("the writer keeps the newest word", ~fresh | (self.stored == self.newest))
        checks.invariant("what waits is not read", ~waiting | sender.full)
        checks.invariant("a word that is lost will be sent again", ~lost | restarts | self.ends[self.near].ack)
        unanswered = (receiver.seen == sender.toggle) & (receiver.taken != receiver.seen)
        checks.invariant("until then nobody says that it was read", ~(lost & self.up) | unanswered)
        checks.invariant("the newest word is there", ~self.there | self.has_newest & fresh)
        checks.invariant(
            "it is unanswered while it is there", ~(self.there & self.works) | (receiver.taken != receiver.seen)
        )
        checks.invariant(
            "the newest word is crossing", ~(fresh & crossing & ~waiting) | (self.sent == self.newest) & ~self.there
        )
        checks.forward("the writer never counts an unread word as read", ~fresh | sender.full)
        checks.forward(
            "once the link is quiet, a word that is not read is with the reader",
            ~(fresh & self.up & self.far_up & ~sender.busy) | self.has_newest,
        )
        self._state_balance(checks)

    def _state_balance(self, checks: Checks) -> None:
        """State that all words are accounted for from a time on at which the link works and nothing is under way."""
        m = self.m
        begun: Any = self._signal("begun")
        rung, gone = self._signal("rung", 8), self._signal("superseded_or_arrived", 8)
        up = self.up & self.far_up & ~self.resets
        under_way: Any = Signal(range(3))
        m.d.comb += under_way.eq(self.waiting + self.crossing)
        counts = up & (begun | (under_way == 0))
        m.d.sync += begun.eq(counts)
        with m.If(counts):
            m.d.sync += [
                rung.eq(rung + (self.tick & self.sender.write)),
                gone.eq(gone + self.superseded + self.arrives),
            ]
        with m.Else():
            m.d.sync += [rung.eq(0), gone.eq(0)]
        checks.invariant("the count begins with nothing", begun | ((rung == 0) & (gone == 0)))
        checks.forward(
            "rung = superseded + arrived + under way, while the link works", ~begun | (rung == (gone + under_way)[:8])
        )
        quiet = begun & up & ~self.sender.busy
        checks.forward("rung = superseded + arrived, once it is quiet", ~quiet | (rung == gone))
        self.balance = begun & up, rung, gone

    def _state_bounds(self, checks: Checks) -> None:
        """State how many ticks it takes while the link works."""
        m, sender, receiver = self.m, self.sender, self.receiver
        self.ticks_there, self.ticks_back = there, told = (
            self._signal("ticks_of_reader", range(8)),
            self._signal("ticks_of_writer", range(8)),
        )
        with m.If(self.sends | self.arrives | ~self.far_up | ~self.crossing):
            m.d.sync += there.eq(0)
        with m.Elif(self.far_tick):
            m.d.sync += there.eq(there + 1)
        with m.If(self.arrives | ~self.up | self.crossing):
            m.d.sync += told.eq(0)
        with m.Elif(self.tick & (told != 3)):
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
            ~(quiet & self.up) | (told < 3) | (self.back.second == sender.toggle),
        )


def state_shakes(clocks: Clocks, checks: Checks, ends: dict[str, Restart]) -> None:
    """State of both hand-shakes of a restart that one change is under way at a time."""
    for domain, end in ends.items():
        far, inside = ends[other(domain)], Inside(end)
        down, released = inside.signal("down"), inside.signal("released")
        asks, answers = clocks.synchroniser(far.far_down), clocks.synchroniser(end.far_ack)
        chain = [end.down, asks.first, asks.second, far.ack, answers.first, answers.second]
        checks.invariant("one change is under way at a time", one_at_most(edges(chain)))
        for one in (asks, answers):
            checks.invariant("an unsettled input is ahead of its synchroniser", ~one.unsettled | (one.i != one.first))
        checks.invariant("what was released is not down", ~(released & down))
        checks.invariant("with nothing asked for there is no answer", down | released | ~Cat(*chain).any())


def edges(chain: list[Any]) -> list[Any]:
    """Return where the flip-flops of a chain differ from the next ones."""
    return [one != other for one, other in pairwise(chain)]


def one_at_most(bits: list[Any]) -> Any:
    """Return whether no two bits are set."""
    value: Any = Cat(*bits)
    return ~(value & (value - 1)[: len(value)]).any()


def other(domain: str) -> str:
    """Return the other one of the two domains."""
    return "b" if domain == "a" else "a"
