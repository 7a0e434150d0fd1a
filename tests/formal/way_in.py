"""Parser and target in one bench, beside an account of the packets on the CQ stream that goes on to their execution."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Const, Signal
from amaranth.lib import data
from way_in_parser import DOORBELLS, EDMA, RAM, RAM_SIZE, READ, SIDE_B, WRITE, WayInParser

from epbell_tb.formal_checks import Checks

__all__ = ["DOORBELLS", "EDMA", "RAM", "RAM_SIZE", "READ", "SIDE_B", "WRITE", "WayIn"]


class WayIn(WayInParser):
    """Follows what is said of a beat on its way through the target, where it waits in one of the backlog's places.

    Subclasses implement :meth:`state`.
    """

    def beyond(self, checks: Checks) -> None:
        """Say where an action is: decoded, in one of the places where it waits, or executed."""
        m, target = self.m, self.in_target
        self.decoder, backlog = target.within("decoder"), target.within("backlog")
        self.takes = target.signal("takes")
        decoder = target.module.submodules.decoder
        self.decoder_valid = decoder.o_valid
        oldest, newest, level = (backlog.signal(name) for name in ("oldest", "newest", "level"))
        self.oldest, self.newest = oldest, newest
        places = range(1 << len(oldest))
        self.waits = [Signal(name=f"waits{place}") for place in places]  # there is one in this place
        m.d.comb += [self.waits[place].eq((place - oldest)[: len(oldest)] < level) for place in places]
        found = target.within("decoder").signal
        halves = [f"{where}_{half}" for where in ("ram", "page0", "page1") for half in ("lower", "upper")]
        for name in (*halves, "page1_word"):
            checks.invariant("where it goes is known twice", found(f"{name}_inverted") == ~found(name))
        self.words = [backlog.word(m, "entries", Const(place, len(oldest))).action for place in places]
        self.following = target.module.submodules.backlog.o_valid  # there is one to be executed next
        inverted = (backlog.signal("oldest_inverted") == ~oldest) & (backlog.signal("newest_inverted") == ~newest)
        checks.invariant("addresses are the other way round", inverted)
        for place, word in zip(places, self.words, strict=True):
            decides = backlog.word(m, "apart", Const(places[-1] - place, len(oldest))).decides
            names = ("ram", "read", "begins", "more", "waits", "ends_well")
            kept = Cat(decides[name] == word[name] for name in names).all() & (decides.may_wait == word.pages[0])
            checks.invariant("what decides is kept apart", ~self.waits[place] | kept)
        checks.invariant("kept in a ring", newest == (oldest + level)[: len(oldest)])
        checks.invariant("one is to come if one waits", self.following == level.any())
        checks.invariant("it knows whether there is a place", backlog.signal("free") == (level != len(places)))
        under_way = sum((step.came for step in self.steps), self.decoder_valid)
        room = self.parser.cq.tready + self.target.room
        ports = self.target.ram_valid | (self.target.bus_valid & self.target.bus_pages[0])
        checks.invariant("what may have to wait is for the RAM or side B", target.signal("shared") == ports)
        same = target.signal("stands") == target.signal("shared")
        checks.invariant("it is known that it need not", target.signal("passes") == ~target.signal("shared"))
        checks.invariant("so it is of a read", target.signal("unread") == ~self.target.read_valid)
        there = Cat(self.following, self.target.ram_valid, self.target.bus_valid, self.target.read_valid)
        there = Cat(there, target.signal("more"), target.signal("waits")).any()
        checks.invariant("it is known twice, or nothing has been there", same | ~there)
        checks.invariant("there is a place for each beat under way", level + under_way + room <= len(places))
        held: Any = self._as_value(target.signal("held"))
        self.now = data.View(decoder.action.shape(), held[: decoder.action.shape().size])

    def follow(self, value: Any, name: str) -> Any:
        """Follow something said of each beat, ``value.there`` if it counts, through the places beyond the parser.

        Returns what is decoded, what waits (a list of the places), what of that is next, and what is executed; `there`
        says whether anything is.
        """
        m = self.m
        decoded = self.moved(value, f"{name}_decoded")
        waiting: list[Any] = []
        following: Any = Signal.like(value, name=f"{name}_following")
        for place, there in enumerate(self.waits):
            kept, shown = (Signal.like(value, name=f"{name}_{what}{place}") for what in ("kept", "waiting"))
            with m.If(self.decoder_valid & (self.newest == place)):
                m.d.sync += kept.eq(decoded)
            m.d.comb += [shown.eq(kept), shown.there.eq(there)]
            with m.If(self.oldest == place):
                m.d.comb += following.eq(shown)
            waiting.append(shown)
        now: Any = Signal.like(value, name=f"{name}_now")
        with m.If(self.takes):
            m.d.sync += now.eq(following)
        return SimpleNamespace(decoded=decoded, waiting=waiting, following=following, now=now)

    def entries(self, account: Any) -> Any:
        """Return what is said of each action up to its execution, beside it."""
        actions = (self.in_target.module.submodules.decoder.action, *self.words)
        return zip((account.decoded, *account.waiting), actions, strict=True)
