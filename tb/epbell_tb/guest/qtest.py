"""Interrupts for the guest, through QEMU's test socket.

After QEMU's docs/devel/qtest.rst: a line of words is a command, a line that begins with ``OK`` its answer. Without KVM
QEMU listens to no eventfd of a proxied device, and the protocol has no message for an interrupt. The test socket works
beside the emulated processor: a store to a local APIC's address is a Message Signalled Interrupt, and the inputs of the
I/O APIC are the lines of INTA to INTD.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

__all__ = [
    "Qtest",
    "QtestError",
]

_APIC = "/machine/q35/ioapic unnamed-gpio-in"
_FIRST_LINE = 20
_PINS = 4
_LONGEST = 30.0


class QtestError(Exception):
    """The test socket is not there, or answered something else than OK."""


class Qtest:
    """The test socket of a QEMU.

    Parameters
    ----------
    path
        The UNIX socket. It is connected when it is first needed: QEMU opens it only after it has asked the device what
        it is.
    patience
        Seconds to wait for it, and for each answer.

    Attributes
    ----------
    messages
        How many interrupt messages were sent.
    """

    def __init__(self, path: Path, patience: float = _LONGEST) -> None:
        self.messages = 0
        self._path = path
        self._patience = patience
        self._link: socket.socket | None = None
        self._rest = b""

    def message(self, address: int, data: int) -> None:
        """Store a dword, as an interrupt message does."""
        self._command(f"writel {address:#x} {data:#x}")
        self.messages += 1

    def line(self, slot: int, pin: int, high: bool) -> None:
        """Drive the line of pin 0 (INTA) to 3 (INTD) of the device in ``slot`` of a q35's root bus."""
        self._command(f"set_irq_in {_APIC} {_FIRST_LINE + (slot + pin) % _PINS} {int(high)}")

    def close(self) -> None:
        """Hang up."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _command(self, line: str) -> None:
        if self._link is None:
            self._link = self._connect()
        try:
            self._link.sendall(line.encode() + b"\n")
            answer = self._answer(self._link)
        except OSError as error:
            raise QtestError(f"QEMU's test socket does not answer {line!r}: {error or type(error).__name__}") from error
        if answer.split()[:1] != ["OK"]:
            raise QtestError(f"QEMU's test socket answers {line!r} with {answer!r} instead of OK")

    def _connect(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(self._patience)
        end = time.monotonic() + self._patience
        while True:
            try:
                link.connect(str(self._path))
                return link
            except OSError as error:
                if time.monotonic() > end:
                    link.close()
                    raise QtestError(
                        f"QEMU's test socket {self._path} cannot be reached within {self._patience} s: {error}"
                    ) from error
                time.sleep(0.01)

    def _answer(self, link: socket.socket) -> str:
        while b"\n" not in self._rest:
            data = link.recv(4096)
            if not data:
                raise ConnectionError("it was closed")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")
