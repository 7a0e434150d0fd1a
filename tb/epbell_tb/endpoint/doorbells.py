"""Every doorbell behind one BAR, by Linux's own means, and rings that are expected or must stay silent."""

from epbell_models.linux.doorbell_client import DoorbellClient, Notify
from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "SILENT",
    "VECTORS",
    "Doorbells",
    "open_doorbells",
]

VECTORS = 4

SILENT = 300
"""Clocks that nothing may happen in after what must not ring: a good ring is handled within fewer."""

_HANDLED = 3000
"""Clocks within which a handler must have run."""


class Doorbells:
    """The doorbells of the endpoint's function behind one BAR.

    Parameters
    ----------
    env
        The environment.
    client
        The function driver that listens.
    bar
        Number of the BAR.
    """

    def __init__(self, env: EndpointEnv, client: DoorbellClient, bar: int) -> None:
        self.client = client
        self.bar = bar
        self._env = env

    def address(self, vector: int) -> int:
        """Return the bus address that rings a vector."""
        return self._env.address(self.bar, self.client.published[vector].offset)

    async def ring(self, vector: int, word: int | None = None) -> None:
        """Ring, with the published word or another."""
        word = self.client.published[vector].data if word is None else word
        await self._env.memory.write32(self.address(vector), word)

    async def handled(self, counts: list[int], what: str) -> None:
        """Wait until the handlers have run that often, and see that they do not run more often."""
        await self._env.until(lambda: self.client.handled == counts, f"{what}: handler runs {counts}", _HANDLED)
        await self._env.clocks(SILENT)
        assert self.client.handled == counts, f"{what}: the handlers ran {self.client.handled}, not {counts} times"

    async def good_ring(self, vector: int) -> None:
        """Ring once: exactly its handler runs, exactly once, and the word arrives."""
        word = self._env.random.getrandbits(32)
        counts = list(self.client.handled)
        counts[vector] += 1
        await self.ring(vector, word)
        await self.handled(counts, f"good ring of vector {vector}")
        assert self._env.board.bells[vector].words[-1] == word

    async def silent(self, what: str) -> None:
        """See that nothing happens: no interrupt, no ring, no handler."""
        env = self._env
        before = list(self.client.handled), self._figures()
        await env.block.settle()
        await env.clocks(SILENT)
        assert (list(self.client.handled), self._figures()) == before, f"{what} must stay silent"
        assert not env.irq_mu.level(), f"{what} must not raise the line"
        assert not await env.pending(), f"{what} must not make an interrupt pending"

    def _figures(self) -> tuple[int, int, list[int]]:
        board = self._env.board
        return board.counts["irqs"], board.counts["rings"], [bell.acks for bell in board.bells]


async def open_doorbells(
    env: EndpointEnv, bar: int = 2, count: int = VECTORS, *, notify: Notify | None = None, threaded: bool = False
) -> Doorbells:
    """Allocate doorbells, request their interrupts and aim a BAR at them."""
    client = DoorbellClient(env.software.core, env.software.function.epf, bar, notify=notify, threaded=threaded)
    error = await client.open(count)
    assert error == 0, f"opening {count} doorbells ended with {error}: {env.software.log}"
    return Doorbells(env, client, bar)
