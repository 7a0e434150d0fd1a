"""Credits for non-posted requests: each place is granted once, in the clock after it has become free."""

import random
from typing import Any

import pytest
from simulate import simulate

from epbell.pcie.queue import Credits


@pytest.mark.parametrize("places", [1, 4, 32])
def test_each_place_is_granted_once(places: int) -> None:
    """Requests are answered at any time, also while places are still being granted."""
    rng = random.Random(places)
    dut = Credits(places)

    async def bench(ctx: Any) -> None:
        granted = answered = 0
        for clock in range(600):
            done = int(clock < 500 and granted > answered and rng.random() < (0.9 if clock < 250 else 0.3))
            ctx.set(dut.returned, done)
            answered += done
            await ctx.tick()
            granted += ctx.get(dut.np_req)
            assert granted <= places + answered
        assert granted == places + answered > 100

    simulate(dut, bench)
