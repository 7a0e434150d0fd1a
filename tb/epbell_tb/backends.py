"""Which doorbell each device tree got, why, and what the host's DOORBELL test said: as the scenarios tell it.

Nothing here knows what ought to come out; a tree of which no scenario told anything has a line that says so.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Backend",
    "backends",
    "lines",
]

_TITLES = {
    "mu": "Messaging Unit",
    "edma": "embedded eDMA doorbell",
    "polling": "polling",
    None: "no doorbell",
}


@dataclass(frozen=True)
class Backend:
    """What a scenario told about the doorbell of a device tree.

    Attributes
    ----------
    tree : str
        Name of the device tree.
    told : bool
        Whether a scenario told anything; if not, the rest is None or empty.
    backend : str or None
        ``"mu"``, ``"edma"``, ``"polling"``; None if the allocation failed.
    reason : str
        What the endpoint's Linux logged while it chose.
    result : int or None
        What the host's DOORBELL test returned: 0 or a negative errno; None if none was run.
    """

    tree: str
    told: bool
    backend: str | None = None
    reason: str = ""
    result: int | None = None

    @property
    def title(self) -> str:
        """The backend in words."""
        if not self.told:
            return "-"
        return _TITLES.get(self.backend, str(self.backend))

    @property
    def outcome(self) -> str:
        """What the DOORBELL test returned, in words."""
        if not self.told:
            return "no scenario that ran here tells"
        if self.result is None:
            return "DOORBELL test: not run"
        return f"DOORBELL test: {_errno(self.result)}"


def backends(trees: Iterable[str], accounts: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Backend]:
    """Collect what the scenarios told.

    Parameters
    ----------
    trees : iterable of str
        Names of the device trees, in the order in which they are shown.
    accounts : iterable of (str, mapping)
        Name of a device tree and a line that a scenario on it handed on. Lines without ``"backend"`` tell nothing.

    Returns
    -------
    list of Backend
        One for each tree; several where runs on one tree disagree.
    """
    told: dict[str, dict[Backend, None]] = {tree: {} for tree in trees}
    for tree, account in accounts:
        if "backend" in account:
            backend = Backend(tree, True, account["backend"], account.get("reason") or "", account.get("result"))
            told[tree][backend] = None
    return [backend for tree, found in told.items() for backend in found or {Backend(tree, False): None}]


def lines(found: Sequence[Backend]) -> list[str]:
    """Return a line for each, in columns."""
    cells = [(item.tree, item.title, f'"{item.reason}"' if item.reason else "-", item.outcome) for item in found]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    shape = "   ".join(f"{{:{width}}}" for width in widths) + "   {}"
    return [shape.format(*row) for row in cells]


def _errno(result: int) -> str:
    name = errno.errorcode.get(-result)
    return f"-{name}" if result < 0 and name else str(result)
