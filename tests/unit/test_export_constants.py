"""Bits that are always the same are in the process of their signal's other bits, as Icarus wants it."""

import pytest

from epbell import export

OTHERS = "  always_comb begin\n    { turn[2], turn[0] } = 2'h0;\n    if (x) turn[0] = 1'h1;\n  end\n"
CONSTANT = "  always_comb\n    turn[1] = 1'h0;\n"
MODULES = "\nmodule first;\n  always_comb begin\n    turn[0] = x;\n  end\nendmodule\n\nmodule second;\n{}{}endmodule\n"


def test_a_constant_joins_the_process_of_its_own_module():
    joined = export._constants_joined(MODULES.format(OTHERS, CONSTANT))
    assert joined == MODULES.format(OTHERS.replace("    { turn", "    turn[1] = 1'h0;\n    { turn"), "")


def test_text_without_one_stays():
    assert export._constants_joined(MODULES.format(OTHERS, "")) == MODULES.format(OTHERS, "")


def test_a_constant_alone_is_refused():
    with pytest.raises(export.ExportError, match="No process drives the other bits of turn, of which one is constant"):
        export._constants_joined(MODULES.format("", CONSTANT))
