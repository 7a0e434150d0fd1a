"""Registers of a DesignWare eDMA that is a doorbell only: what a driver's probe and its acknowledge need.

Linux's ``dw-edma`` refuses an eDMA without channels; so DMA_CTRL names some, and what would run their transfers is left
out. The map is ``edma_doorbell.rdl``. The interrupt emulation is not in here but in :mod:`epbell.edma`.
"""

from typing import Any

from amaranth.hdl import Const

import epbell_regs
from epbell.dma_channels import ChannelRegisters

__all__ = ["DoorbellRegisters"]


class DoorbellRegisters(ChannelRegisters):
    """Registers of channels that are not there: their pulses are ignored, and nothing interrupts.

    Parameters
    ----------
    write_channels, read_channels : int
        Numbers of channels that DMA_CTRL tells, 1 to 8 each.
    registered : bool
        Whether each access is decoded a clock ahead.

    Raises
    ------
    ValueError
        If a number of channels is out of range.
    """

    def __init__(self, write_channels: int, read_channels: int, *, registered: bool = False) -> None:
        tree = epbell_regs.load("edma_doorbell", write_channels=write_channels, read_channels=read_channels)
        super().__init__(write_channels, read_channels, tree, registered=registered)

    def _causes(self, m: Any) -> Any:
        return Const(0)
