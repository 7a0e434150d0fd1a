"""Proofs of the restart of a link between two clocks of any ratio: nobody looks meanwhile, whatever resets come."""

from typing import Any

from amaranth.hdl import DomainRenamer, Module, Signal
from amaranth.lib.wiring import In
from cdc_account import state_shakes
from clocks import Clocks
from inside import Inside

from epbell.cdc import Restart
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS", "Link"]


class Link(Clocks):
    """Both ends of the restart of a link; its hand-shakes by themselves."""

    def __init__(self, ports: dict[str, Any] | None = None, synchronisers: int = 4) -> None:
        free = ("reset_a", "reset_b", "hold_a", "hold_b")
        super().__init__({**dict.fromkeys(free, In(1)), **(ports or {})}, synchronisers)

    def state(self, checks: Checks) -> None:
        m: Any = Module()
        self.ends = {domain: Restart() for domain in "ab"}
        self.insides = {domain: Inside(end) for domain, end in self.ends.items()}
        for domain, end in self.ends.items():
            m.submodules[f"restart_{domain}"] = DomainRenamer(domain)(end)
            far = self.ends["b" if domain == "a" else "a"]
            m.d.comb += [
                end.far_down.eq(far.down),
                end.far_ack.eq(far.ack),
                end.request.eq(getattr(self, f"reset_{domain}")),
                end.hold.eq(getattr(self, f"hold_{domain}")),
            ]
        self.build(m)
        self.place(m)
        state_shakes(self, checks, self.ends)
        self.state_rest(checks)

    def build(self, m: Any) -> None:
        """Add to what is instantiated."""

    def state_rest(self, checks: Checks) -> None:
        """State more."""


class _Restart(Link):
    """Toggles are zeroed while nobody looks, and at both ends before either works again."""

    def state_rest(self, checks: Checks) -> None:
        m = self.m
        for domain, end in self.ends.items():
            far_domain = "b" if domain == "a" else "a"
            far = self.ends[far_domain]
            asked = self.ticks[domain] & (getattr(self, f"reset_{domain}") | self.resets[domain])
            own, other = Signal(name=f"{domain}_to_zero"), Signal(name=f"{domain}_far_to_zero")
            m.d.sync += [
                own.eq((own & ~(self.ticks[domain] & end.clear)) | asked),
                other.eq((other & ~(self.ticks[far_domain] & far.clear)) | asked),
            ]
            checks.backward("no end zeroes its toggles while the other looks", ~(end.clear & far.up))
            checks.backward("no end works before it has zeroed its toggles", ~(end.up & own))
            checks.backward("no end works before the other has zeroed its toggles", ~(end.up & other))
            needed, down = (self.insides[domain].signal(name) for name in ("needed", "down"))
            checks.invariant("what is to be zeroed waits for it", ~own | needed | down)
            checks.invariant("what the other is to zero waits for it", ~other | needed | down | far.ack)
            halted = Signal(name=f"{domain}_halted")
            with m.If(self.ticks[domain]):
                m.d.sync += halted.eq(asked)
            checks.forward("a reset or a request halts the link in the next clock", ~halted | ~end.up)
            late: Any = Signal(name=f"{domain}_reset_late")
            m.d.sync += late.eq(late | (asked & far.ack))
            checks.cover("the link works after a reset during another restart", end.up & far.up & late)


PROOFS = [
    Proof(
        "cdc.restart.pair",
        "a link restarts only while nobody looks at it, and both ends zero their toggles before either works again",
        _Restart,
        cover_depth=20,
        mutant_depth=16,
    ),
]
