"""The endpoint's AXI4-Lite port as a master drives it: a task for writes and one for reads, asleep without work.

cocotbext-axi's master drives the same pins with a dozen tasks, which took a fifth of a scenario's time.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge, ValueChange

__all__ = [
    "AxiLitePort",
]

_WORD = 4


@dataclass
class _Access:
    """An access of one word or more: what is left to be answered, the response (None: cut off), the words read."""

    left: int
    response: int | None = 0
    words: list[int] = field(default_factory=list)
    done: Event = field(default_factory=Event)

    def answer(self, response: int) -> None:
        self.response = response or self.response
        self.left -= 1
        if not self.left:
            self.done.set()


class _Channel:
    """A channel on which words are offered: its ``valid`` and ``ready``, and the pins of the word."""

    def __init__(self, valid: Any, ready: Any, *pins: Any) -> None:
        self._valid, self._ready, self._pins = valid, ready, pins

    def offer(self, values: Iterator[int]) -> None:
        """Offer a word, the next values of these."""
        for pin in self._pins:
            pin.value = next(values)
        self._valid.value = 1

    def withdraw(self) -> None:
        """Offer nothing."""
        self._valid.value = 0

    def taken(self) -> bool:
        """Return whether the word was taken in the clock that has ended; if so, nothing is offered any more."""
        taken = bool(self._ready.value)
        if taken:
            self.withdraw()
        return taken


class _Side:
    """Writes or reads: the words that are to be offered, and the accesses that wait for answers, in their order.

    Parameters
    ----------
    dut
        The design.
    offers
        Channels of the requests.
    answer
        ``valid`` and ``ready`` of the channel of the answers.
    taken
        Called with the access that an answer belongs to.
    """

    def __init__(self, dut: Any, offers: list[_Channel], answer: tuple[Any, Any], taken: Any) -> None:
        self._edge = RisingEdge(dut.clk)
        self._offers = offers
        self._valid, self._ready = answer
        self._answered = RisingEdge(self._valid)
        self._taken = taken
        self._words: deque[tuple[int, ...]] = deque()
        self._waiting: deque[_Access] = deque()
        self._work = Event()
        self._task: Any = None

    async def do(self, words: list[tuple[int, ...]]) -> _Access:
        """Make an access; each word is the values of the pins of all channels."""
        access = _Access(len(words))
        self._words += words
        self._waiting.append(access)
        self._work.set()
        await access.done.wait()
        return access

    def start(self) -> None:
        """Go on after a reset."""
        self._ready.value = 1
        self._task = cocotb.start_soon(self._run(), name="AXI4-Lite master")

    def cut_off(self) -> None:
        """End everything, as in a reset."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for channel in self._offers:
            channel.withdraw()
        self._ready.value = 0
        self._words.clear()
        while self._waiting:
            access = self._waiting.popleft()
            access.response = None
            access.done.set()

    async def _run(self) -> None:
        offered: list[_Channel] = []  # channels whose word has not been taken
        while True:
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
            await self._edge
            answered = bool(self._valid.value)
            if answered:
                access = self._waiting[0]
                self._taken(access)
                if not access.left:
                    self._waiting.popleft()
            if offered:
                offered = [channel for channel in offered if not channel.taken()]
            if not offered and self._words:
                values = iter(self._words.popleft())
                for channel in self._offers:
                    channel.offer(values)
                offered = self._offers
            elif not offered and self._waiting and not answered:
                await self._answered


class AxiLitePort:
    """A master of an AXI4-Lite port of 32 bits; accesses are made in their order, as many at a time as the port takes.

    Parameters
    ----------
    dut
        The design, with ``clk`` and ``rst``.
    prefix
        What the names of the port's pins start with.
    """

    def __init__(self, dut: Any, prefix: str) -> None:
        def pin(name: str) -> Any:
            return getattr(dut, f"{prefix}_{name}")

        address = _Channel(pin("awvalid"), pin("awready"), pin("awaddr"))
        data = _Channel(pin("wvalid"), pin("wready"), pin("wdata"), pin("wstrb"))
        asked = _Channel(pin("arvalid"), pin("arready"), pin("araddr"))
        written, word, read = pin("bresp"), pin("rdata"), pin("rresp")

        def take(access: _Access) -> None:
            access.words.append(int(word.value))
            access.answer(int(read.value))

        for name in ("awprot", "arprot"):
            pin(name).value = 0
        self._writes = _Side(
            dut, [address, data], (pin("bvalid"), pin("bready")), lambda access: access.answer(int(written.value))
        )
        self._reads = _Side(dut, [asked], (pin("rvalid"), pin("rready")), take)
        cocotb.start_soon(self._follow(dut.rst), name=f"{prefix} reset")

    async def write(self, address: int, data: bytes) -> int | None:
        """Write bytes, with strobes; return the response that is not OKAY (0), if any; None if a reset cut it off."""
        lanes = address % _WORD
        padded = bytes(lanes) + data
        enables = (1 << len(data)) - 1 << lanes
        words = [
            (max(address, address - lanes + at), int.from_bytes(padded[at : at + _WORD], "little"), enables >> at & 0xF)
            for at in range(0, len(padded), _WORD)
        ]
        return (await self._writes.do(words)).response

    async def read(self, address: int, length: int) -> tuple[int | None, bytes]:
        """Read bytes; return the response, as `write` does, and the data."""
        first = address - address % _WORD
        access = await self._reads.do([(max(address, at),) for at in range(first, address + length, _WORD)])
        data = b"".join(word.to_bytes(_WORD, "little") for word in access.words)
        return access.response, data[address - first :][:length]

    async def _follow(self, reset: Any) -> None:
        sides, change = (self._writes, self._reads), ValueChange(reset)
        for side in sides:
            side.cut_off()
        if not reset.value:
            await change
        while True:
            await change
            for side in sides:
                if reset.value:
                    side.cut_off()
                else:
                    side.start()
