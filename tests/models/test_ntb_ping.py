"""Ping and echo over the transport: how long on each backend, what software costs add, the steps of a frame."""

import random
from dataclasses import replace
from statistics import median

import pytest
from ntb_rig import ONE_WINDOW, run_transport

from epbell_models.ntb import NtbCosts

TREES = ["imx8", "imx8-edma", "hdma"]


def ping_times(count=100, *, tree, **options):
    """Ping at random phase; return seconds per ping."""

    async def scenario(rig):
        ping, echo = await rig.ping()
        await rig.platform.sleep(50e-3)
        source = random.Random(11)
        for _ in range(count):
            await rig.platform.sleep(source.uniform(0, 30e-3))
            assert await ping.once() is not None
        assert (ping.sent, ping.lost, ping.refused, ping.strangers) == (count, 0, 0, 0)
        assert (echo.answered, echo.refused) == (count, 0)
        return ping.times

    return run_transport(scenario, tree=tree, **options)


# -- latency -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hz", "tick"), [(None, 5e-3), (250, 8e-3), (100, 10e-3)])
def test_polled_pings_are_uniform_up_to_a_tick(hz, tick):
    times = sorted(ping_times(tree="hdma", config=replace(ONE_WINDOW, hz=hz)))
    path = 50e-6
    assert times[-1] < tick + path
    # Kolmogorov-Smirnov: a hundred values that are uniform are this near to it in 99 of 100 cases.
    furthest = max(max((n + 1) / 100 - t / tick, t / tick - n / 100) for n, t in enumerate(times))
    assert furthest < 0.163 + path / tick


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma"])
@pytest.mark.parametrize("hz", [None, 250])
def test_interrupts_take_less_than_a_fifth_of_polling(tree, hz):
    config = replace(ONE_WINDOW, hz=hz)
    polled, interrupts = ping_times(tree="hdma", config=config), ping_times(tree=tree, config=config)
    assert median(interrupts) < median(polled) / 5
    assert max(interrupts) < 50e-6


# -- costs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma"])
@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize(
    ("costs", "adds"),
    [
        ({"interrupt": 3e-3}, 3e-3),
        ({"wakeup": 2e-3}, 2e-3),
        ({"client": 1e-3}, 1e-3),
        ({"work": 4e-3}, 0),
        ({"interrupt": 3e-3, "wakeup": 2e-3, "client": 1e-3, "work": 4e-3}, 6e-3),
    ],
)
def test_what_software_costs_is_added_once_a_way(tree, side, costs, adds):
    none = ping_times(5, tree=tree)
    times = ping_times(5, tree=tree, **{side: {"costs": NtbCosts(**costs)}})
    assert [time - without for time, without in zip(times, none, strict=True)] == pytest.approx([adds] * 5, abs=1e-7)


def test_a_work_costs_the_link_time():
    async def scenario(rig):
        start = rig.platform.now()
        await rig.ping()
        return rig.platform.now() - start

    slow = {"costs": NtbCosts(work=20e-3)}
    fast, late = (run_transport(scenario, tree="hdma", ours=costs, theirs=costs) for costs in ({}, slow))
    assert late - fast > 3 * 20e-3


def test_costs_are_not_negative():
    with pytest.raises(ValueError, match="no less than 0 seconds"):
        NtbCosts(wakeup=-1e-9)


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", TREES)
def test_the_steps_of_a_ping(tree):
    steps = []

    def side(name):
        return {"trace": lambda step, time: steps.append((time, name, step))}

    async def scenario(rig):
        ping, _ = await rig.ping()
        await rig.platform.sleep(50e-3)
        steps.clear()
        start = rig.platform.now()
        assert await ping.once() is not None
        times = [time for time, _, _ in steps]
        assert times == sorted(times)
        assert start <= times[0]
        assert times[-1] == start + ping.times[-1]
        return [(name, step) for _, name, step in steps]

    there = [("host", "store"), ("host", "ring"), ("endpoint", "irq"), ("endpoint", "received")]
    back = [("endpoint", "store"), ("endpoint", "ring"), ("host", "irq"), ("host", "received")]
    assert run_transport(scenario, tree=tree, ours=side("endpoint"), theirs=side("host")) == there + back
