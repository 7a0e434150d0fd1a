"""`epbell testplan`: verdicts of tests and scenarios are joined, and nothing but a pass looks like one."""

import json
import subprocess
import sys

import pytest

from epbell_tb import testplan, verdicts
from epbell_tb.testplan import Plan, judge
from epbell_tb.verdicts import FAIL, PASS, SKIP, Verdict

OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"
CASE = "tests/sim/test_scenarios.py::test_scenario[64-stalled-imx8-ring]"
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
scenarios = ["ring"]
later = "the other half waits for something"

[[plan]]
id = "waits"
intent = "Nothing yet."
source = ["words"]
later = "waits for something"
"""


def plan(*tests, scenarios=(), later=""):
    return Plan("id", "Intent.", ("words",), tuple(scenarios), tests, later)


@pytest.mark.parametrize(
    ("ran", "verdict", "date"),
    [
        ({}, testplan.NEVER, ""),
        ({"t.py::a": Verdict(PASS, NEW), "t.py::b[1]": Verdict(PASS, OLD)}, PASS, OLD),
        ({"t.py::a": Verdict(PASS, NEW), "t.py::b[1]": Verdict(FAIL, OLD)}, FAIL, OLD),
        ({"t.py::a": Verdict(SKIP, NEW)}, SKIP, NEW),
        ({"t.py::a": Verdict(SKIP, NEW), "t.py::b[1]": Verdict(PASS, OLD)}, PASS, OLD),
        ({"t.pyx::a": Verdict(PASS, NEW)}, testplan.NEVER, ""),
    ],
)
def test_verdict_of_a_file_is_that_of_its_tests(ran, verdict, date):
    row = judge(plan("t.py"), ran, {})
    assert (row.verdict, row.date) == (verdict, date)


def test_function_has_its_parameters_and_no_others():
    ran = {"t.py::a[1]": Verdict(PASS, NEW), "t.py::ab": Verdict(FAIL, NEW)}
    assert judge(plan("t.py::a"), ran, {}).verdict == PASS
    assert judge(plan("t.py::a[1]"), ran, {}).verdict == PASS
    assert judge(plan("t.py::a[2]"), ran, {}).verdict == testplan.NEVER


@pytest.mark.parametrize(
    ("ran", "simulated", "verdict"),
    [
        ({}, {}, testplan.NEVER),
        ({}, {"ring": Verdict(PASS, OLD)}, PASS),
        ({CASE: Verdict(PASS, OLD)}, {}, PASS),
        ({CASE: Verdict(FAIL, OLD)}, {"ring": Verdict(PASS, NEW)}, PASS),
        ({CASE: Verdict(PASS, OLD)}, {"ring": Verdict(FAIL, NEW)}, FAIL),
        ({CASE: Verdict(FAIL, NEW)}, {"ring": Verdict(PASS, OLD)}, FAIL),
        ({CASE.replace("-ring]", "-other_ring]"): Verdict(PASS, NEW)}, {}, testplan.NEVER),
    ],
)
def test_of_a_scenario_the_newest_verdict_counts(ran, simulated, verdict):
    assert judge(plan(scenarios=["ring"]), ran, simulated).verdict == verdict


def test_worst_entry_decides_and_a_reason_is_no_test():
    ran = {"t.py::a": Verdict(PASS, NEW)}
    assert judge(plan("t.py::a", "t.py::b"), ran, {}).verdict == testplan.NEVER
    assert judge(plan(), ran, {}).verdict == testplan.NO_TEST
    assert judge(plan(later="why"), ran, {}).verdict == testplan.LATER


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a plan, and a place for its reports."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "testplan.toml").write_text(PLAN)
    monkeypatch.delenv("EPBELL_SIM_BUILD", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(project, verdict):
    report = project / "sim_build" / "report"
    verdicts.merge(report / "verdicts.json", {"tests/test_a.py::test_it": Verdict(verdict, NEW)})
    rows = [{"name": "ring", "width": width, "verdict": PASS} for width in (64, 128)]
    (report / "summary.json").write_text(json.dumps({"date": OLD, "scenarios": rows, "versions": {}}))


def test_command_prints_each_row_with_tests_and_verdicts(project, capsys):
    assert testplan.main([]) == 0
    assert "3 rows: 2 never run, 1 later, 1 partly later" in capsys.readouterr().out
    told(project, PASS)
    assert testplan.main([]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "pass       2026-02-01   good (6.1 row 3)"
    assert out[2].split() == ["pass", "2026-02-01", "tests/test_a.py"]
    assert out[5].split() == ["pass", "2026-01-01", "make", "sim", "SCENARIO=ring"]
    assert out[6].strip() == "later: the other half waits for something"
    assert out[7] == "later                   waits (words)"
    assert out[-1] == "3 rows: 2 pass, 1 later, 1 partly later"


def test_command_fails_with_a_test(project, capsys):
    told(project, FAIL)
    assert testplan.main(["--json"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert {row["id"]: row["verdict"] for row in content["rows"]} == {"good": "fail", "half": "pass", "waits": "later"}
    assert content["rows"][0]["entries"] == [
        {"kind": "test", "name": "tests/test_a.py", "verdict": "fail", "date": NEW}
    ]


def test_command_fails_with_a_row_that_nothing_shows(project, capsys):
    (project / "tests" / "testplan.toml").write_text('[[plan]]\nid = "bare"\nintent = "Nothing."\nsource = ["words"]\n')
    assert testplan.main(["--missing"]) == 1
    assert capsys.readouterr().out.startswith("no test ")


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
        ("sim_build/report/summary.json", "{", 1, "run it again"),
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


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "--dist", "loadgroup")], ids=["one process", "workers"])
def test_sessions_write_their_verdicts(arguments, tmp_path, monkeypatch, request):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text((request.config.rootpath / "tests" / "conftest.py").read_text())
    (tmp_path / "tests" / "test_it.py").write_text(SESSION)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = simulation\n")
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path / "build"))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    path = tmp_path / "build" / "report" / "verdicts.json"
    assert path.is_file(), done.stdout + done.stderr
    found = {name.removeprefix("tests/test_it.py::"): one.verdict for name, one in verdicts.read(path).items()}
    assert found == {
        "test_group[node@1]": PASS,
        "test_group[node@2]": PASS,
        "test_fails": FAIL,
        "test_skips": SKIP,
        "test_teardown": FAIL,
    }
    (tmp_path / "tests" / "test_it.py").write_text("def test_fails():\n    pass\ndef test_new():\n    pass\n")
    subprocess.run([*command, *arguments, "-k", "new"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert len(verdicts.read(path)) == 6
    subprocess.run([*command, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert {name.rpartition("::")[2]: one.verdict for name, one in verdicts.read(path).items()} == {
        "test_fails": PASS,
        "test_new": PASS,
    }
