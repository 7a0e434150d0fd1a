"""Ping and echo over the transport: how long on each backend, what software costs add, the steps of a frame."""

import random
from dataclasses import replace
from statistics import median

import pytest
from ntb_rig import ONE_WINDOW, run_transport
from vntb_rig import run_vntb

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


COSTS = {"interrupt": 3e-3, "wakeup": 2e-3, "client": 1e-3, "work": 4e-3}


def added(tree, side, costs):
    """Return what costs of one side add to each of five pings, whatever these wait to be looked at."""

    def pings(**options):
        heard = []

        def trace(step, time):
            heard.extend([time] if step in ("irq", "ring") else [])

        traced = [{"trace": trace, **options.pop(end, {})} for end in ("ours", "theirs")]
        times = ping_times(5, tree=tree, ours=traced[0], theirs=traced[1], **options)
        rings, looks = heard[0::4], heard[1::4]
        return [time - (look - ring) for time, ring, look in zip(times, rings, looks, strict=True)]

    given = NtbCosts(**costs)
    options = {side: {"costs": given}} | ({"vntb_costs": given} if side == "ours" else {})
    return [time - without for time, without in zip(pings(**options), pings(), strict=True)]


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("costs", [{name: value} for name, value in COSTS.items()] + [COSTS])
def test_what_software_costs_is_added_where_it_happens(tree, side, costs):
    """At either end a tasklet and a client; an interrupt where there is one, and a work that rings the host."""
    happens = {"wakeup", "client"}
    happens |= {"interrupt"} if side == "theirs" or tree != "hdma" else set()
    happens |= {"work"} if side == "ours" else set()
    adds = sum(value for name, value in costs.items() if name in happens)
    assert added(tree, side, costs) == pytest.approx([adds] * 5, abs=1e-7)


def test_rings_of_the_host_while_the_work_wakes_up_cost_one_wake_up():
    async def scenario(rig):
        start = rig.platform.now()
        for number in range(3):
            await rig.platform.sleep(1e-3 if number else 0)
            assert await rig.vntb.ntb.peer_db_set(1 << number % 2) == 0
        await rig.platform.sleep(20e-3)
        return [(round(1e3 * (time - start), 2), vector) for time, vector in rig.theirs.heard]

    costs = NtbCosts(work=4e-3)
    assert [time for time, _ in run_vntb(scenario, vntb_costs=costs)] == pytest.approx([4, 4], abs=0.1)
    assert [time for time, _ in run_vntb(scenario)] == pytest.approx([0, 1, 2], abs=0.1)


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
