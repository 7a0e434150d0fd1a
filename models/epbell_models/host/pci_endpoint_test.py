"""pci_endpoint_test: the host driver that tests an endpoint, one method per ioctl.

Follows drivers/misc/pci_endpoint_test.c access by access. Methods return 0 or a negative errno. Waits are bounded by
one second of Linux time, but for those of the data transfers, which are not bounded at all.
"""

import errno
import random
from collections.abc import Awaitable, Callable
from typing import Literal

from .dma import DmaMemory
from .pci import PciDevice, VectorKind
from .pci_endpoint_test_bars import BarTests
from .pci_endpoint_test_data import TransferTests
from .pci_endpoint_test_doorbell import DoorbellTest
from .pci_endpoint_test_regs import Capability, Command, Register
from .pci_endpoint_test_state import UNDEFINED, DriverState

__all__ = [
    "AUTO",
    "PciEndpointTest",
]

Release = Literal["v6.17", "newest"]

AUTO = 3
"""Irq type that stands for the best the endpoint has."""

_MOST_VECTORS = {VectorKind.INTX: 1, VectorKind.MSI: 32, VectorKind.MSIX: 2048}


class PciEndpointTest:
    """The driver, bound to one device.

    Parameters
    ----------
    device
        The function, scanned and assigned.
    release
        ``"newest"``, or ``"v6.17"``: no gate on the capability bit, fail bits tested instead of success bits, DB_BAR
        read before the rest.
    register_bar
        BAR that starts with the register block (the driver's ID table says which).
    store_bytes
        Bytes per store in the consecutive BAR test. Linux stores dwords (4); a larger multiple of 4 is what a
        write-combining mapping makes of them, and spares a simulation many packets.
    memory
        The host's memory for buffers; None for none, so that transfers end with -ENOMEM.
    alignment
        What the ID table says that buffers must be aligned to, 0 or a power of two.
    source
        Where the data of the transfers come from; None for the same data in every run.
    """

    def __init__(
        self,
        device: PciDevice,
        *,
        release: Release = "newest",
        register_bar: int = 0,
        store_bytes: int = 4,
        memory: DmaMemory | None = None,
        alignment: int = 0,
        source: random.Random | None = None,
    ) -> None:
        if release not in ("v6.17", "newest"):
            raise ValueError(f"The release of the driver must be 'v6.17' or 'newest', not {release!r}")
        if store_bytes < 4 or store_bytes % 4:
            raise ValueError(f"A store is a positive multiple of 4 bytes, not {store_bytes!r}")
        if alignment < 0 or alignment & (alignment - 1):
            raise ValueError(f"The alignment of buffers is 0 or a power of two, not {alignment!r}")
        self._device = device
        self._state = DriverState(device, register_bar)
        self._bars = BarTests(self._state, store_bytes)
        self._transfers = TransferTests(self._state, memory, alignment, source or random.Random(1))
        self._doorbell = DoorbellTest(self._state, release == "newest")
        self._mutex = device.platform.lock()

    @property
    def caps(self) -> int:
        """Capabilities, read once by `probe`."""
        return self._state.caps

    @property
    def irq_type(self) -> int:
        """0 INTx, 1 MSI, 2 MSI-X, -1 before `set_irqtype`."""
        return self._state.irq_type

    @property
    def statuses(self) -> list[int]:
        """Every value of STATUS read while doing a test, in order."""
        return self._state.statuses

    # -- life ----------------------------------------------------------------------------------------------------------

    async def probe(self) -> int:
        """Enable the function and read its capabilities, the only access to its memory; -ENODEV for a bridge."""
        if self._device.header_type != 0:
            return -errno.ENODEV
        await self._device.enable()
        await self._device.set_master()
        if self._device.resources[self._state.register_bar] is None:
            return -errno.ENOMEM
        self._state.caps = await self._state.read(Register.CAPS)
        return 0

    async def remove(self) -> None:
        """Free the vectors, then disable the function."""
        await self._free_irq()
        await self._device.disable()

    # -- interrupts ----------------------------------------------------------------------------------------------------

    async def set_irqtype(self, irq_type: int) -> int:
        """SET_IRQTYPE: free all vectors and allocate those of another type; nothing when it is active already."""
        return await self._ioctl(lambda: self._set_irqtype(irq_type))

    async def get_irqtype(self) -> int:
        """GET_IRQTYPE."""
        return await self._ioctl(self._get_irqtype)

    async def clear_irq(self) -> int:
        """CLEAR_IRQ: free all vectors."""
        return await self._ioctl(self._free_irq)

    async def intx_test(self) -> int:
        """INTX: ask for the interrupt line; -ETIMEDOUT."""
        return await self._ioctl(self._intx_test)

    async def msi_test(self, number: int) -> int:
        """MSI: ask for vector ``number``, from 1; -EINVAL without it, -ETIMEDOUT, -EIO when another one fired."""
        return await self._ioctl(lambda: self._message_test(number, VectorKind.MSI, Command.RAISE_MSI))

    async def msix_test(self, number: int) -> int:
        """MSIX: as `msi_test`."""
        return await self._ioctl(lambda: self._message_test(number, VectorKind.MSIX, Command.RAISE_MSIX))

    async def _set_irqtype(self, irq_type: int) -> int:
        if irq_type == AUTO:
            irq_type = self._best_type()
        if not 0 <= irq_type <= 2:
            return -errno.EINVAL
        if irq_type == self._state.irq_type:
            return 0
        await self._free_irq()
        kind = VectorKind(irq_type)
        count = await self._device.alloc_irq_vectors(1, _MOST_VECTORS[kind], kind)
        if count < 0:
            return count
        self._state.irq_type = irq_type
        for index in range(count):
            await self._device.request_irq(index, self._state.handle_irq)
        return 0

    async def _get_irqtype(self) -> int:
        return self._state.irq_type

    async def _free_irq(self) -> int:
        await self._device.free_irq_vectors()
        self._state.irq_type = UNDEFINED
        return 0

    def _best_type(self) -> int:
        for cap, irq_type in ((Capability.MSI, 1), (Capability.MSIX, 2), (Capability.INTX, 0)):
            if self._state.caps & cap:
                return irq_type
        return 1

    async def _intx_test(self) -> int:
        state = self._state
        await state.write(Register.IRQ_TYPE, VectorKind.INTX.value)
        await state.write(Register.IRQ_NUMBER, 0)
        await state.write(Register.COMMAND, Command.RAISE_INTX)
        return 0 if await state.irq_within_a_second() else -errno.ETIMEDOUT

    async def _message_test(self, number: int, kind: VectorKind, command: Command) -> int:
        state = self._state
        vector = self._device.irq_vector(number - 1)
        if vector < 0:
            return vector
        await state.write(Register.IRQ_TYPE, kind.value)
        await state.write(Register.IRQ_NUMBER, number)
        await state.write(Register.COMMAND, command)
        if not await state.irq_within_a_second():
            return -errno.ETIMEDOUT
        return 0 if state.last_irq == vector else -errno.EIO

    # -- BARs ----------------------------------------------------------------------------------------------------------

    async def bar_test(self, bar: int) -> int:
        """BAR: write a pattern, read it back, in pieces of at most 1 MiB.

        Returns 0; -EINVAL for no BAR's number, -ENOBUFS for a reserved BAR, -ENODATA for one that does not exist; -EIO
        when the pattern differs.
        """
        return await self._ioctl(lambda: self._bars.one(bar))

    async def bars_test(self) -> int:
        """BARS: write all BARs, then read all back, so that two that alias are found; -EIO at the first difference."""
        return await self._ioctl(self._bars.consecutive)

    async def bar_subrange_test(self, bar: int) -> int:
        """BAR_SUBRANGE: let a BAR show two places in the wrong order, tell them apart, write both, restore it.

        Returns 0; errors as of `bar_test`; -EOPNOTSUPP when the endpoint cannot, -EBUSY for the BAR of the register
        block, -ENOSPC when it lacks windows, -ETIMEDOUT, -EIO for any other failure and for wrong data.
        """
        return await self._ioctl(lambda: self._bars.subranges(bar))

    # -- data and doorbell ---------------------------------------------------------------------------------------------

    async def write_test(self, size: int, *, dma: bool = False) -> int:
        """WRITE: let the endpoint read ``size`` bytes; -EINVAL for none, or without vectors; -ENOMEM; -EIO."""
        return await self._ioctl(lambda: self._transfers.write(size, dma))

    async def read_test(self, size: int, *, dma: bool = False) -> int:
        """READ: let the endpoint write ``size`` bytes; errors as of `write_test`."""
        return await self._ioctl(lambda: self._transfers.read(size, dma))

    async def copy_test(self, size: int, *, dma: bool = False) -> int:
        """COPY: let the endpoint copy ``size`` bytes; errors as of `write_test`."""
        return await self._ioctl(lambda: self._transfers.copy(size, dma))

    async def doorbell_test(self) -> int:
        """DOORBELL: enable, ring once, expect the endpoint's interrupt, disable.

        Returns 0; -EOPNOTSUPP when the endpoint cannot map a BAR while in use; -EINVAL without vectors, when enabling,
        ringing or disabling fails; -ERANGE when the endpoint names a BAR that does not exist, and then nothing is
        disabled. (The kernel checks the number only, v6.17 not even that, and faults on a BAR that is not mapped.)
        """
        return await self._ioctl(self._doorbell.run)

    async def _ioctl(self, operation: Callable[[], Awaitable[int]]) -> int:
        async with self._mutex:
            self._state.rearm()
            self._state.last_irq = -errno.ENODATA
            return await operation()
