"""The groups of `epbell regress` are everything, and nothing but success looks like success."""

import io
import json
import os
import re
import tarfile
from itertools import pairwise

import pytest

from epbell_tb import cli, regress_worker, selftest, sim_options, verdicts
from epbell_tb.bar_sets import COMMON_SETS
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.installation import PROJECT
from epbell_tb.lifeline import TimeLimitError
from epbell_tb.regress_groups import GROUPS, LARGE_SIZES, Group, Outcome, Run, chosen, outcome
from epbell_tb.scenarios import SCENARIOS, TREES, WIDTHS

PASS, FAIL = verdicts.PASS, verdicts.FAIL
NAMES = [group.name for group in GROUPS]
SIM, SELFTEST, LONG = (next(g for g in GROUPS if g.kind == kind) for kind in ("sim", "selftest", "long"))
TAP = ["TAP version 13", "1..2", "ok 1 a", "not ok 2 b"]


# -- the groups --------------------------------------------------------------------------------------------------------


def test_names():
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z]+(\.[a-z0-9-]+)*", name) for name in NAMES)


def test_every_scenario_runs_everywhere():
    """On every device tree, width, set of BARs and way of MSI-X, with and without stalls, and thoroughly."""
    run = set()
    for group in GROUPS:
        if group.arguments[0] == "sim":
            options = sim_options.parse(group.arguments[1:])
            assert options.thorough
            assert options.scenarios == SCENARIOS
            assert options.stalls == (False, True)
            places = [(tree, width) for tree in options.trees for width in options.widths]
            assert len(places) == 1
            run |= {(options.bars, options.msix, *places[0])}
    ways = [(bars, MSIX_WAYS[0]) for bars in COMMON_SETS] + [("everyday", MSIX_WAYS[1])]
    assert run == {(*way, tree, width) for way in ways for tree in TREES for width in WIDTHS}


def test_the_selftest_runs_everywhere(capsys):
    everywhere = {(tree, str(width)) for tree in TREES for width in WIDTHS}
    found = {kind: set() for kind in ("selftest", "selftest stalls", "large")}
    for group in GROUPS:
        if group.arguments[0] == "selftest":
            words = list(group.arguments)
            place = words[words.index("--tree") + 1], words[words.index("--width") + 1]
            found[f"{group.kind}{' stalls' if '--stalls' in words else ''}"].add(place)
            large = ",".join(map(str, LARGE_SIZES)) in words
            assert large == (group.kind == "large")
            assert large or "1,1024,1025" in words
            for arguments in (group.arguments, group.models):
                assert large or ("--rounds", "2") in pairwise(arguments), "twice, here and on the models"
            assert cli.main([*words, "--list"]) == cli.main([*group.models, "--list"]) == 0
            assert "--width" not in group.models
    assert found["selftest"] == found["selftest stalls"] == everywhere
    assert {tree for tree, _ in found["large"]} == set(TREES)
    assert {width for _, width in found["large"]} == {str(width) for width in WIDTHS}
    assert len(capsys.readouterr().out.splitlines()) == 2 * (48 * 2 * 23 + 6 * 3)
    assert set(LARGE_SIZES) < set(selftest.SIZES)


@pytest.mark.parametrize(
    ("patterns", "count"),
    [([], len(GROUPS)), (["long"], 1), (["sim"], 24), (["sim.imx8.*"], 4), (["bars.linux", "sim.imx8.64"], 25)],
)
def test_chosen(patterns, count):
    groups = chosen(patterns)
    assert len(groups) == count
    assert [group for group in GROUPS if group in groups] == list(groups)


# -- what came of one --------------------------------------------------------------------------------------------------


def summary(*verdicts_):
    return json.dumps({"scenarios": [{"name": f"s{n}", "verdict": one} for n, one in enumerate(verdicts_)]})


@pytest.mark.parametrize(
    ("group", "status", "output", "wanted"),
    [
        (SIM, 0, summary(PASS, PASS), (PASS, 2, 0, "")),
        (SIM, 1, summary(PASS, FAIL, "missing"), (FAIL, 1, 2, "s1 fail, and 1 more")),
        (SIM, 1, summary(PASS), (FAIL, 1, 0, "exit status 1")),
        (SIM, 0, summary(), (FAIL, 0, 0, "exit status 0")),
        (SIM, 1, "epbell: no simulator", (FAIL, 0, 0, "exit status 1 and no summary")),
        (SELFTEST, 1, "\n".join([*TAP, "# a comment"]), (PASS, 2, 0, "")),
        # The checks of the bench have complained, or failed to.
        (SELFTEST, 0, "\n".join(TAP), (FAIL, 2, 0, "exit status 0")),
        (SELFTEST, 1, "\n".join([*TAP[:3], "ok 2 b"]), (FAIL, 1, 1, "on the models it is: not ok 2 b")),
        (SELFTEST, 1, "\n".join(TAP[:3]), (FAIL, 1, 1, "on the models it is: not ok 2 b")),
        (SELFTEST, 1, "", (FAIL, 0, 2, "on the models it is: ok 1 a, and 1 more")),
        (LONG, 0, "3 passed, 7 deselected in 1.00s", (PASS, 3, 0, "")),
        (LONG, 5, "7 deselected in 1.00s", (PASS, 0, 0, "no test is marked long")),
        (LONG, 1, "FAILED a.py::b - why\n1 failed, 2 passed, 1 error in 1.00s", (FAIL, 2, 2, "a.py::b")),
        (LONG, 2, "interrupted", (FAIL, 0, 0, "exit status 2")),
    ],
)
def test_outcome(group, status, output, wanted):
    assert outcome(group, status, output, TAP) == Outcome(*wanted)


def test_a_selftest_that_says_nothing_is_no_success():
    assert outcome(SELFTEST, 0, "", [])[0] == FAIL


@pytest.mark.parametrize(
    ("status", "verdict", "reason", "wanted"),
    [
        (0, PASS, "", Outcome(PASS, 1, 0, "", 900, "epbell random")),
        (1, FAIL, "odd", Outcome(FAIL, 0, 1, "odd", 900, "epbell random")),
        # A verdict and an exit status that contradict each other are no success.
        (1, PASS, "", Outcome(FAIL, 0, 1, "exit status 1", 900, "epbell random")),
        (0, FAIL, "odd", Outcome(FAIL, 0, 1, "odd", 900, "epbell random")),
    ],
)
def test_outcome_of_random_traffic(status, verdict, reason, wanted):
    said = {"verdict": verdict, "cycles": 900, "seconds": 2.5, "reason": reason, "replay": "epbell random"}
    group = Group("random.imx8.64", ("random",))
    assert outcome(group, status, json.dumps(said)) == wanted
    assert outcome(group, status, "{}") == Outcome(FAIL, 0, 1, f"exit status {status} and no summary")


# -- runs of them ------------------------------------------------------------------------------------------------------


def test_a_run_has_a_seed_where_there_is_something_random():
    run = Run(SIM, 7)
    assert run.name == f"{SIM.name}-7"
    assert run.arguments == (*SIM.arguments, "--seed", "7")
    assert run.again == f"epbell regress --only {SIM.name} --seeds 1 --first-seed 7"
    assert Run(SIM).again == f"epbell regress --only {SIM.name}"
    assert Run(LONG).name == "long"
    assert Run(LONG).arguments == LONG.arguments


@pytest.mark.parametrize("group", [group for group in GROUPS if group.seeded], ids=lambda group: group.name)
def test_every_command_takes_a_seed(group, capsys):
    assert cli.main([*Run(group, 7).arguments, "--list"]) == 0
    assert capsys.readouterr().out


def test_a_run_is_a_process_of_its_own_and_gives_its_files_back(tmp_path, monkeypatch):
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    group = Group("long", ("-q", "-m", "long", "tests/unit/test_regress_groups.py"), module="pytest")
    found = regress_worker.perform(Run(group))
    assert found.outcome == Outcome(PASS, 0, 0, "no test is marked long")
    assert found.sources == regress_worker.sources(PROJECT)
    assert found.worker.endswith(f":{os.getpid()}")
    with tarfile.open(fileobj=io.BytesIO(found.files)) as archive:
        assert archive.getnames() == ["output", "output.err"]
        assert b"deselected" in archive.extractfile("output").read()
    assert list((tmp_path / "report" / "regress").iterdir()) == []


def test_a_scenarios_run_is_told_its_folder(tmp_path, monkeypatch):
    def call(command, out, **_):
        assert command[1:4] == ["-m", "epbell_tb.cli", "sim"]
        assert command[-4:] == ["--seed", "7", "--report", str(out.parent / "report")]
        out.write_text(summary(PASS))
        return 0

    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(regress_worker, "call", call)
    assert regress_worker.perform(Run(SIM, 7)).outcome.verdict == PASS


def test_a_run_that_takes_too_long(tmp_path, monkeypatch):
    def call(**_):
        raise TimeLimitError("not ended after 9 s")

    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(regress_worker, "call", lambda _, **options: call(**options))
    assert regress_worker.perform(Run(SIM)).outcome == Outcome(FAIL, 0, 1, "not ended after 9 s")


def test_sources_are_what_a_verdict_depends_on(tmp_path):
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "mu.py").write_text("a = 1")
    first = regress_worker.sources(tmp_path)
    (tmp_path / "rtl" / "mu.pyc").write_text("anything")
    (tmp_path / "README.md").write_text("anything")
    assert regress_worker.sources(tmp_path) == first
    (tmp_path / "rtl" / "mu.py").write_text("a = 2")
    assert regress_worker.sources(tmp_path) != first
