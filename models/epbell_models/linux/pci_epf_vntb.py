"""pci-epf-vntb: one end of a non-transparent bridge, the endpoint's side of the host's ntb_hw_epf.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c: a control block with scratchpads in the config BAR, a BAR of
doorbells, a BAR per memory window, a work that picks commands up; and on the other side an NTB device for clients here.
It takes no part in what becomes of a controller that is reset: the kernel's function is not told either.
"""

import errno

from ..ntb import NtbCosts
from .irq import IrqCore
from .pci_epc import PciEpc
from .pci_epf import PciEpf
from .pci_epf_vntb_commands import VntbCommands
from .pci_epf_vntb_config import MSIX_OFFSET, NO_BARS, VntbConfig, assign_bars
from .pci_epf_vntb_control import BLOCK_SIZE, SLOTS, Control, ControlBlock
from .pci_epf_vntb_doorbell import VntbDoorbells
from .pci_epf_vntb_ntb import FIRST_SLOT, VirtualNtb
from .pci_epf_vntb_peer import VntbPeer
from .pci_epf_vntb_windows import VntbWindows

__all__ = [
    "PciEpfVntb",
]

_WORD = 4
_FEWEST_SLOTS = {"v7.1": 1, "newest": 3}


class PciEpfVntb:
    """The vNTB function.

    Parameters
    ----------
    core
        Interrupt core.
    epc
        Endpoint controller.
    config
        What configfs says.
    costs
        What the processor takes its time for; nothing if None. The look at polled doorbells costs nothing: its work
        runs anyway, and its wake-up is part of the period that a ring waits.

    Attributes
    ----------
    epf
        The function.
    config
        As above.
    bars
        Which BAR is for what, once it is bound.
    control
        The control block.
    doorbells, windows, peer, commands
        The parts.
    ntb
        The bridge as the endpoint's clients see it.
    """

    def __init__(self, core: IrqCore, epc: PciEpc, config: VntbConfig, costs: NtbCosts | None = None) -> None:
        self._core = core
        self._epc = epc
        self.config = config
        self.bars = NO_BARS
        self.epf = PciEpf("pci_epf_vntb.0", epc)
        self.control = ControlBlock(epc)
        self.windows = VntbWindows(self.epf, self.control, core.log)
        self.peer = VntbPeer(epc, config, core.log, costs or NtbCosts())
        self.ntb = VirtualNtb(epc, config, self.control, self.windows, self.peer)
        self.doorbells = VntbDoorbells(
            core,
            self.epf,
            self.control,
            slots=config.db_count,
            first_slot=FIRST_SLOT[config.release],
            ring=self.ntb.ring,
        )
        self.commands = VntbCommands(
            epc, config, self.control, self.doorbells, self.windows, self.peer, self.ntb.link_event, core.log
        )

    @property
    def backend(self) -> str | None:
        """``"mu"``, ``"edma"`` or ``"polling"``; None while it is not bound."""
        return self.doorbells.backend

    @property
    def reason(self) -> str:
        """What the kernel said about that backend."""
        return self.doorbells.reason

    @property
    def irqs_raised(self) -> int:
        """Interrupts sent to the host."""
        return self.peer.raised

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> int:
        """Bind: choose BARs, allocate and set them, start to work. Return 0 or a negative errno, with nothing left."""
        bars = assign_bars(self.config, self._epc.features)
        if bars is None:
            self._say("Fail to get NTB function BAR")
            return -errno.EINVAL
        self.bars = bars
        error = await self._alloc_control()
        if not error:
            error = await self._init()
        if error:
            self.epf.free_space(bars.ctrl)
            self.bars = NO_BARS
            return error
        self.commands.start()
        self.peer.start()
        return await self._epc.init_notify()

    async def stop(self) -> None:
        """Unbind."""
        await self.commands.stop()
        self.peer.stop()
        await self.windows.tear_down()
        await self.doorbells.tear_down(self.bars.db)
        await self._clear_control()
        self.epf.free_space(self.bars.ctrl)
        self.bars = NO_BARS

    async def _alloc_control(self) -> int:
        """Allocate block and scratchpads and fill them; doorbells are words in memory until they are something else."""
        config, control = self.config, self.control
        address = self.epf.alloc_space(self._control_size(), self.bars.ctrl)
        if address is None:
            self._say("Config/Status/SPAD alloc region fail")
            return -errno.ENOMEM
        control.bar, control.address = self.bars.ctrl, address
        await control.clear(config.spad_count)
        await control.write(Control.SPAD_OFFSET, BLOCK_SIZE)
        await control.write(Control.SPAD_COUNT, config.spad_count)
        await control.write(Control.NUM_MWS, len(self.bars.windows))
        await control.write(Control.DB_ENTRY_SIZE, _WORD)
        # Of more slots than there are the kernel would write the last ones behind the block, before it looks.
        for slot in range(min(config.db_count, SLOTS)):
            await control.publish(slot, slot + 1, 0)
        return 0

    def _control_size(self) -> int:
        vectors = self.config.msix_interrupts
        if not vectors:
            return BLOCK_SIZE + 2 * _WORD * self.config.spad_count
        return MSIX_OFFSET + 16 * vectors + -(-vectors // 64) * 8

    async def _init(self) -> int:
        """Set the BARs; a negative errno, and then none is set."""
        error = await self._set_control()
        if error:
            return error
        error = await self._configure_interrupt()
        if error:
            await self._clear_control()
            return error
        error = await self.doorbells.set_up(self.bars.db)
        if error:
            self._say("DB BAR init failed")
            await self._clear_control()
            return error
        self.ntb.rings_interrupt = self.doorbells.interrupts
        error = await self.windows.set_up(self.bars.windows, self.config.mw_sizes)
        if error:
            self._say("MW BAR init failed")
            await self.doorbells.tear_down(self.bars.db)
            await self._clear_control()
        return error

    async def _set_control(self) -> int:
        bar = self.epf.bars[self.bars.ctrl]
        error = await self._epc.set_bar(bar) if bar is not None else -errno.EINVAL
        if error:
            self._say("Config/Status/SPAD BAR set failed")
        return error

    async def _clear_control(self) -> None:
        bar = self.epf.bars[self.bars.ctrl]
        if bar is not None:
            await self._epc.clear_bar(bar)

    async def _configure_interrupt(self) -> int:
        """Judge the number of slots; -EINVAL for too few, too many, or a controller that has no messages.

        How many MSIs the function offers is built into the hardware, and must be 16.
        """
        features, vectors = self._epc.features, self.config.msix_interrupts
        if not (features.msi_capable or features.msix_capable):
            self._say("MSI or MSI-X is required for doorbell")
            return -errno.EINVAL
        fewest = _FEWEST_SLOTS[self.config.release]
        if not fewest <= self.config.db_count <= SLOTS:
            self._say(f"DB count {self.config.db_count} out of range ({fewest} - {SLOTS})")
            return -errno.EINVAL
        if not vectors:
            return 0
        error = await self._epc.set_msix(vectors, self.bars.ctrl, MSIX_OFFSET)
        if error:
            self._say("MSI-X configuration failed")
        return error

    def _say(self, message: str) -> None:
        self._core.log.append(f"pci_epf_vntb: {message}")
