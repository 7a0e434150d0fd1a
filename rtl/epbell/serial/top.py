"""The top level on a board of amaranth-boards: clock, pins, LEDs around :class:`SerialEndpoint`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform
from amaranth_boards.ecpix5 import ECPIX585Platform
from amaranth_boards.ulx3s import ULX3S_85F_Platform
from amaranth_boards.versa_ecp5 import VersaECP5Platform

from epbell.bar import Bar
from epbell.serial.board import SerialEndpoint

__all__ = ["BOARDS", "CLOCK", "Board", "Top"]

CLOCK = 25_000_000
"""Frequency in Hz that the endpoint runs at on every board."""

_VCO = 600_000_000  # of the PLL, between 400 and 800 MHz
_KI = 1 << 10


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes
    ----------
    title : str
        What it is, with its FPGA.
    platform : callable
        Makes its amaranth-boards platform.
    ram_size, bars : int, tuple of int
        Bytes of the RAM and of the BARs: what the FPGA's block RAM has room for.
    windows, outbound_windows : int
        What it has LUTs for. 8 inbound windows are enough to split any BAR, 6 are one for each; pci-epf-test has two
        outbound windows at a time.
    leds : tuple of (str, int, str)
        Its LEDs, in the order of :data:`epbell.serial.leds.EVENTS`: name and number of the resource, and of one with
        several colours which.
    """

    title: str
    platform: Callable[[], Any]
    ram_size: int
    bars: tuple[int, ...]
    windows: int
    outbound_windows: int
    leds: tuple[tuple[str, int, str], ...]


_LARGE = 128 * _KI, (64 * _KI, *(8 * _KI for _ in range(5))), 8, 6
_SMALL = 64 * _KI, tuple(8 * _KI for _ in range(6)), 6, 2
_EIGHT = tuple(("led", number, "") for number in range(8))
_COLOURS = tuple(("rgb_led", number, colour) for colour in "rgb" for number in range(4))[:8]

BOARDS: dict[str, Board] = {
    "ulx3s": Board("Radiona ULX3S, LFE5U-85F", ULX3S_85F_Platform, *_LARGE, _EIGHT),
    "ecpix5": Board("LambdaConcept ECPIX-5, LFE5UM5G-85F", ECPIX585Platform, *_LARGE, _COLOURS),
    "versa": Board("Lattice ECP5 Versa, LFE5UM-45F", VersaECP5Platform, *_LARGE, _EIGHT),
    # Its only LED is on the pin of the serial port's output.
    "colorlight": Board("Colorlight 5A-75B R7.0, LFE5U-25F", Colorlight_5A75B_R70Platform, *_SMALL, ()),
}
"""Name of each board for ``make bitstream``."""


class Top(Elaboratable):
    """All of a board.

    Parameters
    ----------
    board : Board
        The board.
    baud : int
        Bits per second on the serial port.

    Raises
    ------
    ValueError
        If a bit is no whole number of clocks, to 2 %, or too few of them.
    """

    def __init__(self, board: Board, baud: int) -> None:
        divisor = round(CLOCK / baud)
        if divisor < 1 or abs(CLOCK / divisor / baud - 1) > 0.02:
            raise ValueError(f"The baud rate must be {CLOCK} divided by a whole number, to 2 %, not {baud}")
        self._board = board
        self._core = SerialEndpoint(
            64,
            divisor=divisor,
            clock=CLOCK,
            bars=tuple(Bar(size) for size in board.bars),
            ram_size=board.ram_size,
            windows=board.windows,
            outbound_windows=board.outbound_windows,
        )

    def elaborate(self, platform: Any) -> Module:
        """Clock and reset, serial port, LEDs."""
        m: Any = Module()
        self._clock(m, platform)
        m.submodules.core = core = self._core
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = _input(uart.rx)
        m.submodules.tx = tx = _output(uart.tx)
        m.d.comb += [core.rx.eq(rx.i), tx.o.eq(core.tx)]
        ports: dict[tuple[str, int], Any] = {}
        for index, (name, number, colour) in enumerate(self._board.leds):
            if (name, number) not in ports:
                ports[name, number] = platform.request(name, number, dir="-")
            port = ports[name, number]
            led = _output(getattr(port, colour) if colour else port)
            m.submodules[f"led{index}"] = led
            m.d.comb += led.o.eq(core.leds[index])
        return m

    def _clock(self, m: Any, platform: Any) -> None:
        """Make the clock with the PLL; hold the reset until it has locked."""
        m.domains.sync = ClockDomain()
        port = platform.request(platform.default_clk, dir="-")
        m.submodules.clk = clk = _input(port)
        frequency = platform.default_clk_frequency
        reset: Any = Const(0)
        if platform.default_rst is not None:
            m.submodules.rst = rst = _input(platform.request(platform.default_rst, dir="-"))
            reset = rst.i
        locked: Any = Signal()
        m.submodules.pll = _pll(clk.i, ClockSignal("sync"), locked, int(frequency))
        m.submodules.reset = ResetSynchronizer(~locked | reset, domain="sync")


def _input(port: Any) -> Any:
    return io.Buffer("i", port)


def _output(port: Any) -> Any:
    return io.Buffer("o", port)


def _pll(source: Any, clock: Any, locked: Any, frequency: int) -> Any:
    """Return an ECP5's PLL that makes :data:`CLOCK` out of `frequency`, which one of both is a multiple of."""
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=_VCO // CLOCK,
        p_CLKOP_CPHASE=_VCO // CLOCK - 1,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=max(1, frequency // CLOCK),
        p_CLKFB_DIV=max(1, CLOCK // frequency),
        i_RST=Const(0),
        i_STDBY=Const(0),
        i_CLKI=source,
        i_CLKFB=clock,
        i_PHASESEL0=Const(0),
        i_PHASESEL1=Const(0),
        i_PHASEDIR=Const(0),
        i_PHASESTEP=Const(0),
        i_PHASELOADREG=Const(0),
        i_PLLWAKESYNC=Const(0),
        i_ENCLKOP=Const(0),
        o_CLKOP=clock,
        o_LOCK=locked,
    )
