"""Scenarios that run on two tiers of the simulation, the model and the wire, and what came of each: the same.

A scenario says what host and CPU do in the few words of `Tier`, and what software must see. It waits for rest before it
looks, so that nothing of its account depends on how long a tier takes for anything. The scoreboard of the tiers judges
the rest.
"""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from epbell_models.platform import Bus
from epbell_models.reference.host_memory import HostMemory
from epbell_regs import offsets
from epbell_tb.endpoint.counters import Counters
from epbell_tb.endpoint.scoreboard import Scoreboard
from epbell_tb.window_writes import bar_window, no_window, outbound_window

__all__ = ["EDMA_BAR", "MU_BAR", "RAM_BAR", "VECTORS", "Tier", "Verdict", "reason"]

MU_BAR, EDMA_BAR, RAM_BAR = 1, 2, 5
"""BARs that show the doorbells and memory, through windows with the numbers 0, 1 and 2, as `Tier.start` aims them."""

VECTORS = 4
_PLACES = {MU_BAR: "mu_b", EDMA_BAR: "edma", RAM_BAR: "ram"}
_CLEARS = ("WRITE_INT_CLEAR", "READ_INT_CLEAR")
_COUNTED = (
    *("requests", "completions", "rings", "kicks", "irqs", "edma_irqs", "refused_writes", "refused_reads"),
    *("unsupported", "discontinued", "to_host_writes", "to_host_reads", "outbound_failed"),
)
_BELLS = ("RUNG", "MERGED", "DELIVERED")


@dataclass(frozen=True)
class Verdict:
    """What came of a scenario.

    Attributes
    ----------
    passed : bool
        Whether nothing complained.
    reason : str
        Why not, without the numbers, which differ between the tiers; empty if it passed.
    account : dict
        If it passed: what software saw, what the pins showed and what the endpoint has counted.
    """

    passed: bool
    reason: str = ""
    account: dict[str, Any] = field(default_factory=dict)


def reason(complaint: str) -> str:
    """Return the first line of a complaint without numbers: clocks differ between the tiers."""
    line = complaint.strip().partition("\n")[0]
    return re.sub(r"0x[0-9a-f]+|\d+", "#", line)


class Tier(ABC):
    """An endpoint with a host and a CPU that do what a scenario says.

    Parameters
    ----------
    name : str
        Name of the scenario: with the seed it decides what is random.
    seed : int
        Of everything random.
    cpu : Bus
        The CPU's bus.
    memory : HostMemory
        What the endpoint reaches of the host.
    board : Scoreboard
        What must follow from what the pins show.
    counters : Counters
        What the endpoint itself counts.

    Attributes
    ----------
    random : random.Random
        The same numbers on each tier.
    saw : list
        What software has seen, in order.
    """

    def __init__(
        self, name: str, seed: int, cpu: Bus, memory: HostMemory, board: Scoreboard, counters: Counters
    ) -> None:
        self.random = random.Random(f"{seed} {name}")
        self.cpu, self.memory, self.board, self.counters = cpu, memory, board, counters
        self.saw: list[Any] = []
        self._mu, self._edma = offsets("mu_imx8ulp"), offsets("edma")

    # -- what differs --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def write(
        self, bar: int, offset: int, data: bytes, *, enables: int | None = None, poisoned: bool = False
    ) -> None:
        """Post whole dwords; ``enables`` are the byte enables of a single one."""

    @abstractmethod
    async def ask(self, bar: int, offset: int, length: int) -> tuple[int, bytes]:
        """Read bytes in one request; return completion status and data."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until everything that was under way has ended."""

    @property
    @abstractmethod
    def irqs(self) -> tuple[bool, bool]:
        """Levels of the Messaging Unit's line and of the eDMA's."""

    # -- the host ------------------------------------------------------------------------------------------------------

    async def ring(self, vector: int, word: int) -> None:
        """Ring a vector of the Messaging Unit."""
        await self.write(MU_BAR, self._mu[f"TR{vector}"], word.to_bytes(4, "little"))

    async def kick(self, way: str, word: int = 0, *, enables: int | None = None) -> None:
        """Ring the eDMA: ``"WRITE"`` or ``"READ"``, of which INT_STATUS is stored to."""
        await self.write(EDMA_BAR, self._edma[f"{way}_INT_STATUS"], word.to_bytes(4, "little"), enables=enables)

    async def read(self, bar: int, offset: int, length: int = 4) -> tuple[int, bytes]:
        """Read bytes, and note what came back."""
        status, data = await self.ask(bar, offset, length)
        self.saw.append(["read", status, data.hex()])
        return status, data

    # -- the CPU -------------------------------------------------------------------------------------------------------

    async def aim(self, bar: int, target: int) -> None:
        """Aim the window of a BAR at a local address."""
        window = list(_PLACES).index(bar)
        for address, value in bar_window(self.board.map["iatu"].base, window, bar, target):
            await self.cpu.write32(address, value)

    async def shut(self, bar: int) -> None:
        """Let the window of a BAR claim nothing."""
        await self.cpu.write32(*no_window(self.board.map["iatu"].base, list(_PLACES).index(bar)))

    async def reach(self, target: int, size: int) -> int:
        """Aim outbound window 0 at so many bytes of the host's memory; return where the CPU finds them."""
        base = self.board.map.outbound.base
        for address, value in outbound_window(self.board.map["iatu"].base, 0, base, size, target):
            await self.cpu.write32(address, value)
        return base

    async def enable(self, vectors: int) -> None:
        """Let these vectors interrupt, bit n for vector n."""
        await self.cpu.write32(self.board.map["mu_a"].base + self._mu["RCR"], vectors)

    async def take(self) -> list[tuple[int, int]]:
        """Do what the handler of the Messaging Unit does: read the flags, and the word of each vector that has one."""
        base = self.board.map["mu_a"].base
        flags = await self.cpu.read32(base + self._mu["RSR"])
        found = [(n, await self.cpu.read32(base + self._mu[f"RR{n}"])) for n in range(VECTORS) if flags >> n & 1]
        self.saw.append(["took", [list(pair) for pair in found]])
        return found

    async def acknowledge(self) -> None:
        """Do what the handler of the eDMA does: write both INT_CLEAR."""
        for name in _CLEARS:
            await self.write_edma(name, 0)

    async def write_edma(self, register: str, value: int) -> None:
        """Write a register of the eDMA."""
        await self.cpu.write32(self.board.map["edma"].base + self._edma[register], value)

    # -- begin and end -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Aim the windows, and let every vector interrupt."""
        for bar, place in _PLACES.items():
            await self.aim(bar, self.board.map[place].base)
        await self.enable((1 << VECTORS) - 1)

    async def lines(self, *, mu: bool = False, edma: bool = False) -> None:
        """Wait for rest, and see that the lines have these levels."""
        await self.settle()
        assert self.irqs == (mu, edma), f"the lines are {self.irqs}, not {(mu, edma)}"

    async def account(self) -> dict[str, Any]:
        """Return what software saw, what the pins showed, and what the endpoint has counted."""
        bells = [[await self.counters.read(f"BELL{n}_{event}") for event in _BELLS] for n in range(VECTORS)]
        return {
            "saw": self.saw,
            "pins": {name: self.board.counts[name] for name in _COUNTED},
            "bells": bells,
            "edma": [await self.counters.read(f"EDMA_{event}") for event in _BELLS],
        }
