"""Scenarios that run on two tiers have the same verdict and the same account on both, also where something is wrong."""

from array import array
from functools import partial

import pytest

from epbell.endpoint import Endpoint
from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_regs import offsets
from epbell_tb import runner, tier_model, tier_wire
from epbell_tb.native.metal import Metal
from epbell_tb.native.wire import Event, Kind
from epbell_tb.tier_scenarios import PLANTED, SCENARIOS
from epbell_tb.tiers import reason
from epbell_tb.wire_cpu import at_once
from epbell_tb.wire_env import WireEnv

pytestmark = [pytest.mark.simulation, pytest.mark.xdist_group("metal")]

# One width is compiled for speed anyway, for the metal tier.
SHAPES = [
    pytest.param(256, True, id="256-stalled"),
    pytest.param(64, False, id="64-flowing"),
    pytest.param(128, False, id="128-flowing", marks=pytest.mark.long),
    pytest.param(512, True, id="512-stalled", marks=pytest.mark.long),
]
BLIND = ("kicks", "retargets", "each_doorbell_alone", "parts_of_words")


def on_wire(names, width, **options):
    return {name: tier_wire.verdict(name, width, quick=width != 256, **options) for name in names}


@pytest.mark.parametrize(("width", "stalls"), SHAPES)
def test_both_tiers_say_the_same(width, stalls):
    names = [*SCENARIOS, *PLANTED]
    model = tier_model.verdicts(names, runner.build(f"epbell_endpoint_usp{width}"), stalls=stalls)
    wire = on_wire(names, width, stalls=stalls)
    assert [name for name, found in wire.items() if found.passed] == list(SCENARIOS)
    for name in names:
        assert wire[name] == model[name], name
        assert bool(wire[name].account) == wire[name].passed
    assert wire["a_word_that_nobody_sent"].reason == "the planted word must be missed"
    assert wire["an_end_without_reads"].reason == "no completion has been checked"


def test_a_wrong_expectation_of_the_scoreboard_is_told_by_both():
    # The windows of the eDMA and of the memory are not among those that it believes in.
    model = tier_model.verdicts(BLIND, runner.build("epbell_endpoint_usp256"), windows=1)
    wire = on_wire(BLIND, 256, windows=1)
    assert wire == model
    assert not any(found.passed for found in wire.values())
    assert wire["kicks"].reason == "irq_edma rose in cycle #, and nobody rang"


@pytest.mark.long
def test_a_defect_of_the_rtl_is_told_by_both():
    names, module = ("refusals", "kicks"), "epbell_endpoint_unguarded"
    builder = partial(Endpoint, 256, guard=False)
    model = tier_model.verdicts(names, runner.build(module, builder=builder))
    wire = {name: tier_wire.verdict(name, 256, module=module, builder=builder, quick=True) for name in names}
    assert wire == model
    assert not wire["refusals"].passed
    assert wire["kicks"].passed


def test_the_metal_tier_counts_what_the_wire_tier_sees():
    rings = 24
    account = tier_wire.verdict("each_doorbell_alone", 256).account
    batch = array("I", [number % 4 | number % 2 << 2 | 200 << 8 for number in range(rings)])
    with Metal(256) as metal:
        found = metal.run(batch)
    bells = [sum(event) for event in zip(*account["bells"], strict=True)]
    assert bells == [found.rung, found.merged, found.delivered] == [rings // 2, 0, rings // 2]
    assert account["edma"] == [found.kicked, found.edma_merged, found.acknowledged]
    assert account["pins"]["irqs"] == found.interrupts
    assert account["pins"]["edma_irqs"] == found.edma_interrupts


def test_the_same_seed_gives_the_same_record():
    def record(seed):
        with WireEnv("record", 256, seed=seed, stalls=True) as env:
            found = []
            env.board.request = found.append
            for number in range(40):
                env.post(0, 4 * number, bytes(4 * (number % 20 + 1)))
            env.play()
            assert len(found) == 40
            return found

    assert record(1) == record(1)
    assert record(1) != record(2)


def test_a_ring_that_the_scoreboard_misses_is_missed_in_the_end():
    with WireEnv("missed", 256) as env:
        tier = tier_wire.WireTier("missed", 1, env)
        at_once(tier.start())
        at_once(tier.ring(0, 1))
        env.play()
        env.clocks(20)  # the line is up
        env.board.bells[0].rings.clear()
        env.ask(1, offsets("mu_imx8ulp")["TSR"], 4)
        with pytest.raises(AssertionError, match=r"vector 0: rung 1, .*the pins showed 0 rings"):
            env.finish()


def test_a_packet_is_known_from_the_clock_in_which_it_was_offered():
    with WireEnv("offered", 256) as env:
        tier = tier_wire.WireTier("offered", 1, env)
        place = at_once(tier.reach(env.memory.allocate(0x1000, alignment=0x1000), 0x1000))
        judge, sent = env.board.to_host.sent, []
        env.board.to_host.sent = lambda request: (sent.append(request), judge(request))
        env.wire.stall(1, 256)  # RQ takes nothing
        env.wire.ask([(1, place, 7, 0xF, 0)])
        env.clocks(100)
        assert not sent
        env.wire.stall(1, 0)
        env.clocks(20)
        (request,) = sent
        assert request.first == request.last
        assert 80 < request.first - request.offered < 105


def test_what_never_ends_is_told():
    with WireEnv("stuck", 256) as env:
        env.wire.stall(1, 256)  # CC takes nothing any more
        with pytest.raises(runner.SimulationError, match="a read of the host has not ended in clock"):
            env.ask(0, 0, 4)


def test_the_cpu_is_told_where_nothing_answers():
    with WireEnv("nowhere", 256) as env, pytest.raises(BusError, match="UR at 0x5f020000"):
        at_once(env.cpu.read32(0x5F02_0000))


def test_a_read_that_the_host_gives_up_fails():
    with WireEnv("silent", 256) as env:
        tier = tier_wire.WireTier("silent", 1, env)
        target = env.memory.allocate(0x1000, alignment=0x1000)
        place = at_once(tier.reach(target, 0x1000))
        env.memory.fail(target, Cause.TIMEOUT)
        with pytest.raises(BusError, match="CA at"):
            at_once(env.cpu.read32(place))
        assert env.board.to_host.causes == {Cause.TIMEOUT: 1}
        assert at_once(env.cpu.read32(place + 4)) == 0


def test_pins_are_read_by_name():
    with WireEnv("pins", 256) as env:
        assert env.wire.get("irq_mu") == 0
        with pytest.raises(KeyError):
            env.wire.get("no_such_pin")
        assert not env.wire.run(100, irq_mu=True)
        assert env.wire.run(100, played=True)
        env.wire.ask([(0, 0x5D27_0128, 0, 0xF, 0)])
        assert env.wire.run(100, answered=True)
        assert [Event(*event).kind for event in env.wire.events()] == [Kind.READ, Kind.DATA]
        assert list(env.wire.events()) == []


def test_a_long_record_is_read_in_pieces(monkeypatch):
    count, most = 70_000, 1 << 16
    with WireEnv("long", 256) as env:
        requests, pieces, events = [], [], env.wire.events
        env.board.request = requests.append

        def piece():
            found = list(events())
            pieces.append(len(found))
            return iter(found)

        monkeypatch.setattr(env.wire, "events", piece)
        for _ in range(count):
            env.post(0, 0, bytes(4))
        env.play()
    assert len(requests) == sum(pieces) == count
    assert len(pieces) == 2
    assert most <= pieces[0] < most + 64


def test_a_coroutine_that_waits_is_refused():
    class Never:
        def __await__(self):
            yield

    async def wait():
        await Never()

    with pytest.raises(RuntimeError, match="must not wait"):
        at_once(wait())


def test_a_reason_has_no_numbers():
    assert reason("\nirq_edma rose in cycle 123, word 0x1f: x\nassert 1 == 2") == "irq_edma rose in cycle #, word #: x"
