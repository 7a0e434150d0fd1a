"""Pings by doorbells alone, with the clock running all the time or not: what the pins did, and what was counted."""

import os
from random import Random

import cocotb
from cocotb.triggers import ClockCycles, Timer, ValueChange, gather
from cocotb.utils import get_sim_time

from epbell_models.host.ntb_hw_epf import NtbHwEpf
from epbell_tb import figures
from epbell_tb.endpoint.clock import PERIOD_NS
from epbell_tb.endpoint.idle_env import idle_env

WATCHED = (
    *("s_axis_cq_tvalid", "s_axis_cq_tdata", "s_axis_cq_tready", "s_axis_cq_tlast", "s_axis_rc_tvalid"),
    *("m_axis_cc_tvalid", "m_axis_cc_tdata", "m_axis_cc_tlast", "m_axis_rq_tvalid", "m_axis_rq_tdata"),
    *("cpu_axil_awvalid", "cpu_axil_wvalid", "cpu_axil_bvalid", "cpu_axil_arvalid", "cpu_axil_rvalid"),
    *("cpu_axil_araddr", "cpu_axil_rdata", "cpu_axil_awaddr", "cpu_axil_wdata", "irq_mu", "irq_edma"),
    *("cfg_interrupt_msi_int", "cfg_interrupt_msi_sent", "pcie_cq_np_req"),
)
COUNTERS = 64
"""Dwords of the controller page that are read at the end."""
SCALE = float(os.environ.get("EPBELL_SCALE", "250"))
PINGS = 16
COUNTED = 20_000


async def watch(pin, events):
    change = ValueChange(pin)
    while True:
        await change
        events.append((int(get_sim_time("step")), pin._name, int(pin.value)))


async def bring_up(env):
    await env.reset()
    await env.boot(env.config())
    await env.enumerate()
    await env.device.enable()
    env.driver = NtbHwEpf(env.device, env.to_host.memory, poll_seconds=env.vntb.commands.period / 4)
    assert await env.driver.probe() == 0
    assert env.driver.set_ctx(env.far) == 0


@cocotb.test()
async def pings(dut):
    """Ring there and back, and tell everything that the pins have done meanwhile."""
    with idle_env(dut, scale=SCALE, watch_every=3) as env:
        events, asking = [], []
        cocotb.start_soon(watch(dut.cfg_mgmt_read, asking))
        for name in WATCHED:
            cocotb.start_soon(watch(getattr(dut, name), events))
        await bring_up(env)
        random = Random(env.seed)
        for _ in range(PINGS):
            await Timer(random.randrange(1, 60_000), "ns")
            assert await env.driver.peer_db_set(1) == 0
            while not env.near.take():
                await Timer(random.randrange(1, 9_000), "ns")
            assert await env.ntb.peer_db_set(1) == 0
            while not env.far.take():
                await Timer(random.randrange(1, 9_000), "ns")
        base = env.board.map["controller"].base
        counted = [await env.cpu.read32(base + 4 * index) for index in range(COUNTERS)]
        await env.finish()
        idle = env.idle and vars(env.idle.counts)
        figures.append(events=events, asking=asking, counted=counted, idle=idle, end=int(get_sim_time("step")))


@cocotb.test()
async def something_moves(dut):
    """An input changes that no timer was seen to announce: whoever watches the rest must find it."""
    # Several times: after each watch of a few us there is a round that is not watched.
    late = [cocotb.start_soon(disturb(dut, 200 + 3.1 * n, (n + 1) % 2)) for n in range(4)]
    await Timer(1, "ns")
    with idle_env(dut, scale=SCALE, watch_every=1) as env:
        await bring_up(env)
        await gather(*late)
        await Timer(20, "us")


@cocotb.test()
async def somebody_counts_clocks(dut):
    """Whoever waits for edges of the clock gets them all, one after the other, while the design rests."""
    with idle_env(dut, scale=SCALE, watch_every=3) as env:
        await bring_up(env)
        stops, began = env.idle.counts.stops, get_sim_time("ns")
        await ClockCycles(dut.clk, COUNTED)
        assert get_sim_time("ns") - began <= COUNTED * PERIOD_NS, "edges were left out"
        assert env.idle.counts.stops == stops
        await Timer(COUNTED * PERIOD_NS, "ns")
        assert env.idle.counts.stops > stops, "nothing rests here"


async def disturb(dut, after_us, done):
    """Let the endpoint's DMA be done with a channel, or no longer, after a time that nobody sees to be waited for."""
    await Timer(after_us, "us")
    dut.edma_wr_done.value = done
