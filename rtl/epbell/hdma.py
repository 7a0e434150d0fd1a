"""Registers of the DesignWare HDMA in its native map, as Linux's ``dw-hdma-v0`` drives it; the map is ``hdma.rdl``.

It has no interrupt emulation ("Test Interrupt: HDMA does not support this legacy DMA feature", says its databook), and
so is no doorbell: it is here for software to find that out.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr

__all__ = ["HdmaRegisters"]


class HdmaRegisters(wiring.Component):
    """Registers of all channels, with the interrupts of transfers that are done (STOP) or aborted (ABORT).

    Parameters
    ----------
    write_channels, read_channels : int
        Number of channels, 1 to 8 each.

    Attributes
    ----------
    bus : In(csr.Signature(16))
        Register port, addresses relative to the base of the registers.
    wr_done, wr_abort : In(write_channels)
        Set STOP, ABORT of write channel n at the next clock edge; win over INT_CLEAR.
    rd_done, rd_abort : In(read_channels)
        The same of read channel n.
    interrupt : Out(1)
        Some channel has an unmasked STOP or ABORT whose local enable is set.

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

    def __init__(self, write_channels: int, read_channels: int) -> None:
        self._block = csr.Block(epbell_regs.load("hdma", write_channels=write_channels, read_channels=read_channels))
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
        """Connect the channels."""
        m: Any = Module()
        m.submodules.block = self._block
        wiring.connect(m, wiring.flipped(self.bus), self._block.bus)
        causes: list[Any] = []
        for name, done, abort in (("WRITE", self.wr_done, self.wr_abort), ("READ", self.rd_done, self.rd_abort)):
            for n in range(len(done)):
                causes.append(self._cause(m, f"{name}_CH{n}", "STOP", done[n]))
                causes.append(self._cause(m, f"{name}_CH{n}", "ABORT", abort[n]))
        together: Any = Cat(*causes)
        m.d.comb += self.interrupt.eq(together.any())
        return m

    def _cause(self, m: Any, channel: str, kind: str, event: Any) -> Any:
        """Keep one status bit; return whether it interrupts."""
        field = self._block.field
        status: Any = Signal(name=f"{channel}_{kind}".lower())
        # Set wins: an end of a transfer in the clock of the acknowledge is one that no handler has seen.
        m.d.sync += status.eq(status & ~field(f"{channel}_INT_CLEAR", kind).w_data | event)
        m.d.comb += field(f"{channel}_INT_STAT", kind).value.eq(status)
        setup = f"{channel}_INT_SETUP"
        return status & ~field(setup, f"{kind}_MASK").value & field(setup, f"LOCAL_{kind}_EN").value
