"""`epbell regress`: what it runs, what it says, what it keeps, and that it can go on; its workers are a stub here."""

import io
import json
import re
import tarfile

import pytest

from epbell_tb import cli, coverage, installation, regress, regress_options, verdicts
from epbell_tb.regress_farm import Began, Came, Failed, FarmError, SchedulerLostError
from epbell_tb.regress_groups import GROUPS, Group, Outcome
from epbell_tb.regress_store import FILE, Ended, Store, read
from epbell_tb.regress_worker import Returned
from epbell_tb.scenarios import WIDTHS

PASS, FAIL = verdicts.PASS, verdicts.FAIL
DATE = "2026-01-01T00:00:00+00:00"
RANDOM = tuple(Group(f"random.{name}", ("random", "--place", name)) for name in ("a", "b"))


def archive(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as out:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            data = text if isinstance(text, bytes) else text.encode()
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return packed.getvalue()


class Stub:
    """Workers that do nothing; what they say of each run, and what happened."""

    def __init__(self):
        self.done = []
        self.said = {}
        self.slots_ = 2
        self.lost = 0
        self.wrong = []
        self.given = None

    def __call__(self, *given):
        self.given = given
        self.submitted = []
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def slots(self):
        return self.slots_

    def others(self, now):
        assert now == "now"
        return self.wrong

    def submit(self, run):
        assert len(self.submitted) < self.slots_
        self.submitted.append(run)

    def again(self):
        if self.lost > 1:
            raise FarmError("no scheduler")
        self.lost = self.lost - 1
        lost, self.submitted = self.submitted, []
        return lost

    def news(self, timeout):
        if not self.submitted:
            return
        run = self.submitted[0]
        yield Began(run, "host:1")
        if self.lost and self.done:
            raise SchedulerLostError
        del self.submitted[0]
        self.done.append(run.name)
        said = self.said.get(run.name, Outcome(PASS, 3, 0, ""))
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, str):
            yield Failed(run, said, 3)
        elif isinstance(said, Returned):
            yield Came(run, said, 0)
        else:
            yield Came(run, Returned(said, 60.0, DATE, "host:1", "now", archive({"output": "text"})), 0)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    stub = Stub()
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(regress, "Farm", stub)
    monkeypatch.setattr(regress, "sources", lambda _: "now")
    return stub


@pytest.fixture
def rows(tmp_path):
    return lambda: read(tmp_path / "report" / FILE)


@pytest.fixture
def two(monkeypatch):
    """Two random tests, and no other group."""
    monkeypatch.setattr("epbell_tb.regress_groups.GROUPS", RANDOM)


# -- groups ------------------------------------------------------------------------------------------------------------


def test_a_run_that_passes(runs, rows, capsys):
    assert cli.main(["regress", "--only", "sim.imx8", "--only", "selftest.imx8.64,long"]) == 0
    names = [*(f"sim.imx8.{width}-1" for width in WIDTHS), "selftest.imx8.64-1", "selftest.imx8.64.stalls-1", "long"]
    assert runs.done == names
    assert runs.given == (None, None, 60.0)
    out = capsys.readouterr().out
    assert re.search(r"^sim\.imx8\.64-1: pass, 3 passed in 60 s; 1 done, 6 left, about 3 min$", out, re.MULTILINE)
    assert re.search(r"^ +sim\.imx8\.64 +1 +1 +0 +- +3 +- +60 +- +pass *$", out, re.MULTILINE)
    assert re.search(r"^ +7 tests +7 +7 +0 +- +21 +- +420 +- *$", out, re.MULTILINE)
    assert "7 of 7 runs passed in 0 min" in out
    assert set(rows()) == {(name.removesuffix("-1"), 1) for name in names}


def test_a_run_that_fails_and_one_that_goes_on(runs, rows, capsys, tmp_path):
    runs.said["sim.imx8.128-1"] = Outcome(FAIL, 3, 2, "a reason", None, "epbell sim --what")
    assert cli.main(["regress", "--only", "sim.imx8"]) == 1
    out = capsys.readouterr().out
    kept = tmp_path / "report" / "regress" / "failed" / "sim.imx8.128-1"
    assert f"sim.imx8.128-1: a reason; {kept}" in out
    assert "replay: epbell sim --what" in out
    assert "again: epbell regress --only sim.imx8.128\n" in out
    assert (kept / "output").read_text() == "text"
    assert "3 of 4 runs passed" in out
    with Store(tmp_path / "report" / FILE) as store:
        store.keep(Ended("sim.imx8.512", 1, PASS, 3, 0, None, 60.0, "", "before", DATE))
    del runs.done[:], runs.said["sim.imx8.128-1"]
    assert cli.main(["regress", "--only", "sim.imx8", "--resume"]) == 0
    # One had failed, one had passed on other sources.
    assert runs.done == ["sim.imx8.128-1", "sim.imx8.512-1"]
    assert {row.sources for row in rows().values()} == {"now"}


def test_an_interrupted_run_keeps_what_it_has(runs, rows, capsys):
    runs.said["sim.imx8.128-1"] = KeyboardInterrupt()
    assert cli.main(["regress", "--only", "sim.imx8"]) == 1
    out = capsys.readouterr().out
    assert "interrupted after 1 of 4 runs; go on with --resume" in out
    assert "not run" in out
    assert set(rows()) == {("sim.imx8.64", 1)}


def test_its_verdicts_go_to_the_test_plan(runs, tmp_path):
    case = verdicts.Verdict(PASS, DATE)
    scenarios = json.dumps({"a": {"verdict": PASS, "date": DATE}})
    files = archive({"report/scenarios.json": scenarios})
    runs.said["sim.imx8.64-1"] = Returned(Outcome(PASS, 1, 0, ""), 1.0, DATE, "host:1", "now", files)
    verdicts.merge(tmp_path / "report" / verdicts.SCENARIOS, {"b": case})
    assert cli.main(["regress", "--only", "sim.imx8.64"]) == 0
    assert verdicts.read(tmp_path / "report" / verdicts.SCENARIOS) == {"a": case, "b": case}


def test_coverage_of_runs_is_merged(runs, rows, tmp_path, capsys):
    points = [coverage.Point("line", "a.py:1", "a.py:1", "", name) for name in ("x", "y", "z")]
    for seed, hits in (
        (1, {points[0]: 2, points[1]: 0, points[2]: 0}),
        (2, {points[0]: 1, points[1]: 1, points[2]: 0}),
    ):
        coverage.write(tmp_path / "hits", hits)
        files = archive({f"report/a/{coverage.NAME}": (tmp_path / "hits").read_bytes()})
        runs.said[f"sim.imx8.64-{seed}"] = Returned(Outcome(PASS, 1, 0, ""), 1.0, DATE, "host:1", "now", files)
    ask = ["regress", "--only", "sim.imx8.64,long", "--seeds"]
    assert cli.main([*ask, "1", "--coverage"]) == 0
    assert "coverage of 1 runs: 1 of 3 points reached" in capsys.readouterr().out
    assert cli.main([*ask, "2", "--coverage", "--resume"]) == 0
    assert runs.done == ["sim.imx8.64-1", "long", "sim.imx8.64-2"]
    path = tmp_path / "report" / "regress" / coverage.NAME
    assert f"coverage of 2 runs: 2 of 3 points reached; {path}" in capsys.readouterr().out
    assert coverage.read(path) == {points[0]: 3, points[1]: 1, points[2]: 0}
    assert rows()["sim.imx8.64", 2].coverage == f"regress/sim.imx8.64-2/{coverage.NAME}"
    # What had passed without being counted is run again.
    assert regress_options.parse([*ask[1:], "1", "--coverage"]).runs[0].arguments[-1] == "--coverage"


def test_list_and_json(runs, capsys):
    assert cli.main(["regress", "--only", "long", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["long"]
    assert said["passed"] == 3
    assert said["worker"] == "host:1"
    assert cli.main(["regress", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [group.name for group in GROUPS]
    assert lines[-1].split(maxsplit=1)[1] == "pass, 3 passed in 60 s, 2026-01-01"
    assert runs.done == ["long"]


# -- seeds -------------------------------------------------------------------------------------------------------------


def random(seed, verdict=PASS):
    return Outcome(verdict, 1, 0, "" if verdict == PASS else "odd", 1000 * seed, f"epbell random --seed {seed}")


def test_seeds(runs, two, rows, capsys):
    runs.said |= {f"random.{name}-{seed}": random(seed) for name in "ab" for seed in range(5, 8)}
    runs.said["random.b-6"] = random(6, FAIL)
    assert cli.main(["regress", "--seeds", "3", "--first-seed", "5"]) == 1
    # A seed of every test before the next seed.
    assert runs.done == [f"random.{name}-{seed}" for seed in (5, 6, 7) for name in "ab"]
    out = capsys.readouterr().out
    assert re.search(r"^ +random\.a +3 +3 +0 +- +3 +18,000 +180 +100 +pass *$", out, re.MULTILINE)
    assert re.search(r"^ +random\.b +3 +2 +1 +6 +3 +18,000 +180 +100 +fail *$", out, re.MULTILINE)
    assert "replay: epbell random --seed 6" in out
    assert "again: epbell regress --only random.b --seeds 1 --first-seed 6" in out
    row = rows()["random.b", 6]
    assert (row.verdict, row.cycles, row.reason, row.replay) == (FAIL, 6000, "odd", "epbell random --seed 6")
    assert cli.main(["regress", "--list"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^random\.a +3 seeds passed, 2026-01-01$", out, re.MULTILINE)
    assert re.search(r"^random\.b +2 of 3 seeds passed, first failing 6, 2026-01-01$", out, re.MULTILINE)


def test_only_those_that_failed(runs, two):
    runs.said["random.b-2"] = random(2, FAIL)
    assert cli.main(["regress", "--seeds", "3"]) == 1
    del runs.done[:], runs.said["random.b-2"]
    assert cli.main(["regress", "--seeds", "3", "--failed"]) == 0
    assert runs.done == ["random.b-2"]
    del runs.done[:]
    assert cli.main(["regress", "--seeds", "3", "--failed"]) == 0
    assert runs.done == []


def test_seeds_of_other_groups():
    names = [run.name for run in regress_options.parse(["--only", "sim.imx8.64,long", "--seeds", "2"]).runs]
    assert names == ["sim.imx8.64-1", "long", "sim.imx8.64-2"]


def test_a_run_that_kills_its_workers(runs, two, rows):
    runs.said["random.b-1"] = "its worker was killed 3 times"
    assert cli.main(["regress"]) == 1
    row = rows()["random.b", 1]
    assert (row.verdict, row.reason, row.retries) == (FAIL, "its worker was killed 3 times", 3)
    assert row.replay == "epbell regress --only random.b"


# -- what happens to workers -------------------------------------------------------------------------------------------


def test_a_scheduler_that_is_lost_and_comes_back(runs, two, rows, capsys):
    runs.lost = 1
    assert cli.main(["regress", "--seeds", "2", "--scheduler", "tcp://host:1", "--patience", "9", "--jobs", "3"]) == 0
    assert runs.given == ("tcp://host:1", 3, 9.0)
    assert sorted(runs.done) == sorted(f"random.{name}-{seed}" for name in "ab" for seed in (1, 2))
    out = capsys.readouterr().out
    assert "random.b-1: its scheduler is lost; it will be run again" in out
    assert "the scheduler does not answer; looking for it for 9 s" in out
    assert len(rows()) == 4


def test_a_scheduler_that_is_lost_for_good(runs, two, rows, capsys):
    runs.lost = 2
    assert cli.main(["regress", "--seeds", "2"]) == 1
    assert "stopped after 1 of 4 runs: no scheduler; then go on with --resume" in capsys.readouterr().out
    assert len(rows()) == 1
    runs.lost = 0
    assert cli.main(["regress", "--seeds", "2", "--resume"]) == 0
    assert len(rows()) == len(runs.done) == 4


def test_no_worker(runs, two, capsys):
    runs.slots_ = 0
    assert cli.main(["regress", "--patience", "1"]) == 1
    assert "there was no worker for 1 s" in capsys.readouterr().out


def test_workers_with_other_sources(runs, two, rows, capsys):
    runs.wrong = ["tcp://host:2 (host:1) has sources before"]
    assert cli.main(["regress"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "the sources here are now, but tcp://host:2 (host:1) has sources before" in out
    assert runs.done == []
    # One that has come later says it with what it returns, which is not taken.
    runs.wrong = []
    runs.said["random.b-1"] = Returned(random(1), 1.0, DATE, "host:2", "before", archive({}))
    assert cli.main(["regress"]) == 1
    assert "worker host:2 ran random.b-1 on sources before, not now" in " ".join(capsys.readouterr().out.split())
    assert set(rows()) == {("random.a", 1)}


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "value", "remedy"),
    [
        (["--only", "sym.imx8"], "not 'sym.imx8'", "such as 'sim.imx8.*', or one of sim, port, bars, selftest, large,"),
        (["--only", ""], "not ''", "--list prints every name"),
        (["--jobs", "0"], "not '0'", "a number from 1 to 256"),
        (["--seeds", "0"], "not '0'", "a number from 1 to"),
        (["--first-seed", "4"], "--first-seed", "needs --seeds"),
        (["--seeds", "2", "--first-seed", str(2**31 - 1)], str(2**31 - 1), "no seed is larger than"),
        (["--scheduler", "host"], "not 'host'", "such as tcp://host:8786"),
        (["--coverage", "--only", "long"], "--coverage", "sim, port, bars and random can"),
        (["--patience", "0"], "not '0'", "a number from 1 to"),
        (["--colour"], "--colour", "usage: epbell regress"),
    ],
)
def test_wrong_argument(arguments, value, remedy, runs, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["regress", *arguments])
    assert done.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert value in said
    assert remedy in said
    assert runs.done == []


def test_outside_a_checkout(runs, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(installation, "PROJECT", tmp_path)
    assert cli.main(["regress"]) == 2
    assert "run `make regress`" in capsys.readouterr().err
