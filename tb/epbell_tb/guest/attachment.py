"""The device's end of a guest's PCI slot: its requests, its memory and its interrupts.

The process that starts QEMU need not be the one that the endpoint lives in: whoever has the socket and knows the path
of QEMU's test socket can attach itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from epbell_tb.guest.memory import GuestMemory
from epbell_tb.guest.port import MESSAGES, HostFault, Request
from epbell_tb.guest.proxy import Command, ProxyServer
from epbell_tb.guest.qtest import Qtest, QtestError

__all__ = [
    "SLOT",
    "Attachment",
]

SLOT = 4
"""Device number of the endpoint on the guest's root bus."""

_DWORD = 4
_SECONDS_TO_GO = 1.0


class Attachment:
    """The device's end of one slot; both a `Transport` and a `HostSide`.

    Parameters
    ----------
    link
        Our end of the socket that QEMU got.
    qtest
        Path of QEMU's test socket.
    slot
        Device number on the root bus.

    Attributes
    ----------
    messages, lines
        How many interrupt messages there were, and how many changes of INTx.
    """

    def __init__(self, link: socket.socket, qtest: Path, slot: int = SLOT) -> None:
        self.lines = 0
        self._memory = GuestMemory()
        self._proxy = ProxyServer(link, self._memory.map)
        self._qtest = Qtest(qtest)
        self._slot = slot

    # -- Transport -----------------------------------------------------------------------------------------------------

    def receive(self) -> Request | None:
        """Return the next request, None when none waits; raises `EOFError` once the guest has gone."""
        return self._proxy.receive()

    def wait(self, seconds: float) -> bool:
        """Sleep until a request waits or the guest has gone, at most ``seconds``; return whether so."""
        return self._proxy.wait(seconds)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a request waits."""
        return self._proxy.fileno()

    def counts(self) -> dict[str, int]:
        """Return how many requests of each kind there were, by the protocol's names."""
        return {command.name: count for command, count in self._proxy.counts.items() if command is not Command.RET}

    # -- HostSide ------------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> int:
        """How many interrupt messages there were."""
        return self._qtest.messages

    def read(self, address: int, length: int) -> bytes:
        """Read guest memory; raises `HostFault` where nothing is."""
        return self._memory.read(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory, or, in `MESSAGES`, send an interrupt message of one dword; raises `HostFault`."""
        if address not in MESSAGES:
            self._memory.write(address, data)
        elif len(data) == _DWORD and not address % _DWORD:
            self._interrupt(lambda: self._qtest.message(address, int.from_bytes(data, "little")))
        else:
            raise HostFault(address, len(data))

    def intx(self, pin: int, asserted: bool) -> None:
        """Follow Assert_INTx and Deassert_INTx; pin 0 is INTA, 3 INTD."""
        self.lines += 1
        self._interrupt(lambda: self._qtest.line(self._slot, pin, asserted))

    def _interrupt(self, raise_it: Callable[[], None]) -> None:
        try:
            raise_it()
        except QtestError:
            # A guest that is switched off lets go of both sockets, in any order: `receive` says so.
            if not self._proxy.gone(_SECONDS_TO_GO):
                raise

    def close(self) -> None:
        """Let go of the guest's memory and of the test socket; the requests' socket is the caller's."""
        self._memory.close()
        self._qtest.close()
