"""The registers as Python objects: a package whose modules PeakRDL-PyRAL writes, one for each register map.

Whoever uses them says how to reach the hardware: `/dev/mem`, a UIO device, OpenOCD, or functions of one's own, also
asynchronous ones. The package needs ``peakrdl-pyral-runtime`` and nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from peakrdl_pyral.exporter import PyRALExporter
from systemrdl.node import RegNode

from epbell_regs.tree import blocks, compile_map

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "PACKAGE",
    "write",
]

PACKAGE = "epbell_registers"
"""Name of the package that is written."""

_INIT = '''"""Registers of epbell's blocks: ``get_ral()`` of a module is a block, whose hardware is attached to it.

    from {package} import mu_imx8ulp
    from peakrdl_pyral_runtime.hwio.mmap import MMapMemHWIO

    side_a = mu_imx8ulp.get_ral()
    side_a.attach_hwio(MMapMemHWIO(0x5d270000, 0x10000))
    with side_a.RCR.change_fields() as fields:
        fields.RIE0 = 1

Every access is one of 32 bits. SPDX-License-Identifier: BSD-2-Clause
"""
'''


def write(folder: Path) -> list[Path]:
    """Write the package into a folder.

    Returns
    -------
    list of Path
        ``__init__.py``, ``py.typed``, and for each block its module, what that reads, and its type annotations.
    """
    package = folder / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    init, marker = package / "__init__.py", package / "py.typed"
    init.write_text(_INIT.format(package=PACKAGE), encoding="utf-8")
    marker.touch()
    written = [init, marker]
    for name in blocks():
        top = compile_map(name)
        for node in top.descendants():
            if isinstance(node, RegNode):
                # In the map this says that byte strobes count. Here it is how software accesses the register.
                node.inst.properties["accesswidth"] = 32
        files = [package / f"{name}.py", package / f"{name}.db", package / f"{name}_stubs.pyi"]
        files[1].unlink(missing_ok=True)
        PyRALExporter().export(top, str(package))
        _mend(files[2])
        written += files
    return written


def _mend(stubs: Path) -> None:
    """Give the elements of arrays of registers a type that is there: PeakRDL-PyRAL 1.1 calls it by another name."""
    text = stubs.read_text(encoding="utf-8")
    for name in re.findall(r"^class (\w+)_Reg\(", text, re.MULTILINE):
        text = re.sub(rf"\b{name}_Register\b", f"{name}_Reg", text)
    stubs.write_text(text, encoding="utf-8")
