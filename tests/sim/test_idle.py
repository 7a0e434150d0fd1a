"""Clock edges that are left out change nothing: the same events at the pins at the same times, the same counters."""

import json
import os
from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb import figures, runner
from epbell_tb.sim_variant import build_variant, variant_of

pytestmark = pytest.mark.xdist_group("at rest")
WIDTH = 256
TREES = {"msi-enomem": "250", "imx8": "5000", "imx8-edma": "5000"}
"""Device trees, and how much faster than Linux's the time is: commands take longer when doorbells interrupt."""


def run(test, folder, tree, **variables):
    dts = devicetree.builtin(tree)
    build = build_variant(variant_of(devicetree.load(dts), WIDTH, "everyday"), at_rest=True)
    folder.mkdir()
    report = folder / "report"
    env = {"EPBELL_DTS": str(dts), figures.VARIABLE: str(report), "EPBELL_SCALE": TREES[tree], **variables}
    (result,) = runner.run(build, "idle_bench", tests=rf"\.{test}$", env=env, expected=1, results=folder)
    return result, figures.read(report)


@pytest.fixture(autouse=True)
def benches(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


@pytest.mark.parametrize("tree", TREES)
def test_same_with_and_without(tmp_path, tree):
    told = {}
    for mode in ("skip", "run"):
        result, lines = run("pings", tmp_path / mode, tree, EPBELL_IDLE=mode)
        assert result.passed, result.message
        (told[mode],) = lines
    asked, asking = ([tuple(event) for event in told[mode].pop("asking")] for mode in ("skip", "run"))
    assert len(asked) < len(asking)
    assert set(asked) < set(asking), "what goes on round after round is found where it would have been"
    idle = told["skip"].pop("idle")
    assert told["run"].pop("idle") is None
    assert idle["stops"] > 20
    assert idle["watched"] > 5
    assert idle["clocks"] > told["skip"]["end"] // 4000 // 3, "a third of all clocks is left out"
    assert len(told["skip"]["events"]) > 500
    assert told["skip"]["events"] == told["run"]["events"]
    assert json.dumps(told["skip"]) == json.dumps(told["run"])


def test_who_waits_for_the_clock_gets_it(tmp_path):
    result, _ = run("somebody_counts_clocks", tmp_path / "counts", "imx8")
    assert result.passed, result.message


def test_what_moves_at_rest_is_found(tmp_path):
    result, _ = run("something_moves", tmp_path / "moves", "msi-enomem")
    assert not result.passed
    assert "at rest, and yet something moves" in result.message
