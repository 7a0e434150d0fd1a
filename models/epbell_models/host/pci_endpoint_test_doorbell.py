"""The DOORBELL test of pci_endpoint_test: enable, ring once, disable."""

import errno

from .pci import BAR_COUNT
from .pci_endpoint_test_regs import Capability, Command, Register, Status
from .pci_endpoint_test_state import DriverState

__all__ = [
    "DoorbellTest",
]


class DoorbellTest:
    """The test, without the driver's lock.

    Parameters
    ----------
    state
        The driver's state.
    newest
        Whether this is the newest release of the driver, else v6.17.
    """

    def __init__(self, state: DriverState, newest: bool) -> None:
        self._state = state
        self._newest = newest

    async def run(self) -> int:
        """DOORBELL."""
        state = self._state
        if self._newest and not state.caps & Capability.DYNAMIC_INBOUND:
            return -errno.EOPNOTSUPP
        if not state.has_irq_type:
            return -errno.EINVAL
        await state.command(Command.ENABLE_DOORBELL)
        answered = await state.irq_within_a_second()
        status = await state.read_status()
        if not answered or not self._succeeded(status, Status.ENABLE_SUCCESS, Status.ENABLE_FAIL):
            return -errno.EINVAL
        ringing = await self._ring()
        if ringing is None:
            return -errno.ERANGE
        await state.write(Register.COMMAND, Command.DISABLE_DOORBELL)
        await state.irq_within_a_second()
        status = ringing[1] | await state.read_status()
        if not self._succeeded(status, Status.DISABLE_SUCCESS, Status.DISABLE_FAIL):
            return -errno.EINVAL
        return ringing[0]

    async def _ring(self) -> tuple[int, int] | None:
        """Store the endpoint's word where it wants it; return the outcome and STATUS, None for an impossible BAR."""
        state = self._state
        data = await state.read(Register.DB_DATA)
        offset = await state.read(Register.DB_OFFSET)
        bar = 0 if self._newest else await state.read(Register.DB_BAR)
        await state.choose_irq()
        await state.write(Register.STATUS, 0)
        bar = await state.read(Register.DB_BAR) if self._newest else bar
        if not 0 <= bar < BAR_COUNT or state.device.resources[bar] is None:
            return None
        await state.device.write32(bar, offset, data)
        answered = await state.irq_within_a_second()
        status = await state.read_status()
        good = answered and status & Status.DOORBELL_SUCCESS
        return (0 if good else -errno.EINVAL), status

    def _succeeded(self, status: int, success: Status, fail: Status) -> bool:
        return bool(status & success) if self._newest else not status & fail
