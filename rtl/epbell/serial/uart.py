"""Bytes over two wires: a start bit, eight bits from the least significant one on, a stop bit; no parity."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from epbell.serial.frame import BYTE

__all__ = [
    "LEAST_DIVISOR",
    "UartReceiver",
    "UartTransmitter",
    "check_divisor",
]

LEAST_DIVISOR = 4
"""Fewest clocks of a bit: with less, a bit is not looked at near enough to its middle."""

_FRAME = 10  # bits of a byte, with start and stop


def check_divisor(divisor: int) -> int:
    """Return `divisor` if a bit can take so many clocks.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if not isinstance(divisor, int) or divisor < LEAST_DIVISOR:
        raise ValueError(f"A bit of a serial port must take {LEAST_DIVISOR} clocks or more, not {divisor!r}")
    return divisor


class UartReceiver(wiring.Component):
    """Looks at each bit in its middle, counted from the falling edge of the start bit.

    A byte without its stop bit, and a start bit that has gone by its middle, are dropped. The next start bit may come
    half a bit after the middle of the stop bit, so that both ends' clocks may differ by 4 %.

    Parameters
    ----------
    divisor : int
        Clocks of a bit, 4 or more.

    Attributes
    ----------
    rx : In(1)
        The wire, of no clock.
    data, valid : Out(8), Out(1)
        A byte; ``valid`` is high for one clock.
    """

    rx: Any
    data: Any
    valid: Any

    def __init__(self, divisor: int) -> None:
        self._divisor = check_divisor(divisor)
        super().__init__({"rx": In(1), "data": Out(8), "valid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Count to the middle of the start bit, then from bit to bit."""
        m: Any = Module()
        level: Any = Signal(init=1)
        m.submodules.wire = FFSynchronizer(self.rx, level, init=1)
        clocks: Any = Signal(range(self._divisor))
        left: Any = Signal(range(_FRAME + 1))  # bits to look at
        bits: Any = Signal(_FRAME - 1)
        m.d.sync += self.valid.eq(0)
        with m.If(~left.any()):
            m.d.sync += clocks.eq(self._divisor // 2 - 1)
            with m.If(~level):
                m.d.sync += left.eq(_FRAME)
        with m.Elif(clocks.any()):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Else():
            m.d.sync += [clocks.eq(self._divisor - 1), left.eq(left - 1), bits.eq(Cat(bits[1:], level))]
            with m.If((left == _FRAME) & level):
                m.d.sync += left.eq(0)
            with m.If(left == 1):
                m.d.sync += [self.valid.eq(level), self.data.eq(bits[1:])]
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes, the next one right behind the stop bit.

    Parameters
    ----------
    divisor : int
        Clocks of a bit, 4 or more.

    Attributes
    ----------
    bytes : In(stream.Signature(8))
        What is to be sent.
    tx : Out(1)
        The wire; high while there is nothing to send.
    """

    bytes: Any
    tx: Any

    def __init__(self, divisor: int) -> None:
        self._divisor = check_divisor(divisor)
        super().__init__({"bytes": In(stream.Signature(BYTE)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Shift out start bit, byte and stop bit."""
        m: Any = Module()
        clocks: Any = Signal(range(self._divisor))
        left: Any = Signal(range(_FRAME + 1))
        bits: Any = Signal(_FRAME, init=(1 << _FRAME) - 1)
        last = (left == 1) & ~clocks.any()
        m.d.comb += [self.tx.eq(bits[0]), self.bytes.ready.eq(~left.any() | last)]
        with m.If(clocks.any()):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Elif(left.any()):
            m.d.sync += [clocks.eq(self._divisor - 1), left.eq(left - 1), bits.eq(Cat(bits[1:], Const(1)))]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                bits.eq(Cat(Const(0, 1), self.bytes.payload, Const(1, 1))),
                clocks.eq(self._divisor - 1),
                left.eq(_FRAME),
            ]
        return m
