"""What is around a board: the root complex with the function's configuration space, the hard block, and the CPU's bus.

It is what `epbell_models.reference.link.ReferenceLink` is around the endpoint in plain Python: the software models of
both ends run on it. The endpoint itself is at the other end of the serial port. Every access is done when its call
returns; time passes only when nothing is under way on the wire, so that nothing depends on how fast that is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from epbell_models.host.msi import MsiController
from epbell_models.platform import BusError, DrivenIrqLine, VirtualPlatform
from epbell_models.reference.capabilities import (
    MsiCapability,
    MsixCapability,
    PciExpressCapability,
    PowerCapability,
)
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.reference.host_memory import HostMemory
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.packets import MEM_READ, MEM_WRITE, CompletionReader, SentCompletion
from epbell_tb.native.beats import Placed, answer, request
from epbell_tb.serial.frames import Kind, dwords, joined
from epbell_tb.serial.link import Link, Port, SerialError
from epbell_tb.serial.pins import FromBoard, ToBoard
from epbell_tb.serial.shapes import Found

__all__ = ["SerialHost"]

_MSIX_TABLE = 0, 0x80
_VECTOR_BITS = 129  # of an entry of the MSI-X table and its pending bit
_MOST_VECTORS = 2048
_BAR0, _BARS = 0x10, 6
_PAYLOAD, _READ, _PAGE = 128, 512, 4096
"""Most bytes of a write and of a read, and what no request crosses a multiple of."""

_QUIET = 512
"""Clocks without anything from the endpoint after which everything that was under way has ended."""

_TAGS = 32
_RESPONSES = {2: "CA", 3: "UR"}  # SLVERR, DECERR
_STATUS = {1: "UR", 4: "CA"}
_PUMP_S = 0.05
_FULL = 0xF


@dataclass
class _Read:
    """A read under way: bytes that its completions bring, where the first one that counts is, and how many count."""

    first: int
    length: int
    data: bytes = b""
    status: int = 0

    @property
    def done(self) -> bool:
        return bool(self.status) or len(self.data) >= self.first + self.length


class SerialHost:
    """A host and a CPU around a board.

    Parameters
    ----------
    port : Port
        The serial port.
    receiver : MsiController, optional
        The host's MSI controller.
    patience : float
        Seconds after which the link repeats what was not acknowledged.

    Attributes
    ----------
    platform : VirtualPlatform
        Time, which stands still while anything is under way on the wire.
    link : Link
        The link.
    found : Found
        What the board says of itself, from `open` on.
    config, host_memory, receiver, intx
        Configuration space, what the endpoint reaches of the host's memory, its MSI controller, the INTx line.
    memory, cpu
        The buses of the host and of the CPU.
    irq_mu, irq_edma
        Interrupt lines of the CPU.
    msix_vectors : int
        How many MSI-X vectors the function offers, from `open` on.
    requests : int
        How many requests the host has made.
    """

    def __init__(self, port: Port, *, receiver: MsiController | None = None, patience: float = 1.0) -> None:
        self.platform = VirtualPlatform(self._settle)
        self.link = Link(port, self._receive, patience=patience)
        self.msix_vectors = 0
        self.receiver = MsiController(vectors=4096) if receiver is None else receiver
        self.host_memory = HostMemory()
        self.host_memory.doorbells[self.receiver.address] = lambda word: self.receiver.deliver(word)
        self.intx = DrivenIrqLine(self.platform)
        self.irq_mu, self.irq_edma = DrivenIrqLine(self.platform), DrivenIrqLine(self.platform)
        self.memory, self.cpu = HostBus(self), CpuBus(self)
        self.requests = 0
        self._reads: dict[int, _Read] = {}
        self._tag = 0
        self._answers: deque[tuple[int, int]] = deque()
        self._completions = CompletionReader(2, self._completed)
        self._dirty = False  # something was sent since the endpoint was quiet
        self._settled = False
        self._pins = ToBoard()
        self._intx_told = self._owes_intx = False
        self._bars = [0] * _BARS

    def open(self, msix_vectors: int | None = None) -> Found:
        """Begin a session, which resets the endpoint; return what the board says of itself.

        Parameters
        ----------
        msix_vectors : int, optional
            How many MSI-X vectors the function offers, 1 to 2048: as many as BAR 0 has room for unless it is given.

        Raises
        ------
        SerialError
            If no board answers, or not one of ours.
        """
        self.link.open()
        try:
            self.found = Found(self.link.identity)
        except ValueError as error:
            raise SerialError(str(error)) from error
        room = (self.found.bars[0] - _MSIX_TABLE[1]) * 8 // _VECTOR_BITS // 64 * 64
        self.msix_vectors = min(_MOST_VECTORS, room) if msix_vectors is None else msix_vectors
        self._reads.clear()
        self._answers.clear()
        self._pins = ToBoard()
        self._intx_told = self._owes_intx = False
        self._bars = [0] * _BARS
        self.config = ConfigSpace(
            self.found.bars,
            msi=MsiCapability(5, maskable=True),
            msix=MsixCapability(self.msix_vectors, _MSIX_TABLE),
            power=PowerCapability(),
            express=PciExpressCapability(),
            pin=1,
        )
        self.config.on_flr = self._flr
        self._follow()
        return self.found

    # -- configuration space -------------------------------------------------------------------------------------------

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        await self.platform.spend(400e-9)
        return self.config.read32(offset)

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        await self.platform.spend(400e-9)
        self.config.write32(offset, value)
        self._follow()

    def _follow(self) -> None:
        """Show the endpoint what the host has set."""
        config = self.config
        status = config.memory_enabled << 1 | config.bus_master << 2 | (config.read32(4) >> 10 & 1) << 3
        self._show(
            function_status=status,
            power_state=1 if config.d0 else 4,
            msi_enable=config.msi.enabled,
            msi_multiple=config.msi.multiple,
            msi_mask=config.msi.mask,
            msix_enable=config.msix_enabled,
            msix_mask=config.msix_masked,
        )
        for number in range(_BARS):
            value = config.read32(_BAR0 + 4 * number)
            if value != self._bars[number]:
                self._bars[number] = value
                self._send(Kind.CONFIG, (number, value))

    def _show(self, **pins: int) -> None:
        """Change pins of the endpoint, if they do."""
        shown = self._pins.changed(**{name: int(value) for name, value in pins.items()})
        if shown != self._pins:
            self._pins = shown
            self._send(Kind.PINS, shown.words())

    def pulse(self, **pulses: int) -> None:
        """Drive some of the endpoint's pins for a clock: `ToBoard`."""
        self._send(Kind.PINS, self._pins.changed(**pulses).words())

    def _flr(self) -> None:
        self._show(flr_in_process=1)

    # -- the wire ------------------------------------------------------------------------------------------------------

    def _send(self, kind: Kind, words: tuple[int, ...]) -> None:
        self._dirty = True
        self.link.send(kind, words)

    def _settle(self) -> bool:
        """Wait until the endpoint has done what it was asked for; return whether it was asked for anything."""
        self._answer_intx()
        if not self._dirty:
            return False
        while self._dirty:
            self._dirty = self._settled = False
            self.link.send(Kind.SETTLE, (_QUIET,))
            while not self._settled:
                self.link.pump(_PUMP_S)
        return True

    def _answer_intx(self) -> None:
        """Say that a change of INTx has gone to the host, after everybody there has seen it: a pulse ends with that."""
        if self._owes_intx:
            self._owes_intx = False
            self.pulse(intx_sent=1)

    def _receive(self, kind: int, words: tuple[int, ...]) -> None:
        if kind == Kind.CQ_CC:
            self._completions.packet(joined(words), 0, 0)
        elif kind == Kind.RC_RQ:
            self._asked(words)
        elif kind == Kind.CPU:
            self._answers.append((words[0] & 3, words[1]))
        elif kind == Kind.PINS:
            self._seen(FromBoard.of(words))
        elif kind == Kind.SETTLE:
            self._settled = True
        else:
            raise SerialError(f"the board must not send a message of kind {kind}")

    def _seen(self, pins: FromBoard) -> None:
        """Follow the endpoint's pins, and answer as the hard block does."""
        config = self.config
        self.irq_mu.drive(pins.irq_mu)
        self.irq_edma.drive(pins.irq_edma)
        config.msi.pending = pins.msi_pending
        config.interrupt_status = pins.intx_pending
        if pins.intx != self._intx_told:
            self._intx_told = pins.intx
            self.intx.drive(pins.intx and config.intx_allowed)
            self._owes_intx = True
        for vector in range(32):
            if pins.msi >> vector & 1:
                self._send_msi(vector)
        if pins.flr_done and self._pins.flr_in_process:
            self._show(flr_in_process=0)

    def _send_msi(self, vector: int) -> None:
        config = self.config
        allowed = config.msi.enabled and config.master and vector < 1 << config.msi.multiple
        if allowed:
            address, word = config.msi_message(vector)
            self.host_memory.write(address, word.to_bytes(4, "little"))
        self.pulse(**{"msi_sent" if allowed else "msi_fail": 1})

    # -- requests of the endpoint --------------------------------------------------------------------------------------

    def _asked(self, words: tuple[int, ...]) -> None:
        """Do a request of the endpoint for one dword."""
        enables, low, high, third, fourth, *data = words
        address, kind = high << 32 | low & ~3, third >> 11 & 0xF
        if kind == MEM_WRITE:
            if self.config.master:
                self._written(address, enables & _FULL, joined(data))
            return
        if kind != MEM_READ or third & 0x7FF != 1:
            raise SerialError(f"the endpoint must ask for one dword of memory, not for {third & 0x7FF} of kind {kind}")
        found = self._look(address) if self.config.master else Cause.UNSUPPORTED
        cause = found if isinstance(found, Cause) else None
        packet = answer(2, fourth & 0xFF, address=address, cause=cause)
        payload = found if isinstance(found, bytes) else bytes(4) if cause is Cause.POISONED else b""
        self._send(Kind.RC_RQ, (0, *dwords(packet.descriptor + payload)))

    def _look(self, address: int) -> bytes | Cause:
        """Return a dword, also one of which only some bytes were granted: what the host maps are pages."""
        memory = self.host_memory
        found = memory.read(address, 4)
        some = found is Cause.UNSUPPORTED and any(isinstance(memory.read(address + at, 1), bytes) for at in range(4))
        return memory.peek(address, 4) if some else found

    def _written(self, address: int, enables: int, data: bytes) -> None:
        if enables == _FULL:
            self.host_memory.write(address, data)
            return
        for lane in range(4):
            if enables >> lane & 1:
                self.host_memory.write(address + lane, data[lane : lane + 1])

    # -- requests of the host ------------------------------------------------------------------------------------------

    def post(self, bar: int, address: int, data: bytes, first_be: int, last_be: int) -> None:
        """Send a write of whole dwords."""
        place = Placed(bar, self.found.bars[bar], address)
        packet = request(2, MEM_WRITE, place, len(data) // 4, first_be, last_be, payload=True)
        self.requests += 1
        self._send(Kind.CQ_CC, (first_be | last_be << 4, *dwords(packet.descriptor + data)))

    def ask(self, bar: int, address: int, length: int) -> int:
        """Send a read of bytes, of as many at a time as the endpoint takes; return its tag."""
        while self._tag in self._reads:
            self._tag = (self._tag + 1) % _TAGS
        first, end = address & 3, (address & 3) + length
        count = -(-end // 4)
        enables = [(1 << min(4, end - at)) - 1 & _FULL << max(0, first - at) & _FULL for at in (0, 4 * count - 4)]
        first_be, last_be = enables[0], enables[1] if count > 1 else 0
        place = Placed(bar, self.found.bars[bar], address & ~3)
        packet = request(2, MEM_READ, place, count, first_be, last_be, tag=self._tag)
        self._reads[self._tag] = _Read(first, length)
        self.requests += 1
        self._send(Kind.CQ_CC, (first_be | last_be << 4, *dwords(packet.descriptor)))
        self._tag, tag = (self._tag + 1) % _TAGS, self._tag
        return tag

    def answered(self, tag: int) -> bytes | int:
        """Wait for a read, the end of its tag; return its bytes, or its status if it was refused."""
        read = self._reads[tag]
        while not read.done:
            self.link.pump(_PUMP_S)
        del self._reads[tag]
        return read.status or read.data[read.first : read.first + read.length]

    def _completed(self, completion: SentCompletion) -> None:
        read = self._reads.get(completion.tag)
        if read is None or read.done:
            raise SerialError(f"the endpoint must answer each read once, not tag {completion.tag} again")
        read.status = completion.status
        # Only the first dword of a read has bytes before those that count; each completion holds whole dwords.
        read.data += completion.data

    # -- the CPU -------------------------------------------------------------------------------------------------------

    def access(self, accesses: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
        """Let the CPU make accesses in turn: address, data, strobes (0: a read); return responses and data."""
        before = len(self._answers)
        assert not before, "an answer to nobody"
        for address, data, strobes in accesses:
            self._send(Kind.CPU, (strobes | (strobes != 0) << 4, address, data))
        while len(self._answers) < len(accesses):
            self.link.pump(_PUMP_S)
            if not self._answers:
                self._answer_intx()  # a pulse that there is no room for waits for it
        found = list(self._answers)
        self._answers.clear()
        return found


class HostBus:
    """The host's memory bus: BAR decoding, then requests; `epbell_models.platform.Bus`.

    Attributes
    ----------
    dropped : list of int
        Addresses of writes that no BAR claims.
    """

    def __init__(self, host: SerialHost) -> None:
        self._host = host
        self.dropped: list[int] = []

    async def read32(self, address: int) -> int:
        """Read one dword."""
        return int.from_bytes(await self.read(address, 4), "little")

    async def write32(self, address: int, value: int) -> None:
        """Store one dword."""
        await self.write(address, value.to_bytes(4, "little"))

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes; `BusError` when no BAR claims them, or the endpoint refuses."""
        host = self._host
        await host.platform.spend(400e-9)
        pieces = [(at, size, host.config.decode(at)) for at, size in _cut(address, length, _READ)]
        for at, _, target in pieces:
            if target is None:
                raise BusError("UR", at)
        data, refused = b"", None
        most = host.found.reads
        for some in (pieces[first : first + most] for first in range(0, len(pieces), most)):
            tags = [(host.ask(target[0], at, size), at) for at, size, target in some if target is not None]
            for tag, at in tags:
                found = host.answered(tag)
                if isinstance(found, int):
                    refused = refused or BusError(_STATUS.get(found, "UR"), at)
                else:
                    data += found
        if refused:
            raise refused
        return data

    async def write(self, address: int, data: bytes) -> None:
        """Store bytes; quietly nothing when no BAR claims them, as with any posted write."""
        host = self._host
        await host.platform.spend(400e-9)
        for at, size in _cut(address, len(data), _PAYLOAD):
            piece = data[at - address : at - address + size]
            target = host.config.decode(at)
            if target is None:
                self.dropped.append(at)
                continue
            first, end = at & 3, (at & 3) + size
            count = -(-end // 4)
            padded = bytes(first) + piece + bytes(4 * count - end)
            enables = [(1 << min(4, end - to)) - 1 & _FULL << max(0, first - to) & _FULL for to in (0, 4 * count - 4)]
            host.post(target[0], at & ~3, padded, enables[0], enables[1] if count > 1 else 0)


class CpuBus:
    """The CPU's bus; `epbell_models.platform.Bus`."""

    def __init__(self, host: SerialHost) -> None:
        self._host = host

    async def read32(self, address: int) -> int:
        """Read one dword."""
        return int.from_bytes(await self.read(address, 4), "little")

    async def write32(self, address: int, value: int) -> None:
        """Write one dword."""
        await self.write(address, value.to_bytes(4, "little"))

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes; `BusError` if the endpoint answers so."""
        first, end = address & ~3, address + length
        await self._host.platform.spend(100e-9)
        found = self._run([(at, 0, 0) for at in range(first, end, 4)])
        return joined(found)[address - first : end - first]

    async def write(self, address: int, data: bytes) -> None:
        """Write bytes; `BusError` if the endpoint answers so."""
        first, end = address & ~3, address + len(data)
        await self._host.platform.spend(100e-9)
        padded = bytes(address - first) + data + bytes(-end % 4)
        words = []
        for at in range(first, end, 4):
            strobes = (1 << min(4, end - at)) - 1 & _FULL << max(0, address - at) & _FULL
            words.append((at, int.from_bytes(padded[at - first : at - first + 4], "little"), strobes))
        self._run(words)

    def _run(self, accesses: list[tuple[int, int, int]]) -> list[int]:
        """Make accesses; those to the host one by one, since the answer of one may be behind the next on the wire."""
        host = self._host
        tree = host.found.tree
        space = tree.endpoint.addr_space
        outside = space is not None and space.address <= accesses[0][0] < space.address + space.size
        found: list[int] = []
        for group in [[access] for access in accesses] if outside else [accesses]:
            for (address, *_), (response, data) in zip(group, host.access(group), strict=True):
                if response:
                    raise BusError(_RESPONSES[response], address)
                found.append(data)
        return found


def _cut(address: int, length: int, most: int) -> list[tuple[int, int]]:
    """Cut an access into naturally aligned pieces of at most `most` bytes."""
    pieces = []
    end = address + length
    while address < end:
        stop = min(end, (address // most + 1) * most)
        pieces.append((address, stop - address))
        address = stop
    return pieces
