"""Proof of the skid buffer: what comes in goes out, once, in its order, and is refused out of a flip-flop."""

from typing import Any

from amaranth.hdl import Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.skid import Skid
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_ENTRY = 4


class _Skid(Bench):
    """The buffer, beside the one entry that came and did not go."""

    def __init__(self) -> None:
        super().__init__({"i_valid": In(1), "i_data": In(_ENTRY), "o_ready": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        dut: Any = Skid(data.StructLayout({"entry": _ENTRY}))
        inside = Inside(dut)
        m.submodules.dut = dut
        m.d.comb += [
            dut.i_valid.eq(self.i_valid),
            dut.i_data.as_value().eq(self.i_data),
            dut.o_ready.eq(self.o_ready),
        ]
        shown = dut.o_data.as_value()
        comes, goes = self.i_valid & dut.i_ready, dut.o_valid & self.o_ready
        held: Any = Signal(name="held")
        entry: Any = Signal(_ENTRY, name="entry")
        m.d.sync += held.eq(held + comes - goes)
        with m.If(comes):
            m.d.sync += entry.eq(self.i_data)
        kept: Any = inside.signal("kept")
        checks.invariant("it is kept", (inside.signal("full") == held) & (~held | (kept == entry)))
        checks.forward("what is kept goes first", ~held | dut.o_valid & (shown == entry))
        passes = dut.o_valid & (shown == self.i_data)
        checks.forward("what comes goes in its own clock if nothing is kept", held | ~self.i_valid | passes)
        checks.backward("nothing goes that did not come", ~dut.o_valid | held | self.i_valid)
        checks.forward("there is room unless an entry is kept", held | dut.i_ready)
        checks.backward("there is none then", ~held | ~dut.i_ready)
        checks.backward("nothing goes twice or is lost", held + comes - goes <= Const(1, 3))
        waits = checks.past(dut.o_valid & ~self.o_ready & dut.i_ready, "waited")
        before = checks.past(Mux(dut.o_valid, shown, 0), "shown_before")
        checks.forward("what was let in and not taken stays", ~waits | dut.o_valid & (shown == before))
        checks.cover("one is kept while another one waits", held & self.i_valid & (entry != self.i_data))
        checks.cover("one after the other", checks.past(comes & goes, "passed") & comes & goes)


PROOFS = [
    Proof(
        "skid.order.4",
        "what comes goes once, in its order, without a lost clock; refused out of a flip-flop",
        _Skid,
        depth=1,
    ),
]
