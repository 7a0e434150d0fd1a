"""What a scenario's pins showed is kept whole, by clock, and written so that a page and a program can read it."""

import pytest
from report_rig import ABOUT, Story, everything, request

from epbell_models.reference import outcome
from epbell_models.reference.inbound import Refusal
from epbell_tb import records
from epbell_tb.endpoint import record as module
from epbell_tb.endpoint.watch import Watch, looking_on


@pytest.fixture
def written(tmp_path):
    """Write a record; return what can be read of it: entries as dictionaries, and the rest."""

    def write(record):
        record.write(tmp_path, "it", **ABOUT)
        found = records.read(records.file_of(tmp_path, "it"))
        columns = found["columns"]
        entries = []
        for kind, *values in found["entries"]:
            entries.append((kind, dict(zip(columns[kind], values, strict=True))))
        return entries, found

    return write


def test_every_kind_is_kept_with_all_its_columns(written):
    entries, found = written(everything())
    assert {kind for kind, _ in entries} == set(records.COLUMNS)
    assert found["name"] == "it"
    assert found["period_ns"] == 4
    assert {name: found[name] for name in ("tree", "width", "stalls", "seed")} == {
        "tree": "imx8", "width": 256, "stalls": True, "seed": 1,
    }  # fmt: skip
    kinds = dict(reversed(entries))
    ring = kinds["request"]
    assert (ring["first"], ring["last"], ring["data"], ring["bytes"]) == (10, 11, "01000000", 4)
    assert int(ring["address"], 16) == 0x8000_0000_0000_1008, "64 bits are more than a number of JavaScript holds"
    assert ring["meaning"] == "rings vector 2 with 0x55"
    assert kinds["read"] == {"first": 10, "last": 14, "address": 0x5D27_012C, "data": 4, "response": 0}
    assert kinds["completion"]["status"] == 1
    assert kinds["sent"]["meaning"] == "MSI-X 9"
    assert kinds["answer"]["error"] == 9
    assert kinds["msi"] == {"first": 29, "last": 40, "vector": 7}
    assert kinds["reset"] == {"first": 70, "what": "flr"}


def test_access_without_an_answer_is_kept(written):
    entries, _ = written(everything())
    waiting = [access for kind, access in entries if kind == "write"]
    assert waiting == [
        {"first": 70, "last": None, "address": 0x5F01_0010, "data": 1, "strobes": 15, "response": 0}
    ]


def test_reset_of_everything_ends_accesses(written):
    story = Story()
    with story.at(5):
        story.read(0x100)
        story.record.reset("rst")
    entries, _ = written(story.record)
    assert entries == [("reset", {"first": 5, "what": "rst"})]


@pytest.mark.parametrize(
    ("result", "meaning"),
    [
        (outcome.Ring(1, 0x10), "rings vector 1 with 0x10"),
        (outcome.Kick(0x4C, 1, 15), "kicks the eDMA at +0x4c"),
        (outcome.RamWrite(0x6000_0000, b"", 0), "RAM 0x60000000"),
        (outcome.RegisterWrite("mu_b", 0x114, 1, 15), "mu_b +0x114"),
        (outcome.Ignored(3, 1), "part of TR3: no ring"),
        (outcome.Refused("no window"), "refused: no window"),
    ],
)
def test_meaning_of_a_write(result, meaning, written):
    story = Story()
    with story.at(1):
        story.request(request(1))
        story.record.written(request(1), [result, result])
    entries, _ = written(story.record)
    assert entries[0][1]["meaning"] == meaning


def test_refused_read_and_damage(written):
    story = Story()
    with story.at(1):
        story.request(request(1, kind=0, payload=b""))
        story.record.asked(request(1), Refusal("the guard"))
        story.request(request(2, kind=0, payload=b""))
        story.record.asked(request(2), None)
        malformed = request(3, payload=b"")
        story.request(malformed)
        story.record.bad(malformed)
    entries, _ = written(story.record)
    assert [entry["meaning"] for _, entry in entries] == ["refused: the guard", "", "malformed"]


def test_begin_and_end_of_a_long_one(written, monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    story = Story()
    with story.at(0):
        for number in range(25):
            story.line(True, number)
    entries, found = written(story.record)
    assert [entry["first"] for _, entry in entries] == [*range(5), *range(20, 25)]
    assert found["left_out"] == {"number": 15, "behind": 5}


def test_what_came_before_the_scenario_is_forgotten(written):
    record = everything()
    record.begin()
    entries, _ = written(record)
    assert entries == []
    assert record.latencies == {}


def test_kept_before_it_is_judged(written):
    story = Story()

    def refuse(_):
        raise AssertionError("wrong")

    with story.at(1), pytest.raises(AssertionError, match="wrong"):
        story.record.tee("request", refuse)(request(1))
    assert len(written(story.record)[0]) == 1


def test_latencies_of_interrupts_to_the_host():
    assert everything().latencies == {"msi": {11: 1}, "msix": {6: 1}}


def test_something_else_is_no_record(tmp_path):
    path = tmp_path / "it"
    path.write_text("{}")
    with pytest.raises(ValueError, match="must be a record of a scenario"):
        records.read(path)


class Teller(Watch):
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def msi(self, vector, since, *, several):
        self.told.append((vector, since, several))


def test_several_look_on():
    tellers = [Teller(), Teller()]
    both = looking_on(*tellers)
    both.msi(1, 2, several=True)
    both.reset("rst")
    assert [teller.told for teller in tellers] == [[(1, 2, True)]] * 2
    assert looking_on(tellers[0]) is tellers[0]
    looking_on().msi(1, 2, several=False)
