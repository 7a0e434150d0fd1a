"""`epbell random` on the RTL: seeds that pass, a failure that is kept, replayed and shrunk."""

import json
import os
from pathlib import Path

import pytest

from epbell_tb import random_run
from epbell_tb.random_place import Drawn, Place, run
from epbell_tb.random_shrink import shrink
from epbell_tb.traffic import operations as ops

pytestmark = pytest.mark.xdist_group("random")
BENCH = "random_planted_bench"


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


class Shown:
    """A display that only listens."""

    def __init__(self):
        self.ended = []

    def begin(self, job, total=None):
        pass

    def advance(self, job, done):
        pass

    def end(self, job, result):
        self.ended.append(result)


@pytest.mark.parametrize(
    ("place", "seed"), [(["--width", "64"], 7), (["--width", "256", "--stalls"], 1)], ids=["64", "256-stalls"]
)
def test_random_traffic(capsys, place, seed):
    status = random_run.main([*place, "--seed", str(seed), "--ops", "300", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert status == 0, told["reason"]
    assert told["verdict"] == "pass"
    assert told["figures"]["done"] == told["kinds"]
    assert sum(told["kinds"].values()) == told["operations"] == 300
    counts = told["figures"]["counts"]
    assert min(counts[name] for name in ("requests", "rings", "kicks", "msis", "to_host_reads")) > 0
    assert told["replay"].startswith("epbell random --")


def test_failure_is_kept_and_shrunk(tmp_path, planted):
    """The bench does not tell the scoreboard of one vector: the operation that raises it is left."""
    operations = [ops.Intx(3, 1), ops.Ring(0, 2, 1, 5, 15), ops.Raise(9, "msi", 3), ops.Ack(0, 1, 0)]
    drawn = Drawn(Place("imx8", 64), 1, 128, operations)
    ended = run(drawn, tmp_path / "run", bench=BENCH)
    assert not ended.passed
    assert ended.reason == "MSI 3 that nobody raised"
    assert Drawn.load(tmp_path / "run" / "operations.json") == drawn
    shown = Shown()
    shortest = shrink(drawn, ended, tmp_path / "shrink", shown, best=tmp_path / "best.json", bench=BENCH)
    assert shortest.operations == [ops.Raise(0, "msi", 3)]
    assert Drawn.load(tmp_path / "best.json") == shortest
    assert "still fails" in shown.ended


def test_a_read_that_the_host_holds(tmp_path):
    """It was taken before bus mastering went off, and the CPU waits for it; the host goes on in the end."""
    held = [ops.Stall(0, "rq", 200), ops.Fetch(4, 0, 0, 1), ops.Command(300, True, False, True)]
    drawn = Drawn(Place("imx8", 64), 1, 128, [*held, *[ops.Ack(0, 0, 0)] * 8])
    ended = run(drawn, tmp_path / "run")
    assert ended.passed, ended.reason
    assert ended.figures["counts"]["to_host_reads"]


def test_command_of_a_failure(capsys, monkeypatch, tmp_path, planted):
    monkeypatch.setattr("epbell_tb.random_place.BENCH", BENCH)
    drawn = Drawn(Place("imx8", 64), 1, 128, [ops.Raise(0, "msi", 3)])
    drawn.save(tmp_path / "one.json")
    assert random_run.main(["--replay", str(tmp_path / "one.json")]) == 1
    printed = capsys.readouterr().out
    assert f"replay: epbell random --replay {tmp_path / 'one.json'}" in printed.replace("\n", "")
