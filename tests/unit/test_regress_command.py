"""`epbell regress`: its groups are everything, nothing but success looks like success, and it can go on."""

import json
import re
from itertools import pairwise

import pytest

from epbell_tb import cli, installation, regress, selftest, sim_options, verdicts
from epbell_tb.bar_sets import COMMON_SETS
from epbell_tb.cases import MSIX_WAYS
from epbell_tb.regress_groups import GROUPS, LARGE_SIZES, Ended, Group, chosen, outcome
from epbell_tb.scenarios import SCENARIOS, TREES, WIDTHS

PASS, FAIL = verdicts.PASS, verdicts.FAIL
DATE = "2026-01-01T00:00:00+00:00"
NAMES = [group.name for group in GROUPS]
SIM, SELFTEST, LONG = (next(g for g in GROUPS if g.kind == kind) for kind in ("sim", "selftest", "long"))
TAP = ["TAP version 13", "1..2", "ok 1 a", "not ok 2 b"]


def ended(verdict=PASS, sources="now", passed=3, failed=0):
    return Ended(verdict, passed, failed, 60.0, DATE, sources, "" if verdict == PASS else "a reason")


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
    assert outcome(group, status, output, TAP) == wanted


def test_a_selftest_that_says_nothing_is_no_success():
    assert outcome(SELFTEST, 0, "", [])[0] == FAIL


def test_a_group_leaves_its_verdicts_to_the_test_plan(tmp_path, monkeypatch):
    case = verdicts.Verdict(PASS, DATE)

    def run(command, path):
        if path.name == "output":
            assert command[3:] == [*SIM.arguments, "--report", str(path.parent)]
            verdicts.merge(path.parent / verdicts.SCENARIOS, {"a": case})
        return 0, summary(PASS)

    monkeypatch.setattr(regress, "_output", run)
    verdicts.merge(tmp_path / verdicts.SCENARIOS, {"b": case})
    assert regress.run_group(SIM, tmp_path, "now").verdict == PASS
    assert set(verdicts.read(tmp_path / verdicts.SCENARIOS)) == {"a", "b"}


def test_a_group_is_a_process_of_its_own(tmp_path):
    group = Group("long", ("pytest", "-q", "-m", "long", "tests/unit/test_regress_command.py"))
    found = regress.run_group(group, tmp_path, "now")
    assert (found.verdict, found.reason, found.sources) == (PASS, "no test is marked long", "now")
    assert "deselected" in (tmp_path / "regress" / "long" / "output").read_text()


def test_sources_are_what_a_verdict_depends_on(tmp_path):
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "mu.py").write_text("a = 1")
    first = regress.sources(tmp_path)
    (tmp_path / "rtl" / "mu.pyc").write_text("anything")
    (tmp_path / "README.md").write_text("anything")
    assert regress.sources(tmp_path) == first
    (tmp_path / "rtl" / "mu.py").write_text("a = 2")
    assert regress.sources(tmp_path) != first


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The names of the groups that were run, by a run that does nothing; what it says of some."""
    done, said = [], {}

    def run_group(group, folder, now):
        assert folder == tmp_path / "report"
        done.append(group.name)
        found = said.get(group.name, ended(sources=now))
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(regress, "run_group", run_group)
    monkeypatch.setattr(regress, "sources", lambda _: "now")
    return done, said


def test_a_run_that_passes(runs, capsys, tmp_path):
    assert cli.main(["regress", "--only", "sim.imx8", "--only", "selftest.imx8.64,long"]) == 0
    assert runs[0] == [
        *(f"sim.imx8.{width}" for width in WIDTHS),
        "selftest.imx8.64",
        "selftest.imx8.64.stalls",
        "long",
    ]
    out = capsys.readouterr().out
    assert re.search(r"^sim\.imx8\.64: pass, 3 passed in 60 s; \d done, \d left, about \d+ (s|min)$", out, re.MULTILINE)
    assert re.search(r"^ +sim\.imx8\.64 +3 +0 +60 +pass *$", out, re.MULTILINE)
    assert re.search(r"^ +7 groups +21 +0 +420 *$", out, re.MULTILINE)
    assert "7 of 7 groups passed in 0 min" in out
    assert set(json.loads((tmp_path / "report" / regress.FILE).read_text())) == set(runs[0])


def test_a_run_that_fails_and_one_that_goes_on(runs, capsys, tmp_path):
    done, said = runs
    said["sim.imx8.128"] = ended(FAIL, failed=2)
    said["sim.imx8.512"] = ended(sources="before")
    assert cli.main(["regress", "--only", "sim.imx8", "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert f"sim.imx8.128: a reason; {tmp_path / 'report' / 'regress' / 'sim.imx8.128'}" in out
    assert "again: epbell regress --only sim.imx8.128" in out
    assert "3 of 4 groups passed" in out
    del done[:], said["sim.imx8.128"]
    assert cli.main(["regress", "--only", "sim.imx8", "--resume"]) == 0
    # One had failed, one had passed on other sources.
    assert done == ["sim.imx8.128", "sim.imx8.512"]


def test_an_interrupted_run_keeps_what_it_has(runs, capsys, tmp_path):
    runs[1]["sim.imx8.128"] = KeyboardInterrupt()
    assert cli.main(["regress", "--only", "sim.imx8", "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "interrupted after 1 of 4 groups; go on with --resume" in out
    assert "not run" in out
    assert set(json.loads((tmp_path / "report" / regress.FILE).read_text())) == {"sim.imx8.64"}


def test_list_and_json(runs, capsys, tmp_path):
    assert cli.main(["regress", "--only", "long", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["long"]["passed"] == 3
    assert cli.main(["regress", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert lines[-1].split(maxsplit=1)[1] == "pass, 3 passed in 60 s, 2026-01-01"
    assert runs[0] == ["long"]
    (tmp_path / "report" / regress.FILE).write_text("{")
    assert cli.main(["regress", "--list", "--only", "long"]) == 0
    assert capsys.readouterr().out == "long\n"


@pytest.mark.parametrize(
    ("arguments", "value", "remedy"),
    [
        (["--only", "sym.imx8"], "not 'sym.imx8'", "such as 'sim.imx8.*', or one of sim, port, bars, selftest, large,"),
        (["--only", ""], "not ''", "--list prints every name"),
        (["--jobs", "0"], "not '0'", "a number from 1 to 64"),
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
    assert runs[0] == []


def test_outside_a_checkout(runs, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(installation, "PROJECT", tmp_path)
    assert cli.main(["regress"]) == 2
    assert "run `make regress`" in capsys.readouterr().err
