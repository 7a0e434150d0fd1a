"""Compile the wire and metal tiers: the endpoint, its top level and the C++ around it, into one shared library."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from amaranth.lib import wiring
from filelock import FileLock

from epbell import export
from epbell_tb import runner, toolchain
from epbell_tb.native.top import Pins, header, top

__all__ = ["library"]

_HERE = Path(__file__).parent
_SOURCES = ("endpoint.h", "endpoint.cpp", "metal.h", "metal.cpp", "wire.h", "wire.cpp")
# The design is looked at from nowhere but its pins, so that Verilator may do what it likes with the rest.
_COMPILER = ("-std=c++20", "-fPIC")
_VERILATOR = (
    *("--cc", "--timing", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert"),
    *("--prefix", "Vtop", "--top-module", "top", "--output-split", "0", "-Wno-fatal"),
    *("-CFLAGS", " ".join(_COMPILER)),
)
_OPTIMISED = ("OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")
_QUICK = ("OPT_FAST=-O0", *_OPTIMISED[1:])
_MODEL = ("-O2", *_COMPILER, *(f"-DVM_{what}=0" for what in ("COVERAGE", "SC", "TRACE")), "-DVM_TIMING=1")


def library(
    module: str,
    *,
    builder: Callable[[], wiring.Component] | None = None,
    lose: int = 0,
    quick: bool = False,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Return the shared library of an endpoint, compiled unless it is there already.

    Parameters
    ----------
    module : str
        Name of an exported endpoint, or any name with a `builder`.
    builder : callable, optional
        Makes an endpoint that is not exported.
    lose : int
        A planted defect: one in so many rings is swallowed on its way to the endpoint. 0: none.
    quick : bool
        Compile sooner what then runs slowly.
    say : callable, optional
        Told in a sentence when a compilation starts.

    Raises
    ------
    ValueError
        If there is no such module, or `lose` is negative.
    epbell_tb.runner.SimulationError
        If Verilator or the C++ compiler refuses it.
    """
    if lose < 0:
        raise ValueError(f"The number of rings of which one is lost must be 0 or more, not {lose}")
    text = runner.source(module, builder)
    around = {name: (_HERE / name).read_text(encoding="utf-8") for name in _SOURCES}
    pins = Pins(export.ports_of(text, module))
    inside = {"pins.h": header(pins), "top.sv": top(module, pins), "design.sv": text}
    verilator = toolchain.find_verilator()
    options = _QUICK if quick else _OPTIMISED
    tools = [verilator.version, str(verilator.program)]
    root = runner.sim_build() / f"native-{module}{'-quick' if quick else ''}"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / _key(*inside.values(), *_VERILATOR, *options, *tools)
    made = folder / _key(*around.values(), *_MODEL) / (f"lose-{lose}.so" if lose else "whole.so")
    with FileLock(root / "lock"):
        if not (folder / "done").exists():
            if say is not None:
                say(f"compiling {module} for the wire and metal tiers")
            shutil.rmtree(folder, ignore_errors=True)
            _write(folder, inside)
            _verilate(folder, str(verilator.program), options)
            (folder / "done").touch()
        if not made.exists():
            _write(made.parent, around)
            _link(folder, _root(verilator), _runtime(folder, tools), made, lose)
        for used in (made.parent, folder):
            _forget(used)
    return made


def _key(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


def _forget(used: Path) -> None:
    """Leave the folder that is in use and the one that was before it: others may be about to load from that."""
    now = time.time_ns()
    os.utime(used, ns=(now, now))
    beside = [path for path in used.parent.iterdir() if re.fullmatch("[0-9a-f]{12}", path.name) and path != used]
    for old in sorted(beside, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _root(verilator: toolchain.Verilator) -> Path:
    """Return the folder with Verilator's headers."""
    if verilator.root is not None:
        return verilator.root
    command = [str(verilator.program), "--getenv", "VERILATOR_ROOT"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def _verilate(folder: Path, verilator: str, options: Sequence[str]) -> None:
    _call([verilator, *_VERILATOR, "-Mdir", "out", "design.sv", "top.sv"], folder, {})
    _make(folder, "libVtop.a", options)


def _runtime(folder: Path, tools: Sequence[str]) -> Path:
    """Return Verilator's own library, which every endpoint shares, compiled with the first of them."""
    key = _key(*_COMPILER, *_VERILATOR, *_OPTIMISED, *tools)
    made = runner.sim_build() / "native-verilated" / f"{key}.a"
    made.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(made.with_suffix(".lock")):
        if not made.exists():
            _make(folder, "libverilated.a", _OPTIMISED)
            shutil.copy(folder / "out" / "libverilated.a", made.with_suffix(".part"))
            made.with_suffix(".part").rename(made)
    return made


def _make(folder: Path, what: str, options: Sequence[str]) -> None:
    env = {"OBJCACHE": os.environ.get("OBJCACHE", "ccache")} if shutil.which("ccache") else {}
    _call(["make", "-C", "out", "-f", "Vtop.mk", what, *options], folder, env)


def _link(folder: Path, verilator: Path, runtime: Path, made: Path, lose: int) -> None:
    """Compile the C++ around the endpoint, which is quickly done, and link it with both libraries."""
    compiler = os.environ.get("CXX", "g++")
    scratch = made.with_name(f"{made.stem}-{os.getpid()}")
    headers = verilator / "include"
    include = [f"-I{path}" for path in (folder, folder / "out", headers, headers / "vltstd")]
    planted = [f"-DEPBELL_LOSE={lose}"] if lose else []
    sources = [name for name in _SOURCES if name.endswith(".cpp")]
    parts = [*sources, str(folder / "out" / "libVtop.a"), str(runtime)]
    command = [compiler, *_MODEL, *planted, *include, "-shared", "-o", str(scratch), *parts, "-lpthread"]
    _call(command, made.parent, {})
    scratch.rename(made)


def _call(command: list[str], folder: Path, extra: Mapping[str, str]) -> None:
    log = folder / "build.log"
    env = {**os.environ, **toolchain.verilator_env(), **extra}
    with log.open("a", encoding="utf-8") as out:
        code = subprocess.call(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    if code != 0:
        text = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        raise runner.SimulationError(f"{Path(command[0]).name} ended with {code}; see {log}\n{text}")
