"""The top level around a module for Icarus: each input has a value, each pin its name."""

import pytest

from epbell_tb.icarus import TOP, top_level

MODULE = """\
module some(clk, a_axil_wdata, irq, m_axis_tdata);
  input clk;
  wire clk;
  input [31:0] a_axil_wdata;
  wire [31:0] a_axil_wdata;
  output irq;
  reg irq;
  output [63:0] m_axis_tdata;
  wire [63:0] m_axis_tdata;
endmodule
"""


def test_text():
    lines = [line.strip() for line in top_level(MODULE, "some").splitlines()]
    assert lines[:5] == [
        f"module {TOP};",
        "reg clk = 0;",
        "reg [31:0] a_axil_wdata = 0;",
        "wire irq;",
        "wire [63:0] m_axis_tdata;",
    ]
    assert {".clk(clk),", ".a_axil_wdata(a_axil_wdata),", ".irq(irq),", ".m_axis_tdata(m_axis_tdata)"} <= set(lines)
    assert lines[-1] == "endmodule"


def test_module_must_be_there():
    with pytest.raises(ValueError, match=r"\(some\), not 'other'"):
        top_level(MODULE, "other")
