"""What `epbell regs` writes: C headers, HTML, Markdown, SVD files, device-tree snippets and Python objects."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any, Protocol

from epbell_regs import devicetree, python_object, svd
from epbell_regs.configurations import CONFIGURATIONS
from epbell_regs.tree import blocks, load

if TYPE_CHECKING:
    from pathlib import Path

    from systemrdl.node import AddrmapNode

__all__ = [
    "write_all",
    "write_headers",
]


class _Exporter(Protocol):
    def export(self, node: AddrmapNode | list[AddrmapNode], path: str, /, **options: str) -> None: ...


def write_all(out_dir: Path) -> list[Path]:
    """Write everything, for every block and every configuration.

    Parameters
    ----------
    out_dir : Path
        Folder to write to; made if it is missing, files of an earlier run are overwritten.

    Returns
    -------
    list of Path
        What was written. For each block: ``include/<block>.h``, ``markdown/<block>.md``. For each configuration:
        ``svd/<configuration>.svd``, ``devicetree/<configuration>.dtsi`` and ``.dts``. ``python/epbell_registers``, a
        package. Last ``html/index.html``, the start page of all blocks together.
    """
    written = write_headers(out_dir)
    for name in blocks():
        markdown = out_dir / "markdown" / f"{name}.md"
        _exporter("peakrdl_markdown", "MarkdownExporter").export(load(name), str(markdown))
        written.append(markdown)
    written += _write_configurations(out_dir)
    written += python_object.write(out_dir / "python")
    # One site for all: its scripts and fonts are 8 MB.
    html = out_dir / "html"
    tops = [load(name) for name in blocks()]
    _exporter("peakrdl_html", "HTMLExporter").export(tops, str(html), title="epbell registers")
    return [*written, html / "index.html"]


def write_headers(out_dir: Path) -> list[Path]:
    """Write the C header of every block to ``include/<block>.h`` of a folder, and return their paths."""
    folder = out_dir / "include"
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name in blocks():
        written.append(folder / f"{name}.h")
        _exporter("peakrdl_cheader.exporter", "CHeaderExporter").export(load(name), str(written[-1]))
    return written


def _write_configurations(out_dir: Path) -> list[Path]:
    version = importlib.metadata.version("epbell")
    svds, trees = out_dir / "svd", out_dir / "devicetree"
    svds.mkdir(parents=True, exist_ok=True)
    trees.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for configuration in CONFIGURATIONS:
        path = svds / f"{configuration.name}.svd"
        svd.write(configuration, path, version=version)
        written += [path, *devicetree.write(configuration, trees)]
    return written


def _exporter(module: str, name: str) -> _Exporter:
    # Loaded when needed: the exporters bring a template engine along that nothing else wants, and no type annotations.
    exporter: Any = getattr(importlib.import_module(module), name)
    return exporter()
