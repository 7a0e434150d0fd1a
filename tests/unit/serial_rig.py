"""The transport's two ends together: the host's link in Python, the board's in Amaranth's simulator, a wire between."""

from collections import deque
from random import Random
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from quick_engine import Simulator

from epbell.serial.frame import HEADER
from epbell.serial.receiver import Messages, Receiver
from epbell.serial.transmitter import Transmitter
from epbell_tb.serial.link import Link

HELLO = (0x1_0201, 0x22, 0x33)
PATIENCE = 3000
CLOCK_S = 1e-6


class Echo(wiring.Component):
    """Receiver and transmitter; each message goes back as it came, while `enable` is high."""

    def __init__(self):
        super().__init__({
            "data": In(8),
            "valid": In(1),
            "enable": In(1, init=1),
            "byte": Out(8),
            "sends": Out(1),
            "ready": In(1, init=1),
            "messages": Out(Messages()),
        })

    def elaborate(self, platform):
        m: Any = Module()
        m.submodules.receiver = receiver = Receiver()
        m.submodules.transmitter = transmitter = Transmitter(HELLO, PATIENCE)
        wiring.connect(m, receiver.heard, transmitter.heard)
        messages, outbox = receiver.messages, transmitter.outbox
        head = Signal(HEADER)
        place = Signal(6)
        goes = messages.valid & self.enable & outbox.room
        m.d.comb += [
            receiver.data.eq(self.data),
            receiver.valid.eq(self.valid),
            self.byte.eq(transmitter.bytes.payload),
            self.sends.eq(transmitter.bytes.valid & self.ready),
            transmitter.bytes.ready.eq(self.ready),
            messages.ready.eq(goes),
            outbox.place.eq(place),
            outbox.word.eq(messages.word),
            outbox.write.eq(goes & ~messages.first),
            outbox.done.eq(goes & messages.last),
            outbox.kind.eq(head.kind),
            outbox.length.eq(head.length),
        ]
        with m.If(goes):
            m.d.sync += place.eq(place + 1)
            with m.If(messages.first):
                m.d.sync += [head.eq(data.View(HEADER, messages.word)), place.eq(1)]
                m.d.comb += outbox.kind.eq(data.View(HEADER, messages.word).kind)
                m.d.comb += outbox.length.eq(data.View(HEADER, messages.word).length)
        return m


class Board:
    """`epbell_tb.serial.link.Port` with a simulated board behind it; each read lets it run for a while.

    ``flip`` and ``drop``: of so many bytes in each direction one is spoilt, one is lost.
    """

    def __init__(self, *, seed=1, flip=0, drop=0, pace=1):
        self.timeout = None
        self.dut = Echo()
        self.clocks = 0
        self.enabled = True
        self.to_board, self.from_board = deque(), deque()
        self.heard = bytearray()
        self._random, self._flip, self._drop, self._pace = Random(seed), flip, drop, pace
        self._simulator = Simulator(self.dut)
        self._simulator.add_clock(CLOCK_S)
        self._simulator.add_testbench(self._bench, background=True)

    def time(self):
        return self.clocks * CLOCK_S

    async def _bench(self, ctx):
        dut, pause = self.dut, 0
        while True:
            given = pause == 0 and bool(self.to_board)
            ctx.set(dut.valid, given)
            if given:
                ctx.set(dut.data, self.to_board.popleft())
                pause = self._pace
            pause = max(0, pause - 1)
            ctx.set(dut.enable, self.enabled)
            *_, sends, byte = await ctx.tick().sample(dut.sends, dut.byte)
            self.clocks += 1
            if sends:
                self.heard.append(byte)
                self.from_board.extend(self._spoilt(bytes([byte])))

    def _spoilt(self, data):
        for byte in data:
            if self._drop and not self._random.randrange(self._drop):
                continue
            spoils = self._flip and not self._random.randrange(self._flip)
            yield byte ^ (1 << self._random.randrange(8)) if spoils else byte

    def run(self, clocks):
        self._simulator.run_until((self.clocks + clocks) * CLOCK_S)

    @property
    def in_waiting(self):
        return 0

    def write(self, data, spoil=True):
        self.to_board.extend(self._spoilt(data) if spoil else data)

    def read(self, size=1):
        self.run(50)
        found = bytes(self.from_board)
        self.from_board.clear()
        return found


def opened(board):
    """Return a session with a board, and the list of what it has received."""
    received = []
    patience = PATIENCE * CLOCK_S
    link = Link(
        board,
        lambda kind, words: received.append((kind, words)),
        patience=patience,
        clock=board.time,
        source=Random(1),
    )
    link.open()
    return link, received


def until(link, condition, most=4000):
    for _ in range(most):
        if condition():
            return
        link.pump()
    raise AssertionError("it does not come to its end")
