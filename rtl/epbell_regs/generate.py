"""C headers, HTML and Markdown of every register map."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

from epbell_regs.tree import blocks, load

if TYPE_CHECKING:
    from pathlib import Path

    from systemrdl.node import AddrmapNode

__all__ = [
    "write_all",
]


class _Exporter(Protocol):
    def export(self, node: AddrmapNode | list[AddrmapNode], path: str, /, **options: str) -> None: ...


def write_all(out_dir: Path) -> list[Path]:
    """Write the C header, the Markdown file and the HTML pages of every block.

    Parameters
    ----------
    out_dir : Path
        Folder to write to; made if it is missing, files of an earlier run are overwritten.

    Returns
    -------
    list of Path
        What was written: ``include/<block>.h`` and ``markdown/<block>.md`` for each block, and ``html/index.html``, the
        start page of all blocks together.
    """
    written: list[Path] = []
    for name in blocks():
        header = out_dir / "include" / f"{name}.h"
        markdown = out_dir / "markdown" / f"{name}.md"
        header.parent.mkdir(parents=True, exist_ok=True)
        _exporter("peakrdl_cheader.exporter", "CHeaderExporter").export(load(name), str(header))
        _exporter("peakrdl_markdown", "MarkdownExporter").export(load(name), str(markdown))
        written += [header, markdown]
    # One site for all: its scripts and fonts are 8 MB.
    html = out_dir / "html"
    tops = [load(name) for name in blocks()]
    _exporter("peakrdl_html", "HTMLExporter").export(tops, str(html), title="epbell registers")
    return [*written, html / "index.html"]


def _exporter(module: str, name: str) -> _Exporter:
    # Loaded when needed: the exporters bring a template engine along that nothing else wants, and no type annotations.
    exporter: Any = getattr(importlib.import_module(module), name)
    return exporter()
