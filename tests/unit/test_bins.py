"""Bins of function: how they are declared, counted, merged and judged; and the declaration itself."""

import json
from random import Random

import pytest
import tomli

from epbell_models.reference.edma import EdmaPage
from epbell_models.reference.mu import MessagingUnit
from epbell_tb import bins, bins_seen, cover_bins
from epbell_tb.bins import BinsError
from epbell_tb.edma_bins import EdmaBins
from epbell_tb.edma_traffic import Stimulus
from epbell_tb.endpoint.bins_requests import enables, kind_of, landing, size
from epbell_tb.endpoint.packets import Request
from epbell_tb.installation import PROJECT
from epbell_tb.mu_bins import MuBins
from epbell_tb.mu_traffic import Access, Traffic

_DECLARED = """
[[cross]]
name = "bell"
group = "doorbells"
rows = ["ring_each_vector"]
axes.width = [64, 128]
axes.vector = [0, 1]
axes.met = ["ring", "ack"]
without = [{ width = 128, met = "ack" }]
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / bins.LISTING).write_text(_DECLARED)
    (tmp_path / "tests" / "waivers.toml").write_text("")
    return tmp_path


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """Count into a file; return what is in it."""
    monkeypatch.setenv(bins_seen.VARIABLE, str(tmp_path / bins.NAME))
    monkeypatch.setattr(bins_seen, "_place", {"kept": "by the test"})
    bins_seen.forget()
    yield lambda: _saved(tmp_path / bins.NAME)
    bins_seen.forget()


def _saved(path):
    bins_seen.save()
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(name, *values): times for line in lines for name, values, times in line["seen"]}


def _run(project, width, *seen, name="run.jsonl"):
    path = project / name
    path.write_text(json.dumps({"place": {"width": str(width), "stalls": "on"}, "seen": list(seen)}) + "\n")
    return path


def test_what_several_runs_have_seen_is_one(project):
    first = _run(project, 64, ["bell", ["0", "ring"], 2], ["bell", ["1", "ack"], 1], name="a")
    second = _run(project, 128, ["bell", ["0", "ring"], 1], name="b")
    (row,), idle = cover_bins.verdict([first, second, project / "not there"], project)
    assert (row.group, row.declared, row.hit, row.waived, idle) == ("doorbells", 6, 3, 0, [])
    assert row.holes == [
        "bell: width 64, vector 0, met ack  (ring_each_vector)",
        "bell: width 64, vector 1, met ring  (ring_each_vector)",
        "bell: width 128, vector 1, met ring  (ring_each_vector)",
    ]


@pytest.mark.parametrize(
    ("width", "seen"),
    [(128, ["bell", ["0", "ack"], 1]), (256, ["bell", ["0", "ring"], 1]), (64, ["bell", ["0", "nap"], 1]),
     (64, ["gong", ["0"], 1]), (64, ["bell", ["0"], 1]), (64, ["bell", ["0", "ring", "more"], 1])],
)  # fmt: skip
def test_what_is_not_declared_is_an_error(project, width, seen):
    with pytest.raises(BinsError, match=r"bell|gong"):
        cover_bins.verdict([_run(project, width, seen)], project)


def test_a_waiver_takes_holes_away_and_may_not_be_idle(project):
    given = '[[bins]]\ncross = "bell"\nwhere = {{ met = "{}" }}\nreason = "why"\n'
    run = _run(project, 64, ["bell", ["0", "ring"], 1], ["bell", ["1", "ring"], 1])
    (project / "tests" / "waivers.toml").write_text(given.format("ack"))
    (row,), idle = cover_bins.verdict([run], project)
    assert (row.hit, row.waived, len(row.holes), idle) == (2, 2, 2, [])
    more = _run(project, 64, ["bell", ["0", "ack"], 1], ["bell", ["1", "ack"], 1], name="more")
    _, idle = cover_bins.verdict([run, more], project)
    assert [one.cross for one in idle] == ["bell"]


@pytest.mark.parametrize(
    "text",
    [
        'cross = "gong"\nwhere = {}\nreason = "r"',
        'cross = "bell"\nwhere = {met = "nap"}\nreason = "r"',
        'cross = "bell"\nwhere = {}\nreason = " "',
        'cross = "bell"\nwhere = {}',
    ],
)
def test_a_waiver_is_about_bins_and_has_a_reason(project, text):
    (project / "tests" / "waivers.toml").write_text(f"[[bins]]\n{text}")
    with pytest.raises(BinsError):
        cover_bins.verdict([], project)


@pytest.mark.parametrize(
    ("old", "new"), [("rows = [", "rows_ = ["), ("width = 128", "width = 256"), ("group", "gruppe"), ('["r', '[]#"r')]
)
def test_a_declaration_is_whole(project, old, new):
    (project / bins.LISTING).write_text(_DECLARED.replace(old, new))
    with pytest.raises(BinsError):
        bins.load(project / bins.LISTING)


def test_every_bin_belongs_to_rows_of_the_plan():
    plan = {row["id"] for row in tomli.loads((PROJECT / "tests" / "testplan.toml").read_text())["plan"]}
    crosses = bins.load(PROJECT / bins.LISTING)
    assert len(crosses) > 15
    for cross in crosses.values():
        assert set(cross.rows) <= plan, cross.name
        assert any(True for _ in cross.bins()), cross.name


def test_a_fork_counts_for_itself(counted):
    bins_seen.see("bell", 0, "ring")
    bins_seen.forget()
    bins_seen.see("bell", 1, "ring")
    bins_seen.see("bell", 1, "ring")
    assert counted() == {("bell", "1", "ring"): 2}
    bins_seen.see("bell", 1, "ack")
    assert counted() == {("bell", "1", "ring"): 2, ("bell", "1", "ack"): 1}


def test_nothing_is_counted_unless_asked_for(monkeypatch):
    monkeypatch.delenv(bins_seen.VARIABLE, raising=False)
    assert not bins_seen.wanted()
    monkeypatch.setenv(bins_seen.VARIABLE, "somewhere")
    assert bins_seen.wanted()


def _step(unit, looks, a, b):
    looks.before(a, b)
    unit.step(a.write, a.read, b.write, b.read)
    looks.after()


def test_what_a_ring_meets_in_its_clock(counted):
    unit = MessagingUnit("imx8ulp")
    looks, traffic = MuBins(unit), Traffic("imx8ulp", Random(1))
    ring, take, reset = (traffic.access(kind, None, 2) for kind in ("ring", "take", "MUR"))
    unmask = Access((0x128, 0xF, 0xF), None, ("enables",), 2)
    _step(unit, looks, unmask, ring)
    _step(unit, looks, take, ring)
    _step(unit, looks, reset, ring)
    assert counted() == {
        ("mu.ring", "b", "2", "masked", "0", "ring"): 1,
        ("mu.ring", "b", "2", "masked", "0", "ring + unmask"): 1,
        ("mu.ring", "b", "2", "enabled", "1", "ring"): 2,
        ("mu.ring", "b", "2", "enabled", "1", "ring + take"): 1,
        ("mu.ring", "b", "2", "enabled", "1", "ring + reset"): 1,
    }


def test_what_a_pulse_meets_in_its_clock(counted):
    page = EdmaPage()
    looks = EdmaBins(page)
    looks.record(Stimulus(None, None, True, {"rd_done": 0b10}, "nothing", "nothing"))
    looks.record(Stimulus((0xAC, 2, 0xF), None, False, {"rd_done": 0b10}, "clear", "nothing", {"rd_done": 0b10}))
    assert counted() == {
        ("edma.kick", "host", "0", "pulse"): 1,
        ("edma.pulse", "rd_done", "1", "masked", "clear", "alone"): 1,
        ("edma.pulse", "rd_done", "1", "masked", "clear", "kick"): 1,
        ("edma.pulse", "rd_done", "1", "masked", "set", "clear"): 1,
    }


@pytest.mark.parametrize("personality", ["unroll", "legacy", "hdma"])
def test_channels_are_masked_as_their_registers_say(personality):
    page = EdmaPage(personality)
    hdma = personality == "hdma"
    assert [page.masked(name) for name in ("wr_done", "rd_abort")] == ([0, 0] if hdma else [0xF, 0xF])
    # INT_SETUP of read channel 1; READ_INT_MASK.
    page.write32(0x388 if hdma else page.base + 0xA8, 0x4 if hdma else 0x2_0000)
    assert page.masked("rd_abort") == 2
    assert page.masked("rd_done") == 0
    assert page.masked("wr_done") == (0 if hdma else 0xF)


def _request(length, first_be, last_be, **more):
    plain = dict.fromkeys(Request._fields[:15], 0) | {"payload": bytes(4 * length), "discontinued": False, "kind": 1}
    return Request(**(plain | {"length": length, "first_be": first_be, "last_be": last_be} | more))


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (_request(1, 0xF, 0), ("1", "all")),
        (_request(1, 0, 0), ("1", "none")),
        (_request(1, 3, 0), ("1", "part of the first")),
        (_request(2, 0xF, 1), ("2", "part of the last")),
        (_request(4, 8, 1), ("3 to 4", "part of both")),
        (_request(16, 0xC, 0xF), ("5 to 16", "part of the first")),
        (_request(65, 0xF, 0xF), ("more", "all")),
    ],
)
def test_classes_of_requests(request_, wanted):
    assert (size(request_), enables(request_)) == wanted


def test_classes_of_what_is_no_good():
    assert kind_of(_request(1, 15, 0, discontinued=True)) == "damaged"
    assert kind_of(_request(2, 15, 15, payload=b"")) == "malformed"
    assert kind_of(_request(1, 15, 0, kind=5)) == "swap"
    assert landing("the guard keeps the host out of mu_a") == "guarded"
    assert not landing("")
