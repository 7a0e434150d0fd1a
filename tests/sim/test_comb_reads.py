"""No combinational block of an exported module reads a variable that it drives itself.

There the standard gives the value of before the block was entered, which is the old one, and Verilator does as it says;
Amaranth's simulator shows the settled value. Such a block passes every unit test and fails on silicon or in a bench.
"""

import re

import pytest

from epbell import export
from epbell_tb import runner

MODULE = "epbell_mu_imx8ulp"
NAME = r"\\\S+|[A-Za-z_][\w$]*"
BLOCK = re.compile(r"^  always_comb\b.*?(?=^  \S|\Z)", re.MULTILINE | re.DOTALL)
STORE = re.compile(rf"^(?:[^;]*?:\s*)?((?:{NAME})\s*(?:\[[^\]]*\]\s*)?|{{[^}}]*}}\s*)=\s*(.*);$")
NOISE = re.compile(r"\(\*.*?\*\)|/\*.*?\*/|\d+'s?[bdh][\w?]+|//[^\n]*", re.DOTALL)


def reads_of_its_own(text):
    """Return module and variable for each that a combinational block both drives and reads."""
    found = []
    for module in re.split(r"^(?=module )", text, flags=re.MULTILINE)[1:]:
        for block in BLOCK.findall(module):
            driven, read = set(), set()
            for line in NOISE.sub("", block).splitlines():
                store = STORE.match(line.strip())
                if store:
                    driven |= set(re.findall(NAME, store[1]))
                read |= set(re.findall(NAME, store[2] if store else line))
            found += [(module.split("(")[0].split()[1], name) for name in sorted(driven & read)]
    return found


@pytest.mark.parametrize("module", export.MODULES)
def test_no_block_reads_what_it_drives(module):
    text = runner.source(module)
    assert len(BLOCK.findall(text)) > 10, "the blocks are not found: has the form of the export changed?"
    assert reads_of_its_own(text) == []


def planted(*lines):
    body = "\n".join(f"    {line}" for line in lines)
    return f"module planted(a);\n  reg b;\n  always_comb begin\n{body}\n  end\n  assign c = b;\nendmodule\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("b = 1'h0;", "c = b & a;"),
        ("b = 1'h0;", "if (b) begin", "d = a;", "end"),
        ("b[1] = 1'h0;", "casez (b)", "1'h1:", "c = a;", "endcase"),
        (r"\b.c = 1'h0;", r"d = \b.c ;"),
        ("casez (a)", "1'h1:", "b = b;", "endcase"),
        ("casez (a)", "2'h1: b = a;", "default: c = b;", "endcase"),
        ("{ b[3], b[1:0] } = { a[3], a[1:0] };", "c = b;"),
        ("{ b[1], b[0] } = { a, b[0] };",),
    ],
)
def test_planted_block_is_found(lines):
    assert len(reads_of_its_own(planted(*lines))) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ("b = a;", "c = 4'hb;"),
        ("{ b[2], b[0] } = { a[2], a[0] };",),
        ("b = a;", "b = d;"),
        (r"(* src = 'b = b;' *)", "b = a;"),
    ],
)
def test_other_block_is_not(lines):
    assert reads_of_its_own(planted(*lines)) == []
