"""The proofs of ``tests/formal`` and the deliberate defects that they have to refute."""

from __future__ import annotations

import fnmatch
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import tomli

from epbell_tb.formal_checks import Proof
from epbell_tb.installation import PROJECT
from epbell_tb.mutants import Mutant

__all__ = ["BLOCKS", "FOLDER", "chosen", "load", "mutants"]

FOLDER = Path("tests") / "formal"
"""Where the proofs are, from the project's folder."""

BLOCKS = (
    "mu",
    "edma",
    "counter",
    "axil",
    "csr",
    "msi",
    "msi_queue",
    "msix_parts",
    "msix",
    "msix_served",
    "intx",
    "fence",
    "inbound",
    "express",
    "cpu",
    "outstanding",
    "backlog",
    "age",
    "completer",
    "writes",
    "read_beats",
    "reads",
    "starts",
    "completion",
    "skid",
    "cdc",
    "cdc_channel",
    "cdc_mur",
    "mu_async",
)
"""Files of proofs, in the order in which they run."""


def load() -> dict[str, Proof]:
    """Return all proofs by their names."""
    folder = str(PROJECT / FOLDER)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return {proof.name: proof for block in BLOCKS for proof in importlib.import_module(block).PROOFS}


def mutants(proofs: Sequence[str]) -> list[tuple[Mutant, str]]:
    """Return each defect with each of `proofs` that has to refute it.

    Raises
    ------
    ValueError
        If a defect names a proof that does not exist.
    """
    rows = tomli.loads((PROJECT / FOLDER / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    pairs: list[tuple[Mutant, str]] = []
    for row in rows:
        patterns = tuple(row.pop("proofs"))
        mutant = Mutant(**row, tests=patterns)
        for pattern in patterns:
            if not fnmatch.filter(load(), pattern):
                raise ValueError(f"The defect {mutant.name!r} must name proofs that there are, not {pattern!r}")
        pairs += [(mutant, name) for name in proofs if any(fnmatch.fnmatchcase(name, one) for one in patterns)]
    return pairs


def chosen(names: Sequence[str], patterns: str) -> list[str]:
    """Return those of `names` that match one of the patterns, which have commas between them.

    Raises
    ------
    ValueError
        If a pattern matches none.
    """
    found: set[str] = set()
    for pattern in patterns.split(","):
        hits = fnmatch.filter(names, pattern) or fnmatch.filter(names, f"{pattern}.*")
        if not hits:
            raise ValueError(f"A pattern must match one of {', '.join(names)}, not {pattern!r}")
        found |= set(hits)
    return [name for name in names if name in found]
