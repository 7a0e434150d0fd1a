"""Random traffic without a simulator: operations, drawing, places, files, and lists that are shortened."""

import json
from dataclasses import fields
from random import Random

import pytest

from epbell_models import devicetree
from epbell_tb import random_run
from epbell_tb.ddmin import ddmin, simplest
from epbell_tb.random_place import Drawn
from epbell_tb.random_places import Place, places
from epbell_tb.random_shrink import alike
from epbell_tb.scenarios import WIDTHS
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.draw import ABOUT, draw
from epbell_tb.traffic.ground import GRANULE, Ground


def ground(tree="imx8", bars="everyday"):
    return Ground.of(devicetree.load(devicetree.builtin(tree)), bars)


@pytest.mark.parametrize("place", places(), ids=lambda place: place.name)
def test_every_kind_is_drawn_and_survives_json(place):
    drawn = Drawn.of(place, 3, 3000)
    kinds = {type(one).__name__ for one in drawn.operations}
    missing = set() if ground(place.tree).words else {"Kick", "Dma"}
    assert kinds == set(ABOUT[place.about]) - missing
    again = ops.from_json(json.loads(json.dumps(ops.as_json(drawn.operations))))
    assert again == list(drawn.operations)
    assert Drawn.of(place, 3, 3000) == drawn
    assert Drawn.of(place, 4, 3000) != drawn


def test_places_cover_what_they_must():
    found = places()
    assert {place.width for place in found} == set(WIDTHS)
    assert {place.stalls for place in found} == {True, False}
    assert {place.msix for place in found} == {"rq", "port"}
    assert len({place.name for place in found}) == len(found) >= 8


def test_requests_are_as_pci_express_allows():
    facts = ground()
    requests = [one for one in draw(facts, Random(5), 20000, 512) if isinstance(one, ops.Access)]
    assert len(requests) > 3000
    for one in requests:
        assert one.offset % GRANULE + 4 * one.dwords <= GRANULE
        assert 1 <= one.dwords <= 128
        if one.dwords == 1:
            assert not one.last_be
        else:
            assert one.first_be
            assert one.last_be
        if one.dwords > 2:
            assert one.first_be in (0xF, 0xE, 0xC, 0x8)
            assert one.last_be in (0xF, 0x7, 0x3, 0x1)
        if one.bar == facts.bell_bar:
            taken = range(one.offset, one.offset + 4 * one.dwords, 4)
            assert not set(taken) & {*facts.forbidden}
        if one.bar == facts.table_bar:
            assert one.offset >= GRANULE, "the MSI-X table"
    assert {one.first_be for one in requests} == set(range(16))


def test_stores_ring_several_doorbells():
    """A register page takes a dword per clock: what is behind the first one may be lost by itself."""
    facts = ground()
    bells = {facts.registers.offset[f"TR{vector}"] for vector in range(4)}
    stores = [one for one in draw(facts, Random(1), 5000, 256) if isinstance(one, ops.Store)]
    several = [one for one in stores if one.bar == facts.bell_bar and one.offset in bells and 1 < one.dwords <= 4]
    assert len(several) > len(stores) // 10
    assert {one.dwords for one in several} == {2, 3, 4}
    assert all((one.offset + 4 * (one.dwords - 1)) in bells for one in several if one.last_be)


def test_only_the_windows_of_its_bar_lead_to_the_messaging_unit():
    facts = ground()
    aims = [one for one in draw(facts, Random(5), 20000, 128) if isinstance(one, ops.Aim)]
    for one in aims:
        assert (one.bar == facts.bell_bar) == (one.window in facts.bell_windows)
        assert one.place != "mu_b" or one.bar == facts.bell_bar
    assert {one.early for one in aims} == {one.noisy for one in aims} == {True, False}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([{"kind": "Wring", "gap": 1}], "Operation 0 must be one of Store, "),
        ([{"kind": "Intx", "gap": 1, "word": 2}, {"kind": "Intx", "gap": 1}], "Operation 1, Intx, must have all"),
    ],
)
def test_no_operation(given, text):
    with pytest.raises(ValueError, match=text):
        ops.from_json(given)


def test_file(tmp_path):
    drawn = Drawn.of(Place("rk3588", 64, stalls=True), 9, 50)
    drawn.save(tmp_path / "operations.json")
    assert Drawn.load(tmp_path / "operations.json") == drawn
    assert len((tmp_path / "operations.json").read_text().splitlines()) == 50 + 2
    (tmp_path / "wrong.json").write_text("{}")
    for name in ("wrong.json", "missing.json"):
        with pytest.raises(ValueError, match="must be a file of operations"):
            Drawn.load(tmp_path / name)


def test_every_operation_has_its_values_only():
    """What is left out must not change what stays: plain values, none of them shared."""
    for one in Drawn.of(Place("imx8", 64), 1, 2000).operations:
        for field in fields(one):
            assert isinstance(getattr(one, field.name), int | str | None)
        assert one.lane in ("host", "cpu", "config", "dma", "stall", "now")


def asked(fails):
    lists = []

    def judge(items):
        lists.append(tuple(items))
        return fails(items)

    return lists, judge


@pytest.mark.parametrize("needed", [{3}, {0, 99}, {10, 11, 12}, set(), set(range(0, 100, 9))])
def test_ddmin_keeps_what_is_needed(needed):
    lists, judge = asked(lambda items: needed <= set(items))
    assert ddmin(range(100), judge) == sorted(needed)
    assert len(lists) < 300


def test_ddmin_is_minimal_where_parts_depend_on_each_other():
    def fails(items):
        return 7 in items and (3 in items) == (4 in items)

    found = ddmin(list(range(40)), fails)
    assert fails(found)
    assert not any(fails([other for other in found if other != one]) for one in found)


def test_ddmin_of_what_does_not_fail():
    with pytest.raises(ValueError, match="not this one of 3"):
        ddmin([1, 2, 3], lambda items: False)


def test_simplest():
    found = simplest([8, 9, 2], lambda item: [0, item // 2], lambda items: items[1] >= 4)
    assert found == [0, 4, 0]


def test_alike():
    assert alike("MSI 26, not 2", "MSI 4, not 31")
    assert not alike("MSI 26, not 2", "MSI 26 that nobody raised")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--replay", "x.json", "--ops", "3"], "leave --ops out"),
        (["--replay", "x.json", "--seed", "3", "--width", "64"], "leave --seed, --width out"),
        (["--minutes", "1", "--json"], "leave --minutes out"),
        (["--seed", "0"], "must be a number from 1"),
        (["--place", "random.imx8.65"], "invalid choice"),
    ],
)
def test_command_line(capsys, arguments, text):
    with pytest.raises(SystemExit) as ended:
        random_run.main(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_no_file_to_replay(capsys):
    assert random_run.main(["--replay", "nowhere.json"]) == 2
    assert "nowhere.json must be a file of operations" in capsys.readouterr().err


def test_list(capsys):
    assert random_run.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == [place.name for place in places()]
