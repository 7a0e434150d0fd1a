"""Two clocks of any ratio and phase, in one model of the prover's steps.

In each step either clock ticks, or both do, or none: free inputs say so, and so does each reset, which acts in a tick.
Whatever order of edges two real clocks have is one of these sequences. Where the input of a synchroniser changed at the
last tick of the other clock, the next tick of its own gives the first flip-flop any value. So wires may differ in delay
by up to a clock of the side that drives them, which is what epbell.cdc asks of the constraints.
"""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, EnableInserter, Fragment, Module, Mux, Signal
from amaranth.lib.wiring import In

from epbell_tb.formal_checks import Bench, Checks

__all__ = ["Clocks", "Synchroniser"]


@dataclass(frozen=True, eq=False)
class Synchroniser:
    """What is in a synchroniser.

    Attributes
    ----------
    i : Signal
        Its input.
    first, second : Signal
        Its flip-flops.
    unsettled : Signal
        The next tick takes any value.
    """

    i: Any
    first: Any
    second: Any
    unsettled: Any


class _Platform:
    """Builds synchronisers of which the first flip-flop takes what it likes while the input is unsettled."""

    def __init__(self, noise: Any) -> None:
        self.noise = noise
        self.built: list[Synchroniser] = []

    def get_ff_sync(self, ff: Any) -> Module:
        m: Any = Module()
        if len(ff.i) != 1 or ff._stages != 2:
            raise ValueError(f"A synchroniser must be one bit wide and two flip-flops long, not {ff.i!r}")
        first, second = (Signal(name=f"{ff.i.name}_{name}", reset_less=True) for name in ("first", "second"))
        unsettled: Any = Signal(name=f"{ff.i.name}_unsettled")
        noise = self.noise[len(self.built)]
        m.d[ff._o_domain] += [first.eq(Mux(unsettled, noise, ff.i)), second.eq(first)]
        m.d.comb += ff.o.eq(second)
        self.built.append(Synchroniser(ff.i, first, second, unsettled))
        return m


def _drives(fragment: Any, domain: str, signal: Any) -> bool:
    """Return whether a flip-flop is in this domain of a fragment, or of one in it."""
    own = any(signal in statement._lhs_signals() for statement in fragment.statements.get(domain, ()))
    return own or any(_drives(inner, domain, signal) for inner, *_ in fragment.subfragments)


class Clocks(Bench):
    """A wrapper around something with the domains ``a`` and ``b``.

    The bench's own memory is in ``sync``, which moves on in each step and is never reset. Subclasses implement
    :meth:`state` instead of ``check``.

    Parameters
    ----------
    ports : dict
        Free inputs besides those below.
    synchronisers : int
        How many there are in it.

    Attributes
    ----------
    tick_a, tick_b : In(1)
        The clock has an edge at the end of this step.
    rst_a, rst_b : In(1)
        Reset, at a tick.
    """

    def __init__(self, ports: dict[str, Any], synchronisers: int) -> None:
        own = ("clk", "tick_a", "tick_b", "rst_a", "rst_b")
        super().__init__({**dict.fromkeys(own, In(1)), "noise": In(synchronisers), **ports})

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        self.platform = _Platform(self.noise)
        for name in ("sync", "a", "b"):
            domain = ClockDomain(name, reset_less=name == "sync")
            m.domains += domain
            m.d.comb += domain.clk.eq(self.clk)
            if domain.rst is not None:
                m.d.comb += domain.rst.eq(getattr(self, f"rst_{name}") & getattr(self, f"tick_{name}"))
        self.ticks = {"a": self.tick_a, "b": self.tick_b}
        self.resets = {"a": self.tick_a & self.rst_a, "b": self.tick_b & self.rst_b}
        self.state(checks)
        if len(self.platform.built) != len(self.noise):
            raise ValueError(f"There are {len(self.platform.built)} synchronisers, not {len(self.noise)!r}")

    def state(self, checks: Checks) -> None:
        """Instantiate the component with :meth:`place`, and state its properties."""
        raise NotImplementedError

    def place(self, component: Any) -> None:
        """Instantiate what has the domains ``a`` and ``b``: its flip-flops move at their clock's ticks."""
        fragment = Fragment.get(component, self.platform)
        for one in self.platform.built:
            domain = next(name for name in self.ticks if _drives(fragment, name, one.first))
            self.m.d.comb += one.unsettled.eq(self.unsettled(one.i, domain))
        self.m.submodules.dut = EnableInserter(self.ticks)(fragment)

    def unsettled(self, value: Any, domain: str) -> Any:
        """Return whether `value` changed at the last tick of the other clock, and this one has not ticked since."""
        m, (far,) = self.m, (tick for name, tick in self.ticks.items() if name != domain)
        before, held = Signal(len(value), reset_less=True), Signal(reset_less=True)
        far_ticked, ticked = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [before.eq(value), far_ticked.eq(far), ticked.eq(self.ticks[domain])]
        now = Mux(far_ticked, value != before, held & ~ticked)
        m.d.sync += held.eq(now)
        return now

    def synchroniser(self, i: Any) -> Synchroniser:
        """Return the synchroniser behind a port."""
        return next(one for one in self.platform.built if one.i is i)
