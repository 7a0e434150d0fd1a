"""The host's part of random traffic that is about configuration space: enables, BARs, interrupts, power, resets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from epbell_models.host.config import COMMAND, COMMAND_INTX_DISABLE, COMMAND_MASTER, COMMAND_MEMORY
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.host_vectors import MSI_CAPABILITY, MSIX_CAPABILITY, TABLE
from epbell_tb.endpoint.presets import begin_anywhere
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.cpu_player import CpuPlayer
from epbell_tb.traffic.ground import VECTORS, Ground
from epbell_tb.traffic.host_player import HostPlayer

__all__ = ["ConfigPlayer"]

HASTE = 50
"""Linux waits a tenth of a second after a reset; here the endpoint is back in a fiftieth of that."""

Work = Callable[[], Awaitable[None]]

_MSI_ADDRESS, _MSIX_ADDRESS = 0xA000_0000, 0xA000_1000
_MSI_WORD = 0x40
_LOWER, _UPPER, _DATA, _MASK = 0x4, 0x8, 0xC, 0x10
_MSI_ENABLE, _GRANTED = 1 << 16, 20
_MSIX_ENABLE, _FUNCTION_MASK = 1 << 31, 1 << 30
_BAR0 = 0x10
_APART, _MEGABYTE = 0x0100_0000, 0x10_0000
_WINDOWS = {False: 0xC000_0000, True: 0x8000_0000_0000_0000}
_SETTLE = 20


class ConfigPlayer:
    """Changes configuration space, one access after the other.

    Parameters
    ----------
    env
        The environment.
    ground
        What there is.
    cpu
        Sets the endpoint up again after a reset.
    host
        Is told of resets.
    by_cpu
        Does work in the CPU's turn.

    Attributes
    ----------
    msis, msix
        How many messages of each vector have arrived; of MSIs as far as the host granted vectors.
    """

    def __init__(
        self, env: EndpointEnv, ground: Ground, cpu: CpuPlayer, host: HostPlayer,
        by_cpu: Callable[[Work], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.msis = [0] * 32
        self.msix = [0] * VECTORS
        self._env = env
        self._ground = ground
        self._cpu = cpu
        self._host = host
        self._by_cpu = by_cpu
        self._msi_at = self._msix_at = 0
        self._payload = 128
        env.to_host.memory.doorbells |= {_MSI_ADDRESS: self._msi_arrived, _MSIX_ADDRESS: self._msix_arrived}
        env.device.resets.haste = HASTE

    def _msi_arrived(self, word: int) -> None:
        self._env.judge_msi(word)
        self.msis[word - _MSI_WORD] += 1

    def _msix_arrived(self, word: int) -> None:
        assert word < VECTORS, f"an MSI-X message with {word:#x}, which is in no entry"
        self.msix[word] += 1

    # -- how all begins ------------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Let the function go, with 32 MSIs; fill the MSI-X table."""
        env, function = self._env, self._env.function
        self._payload = self._env.memory.max_payload
        self._msi_at = await env.device.find_capability(MSI_CAPABILITY)
        self._msix_at = await env.device.find_capability(MSIX_CAPABILITY)
        await self.command(ops.Command(0, True, True, True))
        await self.switch_msix(ops.Msix(0, False, False))
        at = self._msi_at
        for offset, value in ((_LOWER, _MSI_ADDRESS), (_UPPER, 0), (_DATA, _MSI_WORD)):
            await function.config_write32(at + offset, value)
        await self.switch_msi(ops.Msi(0, True, 32, 0))
        for vector in range(VECTORS):
            entry = b"".join(word.to_bytes(4, "little") for word in (_MSIX_ADDRESS, 0, vector, 0))
            await env.memory.write(env.address(self._ground.table_bar, TABLE + 16 * vector), entry)
        await env.clocks(_SETTLE)

    async def do(self, operation: ops.Operation) -> None:
        """Do one operation."""
        match operation:
            case ops.Command():
                await self.command(operation)
            case ops.Msi():
                await self.switch_msi(operation)
            case ops.Msix():
                await self.switch_msix(operation)
            case ops.MoveBar():
                await self._move(operation)
            case ops.Sleep():
                await self._sleep(operation)
            case ops.Reset():
                await self._reset(operation)
            case _:
                raise TypeError(f"The host's configuration does not do {operation!r}")

    async def command(self, how: ops.Command) -> None:
        """Set memory space, bus mastering and Interrupt Disable."""
        bits = COMMAND_MEMORY * how.memory | COMMAND_MASTER * how.master | COMMAND_INTX_DISABLE * how.intx_off
        await self._env.function.config_write32(COMMAND, bits)

    async def switch_msi(self, how: ops.Msi) -> None:
        """Set MSI Enable, vectors and masks; MSI-X is off when MSI is on."""
        function, at = self._env.function, self._msi_at
        if how.enable:
            await self._change(self._msix_at, clear=_MSIX_ENABLE)
        await function.config_write32(at + _MASK, how.mask)
        # The number of vectors is not changed while they are enabled (PCI Express, 7.7.1.2).
        await self._change(at, clear=_MSI_ENABLE)
        granted = (how.granted.bit_length() - 1) << _GRANTED
        await self._change(at, clear=0x7 << _GRANTED, set_=granted)
        if how.enable:
            await self._change(at, set_=_MSI_ENABLE)

    async def switch_msix(self, how: ops.Msix) -> None:
        """Set MSI-X Enable and Function Mask; MSI is off when MSI-X is on."""
        if how.enable:
            await self._change(self._msi_at, clear=_MSI_ENABLE)
        bits = _MSIX_ENABLE * how.enable | _FUNCTION_MASK * how.masked
        await self._change(self._msix_at, clear=_MSIX_ENABLE | _FUNCTION_MASK, set_=bits)

    async def _change(self, offset: int, *, set_: int = 0, clear: int = 0) -> None:
        function = self._env.function
        value = await function.config_read32(offset)
        if value & ~clear | set_ != value:
            await function.config_write32(offset, value & ~clear | set_)

    # -- BARs, power, resets -------------------------------------------------------------------------------------------

    async def _move(self, how: ops.MoveBar) -> None:
        env, function = self._env, self._env.function
        found = env.device.resources[how.bar]
        assert found is not None
        command = await function.config_read32(COMMAND) & 0xFFFF
        if how.safely:
            await function.config_write32(COMMAND, command & ~COMMAND_MEMORY)
        address = _WINDOWS[found.wide] + (1 + how.slot) * _APART + how.bar * _MEGABYTE
        await function.config_write32(_BAR0 + 4 * how.bar, address & 0xFFFF_FFFF)
        if found.wide:
            await function.config_write32(_BAR0 + 4 * how.bar + 4, address >> 32)
        env.device.resources[how.bar] = replace(found, address=address)
        if how.safely:
            await function.config_write32(COMMAND, command)

    async def _sleep(self, how: ops.Sleep) -> None:
        resets = self._env.device.resets
        assert await resets.suspend() == 0
        await self._env.clocks(how.clocks)
        assert await resets.resume() == 0

    async def _reset(self, how: ops.Reset) -> None:
        """Reset the function or the link, and set up again what that has taken away."""
        env, resets = self._env, self._env.device.resets
        self._host.disturbed += 1
        if how.what == "flr":
            assert await resets.reset_by_flr() == 0
        elif how.what == "hot":
            assert await resets.reset_by_bus(env.bridge) == 0
        else:
            await env.hot_reset.follow(True)
            await env.clocks(how.clocks)
            await env.hot_reset.follow(False)
            await env.enumerate()
        self._host.disturbed += 1
        if how.what != "flr":
            await begin_anywhere(env)
            await env.use_max_payload(self._payload)
            await env.device.enable()
            await self._by_cpu(self._cpu.set_up)
        await self.set_up()
