"""README.md and docs/*.md keep their word: every block that can run is run.

Commands are the lines of blocks marked ``sh``, and those behind a prompt in blocks marked ``console``. The programs of
a page are run one after the other as one, and must print what the comment behind each ``print`` says. What is not run
as it stands has an entry with its reason in tests/code_blocks.toml.
"""

import os
import re
import shlex
import subprocess
import sys

import pytest
from code_blocks import LANGUAGES, PAGES, PROJECT, added, blocks, commands, entries, listed, programs, read

from epbell import export
from epbell_models import devicetree
from epbell_tb import cli, runner, toolchain

RUN = {command: entries()[command].shell if command in entries() else command for command in commands()}


def shell(command: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env["PATH"]])
    return subprocess.run(command, shell=True, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=840)


def is_light(command: str) -> bool:
    """Whether a command of ours only reads its options: such ones are run in this process, which is there already."""
    return bool(re.search(r"--(list|help)\b", command)) and command.startswith(("make ", "epbell "))


def arguments(command: str) -> list[str]:
    """Return what `epbell` is started with by a command."""
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", *words[1:]], cwd=PROJECT, capture_output=True, text=True, check=True)
        words = shlex.split(done.stdout.splitlines()[-1], comments=True)  # what `make help` prints is behind it
        return words[words.index("run") + 1 :]
    return words[1:]


@pytest.mark.parametrize("command", [name for name, run in RUN.items() if run and is_light(run)])
def test_command_takes_its_options(command, capsys, monkeypatch):
    monkeypatch.chdir(PROJECT)
    try:
        status = cli.main(arguments(RUN[command]))
    except SystemExit as end:  # argparse after --help, or after an option that it does not know
        status = end.code
    printed = capsys.readouterr()
    assert status in (0, None), f"{RUN[command]}\n{printed.err}"
    assert printed.out.strip()


@pytest.mark.xdist_group("readme")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", [name for name, run in RUN.items() if run and not is_light(run)])
def test_command_runs(command):
    """They share builds and output folders: one worker runs them, one after the other."""
    done = shell(RUN[command])
    assert done.returncode == 0, f"{RUN[command]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("wrong", ["make sim ARGS=--lisst", "make cover ARGS='--seeds none --list'", "epbell sim --x"])
def test_option_that_is_not_there_is_noticed(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments(wrong))
    assert end.value.code == 2


def test_what_is_not_run_as_it_stands_is_on_a_page_and_has_a_reason():
    assert set(entries()) <= set(commands()), set(entries()) - set(commands())
    short = [line for line, entry in entries().items() if len(entry.why.split()) < 3]
    assert not short, f"these need a reason: {short}"
    there = {(block.page, block.text.splitlines()[0].strip()) for block in blocks() if block.text}
    for entry in listed()["block"]:
        assert (entry["page"], entry["begins"]) in there, entry
        assert len(entry["why"].split()) >= 3


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("make sim", "make sim ARGS=--list"),
        ("make sim ARGS=--x", "make sim ARGS='--x --list'"),
        ("make sim ARGS='--x 1' SEED=7", "make sim ARGS='--x 1 --list' SEED=7"),
        ("epbell sim", "epbell sim --list"),
    ],
)
def test_option_is_added(command, more):
    assert added(command, "--list") == more


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    """Nothing that could be run hides as text."""
    text = read(page)
    assert len(re.findall(r"^```", text, flags=re.MULTILINE)) % 2 == 0
    for block in (block for block in blocks() if block.page == page):
        assert block.language in LANGUAGES, f"{block.language!r} in {page}: {block.text[:60]!r}"
        if block.language == "text":
            assert not re.match(r"(\w*\$ |make |epbell |import |from |pip )", block.text), block.text[:60]


def test_known_commands_are_found():
    """The pages are read at all."""
    assert {"make sim", "make test", "make regs", "epbell selftest --list"} <= set(commands())
    assert "make regress ARGS='--seeds 1000 --scheduler tcp://host0:8786'" in commands()


# That of the README writes a file, at which test_readme.py looks.
@pytest.mark.xdist_group("metal")
@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md" and programs(page)])
def test_programs_print_what_they_say(page, tmp_path):
    program = "\n".join(programs(page))
    promised = [
        None if found[1] is None else found[1].strip()
        for line in program.splitlines()
        if (found := re.match(r"\s*print\(.*?\)(?:\s{2,}#(.*))?$", line))
    ]
    assert None not in promised, f"a print of {page} does not say what it prints"
    env = {**os.environ, "EPBELL_SIM_BUILD": str(runner.sim_build())}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=560,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == promised


SYSTEMVERILOG = [(page, text) for page in PAGES for text in programs(page, "systemverilog")]


@pytest.mark.parametrize(("page", "text"), SYSTEMVERILOG, ids=[page for page, _ in SYSTEMVERILOG])
def test_systemverilog_is_clean_with_the_exported_module(page, text, tmp_path):
    (tmp_path / "example.sv").write_text(f"// verilator lint_off DECLFILENAME\n{text}")
    modules = [name for name in export.MODULES if re.search(rf"\b{name}\b", text)]
    assert modules, f"the example of {page} has none of our modules"
    for name in modules:
        (tmp_path / f"{name}.sv").write_text(runner.source(name))
    top = re.search(r"^module (\w+)", text, flags=re.MULTILINE)[1]
    command = [str(toolchain.find_verilator().program), "--lint-only", "-Wall", "--top-module", top, "example.sv"]
    done = subprocess.run(
        [*command, *(f"{name}.sv" for name in modules)],
        cwd=tmp_path, env={**os.environ, **toolchain.verilator_env()}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_systemverilog_is_there():
    assert SYSTEMVERILOG


TREES = [(page, text) for page in PAGES for text in programs(page, "dts")]


@pytest.mark.parametrize(("page", "text"), TREES, ids=[page for page, _ in TREES])
def test_device_tree_is_one_with_a_doorbell(page, text, tmp_path):
    (tmp_path / "example.dts").write_text(text)
    tree = devicetree.load(tmp_path / "example.dts")
    assert [unit.interrupt.spi for unit in tree.messaging_units] == [191]
    assert tree.endpoint.edma.interrupts


def test_device_tree_is_there():
    assert TREES
