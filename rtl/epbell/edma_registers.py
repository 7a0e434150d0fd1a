"""Registers of the DesignWare eDMA, version 0: the unroll map and the legacy map.

Follows the register texts that vendors print in their manuals and Linux's ``dw-edma-v0``; the map is ``edma.rdl``. The
interrupt emulation is not in here but in :mod:`epbell.edma`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr

__all__ = ["EdmaRegisters"]

_BANK = 0x100
# Blocks of the channels: 0x200 + 0x200 * n of the write channels, 0x100 further of the read channels.
_BLOCKS = 0x200


class EdmaRegisters(wiring.Component):
    """Registers of all channels, with the interrupts of transfers that are done or aborted.

    Parameters
    ----------
    write_channels, read_channels : int
        Number of channels, 1 to 8 each.
    legacy : bool
        Whether there is one bank at 0x100, in which VIEWPORT_SEL shows one channel, in place of a block for each.

    Attributes
    ----------
    bus : In(csr.Signature(16))
        Register port, addresses relative to the base of the registers.
    wr_done, wr_abort : In(write_channels)
        Set DONE, ABORT of write channel n at the next clock edge; win over INT_CLEAR.
    rd_done, rd_abort : In(read_channels)
        The same of read channel n.
    interrupt : Out(1)
        Some channel that is enabled by its LIE has an unmasked DONE or ABORT.

    Raises
    ------
    ValueError
        If a number of channels is out of range.
    """

    bus: Any
    wr_done: Any
    wr_abort: Any
    rd_done: Any
    rd_abort: Any
    interrupt: Any

    def __init__(self, write_channels: int, read_channels: int, *, legacy: bool = False) -> None:
        tree = epbell_regs.load("edma", write_channels=write_channels, read_channels=read_channels, legacy=int(legacy))
        self._block = csr.Block(tree)
        self._legacy = legacy
        super().__init__(
            {
                "bus": In(csr.Signature(16)),
                "wr_done": In(write_channels),
                "wr_abort": In(write_channels),
                "rd_done": In(read_channels),
                "rd_abort": In(read_channels),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the bus, the status bits and the interrupt."""
        m: Any = Module()
        m.submodules.block = block = self._block
        wiring.connect(m, wiring.flipped(self.bus), block.bus)
        if self._legacy:
            self._bank(m, "w")
            self._bank(m, "r")
        causes: Any = Cat(
            self._direction(m, "WRITE", self.wr_done, self.wr_abort),
            self._direction(m, "READ", self.rd_done, self.rd_abort),
        )
        m.d.comb += self.interrupt.eq(causes.any())
        return m

    def _bank(self, m: Any, way: str) -> None:
        """Show the selected channel's block in the bank, and nothing beyond the bank."""
        viewport = self._block.field("VIEWPORT_SEL", "CHANNEL").value, self._block.field("VIEWPORT_SEL", "READ").value
        address = getattr(self.bus, f"{way}_addr")
        within, beyond = address[8:] == _BANK >> 8, address[9:] != 0
        selected: Any = Cat(address[:8], viewport[1], viewport[0])
        m.d.comb += [
            getattr(self._block.bus, f"{way}_addr").eq(Mux(within, selected + _BLOCKS, address)),
            getattr(self._block.bus, f"{way}_en").eq(getattr(self.bus, f"{way}_en") & ~beyond),
        ]

    def _direction(self, m: Any, name: str, done: Any, abort: Any) -> Any:
        """Keep the status of one direction; return which of its channels interrupt."""
        field = self._block.field
        enabled = Cat(field(f"{name}_CH{n}_CONTROL1", "LIE").value for n in range(len(done)))
        causes: Any = Const(0, len(done))
        for kind, event in (("DONE", done), ("ABORT", abort)):
            status: Any = Signal(len(event), name=f"{name.lower()}_{kind.lower()}")
            cleared = field(f"{name}_INT_CLEAR", kind).w_data
            # Set wins: an end of a transfer in the clock of the acknowledge is one that no handler has seen.
            m.d.sync += status.eq(status & ~cleared | event)
            m.d.comb += field(f"{name}_INT_STATUS", kind).value.eq(status)
            causes |= status & ~field(f"{name}_INT_MASK", kind).value
            if kind == "ABORT":
                errors = "WRITE_ERR_STATUS" if name == "WRITE" else "READ_ERR_STATUS_LOW"
                m.d.comb += field(errors, "ERROR").value.eq(status)
        return causes & enabled
