"""No part of an exported module is constructed and then forgotten.

Amaranth says so when the forgotten part is collected as garbage, which in a run of many tests is in some other test, or
never. Here each module is elaborated in a process of its own, whose end collects everything; elsewhere the warning is
off, since a test that sees a wrong parameter refused leaves unfinished parts behind.
"""

import subprocess
import sys

import pytest

from epbell.export import MODULES

ELABORATE = """
import gc, warnings
from amaranth.hdl import Fragment
from {module} import {name} as build
warnings.simplefilter("always")
component = build{call}
Fragment.get(component, None)
del component
gc.collect()
"""


def complaints(module, name, call, folder):
    program = ELABORATE.format(module=module, name=name, call=call)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120).stderr


@pytest.mark.parametrize("name", MODULES)
def test_no_part_is_forgotten(name, tmp_path):
    assert complaints("epbell.export", "MODULES", f"[{name!r}]()", tmp_path) == ""


def test_a_forgotten_part_is_noticed(tmp_path):
    (tmp_path / "forgetful.py").write_text(
        "from amaranth.hdl import Elaboratable, Module\n"
        "class Part(Elaboratable):\n"
        "    def elaborate(self, platform):\n"
        "        return Module()\n"
        "class Whole(Elaboratable):\n"
        "    def __init__(self):\n"
        "        self.part = Part()\n"
        "    def elaborate(self, platform):\n"
        "        return Module()\n"
    )
    assert "Part object" in complaints("forgetful", "Whole", "()", tmp_path)
