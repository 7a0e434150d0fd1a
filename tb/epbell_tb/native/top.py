"""The top level of the wire and metal tiers: the endpoint, its clock, and one call of C++ in each clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epbell.export import Port

__all__ = ["Pin", "Pins", "header", "top"]

_CLOCKED = ("clk", "rst")

_TEXT = """\
module top;
  timeunit 1ns; timeprecision 1ns;
  import "DPI-C" function void epbell_clock(
    input bit [{seen}:0] seen, output bit [{drive}:0] drive, output bit [31:0] alone);

  bit clk = 0, rst = 1;
  bit [3:0] clocks = 0;
  bit [31:0] alone = 0, next_alone;
  always #2 clk = ~clk;

  bit [{seen}:0] seen;
  bit [{drive}:0] drive = 0, next_drive;
{wires}

  assign seen = {{
{outputs}}};

  always @(posedge clk) begin
    if (clocks != 15) clocks <= clocks + 1;
    rst <= clocks < 8;
    if (alone != 0) alone <= alone - 1;  // what is driven stays as it is
    else if (clocks == 15) begin
      epbell_clock(seen, next_drive, next_alone);
      drive <= next_drive;
      alone <= next_alone;
    end
  end

  {module} dut(.*);
endmodule
"""


@dataclass(frozen=True)
class Pin:
    """A port of the endpoint in the words that C++ sees: its name, its width in bits, its first word of 32 bits."""

    name: str
    width: int
    word: int

    @property
    def words(self) -> int:
        """How many words it takes."""
        return (self.width + 31) // 32


class Pins:
    """The endpoint's outputs and inputs, clock and reset apart, as two rows of words.

    Parameters
    ----------
    ports : sequence of Port
        Ports of an exported endpoint.

    Attributes
    ----------
    seen, drive : dict
        Outputs and inputs, by name.
    """

    def __init__(self, ports: Sequence[Port]) -> None:
        self.seen = _row([port for port in ports if port.direction == "output"])
        self.drive = _row([port for port in ports if port.direction == "input" and port.name not in _CLOCKED])


def _row(ports: Sequence[Port]) -> dict[str, Pin]:
    row: dict[str, Pin] = {}
    word = 0
    for port in ports:
        row[port.name] = pin = Pin(port.name, port.width, word)
        word += pin.words
    return row


def _size(row: dict[str, Pin]) -> int:
    return sum(pin.words for pin in row.values())


def header(pins: Pins) -> str:
    """Return the C++ header with the place of each pin."""
    lines = [f"#define SEEN {_size(pins.seen)}", f"#define DRIVE {_size(pins.drive)}"]
    lines += [f"#define LANES {pins.drive['s_axis_cq_tkeep'].width}"]
    lines += [f"#define CQ_USER_WORDS {pins.drive['s_axis_cq_tuser'].words}"]
    lines += [f"#define RC_USER_WORDS {pins.drive['s_axis_rc_tuser'].words}"]
    lines += [f"#define CC_USER_WORDS {pins.seen['m_axis_cc_tuser'].words}"]
    lines += [f"#define RQ_USER_WORDS {pins.seen['m_axis_rq_tuser'].words}"]
    lines += [f"#define READY_BITS {pins.drive['m_axis_cc_tready'].width}"]
    lines += [f"#define SEEN_{pin.name} {pin.word}" for pin in pins.seen.values()]
    lines += [f"#define DRIVE_{pin.name} {pin.word}" for pin in pins.drive.values()]
    return "\n".join(lines) + "\n"


def top(module: str, pins: Pins) -> str:
    """Return the SystemVerilog of the top level ``top`` around the endpoint `module`."""
    wires = [f"  wire [{pin.width - 1}:0] {pin.name};" for pin in pins.seen.values()]
    wires += [
        f"  wire [{pin.width - 1}:0] {pin.name} = drive[{32 * pin.word} +: {pin.width}];" for pin in pins.drive.values()
    ]
    outputs = [_padded(pin) for pin in reversed(pins.seen.values())]
    return _TEXT.format(
        module=module,
        seen=32 * _size(pins.seen) - 1,
        drive=32 * _size(pins.drive) - 1,
        wires="\n".join(wires),
        outputs=",\n".join(outputs),
    )


def _padded(pin: Pin) -> str:
    rest = 32 * pin.words - pin.width
    return f"    {rest}'b0, {pin.name}" if rest else f"    {pin.name}"
