"""What the command lines of several verbs read in the same way."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["device_tree_file", "number"]


def number(low: int, high: int) -> Callable[[str], int]:
    """Return what reads an argument that is a number from `low` to `high`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"it must be a number from {low} to {high}, not {text!r}")
        return int(text)

    return read


def device_tree_file(text: str) -> Path:
    """Return the absolute path of a device tree file.

    Raises
    ------
    argparse.ArgumentTypeError
        If there is no such file, or it cannot be read.
    """
    path = Path(text)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise argparse.ArgumentTypeError(f"it must be a device tree file that can be read, not {text!r}")
    return path.absolute()
