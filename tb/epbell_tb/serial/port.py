"""A serial port, by pyserial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import serial

from epbell_tb.serial.link import Port, SerialError

__all__ = ["BAUD", "opened"]

BAUD = 1_000_000
"""Bits per second of a board's port, unless its bitstream was made for another rate."""


@contextmanager
def opened(name: str, baud: int = BAUD) -> Iterator[Port]:
    """Open a port for one user at a time, and close it afterwards.

    Parameters
    ----------
    name : str
        Such as ``/dev/ttyUSB0``.
    baud : int
        Bits per second; of a pseudo-terminal without meaning.

    Raises
    ------
    SerialError
        If it cannot be opened.
    """
    try:
        port = serial.Serial(name, baud, exclusive=True)
    except (OSError, ValueError) as error:  # pyserial's own are OSErrors
        raise SerialError(f"the serial port {name} does not open at {baud} baud: {error}") from error
    with port:
        low_latency = getattr(port, "set_low_latency_mode", None)
        if low_latency is not None and not name.startswith("/dev/pts/"):
            with suppress(OSError, ValueError):
                low_latency(True)  # an FTDI chip keeps bytes for 16 ms otherwise
        port.reset_input_buffer()
        yield port
