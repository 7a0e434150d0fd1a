"""What goes on while a reset comes: rings, reads and writes both ways; besides, MSIs, MSI-X, or a window that moves."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import cocotb

from epbell_models.host.irq_vectors import VectorKind
from epbell_models.linux.pci_epc import EpfBar
from epbell_models.platform import BusError
from epbell_tb.endpoint.doorbells import VECTORS
from epbell_tb.endpoint.edma import BareEdma
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.fault_rig import BELLS, EDMA, IMAGE, KICK, RAM
from epbell_tb.endpoint.windows import Window, window_of

__all__ = [
    "BESIDES",
    "MSIX_VECTORS",
    "Bare",
    "Besides",
    "accesses",
    "tolerant",
]

MSIX_VECTORS = 8

_READ = 64
_WRITTEN = 128
"""Bytes of the host's write: five beats at 256 bits, so that some clocks of any sweep come in the midst of it."""
_TABLE_BAR, _TABLE, _ENTRY, _CONTROL = 0, 0x80, 16, 12
_ON = 1 << 31
_QUIET = 150
"""Clocks after which no interrupt can be on its way: four of them, whose answers may take 48 clocks and be failures."""


async def tolerant(access: Awaitable[Any]) -> None:
    """Do an access that a reset may cut off, or that is not answered because of it."""
    with suppress(BusError):
        await access


def accesses(env: EndpointEnv, ring: Callable[[int], Awaitable[None]], window: int, besides: "Besides") -> list[Any]:
    """Begin rings, reads and writes both ways, and something besides; return the tasks."""
    memory, word, ram = env.memory, env.random.randbytes(_WRITTEN), env.board.map["ram"].base

    async def host() -> None:
        await ring(1)
        await memory.write(env.address(RAM, IMAGE), word)
        await ring(KICK)
        await ring(2)

    async def cpu() -> None:
        await env.cpu.write(window, word[:8])
        await env.cpu.read(window, 8)
        await env.cpu.write(ram + _READ, word[:12])

    async def reads(offset: int) -> None:
        await memory.read(env.address(RAM, IMAGE + offset), _READ)

    tasks = [*besides.tasks(), host(), cpu(), *(reads(_READ * number) for number in range(3))]
    return [cocotb.start_soon(tolerant(task)) for task in (*tasks, memory.read(env.address(BELLS, 0x200), 4))]


class Besides:
    """Something besides rings, reads and writes: MSIs.

    Parameters
    ----------
    env
        The environment.

    Attributes
    ----------
    wanted
        States that resets must have come in.
    """

    wanted = frozenset({"an MSI at its port"})
    kind: VectorKind | None = VectorKind.MSI
    count = 32

    def __init__(self, env: EndpointEnv) -> None:
        self.env = env

    async def open(self) -> None:
        """Let the host have vectors, for which nobody waits."""
        assert self.kind is not None

        async def heard(_: int) -> None:
            return

        assert await self.env.device.alloc_irq_vectors(self.count, self.count, self.kind) == self.count
        for index in range(self.count):
            assert await self.env.device.request_irq(index, heard) == 0

    async def set_up(self) -> None:
        """Set up what a reset of everything has taken away."""

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on."""
        return [self._raise(3), self._raise(5)]

    def states(self) -> list[str]:
        """Return what the pins show to be under way."""
        dut = self.env.dut
        busy = int(dut.cfg_interrupt_msi_int.value) or int(dut.cfg_interrupt_msi_sent.value)
        return ["an MSI at its port"] if busy else []

    async def check(self) -> None:
        """See that nothing of it is lost, and that it works."""
        await self.env.clocks(_QUIET)
        self.env.board.msis.check_empty()
        await self._arrives(6, "msis")

    async def _raise(self, vector: int) -> None:
        await self.env.counters.write("MSI_RAISE", vector)

    async def _arrives(self, vector: int, kind: str) -> None:
        counts = self.env.board.counts
        before = counts[kind]
        await self._raise(vector)
        await self.env.until(lambda: counts[kind] == before + 1, f"vector {vector} arrives")


class _Msix(Besides):
    """MSI-X vectors, one of which the host masks and unmasks meanwhile."""

    wanted = frozenset({"an MSI-X vector that is due", "a request of the endpoint half out"})
    kind = VectorKind.MSIX
    count = MSIX_VECTORS

    async def set_up(self) -> None:
        """Set the table up, behind a BAR of the host's."""
        env, ram = self.env, self.env.board.map["ram"].base
        bar = EpfBar(_TABLE_BAR, ram, env.bar_sizes[_TABLE_BAR])
        assert await env.software.controller.set_bar(bar) == 0
        await env.counters.write("MSIX_TABLE", ram + _TABLE)
        await env.counters.write("MSIX_PBA", ram + _TABLE + _ENTRY * MSIX_VECTORS)
        await env.counters.write("MSIX_SIZE", _ON | MSIX_VECTORS - 1)

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on."""

        async def raises() -> None:
            for vector in (4, 2, 3):
                await self._raise(vector)

        async def masks() -> None:
            for masked in (1, 0):
                await self._mask(4, masked)

        return [masks(), raises()]

    def states(self) -> list[str]:
        """Return what the pins show to be under way."""
        return ["an MSI-X vector that is due"] if self.env.board.to_host.vectors_due else []

    async def check(self) -> None:
        """See that nothing of it is lost, and that it works."""
        board, counters = self.env.board, self.env.counters
        await self._mask(4, 0)
        await self.env.clocks(_QUIET)
        board.counts["msix_merged"] = await counters.read("MSIX_MERGED")
        board.to_host.check_vectors(board.counts["msix_merged"])
        for vector in (4, 6):
            await self._arrives(vector, "msix")

    async def _mask(self, vector: int, masked: int) -> None:
        await self.env.device.write32(_TABLE_BAR, _TABLE + _ENTRY * vector + _CONTROL, masked)

    async def _raise(self, vector: int) -> None:
        await self.env.counters.write("MSIX_RAISE", vector)


class _Windows(Besides):
    """The window of the BAR that everybody writes and reads moves away, and back."""

    wanted = frozenset({"a window half written"})
    kind = None

    def __init__(self, env: EndpointEnv) -> None:
        super().__init__(env)
        self._written = 0
        self._found: tuple[int, int] | None = None

    async def open(self) -> None:
        """Nothing to do."""

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on."""
        return [self._moves()]

    def states(self) -> list[str]:
        """Return what the pins show to be under way."""
        return ["a window half written"] if self._written else []

    async def check(self) -> None:
        """See that the window is back."""
        number, home = await self._window()
        env, word = self.env, self.env.random.getrandbits(32)
        await Window(env, number).bar(RAM, home + env.bar_sizes[RAM])
        await env.memory.write32(env.address(RAM, 16), word)
        await env.memory.read32(env.address(RAM, 16))  # nothing of it is on its way any more
        assert await env.cpu.read32(home + env.bar_sizes[RAM] + 16) == word, "the window is not where it was moved to"
        await Window(env, number).bar(RAM, home)

    async def _moves(self) -> None:
        number, home = await self._window()
        self._written += 1
        try:
            for target in (home + self.env.bar_sizes[RAM], home):
                await Window(self.env, number).bar(RAM, target)
        finally:
            self._written -= 1

    async def _window(self) -> tuple[int, int]:
        """Return the number of the window, and the address in RAM where it leads; it is always the same one."""
        if self._found is None:
            self._found = await window_of(self.env, RAM)
        return self._found


BESIDES: dict[str, type[Besides]] = {"sweep": Besides, "msix": _Msix, "windows": _Windows}
"""State of `epbell_tb.faults_plan` -> what goes on besides."""


class Bare:
    """The endpoint without Linux: windows and enables by hand, acknowledged by hand.

    Parameters
    ----------
    env
        The environment.
    besides
        What goes on besides.

    Attributes
    ----------
    window
        Where the CPU sees a page of the host's memory.
    """

    def __init__(self, env: EndpointEnv, besides: Besides) -> None:
        self._env = env
        self._besides = besides
        self._edma = BareEdma(env, EDMA)
        registers = env.board.registers
        self._enables = env.board.map["mu_a"].base + registers.home("RIE")
        self._all = registers.mask("RIE")
        self._rr = [env.board.map["mu_a"].base + registers.offset[f"RR{n}"] for n in range(VECTORS)]
        self._tr = [registers.offset[f"TR{n}"] for n in range(VECTORS)]
        self.window = env.board.map.outbound.base
        self._host = env.to_host.memory.allocate(0x1000, 0x1000)

    async def set_up(self) -> None:
        """Set everything up, as after power-up."""
        env = self._env
        env.software = env.new_software()
        controller = env.software.controller
        await controller.probe()
        for bar, page in ((BELLS, "mu_b"), (EDMA, "edma"), (RAM, "ram")):
            assert await controller.set_bar(EpfBar(bar, env.board.map[page].base, env.bar_sizes[bar])) == 0
        assert await controller.map_addr(self.window, self._host, 0x1000) == 0
        await self._besides.set_up()
        await env.cpu.write32(self._enables, self._all)

    def lines(self) -> tuple[bool, bool]:
        """Return the levels of the interrupt lines."""
        return self._env.irq_mu.level(), self._env.irq_edma[0].level()

    async def ring(self, number: int, word: int = 0x55) -> None:
        """Ring a doorbell."""
        if number == KICK:
            await self._edma.kick(data=word)
        else:
            await self._env.device.write32(BELLS, self._tr[number], word)

    async def probe(self) -> None:
        """Write and read both ways; ring each doorbell, and acknowledge it."""
        env, source = self._env, self._env.random
        words = [source.getrandbits(32) for _ in range(3)]
        await env.memory.write32(env.address(RAM, 8), words[0])
        assert await env.memory.read32(env.address(RAM, 8)) == words[0], "the host's write or read does not work"
        await env.cpu.write32(self.window, words[1])
        assert await env.cpu.read32(self.window) == words[1], "the CPU's write or read does not work"
        for number in range(VECTORS):
            assert not env.irq_mu.level(), "irq_mu must be low"
            await self.ring(number, words[2])
            await env.until(env.irq_mu.level, "a good ring interrupts", 100)
            assert await env.cpu.read32(self._rr[number]) == words[2], "the doorbell's word must arrive"
        assert not env.irq_edma[0].level(), "irq_edma must be low"
        await self.ring(KICK)
        await env.until(env.irq_edma[0].level, "a good kick interrupts", 100)
        await self._edma.clear()
        await env.clocks(4)
        assert not any(self.lines()), "an acknowledged doorbell must not interrupt"
