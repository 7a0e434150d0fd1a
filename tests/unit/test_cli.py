"""The command `epbell` and the Makefile: help, versions, what is said to a wrong command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epbell_tb import cli, installation, toolchain

PROJECT = Path(__file__).parents[2]
TARGETS = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def make(*arguments):
    env = {name: value for name, value in os.environ.items() if name not in installation.MAKE_VARIABLES}
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_targets_are_those_of_the_issue():
    wanted = {
        "setup",
        "sim",
        "selftest",
        "test",
        "regress",
        "soak",
        "formal",
        "unit",
        "lint",
        "type",
        "verilog",
        "regs",
        "bench",
        "testplan",
    }
    wanted |= {"clean", "help"}
    assert wanted <= set(TARGETS)


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_make_prints_every_target_with_a_line(arguments):
    done = make(*arguments)
    assert done.returncode == 0, done.stderr
    listed = dict(re.findall(r"^  make (\w+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert list(listed) == TARGETS
    assert all(len(text) > 10 for text in listed.values())


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_one_call_of_python_for_the_verb_of_its_name(target):
    done = make("-n", target)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert re.match(rf"{re.escape(sys.executable)} tb/epbell_tb/toolchain.py (run )?{target}\b", line)


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"help"}))
def test_every_target_is_a_verb(target):
    assert target in cli.VERBS


def test_make_passes_variables_on():
    line = make("-n", "sim", "TREE=rk3588,hdma").stdout
    assert "run sim --tree 'rk3588,hdma' ##" in " ".join(line.split())
    line = make("-n", "sim", "SEED=7", "WIDTH=64,256", "DTS=my board.dts", "WAVES=1", "ARGS=--json").stdout
    assert "run sim --seed '7' --width '64,256' --dts 'my board.dts' --waves --json" in " ".join(line.split())
    assert "--waves" not in make("-n", "sim", "WAVES=0").stdout
    assert "run block 'rtl/epbell/mu.py' --list ##" in " ".join(
        make("-n", "block", "BLOCK=rtl/epbell/mu.py", "ARGS=--list").stdout.split()
    )
    line = make("-n", "regress", "ONLY=sim.imx8.*,long", "ARGS=--resume").stdout
    assert "run regress --only 'sim.imx8.*,long' --resume ##" in " ".join(line.split())


def test_variables_of_the_makefile_are_for_it_alone():
    """Else the ``make`` inside of another, as in the tests of the README, would obey the outer one's."""
    used = set(re.findall(r"\$\(([A-Z]+)\)", (PROJECT / "Makefile").read_text()))
    assert {"ARGS", "SEED", "WAVES"} < used
    assert used - {"PYTHON", "TOOL", "CHOSEN"} <= set(installation.MAKE_VARIABLES)


def test_missing_python_is_explained():
    done = make("help", "PYTHON=python-that-is-not-there")
    assert done.returncode != 0
    assert "apt-get install python3" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb(arguments, capsys):
    assert cli.main(arguments) == 0
    output = capsys.readouterr().out
    for name, verb in cli.VERBS.items():
        assert re.search(rf"^  {name} +{re.escape(verb.summary)}$", output, re.MULTILINE)


@pytest.mark.parametrize(
    "verb",
    [
        *("setup", "sim", "block", "selftest", "regress", "soak"),
        *("verilog", "regs", "bench", "mutants", "testplan", "clean"),
    ],
)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main([verb, "--help"])
    assert done.value.code == 0
    assert f"usage: epbell {verb}" in capsys.readouterr().out


def test_version_names_the_tools(capsys):
    assert cli.main(["--version"]) == 0
    output = capsys.readouterr().out
    for name in ("epbell", "python", "verilator", "amaranth", "cocotb", "cocotbext-pcie"):
        assert re.search(rf"(^|, ){name} \S+", output)


@pytest.mark.parametrize("arguments", [["--version", "--json"], ["setup", "--json"]])
def test_versions_as_json(arguments, capsys):
    assert cli.main(arguments) == 0
    versions = json.loads(capsys.readouterr().out)
    assert versions["amaranth"].startswith("0.5.")
    assert "missing" not in versions.values()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["simm"], "no verb is called 'simm'; did you mean 'sim'?"),
        (["zzzz"], "no verb is called 'zzzz'; it must be one of setup, sim, "),
        (["--seed"], "as in `epbell sim --seed`"),
    ],
)
def test_wrong_command_line_is_answered_with_the_remedy(arguments, sentence, capsys):
    assert cli.main(arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["setup", "verilog", "regs", "clean"])
def test_unknown_option_is_a_usage_error(verb, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main([verb, "--no-such-option"])
    assert done.value.code == 2
    assert "--no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["verilog", "regs"])
def test_output_folder_that_cannot_be_is_named(verb, tmp_path, capsys):
    occupied = tmp_path / "file"
    occupied.touch()
    assert cli.main([verb, "--out", str(occupied)]) == 2
    assert f"--out must be a folder that can be written, not {str(occupied)!r}" in capsys.readouterr().err


def test_missing_tool_is_one_sentence_and_status_1(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert cli.main(["setup"]) == 1
    error = capsys.readouterr().err
    assert "g++" in error
    assert "Traceback" not in error


def test_missing_package_is_named(monkeypatch, capsys):
    def run(arguments):
        raise ModuleNotFoundError("No module named 'cocotb'", name="cocotb")

    monkeypatch.setitem(cli.VERBS, "sim", cli.Verb("", run))
    assert cli.main(["sim"]) == 1
    assert "'cocotb' is missing; run `make setup`" in capsys.readouterr().err


def test_our_own_missing_module_is_not_hidden(monkeypatch):
    def run(arguments):
        raise ModuleNotFoundError("No module named 'epbell.gone'", name="epbell.gone")

    monkeypatch.setitem(cli.VERBS, "sim", cli.Verb("", run))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["sim"])


@pytest.mark.parametrize(
    "verb",
    [
        *("test", "regress", "unit", "lint", "type", "clean"),
        *("block", "formal", "mutate", "cover", "linux", "mutants", "testplan"),
    ],
)
def test_verbs_of_the_source_tree_say_so_elsewhere(verb, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(installation, "PROJECT", tmp_path)
    (tmp_path / "build").mkdir()
    assert cli.main([verb]) == 2
    assert (tmp_path / "build").exists()
    assert f"run `make {verb}`" in capsys.readouterr().err


def test_tests_get_no_options_of_an_outer_make(monkeypatch):
    seen = {}
    monkeypatch.setenv("MAKEFLAGS", "k WIDTH=64")
    monkeypatch.setattr(cli.subprocess, "call", lambda command, **how: seen.update(how, command=command) or 5)
    assert cli.main(["test", "-k", "ring"]) == 5
    assert "MAKEFLAGS" not in seen["env"]
    assert seen["command"][1:4] == ["-m", "pytest", "-n"]
    assert seen["command"][-2:] == ["-k", "ring"]


def test_reader_that_goes_away_is_no_error():
    line = f"{sys.executable} -m epbell_tb.cli setup --json | true"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_regs_are_written_where_asked(tmp_path, capsys):
    assert cli.main(["regs", "--out", str(tmp_path), "--json"]) == 0
    files = [Path(name) for name in json.loads(capsys.readouterr().out)]
    assert tmp_path / "html" / "index.html" in files
    assert all(path.is_file() for path in files)


def test_tool_error_of_a_verb_is_one_sentence(monkeypatch, capsys):
    def run(arguments):
        raise toolchain.ToolError("perl not found")

    monkeypatch.setitem(cli.VERBS, "sim", cli.Verb("", run))
    assert cli.main(["sim"]) == 1
    assert capsys.readouterr().err == "epbell: perl not found\n"
