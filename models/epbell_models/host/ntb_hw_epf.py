"""ntb_hw_epf: the host's driver of a non-transparent bridge whose other end is an endpoint function.

Follows drivers/ntb/hw/epf/ntb_hw_epf.c access by access. The endpoint's side is `epbell_models.linux.pci_epf_vntb`.
"""

import errno

from ..ntb import MW_ALIGN, PEER, MwAddress, MwAlign, NtbDevice
from .dma import DmaMemory
from .ntb_hw_epf_ids import BarMap, Release, find_map
from .ntb_hw_epf_regs import MSIX, Command, EpfRegisters, Register
from .pci import PciDevice, VectorKind

__all__ = [
    "CLASS_MEMORY_RAM",
    "NtbHwEpf",
]

CLASS_MEMORY_RAM = 0x0500
"""Upper half of the class code that a function must have."""

_FEWEST_VECTORS, _MOST_VECTORS = 4, 32
_LINK_VECTOR, _UNUSED_VECTOR, _FIRST_VECTOR = 0, 1, 2
_LOW = 0xFFFF_FFFF


class NtbHwEpf(NtbDevice):
    """The driver, bound to one device.

    Parameters
    ----------
    device
        The function, scanned and assigned.
    memory
        The host's memory.
    release
        ``"newest"``, or ``"6.1"``: no map for R-Car, and one vector that stands for every doorbell.
    poll_seconds
        Time from one look at COMMAND_STATUS to the next: Linux sleeps 5 to 10 us. More spares a simulation many reads.

    Attributes
    ----------
    map
        Which BAR is for what, None before `probe` has found one.
    log
        What the kernel would have printed.
    vectors
        How many interrupt vectors there are.
    strays
        Rings of slots that the endpoint has published nothing for: 0 was stored at their entry of the doorbell BAR,
        which is where the BAR begins unless doorbells are polled.
    """

    def __init__(
        self,
        device: PciDevice,
        memory: DmaMemory,
        *,
        release: Release = "newest",
        poll_seconds: float = 7.5e-6,
    ) -> None:
        if release not in ("6.1", "newest"):
            raise ValueError(f"The release of ntb_hw_epf is '6.1' or 'newest', not {release!r}")
        self._device = device
        self._memory = memory
        self._release: Release = release
        self._registers = EpfRegisters(device, poll_seconds)
        self._peer_spads = 0
        self._windows = 0
        self._spads = 0
        self.map: BarMap | None = None
        self.log: list[str] = []
        self.vectors = 0
        self.strays = 0

    # -- life ----------------------------------------------------------------------------------------------------------

    async def probe(self) -> int:
        """Bind.

        Returns
        -------
        int
            0; -ENODEV for a bridge, and for identities and classes that the driver does not know, -EIO without one of
            the BARs, -EINVAL for too many windows, the error of allocating fewer than 4 vectors, or that of the first
            command.
        """
        device = self._device
        known = find_map(device.vendor, device.device, self._release)
        if known is None or device.header_type or await device.class_code() >> 8 != CLASS_MEMORY_RAM:
            return -errno.ENODEV
        self.map = known
        self._registers.bar = known.config
        error = await self._init_pci(known)
        if error:
            self._say("Failed to init PCI")
            return error
        error = await self._init_device()
        if error:
            self._say("Failed to init device")
            await device.disable()
        return error

    async def remove(self) -> None:
        """Unbind: say so, free the vectors, disable the function."""
        self.clear_ctx()
        await self._registers.send(Command.TEARDOWN_DOORBELL, self.vectors)
        await self._device.free_irq_vectors()
        self.vectors = 0
        await self._device.disable()

    async def _init_pci(self, bars: BarMap) -> int:
        device = self._device
        await device.enable()
        await device.set_master()
        if any(device.resources[bar] is None for bar in (bars.config, bars.peer_spad, bars.db)):
            await device.disable()
            return -errno.EIO
        self._peer_spads = 0
        if bars.peer_spad == bars.config:
            size = 4 * await self._registers.read(Register.SPAD_COUNT)
            self._peer_spads = await self._registers.read(Register.SPAD_OFFSET) + size
        return 0

    async def _init_device(self) -> int:
        self._windows = await self._registers.read(Register.MW_COUNT)
        if self._windows > len(self._bars.windows):
            self._say(f"Unsupported MW count: {self._windows}")
            return -errno.EINVAL
        error = await self._init_irqs()
        if error:
            self._say("Failed to init ISR")
            return error
        self._spads = await self._registers.read(Register.SPAD_COUNT)
        return 0

    async def _init_irqs(self) -> int:
        device, msix = self._device, MSIX
        count = await device.alloc_irq_vectors(_FEWEST_VECTORS, _MOST_VECTORS, VectorKind.MSIX)
        if count < 0:
            count = await device.alloc_irq_vectors(_FEWEST_VECTORS, _MOST_VECTORS, VectorKind.MSI)
            msix = 0
        if count < 0:
            self._say("Failed to get MSI interrupts")
            return count
        self.vectors = count
        error = 0
        for index in range(count):
            error = error or await device.request_irq(index, self._handler)
        if error:
            self._say("Failed to request irq")
        else:
            error = await self._registers.send(Command.CONFIGURE_DOORBELL, msix | count)
            if error:
                self._say("Failed to configure doorbell")
        if error:
            await device.free_irq_vectors()
            self.vectors = 0
        return error

    async def _handler(self, index: int) -> None:
        """Tell the client what a vector stands for: the link, nothing, or a doorbell."""
        vector = index - _FIRST_VECTOR
        if index == _LINK_VECTOR:
            self.link_event()
        elif index == _UNUSED_VECTOR:
            self._say("Unexpected reserved doorbell slot IRQ received")
        else:
            self.db_event(vector, 1 << vector)

    # -- link ----------------------------------------------------------------------------------------------------------

    async def link_is_up(self) -> int:
        """Return the link's bit of LINK_STATUS."""
        return await self._registers.read16(Register.LINK_STATUS) & 1

    async def link_enable(self) -> int:
        """Send LINK_UP."""
        return await self._link(Command.LINK_UP, "enable")

    async def link_disable(self) -> int:
        """Send LINK_DOWN."""
        return await self._link(Command.LINK_DOWN, "disable")

    async def _link(self, command: int, what: str) -> int:
        error = await self._registers.send(command, 0)
        if error:
            self._say(f"Fail to {what} link")
        return error

    # -- memory windows ------------------------------------------------------------------------------------------------

    def _window_bar(self, widx: int) -> int:
        """Return a window's BAR, or -EINVAL; one window too many is let through: its BAR may be -1, which is -EPERM."""
        if not 0 <= widx <= self._windows:
            self._say(f"Unsupported Memory Window index {widx}")
            return -errno.EINVAL
        windows = self._bars.windows
        return windows[widx] if widx < len(windows) else -errno.EINVAL

    def _window_size(self, bar: int) -> int:
        """Return the bytes of a BAR, 0 for one that does not exist."""
        found = self._device.resources[bar]
        return found.size if found is not None else 0

    def mw_count(self, pidx: int) -> int:
        """Return how many windows the endpoint has on the host's memory, -EINVAL without such a peer."""
        return self._windows if self._is_peer(pidx) else -errno.EINVAL

    def mw_get_align(self, pidx: int, widx: int) -> MwAlign | int:
        """Return 4 KiB, 1 and the size of the BAR, or a negative errno."""
        bar = self._window_bar(widx) if self._is_peer(pidx) else -errno.EINVAL
        return bar if bar < 0 else MwAlign(MW_ALIGN, 1, self._window_size(bar))

    async def mw_set_trans(self, pidx: int, widx: int, address: int, size: int) -> int:
        """Send CONFIGURE_MW; -EINVAL for more than the BAR's size. What the endpoint answers is not looked at."""
        bar = self._window_bar(widx) if self._is_peer(pidx) else -errno.EINVAL
        if bar < 0:
            return bar
        if size > self._window_size(bar):
            self._say(f"Size:{size:#x} is greater than the MW size {self._window_size(bar):#x}")
            return -errno.EINVAL
        await self._registers.write(Register.LOWER_ADDR, address & _LOW)
        await self._registers.write(Register.UPPER_ADDR, address >> 32)
        await self._registers.write(Register.LOWER_SIZE, size & _LOW)
        await self._registers.write(Register.UPPER_SIZE, size >> 32)
        await self._registers.send(Command.CONFIGURE_MW, widx)
        return 0

    async def mw_clear_trans(self, pidx: int, widx: int) -> int:
        """Send TEARDOWN_MW, for any index; return 0 whatever becomes of it."""
        await self._registers.send(Command.TEARDOWN_MW, widx)
        return 0

    def peer_mw_count(self) -> int:
        """Return how many windows there are on the endpoint's memory."""
        return self._windows

    async def peer_mw_get_addr(self, widx: int) -> MwAddress | int:
        """Return where a window is in its BAR, or a negative errno."""
        offset = await self._window_offset(widx)
        bar = self._window_bar(widx)
        if bar < 0:
            return bar
        found = self._device.resources[bar]
        return MwAddress(found.address + offset, found.size - offset) if found is not None else MwAddress(offset, 0)

    async def peer_mw_read(self, widx: int, offset: int, length: int) -> bytes:
        """Read the endpoint's memory; ValueError for a window without a BAR."""
        return await self._device.read(self._window_bar(widx), await self._window_offset(widx) + offset, length)

    async def peer_mw_write(self, widx: int, offset: int, data: bytes) -> None:
        """Write the endpoint's memory; ValueError for a window without a BAR."""
        await self._device.write(self._window_bar(widx), await self._window_offset(widx) + offset, data)

    async def _window_offset(self, widx: int) -> int:
        """Return where the first window starts in its BAR, which it may share with the doorbells."""
        return await self._registers.read(Register.MW1_OFFSET) if widx == 0 else 0

    # -- the host's own memory -----------------------------------------------------------------------------------------

    def dma_alloc(self, size: int) -> int | None:
        """Allocate memory that the endpoint may reach, whole pages."""
        return self._memory.allocate(size, MW_ALIGN)

    def dma_free(self, address: int) -> None:
        """Let the endpoint no longer reach it."""
        self._memory.revoke(address)

    async def dma_read(self, address: int, length: int) -> bytes:
        """Read bytes of it."""
        return self._memory.peek(address, length)

    async def dma_write(self, address: int, data: bytes) -> None:
        """Write bytes of it."""
        self._memory.poke(address, data)

    # -- doorbells -----------------------------------------------------------------------------------------------------

    def db_valid_mask(self) -> int:
        """Return a bit per vector but the first two."""
        return (1 << max(0, self.vectors - _FIRST_VECTOR)) - 1

    def db_vector_count(self) -> int:
        """Return how many doorbells there are; 1 for all of them in 6.1, which does not tell them apart."""
        return super().db_vector_count() if self._release == "6.1" else max(0, self.vectors - _FIRST_VECTOR)

    def db_vector_mask(self, vector: int) -> int:
        """Return the one bit of a vector, none for a vector that is not there; all of them in 6.1."""
        if self._release == "6.1":
            return super().db_vector_mask(vector)
        return 1 << vector if 0 <= vector < self.db_vector_count() else 0

    async def peer_db_set(self, bits: int) -> int:
        """Ring the lowest bit: three reads, one store. -EINVAL when the host has no such vector itself.

        The endpoint may have fewer slots than the host has vectors, and nobody tells: what is read then is 0, and 0 is
        stored where the BAR begins (counted in ``strays``). No bit at all is slot 1, which nobody listens to.
        """
        slot = (bits & -bits).bit_length() + 1
        if slot > self.vectors - 1:
            self._say(f"DB interrupt {slot} greater than Max Supported {self.vectors - 1}")
            return -errno.EINVAL
        entry = await self._registers.read(Register.DB_ENTRY_SIZE)
        data = await self._registers.read(Register.DB_DATA + 4 * slot)
        offset = await self._registers.read(Register.DB_OFFSET + 4 * slot)
        self.strays += data == offset == 0
        await self._device.write32(self._bars.db, entry * slot + offset, data)
        return 0

    # -- scratchpads ---------------------------------------------------------------------------------------------------

    def spad_count(self) -> int:
        """Return how many scratchpads either side has."""
        return self._spads

    async def spad_read(self, index: int) -> int:
        """Read one of the host's row; 0 for one that is not there."""
        if not self._is_spad(index):
            return 0
        return await self._registers.read(await self._registers.read(Register.SPAD_OFFSET) + 4 * index)

    async def spad_write(self, index: int, value: int) -> int:
        """Write one of the host's row; -EINVAL for one that is not there."""
        if not self._is_spad(index):
            return -errno.EINVAL
        await self._registers.write(await self._registers.read(Register.SPAD_OFFSET) + 4 * index, value)
        return 0

    async def peer_spad_read(self, pidx: int, index: int) -> int:
        """Read one of the endpoint's row; -EINVAL, as 32 bits, for a peer or one that is not there."""
        if not (self._is_peer(pidx) and self._is_spad(index)):
            return -errno.EINVAL & _LOW
        return await self._device.read32(self._bars.peer_spad, self._peer_spads + 4 * index)

    async def peer_spad_write(self, pidx: int, index: int, value: int) -> int:
        """Write one of the endpoint's row; -EINVAL for a peer or one that is not there."""
        if not (self._is_peer(pidx) and self._is_spad(index)):
            return -errno.EINVAL
        await self._device.write32(self._bars.peer_spad, self._peer_spads + 4 * index, value)
        return 0

    # -- access --------------------------------------------------------------------------------------------------------

    @property
    def _bars(self) -> BarMap:
        if self.map is None:
            raise RuntimeError("The driver is not bound: probe() comes first")
        return self.map

    def _is_peer(self, pidx: int) -> bool:
        if pidx != PEER:
            self._say(f"Unsupported Peer ID {pidx}")
        return pidx == PEER

    def _is_spad(self, index: int) -> bool:
        if not 0 <= index < self._spads:
            self._say(f"Invalid ScratchPad Index {index}")
        return 0 <= index < self._spads

    def _say(self, message: str) -> None:
        self.log.append(f"ntb_hw_epf: {message}")
