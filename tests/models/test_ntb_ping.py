"""Ping and echo over the transport, on each backend."""

import pytest
from ntb_rig import run_transport


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma", "hdma"])
def test_pings_are_answered(tree):
    async def scenario(rig):
        ping, echo = await rig.ping()
        for _ in range(10):
            assert await ping.once() is not None
        assert (ping.sent, ping.lost, ping.refused, ping.strangers) == (10, 0, 0, 0)
        assert (echo.answered, echo.refused) == (10, 0)

    run_transport(scenario, tree=tree)
