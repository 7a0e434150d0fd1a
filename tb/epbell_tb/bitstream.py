"""``epbell bitstream``: the bitstream of a board, with Yosys, nextpnr and ecppack from the package index.

Exit status: 0 it is there and fast enough, 1 it is not or a tool failed, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from epbell_tb.arguments import number
from epbell_tb.serial.port import BAUD
from epbell_tb.synthesis import Placed, install, placed

__all__ = ["Bitstream", "build", "main"]

_OUT = Path("build/bitstream")
_NAME = "epbell"


@dataclass(frozen=True)
class Bitstream:
    """A bitstream: its file, and what came out of placing and routing."""

    path: Path
    placed: Placed
    wanted: float


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str
        The arguments behind ``epbell bitstream``.
    """
    from epbell.serial.top import BOARDS  # not at the top: it loads Amaranth

    parser = _parser(list(BOARDS))
    given = parser.parse_args(argv)
    if given.board not in BOARDS:
        near = difflib.get_close_matches(given.board, BOARDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        parser.error(f"the board must be one of {', '.join(BOARDS)}, not {given.board!r}{hint}")
    try:
        made = build(given.board, given.baud, given.seed, given.out / given.board, say=_print)
    except ValueError as error:
        parser.error(str(error))
    fast = made.placed.megahertz >= made.wanted
    _print(
        f"{made.path}: {made.path.stat().st_size} bytes; {made.placed.luts} LUT4, {made.placed.flops} FF,"
        f" {made.placed.rams} block RAMs; Fmax {made.placed.megahertz:.1f} MHz, {made.wanted:g} MHz wanted"
        f" ({'PASS' if fast else 'FAIL: try another --seed'})"
    )
    return 0 if fast else 1


def build(board: str, baud: int, seed: int, folder: Path, *, say: Callable[[str], None]) -> Bitstream:
    """Make the bitstream of a board.

    Parameters
    ----------
    board : str
        Its name.
    baud : int
        Bits per second of its serial port.
    seed : int
        Of placing.
    folder : Path
        For all files; created if missing.
    say : callable
        Told in a sentence what begins.

    Raises
    ------
    ValueError
        If there is no such baud rate.
    ToolError
        If a tool fails, or cannot be installed.
    """
    from epbell.serial.top import BOARDS, CLOCK, Top

    chosen = BOARDS[board]
    top = Top(chosen, baud)
    tools = install()
    say(f"{chosen.title}: converting")
    platform = chosen.platform()
    report = f"{_NAME}.report"
    # What nextpnr's default, heap, places can hardly be routed, in hours; this is done in minutes.
    options = f"--seed {seed} --placer static --report {report}"
    plan = platform.prepare(top, _NAME, nextpnr_opts=options, ecppack_opts="--compress")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in plan.files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
    say("synthesising, placing and routing: some minutes")
    tools.run(["sh", f"{plan.script}.sh"], folder, folder / "build.log")
    return Bitstream(folder / f"{_NAME}.bit", placed(folder / report), CLOCK / 1e6)


def _print(line: str) -> None:
    print(line, flush=True)


def _parser(boards: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="epbell bitstream",
        description="Make the bitstream of a board: the endpoint behind its serial port. No vendor's tool is needed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--board", required=True, metavar="NAME", help=", ".join(boards))
    add("--baud", type=number(1, 100_000_000), default=BAUD, metavar="RATE", help=f"bits per second, default {BAUD}")
    add("--seed", type=number(1, 1 << 30), default=1, metavar="N", help="seed of placing, default 1")
    add("--out", type=Path, default=_OUT, metavar="FOLDER", help=f"for all files, default {_OUT}")
    return parser
