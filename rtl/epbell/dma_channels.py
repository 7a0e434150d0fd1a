"""What a DMA engine tells of its channels, and the registers that keep it; eDMA and HDMA have them in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import csr

if TYPE_CHECKING:
    from systemrdl.node import AddrmapNode

__all__ = [
    "PULSES",
    "ChannelRegisters",
    "connect_pulses",
    "pulse_ports",
]

PULSES = ("wr_done", "wr_abort", "rd_done", "rd_abort")
"""Ends of a transfer, of the write and of the read channels."""


def pulse_ports(write_channels: int, read_channels: int, prefix: str = "") -> dict[str, Any]:
    """Return the members for :data:`PULSES`: inputs, a bit for each channel.

    Parameters
    ----------
    write_channels, read_channels : int
        Number of channels.
    prefix : str
        What their names begin with.
    """
    channels = {"wr": write_channels, "rd": read_channels}
    return {f"{prefix}{pulse}": In(channels[pulse[:2]]) for pulse in PULSES}


def connect_pulses(m: Any, source: Any, sink: Any, prefix: str = "") -> None:
    """Drive the pulses of `sink` by those of `source`, whose names begin with `prefix`."""
    for pulse in PULSES:
        m.d.comb += getattr(sink, pulse).eq(getattr(source, f"{prefix}{pulse}"))


class ChannelRegisters(wiring.Component):
    """Registers of a DMA engine without the engine: base of :class:`EdmaRegisters` and the others.

    Parameters
    ----------
    write_channels, read_channels : int
        Number of channels, 1 to 8 each.
    tree : AddrmapNode
        The registers' map.
    registered : bool
        Whether each access is decoded a clock ahead.

    Attributes
    ----------
    bus : In(csr.PAGE if registered else csr.Signature(16))
        Register port, addresses relative to the base of the registers.
    wr_done, wr_abort : In(write_channels)
        Write channel n ended, or aborted: its status is set at the next clock edge, and wins over INT_CLEAR.
    rd_done, rd_abort : In(read_channels)
        The same of read channel n.
    interrupt : Out(1)
        Some channel that may interrupt has a status that is not masked.
    """

    bus: Any
    wr_done: Any
    wr_abort: Any
    rd_done: Any
    rd_abort: Any
    interrupt: Any

    def __init__(self, write_channels: int, read_channels: int, tree: AddrmapNode, *, registered: bool) -> None:
        self._block = (
            csr.Block(tree, decode="sync", read_clocks=csr.PAGE.read_clocks) if registered else csr.Block(tree)
        )
        super().__init__({
            "bus": In(self._block.bus.signature.flip()),
            **pulse_ports(write_channels, read_channels),
            "interrupt": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Connect the bus and the channels."""
        m: Any = Module()
        m.submodules.block = self._block
        wiring.connect(m, wiring.flipped(self.bus), self._block.bus)
        m.d.comb += self.interrupt.eq(self._causes(m).any())
        return m

    def _causes(self, m: Any) -> Any:
        """Keep the status of every channel; return a bit for each that interrupts."""
        raise NotImplementedError
