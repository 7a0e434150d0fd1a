"""What the scenarios of resets and power states have in common: what is under way when they come."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import cocotb
from cocotb.triggers import Timer

from epbell_models.linux.pci_epc_mem import EpcMap
from epbell_tb.endpoint.commands import DISABLE, DISABLE_SUCCESS, ENABLE, ENABLE_SUCCESS, IRQ_RAISED, command
from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "HASTE",
    "INTX",
    "MSI",
    "MSIX",
    "Bell",
    "function_is_fresh",
    "host_reads",
    "map_host",
    "mask_vector",
    "pending_vectors",
    "reset",
    "silent",
    "stalled",
    "until_fired",
]

INTX, MSI, MSIX = range(3)

HASTE = 5
"""Linux waits for a tenth of a second; the endpoint is back in a tenth of that, and simulated time is dear."""

_SILENT = 400
_HOST_TIMEOUT_NS = 20_000
_PIECE = 64
_TABLE, _ENTRY, _CONTROL = 0x80, 16, 12
_IRQ_TYPE, _DB_BAR, _DB_OFFSET, _DB_DATA = 0x24, 0x34, 0x38, 0x3C
_COMMAND, _ENABLES, _BAR0, _KIND = 0x04, 0x7, 0x10, 0xF
_MSI_CAPABILITY, _MSI_ENABLE = 0x05, 1 << 16


class Bell:
    """The doorbell of Linux's test function, enabled and disabled by hand.

    Parameters
    ----------
    env
        The environment.
    """

    def __init__(self, env: EndpointEnv) -> None:
        self._env = env
        self._where = (0, 0, 0)

    async def enable(self) -> None:
        """Enable it; from now on its interrupts are MSIs."""
        device = self._env.device
        await device.write32(0, _IRQ_TYPE, MSI)
        status = await command(self._env, ENABLE)
        assert status == IRQ_RAISED | ENABLE_SUCCESS, f"STATUS {status:#x} after ENABLE: {self._env.software.log}"
        bar, offset, word = [await device.read32(0, at) for at in (_DB_BAR, _DB_OFFSET, _DB_DATA)]
        self._where = bar, offset, word

    async def disable(self) -> None:
        """Disable it."""
        status = await command(self._env, DISABLE)
        assert status == IRQ_RAISED | DISABLE_SUCCESS, f"STATUS {status:#x} after DISABLE: {self._env.software.log}"

    async def ring(self) -> None:
        """Ring once."""
        await self._env.device.write32(*self._where)

    async def read(self) -> int:
        """Read the doorbell's word."""
        return await self._env.device.read32(*self._where[:2])

    async def ring_unseen(self) -> None:
        """Ring once while the CPU stands still: the interrupt is pending, and nobody has taken it."""
        self._env.cpu.hold()
        await self._env.clocks(100)
        await self.ring()
        await self._env.until(self.line, "the ring interrupts the CPU")

    def line(self) -> bool:
        """Return whether a doorbell interrupts the CPU."""
        return self._env.irq_mu.level() or self._env.irq_edma[0].level()


async def reset(env: EndpointEnv, kind: str) -> None:
    """Reset the function by ``"flr"`` or by a ``"hot"`` reset, as Linux does it, and let it go on as before."""
    resets = env.device.resets
    resets.haste = HASTE
    error = await (resets.reset_by_flr() if kind == "flr" else resets.reset_by_bus(env.bridge))
    assert error == 0, f"{kind} ends with {error}"
    assert env.software.epc.init_complete, "the endpoint's software must be back before the host goes on"


async def function_is_fresh(env: EndpointEnv) -> None:
    """See that configuration space is as after power-up: no enables, no addresses, no MSI."""
    function = env.function
    assert not await function.config_read32(_COMMAND) & _ENABLES
    assert not any([await function.config_read32(_BAR0 + 4 * bar) & ~_KIND for bar in range(6)])
    capability = await env.device.find_capability(_MSI_CAPABILITY)
    assert not await function.config_read32(capability) & _MSI_ENABLE


async def silent(env: EndpointEnv) -> None:
    """See that nothing interrupts the host for a while."""
    before, rises = list(env.device.fired), env.to_host.intx.rises
    await env.clocks(_SILENT)
    assert env.device.fired == before, "an interrupt that must not come"
    assert env.to_host.intx.rises == rises, "INTA must not be asserted"


async def until_fired(env: EndpointEnv, before: list[int], vectors: tuple[int, ...]) -> None:
    """Wait until these vectors have fired once, and no other, and until their handlers have run.

    A handler that is late would end the wait of the test that comes next.
    """
    wanted = [count + vectors.count(number) for number, count in enumerate(before)]
    await env.until(lambda: env.device.fired == wanted, f"{vectors} fire")
    await silent(env)


async def map_host(env: EndpointEnv, address: int) -> EpcMap:
    """Put an outbound window before a page of the host's memory."""
    mapping = await env.software.epc.mem_map(address, 0x1000)
    assert not isinstance(mapping, int), f"no mapping: {mapping}"
    return mapping


def host_reads(env: EndpointEnv, bar: int, size: int) -> list[tuple[int, Any]]:
    """Let the host read a BAR in pieces, all at once; return offset and task of each."""
    env.memory.completion_timeout = _HOST_TIMEOUT_NS
    pieces = range(0, size, _PIECE)
    return [(offset, cocotb.start_soon(env.device.read(bar, offset, _PIECE))) for offset in pieces]


@asynccontextmanager
async def stalled(env: EndpointEnv, *streams: Any, after_ns: int) -> AsyncIterator[None]:
    """Stall streams; they go on some time after the block has ended."""
    for stream in streams:
        stream.clear_pause_generator()
        stream.pause = True
    yield

    async def go_on() -> None:
        await Timer(after_ns, unit="ns")
        for stream in streams:
            stream.pause = False
            if env.stalls:
                stream.set_pause_generator(env.pauses())

    cocotb.start_soon(go_on())


async def mask_vector(env: EndpointEnv, vector: int, masked: bool) -> None:
    """Mask or unmask a vector of MSI-X in its table."""
    at = _TABLE + _ENTRY * vector + _CONTROL
    await env.device.write32(0, at, int(masked))
    assert await env.device.read32(0, at) == masked


async def pending_vectors(env: EndpointEnv, vectors: int) -> int:
    """Read the first word of the pending bits of MSI-X."""
    return await env.device.read32(0, _TABLE + _ENTRY * vectors)
