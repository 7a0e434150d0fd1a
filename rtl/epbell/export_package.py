"""What goes beside the SystemVerilog of an exported module, so that other tools take it as it is."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from epbell.export_fusesoc import core
from epbell.export_interfaces import interfaces_of
from epbell.export_ipxact import IEEE_2009, IEEE_2014, Facts, ipxact
from epbell.export_ports import Port
from epbell.export_template import template
from epbell.memory_map import memory_maps

__all__ = ["version", "write_package"]


def write_package(folder: Path, name: str, component: object, ports: Sequence[Port]) -> dict[str, Path]:
    """Write the descriptions of a module whose SystemVerilog is ``<name>.sv`` in a folder.

    Parameters
    ----------
    folder : Path
        Where to; it is there already.
    name : str
        Name of the module.
    component : wiring.Component
        What it was made of.
    ports : sequence of Port
        Its ports.

    Returns
    -------
    dict of str to Path
        Kind of description -> file: ``"ipxact"`` (IEEE 1685-2014), ``"vivado"`` (IEEE 1685-2009, all that Vivado
        reads), ``"template"`` (an instance to copy), ``"fusesoc"`` (a core description).
    """
    facts = Facts(name, version(), ports, interfaces_of(ports), memory_maps(component))
    files = {
        "ipxact": (folder / f"{name}.xml", ipxact(facts, IEEE_2014, f"{name}.sv")),
        "vivado": (folder / "vivado" / name / "component.xml", ipxact(facts, IEEE_2009, f"../../{name}.sv")),
        "template": (folder / f"{name}.veo", template(name, ports)),
        "fusesoc": (folder / f"{name}.core", core(name, version())),
    }
    for path, text in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {kind: path for kind, (path, _) in files.items()}


def version() -> str:
    """Version of the project, ``"0.0.0"`` if it runs without being installed."""
    try:
        return importlib.metadata.version("epbell")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"
