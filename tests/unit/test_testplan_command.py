"""`epbell testplan`: verdicts of cases are joined, and nothing but a pass of each of them looks like a pass."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from epbell_tb import cases, report, sim, sim_options, testplan, verdicts
from epbell_tb.cases import Case, case_of_test, cases_of, collect
from epbell_tb.scenarios import SCENARIOS, WIDTHS
from epbell_tb.testplan import Plan, judge
from epbell_tb.verdicts import FAIL, PASS, SKIP, Verdict

OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
NAME = "bar_test"
CASES = sorted(cases_of(NAME))
EXTRA = f"{NAME}[256-flowing-imx8-linux]"
PLAN = """
[[plan]]
id = "good"
intent = "Passes."
source = ["6.1 row 3"]
tests = ["tests/test_a.py"]

[[plan]]
id = "half"
intent = "Half of it."
source = ["words"]
scenarios = ["bar_test"]
later = "the other half waits for something"

[[plan]]
id = "waits"
intent = "Nothing yet."
source = ["words"]
later = "waits for something"
"""


def plan(*tests, scenarios=(), later=""):
    return Plan("id", "Intent.", ("words",), tuple(scenarios), tests, later=later)


@pytest.mark.parametrize(
    ("ran", "verdict", "date"),
    [
        ({}, testplan.NEVER, ""),
        ({"a": Verdict(PASS, NEW), "b[1]": Verdict(PASS, OLD)}, PASS, OLD),
        ({"a": Verdict(PASS, NEW), "b[1]": Verdict(FAIL, OLD)}, FAIL, OLD),
        ({"a": Verdict(PASS, NEW)}, testplan.PARTLY, NEW),
        ({"b[1]": Verdict(FAIL, NEW)}, FAIL, NEW),
        ({"a": Verdict(SKIP, NEW), "b[1]": Verdict(SKIP, NEW)}, SKIP, NEW),
        ({"a": Verdict(SKIP, NEW), "b[1]": Verdict(PASS, OLD)}, PASS, OLD),
        ({"gone": Verdict(FAIL, NEW)}, testplan.NEVER, ""),
    ],
)
def test_verdict_of_a_file_is_that_of_its_tests(ran, verdict, date):
    """Of all that pytest collects in it; what it holds no more does not count."""
    found = {f"t.py::{name}": one for name, one in ran.items()}
    row = judge(plan("t.py"), found, {}, ["t.py::a", "t.py::b[1]", "t.pyx::a"])
    assert (row.verdict, row.date) == (verdict, date)
    assert row.entries[0].cases == 2


def test_function_has_its_parameters_and_no_others():
    ran = {"t.py::a[1]": Verdict(PASS, NEW), "t.py::ab": Verdict(FAIL, NEW)}
    collected = [*ran, "t.py::a[2]"]
    assert judge(plan("t.py::a"), ran, {}, collected).verdict == testplan.PARTLY
    assert judge(plan("t.py::a"), ran, {}, list(ran)).verdict == PASS
    assert judge(plan("t.py::a[1]"), ran, {}, collected).verdict == PASS
    assert judge(plan("t.py::a[2]"), ran, {}, collected).verdict == testplan.NEVER


def everywhere(verdict, date, *but):
    return {key: Verdict(verdict, date) for key in CASES if key not in but}


@pytest.mark.parametrize(
    ("simulated", "verdict", "date"),
    [
        ({}, testplan.NEVER, ""),
        (everywhere(PASS, OLD), PASS, OLD),
        (everywhere(PASS, OLD, CASES[3]), testplan.PARTLY, OLD),
        ({CASES[0]: Verdict(PASS, NEW)}, testplan.PARTLY, NEW),
        # A newer run of other cases does not hide a failure.
        (everywhere(PASS, NEW) | {CASES[3]: Verdict(FAIL, OLD)}, FAIL, OLD),
        ({CASES[3]: Verdict(FAIL, OLD)}, FAIL, OLD),
        (everywhere(PASS, NEW) | {EXTRA: Verdict(FAIL, OLD)}, FAIL, OLD),
        ({EXTRA: Verdict(PASS, OLD)}, testplan.PARTLY, OLD),
        # What it no longer runs on does not count, nor does another scenario.
        (everywhere(PASS, OLD) | {f"{NAME}[256-flowing-elsewhere]": Verdict(FAIL, NEW)}, PASS, OLD),
        (everywhere(PASS, OLD) | {f"consecutive_{CASES[0]}": Verdict(FAIL, NEW)}, PASS, OLD),
    ],
)
def test_verdict_of_a_scenario_is_that_of_its_cases(simulated, verdict, date):
    row = judge(plan(scenarios=[NAME]), {}, simulated)
    assert (row.verdict, row.date) == (verdict, date)


@pytest.mark.parametrize(
    ("tested", "simulated", "verdict"),
    [
        (Verdict(FAIL, NEW), Verdict(PASS, OLD), FAIL),
        (Verdict(FAIL, OLD), Verdict(PASS, NEW), PASS),
        (Verdict(PASS, NEW), Verdict(FAIL, OLD), PASS),
        (Verdict(PASS, OLD), Verdict(FAIL, NEW), FAIL),
        (Verdict(PASS, OLD), None, PASS),
    ],
)
def test_of_a_case_the_newest_verdict_counts(tested, simulated, verdict):
    """Whether `make sim` or a test of pytest ran it."""
    case = Case(NAME, "imx8", 64, True)
    kept = everywhere(PASS, OLD, case.key) | ({case.key: simulated} if simulated else {})
    assert judge(plan(scenarios=[NAME]), {case.test: tested}, kept, [case.test]).verdict == verdict
    assert case_of_test(case.test) == case


def test_cases_of_a_scenario():
    trees = next(scenario.trees for scenario in SCENARIOS if scenario.name == NAME)
    assert len(CASES) == len(trees) * len(WIDTHS) * 2
    assert {re.fullmatch(r"bar_test\[\d+-(?:flowing|stalled)-([\w-]+)\]", key)[1] for key in CASES} == set(trees)
    assert {Case(NAME, "imx8", width, stalls).key for width in (64, 512) for stalls in (False, True)} < set(CASES)
    assert cases_of("no_such_scenario") == frozenset()
    linux = Case("edma_wrong_bar", "imx8-edma", 256, False, "linux")
    assert case_of_test(linux.test) == linux
    port = Case("edma_wrong_bar", "imx8-edma", 256, False, "linux", "port")
    assert port.group == "256-flowing-imx8-edma-linux-msix-port"
    assert case_of_test(port.test) == port
    assert case_of_test(Case("msix_held_back", "imx8", 64, True, msix="port").test).bars == "everyday"
    assert case_of_test("tests/sim/test_scenarios.py::test_scenario[7]") is None
    assert case_of_test("tests/unit/test_edma.py::test_scenario[256-flowing-imx8-bar_test]") is None


def test_worst_entry_decides_and_a_reason_is_no_test():
    ran = {"t.py::a": Verdict(PASS, NEW)}
    assert judge(plan("t.py::a", "t.py::b"), ran, {}, ["t.py::a", "t.py::b"]).verdict == testplan.NEVER
    assert judge(plan(), ran, {}).verdict == testplan.NO_TEST
    assert judge(plan(later="why"), ran, {}).verdict == testplan.LATER


@pytest.mark.parametrize("dts", [None, "mine.dts"])
def test_a_run_adds_to_the_verdicts_of_those_before(dts, tmp_path):
    """A run of one case leaves what an earlier one said of others, a user's own tree leaves no verdict."""
    options = sim_options.parse(["--report", str(tmp_path)])
    own = dataclasses.replace(options, dts=dts)

    def row(width, verdict):
        return report.Row(NAME, "imx8", width, False, verdict, None, None, None, None, None, 1)

    sim.keep_verdicts(options, [row(64, report.FAIL), row(128, report.MISSING), row(256, report.PASS)], OLD)
    sim.keep_verdicts(own, [row(64, report.PASS)], NEW)
    kept = verdicts.read(tmp_path / verdicts.SCENARIOS)
    assert kept == {
        f"{NAME}[64-flowing-imx8]": Verdict(FAIL, OLD) if dts else Verdict(PASS, NEW),
        f"{NAME}[128-flowing-imx8]": Verdict(FAIL, OLD),
        f"{NAME}[256-flowing-imx8]": Verdict(PASS, OLD),
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a plan, a test, and a place for its reports."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "tests" / "testplan.toml").write_text(PLAN)
    monkeypatch.delenv("EPBELL_SIM_BUILD", raising=False)
    monkeypatch.setattr(cases, "collect", lambda _: ["tests/test_a.py::test_it"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(project, verdict):
    folder = project / "sim_build" / "report"
    verdicts.merge(folder / "verdicts.json", {"tests/test_a.py::test_it": Verdict(verdict, NEW)})
    verdicts.merge(folder / "scenarios.json", everywhere(PASS, OLD))


def test_command_prints_each_row_with_tests_and_verdicts(project, capsys):
    assert testplan.main([]) == 1
    nothing = capsys.readouterr()
    assert "3 rows: 2 never run, 1 later, 1 partly later" in nothing.out
    assert "epbell testplan: none of these has run yet" in nothing.err
    told(project, PASS)
    assert testplan.main([]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "pass       2026-02-01   good (6.1 row 3)"
    assert out[2].split() == ["pass", "2026-02-01", "tests/test_a.py"]
    assert out[5].split() == ["pass", "2026-01-01", "make", "sim", "SCENARIO=bar_test"]
    assert out[6].strip() == "later: the other half waits for something"
    assert out[7] == "later                   waits (words)"
    assert out[-1] == "3 rows: 2 pass, 1 later, 1 partly later"


def test_command_fails_with_a_test(project, capsys):
    told(project, FAIL)
    assert testplan.main(["--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert {row["id"]: row["verdict"] for row in content["rows"]} == {"good": "fail", "half": "pass", "waits": "later"}
    assert content["rows"][0]["entries"] == [
        {"kind": "test", "name": "tests/test_a.py", "verdict": "fail", "date": NEW, "ran": 1, "cases": 1}
    ]


def test_command_fails_with_a_row_that_nothing_shows(project, capsys):
    (project / "tests" / "testplan.toml").write_text('[[plan]]\nid = "bare"\nintent = "Nothing."\nsource = ["words"]\n')
    assert testplan.main(["--missing"]) == 1
    assert capsys.readouterr().out.startswith("no test ")


def test_a_test_out_of_a_file_is_not_the_file(project, capsys, monkeypatch):
    monkeypatch.setattr(cases, "collect", collect)
    told(project, PASS)
    with (project / "tests" / "test_a.py").open("a") as more:
        more.write("def test_other():\n    pass\n")
    verdicts.merge(project / "sim_build" / "report" / "scenarios.json", {CASES[0]: Verdict(FAIL, NEW)})
    assert testplan.main([]) == 1
    out = capsys.readouterr().out
    assert "partly    2026-02-01 tests/test_a.py (1 of 2 cases)" in out
    assert "fail      2026-02-01 make sim SCENARIO=bar_test" in out


def test_tests_that_cannot_be_collected_are_told(project, capsys, monkeypatch):
    monkeypatch.setattr(cases, "collect", collect)
    (project / "tests" / "test_a.py").write_text("import no_such_module\n")
    assert testplan.main([]) == 1
    assert "no_such_module" in capsys.readouterr().err


def test_reason_for_models_alone_is_printed(project, capsys):
    told(project, PASS)
    path = project / "tests" / "testplan.toml"
    path.write_text(path.read_text().replace("tests = [", 'models_only = "why"\ntests = ['))
    assert testplan.main([]) == 0
    assert "models only: why" in capsys.readouterr().out


def test_missing_rows_alone(project, capsys):
    told(project, PASS)
    assert testplan.main(["--missing"]) == 0
    out = capsys.readouterr().out
    assert "good" not in out
    assert "half" in out
    assert "3 rows" in out


@pytest.mark.parametrize(
    ("file", "text", "status", "sentence"),
    [
        ("tests/testplan.toml", None, 2, "run it in a checkout of the project"),
        ("tests/testplan.toml", "[[plan]]\nid = 1\nwhat = 1\n", 1, "have id, intent and source, not ['id', 'what']"),
        ("sim_build/report/scenarios.json", "{", 1, "remove it, for it holds '{'"),
        ("sim_build/report/verdicts.json", "[]", 1, "remove it, for it holds '[]'"),
    ],
)
def test_what_cannot_be_read_is_told(file, text, status, sentence, project, capsys):
    told(project, PASS)
    (project / file).unlink() if text is None else (project / file).write_text(text)
    assert testplan.main([]) == status
    assert sentence in capsys.readouterr().err


def test_verdicts_are_merged(tmp_path):
    path = tmp_path / "report" / "verdicts.json"
    for name in ("tests/a.py", "tests/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    verdicts.merge(path, {f"tests/{test}": Verdict(FAIL, OLD) for test in ("a.py::x", "a.py::y", "b.py::x", "c.py::x")})
    verdicts.merge(path, {"tests/a.py::x": Verdict(PASS, NEW)}, project=tmp_path)
    assert verdicts.read(path) == {
        "tests/a.py::x": Verdict(PASS, NEW),
        "tests/a.py::y": Verdict(FAIL, OLD),
        "tests/b.py::x": Verdict(FAIL, OLD),
    }
    verdicts.merge(path, {"tests/a.py::x": Verdict(PASS, NEW)}, complete=["tests/a.py"])
    assert set(verdicts.read(path)) == {"tests/a.py::x", "tests/b.py::x"}
    path.write_text("no JSON")
    verdicts.merge(path, {"tests/a.py::x": Verdict(PASS, NEW)})
    assert set(verdicts.read(path)) == {"tests/a.py::x"}


SESSION = """
import pytest


@pytest.mark.xdist_group("both")
@pytest.mark.parametrize("name", ["node@1", "node@2"])
def test_group(name):
    pass


def test_fails():
    assert False


def test_skips():
    pytest.skip("why")


@pytest.fixture
def broken():
    yield
    raise RuntimeError


def test_teardown(broken):
    pass
"""


@pytest.fixture
def session(tmp_path, monkeypatch, request):
    """A folder with our conftest.py: what runs pytest in it, its one file of tests, and that of the verdicts."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text((request.config.rootpath / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    simulation\n    long\n")
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path / "build"))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run, tmp_path / "tests" / "test_it.py", tmp_path / "build" / "report" / "verdicts.json"


HOW = pytest.mark.parametrize("arguments", [(), ("-n", "2", "--dist", "loadgroup")], ids=["one process", "workers"])


@HOW
def test_sessions_write_their_verdicts(arguments, session):
    run, tests, path = session
    tests.write_text(SESSION)
    done = run(*arguments)
    assert path.is_file(), done.stdout + done.stderr
    found = {name.removeprefix("tests/test_it.py::"): one.verdict for name, one in verdicts.read(path).items()}
    assert found == {
        "test_group[node@1]": PASS,
        "test_group[node@2]": PASS,
        "test_fails": FAIL,
        "test_skips": SKIP,
        "test_teardown": FAIL,
    }
    tests.write_text("def test_fails():\n    pass\ndef test_new():\n    pass\n")
    assert run(*arguments, "-k", "new").returncode == 0
    assert len(verdicts.read(path)) == 6
    assert run(*arguments).returncode == 0
    assert {name.rpartition("::")[2]: one.verdict for name, one in verdicts.read(path).items()} == {
        "test_fails": PASS,
        "test_new": PASS,
    }


LONG = "import pytest\n@pytest.mark.long\ndef test_long():\n    pass\ndef test_short():\n    assert False\n"


@HOW
def test_a_session_without_its_long_tests_forgets_nothing(arguments, session):
    run, tests, path = session
    tests.write_text(LONG)
    earlier = {f"tests/test_it.py::{name}": Verdict(PASS, OLD) for name in ("test_long", "test_gone")}
    verdicts.merge(path, earlier)
    assert re.search(r"^1 failed(, 1 deselected)? in", run(*arguments).stdout, re.MULTILINE)
    # It did not run all of the file's tests, so none of the earlier verdicts is out of date for sure.
    short = verdicts.read(path).pop("tests/test_it.py::test_short")
    assert short.verdict == FAIL
    assert verdicts.read(path) == {**earlier, "tests/test_it.py::test_short": short}


def test_long_tests_run_when_they_are_asked_for(session):
    run, tests, path = session
    tests.write_text(LONG)
    assert "1 failed, 1 deselected" in run("-m", "not simulation").stdout
    assert "1 passed, 1 deselected" in run("-m", "long").stdout
    assert {name.rpartition("::")[2] for name in collect(path.parents[2])} == {"test_long", "test_short"}
