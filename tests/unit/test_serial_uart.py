"""Bytes over two wires, against wires that are driven and read by hand."""

import pytest
from simulate import simulate

from epbell.serial.uart import UartReceiver, UartTransmitter

TEXT = b"\x00\xff\x55\xaa\x7e\x01\x80"


def levels(data, clocks, idle=0):
    """The wire clock by clock; a bit takes so many, which need not be whole."""
    wire = []
    for byte in data:
        bits = [0, *(byte >> bit & 1 for bit in range(8)), 1]
        begin = len(wire)
        for number, bit in enumerate(bits, 1):
            wire += [bit] * (begin + round(number * clocks) - len(wire))
        wire += [1] * idle
    return wire


def received(wire, divisor):
    dut, found = UartReceiver(divisor), bytearray()

    async def bench(ctx):
        for level in [1] * divisor + wire + [1] * 10 * divisor:
            ctx.set(dut.rx, level)
            *_, valid, byte = await ctx.tick().sample(dut.valid, dut.data)
            if valid:
                found.append(byte)

    simulate(dut, bench)
    return bytes(found)


@pytest.mark.parametrize("divisor", [4, 5, 8, 25, 50])
@pytest.mark.parametrize("idle", [0, 3])
def test_receiver(divisor, idle):
    assert received(levels(TEXT, divisor, idle), divisor) == TEXT


@pytest.mark.parametrize("off", [0.96, 1.04])
def test_receiver_with_another_clock(off):
    assert received(levels(TEXT * 3, 25 * off), 25) == TEXT * 3


def test_receiver_drops_what_is_no_byte():
    """A start bit that is a glitch, and a byte whose stop bit is low, are nothing; the next byte is taken."""
    glitch = [0] * 3 + [1] * 30
    broken = levels(b"\x12", 10)[:-10] + [0] * 10 + [1] * 110
    assert received(glitch + broken + levels(b"\x34", 10), 10) == b"\x34"


@pytest.mark.parametrize("divisor", [4, 7])
def test_transmitter(divisor):
    """Bit by bit what it should be, without a gap between bytes."""
    dut, wire = UartTransmitter(divisor), []

    async def bench(ctx):
        ctx.set(dut.bytes.valid, 1)
        for byte in TEXT:
            ctx.set(dut.bytes.payload, byte)
            while True:
                *_, ready, level = await ctx.tick().sample(dut.bytes.ready, dut.tx)
                wire.append(level)
                if ready:
                    break
        ctx.set(dut.bytes.valid, 0)
        for _ in range(12 * divisor):
            *_, level = await ctx.tick().sample(dut.tx)
            wire.append(level)

    simulate(dut, bench)
    expected = levels(TEXT, divisor)
    first = wire.index(0)
    assert first <= 2
    assert wire[first : first + len(expected)] == expected
    assert all(wire[first + len(expected) :])


@pytest.mark.parametrize("divisor", [3, 0, 4.5])
def test_a_bit_that_is_too_short(divisor):
    for kind in (UartReceiver, UartTransmitter):
        with pytest.raises(ValueError, match="must take 4 clocks or more, not"):
            kind(divisor)
