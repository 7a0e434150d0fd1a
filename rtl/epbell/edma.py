"""The DesignWare eDMA page with its interrupt emulation: the embedded doorbell of Linux's endpoint framework.

Register-compatible with the eDMA, version 0, in its unroll and its legacy map, and with the native HDMA, as Linux's
``dw-edma`` drives them. There is no engine behind it: transfers are done or aborted when an input says so. A write to
either INT_STATUS asserts the interrupt line until either INT_CLEAR is written. What the public documents leave open is
decided in docs/edma.md; in short: one latch, any data, any byte strobe, no mask and no enable gates it, set wins over
clear in the same clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import axil, csr
from epbell.csr_register import any_of
from epbell.dma_channels import connect_pulses, pulse_ports
from epbell.edma_doorbell import DoorbellRegisters
from epbell.edma_registers import EdmaRegisters
from epbell.hdma import HdmaRegisters

__all__ = [
    "LEGACY_BASE",
    "PERSONALITIES",
    "Edma",
    "EdmaAxil",
    "EdmaShape",
]

PERSONALITIES = ("unroll", "legacy", "hdma")
"""Register maps: the eDMA's newer and older one, and that of the native HDMA, which has no interrupt emulation."""

LEGACY_BASE = 0x970
"""Where the legacy map is in the controller's register page, unless the shape says otherwise."""

_PAGE = 0x1_0000
_HALF = 9  # bits of a byte address within the page that are compared by themselves
_DIRECTIONS = ("WRITE", "READ")


@dataclass(frozen=True)
class EdmaShape:
    """What an eDMA is built as.

    Parameters
    ----------
    personality : str
        One of :data:`PERSONALITIES`.
    write_channels, read_channels : int
        Number of channels, 1 to 8 each.
    lines : int
        Number of interrupt lines, 1 to 16. All carry the same level.
    base : int or None
        Byte offset of the registers in their page of 64 KiB, a multiple of 4. None: 0x970 with ``"legacy"``, else 0.
    doorbell_only : bool
        Build the interrupt emulation alone: DMA_CTRL names the channels, since Linux refuses an eDMA without, but
        nothing keeps a transfer. Not with ``"hdma"``.

    Raises
    ------
    ValueError
        If a parameter is out of range, the registers would not fit into the page, or an HDMA is to be a doorbell.
    """

    personality: str = "unroll"
    write_channels: int = 4
    read_channels: int = 4
    lines: int = 1
    base: int | None = None
    doorbell_only: bool = False

    def __post_init__(self) -> None:
        if self.personality not in PERSONALITIES:
            raise ValueError(
                f"The personality of an eDMA must be one of {', '.join(PERSONALITIES)}, not {self.personality!r}"
            )
        for what, number, most in (
            ("number of write channels", self.write_channels, 8),
            ("number of read channels", self.read_channels, 8),
            ("number of interrupt lines", self.lines, 16),
        ):
            if not isinstance(number, int) or not 1 <= number <= most:
                raise ValueError(f"The {what} of an eDMA must be 1 to {most}, not {number!r}")
        if not isinstance(self.doorbell_only, bool):
            raise ValueError(f"Whether an eDMA is a doorbell only must be True or False, not {self.doorbell_only!r}")
        if self.doorbell_only and self.personality == "hdma":
            raise ValueError("The personality of an eDMA that is a doorbell only must be unroll or legacy, not 'hdma'")
        last = _PAGE - self._size
        if not isinstance(self.offset, int) or self.offset % 4 or not 0 <= self.offset <= last:
            raise ValueError(
                f"The base of this eDMA's registers must be a multiple of 4 from 0 to {last:#x}, not {self.base!r}"
            )

    @property
    def _size(self) -> int:
        """Bytes that the registers take."""
        if self.doorbell_only:
            return 0x100
        blocks = 0x200 * max(self.write_channels, self.read_channels)
        return {"unroll": 0x200 + blocks, "legacy": 0x200, "hdma": blocks}[self.personality]

    @property
    def offset(self) -> int:
        """Byte offset of the registers in their page."""
        if self.base is not None:
            return self.base
        return LEGACY_BASE if self.personality == "legacy" else 0

    @property
    def doorbells(self) -> tuple[int, ...]:
        """Offsets in the page of the words that ring, WRITE_INT_STATUS first; none with ``"hdma"``."""
        return self.words("INT_STATUS")

    def words(self, register: str) -> tuple[int, ...]:
        """Offsets in the page of a register that both directions have; none with ``"hdma"``.

        Parameters
        ----------
        register : str
            Name without its direction, such as ``"INT_CLEAR"``.
        """
        if self.personality == "hdma":
            return ()
        offsets = epbell_regs.offsets("edma")
        return tuple(self.offset + offsets[f"{direction}_{register}"] for direction in _DIRECTIONS)


class Edma(wiring.Component):
    """Registers, interrupt emulation and interrupt lines, in the domain ``sync``.

    A ring in clock t, of either kind, asserts the lines in clock t + 1; so does a pulse of ``wr_done`` and the others,
    if the channel may interrupt. A write of INT_CLEAR in clock t drops them in clock t + 1. Set wins over clear in the
    same clock. With ``doorbell_only`` there is nothing but the ring: the pulses are inputs of the same width, so that
    it fits where an eDMA does, and are ignored.

    With a registered port, the clock of a write is the one in which it is made, which comes after the one in which it
    is at the port; and a ring of either kind holds the lines in its own clock already.

    Parameters
    ----------
    shape : EdmaShape or None
        What to build. None: all defaults.
    registered : bool
        Whether each access is decoded a clock ahead, as in the endpoint.

    Attributes
    ----------
    bus : In(csr.PAGE if registered else csr.Signature(16))
        Register port: the page of 64 KiB.
    ring : In(1)
        A doorbell write that does not come through `bus`: high for one clock for each. Ignored with ``"hdma"``.
    promised : In(1)
        Registered only: there is going to be a ring, and no acknowledge before. Holds the lines as the latch does.
    wr_done, wr_abort : In(write_channels)
        Write channel n ended, or aborted: high for one clock.
    rd_done, rd_abort : In(read_channels)
        Read channel n ended, or aborted: high for one clock.
    irq : Out(lines)
        Interrupt lines: level, active high, all the same.
    rung, merged : Out(2)
        How many rings there are in this clock, 0 to 2, and how many of them find the latch set, or another ring beside
        them.
    delivered : Out(1)
        INT_CLEAR is being written, and the latch is set. Of what these three count, ``rung = merged + delivered +
        latch`` at any time.
    """

    bus: Any
    ring: Any
    promised: Any
    wr_done: Any
    wr_abort: Any
    rd_done: Any
    rd_abort: Any
    irq: Any
    rung: Any
    merged: Any
    delivered: Any

    def __init__(self, shape: EdmaShape | None = None, *, registered: bool = False) -> None:
        self.shape = shape = EdmaShape() if shape is None else shape
        self._registered = registered
        channels = shape.write_channels, shape.read_channels
        if shape.doorbell_only:
            self._registers: Any = DoorbellRegisters(*channels, registered=registered)
        elif shape.personality == "hdma":
            self._registers = HdmaRegisters(*channels, registered=registered)
        else:
            legacy = shape.personality == "legacy"
            self._registers = EdmaRegisters(*channels, legacy=legacy, registered=registered)
        super().__init__(
            {
                "bus": In(csr.PAGE if registered else csr.Signature(16)),
                "ring": In(1),
                **({"promised": In(1)} if registered else {}),
                **_channel_ports(shape),
                "rung": Out(2),
                "merged": Out(2),
                "delivered": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Put the latch beside the registers."""
        m: Any = Module()
        m.submodules.registers = registers = self._registers
        wiring.connect(m, wiring.flipped(self.bus), registers.bus)
        m.d.comb += [
            # Below the base this wraps round to where no register is.
            registers.bus.w_addr.eq(self.bus.w_addr - self.shape.offset),
            registers.bus.r_addr.eq(self.bus.r_addr - self.shape.offset),
        ]
        connect_pulses(m, self, registers)
        interrupt: Any = registers.interrupt
        if self.shape.doorbells:
            interrupt = interrupt | self._emulation(m)
            if self._registered:
                interrupt = interrupt | self.rung.any() | self.promised
        m.d.comb += self.irq.eq(interrupt.replicate(self.shape.lines))
        return m

    def _emulation(self, m: Any) -> Any:
        """Add the latch and its accounting; return the latch."""
        latch, clear, by_bus, left = (Signal(name=name) for name in ("latch", "clear", "ring_by_bus", "left"))
        rings: Any = Signal(2)
        m.d.comb += [
            rings.eq(self.ring + by_bus),
            left.eq(latch & ~clear),
            self.rung.eq(rings),
            self.merged.eq(Mux(rings == 0, 0, rings - 1 + left)),
            self.delivered.eq(latch & clear),
        ]
        m.d.comb += [
            by_bus.eq(self._written(m, "rings", self.shape.doorbells)),
            clear.eq(self._written(m, "clears", self.shape.words("INT_CLEAR"))),
        ]
        # Set wins: a ring in the clock of the acknowledge is one that no handler has seen.
        m.d.sync += latch.eq(left | rings.any())
        return latch

    def _written(self, m: Any, name: str, words: tuple[int, ...]) -> Any:
        """Whether any byte of one of these words is written; registered, in two halves that are joined behind them."""
        address, writes = self.bus.w_addr, self.bus.w_en & self.bus.w_strb.any()
        decoded = m.d.sync if self._registered else m.d.comb
        written: list[Any] = []
        for word in words:
            low, high = (Signal(name=f"{name}_{part}_{word:x}") for part in ("low", "high"))
            decoded += [
                low.eq((address[2:_HALF] == (word & (1 << _HALF) - 1) >> 2) & writes),
                high.eq(address[_HALF:] == word >> _HALF),
            ]
            written.append(low & high)
        return any_of(written)


class EdmaAxil(wiring.Component):
    """An eDMA page with an AXI4-Lite port: exported as ``epbell_edma``.

    A write of INT_STATUS accepted in clock t asserts the interrupt line in clock t + 1; the port sustains one write and
    one read per clock. The only way to ring is through the port.

    Parameters
    ----------
    **parameters
        Those of :class:`EdmaShape`.

    Attributes
    ----------
    s_axil : In(axil.Signature(16))
        Register port: the page of 64 KiB.
    wr_done, wr_abort, rd_done, rd_abort, irq
        Those of :class:`Edma`.

    Raises
    ------
    ValueError
        If :class:`EdmaShape` refuses a parameter.
    """

    s_axil: Any
    wr_done: Any
    wr_abort: Any
    rd_done: Any
    rd_abort: Any
    irq: Any

    def __init__(self, **parameters: Any) -> None:
        self.shape = EdmaShape(**parameters)
        self._edma = Edma(self.shape)
        super().__init__({"s_axil": In(axil.Signature(16)), **_channel_ports(self.shape)})

    def elaborate(self, platform: object) -> Module:
        """Put a bridge in front of the page."""
        m: Any = Module()
        m.submodules.edma = edma = self._edma
        m.submodules.bridge = bridge = axil.Bridge(16)
        wiring.connect(m, wiring.flipped(self.s_axil), bridge.axil)
        wiring.connect(m, bridge.bus, edma.bus)
        connect_pulses(m, self, edma)
        m.d.comb += self.irq.eq(edma.irq)
        return m


def _channel_ports(shape: EdmaShape) -> dict[str, Any]:
    return {**pulse_ports(shape.write_channels, shape.read_channels), "irq": Out(shape.lines)}
