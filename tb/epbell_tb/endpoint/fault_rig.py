"""What a campaign of faults stands on: doorbells of both kinds, an account of their rings, good accesses afterwards.

Of each fault it is known what it may change: counters of the controller page, and rings, if the documentation calls it
one. After it: everything that was under way has ended within its bound, each ring is accounted for, none is invented,
each of these counters is exactly so much more, and a write, a read and a ring of each doorbell work.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import cocotb

from epbell_models.linux.irqdesc import IrqFlag, IrqReturn
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.doorbells import VECTORS, Doorbells, open_doorbells
from epbell_tb.endpoint.edma import BareEdma, open_bare
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.latencies import SETTLE
from epbell_tb.faults_plan import PROBE, STATES, Family

__all__ = [
    "BELLS",
    "EDMA",
    "IMAGE",
    "KICK",
    "RAM",
    "SIZE",
    "Fault",
    "Rig",
    "Row",
]

BELLS, EDMA, RAM = 2, 3, 4
"""BARs: the Messaging Unit's doorbells, the eDMA's page, memory."""

KICK = VECTORS
"""Number of the eDMA's doorbell, behind those of the Messaging Unit."""

IMAGE, SIZE = 0x1000, 0x800
"""Where in the RAM's BAR there is what reads are compared with, and its bytes: no doorbell's offset is among them."""

_ERRORS = (
    *("WRITES_REFUSED", "READS_REFUSED", "UNSUPPORTED", "DISCONTINUED", "MALFORMED"),
    *("OUTBOUND_FAILED", "MSI_REFUSED", "MSIX_REFUSED", "FLRS"),
)
_QUIET = SETTLE + 12
"""Clocks without a ring after which none can be under way."""

_LIMIT = 40_000
"""Clocks after which whatever is waited for will not come."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    name
        What it is.
    inject
        Does it; returns when it is over as far as whoever does it can tell.
    counts
        Counters of the controller page -> how much more they must be afterwards.
    rings
        Doorbells -> how often the documentation says that it rings them.
    """

    name: str
    inject: Callable[[], Awaitable[None]]
    counts: Mapping[str, int] = field(default_factory=dict)
    rings: Mapping[int, int] = field(default_factory=dict)


@dataclass
class Row:
    """What came of a fault: rings lost and invented, clocks until everything worked again, what was wrong."""

    fault: str
    survived: bool = False
    lost: int = 0
    invented: int = 0
    recovery: int | None = None
    bound: int = 0
    why: str = ""


class Rig:
    """An endpoint whose doorbells all have a handler.

    Parameters
    ----------
    env
        The environment, up and with Linux.
    doorbells
        Those of the Messaging Unit.
    edma
        The other one's page.

    Attributes
    ----------
    sent
        How often each doorbell must have been rung since the last reset.
    handled
        How often the eDMA's handler has run.
    image
        What is in the RAM at `IMAGE`.
    released
        Cycle since when nothing is kept back.
    """

    def __init__(self, env: EndpointEnv, doorbells: Doorbells, edma: BareEdma) -> None:
        self.env = env
        self.doorbells = doorbells
        self.edma = edma
        self.sent: Counter[int] = Counter()
        self.handled = 0
        self.image = env.random.randbytes(SIZE)
        self.released = 0

    @classmethod
    async def open(cls, env: EndpointEnv) -> "Rig":
        """Set the BARs up, and have every doorbell handled."""
        rig = cls(env, await open_doorbells(env, BELLS), await open_bare(env, EDMA))

        async def kicked(*_: object) -> IrqReturn:
            rig.handled += 1
            return IrqReturn.HANDLED

        driver = env.software.edma
        assert driver is not None, "the device tree must have an eDMA"
        virq = driver.db_irq
        assert await env.software.core.request_irq(virq, kicked, IrqFlag.SHARED, "kicked", env) == 0
        await env.memory.write(env.address(RAM, IMAGE), rig.image)
        await env.block.settle()
        return rig

    # -- what goes on --------------------------------------------------------------------------------------------------

    async def ring(self, number: int) -> None:
        """Ring a doorbell."""
        self.sent[number] += 1
        if number == KICK:
            await self.edma.kick(data=self.env.random.getrandbits(32))
        else:
            await self.doorbells.ring(number, self.env.random.getrandbits(32))

    def address(self, number: int) -> int:
        """Return the bus address of a doorbell."""
        return self.edma.address() if number == KICK else self.doorbells.address(number)

    def handlers(self) -> list[int]:
        """Return how often each handler has run."""
        return [*self.doorbells.client.handled, self.handled]

    def line(self) -> bool:
        """Return whether a doorbell interrupts the CPU."""
        return self.env.irq_mu.level() or self.env.irq_edma[0].level()

    async def look(self, start: int, length: int) -> None:
        """Read of the image as the host, and compare."""
        data = await self.env.memory.read(self.env.address(RAM, IMAGE + start), length)
        assert data == self.image[start : start + length], f"{length} bytes at {start:#x} are not what was written"

    async def drained(self) -> None:
        """Wait until nothing is under way on CQ, and every interrupt that came has been handled."""
        await self.env.block.settle()
        quiet = 0
        since = cycle()
        seen: object = None
        while quiet < _QUIET:
            now = self.handlers(), self.line(), self.env.board.counts["rings"]
            quiet = quiet + 10 if now == seen and not self.line() else 0
            seen = now
            await self.env.clocks(10)
            assert cycle() - since < _LIMIT, f"the line stays {self.line()}, handlers ran {self.handlers()} times"

    async def probe(self) -> None:
        """Write and read, and ring each doorbell: each one's handler runs once."""
        env = self.env
        at, word = env.address(RAM, IMAGE + SIZE + 4 * env.random.randrange(64)), env.random.getrandbits(32)
        await env.memory.write32(at, word)
        assert await env.memory.read32(at) == word, "a good write or read does not work"
        for number in range(VECTORS + 1):
            wanted = self.handlers()
            wanted[number] += 1
            await self.ring(number)
            await env.until(lambda wanted=wanted: self.handlers() == wanted, f"good ring of doorbell {number}", _LIMIT)

    # -- accounts ------------------------------------------------------------------------------------------------------

    async def errors(self) -> dict[str, int]:
        """Read the counters of what goes wrong."""
        return {name: await self.env.counters.read(name) for name in _ERRORS}

    async def accounts(self) -> tuple[int, int]:
        """Read the doorbells' counters; return how many rings are lost, and how many invented."""
        env, lost, invented = self.env, 0, 0
        pending = await env.pending()
        for number in range(VECTORS + 1):
            name = "EDMA" if number == KICK else f"BELL{number}"
            rung, merged, delivered = [
                await env.counters.read(f"{name}_{event}") for event in ("RUNG", "MERGED", "DELIVERED")
            ]
            waits = int(env.board.latch.level) if number == KICK else pending >> number & 1
            for much, little in ((self.sent[number], rung), (rung, merged + delivered + waits)):
                lost += max(much - little, 0)
                invented += max(little - much, 0)
        return lost, invented


async def try_fault(rig: Rig, family: Family, state: str, fault: Fault, enter: Any) -> Row:
    """Try a fault; ``enter`` makes the state, a context manager that ends it and compares what went on in it."""
    row = Row(fault.name, bound=STATES[state].bound + family.bound + PROBE)
    try:
        before = await rig.errors()
        rig.released = 0
        async with enter(rig):
            trying = cocotb.start_soon(fault.inject(), name=fault.name)
            await rig.env.block.settle() if state == "idle" else await rig.env.clock
        await trying
        rig.sent.update(fault.rings)
        await rig.drained()
        await rig.probe()
        row.recovery = cycle() - rig.released
        after = await rig.errors()
        row.lost, row.invented = await rig.accounts()
        more = {name: after[name] - count for name, count in before.items() if after[name] != count}
        assert more == dict(fault.counts), f"counters are more by {more}, not by {dict(fault.counts)}"
        assert not row.lost, f"{row.lost} rings are lost"
        assert not row.invented, f"{row.invented} rings are invented"
        assert row.recovery <= row.bound, f"it takes {row.recovery} clocks, the bound is {row.bound}"
        row.survived = True
    except Exception as error:
        row.why = str(error) or type(error).__name__
        raise
    finally:
        rig.env.outcome.setdefault("faults", []).append(asdict(row))
    return row
