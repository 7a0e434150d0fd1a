"""What the parts of pci_endpoint_test share: the register block, the interrupt's completion, what probe found out."""

import errno

from .completion import Completion
from .pci import PciDevice
from .pci_endpoint_test_regs import Capability, Command, Register, Status

__all__ = [
    "UNDEFINED",
    "DriverState",
]

UNDEFINED = -1
"""Irq type before one is set."""

_TIMEOUT = 1.0


class DriverState:
    """The driver's state.

    Parameters
    ----------
    device
        The function.
    register_bar
        BAR that starts with the register block.

    Attributes
    ----------
    caps, irq_type, statuses
        See `PciEndpointTest`.
    last_irq
        The vector that was interrupted last, a negative errno before one was.
    """

    def __init__(self, device: PciDevice, register_bar: int) -> None:
        self.device = device
        self.register_bar = register_bar
        self.caps = 0
        self.irq_type = UNDEFINED
        self.last_irq = -errno.ENODATA
        self.statuses: list[int] = []
        self._raised = Completion(device.platform)

    # -- registers -----------------------------------------------------------------------------------------------------

    async def read(self, offset: int) -> int:
        """Read a register."""
        return await self.device.read32(self.register_bar, offset)

    async def write(self, offset: int, value: int) -> None:
        """Write a register."""
        await self.device.write32(self.register_bar, offset, int(value))

    async def read_status(self) -> int:
        """Read STATUS, and note it."""
        status = await self.read(Register.STATUS)
        self.statuses.append(status)
        return status

    async def choose_irq(self, number: int = 1) -> None:
        """Tell the endpoint which interrupt to raise."""
        await self.write(Register.IRQ_TYPE, self.irq_type)
        await self.write(Register.IRQ_NUMBER, number)

    async def command(self, command: Command) -> None:
        """Give a command that ends with an interrupt."""
        await self.choose_irq()
        await self.write(Register.COMMAND, command)

    def is_reserved(self, bar: int) -> bool:
        """Return whether the endpoint keeps a BAR to itself."""
        return bool(self.caps & Capability.BAR0_RESERVED << bar)

    @property
    def has_irq_type(self) -> bool:
        """Whether an interrupt type is set."""
        return self.irq_type != UNDEFINED

    # -- interrupts ----------------------------------------------------------------------------------------------------

    def rearm(self) -> None:
        """Forget interrupts that came."""
        self._raised.rearm()

    async def irq_within_a_second(self) -> bool:
        """Wait for an interrupt, at most a second."""
        return await self._raised.wait(_TIMEOUT)

    async def irq_whenever(self) -> None:
        """Wait for an interrupt, for ever."""
        await self._raised.wait(None)

    async def handle_irq(self, index: int) -> None:
        """Handle an interrupt: one that the endpoint claims is what somebody waits for."""
        if await self.read(Register.STATUS) & Status.IRQ_RAISED:
            self.last_irq = index
            self._raised.complete()
