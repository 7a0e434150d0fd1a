"""The pages of a run: failures first, a row for everything that ran, links that lead somewhere, nothing from afar."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import pytest
from report_rig import GROUP, REASON, row, site

from epbell_tb import records
from epbell_tb.run_report import histogram, pages


class Page(HTMLParser):
    """Tags with their attributes, and the text of some."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append((self.tags[-1][0] if self.tags else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def index(tmp_path):
    return site(tmp_path)


@pytest.fixture
def page(index):
    return Page(index.read_text(encoding="utf-8"))


def test_failures_first_with_message_and_command(index):
    text = index.read_text(encoding="utf-8")
    order = [text.index(mark) for mark in ("What did not pass", "How long interrupts take", ">Scenarios<")]
    assert order == sorted(order)
    failing = text[order[0] : order[1]]
    assert failing.index("it_fails") < failing.index("it_is_missing")
    assert REASON.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in failing
    assert "make sim SCENARIO=it_fails" in failing
    assert "a_good_one" not in failing


def test_a_run_that_passes_has_no_such_part(tmp_path):
    run = pages.found(tmp_path, GROUP, row("good", "pass"), "make sim", {})
    text = pages.write(tmp_path, [run], date="2026-11-22T11:14:11+00:00", versions={}).read_text()
    assert "What did not pass" not in text
    assert "How long interrupts take" not in text, "nothing was measured"


@pytest.mark.parametrize("name", ["dump.vcd", "dump.fst"])
def test_waves_of_either_simulator(tmp_path, name):
    assert pages.found(tmp_path, GROUP, row("good", "pass"), "make sim", {}).waves == ""
    (tmp_path / GROUP).mkdir()
    (tmp_path / GROUP / name).touch()
    assert pages.found(tmp_path, GROUP, row("good", "pass"), "make sim", {}).waves == f"{GROUP}/{name}"


def test_every_run_is_a_row(page):
    rows = [attributes for attributes in page.all("tr") if "data-name" in attributes]
    assert [one["data-name"] for one in rows] == ["it_fails", "it_is_missing", "a_good_one", "b_good_one"]
    assert {one["data-verdict"] for one in rows} == {"fail", "missing", "pass"}
    assert all((one["data-width"], one["data-stalls"], one["data-tree"]) == ("256", "on", "imx8") for one in rows)


def test_every_link_leads_to_a_file(page, index):
    found = {unquote(attributes["href"]) for attributes in page.all("a")}
    ladders = {link for link in found if link.startswith("ladder.html#")}
    assert ladders == {f"ladder.html#{GROUP}/{name}" for name in ("it_fails", "a_good_one", "b_good_one")}
    assert {f"{GROUP}/dump.vcd", f"{GROUP}/run.log"} <= found
    for link in found:
        assert (index.parent / link.partition("#")[0]).is_file(), link


def known(index):
    text = (index.parent / pages.LADDER).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="known">(.*?)</script>', text, re.DOTALL)[1])


def test_ladder_page_knows_runs_and_registers(index):
    told = known(index)
    fails = told["runs"][f"{GROUP}/it_fails"]
    assert fails["reason"] == REASON
    assert fails["replay"] == "make sim SCENARIO=it_fails"
    assert records.read(index.parent / fails["record"])["name"] == "it_fails"
    assert told["runs"][f"{GROUP}/it_is_missing"]["record"] == ""
    assert told["registers"]["controller"]["16"] == "MSI_RAISE"
    assert set(told["registers"]) == {"controller", "iatu", "unroll", "hdma"}


@pytest.mark.parametrize("name", [pages.INDEX, pages.LADDER])
def test_nothing_comes_from_afar(name, index):
    text = (index.parent / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[^\"'\s)]*", text)) <= {"http://www.w3.org/2000/svg"}
    page = Page(text)
    assert not any("src" in attributes for _, attributes in page.tags)
    assert [attributes["href"] for attributes in page.all("link")] == ["data:,"]


@pytest.mark.parametrize("name", [pages.INDEX, pages.LADDER])
def test_for_everybody(name, index):
    page = Page((index.parent / name).read_text(encoding="utf-8"))
    assert page.all("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert all("aria-label" in one or "aria-hidden" in one for one in page.all("svg"))
    assert all(one.get("scope") in ("row", "col") for one in page.all("th"))
    assert all(one.get("type") in ("button", "reset", "submit") for one in page.all("button"))


def test_numbers_of_a_histogram():
    (chart,) = histogram.charts([(False, {"msi": {3: 2, 4: 1}}), (True, {"msi": {9: 4}}), (False, {"msi": {3: 1}})])
    assert chart.kind == "msi"
    assert chart.figures == {"off": (4, 3, 3, 4), "on": (4, 9, 9, 9)}
    assert (chart.bins[0], chart.bins[-1]) == (histogram.Bin(3, 3, 3, 0), histogram.Bin(9, 9, 0, 4))
    assert len(chart.bins) == 7
    assert chart.most == 4


def test_wide_histogram_keeps_every_count():
    spread = {clocks: clocks % 5 + 1 for clocks in range(2, 1000, 3)}
    (chart,) = histogram.charts([(True, {"irq_mu": spread})])
    assert len(chart.bins) <= 40
    assert sum(one.stalled for one in chart.bins) == sum(spread.values())
    assert all(after.low == before.high + 1 for before, after in pairwise(chart.bins))
    assert chart.bins[0].low <= 2
    assert chart.bins[-1].high >= max(spread)


def test_pages_of_an_earlier_run_are_replaced(index, tmp_path):
    run = pages.found(tmp_path, GROUP, row("another", "pass"), "make sim", {})
    pages.write(tmp_path, [run], date="2026-11-22T11:14:11+00:00", versions={})
    assert "it_fails" not in index.read_text(encoding="utf-8")
    assert list(known(index)["runs"]) == [f"{GROUP}/another"]
    assert not list(tmp_path.glob("*.tmp"))
