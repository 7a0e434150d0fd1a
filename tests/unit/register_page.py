"""Accesses at the register port of a page of the endpoint: decoded a clock ahead, data two clocks later."""

from typing import Any

from epbell import csr


async def read_page(ctx: Any, bus: Any, address: int) -> int:
    """Read a register; nothing else is done at the port meanwhile."""
    ctx.set(bus.r_addr, address)
    ctx.set(bus.r_load, 1)
    await ctx.tick()
    ctx.set(bus.r_load, 0)
    ctx.set(bus.r_addr, 0)
    ctx.set(bus.r_en, 1)
    await ctx.tick()
    ctx.set(bus.r_en, 0)
    for _ in range(csr.PAGE.read_clocks - 1):
        await ctx.tick()
    return ctx.get(bus.r_data)
