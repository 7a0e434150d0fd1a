"""Proofs of what MSI-X is made of: the pending bits, the reads of an entry, the look at the host's writes."""

from functools import partial
from typing import Any

from amaranth.hdl import Array, Cat, Const, Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.msix_entry import EntryReader
from epbell.msix_pending import LOOK, SEARCH, PendingBits
from epbell.msix_snoop import SNOOPED, Snoop
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Clocks; the engine has more, which only makes the wait longer.
_LATE = 2


class _Pending(Bench):
    """The bits of 64 vectors, as they were written."""

    def __init__(self) -> None:
        super().__init__({"vector": In(6), "w_en": In(1), "w_index": In(1), "w_word": In(32)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = PendingBits(2)
        inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        went, where, new = (checks.past(getattr(self, f"w_{name}"), f"went_{name}") for name in ("en", "index", "word"))
        for name, value in (("replaces", went), ("index", where), ("new", new)):
            checks.invariant("what replaces a word is known", inside.signal(name) == value)
        kept = [Signal(32, name=f"kept{n}", reset_less=True) for n in range(2)]
        for n, word in enumerate(kept):
            with m.If(went & (where == n)):
                m.d.sync += word.eq(new)
            checks.invariant("what is kept is kept", inside.word(m, "memory", Const(n, 1)) == word)
        # What was looked at, and where, one to four clocks ago.
        looked, place, known = [Array(kept)[self.vector[5]]], [self.vector[:5]], [Const(1)]
        for clock in range(1, SEARCH + 1):
            looked.append(checks.past(looked[-1], f"looked{clock}"))
            place.append(checks.past(place[-1], f"place{clock}"))
            known.append(checks.past(known[-1], f"known{clock}"))
        upwards = [(word >> at << at)[:32] for word, at in zip(looked, place, strict=True)]
        lowest: Any = Signal(32)
        m.d.comb += lowest.eq(upwards[3] & ~(upwards[3] - 1)[:32])
        here = looked[LOOK].bit_select(place[LOOK], 1)
        below: Any = Signal(32)
        m.d.comb += below.eq((Const(1, 32) << dut.first) - 1)
        mask = Const(0xFFFF_FFFF, 32) << place[1]
        checks.invariant("a look is at its bit", ~known[1] | (dut.bit == (Const(1, 32) << place[1])[:32]))
        checks.invariant("and at those from it on", ~known[1] | (inside.signal("upwards") == mask[:32]))
        checks.invariant("those that are set are", ~known[2] | (inside.signal("reached") == upwards[2]))
        checks.invariant("the lowest one is", ~known[3] | (inside.signal("lowest") == lowest))
        checks.invariant("there is one, or none", ~known[3] | (inside.signal("some") == upwards[3].any()))
        checks.forward("a look gives the word as it was in its clock", ~known[1] | (dut.word == looked[1]))
        checks.forward("a bit that is set is here", ~known[LOOK] | ~here | dut.here)
        checks.backward("no other is", ~known[LOOK] | ~dut.here | here)
        ready = known[SEARCH]
        checks.forward("one that is set, from it upwards, is found", ~ready | ~upwards[SEARCH].any() | dut.found)
        checks.backward("what is found is set", ~(ready & dut.found) | upwards[SEARCH].bit_select(dut.first, 1))
        checks.backward("it is the lowest", ~(ready & dut.found) | ~(upwards[SEARCH] & below).any())
        checks.cover("one further up is found", ready & dut.found & (dut.first > place[SEARCH]))


class _Entry(Bench):
    """Four dwords are asked for in their order, and are there when all have come."""

    def __init__(self) -> None:
        super().__init__({"run": In(1), "address": In(4), "mem_ready": In(1), "mem_rvalid": In(1), "mem_rdata": In(32)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = EntryReader(4, late=_LATE)
        inside = Inside(dut)
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        asked, came, owed = (Signal(range(5), name=f"{name}_kept") for name in ("asked", "came", "owed"))
        got = [Signal(32, name=f"got{n}") for n in range(4)]
        ran = checks.past(self.run, "ran")
        goes = dut.mem_valid & self.mem_ready
        checks.assume("data come for what was asked: that is the memory's promise", ~self.mem_rvalid | (owed != 0))
        checks.assume("one run at a time: as its users are told", ~self.run | ran | (owed == 0))
        base: Any = Signal(4, name="base")
        full: Any = Signal(range(_LATE + 1), name="clocks_full")
        m.d.sync += [
            owed.eq(owed + goes - self.mem_rvalid),
            full.eq(Mux(self.run & (asked == 4), full + (full != _LATE), 0)),
        ]
        with m.If(~self.run):
            m.d.sync += [asked.eq(0), came.eq(0), base.eq(self.address)]
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
        wants = ran & (asked != 4)
        checks.invariant("these are behind the last request", (full == 0) | (asked == 4))
        checks.invariant("no more of them are counted than are waited for", full <= _LATE)
        for n in range(_LATE):
            checks.invariant("clocks since the last request are counted", inside.signal("since")[n] == (full > n))
        checks.invariant("it is the address from before the run", dut.mem_addr == (base + asked)[:4])
        checks.forward("the next dword is asked for until all are", ~wants | dut.mem_valid)
        checks.backward("nothing else is", ~dut.mem_valid | wants & (dut.mem_addr == (base + asked)[:4]))
        complete = checks.past(self.run & (full == _LATE) & (owed == 0), "complete")
        checks.forward("the entry is there when all has come, and nothing more can turn out", ~complete | dut.done)
        checks.backward("it is not there before", ~dut.done | complete)
        checks.forward("it is what has come", ~(dut.done & self.run) | (entry == Cat(*got)))
        checks.backward("data are under way as long as they have not come", dut.under_way == (owed != 0))
        checks.backward("fresh as long as nothing has been asked for", dut.fresh == (asked == 0))
        checks.cover("an entry is there", dut.done & self.run)
        checks.cover("a run ends early, and another begins", ~ran & self.run & checks.past(owed != 0, "owed_before"))


class _Snoop(Bench):
    """Which entries the write of four clocks before has touched, lane by lane."""

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
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        wrote, first = self.wrote.replicate(self.lanes) & self.written, (self.address - self.table)[:6]
        entry, last = self.entry, self.last
        for clock in range(SNOOPED):
            wrote, first = checks.past(wrote, f"wrote{clock}"), checks.past(first, f"first{clock}")
        for clock in range(2):
            entry, last = checks.past(entry, f"entry{clock}"), checks.past(last, f"last{clock}")
        touched: Any = Signal(self.lanes)
        controls: Any = Signal(self.lanes)
        named: Any = Signal(self.lanes)
        for lane in range(self.lanes):
            dword: Any = Signal(6, name=f"dword{lane}")
            m.d.comb += dword.eq(first + lane)
            there = wrote[lane] & (dword[2:] <= last)
            m.d.comb += [
                touched[lane].eq(there & (dword[2:] == entry)),
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
        checks.cover("the last dword of the table", dut.touched & (entry == last))
        if self.lanes > 4:
            checks.cover("several at once", Mux(last != 0, dut.control_many, 0))


PROOFS = [
    Proof("msix.pending.64", "a look gives the bits as they were written, and the lowest from a vector on", _Pending,
          depth=1, cover_depth=8, mutant_depth=8),
    Proof("msix.entry.4", "the four dwords of an entry, in their order, and when all have come", _Entry,
          depth=1, cover_depth=12, mutant_depth=12),
    *(
        Proof(f"msix.snoop.{lanes}", "which entries a write of the host touches, and which vector controls",
              partial(_Snoop, lanes), depth=SNOOPED + 1, cover_depth=8, mutant_depth=8)
        for lanes in (2, 8)
    ),
]  # fmt: skip
