"""Proofs of the crossing of MUR between two clocks of any ratio: each request is carried out at the far side."""

from typing import Any

from amaranth.hdl import DomainRenamer, Module, Signal
from amaranth.lib.wiring import In
from cdc_account import edges, one_at_most, other
from clocks import Clocks
from inside import Inside

from epbell.mu_crossing import ResetRequest
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS", "Way"]


class _Pair(Clocks):
    """Both ends; either may ask at any time, and `rst` of either does nothing to them."""

    def __init__(self) -> None:
        super().__init__({"request_a": In(1), "request_b": In(1)}, 4)

    def state(self, checks: Checks) -> None:
        m: Any = Module()
        self.ends = {domain: ResetRequest() for domain in "ab"}
        for domain, end in self.ends.items():
            Inside(end)
            m.submodules[f"mur_{domain}"] = DomainRenamer(domain)(end)
            far = self.ends["b" if domain == "a" else "a"]
            m.d.comb += [
                end.far_toggle.eq(far.toggle),
                end.far_seen.eq(far.seen),
                end.request.eq(getattr(self, f"request_{domain}")),
            ]
        self.place(m)
        for domain in "ab":
            way = Way(self, self.ends, domain)
            way.state(checks)
            crossing = way.crossing
            checks.cover("one request during another", crossing & way.newer)
            checks.cover("a request is carried out", way.done)
            checks.cover(
                "both sides ask at once", crossing & self.request_a & self.request_b & self.tick_a & self.tick_b
            )


class Way:
    """What becomes of the requests of one side.

    Parameters
    ----------
    clocks : Clocks
        The bench.
    ends : dict of ResetRequest
        Both ends, by domain.
    near : str
        Domain of the side that asks.

    Attributes
    ----------
    crossing, newer : Signal
        A request has set out and has not been carried out; one was made since it set out.
    done : Value
        In this step one is carried out.
    """

    def __init__(self, clocks: Clocks, ends: dict[str, ResetRequest], near: str) -> None:
        self.clocks, self.domain, self.ends = clocks, near, ends
        self.crossing: Any = Signal(name=f"{near}_request_crosses")
        self.newer: Any = Signal(name=f"{near}_asked_since")
        self.done = clocks.ticks[other(near)] & ends[other(near)].by_far

    def state(self, checks: Checks) -> None:
        """State that each is carried out once, and how long it takes."""
        m, near_domain, far_domain = self.clocks.m, self.domain, other(self.domain)
        near, far, crossing, newer = self.ends[near_domain], self.ends[far_domain], self.crossing, self.newer
        tick, far_tick = self.clocks.ticks[near_domain], self.clocks.ticks[far_domain]
        out, back = self.clocks.synchroniser(far.far_toggle), self.clocks.synchroniser(near.far_seen)
        again = Inside(near).signal("again")
        ticks: Any = Signal(3, name=f"{near_domain}_ticks")
        before: Any = Signal(name=f"{near_domain}_toggle_before")
        asks, does = tick & near.request, self.done
        starts: Any = Signal(name=f"{near_domain}_starts")
        free = near.toggle == back.second
        m.d.comb += starts.eq(tick & free & (near.request | newer))
        m.d.sync += [
            before.eq(near.toggle),
            crossing.eq((crossing & ~does) | starts),
            # Asked, and what has set out since then is not known to be on its way.
            newer.eq((newer | asks) & ~starts),
        ]
        with m.If(~crossing | does):
            m.d.sync += ticks.eq(0)
        with m.Elif(far_tick):
            m.d.sync += ticks.eq(ticks + 1)
        chain = [near.toggle, out.first, out.second, far.seen, back.first, back.second]
        checks.invariant("one change is under way at a time", one_at_most(edges(chain)))
        for one in (out, back):
            checks.invariant("an unsettled input is ahead of its synchroniser", ~one.unsettled | (one.i != one.first))
        checks.invariant("a request crosses while the toggles differ", crossing == (near.toggle != far.seen))
        checks.invariant("one that came during another one waits", again == newer)
        checks.invariant("in one tick it is settled", ~crossing | (ticks < 1) | ~out.unsettled)
        checks.invariant("in two it is seen", ~crossing | (ticks < 2) | (out.first == near.toggle))
        checks.invariant("in three it is carried out", ~crossing | (ticks < 3) | (out.second == near.toggle))
        checks.forward("a request is carried out within four clocks of the far side", ticks < 4)
        checks.backward("nothing is carried out that was not asked, nor twice", ~does | crossing)
        checks.forward("a request is pending from its own clock on", ~near.request | near.pending)
        checks.forward("it is pending until it has been carried out", ~(crossing | newer) | near.pending)
        checks.backward(
            "nothing else is pending",
            ~near.pending
            | near.request
            | newer
            | crossing
            | ((far.seen == near.toggle) & (back.second != near.toggle)),
        )
        set_out = checks.past(starts, f"{near_domain}_set_out")
        moved = near.toggle != before
        checks.forward("a request sets out when the one before is known to be done", ~set_out | moved)
        checks.backward("nothing else sets out", ~moved | set_out)


PROOFS = [
    Proof(
        "cdc.mur.pair",
        "each MUR is carried out once at the far side, one during another after it, and is pending until then",
        _Pair,
        cover_depth=10,
        mutant_depth=14,
    )
]
