"""What Icarus Verilog needs beside an exported module: a top level around it, whose inputs have a value.

A bench drives only the inputs that it is about, and leaves out the others. Verilator has two states, so they are 0; for
Icarus an input of the top level that nobody drives is Z, and a module that adds it up is X for good. The top level
written here has a variable with the name of each input, which is 0 until a bench writes it, and a wire with that of
each output: benches see the same names on either simulator.
"""

from __future__ import annotations

from epbell.export import Port, ports_of

__all__ = ["TOP", "WAVES", "top_level"]

TOP = "epbell_icarus"
"""Name of the top level."""

WAVES = "dump.fst"
"""Name of the file of waves, in the folder of the run; it is written if ``+waves`` is given."""


def top_level(text: str, module: str) -> str:
    """Return the SystemVerilog of the top level around a module.

    Parameters
    ----------
    text : str
        SystemVerilog of the module.
    module : str
        Its name.

    Raises
    ------
    ValueError
        If the text holds no such module.
    """
    ports = ports_of(text, module)
    pins = ",\n".join(f"    .{port.name}({port.name})" for port in ports)
    return (
        f"module {TOP};\n"
        + "".join(_declaration(port) for port in ports)
        + f"  {module} dut (\n{pins}\n  );\n"
        + f'  initial if ($test$plusargs("waves")) begin\n    $dumpfile("{WAVES}");\n    $dumpvars;\n  end\n'
        + "endmodule\n"
    )


def _declaration(port: Port) -> str:
    bits = f"[{port.width - 1}:0] " if port.width > 1 else ""
    return f"  reg {bits}{port.name} = 0;\n" if port.direction == "input" else f"  wire {bits}{port.name};\n"
