"""A module on its own in an FPGA: registers at its ports, and three pads for each clock.

Where a module is measured alone, its ports would be pads, whose delays say nothing about a design around it and of
which there are too few, or would be left open, and paths from and to them would not count at all. Here each port but a
clock has a flip-flop on its other side. So every path of the module counts, those from its inputs and to its outputs in
full, as between two blocks that register what they exchange. Through these flip-flops the inputs are shifted in from
one pad; what those of the outputs hold is folded into one bit behind them. They are of a module around it, and are not
counted. The clocks come from pads, and so are on the FPGA's clock nets, as in any design; so are the resets, which
vendors' tools put there by themselves.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from epbell import export
from epbell_tb.area_modules import Target

__all__ = ["TOP", "Design", "convert", "synthesis_script", "wrapper"]

TOP = "area"
"""Name of the module around the one that is measured."""

_SHORT = "&scorr;&sweep;&dc2;&sopb;&dch,-f;&if,-F,0,-A,0,-q,-W,1000"
"""What ABC does for short paths: ABC9's own steps, one that balances before them, and mapping without area recovery and
without its second and third start (``-q``), which save area wherever a path is shorter than the longest one."""

_PORT = re.compile(r"^  wire (?:width (\d+) )?(input|output) \d+\s+\\(\S+)$", re.MULTILINE)
_SOURCE = re.compile(r"^\s*attribute \\src .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Design:
    """What is synthesized.

    Attributes
    ----------
    module : str
        Name of the module that is measured.
    rtlil : str
        The module and all below it.
    verilog : str
        The module around it, and memories.
    fanned : int
        Fewest flip-flops that have a clock enable.
    """

    module: str
    rtlil: str
    verilog: str
    fanned: int = 1

    @property
    def digest(self) -> str:
        """A name for what it is, the same for whatever lines of the source it comes from."""
        return hashlib.sha256((_SOURCE.sub("", self.rtlil) + self.verilog).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the files that `synthesis_script` reads."""
        (folder / "design.il").write_text(self.rtlil, encoding="utf-8")
        (folder / "design.sv").write_text(self.verilog, encoding="utf-8")


def convert(target: Target) -> Design:
    """Build the component, and what is around it.

    Raises
    ------
    ValueError
        If a parameter of the component is out of range.
    """
    text, memories = export.to_rtlil(target.recipe(), target.module)
    return Design(target.module, text, memories + wrapper(text, target.module), target.fanned)


def wrapper(rtlil: str, module: str) -> str:
    """Return the Verilog of the module around one: a flip-flop for each bit of its ports but for clocks.

    A port belongs to the clock that its name begins like, ``a_irq`` to ``a_clk``; else to ``clk``.

    Parameters
    ----------
    rtlil : str
        Design that holds the module.
    module : str
        Its name.

    Raises
    ------
    ValueError
        If the design holds no such module.
    """
    ports = _ports(rtlil, module)
    clocks = {name for name, _, _ in ports if name == "clk" or name.endswith("_clk")}
    declared, inside, connected = [], [], []
    shifted: dict[str, str] = {}  # the bit that the next input of a clock takes
    folded: dict[str, str] = {}
    for clock in sorted(clocks):
        declared += [f"input {clock}", f"input {clock}_in", f"output reg {clock}_out"]
        shifted[clock], folded[clock] = f"{clock}_in", "1'b0"
    for name, direction, width in ports:
        if name in clocks:
            connected.append(f".{name}({name})")
            continue
        own = f"{name.partition('_')[0]}_clk"
        clock, bits = own if own in clocks else "clk", f"[{width - 1}:0] "
        if direction == "input":
            shift = f"{name}_q <= {{{name}_q, {shifted[clock]}}}"
            inside.append(f"  reg {bits}{name}_q;\n  always @(posedge {clock}) {shift};")
            if name == "rst" or name.endswith("_rst"):
                inside.append(f"  wire {name}_g;\n  DCCA {name}_buffer(.CLKI({name}_q), .CLKO({name}_g), .CE(1'b1));")
                connected.append(f".{name}({name}_g)")
            else:
                connected.append(f".{name}({name}_q)")
            shifted[clock] = f"{name}_q[{width - 1}]"
        else:
            fold = f"{name}_f <= {{{name}_f, {folded[clock]}}} ^ {name}_q"
            inside.append(f"  wire {bits}{name}_d;\n  reg {bits}{name}_q, {name}_f;")
            inside.append(f"  always @(posedge {clock}) {name}_q <= {name}_d;\n  always @(posedge {clock}) {fold};")
            connected.append(f".{name}({name}_d)")
            folded[clock] = f"{name}_f[{width - 1}]"
    inside += [f"  always @(posedge {clock}) {clock}_out <= {bit} ^ {shifted[clock]};" for clock, bit in folded.items()]
    lines = [f"module {TOP}({', '.join(declared)});", *inside, f"  {module} dut({', '.join(connected)});", "endmodule"]
    return "\n".join(lines) + "\n"


def synthesis_script(module: str, fanned: int = 1) -> str:
    """Return what Yosys does with the files of a `Design`: ``cells.json`` of the module alone, ``netlist.json`` of all.

    Parameters
    ----------
    module, fanned : str, int
        As those of `Design`.

    Nothing is optimized across the ports of the module, since nobody knows what is beyond them; its own hierarchy is
    dissolved. In front of that the part ``blocks``, an endpoint's registers, is mapped for itself: ABC9 takes 100,000
    inputs of flip-flops and memories at a time, and ends without a word if there are more.

    `fanned` is no option of ``synth_ecp5``: where it is more than 1 its steps are run one after the other, with two of
    them put in other words. ABC9 then counts with 1 ns for a wire, which is what it takes in a large module, and
    leaves each path as short as it can be: it does not look for what paths that are not the longest could share.
    """
    return f"""\
read_rtlil design.il
read_verilog -sv design.sv
chformal -remove
setattr -mod -set keep_hierarchy 1 {module} {module}.blocks
{_mapping(fanned)}
setattr -mod -unset keep_hierarchy {module}.blocks
flatten
tee -q -o cells.json stat -json
setattr -mod -unset keep_hierarchy {module}
flatten
write_json netlist.json
"""


def _mapping(fanned: int) -> str:
    synth = f"synth_ecp5 -abc9 -nowidelut -top {TOP}"
    if fanned == 1:
        return synth
    plain = "-cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r"
    enabled = "-cell $_DFFE_??_ 01 -cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r"
    return f"""\
{synth} -run begin:map_ffs
dfflegalize -mince {fanned} -minsrst {2 * fanned - 1} {plain} {enabled}
opt_clean
{synth} -run map_ffs:map_luts
techmap -map +/lattice/latches_map.v
abc9 -maxlut 4 -W 1000 -script +{_SHORT}
clean
{synth} -run map_cells:"""


def _ports(rtlil: str, module: str) -> list[tuple[str, str, int]]:
    """Name, direction and width of each port."""
    start = rtlil.find(f"module \\{module}\n")
    if start < 0:
        raise ValueError(f"The module must be one that the design holds, not {module!r}")
    body = rtlil[start : rtlil.index("\nend\n", start)]
    return [(name, direction, int(width or 1)) for width, direction, name in _PORT.findall(body)]
