"""Registers of the DesignWare eDMA, version 0: the unroll map and the legacy map.

Follows the register texts that vendors print in their manuals and Linux's ``dw-edma-v0``; the map is ``edma.rdl``. The
interrupt emulation is not in here but in :mod:`epbell.edma`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal

import epbell_regs
from epbell.dma_channels import ChannelRegisters

__all__ = ["EdmaRegisters"]

_BANK = 0x100
# Blocks of the channels: 0x200 + 0x200 * n of the write channels, 0x100 further of the read channels.
_BLOCKS = 0x200


class EdmaRegisters(ChannelRegisters):
    """Registers of all channels, with the interrupts of transfers that are done or aborted.

    A channel may interrupt if its LIE is set; INT_MASK masks.

    Parameters
    ----------
    write_channels, read_channels : int
        Number of channels, 1 to 8 each.
    legacy : bool
        Whether there is one bank at 0x100, in which VIEWPORT_SEL shows one channel, in place of a block for each.
    registered : bool
        Whether each access is decoded a clock ahead.

    Raises
    ------
    ValueError
        If a number of channels is out of range.
    """

    def __init__(
        self, write_channels: int, read_channels: int, *, legacy: bool = False, registered: bool = False
    ) -> None:
        tree = epbell_regs.load("edma", write_channels=write_channels, read_channels=read_channels, legacy=int(legacy))
        self._legacy = legacy
        self._registered = registered
        super().__init__(write_channels, read_channels, tree, registered=registered)

    def elaborate(self, platform: object) -> Module:
        """Put the bank in front of the registers, if there is one."""
        m: Any = super().elaborate(platform)
        if self._legacy:
            viewport = self._viewport(m)
            self._bank(m, viewport, "w")
            self._bank(m, viewport, "r")
        return m

    def _causes(self, m: Any) -> Any:
        return Cat(
            self._direction(m, "WRITE", self.wr_done, self.wr_abort),
            self._direction(m, "READ", self.rd_done, self.rd_abort),
        )

    def _viewport(self, m: Any) -> tuple[Any, Any]:
        """Channel and direction that VIEWPORT_SEL shows to an access that is at the port."""
        selected = self._block.field("VIEWPORT_SEL", "CHANNEL").value, self._block.field("VIEWPORT_SEL", "READ").value
        if not self._registered:
            return selected
        # A clock ahead, as the decoder is: the register itself has not yet what was at the port in the clock before.
        bus = self.bus
        here = bus.w_en & (bus.w_addr[2:] == epbell_regs.offsets("edma", legacy=1)["VIEWPORT_SEL"] >> 2)
        ahead = Signal.like(selected[0], name="channel_ahead"), Signal.like(selected[1], name="read_ahead")
        for value, lowest in zip(ahead, (0, 31), strict=True):
            with m.If(here & bus.w_strb[lowest // 8]):
                m.d.sync += value.eq(bus.w_data[lowest : lowest + len(value)])
        return ahead

    def _bank(self, m: Any, viewport: tuple[Any, Any], way: str) -> None:
        """Show the selected channel's block in the bank, and nothing beyond the bank."""
        address = getattr(self.bus, f"{way}_addr")
        within, beyond = address[8:] == _BANK >> 8, address[9:] != 0
        selected: Any = Cat(address[:8], viewport[1], viewport[0])
        shown: Any = Signal(16, name=f"{way}_shown")
        m.d.comb += [
            shown.eq(Mux(within, selected + _BLOCKS, address)),
            # No register is in the upper half.
            getattr(self._block.bus, f"{way}_addr").eq(Cat(shown[:15], beyond)),
        ]

    def _direction(self, m: Any, name: str, done: Any, abort: Any) -> Any:
        """Keep the status of one direction; return which of its channels interrupt.

        These are flip-flops: what each of them depends on is looked at as it is from the next clock on.
        """
        field, after = self._block.field, self._block.after
        enabled = Cat(after(f"{name}_CH{n}_CONTROL1", "LIE") for n in range(len(done)))
        causes: Any = Const(0, len(done))
        for kind, event in (("DONE", done), ("ABORT", abort)):
            status: Any = Signal(len(event), name=f"{name.lower()}_{kind.lower()}")
            next_status: Any = Signal.like(status, name=f"{name.lower()}_{kind.lower()}_after")
            cleared = field(f"{name}_INT_CLEAR", kind).w_data
            # Set wins: an end of a transfer in the clock of the acknowledge is one that no handler has seen.
            m.d.comb += next_status.eq(status & ~cleared | event)
            m.d.sync += status.eq(next_status)
            m.d.comb += field(f"{name}_INT_STATUS", kind).value.eq(status)
            causes |= next_status & ~after(f"{name}_INT_MASK", kind)
            if kind == "ABORT":
                errors = "WRITE_ERR_STATUS" if name == "WRITE" else "READ_ERR_STATUS_LOW"
                m.d.comb += field(errors, "ERROR").value.eq(status)
        interrupts: Any = Signal(len(done), name=f"{name.lower()}_interrupts")
        m.d.sync += interrupts.eq(causes & enabled)
        return interrupts
