"""A board in plain Python: the link's other end by hand, with the reference endpoint behind it."""

from collections import deque
from typing import Any

from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.inbound import Refusal
from epbell_tb.serial.frames import WINDOW, Frame, FrameReader, Kind, dwords, encode, joined
from epbell_tb.serial.shapes import IDENTITY, SMALL, Found

READ, WRITE = 0, 1


class ReferenceBoard:
    """`epbell_tb.serial.link.Port`; what is written is done at once.

    ``lose``: of the board's frames, one in so many is lost. ``deaf``: nothing is answered any more.
    """

    def __init__(self, shape=SMALL, *, lose=0):
        self.timeout = None
        logs = sum((size.bit_length() - 1) << 5 * number for number, size in enumerate(shape.bars))
        ram = shape.ram_size.bit_length() - 1
        windows = shape.windows - 1 | shape.outbound_windows - 1 << 4
        self.hello = (IDENTITY, 1 | 2 << 8 | 8 << 16 | windows << 24, logs, ram << 24)
        self.found = Found(self.hello)
        self.lose, self.deaf = lose, False
        self.resets = 0
        self._count = 0
        self._reader, self._out, self._epoch = FrameReader(), b"", 0
        self._reset()

    def _reset(self):
        self.resets += 1
        self.endpoint = ReferenceEndpoint.of(self.found.tree, self.found.bars)
        self._aperture = self.endpoint.map.outbound
        self._told = (0, 0, 0)
        self._tag = self._sequence = self._expected = 0
        self._wanted, self._kept, self._queue = {}, deque(), deque()
        self._intx = False

    # -- the link --------------------------------------------------------------------------------------------------

    @property
    def in_waiting(self):
        return len(self._out)

    def read(self, size=1):
        if not self._out and self._kept:
            for frame in self._kept:
                self._out += encode(frame)
        found, self._out = self._out, b""
        return found

    def write(self, data):
        for frame in self._reader.feed(data):
            if not self.deaf:
                self._take(frame)
        return len(data)

    def _take(self, frame):
        if frame.kind == Kind.RESET:
            self._epoch = frame.epoch
            self._reset()
        if frame.kind == Kind.RESET or frame.epoch != self._epoch:
            self._out += encode(Frame(Kind.HELLO, self.hello, self._epoch))
            return
        while self._kept and (frame.ack - self._kept[0].sequence) % 16 in range(1, 9):
            self._kept.popleft()
        self._flush()
        if frame.kind < Kind.CQ_CC or frame.sequence != self._expected:
            return
        self._expected = (self._expected + 1) % 16
        getattr(self, f"_{Kind(frame.kind).name.lower()}")(*frame.words)
        self._follow()
        if frame.kind == Kind.SETTLE:
            self._send(Kind.SETTLE)
        self._out += encode(Frame(Kind.STATE, epoch=self._epoch, sequence=self._sequence, ack=self._expected))

    def _send(self, kind, *words):
        self._queue.append((kind, words))
        self._flush()

    def _flush(self):
        """Send as many messages as the host has places for."""
        while self._queue and len(self._kept) < WINDOW:
            self._kept.append(Frame(*self._queue.popleft(), self._epoch, self._sequence, self._expected))
            self._sequence = (self._sequence + 1) % 16
            self._count += 1
            if not self.lose or self._count % self.lose:
                self._out += encode(self._kept[-1])

    # -- messages --------------------------------------------------------------------------------------------------

    def _cq_cc(self, side, low, high, third, fourth, *payload):
        address, length, bar = high << 32 | low & ~3, third & 0x7FF, fourth >> 16 & 7
        first_be, last_be = side & 0xF, side >> 4 & 0xF
        first = (first_be & -first_be).bit_length() - 1
        end = 4 * (length - 1) + (last_be if length > 1 else first_be).bit_length()
        offset = (address & self.found.bars[bar] - 1) + first
        if third >> 11 & 0xF == WRITE:
            assert len(payload) == length
            self.endpoint.host_write(bar, offset, joined(payload)[first:end], address=address + first)
            return
        data = self.endpoint.host_read(bar, offset, end - first, address=address + first)
        tag = fourth & 0xFF
        if isinstance(data, Refusal):
            self._send(Kind.CQ_CC, (end - first) << 16, 1 << 11, tag, 0, 0, 0, 0, 0)
            return
        padded = bytes(first) + data + bytes(-end % 4)
        at = 0
        while at < len(padded):
            stop = min(len(padded), (address + at) // 128 * 128 + 128 - address)
            piece = padded[at:stop]
            self._send(Kind.CQ_CC, address + at & 0x7F | (end - at) << 16, len(piece) // 4, tag, *dwords(piece))
            at = stop

    def _rc_rq(self, side, one, two, tag, *data):
        status = two >> 11 & 7
        self._wanted.pop(tag)
        self._send(Kind.CPU, 0 if not status else 3 if status == 1 else 2, data[0] if data else 0)

    def _cpu(self, control, address, data):
        write, strobes = control >> 4 & 1, control & 0xF
        if address in self._aperture:
            self._outbound(write, address, data, strobes)
        elif write:
            self.endpoint.cpu_write32(address, data, strobes)
            self._send(Kind.CPU, 0, 0)
        else:
            self._send(Kind.CPU, 0, self.endpoint.cpu_read32(address))

    def _outbound(self, write, address, data, strobes):
        target = self.endpoint.outbound.translate(address, 4)
        if not isinstance(target, int) or not self.endpoint.controller.may_request:
            self._send(Kind.CPU, 3, 0)
        elif write:
            self._send(Kind.RC_RQ, strobes, target & 0xFFFF_FFFF, target >> 32, 1 | WRITE << 11, 0, data)
            self._send(Kind.CPU, 0, 0)
        else:
            self._tag = (self._tag + 1) % 32
            self._wanted[self._tag] = address
            self._send(Kind.RC_RQ, 0xF, target & 0xFFFF_FFFF, target >> 32, 1, self._tag)

    def _pins(self, levels, mask, pulses):
        controller = self.endpoint.controller
        status = levels & 0xF
        controller.master = bool(status & 4)
        controller.msi.enabled, controller.msi.multiple = bool(levels >> 8 & 1), levels >> 9 & 7
        controller.msi.mask = mask
        controller.msix.enabled, controller.msix.function_mask = bool(levels >> 12 & 1), bool(levels >> 13 & 1)
        controller.intx.allowed = not (status & 8 or levels >> 8 & 1 or levels >> 12 & 1)
        controller.msix.update()
        self.endpoint.power(d3hot=levels >> 4 & 7 == 4)
        if levels >> 19 & 1:
            controller.intx.sent()
        assert not pulses

    def _config(self, number, value):
        self.endpoint.controller.bars[number] = value

    def _settle(self, clocks):
        assert clocks > 0

    def _follow(self):
        """Tell what has changed."""
        controller: Any = self.endpoint.controller
        while (message := controller.msix.next()) is not None:
            address, data = message
            self._send(Kind.RC_RQ, 0xF, address & 0xFFFF_FFFF, address >> 32, 1 | WRITE << 11, 0, data)
        msi = 0
        while (vector := controller.next_msi()) is not None:
            granted = (1 << controller.msi.multiple) - 1
            assert not msi >> (vector & granted) & 1
            msi |= 1 << (vector & granted)
        level = controller.intx.next()
        self._intx = self._intx if level is None else level
        pending = controller.intx.pending
        levels = self.endpoint.irq_mu | self.endpoint.irq_edma << 1 | self._intx << 2 | pending << 3
        shown = int(levels), 0, controller.msi.pending
        if shown != self._told or msi:
            self._told = shown
            self._send(Kind.PINS, shown[0], msi, shown[2])


