"""The command ``epbell``: one verb for each thing the project does, the same ones as the Makefile's targets.

A verb is imported when it is called, so that ``epbell --help`` does not wait for tools that it does not use. Exit
status: 0 done, 1 it failed or a tool is missing, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from epbell_tb import installation, toolchain

__all__ = [
    "VERBS",
    "Verb",
    "entry_point",
    "main",
]

# More workers than this only wait for each other's compilations.
_MOST_WORKERS = 4


@dataclass(frozen=True)
class Verb:
    """One verb of the command.

    Attributes
    ----------
    summary : str
        What it does, in one line.
    run : callable
        Takes the arguments after the verb, returns the exit status.
    """

    summary: str
    run: Callable[[list[str]], int]


class _UsageError(Exception):
    """The command line is wrong; the text says what and how to put it right."""


def entry_point() -> NoReturn:
    """Run `main` on the process's arguments and exit with its status."""
    # Amaranth says so of components that were only asked for their ports, or copied; to a user it means nothing.
    warnings.filterwarnings("ignore", message=".* created but never used")
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one verb.

    Parameters
    ----------
    arguments : list of str
        The command line without the program's name.

    Returns
    -------
    int
        Exit status. Errors of the user are one sentence on stderr, not a traceback.
    """
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        return status
    except _UsageError as error:
        print(f"epbell: {error}", file=sys.stderr)
        return 2
    except toolchain.ToolError as error:
        print(f"epbell: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("epbell"):
            raise
        print(f"epbell: the package that provides {error.name!r} is missing; run `make setup`", file=sys.stderr)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("epbell: interrupted", file=sys.stderr)
        return 130
    return 1


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(_overview())
            return 0
        case ["--version", *rest]:
            return _version(rest)
        case [name, *rest] if name in VERBS:
            return VERBS[name].run(rest)
    given = arguments[0]
    if given.startswith("-"):
        raise _UsageError(f"options other than --help and --version follow a verb, as in `epbell sim {given}`")
    close = difflib.get_close_matches(given, VERBS, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"it must be one of {', '.join(VERBS)}"
    raise _UsageError(f"no verb is called {given!r}; {hint}")


def _overview() -> str:
    lines = [f"  {name:8} {verb.summary}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: epbell VERB [options]   (epbell VERB --help tells its options)",
            "       epbell --version [--json]",
            "",
            "The doorbell that a PCIe endpoint lacks: open RTL, the software of both ends as models, and benches.",
            "",
            *lines,
        ]
    )


def _parser(verb: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"epbell {verb}", description=description, allow_abbrev=False)


def _version(arguments: list[str]) -> int:
    parser = _parser("--version", "Print the versions of the project and of its tools.")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(arguments)
    return _print_versions(as_json=options.json)


def _setup(arguments: list[str]) -> int:
    parser = _parser("setup", "Check that every tool is there, and say which ones are used.")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(arguments)
    toolchain.check_python()
    toolchain.check_build_tools()
    toolchain.check_libpython()
    if not options.json:
        print(f"using {toolchain.describe()}")
    return _print_versions(as_json=options.json)


def _print_versions(*, as_json: bool) -> int:
    try:
        own = importlib.metadata.version("epbell")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"
    versions = {"epbell": own, **toolchain.versions()}
    if as_json:
        print(json.dumps(versions, indent=2))
    else:
        print(", ".join(f"{name} {version}" for name, version in versions.items()))
    return 0


def _verilog(arguments: list[str]) -> int:
    parser = _parser("verilog", "Write every exported module as SystemVerilog, its descriptions, and a manifest.")
    options = _output_options(parser, arguments, "build/verilog")
    export = importlib.import_module("epbell.export")
    total = len(export.MODULES)
    done: list[str] = []

    def progress(name: str) -> None:
        done.append(name)
        print(f"[{len(done)}/{total}] {name}", file=sys.stderr, flush=True)

    # Where there are builds, what was converted for them is taken if nothing has changed since.
    runner = importlib.import_module("epbell_tb.runner")
    source = runner.source if runner.sim_build().is_dir() else None
    try:
        written = export.write_all(_output_folder(options.out), progress=progress, source=source)
    except export.ExportError as error:
        raise toolchain.ToolError(str(error)) from error
    return _print_files(written, as_json=options.json)


def _regs(arguments: list[str]) -> int:
    description = (
        "Write every register map as a C header, Markdown, HTML and a Python object, and every configuration of the "
        "endpoint as an SVD file and a device-tree snippet."
    )
    parser = _parser("regs", description)
    options = _output_options(parser, arguments, "build/regs")
    generate = importlib.import_module("epbell_regs.generate")
    return _print_files(generate.write_all(_output_folder(options.out)), as_json=options.json)


def _output_options(parser: argparse.ArgumentParser, arguments: list[str], folder: str) -> argparse.Namespace:
    parser.add_argument("--out", type=Path, default=Path(folder), metavar="FOLDER", help=f"default: {folder}")
    parser.add_argument("--json", action="store_true", help="print the list of files as JSON")
    return parser.parse_args(arguments)


def _output_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _UsageError(
            f"--out must be a folder that can be written, not {str(folder)!r}: {error.strerror}"
        ) from error
    return folder


def _print_files(files: list[Path], *, as_json: bool) -> int:
    print(json.dumps([str(path) for path in files], indent=2) if as_json else "\n".join(str(path) for path in files))
    return 0


def _delegate(module: str) -> Callable[[list[str]], int]:
    """Hand the arguments to ``main`` of a module that has a command line of its own."""

    def run(arguments: list[str]) -> int:
        return int(importlib.import_module(module).main(arguments))

    return run


def _on_tree(verb: str, module: str = "") -> Callable[[list[str]], int]:
    """As `_delegate`, for a verb that works on the source tree; the module has its name unless another is given."""

    def run(arguments: list[str]) -> int:
        _checkout(verb)
        return _delegate(f"epbell_tb.{module or verb}")(arguments)

    return run


def _checkout(verb: str) -> Path:
    """Folder of the source tree; an installed package has none, and what lies there instead is not ours to touch."""
    project = installation.PROJECT
    if not (project / "pyproject.toml").is_file() or not (project / "tests").is_dir():
        raise _UsageError(f"`epbell {verb}` works on the source tree: clone the project and run `make {verb}` there")
    return project


def _in_checkout(verb: str, *command: str) -> Callable[[list[str]], int]:
    """Run a Python module in the source tree, with the arguments behind those of `command`."""

    def run(arguments: list[str]) -> int:
        project = _checkout(verb)
        # An outer make must not hand its options to the makes that the tests start.
        env = {name: value for name, value in os.environ.items() if name not in installation.MAKE_VARIABLES}
        # The version is the lock file's business; pyright would ask the package index for a newer one.
        env["PYRIGHT_PYTHON_IGNORE_WARNINGS"] = "1"
        sys.stdout.flush()
        return subprocess.call([sys.executable, "-m", *command, *arguments], cwd=project, env=env)

    return run


def _pytest(verb: str, *folders: str) -> Callable[[list[str]], int]:
    workers = max(1, min(_MOST_WORKERS, os.cpu_count() or 1))
    return _in_checkout(verb, "pytest", "-n", str(workers), "--dist", "loadgroup", *folders)


def _clean(arguments: list[str]) -> int:
    _parser("clean", "Remove everything that was built, except .venv.").parse_args(arguments)
    _checkout("clean")
    return installation.main(["clean"])


VERBS: dict[str, Verb] = {
    "setup": Verb("check that every tool is there and say which ones are used", _setup),
    "sim": Verb("run the scenarios on Verilator or Icarus and print what happened", _delegate("epbell_tb.sim")),
    "block": Verb("run the unit tests of blocks of the RTL that were edited, in seconds", _on_tree("block", "blocks")),
    "selftest": Verb("run Linux's selftest of an endpoint and print TAP", _delegate("epbell_tb.selftest")),
    "linux": Verb("boot stock Linux kernels whose PCI device is the endpoint, and print TAP", _on_tree("linux")),
    "test": Verb("run every test (arguments go to pytest)", _pytest("test")),
    "unit": Verb("run only the tests that need no Verilator", _pytest("unit", "-m", "not simulation")),
    "vntb": Verb("measure pings between two hosts over each doorbell, and draw them", _delegate("epbell_tb.vntb")),
    "random": Verb("run random traffic on the whole endpoint", _delegate("epbell_tb.random_run")),
    "faults": Verb("try every fault in every state, and see the RTL survive each", _delegate("epbell_tb.faults")),
    "soak": Verb("send millions of doorbells at the RTL's own speed", _delegate("epbell_tb.soak")),
    "regress": Verb("run what is too much for `test`: takes hours, and can be run in parts", _on_tree("regress")),
    "formal": Verb("prove the RTL by k-induction, and see each proof refute deliberate defects", _on_tree("formal")),
    "mutate": Verb("let Yosys break the RTL at random and count what tests and proofs notice", _on_tree("mutate")),
    "cover": Verb("show how much of the RTL the simulations reach, and what they do not", _on_tree("cover")),
    "area": Verb("measure how large and how fast the modules are in an FPGA", _on_tree("area")),
    "lint": Verb("check the source with ruff", _in_checkout("lint", "ruff", "check")),
    "type": Verb("check the types with pyright", _in_checkout("type", "pyright", "--warnings", "-p", ".")),
    "verilog": Verb("write the modules as SystemVerilog", _verilog),
    "regs": Verb("write the registers for C, Python, debuggers (SVD), Linux's device tree, and to read", _regs),
    "diagrams": Verb("record the documentation's timing diagrams, as WaveJSON", _delegate("epbell_tb.docs.record")),
    "docs": Verb("build the documentation as a site, with every warning an error", _on_tree("docs", "docs.build")),
    "bitstream": Verb("make the bitstream of a board that has no PCIe", _on_tree("bitstream")),
    "board": Verb("use a board over its serial port: selftest, info", _delegate("epbell_tb.board")),
    "bench": Verb("measure latency and throughput", _delegate("epbell_tb.bench")),
    "profile": Verb("show where the time of a simulation goes (with py-spy)", _delegate("epbell_tb.profiler")),
    "mutants": Verb("break RTL and models by hand and see that the tests notice", _on_tree("mutants")),
    "testplan": Verb("print what has to be shown, its tests and their last verdict", _on_tree("testplan")),
    "clean": Verb("remove everything that was built, except .venv", _clean),
}
"""Name of each verb -> what it does."""

if __name__ == "__main__":
    entry_point()
