"""`make mutants`: what is shadowed, and that a verdict is one."""

from pathlib import Path

import pytest

from epbell_tb.mutants import Mutant, load, main, run_mutant

PROJECT = Path(__file__).parents[2]

CHECK = """
import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / "tb")]  # an installed package comes after PYTHONPATH


def test_sums():
    import hardware, model, bench

    assert hardware.TWO + model.TWO + bench.TWO == 6


def test_checkout():
    import bench

    assert Path(bench.__file__).parents[1].joinpath("tests", "test_sums.py").is_file()


def test_nothing():
    pass
"""


@pytest.fixture
def project(tmp_path):
    """A project of three packages and a test of them."""
    for folder, package in (("rtl", "hardware"), ("models", "model"), ("tb", "bench")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{package}.py").write_text("TWO = 2\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_sums.py").write_text(CHECK)
    return tmp_path


def mutant(file, *, old="TWO = 2", tests=("tests/test_sums.py",)):
    return Mutant("two-is-three", file, old, "TWO = 3", "an example", tests)


def outcome(project, broken, tests=("tests/test_sums.py",)):
    return run_mutant(broken, project, tests)


@pytest.mark.parametrize("file", ["rtl/hardware.py", "models/model.py", "tb/bench.py"])
def test_defect_is_noticed_wherever_it_is(file, project):
    noticed = outcome(project, mutant(file))
    assert noticed.noticed, noticed.output
    assert noticed.first_failure == "tests/test_sums.py::test_sums"
    assert (project / file).read_text() == "TWO = 2\n"


def test_unbroken_sources_pass(project):
    assert not outcome(project, None).noticed


def test_defect_that_no_test_looks_at_survives(project):
    assert not outcome(project, mutant("models/model.py"), ("tests/test_sums.py::test_nothing",)).noticed


def test_checkout_is_around_a_broken_bench(project):
    unnoticed = outcome(project, mutant("tb/bench.py"), ("tests/test_sums.py::test_checkout",))
    assert not unnoticed.noticed, unnoticed.output


def test_test_that_does_not_exist_is_no_verdict(project):
    with pytest.raises(RuntimeError, match="no verdict on two-is-three"):
        outcome(project, mutant("models/model.py"), ("tests/test_sums.py::test_gone",))


def test_text_that_is_gone_is_told(project):
    with pytest.raises(ValueError, match=r"exactly once in models/model\.py \(it is there 0 times\).*not 'TWO = 4'"):
        outcome(project, mutant("models/model.py", old="TWO = 4"))


def test_file_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r"must be under rtl, models, tb, not 'tests/test_sums\.py'"):
        mutant("tests/test_sums.py")


def test_command_counts(project, monkeypatch, capsys):
    (project / "tests" / "mutants.toml").write_text(
        "".join(
            f'[[mutant]]\nname = "{name}"\nfile = "{file}"\nold = "TWO = 2"\nnew = "TWO = 3"\nwhy = ""\n'
            f'tests = ["tests/test_sums.py::{test}"]\n'
            for name, file, test in (
                ("seen", "models/model.py", "test_sums"),
                ("overlooked", "rtl/hardware.py", "test_nothing"),
            )
        )
    )
    assert [one.name for one in load(project / "tests" / "mutants.toml")] == ["seen", "overlooked"]
    monkeypatch.chdir(project)
    assert main(["seen"]) == 0
    assert "1 noticed, 0 survived" in capsys.readouterr().out
    assert main([]) == 1
    assert "1 noticed, 1 survived" in capsys.readouterr().out
    assert main(["unheard"]) == 2
    assert "name one of seen, overlooked, not 'unheard'" in capsys.readouterr().err


@pytest.mark.parametrize("defect", load(PROJECT / "tests" / "mutants.toml"), ids=lambda defect: defect.name)
def test_every_defect_of_ours_fits(defect):
    assert (PROJECT / defect.file).read_text().count(defect.old) == 1
    assert defect.old != defect.new
    assert defect.why
    assert all((PROJECT / test.partition("::")[0]).exists() for test in defect.tests)
