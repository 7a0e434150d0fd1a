"""Programs that get and build what a guest needs; whatever fails is something that is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = [
    "MissingError",
    "Say",
    "apt_update",
    "install",
    "output",
    "run",
]

_MINUTES_15 = 900.0
_OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")

Say = Callable[[str], None]
"""Takes what is being done."""


class MissingError(Exception):
    """Something cannot be had on this machine; the text says what, and how to get it."""


def install(packages: Sequence[str], check: Callable[[], None], say: Say) -> None:
    """Install Debian's packages, if this machine has apt and we may.

    Parameters
    ----------
    packages
        Their names.
    check
        Raises if what apt offers must not be installed.
    say
        Takes what is being done.

    Raises
    ------
    MissingError
        When they are not installed afterwards.
    """
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise MissingError(f"{', '.join(packages)} is missing and this machine has no apt: use Debian 12")
    if os.geteuid() != 0:
        raise MissingError(f"{', '.join(packages)} is missing, and only root can install it: `sudo {command}`")
    # Of a package that it has never heard of apt prints nothing.
    known = re.findall(r"Candidate: (?!\(none\))\S", output(["apt-cache", "policy", *packages]))
    if len(known) < len(packages):
        apt_update(say)
    check()
    say(f"installing {', '.join(packages)} ({command})")
    run([*command.split(), "-y", "-q"], "install it", env={"DEBIAN_FRONTEND": "noninteractive"})


def apt_update(say: Say) -> None:
    """Renew apt's lists; only root can."""
    if os.geteuid() != 0:
        raise MissingError("apt's lists are too old, and only root can renew them: `sudo apt-get update`")
    say("renewing apt's lists (apt-get update)")
    run(["apt-get", "update", "-q"], "renew apt's lists")


def output(command: Sequence[str], env: dict[str, str] | None = None) -> str:
    """Return what a program prints, in English, whether it fails or not; nothing if it cannot be run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False,
            env=os.environ | {"LC_ALL": "C"} | (env or {}),
        )  # fmt: skip
        return done.stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def run(
    command: Sequence[str], purpose: str, *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> None:
    """Run a program to its end, at most 15 minutes; MissingError with the end of what it said if it fails."""
    # An outer make must not hand its options to the kernel's.
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_MAKE}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=inherited | {"LC_ALL": "C"} | (env or {}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_MINUTES_15, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"could not {purpose}: {error}") from error
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-12:])
        raise MissingError(f"could not {purpose}; `{' '.join(command[:4])} ...` said:\n{tail}")
