"""Scenarios of windows on an endpoint that no other test builds: doorbells above 4 GiB, BARs from 128 bytes to 16 MiB.

One simulation in ``make test``; the widths and the sets of BARs that are left take long.
"""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from epbell_tb import sim

HIGH = Path(__file__).with_name("above_4g.dts")
SIZES = ("bar_sizes_with_memory", "bar_sizes_with_doorbells", "bar_sizes_by_hand")
WINDOWS = ("ring_each_vector", "retarget_in_flight", "retarget_by_address_in_flight", "windows_at_their_edges")
ABOVE = (*SIZES, *WINDOWS, "target_error")


def run(folder, *arguments):
    """Run a simulation; return the verdict of each scenario and the widths."""
    sim.main([*arguments, "--report", str(folder)])
    rows = json.loads((folder / "summary.json").read_text())["scenarios"]
    return {f"{row['name']}-{row['width']}": row["verdict"] for row in rows}


@pytest.fixture
def above(tmp_path_factory, worker_id):
    """Verdicts on doorbells above 4 GiB behind BARs of all sizes; the first test that asks runs it."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    kept, folder = shared / "above_4g.json", shared / "above_4g"
    arguments = "--dts", str(HIGH), "--bars", "sizes", "--width", "256", "--stalls", "on"
    with FileLock(shared / "above_4g.lock"):
        if not kept.exists():
            kept.write_text(json.dumps(run(folder, *arguments, "--scenario", ",".join(ABOVE))))
    return json.loads(kept.read_text())


@pytest.mark.xdist_group("above_4g")
@pytest.mark.parametrize("name", ABOVE)
def test_above_4_gib(above, name):
    assert above[f"{name}-256"] == "pass", f"epbell sim --dts {HIGH} --bars sizes --width 256 --stalls on says why"


@pytest.mark.long
@pytest.mark.parametrize("width", [64, 128, 512])
def test_above_4_gib_at_every_width(tmp_path, width):
    arguments = "--dts", str(HIGH), "--bars", "sizes", "--width", str(width), "--stalls", "both", "--thorough"
    found = run(tmp_path, *arguments, "--scenario", ",".join(ABOVE))
    assert found == dict.fromkeys((f"{name}-{width}" for name in ABOVE), "pass")


@pytest.mark.long
@pytest.mark.parametrize("bars", ["small", "large"])
@pytest.mark.parametrize("width", [64, 256])
def test_bars_of_every_size(tmp_path, bars, width):
    arguments = "--tree", "imx8", "--bars", bars, "--width", str(width), "--stalls", "on", "--thorough"
    found = run(tmp_path, *arguments, "--scenario", ",".join(SIZES))
    assert found == dict.fromkeys((f"{name}-{width}" for name in SIZES), "pass")


@pytest.mark.long
def test_subranges_with_a_window_to_spare(tmp_path):
    """With 8 windows every BAR can be split, whatever the others are used for."""
    arguments = "--dts", str(HIGH), "--width", "256", "--stalls", "off"
    found = run(tmp_path, *arguments, "--scenario", "subrange")
    assert set(found.values()) == {"pass"}
    assert found.keys() >= {"subrange_on_every_bar-256", "subrange_on_the_doorbells_bar-256"}
