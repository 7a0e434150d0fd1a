"""`pip install .`: the command does `verilog`, `regs` and `sim` where there is no source tree, and says what needs one.

In `make test` the packages that the project depends on are lent to the fresh environment, and Verilated RTL is taken
where it has been built; what is marked ``long`` takes nothing from here: pip fetches everything, and `sim` compiles.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from epbell import export
from epbell_tb import runner

PROJECT = Path(__file__).parents[2]
SIM = ("sim", "--width", "64", "--tree", "imx8", "--stalls", "off", "--scenario", "doorbell_test_ten_times", "--json")
OURS = ("epbell", "epbell_regs", "epbell_models", "epbell_tb")


def clean():
    """The environment variables of somebody who has never seen the source tree."""
    gone = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "EPBELL_SIM_BUILD", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in gone}


class Place:
    """A fresh virtual environment with the project in it, and an empty folder."""

    def __init__(self, folder, *, lent):
        self.python = folder / "venv" / "bin" / "python"
        self.cwd = folder / "empty"
        self.cwd.mkdir()
        self.env = clean()
        self.call(sys.executable, "-m", "venv", *(["--without-pip"] if lent else []), str(folder / "venv"))
        if lent:
            wheels = folder / "wheels"
            build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
            subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=300)
            (wheel,) = wheels.glob("*.whl")
            pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-deps", "--no-index"]
            self.call(*pip, str(wheel))
            (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
            # The .pth files in there are not read again, so our own editable installation is not seen.
            (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
            self.env["EPBELL_SIM_BUILD"] = str(runner.sim_build())
        else:
            self.call(str(self.python), "-m", "pip", "install", "--no-input", str(PROJECT))

    def call(self, *command):
        subprocess.run(command, cwd=self.cwd, env=self.env, check=True, capture_output=True, timeout=900)

    def epbell(self, *arguments):
        """Run the command that pip has installed."""
        command = [str(self.python.parent / "epbell"), *arguments]
        how = {"cwd": self.cwd, "env": self.env, "capture_output": True, "text": True}
        return subprocess.run(command, **how, timeout=900, check=False)


@pytest.fixture(
    scope="module",
    params=["lent", pytest.param("fetched", marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def place(request, tmp_path_factory):
    return Place(tmp_path_factory.mktemp("installed"), lent=request.param == "lent")


def test_what_is_imported_is_what_was_installed(place):
    code = f"import json, {', '.join(OURS)}; print(json.dumps([{', '.join(f'{name}.__file__' for name in OURS)}]))"
    out = subprocess.run(
        [str(place.python), "-c", code], cwd=place.cwd, env=place.env, capture_output=True, text=True, check=True
    ).stdout
    assert all(Path(name).is_relative_to(place.python.parents[1]) for name in json.loads(out)), out


def test_verilog(place):
    done = place.epbell("verilog", "--json")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("[") for line in done.stderr.splitlines()), "progress, and nothing else"
    files = [place.cwd / name for name in json.loads(done.stdout)]
    assert {path.stem for path in files if path.suffix == ".sv"} == set(export.MODULES)
    assert all(path.stat().st_size > 100 for path in files)


def test_regs(place):
    done = place.epbell("regs", "--json")
    assert done.returncode == 0, done.stderr
    files = [place.cwd / name for name in json.loads(done.stdout)]
    assert {path.suffix for path in files} >= {".h", ".md", ".html", ".svd", ".dts", ".dtsi", ".py"}
    assert all(path.is_file() for path in files)


@pytest.mark.xdist_group("64-flowing-imx8")
def test_sim(place):
    done = place.epbell(*SIM)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["scenarios"]
    assert (row["name"], row["verdict"], row["rings"]) == ("doorbell_test_ten_times", "pass", 10)


def test_sim_of_a_tree_that_regs_wrote(place):
    """Without compiling: that the file leads to scenarios, and what is said of one that is not there."""
    assert place.epbell("regs").returncode == 0
    tree = "build/regs/devicetree/mu-imx6sx.dts"
    listed = place.epbell("sim", "--dts", tree, "--list")
    assert listed.returncode == 0, listed.stderr
    told = place.epbell("selftest", "--dts", tree, "--only", "pcie_ep_doorbell.DOORBELL_TEST")
    assert "ok 1 pcie_ep_doorbell.DOORBELL_TEST" in told.stdout.splitlines(), told.stderr


@pytest.mark.parametrize("verb", ["test", "unit", "lint", "type", "regress", "block", "formal", "mutate", "cover",
                                  "linux", "mutants", "testplan", "bitstream", "clean"])  # fmt: skip
def test_what_needs_the_source_tree_says_so(place, verb):
    done = place.epbell(verb)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"`epbell {verb}` works on the source tree: clone the project and run `make {verb}` there" in done.stderr
