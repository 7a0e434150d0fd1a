"""The device's side of QEMU's multi-process protocol, by which a PCI device lives in another process.

After QEMU 7.2's ``x-pci-proxy-dev`` (docs/system/multi-process.rst, and the structures of
include/hw/remote/mpqemu-link.h): messages in the host's byte order on a stream socket, a header of 16 bytes (command,
padding, number of bytes that follow), file descriptors beside the header. Each is answered with a 64-bit number, except
those that hand descriptors over.
"""

from __future__ import annotations

import array
import enum
import os
import select
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from epbell_tb.guest.port import Endpoint, Request

__all__ = [
    "Command",
    "Mapping",
    "ProtocolError",
    "ProxyServer",
]

_HEADER = struct.Struct("=i4xQ")
_CONFIG = struct.Struct("=IIi")
_ACCESS = struct.Struct("=QQI?3x")
_RETURN = struct.Struct("=Q")
_REGIONS = 8
_MEMORY = struct.Struct(f"={3 * _REGIONS}Q")
_MOST_DESCRIPTORS = 8
_CONFIG_BYTES = 256
_PATIENCE = 10.0


class ProtocolError(Exception):
    """QEMU said something that the protocol does not know."""


class Command(enum.IntEnum):
    """What a message wants."""

    SYNC_SYSMEM = 0
    RET = 1
    PCI_CFGWRITE = 2
    PCI_CFGREAD = 3
    BAR_WRITE = 4
    BAR_READ = 5
    SET_IRQFD = 6
    DEVICE_RESET = 7


@dataclass(frozen=True)
class Mapping:
    """One region of guest memory.

    Attributes
    ----------
    address, size
        Physical address in the guest, and bytes.
    descriptor
        What to map; the receiver closes it.
    offset
        Where in it the region begins.
    """

    address: int
    size: int
    descriptor: int
    offset: int


@dataclass
class _Message:
    command: Command
    payload: bytes
    descriptors: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Request:
    """A request that is answered with a number."""

    reply: Callable[[int], None]


@dataclass(frozen=True)
class _ConfigRead(_Request):
    offset: int
    length: int

    async def answer(self, endpoint: Endpoint) -> None:
        self.reply(await endpoint.config_read(self.offset, self.length))


@dataclass(frozen=True)
class _ConfigWrite(_Request):
    offset: int
    length: int
    value: int

    async def answer(self, endpoint: Endpoint) -> None:
        await endpoint.config_write(self.offset, self.length, self.value)
        self.reply(0)


@dataclass(frozen=True)
class _MemoryRead(_Request):
    address: int
    length: int

    async def answer(self, endpoint: Endpoint) -> None:
        data = await endpoint.memory_read(self.address, self.length)
        self.reply(int.from_bytes(data, "little"))


@dataclass(frozen=True)
class _MemoryWrite(_Request):
    address: int
    data: bytes

    async def answer(self, endpoint: Endpoint) -> None:
        await endpoint.memory_write(self.address, self.data)
        self.reply(0)


@dataclass(frozen=True)
class _Reset(_Request):
    async def answer(self, endpoint: Endpoint) -> None:
        await endpoint.reset()
        self.reply(0)


class ProxyServer:
    """What QEMU talks to instead of a device; a `Transport`.

    Parameters
    ----------
    link
        Our end of the stream socket whose other end QEMU got as ``fd=``.
    on_memory
        Called with all of the guest's memory each time it changes.

    Attributes
    ----------
    counts
        How many messages there were of each command.
    """

    _DECODERS: ClassVar[dict[Command, str]] = {
        Command.PCI_CFGREAD: "_config_read",
        Command.PCI_CFGWRITE: "_config_write",
        Command.BAR_READ: "_memory_read",
        Command.BAR_WRITE: "_memory_write",
        Command.DEVICE_RESET: "_reset",
    }

    def __init__(self, link: socket.socket, on_memory: Callable[[list[Mapping]], None]) -> None:
        self.counts = dict.fromkeys(Command, 0)
        self._link = link
        # Of one that stops within a message; between messages nobody waits here.
        link.settimeout(_PATIENCE)
        self._on_memory = on_memory
        self._readable = select.poll()
        self._readable.register(link, select.POLLIN | select.POLLHUP)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a request waits."""
        return self._link.fileno()

    def wait(self, seconds: float) -> bool:
        """Sleep until a request waits or QEMU has gone, at most ``seconds``; return whether so."""
        return bool(self._readable.poll(max(0.0, 1000 * seconds)))

    def gone(self, seconds: float) -> bool:
        """Return whether QEMU has gone, or goes within ``seconds``; what it said before may still wait."""
        hung_up = select.poll()
        hung_up.register(self._link, 0)  # asks for nothing but what is told unasked
        return bool(hung_up.poll(1000 * seconds))

    def receive(self) -> Request | None:
        """Return the next request, None when none waits.

        Raises
        ------
        EOFError
            When QEMU has gone.
        ProtocolError
            When what comes is none of the protocol's messages.
        """
        while self.wait(0):
            message = self._next()
            self.counts[message.command] += 1
            if message.command is Command.SYNC_SYSMEM:
                self._on_memory(_mappings(message))
            elif message.command is Command.SET_IRQFD:
                # An eventfd to raise and one that re-raises a level: this QEMU listens to neither without KVM.
                _close(message.descriptors)
            else:
                _close(message.descriptors)
                return self._request(message)
        return None

    # -- messages ------------------------------------------------------------------------------------------------------

    def _next(self) -> _Message:
        head, descriptors = self._take(_HEADER.size, at_start=True)
        try:
            command, size = _HEADER.unpack(head)
            if command not in self.counts:
                raise ProtocolError(
                    f"The first word of a message is a command from 0 to {max(Command)}, not {command}: "
                    "is this QEMU 7.2?"
                )
            if size > _MEMORY.size:
                raise ProtocolError(f"{Command(command).name} has at most {_MEMORY.size} bytes, not {size}")
            return _Message(Command(command), self._take(size)[0], descriptors)
        except ProtocolError:
            _close(descriptors)
            raise

    def _take(self, count: int, at_start: bool = False) -> tuple[bytes, list[int]]:
        """Return the next bytes of the stream, and the descriptors that came with them."""
        taken, descriptors = bytearray(), array.array("i")
        while len(taken) < count:
            try:
                data, ancillary, flags, _ = self._link.recvmsg(
                    count - len(taken), socket.CMSG_SPACE(_MOST_DESCRIPTORS * descriptors.itemsize)
                )
            except ConnectionResetError:
                data, ancillary, flags = b"", [], 0
            except TimeoutError as error:
                _close(descriptors)
                raise ProtocolError(
                    f"QEMU has stopped within a message, after {len(taken)} of {count} bytes, for {_PATIENCE:.0f} s"
                ) from error
            if not data:
                _close(descriptors)
                if taken or not at_start:
                    raise ProtocolError(f"QEMU has gone within a message, after {len(taken)} of {count} bytes")
                raise EOFError("QEMU has gone")
            taken += data
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
            if flags & socket.MSG_CTRUNC:
                _close(descriptors)
                raise ProtocolError(f"A message has at most {_MOST_DESCRIPTORS} descriptors, and there were more")
        return bytes(taken), list(descriptors)

    def _reply(self, value: int) -> None:
        try:
            self._link.sendall(_HEADER.pack(Command.RET, _RETURN.size) + _RETURN.pack(value))
        except (BrokenPipeError, ConnectionResetError):
            # It died while it waited; the next receive() says so.
            return

    # -- requests ------------------------------------------------------------------------------------------------------

    def _request(self, message: _Message) -> Request:
        decoder = self._DECODERS.get(message.command)
        if decoder is None:
            raise ProtocolError(f"{message.command.name} is an answer, and nothing was asked")
        return getattr(self, decoder)(message)

    def _config_read(self, message: _Message) -> Request:
        offset, _, length = self._config(message)
        return _ConfigRead(self._reply, offset, length)

    def _config_write(self, message: _Message) -> Request:
        offset, value, length = self._config(message)
        return _ConfigWrite(self._reply, offset, length, value & ((1 << 8 * length) - 1))

    def _config(self, message: _Message) -> tuple[int, int, int]:
        offset, value, length = _unpack(_CONFIG, message)
        if length not in (1, 2, 4) or not 0 <= offset <= _CONFIG_BYTES - length or offset % 4 + length > 4:
            raise ProtocolError(
                f"{message.command.name} is about 1, 2 or 4 bytes within a dword below {_CONFIG_BYTES:#x}, "
                f"not {length} at {offset:#x}"
            )
        return offset, value, length

    def _memory_read(self, message: _Message) -> Request:
        address, _, length = self._access(message)
        return _MemoryRead(self._reply, address, length)

    def _memory_write(self, message: _Message) -> Request:
        address, value, length = self._access(message)
        return _MemoryWrite(self._reply, address, (value & ((1 << 8 * length) - 1)).to_bytes(length, "little"))

    def _access(self, message: _Message) -> tuple[int, int, int]:
        address, value, length, memory = _unpack(_ACCESS, message)
        if length not in (1, 2, 4, 8) or not memory:
            space = "memory" if memory else "an I/O BAR, which the endpoint has not"
            raise ProtocolError(
                f"{message.command.name} is about 1, 2, 4 or 8 bytes of memory, not {length} bytes of {space}"
            )
        return address, value, length

    def _reset(self, message: _Message) -> Request:
        return _Reset(self._reply)


def _unpack(layout: struct.Struct, message: _Message) -> tuple[int, ...]:
    if len(message.payload) != layout.size:
        raise ProtocolError(f"{message.command.name} has {layout.size} bytes, not {len(message.payload)}")
    return layout.unpack(message.payload)


def _mappings(message: _Message) -> list[Mapping]:
    try:
        numbers = _unpack(_MEMORY, message)
        addresses, sizes, offsets = (numbers[at : at + _REGIONS] for at in range(0, 3 * _REGIONS, _REGIONS))
        regions = sum(map(bool, sizes))
        if regions != len(message.descriptors):
            raise ProtocolError(f"SYNC_SYSMEM has {regions} regions and {len(message.descriptors)} descriptors")
    except ProtocolError:
        _close(message.descriptors)
        raise
    return [Mapping(*region) for region in zip(addresses, sizes, message.descriptors, offsets, strict=False)]


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
