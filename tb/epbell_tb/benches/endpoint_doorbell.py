"""Scenarios of the doorbell as Linux uses it."""

import cocotb

from epbell_tb.endpoint.env import scenario


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario
async def doorbell_test_ten_times(env):
    for _ in range(10):
        assert await env.host.doorbell_test() == 0, env.software.log
