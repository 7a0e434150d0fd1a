"""Proof that MSI-X sends what is pending or queued: how many clocks it takes once nothing is in its way."""

from typing import Any

from amaranth.hdl import Mux, Signal
from msix import VECTORS, Account

from epbell.msix import _State
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

_JOB = 14
"""Clocks of work on one vector at most: chosen, looked at, eight for its entry, decided, written, offered, answered."""

_AGAIN = 13
"""What is left of them before the entry is read again because the host has written it."""

_LONGEST = 8 + _AGAIN
"""Clocks that are left of the work in hand, at most: an entry that is being read has to be read again."""

_CHECKS, _DEPTH = 4, 2
_PENDING = 3 * _CHECKS * _JOB + _LONGEST
_RAISED = 3 * _DEPTH * _JOB + _LONGEST
_CLOCKS = 9  # bits of a count of clocks


def _least(first: Any, second: Any) -> Any:
    return Mux(first < second, first, second)


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
        s, dut = _State, self.dut
        self.state = dut._state
        self.works, self.idle = {one: self.state == one for one in s}, self.state == s.IDLE
        reader, self.unmasked = self.inside.within("reader"), self.inside.within("checks")
        self.fetched = reader.signal("asked")
        self.job: Any = self.inside.signal("latest")
        self._look_at_host(checks)
        self._look_at_work()
        self._count(checks)
        self._state_turns(checks)
        for vector in range(VECTORS):
            self._state_pending(checks, vector)
        self._state_alone(checks)
        self._state_raised(checks)
        self._cover_all(checks)

    def _look_at_host(self, checks: Checks) -> None:
        """Follow what the host does to the table, and the mask bits that stand in it."""
        m = self.m
        self.was_open = checks.past(self.open, "was_open_kept")
        self.writes_table: Any = Signal(name="writes_table")
        m.d.comb += self.writes_table.eq(self.lanes[0][0] | self.lanes[1][0])
        self.wrote = checks.past(self.writes_table, "wrote_table")
        self.mask = [Signal(name=f"mask{vector}") for vector in range(VECTORS)]
        self.named = [Signal(name=f"named{vector}") for vector in range(VECTORS)]
        for vector, mask in enumerate(self.mask):
            controls: Any = Signal(name=f"controls{vector}")
            m.d.comb += controls.eq(sum(hit & (dword == 4 * vector + 3) for hit, dword in self.lanes) != 0)
            m.d.sync += [
                mask.eq(Mux(controls | ~self.set_up, self.masks[vector], mask)),
                self.named[vector].eq(controls),
            ]
            reads = self.mem_rvalid & self.ready & (self.entry == vector) & (self.came == 3)
            checks.assume("the memory gives the mask bit that the host has written last, or is writing",
                          ~reads | self.stale | self.touches | (self.mem_rdata[0] == mask))  # fmt: skip

    def _look_at_work(self) -> None:
        """Say how much is left to do of what is in hand."""
        m, dut, s = self.m, self.dut, _State
        stale = dut._stale
        reads = (((4 - self.fetched) << 1) + self.owed + 1)[:4]
        self.left: Any = Signal(5, name="left_in_hand")
        with m.Switch(self.state):
            for state, left in (
                (s.WIPE, 2 - self.wiped[0] + self.owed),
                (s.LOOK, _JOB - 1),
                (s.SEARCH, _JOB - 1),
                (s.FETCH, reads + Mux(stale & (self.fetched != 0), _AGAIN, 3)),
                (s.HOLD, 1),
                (s.RELEASE, Mux(stale | ~self.open, _AGAIN + 2, 3)),
                (s.OFFER, Mux(stale | ~self.open, _AGAIN + 1, 2)),
                (s.ANSWER, 1),
                (s.RETRY, _AGAIN),
            ):
                with m.Case(state):
                    m.d.comb += self.left.eq(left)

    def _count(self, checks: Checks) -> None:
        """Count the clocks in which nothing was in the way, since something was."""
        m, dut = self.m, self.dut
        waits: Any = Signal(name="waits")
        memory = Mux(dut.mem_valid, ~self.mem_ready, self.owed != 0) & ~self.mem_rvalid
        m.d.comb += waits.eq(memory | (dut.i_valid & ~self.i_ready) | (self.out & ~self.answers))
        self.fails: Any = Signal(name="fails")
        m.d.comb += self.fails.eq(self.answers & ~self.i_sent)
        disturbs = self.writes_table | self.wrote | self.fails
        self.shut: Any = Signal(name="shut")
        self.stops: Any = Signal(name="stops")
        m.d.comb += [
            self.shut.eq(disturbs | ~self.open | ~self.was_open),
            self.stops.eq(disturbs | ~self.set_up | (self.open != self.was_open) | (self.hold & self.open)),
        ]
        self.waits = waits
        # Clocks since power-up: no other count is above it, which the search from reset need not find out.
        self.age: Any = Signal(_CLOCKS, reset_less=True, name="age")
        m.d.sync += self.age.eq(self.age + ~self.age.all())

    def _clocks(self, name: str, wanted: Any, stops: Any) -> Any:
        """Return for how many clocks something has been wanted while neither memory nor port held it up."""
        clocks: Any = Signal(_CLOCKS, name=name)
        self.m.d.sync += clocks.eq(Mux(wanted & ~stops, clocks + ~self.waits, 0))
        return clocks

    def _falls(self, checks: Checks, name: str, wanted: Any, left: Any) -> None:
        """State that what is left gets less in each clock in which neither memory nor port holds it up."""
        moved, before = checks.past(wanted & ~self.waits, f"{name}_moved"), checks.past(left, f"{name}_before")
        checks.forward("each clock without hindrance is one of those that are left",
                       ~(wanted & moved) | (left < before))  # fmt: skip

    def _turn(self, job: int) -> Any:
        """Return how many jobs there are before one of this kind is over, at most: the three take turns."""
        return Mux(self.job == job, 3, Mux(self.job == (job + 1) % 3, 2, 1))

    def _state_turns(self, checks: Checks) -> None:
        dut, state = self.dut, self.inside
        snoop = state.within("snoop")
        lanes = checks.past(self.host_written & self.host_wrote.replicate(len(self.lanes)), "lanes_before")
        first = checks.past((self.host_address - self.table)[:4], "first_before")
        checks.invariant("the host's writes are remembered", snoop.signal("written") == lanes)
        checks.invariant("and where they went", snoop.signal("offset") == first)
        self.was_up = checks.past(self.set_up, "set_up_before")
        stayed = self.set_up & self.was_up
        checks.invariant("the way was open while set up", self.was_up | ~self.was_open)
        checks.invariant("it begins with zeroing", self.was_up | self.works[_State.WIPE])
        dwords = [(lanes[n] & ((first + n)[2:4] <= self.most), (first + n)[:4]) for n in range(len(self.lanes))]
        checks.invariant("a write is one to the table", ~stayed | (self.wrote == (sum(hit for hit, _ in dwords) != 0)))
        for vector, named in enumerate(self.named):
            names = sum(hit & (dword == 4 * vector + 3) for hit, dword in dwords) != 0
            checks.invariant("or to a vector control", ~stayed | (named == names))
        checks.invariant("turns are those", self.job <= 2)
        checks.invariant("the way is seen to open", state.signal("was_open") == self.was_open)
        checks.invariant("a search is one of all", dut._scanning | (dut._scan == 0))
        looks = self.works[_State.SEARCH]
        checks.invariant("it is under way", ~looks | (dut._scanning & (self.job == 0)))
        level, consume, produce = (self.unmasked.signal(name) for name in ("level", "consume", "produce"))
        checks.invariant("unmasked ones are counted", (level <= _CHECKS) & (produce == (consume + level)[:2]))

    def _ahead(self, vector: int) -> tuple[Any, Any, Any, Any]:
        """Return place and presence of a vector among the unmasked ones, and steps of the search and presence there."""
        m, dut = self.m, self.dut
        level, consume = self.unmasked.signal("level"), self.unmasked.signal("consume")
        place, listed = Signal(2, name=f"place{vector}"), Signal(name=f"listed{vector}")
        for n in reversed(range(_CHECKS)):
            with m.If((n < level) & (self.unmasked.word(m, "storage", (consume + n)[:2]) == vector)):
                m.d.comb += [place.eq(n), listed.eq(1)]
        steps, found = Signal(3, name=f"steps{vector}"), Signal(name=f"found{vector}")
        below = dut._scanning & (dut._scan <= vector)
        m.d.comb += [
            found.eq(below | dut._again),
            steps.eq(Mux(below, vector + 1 - dut._scan, vector + 1 + Mux(dut._scanning, VECTORS - dut._scan, 0))),
        ]
        return place, listed, steps, found

    def _state_pending(self, checks: Checks, vector: int) -> None:
        """State for a vector that is pending or in hand how soon it is sent, and that it is not forgotten."""
        m, dut, s = self.m, self.dut, _State
        place, listed, steps, found = self._ahead(vector)
        far = _PENDING + 1
        search = self.works[s.SEARCH]
        by_search = self.left + _JOB * (3 * (steps - 1)[:3] + Mux(search, 0, self._turn(0)))
        alone_search = self.left + _JOB * (steps - search)[:3]
        by_list = self.left + _JOB * (3 * place + self._turn(2))
        in_hand: Any = Signal(name=f"works_on{vector}")
        pending = self.ready & self.bits[vector]
        mine = self.hand & (self.in_hand == vector)
        worked = sum(self.works[one] for one in (s.FETCH, s.RELEASE, s.OFFER, s.ANSWER, s.RETRY)) != 0
        looked = self.works[s.LOOK] & (dut._raised ^ pending)
        m.d.comb += in_hand.eq((dut._vector == vector) & (worked | looked))
        left, alone = Signal(_CLOCKS, name=f"left{vector}"), Signal(_CLOCKS, name=f"alone{vector}")
        m.d.comb += [
            left.eq(Mux(in_hand, self.left, _least(Mux(found, by_search, far), Mux(listed, by_list, far)))),
            alone.eq(
                Mux(in_hand, self.left, _least(Mux(found, alone_search, far), Mux(listed, self.left + _JOB, far)))
            ),
        ]
        wants: Any = Signal(name=f"wants{vector}")
        m.d.comb += wants.eq((pending | mine) & self.open & ~self.mask[vector])
        clocks = self._clocks(f"clocks{vector}", wants, self.shut)
        fetched = self.works[s.FETCH] & (self.fetched != 0) & (self.came == 4) & (self.entry == vector) & self.set_up
        checks.invariant("the mask bit is known", ~fetched | self.stale | (self.got[3][0] == self.mask[vector]))
        seen = ~self.was_open | self.named[vector]
        checks.invariant("what is wanted is looked for", ~wants | seen | in_hand | found | listed)
        checks.forward("busy while a vector waits that may be sent", ~wants | seen | dut.busy)
        calm = wants & ~self.shut
        checks.invariant("what is left gets less", ~calm | (clocks + left <= _PENDING))
        self._falls(checks, f"falls{vector}", calm, left)
        checks.forward("a pending vector is sent in so many clocks without hindrance",
                       ~calm | (self.age <= _PENDING) | (clocks <= _PENDING))  # fmt: skip
        self.alone_left = [*getattr(self, "alone_left", []), (clocks, calm, alone)]
        holds = self.works[s.HOLD] & (dut._vector == vector)
        checks.invariant("none is on its way to be", ~(holds & calm) | (clocks == 0))
        became = dut.held & (self.in_hand == vector)
        checks.backward("no vector becomes pending that may be sent",
                        ~became | self.shut | (clocks == 0) | self.mask[vector])  # fmt: skip

    def _state_alone(self, checks: Checks) -> None:
        """Look at an engine that has nothing to do but what one write to the table, or the way that opens, gives it."""
        m, dut = self.m, self.dut
        alone: Any = Signal(name="alone")
        opens = self.open != self.was_open
        idle = ~dut.busy & ~self.wrote
        event = self.writes_table | opens
        stays = Mux(idle, ~(self.writes_table & opens), alone & ~event)
        m.d.sync += alone.eq(self.set_up & ~dut.queued & ~self.fails & stays)
        level = self.unmasked.signal("level")
        scan = dut._scanning | dut._again
        checks.invariant("alone since it was set up", self.was_up | ~alone)
        checks.invariant("alone, nothing is queued", ~(alone & self.set_up) | (self.level == 0))
        one = (~dut._scanning | ~dut._again) & (~scan | (level == 0)) & (level <= 1)
        checks.invariant("alone, there is one thing to do", ~(alone & self.set_up) | one)
        waits = (level != 0) | dut._again
        checks.invariant("alone, it is begun at once", ~(alone & self.set_up & waits) | self.idle)
        checks.invariant("alone, it is what the host has just done", ~(alone & self.set_up & self.wrote) |
                         (self.idle & ~scan & (level == 0)))  # fmt: skip
        for vector, (clocks, calm, left) in enumerate(self.alone_left):
            most = _JOB * (vector + 1)
            checks.invariant("what is left gets less, alone", ~(alone & calm) | (clocks + left <= most))
            checks.forward("a pending vector is sent soon if nothing else is to be done",
                           ~(alone & calm) | (self.age <= most) | (clocks <= most))  # fmt: skip
        self.alone = alone

    def _state_raised(self, checks: Checks) -> None:
        """Follow any one raise."""
        m, dut = self.m, self.dut
        waits, place, has = Signal(name="raise_waits"), Signal(1, name="raise_place"), Signal(name="raise_in_hand")
        begins = self.enters & self.pick & ~waits & ~has
        first = dut.taken & (place == 0)
        ends = dut.held | dut.merged | dut.sent
        m.d.sync += [
            waits.eq(self.set_up & (begins | (waits & ~first))),
            place.eq(Mux(begins, self.level - dut.taken, place - dut.taken)),
            has.eq(self.set_up & ((waits & first) | (has & ~ends))),
        ]
        checks.invariant("a raise waits in its place", ~waits | (place < self.level))
        checks.invariant("one that is in hand is", ~has | self.hand)
        left: Any = Signal(_CLOCKS, name="raise_left")
        m.d.comb += left.eq(self.left + Mux(waits, _JOB * (3 * place + self._turn(1)), 0))
        calm = (waits | has) & ~self.stops
        moves = self._clocks("moves", waits | has, self.stops)
        self.raise_moves = moves
        checks.invariant("what is left gets less for a raise", ~calm | (moves + left <= _RAISED))
        self._falls(checks, "raise_falls", calm, left)
        checks.forward("a raise is sent, merged or pending in so many clocks",
                       ~calm | (self.age <= _RAISED) | (moves <= _RAISED))  # fmt: skip

    def _cover_all(self, checks: Checks) -> None:
        _, calm, _ = self.alone_left[0]
        checks.cover("a pending vector may be sent, and nothing else is to be done", calm & self.alone)
        checks.cover("a raise is in hand and goes on", (self.raise_moves == 3) & self.hand)


PROOFS = [
    Proof(
        f"msix.served.{VECTORS}",
        "what is pending or queued is sent within a bounded number of clocks in which nothing is in its way",
        _Served,
        depth=1,
        cover_depth=12,
        mutant_depth=9,
    )
]
