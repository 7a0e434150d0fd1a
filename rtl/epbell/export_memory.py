"""Large memories of the export: an inferred RAM instead of half a million lines of initial values.

Amaranth writes the initial value of every row of a memory, which makes minutes of conversion and megabytes of Verilog
out of 2 MiB of zeroes. An all-zero memory becomes an instance of the module below instead.
"""

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.utils import exact_log2

__all__ = ["ExportPlatform"]

_LARGE = 4096  # bits; smaller ones are written out

_MODULE = """\
// Simple dual-port RAM, all zero at power-up. Nobody looks at what a read gives in the cycle of a write to its row.
module epbell_memory #(
  parameter ABITS = 1,
  parameter WIDTH = 32,
  parameter GRANULE = 8
) (
  input clk,
  input [ABITS-1:0] w_addr,
  input [WIDTH-1:0] w_data,
  input [WIDTH/GRANULE-1:0] w_en,
  input [ABITS-1:0] r_addr,
  input r_en,
  output reg [WIDTH-1:0] r_data
);
  (* no_rw_check *) reg [WIDTH-1:0] rows [0:(1<<ABITS)-1];
  integer row;
  integer part;
  initial begin
    r_data = 0;
    for (row = 0; row < (1 << ABITS); row = row + 1) rows[row] = 0;
  end
  always @(posedge clk) begin
    for (part = 0; part < WIDTH / GRANULE; part = part + 1)
      if (w_en[part]) rows[w_addr][part*GRANULE +: GRANULE] <= w_data[part*GRANULE +: GRANULE];
    if (r_en) r_data <= rows[r_addr];
  end
endmodule
"""


class ExportPlatform:
    """Platform for a conversion to Verilog; Amaranth asks it for every memory.

    Attributes
    ----------
    extra : str
        Modules that the converted design instantiates, in SystemVerilog. Complete after the conversion.
    """

    def __init__(self) -> None:
        self.extra = ""

    def get_memory(self, memory: Any) -> Any:
        """Build `memory`: an instance when it is large, blank and has one write and one read port.

        It is one of those where nobody looks at what the ports give when they meet: attribute ``no_rw_check``, which is
        Yosys's name for it, too.
        """
        data = memory.data
        blank = not any(data.init)
        if not (blank and _is_simple(memory) and data.depth * len(memory.read_ports[0].data) >= _LARGE):
            return memory.elaborate(None)
        self.extra = _MODULE
        write, read = memory.write_ports[0], memory.read_ports[0]
        m: Any = Module()
        m.submodules.ram = Instance(
            "epbell_memory",
            p_ABITS=exact_log2(data.depth),
            p_WIDTH=len(write.data),
            p_GRANULE=len(write.data) // len(write.en),
            i_clk=ClockSignal("sync"),
            i_w_addr=write.addr,
            i_w_data=write.data,
            i_w_en=write.en,
            i_r_addr=read.addr,
            i_r_en=read.en,
            o_r_data=read.data,
        )
        return m


def _is_simple(memory: Any) -> bool:
    if len(memory.write_ports) != 1 or len(memory.read_ports) != 1:
        return False
    write, read = memory.write_ports[0], memory.read_ports[0]
    return write.domain == read.domain == "sync" and not read.transparent_for and "no_rw_check" in memory.attrs
