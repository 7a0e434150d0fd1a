"""One component in Amaranth's simulator."""

from collections.abc import Awaitable, Callable
from typing import Any

from quick_engine import Simulator


def simulate(dut: Any, bench: Callable[[Any], Awaitable[None]]) -> None:
    """Run ``bench(ctx)`` from power-up on, until it ends."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-9)

    async def testbench(ctx: Any) -> None:
        await bench(ctx)

    simulator.add_testbench(testbench)
    simulator.run()
