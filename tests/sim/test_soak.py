"""The metal tier: what it counts, that it finds a planted loss, that a run can be repeated; and the command."""

import json
from array import array
from dataclasses import replace

import pytest

from epbell import export
from epbell_tb import runner, soak
from epbell_tb.native.build import library
from epbell_tb.native.metal import Metal, rings
from epbell_tb.native.top import Pins, top

pytestmark = [pytest.mark.simulation, pytest.mark.xdist_group("metal")]

RINGS = 60_000


def test_every_ring_is_accounted_for_at_each_pace():
    with Metal(256, ack_delay=63, aim_every=500) as metal:
        for number, gap in enumerate((0, 3, 63), 1):
            found = metal.run(rings(RINGS, seed=number, gap=gap))
            assert found.good, found.complaint
            assert found.requests == number * RINGS
            assert found.rung + found.kicked + found.refused == number * RINGS
            assert found.rung == found.merged + found.delivered
            assert found.kicked == found.edma_merged + found.acknowledged
    assert found.retargets > 50
    assert found.moving > 50
    assert 0 < found.interrupts <= found.delivered
    assert 0 < found.edma_interrupts <= found.acknowledged


def test_without_retargets_each_doorbell_gets_its_own():
    batch = rings(RINGS, seed=7, gap=7)
    with Metal(256, ack_delay=20) as metal:
        found = metal.run(batch)
    edma = sum(operation >> 2 & 1 for operation in batch)
    assert found.good, found.complaint
    assert (found.rung, found.kicked, found.refused) == (RINGS - edma, edma, 0)
    assert (found.retargets, found.moving) == (0, 0)


def test_a_ring_alone_is_one_interrupt_and_one_word():
    # Far apart, none is merged.
    batch = array("I", [number % 4 | number % 2 << 2 | 200 << 8 for number in range(400)])
    with Metal(256) as metal:
        found = metal.run(batch)
    assert found.good, found.complaint
    assert (found.merged, found.edma_merged) == (0, 0)
    assert found.delivered == found.interrupts == found.rung == 200
    assert found.acknowledged == found.edma_interrupts == found.kicked == 200


@pytest.mark.parametrize("gap", [0, 15])
def test_a_planted_loss_is_found(gap):
    with Metal(256, ack_delay=63, aim_every=500, lose=RINGS - 1000) as metal:
        found = metal.run(rings(RINGS, seed=3, gap=gap))
    assert not found.good
    assert (found.lost, found.invented) == (1, 0)
    assert found.complaint


def test_the_same_seed_gives_the_same_run():
    def run(seed):
        with Metal(256, seed=seed, ack_delay=63, aim_every=500) as metal:
            return metal.run(rings(5000, seed=seed, gap=7))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_reads_and_idle_clocks_are_counted():
    with Metal(256) as metal:
        metal.run(rings(100))
        before = metal.counts()
        metal.idle(1000)
        assert metal.counts() == replace(before, clocks=before.clocks + 1000)
        assert metal.run(rings(50, reads=True)).reads == 50


def test_the_command_tells_what_it_found(capsys, tmp_path, monkeypatch):
    assert soak.main(["--rings", "20000", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["good"] is True
    assert told["counts"]["requests"] == 20000
    assert soak.main(["--rings", "20000", "--lose", "15000"]) == 1
    out, err = capsys.readouterr()
    assert "lost" in out
    assert "epbell: clock " in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rings", "0"], "from 1 to"),
        (["--rings", "many"], "not 'many'"),
        (["--gap", "5"], "choose from"),
        (["--width", "100"], "choose from"),
        (["--seed", "0"], "from 1 to"),
    ],
)
def test_a_wrong_argument_is_named(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as stopped:
        soak.main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_wrong_parameters_are_refused():
    with pytest.raises(ValueError, match="power of two minus one, up to 255, not 5"):
        rings(10, gap=5)
    with pytest.raises(ValueError, match="0 or more, not -1"):
        library("epbell_endpoint_usp256", lose=-1)
    with pytest.raises(ValueError, match="must be one of"):
        Metal(100)


def test_every_pin_has_a_place_of_its_own():
    module = "epbell_endpoint_usp256"
    ports = export.ports_of(runner.source(module), module)
    pins = Pins(ports)
    assert {port.name for port in ports} == {*pins.seen, *pins.drive, "clk", "rst"}
    for row in (pins.seen, pins.drive):
        taken = [word for pin in row.values() for word in range(pin.word, pin.word + pin.words)]
        assert taken == list(range(len(taken)))
    text = top(module, pins)
    for pin in pins.drive.values():
        assert f"wire [{pin.width - 1}:0] {pin.name} = drive[{32 * pin.word} +: {pin.width}];" in text
    for pin in pins.seen.values():
        assert f"wire [{pin.width - 1}:0] {pin.name};" in text
