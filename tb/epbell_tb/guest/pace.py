"""How the simulation passes the time between two requests of the guest."""

from typing import Protocol

from cocotb.triggers import Timer

from epbell_tb.endpoint.clock import PERIOD_NS, cycle
from epbell_tb.guest.rtl_env import GuestEnv

__all__ = [
    "Pace",
]

_SLICE = 50
"""Clocks between two looks at the guest: a fifth of the poll of the endpoint's Linux."""

_NEXT = 100e-6
"""Seconds within which a processor that goes on makes its next access."""

_AWAKE = 2500
"""Clocks after which the endpoint's Linux has ended every sleep that is not its poll: its longest is 2 ms."""

_NAP = 10e-3


class Waits(Protocol):
    """What can wait for a request, as a `Transport` does."""

    def wait(self, seconds: float) -> bool:
        """Sleep until a request waits or the guest has gone, at most ``seconds``; return whether so."""
        ...


class Pace:
    """Lets clocks pass while the endpoint works; little by little while nothing happens but its Linux's poll.

    The endpoint works while its CPU writes, and while anything passes its pins but reads of that CPU.

    Parameters
    ----------
    env
        The environment.
    transport
        Where the guest's requests come from: as soon as there is one, no time passes any more.
    """

    def __init__(self, env: GuestEnv, transport: Waits) -> None:
        self._counts = env.board.counts
        self._transport = transport
        self._slice = Timer(_SLICE * PERIOD_NS, unit="ns")
        self._seen = -1
        self._since = 0

    async def rest(self) -> None:
        """Let some clocks pass, unless the guest's next request is there before."""
        seen = sum(self._counts.values())
        if seen != self._seen:
            self._seen, self._since = seen, cycle()
            if self._transport.wait(_NEXT):
                return
        elif cycle() - self._since > _AWAKE and self._transport.wait(_NAP):
            return
        await self._slice
