"""A board in simulation: compiled with Verilator, a process of its own, at the other end of a pseudo-terminal."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock

from epbell import export
from epbell_tb import runner, toolchain
from epbell_tb.serial.shapes import Shape

__all__ = ["DIVISOR", "PATIENCE", "Trouble", "compiled", "simulated"]

PATIENCE = 10.0
"""Seconds after which the host repeats what a simulated board has not acknowledged: on a busy machine it is slow."""

DIVISOR = 4
"""Clocks of a bit: the fewest, since time on the wire is what such a simulation mostly takes."""

_SOURCE = Path(__file__).with_name("board.cpp")
_VERILATOR = (
    *("--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing"),
    *("--prefix", "Vboard", "-Wno-fatal", "-CFLAGS", "-std=c++20", "-o", "epbell-board"),
)
_MAKE = ("OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")
_PATIENCE = 200_000
"""Clocks after which the simulated board sends again what was not acknowledged."""


class Trouble:
    """What the wire does to bytes in either direction.

    Parameters
    ----------
    flip, drop : int
        Of so many bytes one has a bit flipped, one is lost; 0 for none.
    seed : int
        Of both.
    """

    def __init__(self, flip: int = 0, drop: int = 0, seed: int = 1) -> None:
        for name, value in (("flip", flip), ("drop", drop), ("seed", seed)):
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, not {value}")
        self.arguments = [str(flip), str(drop), str(seed)]


def compiled(shape: Shape, *, say: Callable[[str], None] | None = None) -> Path:
    """Return the program of a board, compiled unless it is there already.

    Parameters
    ----------
    shape : Shape
        The endpoint on it.
    say : callable, optional
        Told in a sentence when a compilation starts.

    Raises
    ------
    epbell_tb.runner.SimulationError
        If Verilator or the C++ compiler refuses it.
    """
    module = f"epbell_serial{shape.width}_{shape.ram_size >> 10}"
    text = runner.source(module, partial(shape.board, DIVISOR, patience=_PATIENCE))
    around = _SOURCE.read_text(encoding="utf-8")
    verilator = toolchain.find_verilator()
    key = "\n".join([export.source_hash(text), around, *_VERILATOR, *_MAKE, verilator.version, str(verilator.program)])
    root = runner.sim_build() / f"board-{module}"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / hashlib.sha256(key.encode()).hexdigest()[:12]
    program = folder / "out" / "epbell-board"
    with FileLock(root / "lock"):
        if not program.exists():
            if say is not None:
                say("compiling the board")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "design.sv").write_text(text, encoding="utf-8")
            (folder / "board.cpp").write_text(around, encoding="utf-8")
            files = ["-Mdir", "out", "design.sv", "../board.cpp"]
            _call([str(verilator.program), *_VERILATOR, "--top-module", module, *files], folder)
            _call(["make", "-C", "out", "-f", "Vboard.mk", *_MAKE], folder)
    return program


@contextmanager
def simulated(program: Path, trouble: Trouble | None = None) -> Iterator[str]:
    """Run a board; yield the name of its serial port, and end it afterwards.

    Raises
    ------
    epbell_tb.runner.SimulationError
        If it does not start.
    """
    arguments = [str(program), str(DIVISOR), *(trouble or Trouble()).arguments]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as board:
        assert board.stdout is not None
        assert board.stdin is not None
        try:
            name = board.stdout.readline().strip()
            if not name:
                raise runner.SimulationError(f"{program.name} has not started: it ended with {board.wait()}")
            yield name
        finally:
            board.stdin.close()
            board.wait()


def _call(command: list[str], folder: Path) -> None:
    log = folder / "build.log"
    env = {**os.environ, **toolchain.verilator_env()}
    with log.open("a", encoding="utf-8") as out:
        code = subprocess.call(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    if code != 0:
        text = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        raise runner.SimulationError(f"{Path(command[0]).name} ended with {code}; see {log}\n{text}")
