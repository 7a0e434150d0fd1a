"""What a guest's transport and an endpoint want from one another: the only thing that either knows of the other.

The transport (`epbell_tb.guest.attachment`) turns the guest's accesses into calls of `Endpoint` and offers `HostSide`
to it; neither QEMU nor sockets are seen through it. Of the endpoint it does not know whether it is a model or RTL in a
simulator: `Endpoint` is awaited, by whatever drives it (an asyncio loop or cocotb), and `HostSide` answers at once.

A guest waits for each of its accesses, so there is at most one call of `Endpoint` at a time; during it the endpoint may
call `HostSide` as it likes.

A server is ``await serve(transport, endpoint, rest)``::

    transport = Attachment(socket, qtest)       # a `HostSide` as well
    await serve(transport, endpoint, rest)      # until the guest has gone

`rest` is awaited while no request waits: the endpoint's software lives in it. A model lets its tasks run and then
sleeps in ``transport.wait(seconds)``; a simulation lets some clocks pass.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

__all__ = [
    "MESSAGES",
    "Endpoint",
    "HostFault",
    "HostGone",
    "HostSide",
    "Request",
    "Transport",
    "serve",
]

MESSAGES = range(0xFEE0_0000, 0xFEF0_0000)
"""Addresses whose writes are interrupt messages: the local APICs' of a PC."""


class HostFault(Exception):
    """An access of the endpoint that reaches nothing at the host: an Unsupported Request.

    Parameters
    ----------
    address, length
        PCI address of the first byte, and how many bytes.
    """

    def __init__(self, address: int, length: int) -> None:
        super().__init__(f"Nothing of the guest is at {address:#x}, where {length} bytes were asked for")
        self.address = address
        self.length = length


class HostGone(HostFault):
    """The same of a guest that has switched itself off: no error of whoever asks."""


class HostSide(Protocol):
    """What the endpoint's requests reach."""

    def read(self, address: int, length: int) -> bytes:
        """Read guest memory; raises `HostFault` where nothing is."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory, or, in `MESSAGES`, send an interrupt message of one dword; raises `HostFault`."""
        ...

    def intx(self, pin: int, asserted: bool) -> None:
        """Follow Assert_INTx and Deassert_INTx; pin 0 is INTA, 3 INTD."""
        ...


class Endpoint(Protocol):
    """What the guest's accesses reach. Values are little-endian; bytes are in the order of their addresses."""

    async def config_read(self, offset: int, length: int) -> int:
        """Read 1, 2 or 4 bytes of configuration space, within one dword; ``offset`` is 0 to 255."""
        ...

    async def config_write(self, offset: int, length: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of configuration space."""
        ...

    async def memory_read(self, address: int, length: int) -> bytes:
        """Read 1 to 8 bytes at a PCI address as the guest assigned it; all ones where nobody answers."""
        ...

    async def memory_write(self, address: int, data: bytes) -> None:
        """Write 1 to 8 bytes at a PCI address; posted."""
        ...

    async def reset(self) -> None:
        """Do what a conventional reset of the link does: the guest's machine was reset."""
        ...


class Request(Protocol):
    """One thing that the guest wants of the endpoint."""

    async def answer(self, endpoint: Endpoint) -> None:
        """Ask the endpoint and answer the guest."""
        ...


class Transport(Protocol):
    """Where the guest's requests come from."""

    def receive(self) -> Request | None:
        """Return the next request, None when none waits; raises `EOFError` once the guest has gone."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep until a request waits or the guest has gone, at most ``seconds``; return whether so."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that is readable when a request waits."""
        ...


async def serve(transport: Transport, endpoint: Endpoint, rest: Callable[[], Awaitable[None]]) -> int:
    """Answer the guest's requests until it has gone; return how many there were.

    Parameters
    ----------
    transport
        Where they come from.
    endpoint
        What answers.
    rest
        Awaited whenever none waits; it has to return within some milliseconds of wall-clock time.
    """
    answered = 0
    while True:
        try:
            request = transport.receive()
        except EOFError:
            return answered
        if request is None:
            await rest()
        else:
            await request.answer(endpoint)
            answered += 1
