"""Proof that MSI-X sends what is pending or queued: how many clocks it takes once nothing is in its way."""

from typing import Any

from amaranth.hdl import Cat, Mux, Signal
from msix import VECTORS, Account

from epbell.msix import _State
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

_JOB = 30
"""Clocks of work on one vector at most: chosen, picked, five to find it and two behind that, sixteen for its entry, two
to take it from the pending ones, two to offer it, and the answer."""

_FETCH, _BEHIND_FETCH = 16, 5
_AGAIN = 1 + _FETCH + _BEHIND_FETCH
"""Clocks that are left before the entry is read again because the host has written it."""

_LONGEST = _FETCH + _AGAIN
"""Clocks that are left of the work in hand, at most: an entry that is being read has to be read again."""

_SETTLES = 6
"""Clocks after which what the host has done is in the engine's flip-flops, and nowhere on the way to them."""

_CHECKS, _DEPTH = 4, 2
_PENDING = 3 * _CHECKS * _JOB + _LONGEST
_RAISED = 3 * _DEPTH * _JOB + _LONGEST
_CLOCKS = 9  # bits of a count of clocks


def _least(first: Any, second: Any) -> Any:
    return Mux(first < second, first, second)


def _ones(bits: Any) -> Any:
    return sum(bits[n] for n in range(len(bits)))


class _Known(Checks):
    """What `msix.table` promises is an invariant here: only what is said of progress has to show a defect."""

    forward = backward = Checks.invariant


class _Served(Account):
    """What is left to do before a vector is sent: it gets less in each clock in which memory and port let it."""

    def __init__(self) -> None:
        super().__init__({"masks": VECTORS, "pick": 1})

    def check(self, m: Any, checks: Checks) -> None:
        known = _Known(m, invariants=self.invariants)
        known.statements = checks.statements
        super().check(m, known)
        self._search(checks)
        s, dut = _State, self.dut
        self.scan: Any = Mux(dut._rewinds, 0, dut._scan)  # zero in the next clock
        self.works = {one: dut._state[one.value] for one in s}
        self.idle = self.works[s.IDLE]
        self.reader, self.unmasked = self.inside.within("reader"), self.inside.within("checks")
        self.job: Any = dut._job.as_value()
        self._look_at_host(checks)
        self._look_at_work()
        self._count(checks)
        self._state_snooped(checks)
        self._state_turns(checks)
        for vector in range(VECTORS):
            self._state_pending(checks, vector)
        self._state_raised(checks)
        self._cover_all(checks)

    def _search(self, checks: Checks) -> None:
        """Look for defects where there is one vector, raised once, and one thing that the host does about it."""
        checks.search(self.enabled & self.bus_master & (~self.hold | self.masked) & (self.raise_vector == 0))
        checks.search((self.host_address == 3) & (self.host_written == 1) & self.i_ready & self.i_sent & ~self.i_failed)
        raised, wrote, opened = (Signal(name=name) for name in ("once_raised", "once_wrote", "once_opened"))
        self.m.d.sync += [
            raised.eq(raised | self.raise_valid),
            wrote.eq(wrote | self.host_wrote),
            opened.eq(opened | ~self.masked),
        ]
        checks.search(~(raised & self.raise_valid | wrote & self.host_wrote | opened & self.masked))

    def _look_at_host(self, checks: Checks) -> None:
        """Follow what the host does to the table, and the mask bits that stand in it."""
        m = self.m
        self.writes_table: Any = Signal(name="writes_table")
        m.d.comb += self.writes_table.eq(self.lanes[0][0] | self.lanes[1][0])
        self.mask = [Signal(name=f"mask{vector}") for vector in range(VECTORS)]
        since = [Signal(name=f"control_since{vector}") for vector in range(VECTORS)]
        asks = self.reads & (self.dut.mem_addr - self.table)[:2].all()  # for the mask bit
        for vector, mask in enumerate(self.mask):
            controls: Any = Signal(name=f"controls{vector}")
            m.d.comb += controls.eq(sum(hit & (dword == 4 * vector + 3) for hit, dword in self.lanes) != 0)
            m.d.sync += [
                mask.eq(Mux(controls | ~self.up, self.masks[vector], mask)),
                since[vector].eq(controls | (since[vector] & ~asks)),
            ]
            reads = self.mem_rvalid & self.ready & (self.entry == vector) & (self.came == 3)
            checks.assume("the memory gives the mask bit that stood there when it was asked for, or a later one",
                          ~reads | since[vector] | controls | (self.mem_rdata[0] == mask))  # fmt: skip
        self.control_since = since

    def _look_at_work(self) -> None:
        """Say how much is left to do of what is in hand, this clock included."""
        m, dut, s = self.m, self.dut, _State
        waited, offered = dut._waited, dut._offered
        again = dut._stale | ~dut._open
        asked, since = self.reader.signal("asked"), self.reader.signal("since")
        reads = self.inside.signal("reads")
        begins = Mux(reads, (asked == 0) & ~dut._reader.mem_valid, 2)
        fetch = Mux(dut._reader.done, 1, 6 - _ones(since)) + self.owed + ((4 - asked) << 1) + begins
        word = 4 - Mux(dut._sets, 3, waited[0] + waited[1])
        self.left: Any = Signal(6, name="left_in_hand")
        for state, left in (
            (s.WIPE, word + Mux(self.wiped[0], 0, 4) + self.owed),
            (s.PICK, _JOB - 1),
            (s.SEARCH, 3 + _FETCH + _BEHIND_FETCH + 4 - _ones(waited[:4])),
            (s.FOUND, 2 + _FETCH + _BEHIND_FETCH),
            (s.BEHIND, 1 + _FETCH + _BEHIND_FETCH),
            (s.LOOK, 3 + _FETCH + _BEHIND_FETCH - _ones(waited[:2])),
            (s.FETCH, fetch + Mux(dut._stale & (asked != 0), _AGAIN, _BEHIND_FETCH)),
            (s.HOLD, 2 - dut._sets),
            (s.RELEASE, 2 - dut._sets + Mux(again, 1 + _AGAIN, 3)),
            (s.OFFER, Mux(again, 1 + _AGAIN, 3 - offered)),
            (s.ANSWER, 1),
            (s.RETRY, _AGAIN),
        ):
            with m.If(self.works[state]):
                m.d.comb += self.left.eq(left)

    def _count(self, checks: Checks) -> None:
        """Count the clocks in which nothing was in the way, since something was."""
        m, dut = self.m, self.dut
        waits: Any = Signal(name="waits")
        memory = Mux(dut.mem_valid, ~self.mem_ready, self.owed != 0) & ~self.mem_rvalid
        m.d.comb += waits.eq(memory | (dut.i_valid & ~self.i_ready) | (self.out & ~self.answers))
        self.fails: Any = Signal(name="fails")
        m.d.comb += self.fails.eq(self.answers & ~self.i_sent)
        self.waits = waits
        disturbs = self.writes_table | self.fails | ~self.set_up
        self.calm = self._settled(checks, "calm", disturbs | ~self.lets)
        before = checks.past(self.lets, "lets_before")
        self.steady = self._settled(checks, "steady", disturbs | (self.lets != before) | (self.hold & self.was_open))
        # Clocks since power-up: no other count is above it, which the search from reset need not find out.
        self.age: Any = Signal(_CLOCKS, reset_less=True, name="age")
        m.d.sync += self.age.eq(self.age + ~self.age.all())

    def _settled(self, checks: Checks, name: str, disturbs: Any) -> Any:
        """Count the clocks since a disturbance, up to those after which it has settled."""
        clocks: Any = Signal(range(_SETTLES + 1), name=name)
        self.m.d.sync += clocks.eq(Mux(disturbs, 0, clocks + (clocks != _SETTLES)))
        checks.invariant("clocks since a disturbance are counted up to there", clocks <= _SETTLES)
        return clocks

    def _clocks(self, name: str, wanted: Any) -> Any:
        """Return for how many clocks something has been wanted while neither memory nor port held it up."""
        clocks: Any = Signal(_CLOCKS, name=name)
        self.m.d.sync += clocks.eq(Mux(wanted, clocks + ~self.waits, 0))
        return clocks

    def _falls(self, checks: Checks, name: str, wanted: Any, left: Any) -> None:
        """State that what is left gets less in each clock in which neither memory nor port holds it up."""
        moved, before = checks.past(wanted & ~self.waits, f"{name}_moved"), checks.past(left, f"{name}_before")
        checks.forward("each clock without hindrance is one of those that are left",
                       ~(wanted & moved) | (left < before))  # fmt: skip

    def _turn(self, job: int) -> Any:
        """Return how many jobs there are before one of this kind is over, at most: the three take turns."""
        return Mux(self.job == job, 3, Mux(self.job == (job + 1) % 3, 2, 1))

    def _state_snooped(self, checks: Checks) -> None:
        """State where a write of the host is in the snoop: none in the table comes out of clocks that were calm."""
        dut, snoop = self.dut, self.inside.within("snoop")
        written, offset, dwords, hits = (snoop.signal(name) for name in ("written", "offset", "dwords", "hits"))
        touched = snoop.signal("touched")
        number, control = ([snoop.signal(f"{name}{n}") for n in range(2)] for name in ("entry", "control"))
        lanes = [((offset + lane)[:4], written[lane]) for lane in range(len(self.lanes))]
        groups = [dwords.word_select(n, 4) for n in range(2)]
        stages = (
            sum(one & (at[2:] <= dut._last) for at, one in lanes) != 0,
            sum(group.any() & (number[n] <= dut._last) for n, group in enumerate(groups)) != 0,
            hits.any() | touched.any(),
            dut._snoop.touched | dut._snoop.control_valid | dut._snoop.control_many,
        )
        for clock, stage in enumerate(stages, start=1):
            for count in (self.calm, self.steady):
                checks.invariant("nothing of the table is where nothing went", (count < clock) | ~stage)
        for clock, touch in enumerate(self.touched, start=1):
            for count in (self.calm, self.steady):
                checks.invariant("nothing was touched meanwhile", (count < clock) | ~touch)
        # Two lanes reach one vector control.
        checks.invariant("no write is to several", ~(dwords[7] | hits.all() | dut._snoop.control_many))
        reads, s = self.inside.signal("reads"), _State
        stays = sum(self.works[one] for one in (s.BEHIND, s.FETCH, s.RETRY, s.RELEASE, s.OFFER)) != 0
        stays |= self.works[s.LOOK] & dut._waited[0]
        self.named = []
        for vector in range(VECTORS):
            names = (
                sum(one & (at == 4 * vector + 3) for at, one in lanes) != 0,
                sum(group[3] & (number[n] == vector) for n, group in enumerate(groups)) != 0,
                sum(hits[n] & (control[n] == vector) for n in range(2)) != 0,
                dut._snoop.control_many | (dut._snoop.control_valid & (dut._snoop.control == vector)),
            )
            mine = self.has & self.up & (dut._vector == vector)
            own = stays & self.up & (dut._vector == vector)
            checks.invariant("a vector control is a part of its entry", ~(own & names[2]) | touched.any())
            own = (mine | (reads & own)) & names[3]
            checks.invariant("it touches it", ~own | dut._snoop.touched)
            there = (vector <= dut._last) & Cat(*names).any()
            self.named.append(there)
            since = mine & (self.asked == 4) & self.control_since[vector]
            checks.invariant("a mask bit that changes is on its way", ~since | there | dut._stale)
            fetched = mine & (self.came == 4)
            checks.invariant("the mask bit is known",
                             ~fetched | there | dut._stale | (self.got[3][0] == self.mask[vector]))  # fmt: skip

    def _state_turns(self, checks: Checks) -> None:
        dut, s = self.dut, _State
        up = self.up
        checks.invariant("calm is open", (self.calm == 0) | dut._open & up)
        was_open = self.inside.signal("was_open")
        checks.invariant("and was so", (self.calm < 2) | was_open)
        checks.invariant("steady is set up", (self.steady == 0) | up)
        checks.invariant("turns are those", self.job <= 2)
        checks.invariant("a search is one of all", dut._scanning | (self.scan == 0))
        searches = self.works[s.SEARCH] | self.works[s.FOUND] | self.works[s.BEHIND]
        checks.invariant("it is under way", ~(searches & up) | (dut._scanning & (self.job == 0)))
        checks.invariant("where it begins anew is known", ~dut._rewinds | ~(searches | self.works[s.PICK]))
        at = self.works[s.SEARCH] & up
        checks.invariant("it begins there", ~at | (dut._vector == self.scan))
        found = (self.works[s.FOUND] | self.works[s.BEHIND]) & up
        checks.invariant("what it finds is behind that", ~found | (dut._vector >= self.scan))
        below = (self.scan == 0) & self.bits[0]
        checks.invariant("and is the first one", ~(found & below) | (dut._vector == 0))
        picks = self.works[s.PICK] & up
        scan = dut._scanning | dut._again
        checks.invariant("what is picked from the queue leaves it", dut._pops == (self.works[s.PICK] & (self.job == 1)))
        checks.invariant("what is picked waits", ~(picks & (self.job == 0)) | scan)
        level, oldest, newest = (self.unmasked.signal(name) for name in ("level", "oldest", "newest"))
        checks.invariant("unmasked ones are counted", (level <= _CHECKS) & (newest == (oldest + level)[:2]))
        checks.invariant("one is there", self.unmasked.signal("o_valid") == (level != 0))
        first = self.unmasked.word(self.m, "entries", oldest).vector
        mine = picks & (self.job == 2)
        checks.invariant("an unmasked one that is picked is", ~mine | (level != 0) & (dut._unmasked == first))
        looks = self.works[s.LOOK] & up
        checks.invariant("a raise is looked at as one", ~looks | (dut._raised == (self.job == 1)))
        reads, fetches = self.inside.signal("reads"), self.works[s.FETCH] & up
        fresh = (self.reader.signal("asked") == 0) & ~self.reader.signal("since").any()
        none = fresh & ~dut._reader.done & ~dut._reader.mem_valid
        checks.invariant("a read begins from the start", ~(fetches & ~reads) | none)
        ones = [self.reader.signal("since")[n] for n in range(4)]
        checks.invariant("clocks come one after the other", Cat(*(~ones[n] | ones[n - 1] for n in range(1, 4))).all())
        checks.invariant("they come before the end", ~(dut._reader.done & fetches) | ones[3])

    def _ahead(self, vector: int) -> tuple[Any, Any, Any, Any]:
        """Return place and presence of a vector among the unmasked ones, and steps of the search and presence there."""
        m, dut = self.m, self.dut
        level, oldest = self.unmasked.signal("level"), self.unmasked.signal("oldest")
        place, listed = Signal(2, name=f"place{vector}"), Signal(name=f"listed{vector}")
        for n in reversed(range(_CHECKS)):
            with m.If((n < level) & (self.unmasked.word(m, "entries", (oldest + n)[:2]).vector == vector)):
                m.d.comb += [place.eq(n), listed.eq(1)]
        steps, found = Signal(3, name=f"steps{vector}"), Signal(name=f"found{vector}")
        below = dut._scanning & (self.scan <= vector)
        m.d.comb += [
            found.eq(below | dut._again),
            steps.eq(Mux(below, vector + 1 - self.scan, vector + 1 + Mux(dut._scanning, VECTORS - self.scan, 0))),
        ]
        return place, listed, steps, found

    def _state_pending(self, checks: Checks, vector: int) -> None:
        """State for a vector that is pending or in hand how soon it is sent, and that it is not forgotten."""
        m, dut, s = self.m, self.dut, _State
        place, listed, steps, found = self._ahead(vector)
        far = _PENDING + 1
        picks = self.works[s.PICK]
        search = (picks & (self.job == 0)) | self.works[s.SEARCH] | self.works[s.FOUND] | self.works[s.BEHIND]
        by_search = self.left + _JOB * (3 * (steps - 1)[:3] + Mux(search, 0, self._turn(0)))
        by_list = self.left + _JOB * (3 * place + Mux(picks & (self.job == 2), 0, self._turn(2)))
        in_hand: Any = Signal(name=f"works_on{vector}")
        pending = self.ready & self.bits[vector]
        mine = self.hand & ~self.ends & (self.in_hand == vector)
        states = (s.FOUND, s.BEHIND, s.FETCH, s.RELEASE, s.OFFER, s.ANSWER, s.RETRY)
        worked = sum(self.works[one] for one in states) != 0
        looked = self.works[s.LOOK] & (dut._raised ^ pending)
        m.d.comb += in_hand.eq((dut._vector == vector) & (worked | looked))
        left = Signal(_CLOCKS, name=f"left{vector}")
        m.d.comb += left.eq(
            Mux(in_hand, self.left, _least(Mux(found, by_search, far), Mux(listed, by_list, far)))
        )
        free: Any = Signal(name=f"free{vector}")
        m.d.comb += free.eq((pending | mine) & ~self.mask[vector] & self.up)
        opens = ~dut._open | ~self.inside.signal("was_open")
        looked_for = in_hand | found | listed
        checks.invariant("what is free is looked for, or will be", ~free | opens | self.named[vector] | looked_for)
        wants: Any = Signal(name=f"wants{vector}")
        m.d.comb += wants.eq(free & self.lets & self.set_up & (self.calm == _SETTLES))
        checks.forward("busy while a vector waits that may be sent", ~wants | dut.busy)
        clocks = self._clocks(f"clocks{vector}", wants & ~self.writes_table & ~self.fails)
        goes_on = wants & ~self.writes_table & ~self.fails
        checks.invariant("what is left gets less", ~goes_on | (clocks + left <= _PENDING))
        self._falls(checks, f"falls{vector}", goes_on, left)
        checks.forward("a pending vector is sent in so many clocks without hindrance",
                       ~goes_on | (self.age <= _PENDING) | (clocks <= _PENDING))  # fmt: skip
        holds = self.works[s.HOLD] & (dut._vector == vector) & ~self.mask[vector] & self.up
        checks.invariant("what becomes pending was not free", ~(holds & ~dut._sets) | (self.calm < _SETTLES))
        checks.invariant("nor is it when it is", ~(holds & wants) | (clocks == 0))
        became = dut.held & (self.in_hand == vector)
        checks.backward("no vector becomes pending that may be sent", ~(became & goes_on) | (clocks <= 1))
        self.last_wanted = (clocks, goes_on)

    def _state_raised(self, checks: Checks) -> None:
        """Follow any one raise."""
        m, dut = self.m, self.dut
        waits, place, has = Signal(name="raise_waits"), Signal(1, name="raise_place"), Signal(name="raise_in_hand")
        begins = self.enters & self.pick & ~waits & ~has
        first = dut.taken & (place == 0)
        m.d.sync += [
            waits.eq(self.up & (begins | (waits & ~first))),
            place.eq(Mux(begins, self.level - dut.taken, place - dut.taken)),
            has.eq(self.up & ((waits & first) | (has & ~self.ends))),
        ]
        checks.invariant("a raise waits in its place", ~waits | (place < self.level))
        checks.invariant("one that is in hand is", ~has | self.hand)
        left: Any = Signal(_CLOCKS, name="raise_left")
        takes = self.works[_State.PICK] & (self.job == 1)
        turns = 3 * place + Mux(takes, 0, self._turn(1))
        m.d.comb += left.eq(self.left + Mux(waits, _JOB * turns, 0))
        goes_on: Any = Signal(name="raise_goes_on")
        still = ~self.writes_table & ~self.fails & self.set_up & ~(self.hold & self.was_open)
        m.d.comb += goes_on.eq((waits | (has & ~self.ends)) & (self.steady == _SETTLES) & still)
        moves = self._clocks("moves", goes_on)
        self.raise_moves = moves
        checks.invariant("what is left gets less for a raise", ~goes_on | (moves + left <= _RAISED))
        self._falls(checks, "raise_falls", goes_on, left)
        checks.forward("a raise is sent, merged or pending in so many clocks",
                       ~goes_on | (self.age <= _RAISED) | (moves <= _RAISED))  # fmt: skip

    def _cover_all(self, checks: Checks) -> None:
        checks.cover("a raise is in hand and goes on", (self.raise_moves == 3) & self.hand)


PROOFS = [
    Proof(
        f"msix.served.{VECTORS}",
        "what is pending or queued is sent within a bounded number of clocks in which nothing is in its way",
        _Served,
        depth=1,
        cover_depth=20,
        mutant_depth=20,
    )
]
