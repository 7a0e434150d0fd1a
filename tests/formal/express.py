"""Proofs of the express lane: it promises what is going to ring, and holds that until it does.

The bench follows the packets by their beats, and is the way in: windows that change a while after they are written, one
look at them for each packet, and one write, made in its turn. All of this is for one place, any one; of the others it
is assumed that what is promised there is kept, which is what is proven of this one.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, ResetSignal, Signal
from amaranth.lib import data, enum
from amaranth.lib.wiring import In
from inside import Inside

from epbell.express import Express
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_PLACE = data.StructLayout({"dword": 2, "block": 60, "bar": 3, "function": 8})
_INPUTS = ("accepted", "tdata", "tkeep", "tuser", "tlast", "idle", "aimed", "cpu_writes", "made")
# Clocks from a packet's last beat to the one in which the windows count, and to that in which its write is made.
_FIRST_LOOK, _LAST_LOOK, _LAST_MADE = 2, 4, 11
# Clocks from a packet's first beat to the one in which its write is made, at least.
_SHORTEST = 5


class _Goes(enum.Enum):
    """Where a write to the place goes."""

    NOWHERE = 0
    PAGE = 1  # it is made, and rings nothing
    MU = 2
    EDMA = 3


_UNITS = {"mu": _Goes.MU, "edma": _Goes.EDMA}


class _Lane(Bench):
    """A promise is of a write that rings, begins two clocks after its last beat, and is held until it is made."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.dut = Express(width)
        inputs = {name: self.dut.signature.members[name] for name in _INPUTS}
        free = {"rung_mu": In(4), "rung_edma": In(1), "place": In(_PLACE), "goes": In(_Goes)}
        super().__init__({**inputs, **free, "looks": In(1), "ends": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = self.dut
        self.inside = Inside(dut)
        self.bells: Any = dut.bells
        self.lines = {"mu": self.bells.mu.any(), "edma": self.bells.edma}
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in _INPUTS]
        m.d.comb += [self.bells.rung_mu.eq(self.rung_mu), self.bells.rung_edma.eq(self.rung_edma)]
        self._one_place(m, checks)
        self._packet(m, checks)
        self._candidate(m, checks)
        self._made(m, checks)
        self._know(m, checks)
        self._promises(checks)
        self._age(m, checks)
        self._hold(checks)
        self._followed(checks)
        self._places(checks)
        if self.width == 64:
            self._beats(checks)

    def _one_place(self, m: Any, checks: Checks) -> None:
        """Keep the place, and let windows change when they may."""
        began: Any = Signal(name="began")
        kept: Any = Signal(_PLACE, name="kept")
        went: Any = Signal(_Goes, name="went")
        m.d.sync += [began.eq(1), kept.eq(self.place), went.eq(self.goes)]
        self.aims = [checks.past(self.aimed, "aimed1")]  # a clock ago, two clocks ago ...
        for clocks in range(2, 5):
            self.aims.append(checks.past(self.aims[-1], f"aimed{clocks}"))
        checks.assume("it is one place, any", ~began | (kept.as_value() == self.place.as_value()))
        checks.assume(
            "a window counts three clocks after its register was at the port, since inbound.claims says so",
            ~began | (went == self.goes) | self.aims[2],
        )

    def _packet(self, m: Any, checks: Checks) -> None:
        """Follow a packet that begins at an empty way in."""
        first_be, last_be, sop, gone = self.tuser[0:4], self.tuser[4:8], self.tuser[40], self.tuser[41]
        idles = Cat(checks.past(self.idle, "idle1"), checks.past(checks.past(self.idle, "idle_1"), "idle2"))
        checks.invariant("the clocks for which it has been empty", self.inside.signal("was_idle") == idles)
        low, high = (self.tdata, self.tdata) if self.width == 64 else (self.tdata[:64], self.tdata[64:128])
        self.starts = self.accepted & sop
        self.fresh = self.starts & self.idle & idles.all()
        self.half, self.header = Signal(name="half"), Signal(name="header")  # so much of it has come, at 64 bits
        begins = self.fresh & ~gone & (first_be == 15) & (last_be == 0)
        goes_on = self.accepted & ~sop & ~gone
        writes = (high[11:15] == 1) & (high[:11] == 1)
        came: Any = Signal(_PLACE, name="came")
        self.held: Any = Signal(_PLACE, name="held")
        m.d.comb += came.eq(self.held)
        m.d.sync += self.held.eq(came)
        in_function = self.starts
        if self.width == 64:
            full = ~self.tlast & (self.tkeep == 3)
            with m.If(self.accepted):
                m.d.sync += [self.half.eq(begins & full), self.header.eq(self.half & goes_on & full & writes)]
            self.whole = self.header & goes_on & self.tlast & (self.tkeep == 1)
            in_function = self.half & self.accepted & ~sop
        else:
            self.whole = begins & self.tlast & writes & (self.tkeep == 0x1F)
        with m.If(self.starts):
            m.d.comb += [came.dword.eq(low[2:4]), came.block.eq(low[4:])]
        with m.If(in_function):
            m.d.comb += [came.bar.eq(high[48:51]), came.function.eq(high[40:48])]
        self.started = checks.past(self.starts, "started")

    def _candidate(self, m: Any, checks: Checks) -> None:
        """One look at the windows for each packet that is whole, and an end."""
        self.age = age = Signal(range(_LAST_MADE + 2), name="clocks")  # since its last beat; 0: there is none
        self.looked, self.found = Signal(name="looked"), Signal(_Goes, name="found")
        self.at, self.now_at = {bell: Signal(name=f"at_{bell}") for bell in _UNITS}, {}
        self.dword = Signal(2, name="dword")
        under_way, first = age != 0, age == 1
        self.done = under_way & self.ends
        self.now_dword = Mux(first, self.held.dword, self.dword)
        for bell, at in self.at.items():
            self.now_at[bell] = Mux(first, self._is(bell, self.held), at)
            m.d.sync += at.eq(self.now_at[bell])
        m.d.sync += [
            age.eq(Mux(self.whole, 1, Mux(under_way & ~self.done, age + 1, 0))),
            self.dword.eq(self.now_dword),
            self.looked.eq(~self.whole & (self.looked | self.looks)),
            self.found.eq(Mux(self.looks, self.goes, self.found)),
        ]
        looks = (age >= _FIRST_LOOK) & (age <= _LAST_LOOK) & ~self.looked
        self.goes_on = under_way & ~self.done
        checks.assume("the windows are looked at once, two to four clocks after the last beat", ~self.looks | looks)
        checks.assume("they are looked at, since nothing stands in the way in", (age <= _LAST_LOOK) | self.looked)
        checks.assume("the write is made some clocks later", ~self.done | (age > _LAST_LOOK))
        checks.assume("it is made in time, since nothing is in front of it", (age != _LAST_MADE) | self.done)
        if not self.invariants:  # a defect is looked for on the shortest way: nothing else shows more of them
            soon = (self.looks == (age == _FIRST_LOOK)) & (self.ends == (age > _LAST_LOOK))
            checks.assume("it comes without a pause", ~(self.half | self.header) | self.accepted)
            checks.assume("and all comes of it as soon as may be", soon & ~ResetSignal())
        busy = self.started | self.half | self.header | self.goes_on
        checks.assume("until then the way in is not empty", ~busy | ~self.idle)

    def _made(self, m: Any, checks: Checks) -> None:
        """What is made is what the windows said, in the order of the packets."""
        fresh1 = checks.past(self.fresh, "fresh1")
        before = fresh1 | checks.past(fresh1, "fresh2") | self.half | self.header | self.goes_on
        checks.assume("nothing is made before it, since all that came before is done", ~before | ~self.made)
        self.behind: Any = Signal(range(_SHORTEST + 1), init=_SHORTEST, name="behind")  # clocks of what is behind it
        with m.If(self.whole):
            m.d.sync += self.behind.eq(0)
        with m.Elif((self.behind != 0) | self.starts):
            m.d.sync += self.behind.eq(Mux(self.behind == _SHORTEST, _SHORTEST, self.behind + 1))
        late = self.done | (self.behind == _SHORTEST)
        checks.assume("what is made after it has begun behind it, some clocks ago", ~self.made | late)
        rung_mu, found = self.rung_mu.any(), self.found
        here, exactly = self.done & self.now_at["mu"], self.done & self.now_at["edma"]
        checks.assume("what rings is made", ~(rung_mu | self.rung_edma) | self.made)
        checks.assume("one write rings one thing", ~(rung_mu & self.rung_edma))
        checks.assume("of the Messaging Unit its dword's", ~(self.done & rung_mu) | (self.rung_mu == self._vector()))
        checks.assume("it rings the Messaging Unit if a window shows that", ~here | (rung_mu == (found == _Goes.MU)))
        checks.assume("it rings the eDMA if a window shows that", ~exactly | (self.rung_edma == (found == _Goes.EDMA)))
        checks.assume("nothing else of the block rings it", ~here | ~self.rung_edma | (found == _Goes.EDMA))
        checks.assume("what goes nowhere is not made", ~here | (self.made == (found != _Goes.NOWHERE)))
        kept = self.made & (Cat(self.bells.mu, self.bells.edma) == Cat(self.rung_mu, self.rung_edma))
        elsewhere = self.done & self.dut.outstanding & Mux(self.bells.edma, ~exactly, ~here)
        checks.assume("promises about other places are kept, since this is any one", ~elsewhere | kept)

    def _know(self, m: Any, checks: Checks) -> None:
        """Know the place when a write to it has rung behind which nothing had begun."""
        self.alone, self.clean = Signal(name="alone"), Signal(name="clean")  # nothing began, no window was written
        with m.If(self.starts):
            m.d.sync += self.clean.eq(~(self.aimed | Cat(self.aims[:3]).any()))
        with m.Elif(self.aimed):
            m.d.sync += self.clean.eq(0)
        with m.If(self.whole | self.starts):
            m.d.sync += self.alone.eq(self.whole)
        was_clean = checks.past(self.clean & ~self.aimed, "was_clean")
        self.known = {bell: Signal(name=f"{bell}_known") for bell in _UNITS}
        for bell, rung in (("mu", self.rung_mu.any()), ("edma", self.rung_edma)):
            learns = checks.past(self.done & rung & self.alone, f"{bell}_learns")
            at, known = checks.past(self.now_at[bell], f"{bell}_learnt"), self.known[bell]
            with m.If(self.aimed):
                m.d.sync += known.eq(0)
            with m.Elif(learns & was_clean):
                m.d.sync += known.eq(at)

    def _promises(self, checks: Checks) -> None:
        """When a promise begins."""
        first = checks.past(self.age == 1, "was_first")
        cpu_writes = checks.past(self.cpu_writes, "cpu_wrote")
        for bell, begins in (("mu", self.bells.begins_mu), ("edma", self.bells.begins_edma)):
            known = checks.past(self.known[bell], f"{bell}_was_known")
            here = checks.past(self._is(bell, self.held), f"{bell}_was_here")
            held_back = self.aims[0] | (cpu_writes if bell == "mu" else 0)
            checks.forward(
                "a sound write of one dword that begins at an empty way in, to a place that is known, is promised two "
                "clocks after its last beat, but beside a write of a window, or of the CPU to the Messaging Unit",
                ~(first & here & known & ~held_back) | begins,
            )
            checks.backward("nothing else is promised", ~begins | (first & ~held_back & (known | ~here)))
            checks.cover(f"a promise: {bell}", begins & here)
            checks.cover(f"the CPU writes meanwhile: {bell}", first & here & known & cpu_writes)
        checks.cover("a place is forgotten", self.aimed & self.known["mu"])

    def _age(self, m: Any, checks: Checks) -> None:
        """State the clocks since the packet's first beat; beyond 65535 they are but more than that."""
        self.since = Signal(17, name="since")
        m.d.sync += self.since.eq(Mux(self.starts, 1, self.since + ~self.since[16]))
        since = checks.past(self.since, "since_before")
        begins = self.bells.begins_mu | self.bells.begins_edma
        age = Mux(since < 0xFFFF, since + 1, 0xFFFF)
        checks.forward("its age is that of the first beat", ~begins | (self.bells.age == age))

    def _hold(self, checks: Checks) -> None:
        """How long a promise is held."""
        made, waits, some = checks.past(self.made, "was_made"), self.dut.outstanding, Cat(*self.lines.values()).any()
        for bell, line in self.lines.items():
            begins = getattr(self.bells, f"begins_{bell}")
            stays = checks.past(line, f"{bell}_before") & ~made
            held = ~(begins | stays) | line
            checks.forward("a promise that begins is a line, and is held until the write is made", held)
            checks.backward("and no longer", ~line | begins | stays)
        checks.forward("the CPU waits meanwhile", ~some | waits)
        checks.backward("it waits for nothing else", ~waits | some)
        one = sum(self.bells.mu) + self.bells.edma
        checks.backward("it is one line", ~self.now_at["mu"] | (one <= 1))
        checks.backward("of four it is the dword's", ~self.lines["mu"] | (self.bells.mu == self._vector()))
        checks.invariant("it is of what is in the way in", ~waits | (self.age >= 2))
        checks.invariant("its clocks are counted", ~waits | (self.inside.signal("clocks") == self.age - 2))
        checks.invariant("nothing takes longer", self.age <= _LAST_MADE)
        checks.invariant("the windows have been looked at by then", (self.age <= _LAST_LOOK) | self.looked)

    def _followed(self, checks: Checks) -> None:
        """What the lane keeps of a candidate."""
        alone, candidate = self.inside.signal("alone"), data.View(_PLACE, self.inside.signal("candidate"))
        behind, nothing = self.behind, self.behind == 0
        self.lately = Cat(*self.aims)
        checks.invariant("windows that were written lately", self.inside.signal("settling") == self.lately)
        checks.invariant("a candidate that is followed has nothing behind it", ~alone | (behind <= 1))
        checks.invariant("no window was written meanwhile", ~alone | (self.lately == 0))
        checks.invariant("the windows are as they were", ~(alone & self.looked) | (self.found == self.goes))
        checks.invariant("each is followed", ~((self.age >= 2) & nothing & self.clean) | alone)
        checks.invariant("none if a window was written", ~(alone & nothing) | self.clean)
        checks.invariant("none but those that are alone", ~(alone & nothing) | self.alone)
        checks.invariant("nothing has begun behind those", (self.age == 0) | (nothing == self.alone))
        checks.invariant("its dword is kept", ~alone | (candidate.dword == self.dword))
        for bell, at in self.at.items():
            checks.invariant("its place is kept", ~alone | (self._is(bell, candidate) == at))

    def _places(self, checks: Checks) -> None:
        """What is known, and what of it is promised, is where the windows go."""
        age, lately = self.age, self.lately
        settled = Mux(age == 2, lately == 0, Mux(age == 3, lately[1:] == 0, lately[2:] == 0))
        checks.invariant("a dword is in its block", ~self.at["edma"] | self.at["mu"])
        for bell, goes in _UNITS.items():
            known, place = self.inside.signal(f"{bell}_known"), data.View(_PLACE, self.inside.signal(f"{bell}_place"))
            checks.invariant("what is known is", self.known[bell] == (known & self._is(bell, place)))
            checks.invariant("no window was written since it is", ~known | (lately == 0))
            beside = known & self._is("mu", place)
            checks.invariant("it is there, and all of the block", ~beside | (self.goes == goes))
            promised = self.lines[bell] & self.at[bell]
            checks.invariant("what is promised was found", ~(promised & self.looked) | (self.found == goes))
            checks.invariant("or will be", ~promised | self.looked | ((self.goes == goes) & settled))

    def _beats(self, checks: Checks) -> None:
        """What the lane keeps of a packet that has not come to its end."""
        inside, started, clean = self.inside, self.started, self.clean
        held = data.View(_PLACE, checks.past(self.held.as_value(), "held_before"))
        half, header = checks.past(self.half, "half_before"), checks.past(self.header, "header_before")
        opened, headed = inside.signal("opened"), inside.signal("headed")
        candidate = data.View(_PLACE, inside.signal("candidate"))
        checks.invariant("half a header has come, or all of it", ~(self.half & self.header) & ~(opened & headed))
        checks.invariant("it is alone in the way in", ~(self.half | self.header) | (self.age == 0))
        checks.invariant("nothing is followed but it", ~(half | header) | ~inside.signal("alone"))
        checks.invariant("its age is counted", ~(half | header) | started | (inside.signal("age") == self.since))
        for follows, came in ((opened, half), (headed, header)):
            checks.invariant("what has come is followed", ~(came & clean & ~started) | follows)
            checks.invariant("and nothing else", ~follows | came)
            checks.invariant("not if a window was written", ~follows | clean | started)
        address = Cat(candidate.dword, candidate.block) == Cat(held.dword, held.block)
        checks.invariant("its address is kept", ~opened | address)
        checks.invariant("its place is kept", ~headed | (candidate.as_value() == held.as_value()))
        for bell in _UNITS:
            known, place = inside.signal(f"{bell}_known"), data.View(_PLACE, inside.signal(f"{bell}_place"))
            dword = (held.dword == place.dword) | (bell == "mu")
            near, hit = inside.signal(f"{bell}_address"), inside.signal(f"{bell}_hit")
            same = (_block(held) == _block(place)) & dword
            checks.invariant("no window was written if a place is known", ~((self.half | self.header) & known) | clean)
            checks.invariant("its address was compared", ~opened | (near == ((held.block == place.block) & dword)))
            checks.invariant("its place was compared", ~headed | (hit == same))

    def _is(self, bell: str, place: Any) -> Any:
        """Whether it is the place; of the Messaging Unit with any dword."""
        return (_block(place) == _block(self.place)) & ((place.dword == self.place.dword) | (bell == "mu"))

    def _vector(self) -> Any:
        """The vector of the candidate's dword."""
        return (Const(1, 4) << self.now_dword)[:4]


def _block(place: Any) -> Any:
    return Cat(place.block, place.bar, place.function)


PROOFS = [
    Proof(
        f"express.promises.{width}",
        "what is promised is going to ring; it is promised in its time, and held until it is made",
        partial(_Lane, width),
        depth=4,
        cover_depth=depth,
        mutant_depth=depth,
    )
    for width, depth in ((64, 22), (256, 18))
]
