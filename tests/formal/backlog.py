"""Proof of the backlog: what comes goes, once, in its order; there is always a place for it, and room in time."""

from functools import partial
from typing import Any

from amaranth.hdl import Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.backlog import Backlog
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_ENTRY = 4


class _Backlog(Bench):
    """The backlog, beside the entries that came and did not go."""

    def __init__(self, under_way: int) -> None:
        self.under_way = under_way
        super().__init__({"i_valid": In(1), "i_data": In(_ENTRY), "o_ready": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        under_way = self.under_way
        dut: Any = Backlog(data.StructLayout({"entry": _ENTRY}), under_way)
        inside = Inside(dut)
        m.submodules.dut = dut
        m.d.comb += [
            dut.i_valid.eq(self.i_valid),
            dut.i_data.as_value().eq(self.i_data),
            dut.o_ready.eq(self.o_ready),
        ]
        left: Any = Signal(range(under_way + 1), name="left")  # what may still come without room
        m.d.sync += left.eq(Mux(dut.room, under_way, left) - self.i_valid)
        checks.assume(
            "no more comes without room than is under way: the parser's stages are as many",
            ~self.i_valid | dut.room | (left != 0),
        )
        shown = dut.o_data.as_value()
        oldest, newest, level = (inside.signal(name) for name in ("oldest", "newest", "level"))
        places = 1 << len(oldest)
        comes, goes = self.i_valid, dut.o_valid & self.o_ready
        # The account: the oldest entry first.
        held = [Signal(_ENTRY, name=f"held{n}") for n in range(places)]
        count: Any = Signal(range(places + 2), name="count")
        m.d.sync += count.eq(count + comes - goes)
        for n in range(places):
            kept = Mux(goes, held[n + 1], held[n]) if n + 1 < places else held[n]
            m.d.sync += held[n].eq(Mux(comes & (count - goes == n), self.i_data, kept))
        checks.invariant("as many are kept as came and did not go", level == count)
        checks.invariant("it knows whether there is a place", inside.signal("free") == (level != places))
        checks.invariant("kept in a ring", newest == (oldest + level)[: len(oldest)])
        checks.invariant("there is a place for what may come", dut.room | (level + left <= places))
        for n in range(places):
            word = inside.word(m, "entries", (oldest + n)[: len(oldest)])
            checks.invariant("each is where it has to be", (level <= n) | (word.as_value() == held[n]))
        checks.backward("never more is kept than there are places for", count <= places)
        checks.forward("what came is on its way out in the next clock", ~count.any() | dut.o_valid)
        checks.forward("the oldest first", ~dut.o_valid | (shown == held[0]))
        checks.backward("nothing goes out that did not come", ~dut.o_valid | count.any())
        some = count <= places - under_way
        checks.forward("there is room while as many more may come as are under way", dut.room == some)
        waits = checks.past(dut.o_valid & ~self.o_ready, "waited")
        before = checks.past(shown, "shown_before")
        checks.backward("what is offered stays, unchanged, until it is taken", ~waits | dut.o_valid & (shown == before))
        checks.cover("full, and the oldest goes", (count == places) & goes & (held[0] != held[places - 1]))
        checks.cover("full when the last one has come that may", (count == places) & (left == 0))


PROOFS = [
    Proof(
        f"backlog.order.{under_way}",
        "what comes goes once, in its order; there is a place for all that is under way, and room in time",
        partial(_Backlog, under_way),
        depth=1,
        cover_depth=2 * under_way + 3,
        mutant_depth=2 * under_way + 3,
    )
    for under_way in (2, 8)
]
