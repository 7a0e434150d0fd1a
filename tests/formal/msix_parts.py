"""Proofs of what MSI-X is made of: the pending bits, the reads of an entry, the look at the host's writes."""

from functools import partial
from typing import Any

from amaranth.hdl import Array, Cat, Const, Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.msix_entry import EntryReader
from epbell.msix_pending import PendingBits
from epbell.msix_snoop import Snoop
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]


class _Pending(Bench):
    """The bits of 64 vectors, as they were written."""

    def __init__(self) -> None:
        super().__init__({"vector": In(6), "w_en": In(1), "w_index": In(1), "w_word": In(32)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = PendingBits(2)
        inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        kept = [Signal(32, name=f"kept{n}", reset_less=True) for n in range(2)]
        looked: Any = Signal(32, reset_less=True)
        begun: Any = Signal(reset_less=True)
        place, after_reset = checks.past(self.vector[:5], "place"), checks.past(Const(1), "no_reset")
        m.d.sync += [looked.eq(Array(kept)[self.vector[5]]), begun.eq(1)]
        for n, word in enumerate(kept):
            with m.If(self.w_en & (self.w_index == n)):
                m.d.sync += word.eq(self.w_word)
            checks.invariant("what is kept is kept", inside.word(m, "memory", Const(n, 1)) == word)
        checks.invariant("the look is at its bit", inside.signal("position") == place)
        known = begun & after_reset
        upwards: Any = Signal(32)
        m.d.comb += upwards.eq((looked >> place) << place)
        below: Any = Signal(32)
        m.d.comb += below.eq((Const(1, 32) << dut.first) - 1)
        checks.forward("a look gives the word as it was in its clock", ~known | (dut.word == looked))
        checks.forward("a bit that is set is here", ~known | ~looked.bit_select(place, 1) | dut.here)
        checks.backward("no other is", ~known | ~dut.here | looked.bit_select(place, 1))
        checks.forward("one that is set, from it upwards, is found", ~known | ~upwards.any() | dut.found)
        checks.backward("what is found is set", ~(known & dut.found) | upwards.bit_select(dut.first, 1))
        checks.backward("it is the lowest", ~(known & dut.found) | ~(upwards & below).any())
        checks.cover("one further up is found", known & dut.found & (dut.first > place))


class _Entry(Bench):
    """Four dwords are asked for in their order, and are there when all have come."""

    def __init__(self) -> None:
        super().__init__({"run": In(1), "address": In(4), "mem_ready": In(1), "mem_rvalid": In(1), "mem_rdata": In(32)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = EntryReader(4)
        inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        asked, came, owed = (Signal(range(5), name=f"{name}_kept") for name in ("asked", "came", "owed"))
        got = [Signal(32, name=f"got{n}") for n in range(4)]
        ran = checks.past(self.run, "ran")
        goes = dut.mem_valid & self.mem_ready
        checks.assume("data come for what was asked: that is the memory's promise", ~self.mem_rvalid | (owed != 0))
        checks.assume("one run at a time: as its users are told", ~self.run | ran | (owed == 0))
        m.d.sync += owed.eq(owed + goes - self.mem_rvalid)
        with m.If(~self.run):
            m.d.sync += [asked.eq(0), came.eq(0)]
        with m.Else():
            m.d.sync += [asked.eq(asked + goes), came.eq(came + self.mem_rvalid)]
        for n, word in enumerate(got):
            with m.If(self.run & self.mem_rvalid & (came == n)):
                m.d.sync += word.eq(self.mem_rdata)
        checks.invariant("what was asked for is counted", inside.signal("asked") == asked)
        checks.invariant("what is to come is counted", inside.signal("missing") == owed)
        checks.invariant("no more than an entry is", (asked <= 4) & (owed <= 4))
        checks.invariant("of a run that goes on all is known", ~ran | (asked == (came + owed)))
        checks.invariant("before a run nothing is", ran | ((asked == 0) & (came == 0)))
        entry = dut.entry.as_value()
        for count in range(1, 5):
            whole = entry[32 * (4 - count) :] == Cat(*got[:count])
            checks.invariant("what has come is in its order", (came != count) | whole)
        wants = self.run & (asked != 4)
        checks.forward("the next dword is asked for until all are", ~wants | dut.mem_valid)
        checks.backward("nothing else is", ~dut.mem_valid | wants & (dut.mem_addr == (self.address + asked)[:4]))
        checks.forward("the entry is there when all has come", ~((asked == 4) & (owed == 0)) | dut.done)
        checks.backward("it is not there before", ~dut.done | (asked == 4) & (owed == 0))
        checks.forward("it is what has come", ~(dut.done & ran) | (entry == Cat(*got)))
        checks.backward("data are under way as long as they have not come", dut.under_way == (owed != 0))
        checks.backward("fresh as long as nothing has been asked for", dut.fresh == (asked == 0))
        checks.cover("an entry is there", dut.done & ran)
        checks.cover("a run ends early, and another begins", ~ran & self.run & checks.past(owed != 0, "owed_before"))


class _Snoop(Bench):
    """Which entries the write of the clock before has touched, lane by lane."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                **dict.fromkeys(("table", "address"), In(6)),
                **dict.fromkeys(("last", "entry"), In(11)),
                "wrote": In(1),
                "written": In(lanes),
            }
        )

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Snoop(6, self.lanes)
        inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        wrote = checks.past(self.wrote.replicate(self.lanes) & self.written, "wrote")
        first = checks.past((self.address - self.table)[:6], "first")
        checks.invariant("the lanes are remembered", inside.signal("written") == wrote)
        checks.invariant("the place is remembered", inside.signal("offset") == first)
        touched: Any = Signal(self.lanes)
        controls: Any = Signal(self.lanes)
        named: Any = Signal(self.lanes)
        for lane in range(self.lanes):
            dword: Any = Signal(6, name=f"dword{lane}")
            m.d.comb += dword.eq(first + lane)
            there = wrote[lane] & (dword[2:] <= self.last)
            m.d.comb += [
                touched[lane].eq(there & (dword[2:] == self.entry)),
                controls[lane].eq(there & dword[:2].all()),
                named[lane].eq(controls[lane] & (dut.control == dword[2:])),
            ]
        several = (controls & (controls - 1)[: self.lanes]).any()
        checks.forward("a write to any dword of the entry touches it", ~touched.any() | dut.touched)
        checks.backward("nothing else does", ~dut.touched | touched.any())
        one = controls.any() & ~several
        checks.forward("a write to the vector control of one entry names it", ~one | dut.control_valid & named.any())
        checks.backward("nothing else is named", ~dut.control_valid | one)
        checks.forward("writes to several are told as such", ~several | dut.control_many)
        checks.backward("nothing else is told as several", ~dut.control_many | several)
        checks.cover("a vector control is written", dut.control_valid & (dut.control == 3))
        checks.cover("the last dword of the table", dut.touched & (self.entry == self.last))
        if self.lanes > 4:
            checks.cover("several at once", Mux(self.last != 0, dut.control_many, 0))


PROOFS = [
    Proof("msix.pending.64", "a look gives the bits as they were written, and the lowest from a vector on", _Pending,
          depth=1, cover_depth=4, mutant_depth=4),
    Proof("msix.entry.4", "the four dwords of an entry, in their order, and when all have come", _Entry,
          depth=1, cover_depth=8, mutant_depth=8),
    *(
        Proof(f"msix.snoop.{lanes}", "which entries a write of the host touches, and which vector controls",
              partial(_Snoop, lanes), depth=1, cover_depth=4, mutant_depth=4)
        for lanes in (2, 8)
    ),
]  # fmt: skip
