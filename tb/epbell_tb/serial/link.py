"""The host's end of the link: messages arrive once and in their order, whatever happens to frames on the way."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from epbell_tb.serial.frames import WINDOW, Frame, FrameReader, Kind, encode

__all__ = ["Link", "Port", "SerialError"]

_NUMBERS = 16
_TRIES = 20


class SerialError(RuntimeError):
    """The board does not answer, or not as it should; the text says what to look at."""


class Port(Protocol):
    """What is needed of a serial port: that of pyserial has it."""

    @property
    def timeout(self) -> float | None:
        """Seconds that a read waits for."""
        ...

    @timeout.setter
    def timeout(self, seconds: float | None, /) -> None: ...

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read at once."""
        ...

    def read(self, size: int = 1, /) -> bytes:
        """Read up to so many bytes, for ``timeout`` seconds at most."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Write bytes."""
        ...


class Link:
    """A session with a board.

    Parameters
    ----------
    port : Port
        The serial port.
    receive : callable
        Takes kind and dwords of each message of the board; it may send.
    patience : float
        Seconds after which the oldest message that was not acknowledged is sent again, and again after as many more;
        RESET twice as often. A board that has acknowledged nothing for twenty times as long is given up.
    clock : callable
        What time it is, in seconds from an arbitrary start.
    source : random.Random, optional
        Chooses the numbers of sessions; at random unless it is given.

    Attributes
    ----------
    identity : tuple of int
        What the board says of itself, from `open` on.
    counts : dict
        How many messages were ``sent`` and ``received``, how many were ``repeated`` by this end, how many stretches on
        the wire were ``bad``, and how many messages ``missing`` were asked for.

    Notes
    -----
    Nothing runs by itself: `pump` does what there is to do.
    """

    def __init__(
        self,
        port: Port,
        receive: Callable[[int, tuple[int, ...]], None],
        *,
        patience: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        source: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._port = port
        self._receive = receive
        self._patience = patience
        self._source = random.Random() if source is None else source
        self._reader = FrameReader()
        self._epoch = 0
        self.identity: tuple[int, ...] = ()
        self.counts = dict.fromkeys(("sent", "received", "repeated", "bad", "missing"), 0)
        self._forget()

    def _forget(self) -> None:
        self._waiting: deque[tuple[int, tuple[int, ...]]] = deque()
        self._under_way: deque[Frame] = deque()
        self._next = self._expected = 0
        self._limit = 0
        self._owes = self._asked = False
        self._guesses = 0  # that the board has lost something, since it has acknowledged anything
        self._since = self._clock()

    def open(self, limit: float = 30.0) -> None:
        """Begin a session: everything on the board is reset.

        Raises
        ------
        SerialError
            If there is no board that answers within so many seconds.
        """
        self._forget()
        self.identity = ()
        self._epoch = self._source.choice([number for number in range(1, 256) if number != self._epoch])
        end = self._clock() + limit
        again = 0.0
        while not self.identity:
            now = self._clock()
            if now >= end:
                raise SerialError(
                    f"no board answers within {limit:g} s: check port, baud rate and bitstream"
                )
            if now >= again:
                again = now + self._patience / 2
                self._port.write(encode(Frame(Kind.RESET, epoch=self._epoch)))
            self._read(0.05)
        self._since = self._clock()

    def send(self, kind: int, words: Sequence[int]) -> None:
        """Queue a message; it leaves as soon as the board has a place for it."""
        self._waiting.append((kind, tuple(words)))
        self._fill()

    @property
    def idle(self) -> bool:
        """Whether the board has acknowledged everything."""
        return not self._waiting and not self._under_way

    def pump(self, seconds: float = 0.02) -> None:
        """Take what comes, for so many seconds at most if nothing does, and do what that asks for.

        Raises
        ------
        SerialError
            If the board has been reset, or has acknowledged nothing for a long time.
        """
        self._read(seconds)
        self._fill()
        if self._clock() - self._since > self._patience:
            self._guess()
        if self._owes:
            self._tell(Kind.STATE)

    def _guess(self) -> None:
        """Send something that the board answers, since it has acknowledged nothing for some time."""
        if self._under_way:
            self._since = self._clock()
            self._guesses += 1
            if self._guesses == _TRIES:
                most = _TRIES * self._patience
                raise SerialError(f"the board has acknowledged nothing for {most:g} s: was it unplugged?")
            self._repeat(1)
        elif self._waiting:
            self._let_go()  # that there are places again was said, perhaps, and not heard

    # -- out -----------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._waiting and 0 < (self._limit - self._next) % _NUMBERS <= WINDOW:
            self._let_go()

    def _let_go(self) -> None:
        """Send the next message; the board drops it, and says so, if it has no place for it."""
        kind, words = self._waiting.popleft()
        if not self._under_way:
            self._since = self._clock()
        self._under_way.append(Frame(kind, words, self._epoch, self._next))
        self._next = (self._next + 1) % _NUMBERS
        self._write(self._under_way[-1])
        self.counts["sent"] += 1

    def _repeat(self, most: int) -> None:
        """Send what was not acknowledged once more: at a guess only the oldest.

        A board that is slow, and has lost nothing, would have to work off all of it.
        """
        for frame in list(self._under_way)[:most]:
            self._write(frame)
            self.counts["repeated"] += 1

    def _write(self, frame: Frame) -> None:
        self._port.write(encode(Frame(frame.kind, frame.words, self._epoch, frame.sequence, self._expected)))
        self._owes = False

    def _tell(self, kind: Kind) -> None:
        self._write(Frame(kind, sequence=self._next))

    # -- in ------------------------------------------------------------------------------------------------------------

    def _read(self, seconds: float) -> None:
        port = self._port
        available = port.in_waiting
        if not available and port.timeout != seconds:
            port.timeout = seconds
        data = port.read(max(1, available))
        for frame in self._reader.feed(data) if data else ():
            self._take(frame)
        if self._reader.bad:
            self.counts["bad"] += self._reader.bad
            self._reader.bad = 0
            if self.identity:
                self._ask()

    def _take(self, frame: Frame) -> None:
        if frame.epoch != self._epoch:
            if frame.kind == Kind.HELLO and self.identity:
                raise SerialError("the board has been reset in the middle of a session: run the command again")
            return
        if frame.kind == Kind.HELLO:
            if not self.identity:
                self.identity, self._limit = frame.words, frame.ack + frame.room
            return
        if not self.identity:
            return
        self._acknowledged(frame)
        if frame.kind < Kind.CQ_CC:
            return
        self._owes = True
        ahead = (frame.sequence - self._expected) % _NUMBERS
        if not ahead:
            self._expected = (self._expected + 1) % _NUMBERS
            self._asked = False
            self.counts["received"] += 1
            self._receive(frame.kind, frame.words)
        elif ahead < WINDOW:
            self._ask()

    def _acknowledged(self, frame: Frame) -> None:
        """Forget what the board has, repeat what it has lost, and note for how much more it has places."""
        first = (self._next - len(self._under_way)) % _NUMBERS
        done = (frame.ack - first) % _NUMBERS
        if done > len(self._under_way):
            return
        for _ in range(done):
            self._under_way.popleft()
        lost = frame.kind == Kind.AGAIN
        if done:
            self._since = self._clock()
            lost |= self._guesses > 0  # rightly, as it seems: so what went behind that was dropped
            self._guesses = 0
        if lost:
            self._repeat(WINDOW)
        self._limit = (frame.ack + frame.room) % _NUMBERS

    def _ask(self) -> None:
        """Ask for what is missing, once until something new comes."""
        if not self._asked:
            self._asked = True
            self.counts["missing"] += 1
            self._tell(Kind.AGAIN)
