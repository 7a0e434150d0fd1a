"""`make block`: which tests an edit of the RTL has, that they exist, and that red is red."""

import subprocess
import sys

import pytest

from epbell_tb import blocks, cli
from epbell_tb.installation import PROJECT

BLOCKS = blocks.load(PROJECT / blocks.LISTING)
NOT_HARDWARE = (
    *("epbell/__init__.py", "epbell/pcie/__init__.py", "epbell/serial/__init__.py"),
    *("epbell/export.py", "epbell/export_memory.py", "epbell/export_rest.py", "epbell/export_ports.py"),
    *("epbell/export_package.py", "epbell/export_interfaces.py", "epbell/export_ipxact.py", "epbell/memory_map.py"),
    *("epbell/export_template.py", "epbell/export_fusesoc.py"),
    *("epbell_regs/__init__.py", "epbell_regs/tree.py", "epbell_regs/generate.py", "epbell_regs/configurations.py"),
    *("epbell_regs/svd.py", "epbell_regs/devicetree.py", "epbell_regs/python_object.py"),
)
"""Files without hardware: `make test` tests them."""
FAILS = "def test_it():\n    assert not 'planted on purpose'\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with two blocks: the tests of ``good`` pass, those of ``bad`` do not."""
    for name, test in (("good", "def test_it():\n    pass\n"), ("bad", FAILS)):
        (tmp_path / "rtl").mkdir(exist_ok=True)
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "rtl" / f"{name}.py").write_text("")
        (tmp_path / "tests" / f"test_{name}.py").write_text(test)
    (tmp_path / blocks.LISTING).write_text(
        "".join(f'[{n}]\nfiles = ["rtl/{n}.py"]\ntests = ["tests/test_{n}.py"]\n' for n in ("good", "bad"))
    )
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    subprocess.run(["git", "-C", str(tmp_path), "add", "rtl"], check=True)
    subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "-qm", "all"], check=True)
    monkeypatch.setattr(blocks, "PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("wanted", "status"), [("good", 0), ("rtl/good.py", 0), ("bad", 1), ("./rtl/bad.py", 1)])
def test_verdict(checkout, wanted, status, capfd):
    assert blocks.main([wanted]) == status
    assert f"{'bad' if status else 'good'}: {'red' if status else 'green'} after" in capfd.readouterr().out


def test_edited_blocks_are_taken(checkout, capfd):
    assert blocks.main([]) == 2
    assert "name one of good, bad" in capfd.readouterr().err
    (checkout / "rtl" / "good.py").write_text("edited = True\n")
    assert blocks.main([]) == 0
    assert "good: green" in capfd.readouterr().out


def test_what_no_block_has_is_told(checkout, capfd):
    for name in ("good", "other"):
        (checkout / "rtl" / f"{name}.py").write_text("edited = True\n")
    assert blocks.main([]) == 1
    said = capfd.readouterr()
    assert "good: green" in said.out
    assert "no block has rtl/other.py; `make test` tests it" in said.err
    (checkout / "rtl" / "good.py").write_text("")
    assert blocks.main([]) == 1


def test_without_a_repository_a_block_must_be_named(checkout, capsys):
    (checkout / ".git").rename(checkout / "git")
    assert cli.main(["block"]) == 1
    assert "git cannot tell what was edited; name a block instead: fatal: not a git" in capsys.readouterr().err


def test_what_takes_too_long_is_left_out(checkout):
    with (checkout / blocks.LISTING).open("a") as listing:
        listing.write('without = ["tests/test_bad.py::test_it"]\n')
    (checkout / "tests" / "test_bad.py").write_text(FAILS + "def test_other():\n    pass\n")
    assert blocks.main(["bad"]) == 0


def test_each_file_of_the_rtl_is_in_a_block_or_tells_why_not():
    files = {str(path.relative_to(PROJECT)) for kind in ("*.py", "*.rdl") for path in (PROJECT / "rtl").rglob(kind)}
    in_blocks = {file for block in BLOCKS.values() for file in block.files}
    assert files - in_blocks - {f"rtl/{name}" for name in NOT_HARDWARE} == set()


def test_unknown_block(capsys):
    with pytest.raises(SystemExit) as ended:
        blocks.main(["mews"])
    assert ended.value.code == 2
    assert "A block must be one of mu, crossing, edma," in capsys.readouterr().err


def test_list(capsys):
    assert blocks.main(["--list"]) == 0
    assert "completion (rtl/epbell/pcie/completion.py, " in capsys.readouterr().out


def test_files_exist():
    files = [file for block in BLOCKS.values() for file in block.files]
    assert files
    assert [file for file in files if not (PROJECT / file).is_file()] == []


def test_tests_exist():
    tests = sorted({test for block in BLOCKS.values() for test in block.tests})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    collected = [line for line in ended.stdout.splitlines() if "::" in line]
    for block in BLOCKS.values():
        for left_out in block.without:
            assert any(name.startswith(left_out) for name in collected), f"{block.name}: {left_out} is no test"
        kept = [name for name in collected if not name.startswith(block.without)]
        for test in block.tests:
            assert any(name.startswith(test) for name in kept), f"{block.name}: nothing is left of {test}"
