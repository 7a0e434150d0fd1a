"""The endpoint's AXI4-Lite port as a master drives it: two tasks for writes and two for reads, asleep without work.

cocotbext-axi's master drives the same pins with a dozen tasks, which took a fifth of a scenario's time.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge, ValueChange

from epbell_tb.endpoint.sampling import sampler

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
    """A channel on which words are offered, as soon as the last one is taken: ``valid``, ``ready``, the word's pins."""

    def __init__(self, valid: Any, ready: Any, *pins: Any) -> None:
        self._valid, self._ready, self._pins = valid, sampler(ready), pins
        self._words: deque[tuple[int, ...]] = deque()
        self._offered = False

    def queue(self, word: tuple[int, ...]) -> None:
        """Have a word offered after all others: the values of the pins."""
        self._words.append(word)

    def step(self) -> bool:
        """Go on by the clock that has ended; return whether a word is offered now."""
        if self._offered and not self._ready():
            return True
        if self._words:
            for pin, value in zip(self._pins, self._words.popleft(), strict=True):
                pin.value = value
            self._offered = True
            self._valid.value = 1
        elif self._offered:
            self.withdraw()
        return self._offered

    def withdraw(self) -> None:
        """Offer nothing, and forget what was to come."""
        self._words.clear()
        self._offered = False
        self._valid.value = 0


class _Side:
    """Writes or reads: the channels of the requests, and the accesses that wait for answers, in their order.

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
        valid, self._ready = answer
        self._valid, self._answered = sampler(valid), RisingEdge(valid)
        self._takes = sampler(self._ready)
        self._taken = taken
        self._waiting: deque[_Access] = deque()
        self._wake = Event()
        self._tasks: list[Any] = []

    async def do(self, *requests: list[tuple[int, ...]]) -> _Access:
        """Make an access; its words on each of the channels."""
        for channel, words in zip(self._offers, requests, strict=True):
            for word in words:
                channel.queue(word)
        access = _Access(len(requests[0]))
        self._waiting.append(access)
        self._wake.set()
        await access.done.wait()
        return access

    def start(self) -> None:
        """Go on after a reset."""
        self._ready.value = 1
        self._tasks = [
            cocotb.start_soon(self._run(), name="AXI4-Lite master"),
            cocotb.start_soon(self._listen(), name="AXI4-Lite answers"),
        ]

    def take_answers(self, takes: bool) -> None:
        """Take no answer, or go on to take them."""
        self._ready.value = int(takes)
        self._wake.set()

    def cut_off(self) -> None:
        """End everything, as in a reset."""
        while self._tasks:
            self._tasks.pop().cancel()
        for channel in self._offers:
            channel.withdraw()
        self._ready.value = 0
        while self._waiting:
            access = self._waiting.popleft()
            access.response = None
            access.done.set()

    async def _run(self) -> None:
        while True:
            await self._edge
            valid = self._valid()
            if valid and self._takes():
                assert self._waiting, "the port answers, and nothing was asked"
                access = self._waiting[0]
                self._taken(access)
                if not access.left:
                    self._waiting.popleft()
            offered = [channel.step() for channel in self._offers]
            if not valid and not any(offered):
                self._wake.clear()
                await self._wake.wait()

    async def _listen(self) -> None:
        """Wake for answers, also those that nobody waits for."""
        while True:
            await self._answered
            self._wake.set()


def _check(length: int) -> None:
    if length < 1:
        raise ValueError(f"An access must have 1 byte or more, not {length}")


class AxiLitePort:
    """A master of an AXI4-Lite port of 32 bits; writes, and reads, in their order, as many at a time as the port takes.

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
        written, word, read = sampler(pin("bresp")), sampler(pin("rdata")), sampler(pin("rresp"))

        def take(access: _Access) -> None:
            access.words.append(word())
            access.answer(read())

        for name in ("awprot", "arprot"):
            pin(name).value = 0
        self._writes = _Side(
            dut, [address, data], (pin("bvalid"), pin("bready")), lambda access: access.answer(written())
        )
        self._reads = _Side(dut, [asked], (pin("rvalid"), pin("rready")), take)
        cocotb.start_soon(self._follow(dut.rst), name=f"{prefix} reset")

    async def write(self, address: int, data: bytes) -> int | None:
        """Write bytes, with strobes; return the response that is not OKAY (0), if any; None if a reset cut it off.

        Raises
        ------
        ValueError
            If there is no byte.
        """
        _check(len(data))
        lanes = address % _WORD
        padded = bytes(lanes) + data
        enables = (1 << len(data)) - 1 << lanes
        starts = range(0, len(padded), _WORD)
        places = [(max(address, address - lanes + at),) for at in starts]
        words = [(int.from_bytes(padded[at : at + _WORD], "little"), enables >> at & 0xF) for at in starts]
        return (await self._writes.do(places, words)).response

    async def read(self, address: int, length: int) -> tuple[int | None, bytes]:
        """Read bytes; return the response, as `write` does, and the data.

        Raises
        ------
        ValueError
            If there is no byte.
        """
        _check(length)
        first = address - address % _WORD
        access = await self._reads.do([(max(address, at),) for at in range(first, address + length, _WORD)])
        data = b"".join(word.to_bytes(_WORD, "little") for word in access.words)
        return access.response, data[address - first :][:length]

    def take_answers(self, takes: bool) -> None:
        """Take no answers from the next clock on (bready and rready are 0), or go on to take them."""
        for side in (self._writes, self._reads):
            side.take_answers(takes)

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
