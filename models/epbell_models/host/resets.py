"""Resets and power states of a function, as the host's PCI core does them (drivers/pci/pci.c).

Function-level reset (pcie_reset_flr), secondary bus reset (pci_bridge_secondary_bus_reset) and D3hot
(pci_set_power_state); around a reset of a function that a driver uses, pci_dev_save_and_disable and pci_dev_restore.
"""

import errno
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..platform import Platform
from .config import COMMAND, COMMAND_INTX_DISABLE, PciConfig
from .saved_state import SavedState, restore_state, save_state

__all__ = [
    "D0",
    "D3HOT",
    "PciBridge",
    "Resets",
]

D0, D3HOT = 0, 3
"""Power states in PMCSR."""

_POWER, _EXPRESS = 0x01, 0x10
_PMCSR, _STATE, _NO_SOFT_RESET = 0x4, 0x3, 1 << 3
_DEVICE_CAPABILITIES, _CAN_RESET = 0x04, 1 << 28
_DEVICE_CONTROL, _RESET, _PENDING = 0x08, 1 << 15, 1 << 21
_BRIDGE_CONTROL, _BUS_RESET = 0x3C, 1 << 22

_PENDING_TRIES = 4
_PENDING_WAIT = 100e-3
_FLR_WAIT = 100e-3
_BUS_RESET_TIME = 2e-3
_BUS_WAIT = 100e-3
_READY_TIMEOUT = 60.0
_D3HOT_WAIT = 10e-3
_GONE = 0xFFFF_FFFF


class PciBridge(Protocol):
    """The bridge above a function."""

    async def config_read32(self, offset: int) -> int:
        """Read one dword of the bridge's configuration space."""
        ...

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of the bridge's configuration space."""
        ...


class Resets:
    """Resets and power states of one function.

    Parameters
    ----------
    platform
        Time.
    config
        The function's configuration space.
    restore_vectors
        Writes the function's MSI or MSI-X settings again.

    Attributes
    ----------
    haste
        What the times are divided by that a function has to come back from a reset or to change its power state: a
        simulation may know that it is there earlier.
    """

    def __init__(self, platform: Platform, config: PciConfig, restore_vectors: Callable[[], Awaitable[None]]) -> None:
        self._platform = platform
        self._config = config
        self._restore_vectors = restore_vectors
        self._saved: SavedState | None = None
        self.haste = 1.0

    # -- whole sequences -----------------------------------------------------------------------------------------------

    async def reset_by_flr(self) -> int:
        """Reset the function, and let it go on as it was (pci_reset_function); errors as of `flr`."""
        return await self._around(self.flr)

    async def reset_by_bus(self, bridge: PciBridge) -> int:
        """Reset the bus, and let the function go on as it was; errors as of `bus_reset`."""
        return await self._around(lambda: self.bus_reset(bridge))

    async def suspend(self) -> int:
        """Save the function's state and put it to D3hot (pci_pm_suspend_noirq); errors as of `set_power_state`."""
        self._saved = await save_state(self._config)
        return await self.set_power_state(D3HOT)

    async def resume(self) -> int:
        """Wake the function and restore what was saved (pci_pm_resume_noirq); errors as of `set_power_state`."""
        error = await self.set_power_state(D0)
        if not error:
            await self.restore()
        return error

    async def _around(self, reset: Callable[[], Awaitable[int]]) -> int:
        await self.save_and_disable()
        error = await reset()
        await self.restore()
        return error

    # -- their parts ---------------------------------------------------------------------------------------------------

    async def save_and_disable(self) -> None:
        """Wake the function, save its state, and let it neither answer nor ask (pci_dev_save_and_disable)."""
        await self.set_power_state(D0)
        self._saved = await save_state(self._config)
        await self._config.write32(COMMAND, COMMAND_INTX_DISABLE)

    async def restore(self) -> None:
        """Restore what was saved, and the vectors (pci_restore_state)."""
        if self._saved is None:
            raise RuntimeError("A state is restored after it was saved, not before")
        await restore_state(self._config, self._saved)
        await self._restore_vectors()

    async def flr(self) -> int:
        """Reset the function alone (pcie_flr).

        Transactions under way are waited for, but not for ever.

        Returns
        -------
        int
            0; -ENOTTY when the function cannot, or does not come back within a minute.
        """
        express = await self._config.find_capability(_EXPRESS)
        if not express or not await self._config.read32(express + _DEVICE_CAPABILITIES) & _CAN_RESET:
            return -errno.ENOTTY
        await self._wait_for_pending(express)
        control = await self._config.read32(express + _DEVICE_CONTROL) & 0xFFFF
        await self._config.write32(express + _DEVICE_CONTROL, control | _RESET)
        await self._platform.sleep(_FLR_WAIT / self.haste)
        return await self._wait_until_ready()

    async def bus_reset(self, bridge: PciBridge) -> int:
        """Reset everything below a bridge (pci_bridge_secondary_bus_reset); -ENOTTY when the function stays away."""
        control = await bridge.config_read32(_BRIDGE_CONTROL)
        await bridge.config_write32(_BRIDGE_CONTROL, control | _BUS_RESET)
        await self._platform.sleep(_BUS_RESET_TIME)
        await bridge.config_write32(_BRIDGE_CONTROL, control & ~_BUS_RESET)
        await self._platform.sleep(_BUS_WAIT / self.haste)
        return await self._wait_until_ready()

    async def set_power_state(self, state: int) -> int:
        """Go to `D0` or `D3HOT` (pci_set_power_state).

        Returns
        -------
        int
            0; -EIO without the capability, or when the function does not get there.
        """
        power = await self._config.find_capability(_POWER)
        if not power:
            return 0 if state == D0 else -errno.EIO
        before = await self._config.read32(power + _PMCSR)
        if before & _STATE == state:
            return 0
        await self._config.write32(power + _PMCSR, before & 0xFFFF & ~_STATE | state)
        await self._platform.sleep(_D3HOT_WAIT / self.haste)
        after = await self._config.read32(power + _PMCSR)
        return 0 if after != _GONE and after & _STATE == state else -errno.EIO

    async def keeps_settings(self) -> bool:
        """Return whether the function keeps its settings from D3hot to D0 (No_Soft_Reset)."""
        power = await self._config.find_capability(_POWER)
        return bool(power and await self._config.read32(power + _PMCSR) & _NO_SOFT_RESET)

    async def _wait_for_pending(self, express: int) -> bool:
        """Wait until Device Status tells of no transaction (pci_wait_for_pending_transaction)."""
        for attempt in range(_PENDING_TRIES):
            if attempt:
                await self._platform.sleep((1 << attempt - 1) * _PENDING_WAIT)
            if not await self._config.read32(express + _DEVICE_CONTROL) & _PENDING:
                return True
        return False

    async def _wait_until_ready(self) -> int:
        """Read until configuration space answers (pci_dev_wait)."""
        delay = 1e-3
        while await self._config.read32(COMMAND) == _GONE:
            if delay > _READY_TIMEOUT:
                return -errno.ENOTTY
            await self._platform.sleep(delay)
            delay *= 2
        return 0
