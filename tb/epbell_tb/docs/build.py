"""``epbell docs``: build the documentation as a site, with every warning an error.

The pages of ``docs`` are copied to a folder of their own, the timing diagrams (:mod:`epbell_tb.docs.record`) and the
register reference (:mod:`epbell_regs.generate`) are put beside them, and Sphinx turns all of it into HTML. A link, an
anchor or a picture that leads nowhere, and a page that no list has, are errors. Sphinx and its like are in an
environment of their own, ``docs`` in that of the project, installed from ``requirements-docs.lock`` when first used.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from epbell_regs import generate
from epbell_tb import installation, runner, toolchain
from epbell_tb.docs import record

__all__ = ["LOCK", "build", "main", "stage"]

LOCK = "requirements-docs.lock"
"""Name of the lock file of what builds the site."""

_ENVIRONMENT = "docs"
_IMPORTS = "import furo, myst_parser, sphinx, yowasp_wavedrom"


def main(argv: Sequence[str]) -> int:
    """Build the site and print where its start page is.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell docs``.

    Returns
    -------
    int
        Exit status: 1 if Sphinx warns of anything.
    """
    parser = argparse.ArgumentParser(
        prog="epbell docs", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, default=Path("build/docs"), metavar="FOLDER", help="default: build/docs")
    options = parser.parse_args(argv)
    python = _python()
    try:
        traces = record.record(_say)
    except runner.SimulationError as error:
        raise toolchain.ToolError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="epbell-docs-") as folder:
        source = stage(Path(folder) / "docs", traces)
        status = build(python, source, options.out.absolute())
    if status == 0:
        print(options.out / "index.html")
    return status


def stage(folder: Path, traces: dict[str, record.Trace], pages: Path = installation.PROJECT / "docs") -> Path:
    """Copy the pages to a folder, with diagrams and register reference beside them; return the folder.

    Parameters
    ----------
    folder : Path
        Folder to make.
    traces : dict
        Recorded traces, by name of the diagram.
    pages : Path
        Where the pages are.
    """
    shutil.copytree(pages, folder)
    record.write(folder / "diagrams", traces)
    with tempfile.TemporaryDirectory(prefix="epbell-regs-") as regs:
        written = generate.write_all(Path(regs))
        (folder / "registers").mkdir()
        for page in (path for path in written if path.suffix == ".md"):
            # The generator's pages begin with a heading of the second level; a page of a site begins with the first.
            text = re.sub(r"^#(#+ )", r"\1", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
            (folder / "registers" / page.name).write_text(text, encoding="utf-8")
    return folder


def build(python: str, source: Path, out: Path) -> int:
    """Run Sphinx; return its exit status, which is not 0 if it warned of anything.

    Parameters
    ----------
    python : str
        A Python that has Sphinx and its like.
    source : Path
        Folder made by `stage`.
    out : Path
        Where the site goes; what was there is removed.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [python, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(source.parent / "doctrees")]
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "SPHINXOPTS")}
    return subprocess.call([*command, str(source), str(out)], env=env)


def _python() -> str:
    """Return a Python with Sphinx: this one, if somebody has put it there, else that of its environment, made first."""
    if subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, check=False).returncode == 0:
        return sys.executable
    made = installation.Installation(venv=Path(sys.prefix) / _ENVIRONMENT, lock=LOCK)
    made.ensure_packages()
    return str(made.python)


def _say(text: str) -> None:
    print(text, flush=True)
