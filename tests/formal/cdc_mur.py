"""Proofs of the crossing of MUR between two clocks of any ratio: each request is carried out at the far side."""

from typing import Any

from amaranth.hdl import DomainRenamer, Module, Signal
from amaranth.lib.wiring import In
from cdc import edges, one_at_most
from clocks import Clocks
from inside import Inside

from epbell.mu_crossing import ResetRequest
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]


class _Pair(Clocks):
    """Both ends; either may ask at any time, and `rst` of either does nothing to them."""

    def __init__(self) -> None:
        super().__init__({"request_a": In(1), "request_b": In(1)}, 4)

    def state(self, checks: Checks) -> None:
        m: Any = Module()
        self.ends = {domain: ResetRequest() for domain in "ab"}
        self.insides = {domain: Inside(end) for domain, end in self.ends.items()}
        for domain, end in self.ends.items():
            m.submodules[f"mur_{domain}"] = DomainRenamer(domain)(end)
            far = self.ends["b" if domain == "a" else "a"]
            m.d.comb += [
                end.far_toggle.eq(far.toggle),
                end.far_seen.eq(far.seen),
                end.request.eq(getattr(self, f"request_{domain}")),
            ]
        self.place(m)
        for domain in "ab":
            self._state_way(checks, domain, "b" if domain == "a" else "a")

    def _state_way(self, checks: Checks, near_domain: str, far_domain: str) -> None:
        """State what becomes of the requests of one side."""
        m, near, far = self.m, self.ends[near_domain], self.ends[far_domain]
        tick, far_tick = self.ticks[near_domain], self.ticks[far_domain]
        out, back = self.synchroniser(far.far_toggle), self.synchroniser(near.far_seen)
        again = self.insides[near_domain].signal("again")
        crossing, newer, ticks = (
            Signal(name=f"{near_domain}_crossing"),
            Signal(name=f"{near_domain}_asked_since"),
            Signal(3, name=f"{near_domain}_ticks"),
        )
        before: Any = Signal(name=f"{near_domain}_toggle_before")
        asks, does = tick & near.request, far_tick & far.by_far
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
        checks.cover("one request during another", crossing & newer)
        checks.cover("a request is carried out", does)
        checks.cover("both sides ask at once", crossing & self.request_a & self.request_b & self.tick_a & self.tick_b)


PROOFS = [
    Proof(
        "cdc.mur.pair",
        "each MUR is carried out once at the far side, one during another after it, and is pending until then",
        _Pair,
        cover_depth=10,
        mutant_depth=14,
    )
]
