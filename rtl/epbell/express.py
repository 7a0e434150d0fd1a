"""The express lane: a doorbell that has rung before raises its line ahead of the write, as a promise.

The way in takes its clocks to find out where a request goes. For an address that rang a doorbell a moment ago this is
known; what may not be known is what becomes of the requests in front of it. So a write that begins while the way in is
empty, to such an address, raises the line at once. It goes its way all the same and is made in its turn; until then the
CPU's accesses to register pages wait, so that nobody can tell the line from one that the write itself has raised.
docs/endpoint.md has the rules.
"""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie import usp
from epbell.pcie.age import LATENCY_BITS, shown
from epbell.pcie.tlp import RequestType

__all__ = [
    "AHEAD",
    "HELD",
    "Express",
    "Promises",
]

AHEAD = 2
"""Clocks from the last beat of a doorbell write to the line that it raises through the express lane."""

HELD = 10
"""Clocks for which a promise is outstanding at most, and so for which it keeps the CPU from the register pages."""

_IDLE = 3
"""Clocks for which the way in is empty when a candidate begins: what was before it has been made, and is learned."""

_SETTLE = 4
"""Clocks after a write of an inbound window in which nothing is learned of what begins, beside those of the write."""

_BELLS = ("mu", "edma")

_PLACE = data.StructLayout({"vector": 2, "block": 60, "bar": 3, "function": 8})
"""Where a write goes: the 16 bytes of the PCI address, and which dword of them; BAR and function."""

_ONES = {name: (1 << width) - 1 for name, width in (("vector", 2), ("block", 60), ("bar", 3), ("function", 8))}


class Promises(wiring.Signature):
    """Between the express lane and what rings, in the direction of the promises.

    Attributes
    ----------
    mu, edma : Out(4), Out(1)
        The write that rings this vector of the Messaging Unit, or the eDMA, is under way, and nothing can keep it from
        being made; held to the clock in which it is. At most one bit of all. Out of flip-flops.
    begins_mu, begins_edma : Out(1)
        In the first of these clocks.
    age : Out(LATENCY_BITS)
        In the first of these clocks: clocks since the first beat of the request.
    rung_mu, rung_edma : In(4), In(1)
        A write of the host rings this vector, or the eDMA, in this clock.
    """

    def __init__(self) -> None:
        super().__init__({
            "mu": Out(4),
            "edma": Out(1),
            "begins_mu": Out(1),
            "begins_edma": Out(1),
            "age": Out(LATENCY_BITS),
            "rung_mu": In(4),
            "rung_edma": In(1),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Promises)

    def __hash__(self) -> int:
        return hash(Promises)

    def __repr__(self) -> str:
        return "express.Promises()"


class Express(wiring.Component):
    """Listens to the CQ stream, and raises lines ahead of the writes that ring.

    *Candidates* are sound memory writes of one dword, with all of its bytes, that begin while the way in is empty.

    *Learned* is the place of a candidate behind which nothing has begun when the next write of the host is made, if
    that rings: for the Messaging Unit its 16 bytes, in which all four TRn are, for the eDMA its dword. One place each:
    the last. No window begins or ends within 16 bytes, and no BAR.

    *Forgotten* are both when a register of an inbound window is written. Nothing is learned of a candidate if that
    happens while it is under way, or in the `_SETTLE` clocks before.

    *Promised* is a candidate at a place that is known, `AHEAD` clocks after its last beat was accepted; but none at the
    Messaging Unit while a write of the CPU to it is under way: that comes first, and it may be MUR.

    Parameters
    ----------
    width : int
        Width of the CQ stream in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    accepted : In(1)
        A beat is taken from the stream in this clock.
    tdata, tkeep, tuser, tlast : In(width), In(width / 32), In, In(1)
        The beat, as in :class:`usp.CompleterRequest`.
    idle : In(1)
        There is nothing in the way in. It falls in the clock after the first beat of a packet was accepted, and rises
        when the last write before has had its handshake at the register pages, a clock later at the earliest.
    aimed : In(1)
        A register of an inbound window is at its port to be written: a clock after its handshake.
    cpu_writes : In(1)
        The CPU asks for a write of the Messaging Unit, or one of its is at the port.
    made : In(1)
        A write of the host to a register page is made in this clock.
    bells : Out(Promises())
        The promises, and what rings.
    outstanding : Out(1)
        There is a promise: the CPU's accesses to register pages are not to be granted. A flip-flop.

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    accepted: Any
    tdata: Any
    tkeep: Any
    tuser: Any
    tlast: Any
    idle: Any
    aimed: Any
    cpu_writes: Any
    made: Any
    bells: Any
    outstanding: Any

    def __init__(self, width: int) -> None:
        self._width = usp.check_width(width)
        self._lanes = width // 32
        stream = usp.CompleterRequest(width).members
        super().__init__({
            "accepted": In(1),
            **{name: In(stream[name].shape) for name in ("tdata", "tkeep", "tuser", "tlast")},
            "idle": In(1),
            "aimed": In(1),
            "cpu_writes": In(1),
            "made": In(1),
            "bells": Out(Promises()),
            "outstanding": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Follow the packet; learn where it rings; promise."""
        m: Any = Module()
        settling: Any = Signal(_SETTLE)
        m.d.sync += settling.eq(Cat(self.aimed, settling))
        self._stirred: Any = self.aimed | settling.any()
        # It begins with ones for synthesis: else it would be one with an address that the windows look at, far away.
        self._candidate: Any = Signal(_PLACE, name="candidate", reset_less=True, init=_ONES)
        self._known: Any = {bell: Signal(name=f"{bell}_known") for bell in _BELLS}
        self._places: Any = {bell: Signal(_PLACE, name=f"{bell}_place", reset_less=True) for bell in _BELLS}
        beat = self._take(m)
        whole, hits = self._follow(m, beat)
        self._learn(m, beat, whole)
        promised = self._promise(m, beat, whole, hits)
        self._age(m, beat)
        self._check(m, beat, promised)
        return m

    def _take(self, m: Any) -> Any:
        """Keep of a beat what counts, where it goes and how that compares, and whether the way in was empty."""
        lanes, user, words = self._lanes, usp.request_user(self._width, self.tuser), Cat(self.tdata, self.tdata)[:128]
        header, place = _header(words), _place(words)
        starts, ends = self.accepted & user.sop, self.accepted & self.tlast & ~user.discontinue
        opens = starts & ~user.discontinue & (Cat(user.first_be, user.last_be) == 0x0F)
        ended = self.tkeep == (0x1F if lanes >= 8 else 1)
        writes = (header["kind"] == RequestType.MEM_WRITE) & (header["length"] == 1)
        counts = {
            "came": self.accepted,
            "starts": starts,  # a packet
            "opens": opens,  # it may be a candidate
            "ends": ends & ended & ~starts,
        }
        values = {
            "last": self.tlast,
            "gone": user.discontinue,
            "full": self.tkeep.all(),
            "writes": writes,
            "place": place,
            **{f"{bell}_address": _same(_address(bell, place), _address(bell, self._places[bell])) for bell in _BELLS},
            **{f"{bell}_function": _same(_function(place), _function(self._places[bell])) for bell in _BELLS},
        }
        if lanes >= 8:
            counts["whole"] = opens & self.tlast & ended & writes  # it is one, all in this beat
        beat = {name: Signal.like(value, name=f"beat_{name}", reset_less=True) for name, value in values.items()}
        beat |= {name: Signal(name=f"beat_{name}") for name in counts}
        fresh = Signal(name="fresh")
        before: Any = Signal(_IDLE - 1, name="was_idle")
        m.d.sync += [
            *(beat[name].eq(value) for name, value in (counts | values).items()),
            before.eq(Cat(self.idle, before)),
            fresh.eq(self.idle & before.all()),
        ]
        return SimpleNamespace(**beat, fresh=fresh)

    def _follow(self, m: Any, beat: Any) -> tuple[Any, dict[str, Any]]:
        """Follow a candidate; return "it has come to its end", and whether its place is each of those that are kept."""
        place, candidate = beat.place, self._candidate
        address, function = (
            {bell: getattr(beat, f"{bell}_{part}").all() for bell in _BELLS} for part in ("address", "function")
        )
        begins: Any = beat.opens & beat.fresh
        entered: Any = beat.starts
        if self._lanes >= 8:
            whole = beat.whole & beat.fresh
            hits = {bell: address[bell] & function[bell] for bell in _BELLS}
        else:
            goes_on = ~beat.last & beat.full
            if self._lanes == 2:
                opened = self._step(m, beat, "opened", begins & goes_on)
                begins, entered = beat.came & ~beat.starts & ~beat.gone & opened, beat.came & opened
                address = {bell: self._step(m, beat, f"{bell}_address", address[bell]) for bell in _BELLS}
            headed = self._step(m, beat, "headed", begins & goes_on & beat.writes)
            hits = {bell: self._step(m, beat, f"{bell}_hit", address[bell] & function[bell]) for bell in _BELLS}
            whole = headed & beat.ends
        with m.If(beat.starts):
            m.d.sync += [candidate.vector.eq(place.vector), candidate.block.eq(place.block)]
        with m.If(entered):
            m.d.sync += [candidate.bar.eq(place.bar), candidate.function.eq(place.function)]
        return whole, hits

    def _step(self, m: Any, beat: Any, name: str, value: Any) -> Any:
        """Return what was so in the beat before; not if a window has been written since."""
        held: Any = Signal(name=name)
        m.d.sync += held.eq(Mux(beat.came, value, held) & ~self._stirred)
        return held

    def _learn(self, m: Any, beat: Any, whole: Any) -> None:
        """Keep the place of a candidate that rings."""
        alone: Any = Signal()  # there is a candidate, and nothing has begun behind it
        made: Any = Signal(name="was_made")
        stays = alone & ~beat.starts & ~made
        m.d.sync += [alone.eq((whole | stays) & ~self._stirred), made.eq(self.made)]
        for bell, rings in (("mu", self.bells.rung_mu.any()), ("edma", self.bells.rung_edma)):
            rang: Any = Signal(name=f"{bell}_rang")
            again: Any = Signal(name=f"{bell}_rang_again", init=1)  # the other loads all of a place
            known, learned = self._known[bell], alone & again & ~self._stirred
            m.d.sync += [*(one.eq(rings) for one in (rang, again)), known.eq((known & ~self.aimed) | learned)]
            with m.If(alone & rang):  # which place it is does not matter while none is known
                m.d.sync += self._places[bell].eq(self._candidate)

    def _promise(self, m: Any, beat: Any, whole: Any, hits: dict[str, Any]) -> Any:
        """Raise a line, and hold it until the write is made; return "a promise begins with the next clock"."""
        bells, stays = self.bells, self.outstanding & ~self.made
        vector = (beat.place if self._lanes >= 8 else self._candidate).vector
        good = whole & ~self.aimed
        mu = good & hits["mu"] & self._known["mu"] & ~self.cpu_writes
        edma = good & hits["edma"] & self._known["edma"]
        m.d.sync += [
            *(bells.mu[n].eq((mu & (vector == n)) | (bells.mu[n] & stays)) for n in range(4)),
            bells.edma.eq(edma | (bells.edma & stays)),
            bells.begins_mu.eq(mu),
            bells.begins_edma.eq(edma),
            self.outstanding.eq(mu | edma | stays),
        ]
        return mu | edma

    def _check(self, m: Any, beat: Any, promised: Any) -> None:
        """State what the way in owes to a promise."""
        bells = self.bells
        begun: Any = Signal()
        clocks: Any = Signal(range(HELD + 1))  # of the promise
        begins = beat.starts & beat.fresh
        rung: Any = Cat(bells.rung_mu, bells.rung_edma)
        m.d.sync += [
            begun.eq(begins),
            clocks.eq(Mux(self.outstanding, clocks + 1, 0)),
            Assert(~(begins | begun) | ~self.made, "the way in is said to be empty, and a write is under way"),
            Assert(~(self.outstanding & self.made) | (rung == Cat(bells.mu, bells.edma)), "a promise is not kept"),
            Assert(~self.outstanding | (clocks < HELD), "a promise takes too long"),
            Assert(~(self.outstanding & promised), "a promise is made while another one is outstanding"),
        ]

    def _age(self, m: Any, beat: Any) -> None:
        """Count the clocks since the packet began. In the widest streams it is over when it begins."""
        if self._lanes >= 8:
            m.d.comb += self.bells.age.eq(AHEAD)
            return
        age: Any = Signal(LATENCY_BITS + 1)  # in the highest bit, that it is more than the others can hold
        goes_on: Any = Signal(name="packet_goes_on")
        m.d.sync += [
            goes_on.eq((beat.starts | goes_on) & ~(beat.came & beat.last)),
            age.eq(Mux(beat.starts, AHEAD, age + (goes_on & ~age[LATENCY_BITS]))),
        ]
        m.d.comb += self.bells.age.eq(shown(age))


def _address(bell: str, place: Any) -> Any:
    """Return what of the address has to be the same."""
    return Cat(place.vector, place.block) if bell == "edma" else place.block


def _function(place: Any) -> Any:
    return Cat(place.bar, place.function)


def _same(one: Any, other: Any) -> Any:
    """Whether two values are the same, for each 32 bits: three LUTs behind each other in front of a flip-flop."""
    return Cat(one[low : low + 32] == other[low : low + 32] for low in range(0, len(one), 32))


def _header(descriptor: Any) -> dict[str, Any]:
    return usp.request_header(descriptor, 0, 0, 0)


def _place(descriptor: Any) -> Any:
    """Where a request goes, by its descriptor."""
    header = _header(descriptor)
    address = header["address"]
    return data.View(_PLACE, Cat(address[2:4], address[4:64], header["bar"], header["function"]))
