"""Pings over the bridge, with the models of Linux's drivers at both ends, in Linux's own time.

`epbell_tb.vntb` runs it; EPBELL_VNTB holds its options. Each ping is a line of the report when it is over.
"""

import json
import os
import time
from random import Random

import cocotb

from epbell_models.host.ntb_hw_epf import NtbHwEpf
from epbell_models.ntb import NtbTransport
from epbell_models.ntb.ping import Echo, Ping
from epbell_tb import figures
from epbell_tb.endpoint.idle_env import idle_env
from epbell_tb.endpoint.ping_steps import PingSteps
from epbell_tb.endpoint.vntb_slots import backend_of
from epbell_tb.vntb_costs import COSTS

PHASE_MS = 5
"""Pings begin at any time in the period of the polled doorbells, whatever the doorbells are."""
LOOK = 10e-3
"""Seconds from one look at a command's answer to the next. Linux sleeps 5 to 10 us; no command belongs to a ping."""
PATIENCE = 5.0
"""Seconds in which the link must come up: four commands of half a second, and handshakes."""


def one_window(env, hz):
    """Return a configuration with one memory window: as many as four slots have queues."""
    config = env.config(hz=hz)
    return env.config(hz=hz, mw_bars=config.mw_bars[:1], mw_sizes=config.mw_sizes[:1])


async def bring_up(env, hz):
    """Bind both drivers."""
    await env.reset()
    await env.boot(one_window(env, hz), COSTS)
    env.ntb.clear_ctx()
    await env.enumerate()
    await env.device.enable()
    env.driver = NtbHwEpf(env.device, env.to_host.memory, poll_seconds=LOOK)
    assert await env.driver.probe() == 0, env.driver.log


async def links(env, ping, echo):
    """Wait until both clients have a link."""
    end = env.platform.now() + PATIENCE
    while not (ping.queue.link_is_up and echo.queue.link_is_up):
        assert env.platform.now() < end, "the link does not come up"
        await env.platform.sleep(1e-3)


@cocotb.test()
async def endpoint_vntb_ping(dut):
    """Send pings from the host at random phase; each must be answered, and every check of the pins be content."""
    given = json.loads(os.environ["EPBELL_VNTB"])
    hz, began = given["hz"], time.monotonic()
    with idle_env(dut, scale=given["scale"]) as env:
        await bring_up(env, hz)
        assert env.vntb.backend == backend_of(env), env.vntb.reason
        steps = PingSteps(env)
        near = NtbTransport(env.platform, env.ntb, hz=hz, costs=COSTS, trace=steps.endpoint)
        far = NtbTransport(env.platform, env.driver, hz=hz, costs=COSTS, trace=steps.host)
        assert await near.start() == 0
        assert await far.start() == 0
        echo, ping = Echo(near), Ping(env.platform, far, size=given["size"])
        await links(env, ping, echo)
        env.stall()
        # The seed alone decides: the same phases for every doorbell and width.
        phases = Random(f"{env.seed} phases")
        for number in range(given["pings"]):
            await env.platform.sleep(phases.random() * env.vntb.config.delay(PHASE_MS))
            steps.take()
            start = env.platform.now()
            took = await ping.once()
            assert took is not None, f"ping {number}: no answer"
            made = {step: 1e6 * (at - start) for step, at in steps.take().items()} | {"ping is over": 1e6 * took}
            figures.append(ping=number, us=1e6 * took, steps=made)
        assert (ping.lost, ping.refused, ping.strangers, echo.refused) == (0, 0, 0, 0)
        assert echo.answered == ping.sent == given["pings"]
        await env.finish()
        idle = vars(env.idle.counts) if env.idle is not None else None
        figures.append(
            backend=env.vntb.backend, reason=env.vntb.reason, period_us=1e6 * env.vntb.config.delay(PHASE_MS),
            seconds=time.monotonic() - began, simulated=env.platform.now(), idle=idle,
        )  # fmt: skip
