"""The table of `make area` in a page of the documentation, between two comments; rows of what was not measured stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from epbell_tb.area_measure import Measurement
from epbell_tb.area_modules import TARGETS
from epbell_tb.toolchain import ToolError

__all__ = ["BEGIN", "END", "update"]

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
"""What the table is between."""

_HEAD = (
    "| module | LUT4 | FF | block RAM | MHz min | median | max | seeds | goal | measured |",
    "|---|---|---|---|---|---|---|---|---|---|",
)
_ROW = re.compile(r"^\| `([\w.]+)` ", re.MULTILINE)


def update(page: Path, found: Sequence[Measurement], versions: dict[str, str], date: str) -> None:
    """Put what was measured into the page's table, in the place of what there was about the same modules.

    Parameters
    ----------
    page : Path
        The page; it holds `BEGIN` and `END`.
    found : sequence of Measurement
        What was measured.
    versions : dict of str to str
        Versions of the programs.
    date : str
        The day.

    Raises
    ------
    ToolError
        If there is no such page, or it does not hold both comments.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise ToolError(f"--page must be a page that can be read, not {str(page)!r}: {error.strerror}") from error
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ToolError(f"--page must hold a line {BEGIN!r} and a line {END!r} behind it, as docs/area.md does")
    rows = {match[1]: line for line in old.splitlines() if (match := _ROW.match(line))}
    by = ", ".join(f"{name} {version}" for name, version in versions.items())
    rows |= {one.target.name: _row(one, f"{date}, {by}") for one in found}
    lines = [*_HEAD, *(rows[name] for name in TARGETS if name in rows)]
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


def _row(one: Measurement, measured: str) -> str:
    goal = one.target.goal
    wanted = "" if goal is None else (f"{goal.lut4} LUT4, " if goal.lut4 else "") + f"{goal.mhz:.0f} MHz: "
    verdict = "" if goal is None else "missed" if one.missed() else "reached"
    sizes = (one.netlist.lut4, one.netlist.ff, one.netlist.ram)
    cells = [*map(str, sizes), *(f"{mhz:.0f}" for mhz in one.mhz), str(len(one.routed)), wanted + verdict, measured]
    note = f" ({one.target.note})" if one.target.note else ""
    return f"| `{one.target.name}`{note} | " + " | ".join(cells) + " |"
