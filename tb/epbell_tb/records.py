"""The files in which scenarios leave what their pins showed, one each, for the run report: where they are, what is in.

`epbell_tb.endpoint.record` writes them, the report's ladder page reads them. Between `HEAD` and `TAIL` is one JSON
object::

    name, tree, width, stalls, seed     what ran
    period_ns                           nanoseconds of a clock
    places, registers                   [name, first local address, bytes], {place: {offset: name}}
    edma, bars                          personality of the eDMA page, {BAR: bus address}
    columns                             `COLUMNS`
    left_out                            how many entries were not kept, behind how many that were
    entries                             [kind, value of each of its columns]
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = [
    "COLUMNS",
    "HEAD",
    "TAIL",
    "VARIABLE",
    "file_of",
    "folder",
    "read",
    "wanted",
]

VARIABLE = "EPBELL_RECORD"
"""Environment variable with the folder to which scenarios write their records; without it nothing is kept."""

HEAD, TAIL = "epbellRecord(\n", "\n);\n"
"""What is before and behind the JSON object of a file."""

COLUMNS = {
    "request": (
        *("first", "last", "type", "bar", "address", "length", "first_be", "last_be", "tag", "data", "bytes"),
        "meaning",
    ),
    "completion": ("first", "last", "status", "tag", "byte_count", "length", "lower_address", "data", "bytes"),
    "sent": ("first", "last", "type", "address", "length", "first_be", "last_be", "tag", "data", "bytes", "meaning"),
    "answer": ("first", "last", "status", "error", "tag", "length", "poisoned", "data", "bytes"),
    "write": ("first", "last", "address", "data", "strobes", "response"),
    "read": ("first", "last", "address", "data", "response"),
    "line": ("first", "name", "level"),
    "intx": ("first", "level"),
    "msi": ("first", "last", "vector"),
    "msix": ("first", "last", "vector"),
    "reset": ("first", "what"),
}
"""What the entries of each kind say, behind the kind.

``first`` and ``last`` are clocks: of the first and the last beat; of a ``write`` or ``read`` of the CPU, of its request
and its answer (None: there was none); of an interrupt to the host, of the CPU's write that raised it and of its
arrival, or of its leaving if it is MSI-X. A ``request`` of the host and its ``completion`` go through CQ and CC, what
the endpoint ``sent`` to the host and its ``answer`` through RQ and RC. ``length`` is in dwords; ``data`` has the first
bytes of a payload in hexadecimal digits, ``bytes`` says how many there were. Addresses on the bus, which may have 64
bits, are hexadecimal digits, too.
"""

_SUFFIX = ".record.js"


def wanted() -> bool:
    """Return whether anybody asks."""
    return bool(os.environ.get(VARIABLE))


def folder() -> Path:
    """Return the folder for records.

    Raises
    ------
    KeyError
        If nobody asks for them.
    """
    return Path(os.environ[VARIABLE])


def file_of(folder: Path, name: str) -> Path:
    """Return the file of a scenario in a folder."""
    return folder / f"{name}{_SUFFIX}"


def read(path: Path) -> dict[str, Any]:
    """Return what a file holds.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    text = path.read_text(encoding="utf-8")
    if not (text.startswith(HEAD) and text.endswith(TAIL)):
        raise ValueError(f"{path} must be a record of a scenario, between {HEAD!r} and {TAIL!r}, not {text[:40]!r}")
    return json.loads(text[len(HEAD) : -len(TAIL)])
