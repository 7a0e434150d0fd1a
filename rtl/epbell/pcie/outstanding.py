"""Reads of host memory that have not been answered yet: their tags, their time limit and their order.

A tag is in one of four states. It is *free* until a read takes it, *waiting* until its completion comes, then *done*
until the answer is handed over. A read whose completion does not come in time is answered without it, and its tag is
*lost*: the hard block still has the request in its table, and the completion may yet come. The tag becomes free again
when the hard block says that it has done with it, and in no other way: with the late completion, with its own notice
of a timeout, or with that of a function-level reset. Until then no new read can be mistaken for the old one.

A reset of the function ends every read. What had begun to leave is lost, as above; what had not never will, so its tag
is free.
"""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from epbell.pcie.requester import COMPLETION, Cause

__all__ = [
    "DEFAULT_TIMEOUT",
    "Outstanding",
]

DEFAULT_TIMEOUT = 3_125_000
"""Clocks: 12.5 ms at 250 MHz. PCI Express, 2.8, allows 50 us to 50 ms by default and recommends not less than 10 ms."""

_MAX_TAGS = 256
_RESULT = data.StructLayout({"cause": Cause, "data": 32})


class Outstanding(wiring.Component):
    """Hands out tags, collects completions, and gives the answers in the order in which the reads were taken.

    The tags are handed out in rotation. From a completion to ``d_valid``: 2 clocks, if the read is the oldest one; from
    a read that is refused: 2 clocks, likewise. A read without a completion is answered ``timeout + 1`` clocks after it
    was taken (later when its turn comes later). A completion in the very clock in which a read is given up is too late:
    the read fails, the tag is free. When every tag is lost, reads fail at once with ``TIMEOUT``: the CPU never hangs.

    With ``flush`` every read fails with ``TIMEOUT``, one per clock in their order, unless its completion has come in an
    earlier clock. A read that is taken while ``flush`` is high must be refused.

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
        There is room for a read. Depends on flip-flops only.
    valid, address, refusal : In(1), In(32), In(Cause)
        A read is taken in this clock (only while ``ready``); its local address; not ``NONE``: it is not to be sent, and
        fails for that reason.
    send, tag : Out(1), Out(8)
        Whether the read that is taken is to be sent, and its tag. Combinational.
    begins, begun : In(1), In(8)
        The request with this tag begins to leave.
    flush : In(1)
        The function is being reset: nothing begins to leave any more of what was taken.
    c_valid, completion : In(1), In(COMPLETION)
        A packet of the RC stream.
    d_valid, d_ready, d_data, d_cause : Out(1), In(1), Out(32), Out(Cause)
        Answers, in order. The data is zero when the cause is not ``NONE``.
    d_address : Out(32)
        Local address of the read.
    d_fresh : Out(1)
        First clock of an answer.
    unexpected : Out(1)
        A completion has been dropped: late, for a tag without a request, or not the end of one. Combinational.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    ready: Any
    valid: Any
    address: Any
    refusal: Any
    send: Any
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
        self._tag_shape = range(max(tags, 2))
        super().__init__({
            "ready": Out(1),
            "valid": In(1),
            "address": In(32),
            "refusal": In(Cause),
            "send": Out(1),
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
            "d_address": Out(32),
            "d_fresh": Out(1),
            "unexpected": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the queue of the reads, the table of the tags, and the register with the oldest answer."""
        m: Any = Module()
        # A read that is late is seen to be late at its turn; only if the CPU has left the answer before it for more
        # than a hundred timeouts may it fail a timeout later.
        clock_bits = self._timeout.bit_length() + 8
        layout = data.StructLayout({"tag": self._tag_shape, "refusal": Cause, "address": 30, "taken": clock_bits})
        table: Any = Signal(data.StructLayout({state: self._tags for state in ("waiting", "done", "lost", "begun")}))
        now: Any = Signal(clock_bits)
        entry: Any = Signal(layout)
        oldest: Any = Signal(layout)
        m.submodules.order = order = SyncFIFO(width=layout.size, depth=self._reads)
        with m.If(self.valid | order.r_rdy):  # without reads there is nothing to measure, and nothing moves
            m.d.sync += now.eq(now + 1)

        ending: Any = Signal()  # reads from before a flush have not been answered yet
        ends: Any = Signal()
        m.d.sync += ending.eq(self.flush | (ending & order.r_rdy))
        available, stranded, number = self._pick(m, table)
        m.d.comb += [
            ends.eq(self.flush | ending),
            self.ready.eq(order.w_rdy & (available | stranded) & ~(ending & order.r_rdy)),
            self.send.eq(available & (self.refusal == Cause.NONE)),
            self.tag.eq(number),
            entry.tag.eq(number),
            entry.refusal.eq(Mux((self.refusal == Cause.NONE) & ~available, Cause.TIMEOUT, self.refusal)),
            entry.address.eq(self.address[2:]),
            entry.taken.eq(now),
            order.w_data.eq(entry.as_value()),
            order.w_en.eq(self.valid),
            oldest.as_value().eq(order.r_data),
        ]
        m.d.sync += Assert(~self.valid | self.ready, "a read of the CPU is taken without room for it")
        late: Any = Signal()
        age: Any = Signal(clock_bits)
        m.d.comb += [age.eq(now - oldest.taken), late.eq((age >= self._timeout) | ends)]
        self._answer(m, table, order, oldest, late, ends)
        return m

    def _pick(self, m: Any, table: Any) -> tuple[Any, Any, Any]:
        """Walk round the tags; return "this one is free", "all are lost", and its number."""
        number: Any = Signal(self._tag_shape)
        available: Any = Signal()
        taken = table.waiting | table.done | table.lost
        m.d.comb += available.eq(~taken.bit_select(number, 1))
        with m.If(~available | (self.valid & self.send)):
            m.d.sync += number.eq(Mux(number == self._tags - 1, 0, number + 1))
        with m.If(self.valid & self.send):
            m.d.sync += [table.waiting.bit_select(number, 1).eq(1), table.begun.bit_select(number, 1).eq(0)]
        with m.If(self.begins):
            m.d.sync += table.begun.bit_select(self.begun[: len(number)], 1).eq(1)
        return available, table.lost.all(), number

    def _answer(self, m: Any, table: Any, order: Any, oldest: Any, late: Any, ends: Any) -> None:
        """Hand over the oldest read when it is refused, done or late; meanwhile file a completion."""
        m.submodules.results = results = Memory(shape=_RESULT, depth=self._tags, init=[])
        filing: Any = results.write_port()
        found: Any = results.read_port(domain="comb")
        result = found.data
        done: Any = Signal()
        refused: Any = Signal()
        take: Any = Signal()
        gives_up: Any = Signal()
        cause: Any = Signal(Cause)
        m.d.comb += [
            found.addr.eq(oldest.tag),
            refused.eq(oldest.refusal != Cause.NONE),
            done.eq(~refused & table.done.bit_select(oldest.tag, 1)),
            take.eq(order.r_rdy & (~self.d_valid | self.d_ready) & (refused | done | late)),
            order.r_en.eq(take),
            gives_up.eq(take & ~refused & ~done),
            cause.eq(Mux(refused, oldest.refusal, Mux(done, result.cause, Cause.TIMEOUT))),
        ]
        m.d.sync += self.d_fresh.eq(take)
        with m.If(take):
            m.d.sync += [
                self.d_valid.eq(1),
                self.d_data.eq(Mux(cause == Cause.NONE, result.data, 0)),
                self.d_cause.eq(cause),
                self.d_address[2:].eq(oldest.address),
            ]
        with m.Elif(self.d_ready):
            m.d.sync += self.d_valid.eq(0)
        with m.If(take & done):
            m.d.sync += table.done.bit_select(oldest.tag, 1).eq(0)
        with m.If(self.flush):
            m.d.sync += table.lost.eq(table.lost & table.begun)
        with m.If(gives_up):
            m.d.sync += [
                table.waiting.bit_select(oldest.tag, 1).eq(0),
                table.lost.bit_select(oldest.tag, 1).eq(~ends | table.begun.bit_select(oldest.tag, 1)),
            ]
        self._file(m, table, filing, gives_up, oldest)

    def _file(self, m: Any, table: Any, filing: Any, gives_up: Any, oldest: Any) -> None:
        """Write down how a request has ended; or that nobody waits for that any more."""
        completion = self.completion
        tag: Any = Signal(self._tag_shape)
        ends: Any = Signal()
        too_late: Any = Signal()
        m.d.comb += [
            tag.eq(completion.tag),
            ends.eq(self.c_valid & completion.ends & (completion.tag < self._tags)),
            too_late.eq((gives_up & (oldest.tag == tag)) | table.lost.bit_select(tag, 1)),
            filing.addr.eq(tag),
            filing.data.cause.eq(completion.cause),
            filing.data.data.eq(completion.data),
            filing.en.eq(ends & ~too_late & table.waiting.bit_select(tag, 1)),
            self.unexpected.eq(self.c_valid & ~filing.en & ~(ends & too_late & completion.notice)),
        ]
        with m.If(filing.en):
            m.d.sync += [table.waiting.bit_select(tag, 1).eq(0), table.done.bit_select(tag, 1).eq(1)]
        with m.If(ends & too_late):
            m.d.sync += table.lost.bit_select(tag, 1).eq(0)
