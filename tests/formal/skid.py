"""Proof of the place beside a stream: every beat goes on once, in its order, in its clock if the receiver takes it."""

from typing import Any

from amaranth.hdl import Cat, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.pcie.skid import Skid
from epbell.pcie.usp import CompleterCompletion
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_WIDTH = 64
_BEAT = ("tdata", "tkeep", "tuser", "tlast")


class _Skid(Bench):
    """The sender keeps its beat until it is taken; the receiver is ready when it likes."""

    def __init__(self) -> None:
        self.fields = {name: CompleterCompletion(_WIDTH).members[name].shape for name in _BEAT}
        super().__init__({
            "tvalid": In(1),
            "tready": In(1),
            **{name: In(shape) for name, shape in self.fields.items()},
        })

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Skid(CompleterCompletion(_WIDTH))
        inside = Inside(dut)
        m.d.comb += [
            dut.i.tvalid.eq(self.tvalid),
            dut.o.tready.eq(self.tready),
            *(getattr(dut.i, name).eq(getattr(self, name)) for name in _BEAT),
        ]
        given, shown = (Cat(getattr(of, name) for name in _BEAT) for of in (self, dut.o))
        comes, goes = self.tvalid & dut.i.tready, dut.o.tvalid & self.tready
        # The account: the beat that came and did not go in its clock, if there is one.
        owed: Any = Signal(name="owed")
        beat: Any = Signal(len(given), name="beat_owed")
        m.d.sync += owed.eq((owed | comes) & ~goes)
        with m.If(comes & ~owed):
            m.d.sync += beat.eq(given)
        kept = Cat(inside.signal(f"{name}_kept") for name in _BEAT)
        checks.invariant("a beat is kept when one is owed", dut.holds == owed)
        checks.invariant("or there is a place", inside.signal("free") == ~owed)
        checks.invariant("it is that one", ~owed | (kept == beat))
        checks.backward("no beat is taken while one is owed", ~(comes & owed))
        checks.forward("without one, each beat is taken", owed | dut.i.tready)
        checks.forward("what is owed is on the stream", ~owed | dut.o.tvalid & (shown == beat))
        checks.forward("what comes is on the stream in its clock", ~comes | dut.o.tvalid & (owed | (shown == given)))
        checks.backward("nothing goes out that did not come", ~dut.o.tvalid | owed | comes)
        waits = checks.past(dut.o.tvalid & ~self.tready, "waited")
        before = checks.past(shown, "shown_before")
        stays = dut.o.tvalid & (shown == before)
        checks.backward("what is offered stays, unchanged, until it is taken", ~waits | stays)
        checks.forward("whether a beat is kept is told", dut.holds == owed)
        checks.cover("a beat that was kept goes", owed & goes & (beat != given))
        checks.cover("another one behind it, at once", comes & goes & checks.past(owed & goes, "went_before"))


PROOFS = [
    Proof(
        f"skid.order.{_WIDTH}",
        "every beat goes on once, in its order, at once if the receiver takes it; the sender's ready is a flip-flop",
        _Skid,
        depth=1,
        cover_depth=5,
        mutant_depth=5,
    )
]
