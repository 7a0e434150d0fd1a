"""Reads of host memory that have not been answered yet: their tags, their time limit and their order.

A tag is in one of four states. It is *free* until a read takes it, *waiting* until its completion comes, then *done*
until the answer is handed over. A read whose completion does not come in time is answered without it, and its tag is
*lost*: the hard block still has the request in its table, and the completion may yet come. The tag becomes free again
when the hard block says that it has done with it, and in no other way: with the late completion, with its own notice
of a timeout, or with that of a function-level reset. Until then no new read can be mistaken for the old one.

A reset of the function ends every read. What had begun to leave is lost, as above; what had not never will, so its tag
is free.

Whoever wants something of a tag has its number decoded in a clock before, one flip-flop for each tag. So each tag
changes its state by itself, and to look one up is an AND-OR.
"""

from typing import Any

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of
from epbell.pcie.fifo import Fifo
from epbell.pcie.requester import COMPLETION, Cause

__all__ = [
    "DEFAULT_TIMEOUT",
    "Outstanding",
]

DEFAULT_TIMEOUT = 3_125_000
"""Clocks: 12.5 ms at 250 MHz. PCI Express, 2.8, allows 50 us to 50 ms by default and recommends not less than 10 ms."""

_MAX_TAGS = 256
_RESULT = data.StructLayout({"cause": Cause, "data": 32})
_FLUSH_DELAY = 3  # clocks from `begins` to a look at what has begun


class _State(enum.Enum):
    EMPTY = 0  # takes the oldest read out of the queue
    DECODE = 1  # its tag
    LOOK = 2  # whether it is done, for the first time
    DECIDE = 3  # waits until it is refused, done or late, and for its turn
    GIVE_UP = 4  # in this clock
    GIVEN_UP = 5  # or its completion was there in the clock before


class Outstanding(wiring.Component):
    """Hands out tags, collects completions, and gives the answers in the order in which the reads were taken.

    The tags are handed out in rotation, one in five clocks at most. From a completion to ``d_valid``: 4 clocks,
    if the read is the oldest one; from a read that is refused: 5 clocks, likewise; answers follow each other every four
    clocks at most. A read without a completion is given up ``timeout + 2`` clocks after it was taken, not before its
    turn: the fourth clock from when it became the oldest, or the clock after the one in which the answer before was
    handed over, if that is later. A completion up to two clocks before that, and no later, is in time; with one in the
    clock before, the read fails, and the tag is free. ``d_valid`` of a read that was given up comes 2 clocks later.
    When every tag is lost, reads fail at once with ``TIMEOUT``: the CPU never hangs.

    With ``flush`` every read fails with ``TIMEOUT``, in their order, unless its completion has come in an earlier
    clock or, while others fail before it, comes meanwhile. It is three clocks before that has begun: by then all is
    known that has begun to leave. A read that is taken in the clock after one with ``flush`` must be refused, and what
    is taken in the first clock of ``flush`` must not begin to leave.

    Parameters
    ----------
    reads : int
        Reads that may be outstanding, 1 to `tags`.
    tags : int
        Number of tags, 1 to 256; 32 are allowed without Extended Tags.
    timeout : int
        Clocks until a read fails, 1 or more.

    Attributes
    ----------
    ready : Out(1)
        There is room for a read. A flip-flop; low in the clock after one in which a read was taken.
    valid, address, refusal : In(1), In(32), In(Cause)
        A read is taken in this clock (only while ``ready``); its local address; not ``NONE``: it is not to be sent, and
        fails for that reason.
    available, tag : Out(1), Out(8)
        Whether there is a tag for the read that is taken, so that it is to be sent unless it is refused, and which.
        Flip-flops.
    begins, begun : In(1), In(8)
        The request with this tag begins to leave.
    flush : In(1)
        The function is being reset: nothing begins to leave from the next clock on.
    c_valid, completion : In(1), In(COMPLETION)
        A packet of the RC stream.
    d_valid, d_ready, d_data, d_cause : Out(1), In(1), Out(32), Out(Cause)
        Answers, in order. The data is zero when the cause is not ``NONE``.
    d_failed : Out(1)
        The cause is not ``NONE``.
    d_address : Out(32)
        Local address of the read.
    d_fresh : Out(1)
        First clock of an answer.
    unexpected : Out(1)
        A completion has been dropped, two clocks ago: late, for a tag without a request, or not the end of one.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    ready: Any
    valid: Any
    address: Any
    refusal: Any
    available: Any
    tag: Any
    begins: Any
    begun: Any
    flush: Any
    c_valid: Any
    completion: Any
    d_valid: Any
    d_ready: Any
    d_data: Any
    d_cause: Any
    d_failed: Any
    d_address: Any
    d_fresh: Any
    unexpected: Any

    def __init__(self, reads: int = 8, *, tags: int = 32, timeout: int = DEFAULT_TIMEOUT) -> None:
        if not isinstance(tags, int) or not 1 <= tags <= _MAX_TAGS:
            raise ValueError(f"The number of tags must be 1 to {_MAX_TAGS}, not {tags!r}")
        if not isinstance(reads, int) or not 1 <= reads <= tags:
            raise ValueError(f"The number of outstanding reads must be 1 to {tags}, not {reads!r}")
        if not isinstance(timeout, int) or timeout < 1:
            raise ValueError(f"The completion timeout must be 1 clock or more, not {timeout!r}")
        self._reads, self._tags, self._timeout = reads, tags, timeout
        super().__init__({
            "ready": Out(1),
            "valid": In(1),
            "address": In(32),
            "refusal": In(Cause),
            "available": Out(1),
            "tag": Out(8),
            "begins": In(1),
            "begun": In(8),
            "flush": In(1),
            "c_valid": In(1),
            "completion": In(COMPLETION),
            "d_valid": Out(1),
            "d_ready": In(1),
            "d_data": Out(32),
            "d_cause": Out(Cause),
            "d_failed": Out(1),
            "d_address": Out(32),
            "d_fresh": Out(1),
            "unexpected": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the queue of the reads, the tags, and what happens to the oldest read and to a completion."""
        m: Any = Module()
        # Each a flip-flop for each tag; what is decoded (hit, oldest, begun) acts in the clock in which it is there.
        names = ("waiting", "done", "lost", "left", "next", "hit", "oldest", "begun")
        self._of: dict[str, Any] = {
            name: Signal(self._tags, name=f"tags_{name}", init=int(name == "next")) for name in names
        }
        self._state: Any = Signal(_State)
        self._ends: Any = Signal()  # reads that wait fail
        self._flushed: Any = Signal()  # nothing of what has not begun to leave ever will
        self._gives_up: Any = Signal()  # the oldest read is given up in this clock, unless it is done
        self._stays: Any = Signal(init=1)  # it is not: for all tags at once, which are many
        self._closes: Any = Signal()  # the read in `oldest` was answered in the clock before
        takes: Any = Signal()
        took: Any = Signal()  # in the clock before; the tag learns of it now
        m.d.sync += took.eq(takes)
        entry = self._queue(m, takes)
        self._pick(m, takes, took)
        self._answer(m, entry)
        self._file(m)
        self._step(m, took)
        return m

    def _queue(self, m: Any, takes: Any) -> Any:
        """Queue the reads, with the time; return the oldest, which has left the queue."""
        # A read that is late is seen to be late at its turn; only if the CPU has left the answer before it for more
        # than a hundred timeouts may it fail a timeout later.
        clock_bits = self._timeout.bit_length() + 8
        layout = data.StructLayout({
            "tag": range(max(self._tags, 2)),
            "refusal": Cause,
            "address": 30,
            "taken": clock_bits,
        })
        now: Any = Signal(clock_bits)
        limit: Any = Signal(clock_bits, init=(1 << clock_bits) - self._timeout)  # what was taken then is late
        entry: Any = Signal(layout)
        oldest: Any = Signal(layout)
        pending: Any = Signal(range(self._reads + 1))  # reads that have not been answered
        m.submodules.order = order = Fifo(layout, self._reads)
        with m.If(self.valid | pending.any()):  # without reads there is nothing to measure, and nothing moves
            m.d.sync += [now.eq(now + 1), limit.eq(limit + 1)]
        m.d.comb += [
            takes.eq(self.valid & (self.refusal == Cause.NONE) & self.available),
            entry.tag.eq(self.tag),
            entry.refusal.eq(Mux((self.refusal == Cause.NONE) & ~self.available, Cause.TIMEOUT, self.refusal)),
            entry.address.eq(self.address[2:]),
            entry.taken.eq(now),
            order.i_data.eq(entry),
            order.i_valid.eq(self.valid),
            order.o_ready.eq(self._state == _State.EMPTY),
        ]
        with m.If(order.o_ready):
            m.d.sync += oldest.eq(order.o_data)
        fewer = Mux(self.d_fresh, pending - 1, pending)
        m.d.sync += pending.eq(Mux(self.valid, Mux(self.d_fresh, pending, pending + 1), fewer))
        self._late: Any = Signal()
        m.d.sync += self._late.eq(~(limit - oldest.taken)[clock_bits - 1])
        self._there: Any = order.o_valid

        flushed: Any = Signal(_FLUSH_DELAY)  # in the clocks before, the latest in bit 0
        ending: Any = Signal()  # reads from before a flush have not been answered yet
        stranded: Any = Signal()
        m.d.sync += [
            flushed.eq(Cat(self.flush, flushed)),
            ending.eq(flushed[-1] | (ending & pending.any())),
            stranded.eq(self._of["lost"].all()),
        ]
        resets: Any = Cat(self.flush, flushed)
        settled: Any = Signal()  # either a flush that all know of, or none
        m.d.comb += [
            self._flushed.eq(flushed[-1]),
            self._ends.eq(flushed[-1] | ending),
            settled.eq(resets.all() | ~resets.any()),
        ]
        room = (pending != self._reads) & ~(ending & pending.any()) & settled
        m.d.sync += self.ready.eq(room & (self.available | stranded) & ~self.valid)
        m.d.sync += Assert(~self.valid | self.ready, "a read of the CPU is taken without room for it")
        return oldest

    def _pick(self, m: Any, takes: Any, took: Any) -> None:
        """Walk round the tags, and stay at one that is free until it is taken."""
        of, number = self._of, self.tag
        looked: Any = Signal()  # at it, in the clock before
        free: Any = Signal()
        taken = of["waiting"] | of["done"] | of["lost"]
        goes_on: Any = Signal()
        m.d.comb += goes_on.eq(took | (looked & ~free & ~self.available))
        m.d.sync += [
            free.eq(~(taken & of["next"]).any()),
            looked.eq(~looked & ~self.available & ~took),
            self.available.eq((self.available & ~takes) | (looked & free)),
        ]
        with m.If(goes_on):
            m.d.sync += of["next"].eq(of["next"].rotate_left(1))
        # It is known that the next one is available two clocks after it is the next at the soonest.
        m.d.sync += number.eq(any_of([Mux(bit, Const(tag, len(number)), 0) for tag, bit in enumerate(of["next"])]))

    def _step(self, m: Any, took: Any) -> None:
        """Take each tag from state to state."""
        begins: Any = Signal()
        begun: Any = Signal(8)
        of = self._of
        m.d.sync += [begins.eq(self.begins), begun.eq(self.begun)]
        for tag in range(self._tags):
            waiting, done, lost, left, hit = (of[name][tag] for name in ("waiting", "done", "lost", "left", "hit"))
            taken = took & of["next"][tag]
            gives_up = self._gives_up & of["oldest"][tag]
            loses = gives_up & waiting & ~hit & (left | ~self._ends)
            m.d.sync += [
                of["begun"][tag].eq(begins & (begun == tag)),
                left.eq(of["begun"][tag] | (left & ~taken)),
                waiting.eq(taken | (waiting & ~hit & ~gives_up)),
                done.eq((waiting & hit & ~gives_up) | (done & ~(self._closes & of["oldest"][tag]))),
                lost.eq(loses | (lost & ~hit & (left | ~self._flushed))),
            ]

    def _answer(self, m: Any, oldest: Any) -> None:
        """Hand over the oldest read when it is refused or done, or late, and then perhaps done after all."""
        m.submodules.results = self._results = Memory(shape=_RESULT, depth=self._tags, init=[])
        found: Any = self._results.read_port(domain="comb")
        refused: Any = Signal()
        done: Any = Signal()  # a clock ago
        turn: Any = Signal()
        answers: Any = Signal()
        gives_up: Any = Signal()
        state = self._state
        m.d.comb += [
            found.addr.eq(oldest.tag),
            turn.eq((state == _State.DECIDE) & ~self.d_valid),
            answers.eq((turn & (refused | done)) | (state == _State.GIVEN_UP)),
            gives_up.eq(turn & ~refused & ~done & (self._late | self._ends)),
        ]
        m.d.sync += [
            *(
                bit.eq((oldest.tag == tag) & (oldest.refusal == Cause.NONE))
                for tag, bit in enumerate(self._of["oldest"])
            ),
            refused.eq(oldest.refusal != Cause.NONE),
            done.eq((self._of["done"] & self._of["oldest"]).any()),
            self._gives_up.eq(gives_up),
            self._stays.eq(~gives_up),
            self._closes.eq(answers),
            self.d_fresh.eq(answers),
            self.d_valid.eq(answers | (self.d_valid & ~self.d_ready)),
        ]
        with m.If(~self.d_valid):  # until there is an answer, whatever is in its place
            m.d.sync += [
                self.d_data.eq(found.data.data & done.replicate(32)),
                self.d_cause.eq(Mux(refused, oldest.refusal, Mux(done, found.data.cause, Cause.TIMEOUT))),
                self.d_failed.eq(refused | ~done | (found.data.cause != Cause.NONE)),
                self.d_address[2:].eq(oldest.address),
            ]
        with m.Switch(state):
            with m.Case(_State.EMPTY), m.If(self._there):
                m.d.sync += state.eq(_State.DECODE)
            with m.Case(_State.DECODE):
                m.d.sync += state.eq(_State.LOOK)
            with m.Case(_State.LOOK):
                m.d.sync += state.eq(_State.DECIDE)
            with m.Case(_State.DECIDE):
                with m.If(answers):
                    m.d.sync += state.eq(_State.EMPTY)
                with m.Elif(gives_up):
                    m.d.sync += state.eq(_State.GIVE_UP)
            with m.Case(_State.GIVE_UP):
                m.d.sync += state.eq(_State.GIVEN_UP)
            with m.Case(_State.GIVEN_UP):
                m.d.sync += state.eq(_State.EMPTY)

    def _file(self, m: Any) -> None:
        """Write down how a request has ended; or that nobody waits for that any more."""
        completion, of = self.completion, self._of
        filing: Any = self._results.write_port()
        layout = data.StructLayout({"valid": 1, "notice": 1, "tag": range(max(self._tags, 2)), "result": _RESULT})
        came: Any = Signal(layout)  # a clock ago: acts on its tag now
        filed: Any = Signal(layout)  # two clocks ago
        fits: Any = Signal()  # it is the end of a read that waited for it
        known: Any = Signal()  # or its tag had a request at least
        good = completion.cause == Cause.NONE
        kept = of["waiting"] & (~of["oldest"] | self._stays.replicate(self._tags))
        m.d.sync += [
            *(bit.eq(self.c_valid & completion.ends & (completion.tag == tag)) for tag, bit in enumerate(of["hit"])),
            came.valid.eq(self.c_valid),
            came.notice.eq(completion.notice),
            came.tag.eq(completion.tag),
            came.result.cause.eq(completion.cause),
            came.result.data.eq(completion.data & good.replicate(32)),
            filed.eq(came),
            fits.eq((of["hit"] & kept).any()),
            known.eq((of["hit"] & (of["waiting"] | of["lost"])).any()),
        ]
        m.d.comb += [
            filing.addr.eq(filed.tag),
            filing.data.eq(filed.result),
            filing.en.eq(fits),
            self.unexpected.eq(filed.valid & ~fits & ~(filed.notice & known)),
        ]
