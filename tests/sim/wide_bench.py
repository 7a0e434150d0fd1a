"""Changes single bits of a wide vector."""

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def single_bits(dut):
    """Let bits 3 and 40 rise, and bit 3 fall."""
    for value in (0, 1 << 3, (1 << 3) | (1 << 40), 1 << 40):
        dut.given.value = value
        await Timer(1, unit="ns")
