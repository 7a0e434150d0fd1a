"""The eDMA's doorbell in the scenarios: behind Linux's function, or bare, with nobody but the bench at the CPU."""

import epbell_regs
from epbell_models.linux.doorbell_client import DoorbellClient, Notify
from epbell_models.linux.pci_epc import BarFlag, EpfBar
from epbell_tb.endpoint.doorbells import SILENT
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.latencies import SETTLE

__all__ = [
    "READ_STATUS",
    "WORDS",
    "WRITE_STATUS",
    "BareEdma",
    "EdmaDoorbells",
    "aim",
    "nobody_cared",
    "open_bare",
    "open_edma",
    "payload_bar",
    "stays_silent",
    "taken",
]

WRITE_STATUS, READ_STATUS = 0x04C, 0x0A0
"""Where a write rings, from the start of the eDMA's registers."""

WORDS = (WRITE_STATUS, READ_STATUS)

_LIE = 1 << 3
_VIEWPORT, _BANK = 0x0FC, 0x100
_HANDLED = 3000


class BareEdma:
    """The eDMA page as the host sees it through a BAR, and as the CPU does.

    Parameters
    ----------
    env
        The environment.
    bar
        A BAR that shows the page.

    Attributes
    ----------
    start, end
        Offsets in the BAR of the first register, and of what is no more in the page or in the BAR.
    writes, reads
        How many channels there are.
    """

    def __init__(self, env: EndpointEnv, bar: int) -> None:
        node, page, size = env.tree.endpoint.edma, env.board.map["edma"], env.bar_sizes[bar]
        first = 0 if bar == env.tree.endpoint.fixed_bar else page.base % size
        self.bar = bar
        self.start, self.end = first + node.offset, min(first + page.size, size)
        self.writes, self.reads = node.write_channels, node.read_channels
        self._env = env
        self._legacy = node.personality == "legacy"
        self._base = page.base + node.offset
        self._offsets = epbell_regs.offsets("edma")

    def address(self, offset: int = READ_STATUS) -> int:
        """Return the bus address of a register."""
        return self._env.address(self.bar, self.start + offset)

    async def kick(self, offset: int = READ_STATUS, data: int = 0, enables: int = 0xF) -> None:
        """Store a word with these byte enables."""
        await self._env.memory.post(memory_request(self.address(offset), data.to_bytes(4, "little"), first_be=enables))

    async def read(self, name: str) -> int:
        """Read a register as the CPU."""
        return await self._env.cpu.read32(self._base + self._offsets[name])

    async def write(self, name: str, value: int) -> None:
        """Write a register as the CPU."""
        await self._env.cpu.write32(self._base + self._offsets[name], value)

    async def clear(self) -> None:
        """Acknowledge as Linux does."""
        await self.write("WRITE_INT_CLEAR", 0)
        await self.write("READ_INT_CLEAR", 0)

    async def let_done_interrupt(self) -> None:
        """Let DONE and ABORT of every channel through to the line."""
        for way, channels in (("WRITE", self.writes), ("READ", self.reads)):
            for channel in range(channels):
                await self._control(way, channel, _LIE)
            await self.write(f"{way}_INT_MASK", 0)

    async def _control(self, way: str, channel: int, value: int) -> None:
        """Write CONTROL1 of a channel."""
        if not self._legacy:
            await self.write(f"{way}_CH{channel}_CONTROL1", value)
            return
        await self._env.cpu.write32(self._base + _VIEWPORT, channel | (way == "READ") << 31)
        await self._env.cpu.write32(self._base + _BANK, value)

    async def settle(self) -> None:
        """Wait until what was sent has had its effect."""
        await self._env.block.settle()
        await self._env.clocks(SETTLE)


class EdmaDoorbells:
    """Doorbells of the endpoint's function that share the eDMA's one kick.

    Parameters
    ----------
    env
        The environment.
    client
        The function driver that listens.

    Attributes
    ----------
    bare
        The page behind the doorbells' BAR.
    """

    def __init__(self, env: EndpointEnv, client: DoorbellClient) -> None:
        self.client = client
        first = client.published[0]
        assert all(entry == first for entry in client.published), "every doorbell is the same kick"
        self.bare = BareEdma(env, first.bar)
        assert first.offset == self.bare.start + READ_STATUS, f"the doorbell is at {first.offset:#x} of its BAR"
        self._env = env

    async def ring(self) -> None:
        """Ring as published."""
        await self.bare.kick(data=self.client.published[0].data)

    async def handled(self, count: int, what: str) -> None:
        """Wait until every handler has run that often, and see that they do not run more often."""
        wanted = [count] * len(self.client.handled)
        await self._env.until(lambda: self.client.handled == wanted, f"{what}: handler runs {count}", _HANDLED)
        await self._env.clocks(SILENT)
        assert self.client.handled == wanted, f"{what}: the handlers ran {self.client.handled}, not {count} times"

    async def good_ring(self) -> None:
        """Ring once: every handler runs exactly once."""
        count = self.client.handled[0] + 1
        await self.ring()
        await self.handled(count, "good ring")

    async def silent(self, what: str) -> None:
        """See that nothing happens: no interrupt, no kick, no handler."""
        await stays_silent(self._env, what, self.client)


def taken(env: EndpointEnv) -> int:
    """Return how often the CPU took an interrupt of the eDMA."""
    return sum(env.software.gic.taken[interrupt.spi] for interrupt in env.tree.endpoint.edma.interrupts)


def nobody_cared(env: EndpointEnv) -> list[str]:
    """Return what Linux said about interrupts that nobody handled."""
    return [line for line in env.software.log if "nobody cared" in line or "Disabling IRQ" in line]


async def stays_silent(env: EndpointEnv, what: str, client: DoorbellClient | None = None) -> None:
    """See that the eDMA does nothing: no kick, no interrupt, no handler, the line as it was."""

    def figures() -> tuple[object, ...]:
        handled = list(client.handled) if client is not None else None
        return env.board.counts["edma_irqs"], len(env.board.latch.kicks), env.board.latch.level, handled

    before = figures()
    await env.block.settle()
    await env.clocks(SILENT)
    assert figures() == before, f"{what} must stay silent"


async def open_edma(
    env: EndpointEnv, bar: int = 2, count: int = 1, *, notify: Notify | None = None, threaded: bool = False
) -> EdmaDoorbells:
    """Allocate doorbells, which has to end at the eDMA, and aim a BAR at them unless one shows them anyway."""
    client = DoorbellClient(env.software.core, env.software.function.epf, bar, notify=notify, threaded=threaded)
    error = await client.open(count)
    assert error == 0, f"opening {count} doorbells ended with {error}: {env.software.log}"
    return EdmaDoorbells(env, client)


async def open_bare(env: EndpointEnv, bar: int = 2) -> BareEdma:
    """Aim a BAR at the eDMA page, or take the one that shows it anyway."""
    fixed = env.tree.endpoint.fixed_bar
    if fixed is not None:
        return BareEdma(env, fixed)
    await aim(env, bar, env.board.map["edma"].base)
    return BareEdma(env, bar)


async def aim(env: EndpointEnv, bar: int, base: int) -> int:
    """Aim a BAR at a local address; return its offset in the BAR."""
    size, found = env.bar_sizes[bar], env.bars[bar]
    flags = BarFlag.MEM_64 if found is not None and found.wide else BarFlag.MEM_32
    controller = env.software.controller
    if not any(controller.iatu.count.values()):
        # Linux has not booted, and does not know the windows yet.
        await controller.probe()
    error = await controller.set_bar(EpfBar(bar, base - base % size, size, flags))
    assert error == 0, f"aiming BAR {bar} at {base:#x} ended with {error}: {env.software.log}"
    return base % size


def payload_bar(env: EndpointEnv) -> int:
    """Return a BAR whose memory takes payloads while others show doorbells."""
    return max(n for n, bar in enumerate(env.bars) if bar is not None and n != env.tree.endpoint.fixed_bar)
