"""The run report in headless Chromium: it sorts, filters, draws, turns pages, and asks the network for nothing."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from report_rig import ABOUT, GROUP, REASON, Story, site

from epbell_tb import browser
from epbell_tb.toolchain import ToolError

LOOK = Path(__file__).with_name("look_at_report.py")
PASSED = ("b_good_one", "a_good_one", "long_one")
pytestmark = pytest.mark.xdist_group("browser")


def long_story():
    """300 edges of a line, of which the first is the latest of all that were kept."""
    story = Story()
    with story.at(0):
        for clock in range(0, 900, 3):
            story.line(clock % 2 == 0, clock)
    return story.record


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a reader sees; EPBELL_PICTURES names a folder for screenshots, which a human may look at."""
    try:
        program, python = browser.chromium(), browser.python()
    except ToolError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("report")
    site(folder, PASSED)
    long_story().write(folder / GROUP, "long_one", **ABOUT)
    pictures = Path(os.environ.get("EPBELL_PICTURES") or tmp_path_factory.mktemp("pictures"))
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(python), str(LOOK), program, str(folder), GROUP, str(pictures)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_goes_wrong_and_nothing_comes_from_afar(seen):
    assert seen["trouble"] == []
    assert seen["asked"]
    assert all(url.startswith(("file:", "data:")) for url in seen["asked"])


def test_failures_are_first(seen):
    assert seen["table"]["first"] == "What did not pass"
    assert seen["table"]["names"] == ["it_fails", "it_is_missing", *PASSED]


def test_table_sorts(seen):
    table = seen["table"]
    assert table["by rings"] == ["it_fails", "long_one", "a_good_one", "b_good_one", "it_is_missing"]
    assert table["by rings, down"] == ["b_good_one", "a_good_one", "long_one", "it_fails", "it_is_missing"]
    assert table["sorted"] == [["rings", "descending"]]


def test_table_filters(seen):
    table = seen["table"]
    assert table["good"] == [["b_good_one", "a_good_one"], "2 of 5"]
    assert table["fail"] == table["fail, reloaded"] == ["it_fails"]


def test_histograms(seen):
    assert seen["table"]["bars"] == 3, "two bins of one kind have counts, and one of another"


def test_ladder_says_all_of_it(seen):
    ladder = seen["ladder"]
    assert ladder["title"] == "it_fails"
    assert REASON.splitlines()[0] in ladder["trouble"]
    assert "Replay: make sim SCENARIO=it_fails" in ladder["trouble"]
    assert ladder["entries"] == [
        "clock 10, host to endpoint: MWr BAR2 +0x8, 4 B = 0x00000001: rings vector 2 with 0x55",
        "clock 10, CPU to endpoint: mu_a RSR is 0x4",
        "clock 12, endpoint to CPU: irq_mu rises",
        "clock 20, endpoint to CPU: irq_mu falls",
        "clock 29, endpoint to host: MSI 7, 11 clocks",
        "clock 30, host to endpoint: MRd BAR2 +0x8, 4 B, tag 5: unsupported",
        "clock 33, endpoint to host: Cpl UR, tag 5",
        "clock 50, endpoint to host: MSI-X 9: MWr 0xa0000000, 4 B = 0x00000000",
        "clock 50, endpoint to host: INTA asserted",
        "clock 60, link to endpoint: timeout, tag 3",
        "clock 70, host to CPU: function-level reset",
        "clock 70, CPU to endpoint: controller MSI_RAISE := 0x1 never answered",
    ]
    assert ladder["levels"] == 2, "irq_mu was high, and INTA is"
    assert "rings vector 2 with 0x55" in ladder["details"]
    assert "8000000000001008" in ladder["details"]


def test_ladder_shows_what_is_chosen(seen):
    ladder, every = seen["ladder"], len(seen["ladder"]["entries"])
    left = [ladder[f"without {kind}"] for kind in ("host", "endpoint", "cpu", "interrupt")]
    assert left == [every - 3, every - 1, every - 2, every - 5]
    assert len(ladder["tag 5"]) == 2
    assert ladder["rows"] == every


def test_long_ladder_has_pages(seen):
    ladder = seen["ladder"]
    assert ladder["long"] == [250, "page 1 of 2; 300 of 300 entries, clocks 0 to 747"]
    assert ladder["later"] == [50, "page 2 of 2; 300 of 300 entries, clocks 750 to 897"]
    place, chosen = ladder["clock 20"]
    assert place.startswith("page 1 of 2")
    assert chosen.startswith("clock 21,")
    assert 1.8 < ladder["zoom"] < 2.1


def test_no_ladder_without_a_record(seen):
    assert "There is no record of it" in seen["ladder"]["it_is_missing"]
    assert "No scenario of this report is called so" in seen["ladder"]["../../etc/passwd"]


def test_dark_and_light(seen):
    (ink, paper), (dark_ink, dark_paper) = seen["light"], seen["dark"]
    assert paper - ink > 150
    assert dark_ink - dark_paper > 150
