"""Our own programs for the guest: C files in tests/linux, compiled without libraries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from epbell_tb import installation
from epbell_tb.guest.commands import MissingError

__all__ = ["compiled"]


def compiled(name: str, folder: Path) -> Path:
    """Return a program, compiled if its source is newer.

    Parameters
    ----------
    name
        Its name; the source is ``tests/linux/NAME.c``.
    folder
        Where it is kept.

    Raises
    ------
    MissingError
        When its source or the compiler is not there.
    RuntimeError
        When it cannot be compiled.
    """
    source = installation.PROJECT / "tests" / "linux" / f"{name}.c"
    program = folder / name
    if not source.is_file():
        raise MissingError(f"{source} is not there: clone the project and run the command in the clone")
    if program.is_file() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{name}.{os.getpid()}"  # two runs at a time do not see half of one another's
    command = ["gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(fresh), str(source)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except OSError as error:
        raise MissingError(f"gcc cannot be run, install it with `apt-get install gcc libc6-dev`: {error}") from error
    if done.returncode:
        raise RuntimeError(f"{source} cannot be compiled:\n{done.stderr.strip()}")
    return fresh.replace(program)
