"""``make block``: run the unit tests of a block of the RTL, and no more: the answer to an edit comes in seconds.

``tests/blocks.toml`` says which files and which tests a block has. The tests run in Amaranth's simulator, on the
sources as they are, so nothing is compiled. Without a name, the blocks whose files were edited are taken.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli

from epbell_tb.installation import PROJECT
from epbell_tb.toolchain import ToolError

__all__ = ["LISTING", "Block", "blocks_of", "load", "main"]

LISTING = Path("tests") / "blocks.toml"
_MOST_WORKERS = 4


@dataclass(frozen=True)
class Block:
    """A block of the RTL.

    Attributes
    ----------
    name : str
        What the user calls it.
    files : tuple of str
        Its sources, relative to the checkout.
    tests : tuple of str
        Tests for pytest: files, or files with the names of tests.
    without : tuple of str
        Those of them that take too long.
    """

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


def load(path: Path) -> dict[str, Block]:
    """Read the blocks of a TOML file, a table each."""
    rows = tomli.loads(path.read_text(encoding="utf-8"))
    return {
        name: Block(name, tuple(row["files"]), tuple(row["tests"]), tuple(row.get("without", ())))
        for name, row in rows.items()
    }


def blocks_of(blocks: dict[str, Block], wanted: Sequence[str]) -> list[Block]:
    """Return the blocks of that name or with that file.

    Raises
    ------
    ValueError
        If one of them is neither.
    """
    found: dict[str, Block] = {}
    for word in wanted:
        path = word.removeprefix("./")
        hits = [block for block in blocks.values() if word == block.name or path in block.files]
        if not hits:
            raise ValueError(f"A block must be one of {', '.join(blocks)}, or a file of one, not {word!r}")
        found |= {block.name: block for block in hits}
    return list(found.values())


def _edited(project: Path) -> list[str]:
    """Return the Python and SystemRDL files under ``rtl/`` that are not as in the last commit."""
    command = ["git", "status", "--porcelain", "--untracked-files=all", "--no-renames", "--", "rtl"]
    try:
        ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise ToolError("git not found, which tells what was edited; name a block instead") from None
    except subprocess.CalledProcessError as error:
        raise ToolError(f"git cannot tell what was edited; name a block instead: {error.stderr.strip()}") from None
    return [line[3:] for line in ended.stdout.splitlines() if line.endswith((".py", ".rdl"))]


def main(argv: Sequence[str]) -> int:
    """Run the tests of some blocks.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell block``.

    Returns
    -------
    int
        Exit status: 0 green, 1 red, 2 if the command line is wrong.
    """
    parser = argparse.ArgumentParser(
        prog="epbell block", description="Run the unit tests of a block of the RTL, in seconds.", allow_abbrev=False
    )
    parser.add_argument(
        "blocks", nargs="*", metavar="BLOCK", help="a name, or a file of it; default: those that were edited"
    )
    parser.add_argument("--list", action="store_true", help="print the blocks and their tests; run none")
    options = parser.parse_args(argv)
    blocks = load(PROJECT / LISTING)
    if options.list:
        for block in blocks.values():
            print(f"{block.name} ({', '.join(block.files)})\n    {' '.join(block.tests)}")
        return 0
    wanted, without = options.blocks, []
    if not wanted:
        known = {file for block in blocks.values() for file in block.files}
        edited = _edited(PROJECT)
        wanted, without = [file for file in edited if file in known], [file for file in edited if file not in known]
        if not edited:
            print("epbell block: no file of the RTL was edited; name one of " + ", ".join(blocks), file=sys.stderr)
            return 2
    try:
        chosen = blocks_of(blocks, wanted)
    except ValueError as error:
        parser.error(str(error))
    status = _run(chosen) if chosen else 0
    if without:
        print(f"epbell block: no block has {', '.join(without)}; `make test` tests it", file=sys.stderr)
    return status or bool(without)


def _run(chosen: Sequence[Block]) -> int:
    tests = sorted({test for block in chosen for test in block.tests})
    tests += [f"--deselect={test}" for test in sorted({test for block in chosen for test in block.without})]
    workers = min(_MOST_WORKERS, os.cpu_count() or 1)
    spread = ["-n", str(workers), "--dist", "loadgroup"] if workers > 1 else []
    start = time.monotonic()
    status = subprocess.call(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *spread, *tests], cwd=PROJECT
    )
    verdict = "green" if status == 0 else "red"
    print(f"{', '.join(block.name for block in chosen)}: {verdict} after {time.monotonic() - start:.1f} s")
    return 0 if status == 0 else 1
