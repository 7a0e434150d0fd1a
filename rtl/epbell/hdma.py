"""Registers of the DesignWare HDMA in its native map, as Linux's ``dw-hdma-v0`` drives it; the map is ``hdma.rdl``.

It has no interrupt emulation ("Test Interrupt: HDMA does not support this legacy DMA feature", says its databook), and
so is no doorbell: it is here for software to find that out.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Signal

import epbell_regs
from epbell.dma_channels import ChannelRegisters

__all__ = ["HdmaRegisters"]


class HdmaRegisters(ChannelRegisters):
    """Registers of all channels, with the interrupts of transfers that are done (STOP) or aborted (ABORT).

    A channel may interrupt if its local enable is set; the masks are beside it in INT_SETUP.

    Parameters
    ----------
    write_channels, read_channels : int
        Number of channels, 1 to 8 each.
    registered : bool
        Whether each access is decoded a clock ahead.

    Raises
    ------
    ValueError
        If a number of channels is out of range.
    """

    def __init__(self, write_channels: int, read_channels: int, *, registered: bool = False) -> None:
        tree = epbell_regs.load("hdma", write_channels=write_channels, read_channels=read_channels)
        super().__init__(write_channels, read_channels, tree, registered=registered)

    def _causes(self, m: Any) -> Any:
        causes: list[Any] = []
        for name, done, abort in (("WRITE", self.wr_done, self.wr_abort), ("READ", self.rd_done, self.rd_abort)):
            for n in range(len(done)):
                causes.append(self._cause(m, f"{name}_CH{n}", "STOP", done[n]))
                causes.append(self._cause(m, f"{name}_CH{n}", "ABORT", abort[n]))
        return Cat(*causes)

    def _cause(self, m: Any, channel: str, kind: str, event: Any) -> Any:
        """Keep one status bit; return whether it interrupts."""
        field = self._block.field
        status: Any = Signal(name=f"{channel}_{kind}".lower())
        # Set wins: an end of a transfer in the clock of the acknowledge is one that no handler has seen.
        m.d.sync += status.eq(status & ~field(f"{channel}_INT_CLEAR", kind).w_data | event)
        m.d.comb += field(f"{channel}_INT_STAT", kind).value.eq(status)
        setup = f"{channel}_INT_SETUP"
        return status & ~field(setup, f"{kind}_MASK").value & field(setup, f"LOCAL_{kind}_EN").value
