"""A way in for the express lane alone: the host's packets, what becomes of them, and what the lane has to promise.

Written from docs/endpoint.md. It has whole packets in a list, and does not look into the lane.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from usp_packets import Beat, Request, cq_beats, write

AHEAD, SETTLE, IDLE = 2, 4, 3  # clocks, see docs/endpoint.md
WINDOW = 3  # from a window's register at its port to the clock in which the window counts
OFFSETS = (0x200, 0x4C0)
OTHERS: tuple[dict[str, Any], ...] = (
    *({"first_be": 0x7}, {"first_be": 0xE}, {"first_be": 0}, {"last_be": 1}, {"last_be": 8}),
    *({"kind": 3}, {"kind": 9}, {"kind": 13}),
)


@dataclasses.dataclass(eq=False)
class Packet:
    """A packet, and what happens to it."""

    request: Request
    beats: list[Beat]
    plain: bool  # a write of one dword with all of its bytes, sound to its end
    bad: bool = False  # not sound: nothing is written
    first: int = 0  # clocks of its first and of its last beat
    last: int | None = None
    fresh: bool = False  # it began at an empty way in
    alone: bool = True  # nothing has begun behind it
    done: int | None = None  # clock in which its write is made, if there is one to be made
    unit: str | None = None  # what it rings

    @property
    def place(self) -> tuple[int, int, int]:
        """What a window looks at, but for the lowest bits of the address."""
        return self.request.address >> 4, self.request.bar, self.request.function

    @property
    def dword(self) -> int:
        """Which of the four dwords of the place."""
        return self.request.address >> 2 & 3


class Traffic:
    """Packets of a host, good and bad."""

    def __init__(self, width: int, rng: random.Random, way: WayIn) -> None:
        self.width, self.rng, self.way = width, rng, way

    def packet(self) -> Packet:
        """Return the next one: half of them are doorbells that the lane may follow."""
        rng = self.rng
        more: dict[str, Any] = {"tag": rng.getrandbits(8), "requester": rng.getrandbits(16), "at": rng.randrange(4)}
        more |= {"tc": rng.randrange(8), "attr": rng.randrange(8), "reserved": rng.randrange(4)}
        more["function"] = rng.choice((*[0] * 18, 1, 128))
        bar, offset, dword = rng.randrange(2), rng.choice(OFFSETS), rng.randrange(4)
        if rng.random() < 0.8:
            bar, offset, dword = rng.choice(self.way.doorbells)
        request = write(bar, offset + 4 * dword, 5, **more)
        kind = rng.random()
        if kind < 0.6:
            return Packet(request, cq_beats(request, self.width), plain=True)
        if kind < 0.7:
            request = dataclasses.replace(request, **rng.choice(OTHERS))
        elif kind < 0.8:
            payload = tuple(rng.getrandbits(32) for _ in range(rng.randrange(2, 6)))
            request = dataclasses.replace(request, payload=payload, length=len(payload))
        else:
            worse = rng.choice((self._withdrawn, self._longer, self._gap, self._length))
            return Packet(request, worse(request), plain=False, bad=True)
        return Packet(request, cq_beats(request, self.width), plain=False)

    def _withdrawn(self, request: Request) -> list[Beat]:
        beats = len(cq_beats(request, self.width))
        return cq_beats(dataclasses.replace(request, discontinue=frozenset((self.rng.randrange(beats),))), self.width)

    def _longer(self, request: Request) -> list[Beat]:
        beats = cq_beats(request, self.width)
        return [*beats[:-1], dataclasses.replace(beats[-1], last=0), dataclasses.replace(beats[-1], user=0)]

    def _gap(self, request: Request) -> list[Beat]:
        beats = cq_beats(request, self.width)
        place, lane = self.rng.randrange(len(beats)), self.rng.randrange(self.width // 32)
        beats[place] = dataclasses.replace(beats[place], keep=beats[place].keep ^ 1 << lane)
        return beats

    def _length(self, request: Request) -> list[Beat]:
        return cq_beats(dataclasses.replace(request, length=self.rng.choice((0, 2, 7, 1024))), self.width)


class WayIn:
    """Packets in their order, windows, and what the lane promises. Call :meth:`begin` and :meth:`end` in each clock."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.looks, self.takes = rng.choice((2, 3, 4)), rng.choice((7, 8))  # clocks from the last beat on
        self.clock = 0
        self.packets: list[Packet] = []
        self.idle = self.aimed = self.cpu_writes = False
        self.made: Packet | None = None
        self._idles = 0  # for so many clocks
        self._aims = [-99]
        self._windows: list[tuple[int, dict[Any, str]]] = [(0, self._some_windows())]
        self._known: dict[str, Any] = dict.fromkeys(("mu", "edma"))
        self._learning: tuple[str, Packet] | None = None
        self.promised: Packet | None = None
        self.promise = ""  # its unit
        self.begins = False
        names = ("promised mu", "promised edma", "forgotten", "held back", "not learned")
        self.seen: dict[str, int] = dict.fromkeys(names, 0)

    def _some_windows(self) -> dict[Any, str]:
        """Where writes ring: a block for the Messaging Unit, a dword for the eDMA; and one where they ring nothing."""
        rng = self.rng
        mu, edma, page = rng.sample([(bar, offset) for bar in (0, 1) for offset in OFFSETS], 3)
        self.doorbells = [(*mu, rng.randrange(4)), (*edma, rng.randrange(4))]
        at = {place: (0x8000_0000 + 0x4000 * place[0] + place[1] >> 4, place[0], 0) for place in (mu, edma, page)}
        return {at[mu]: "mu", (at[edma], self.doorbells[1][2]): "edma", at[page]: "page"}

    def begin(self, aims: bool, cpu_writes: bool) -> None:
        """Say what is at the lane's inputs in this clock, beside the stream."""
        now = self.clock
        self.made = next((packet for packet in self.packets if packet.done == now and packet.unit), None)
        self.packets = [packet for packet in self.packets if packet.done is None or packet.done > now]
        self.idle = not self.packets and (self.rng.random() < 0.97)
        self._idles = self._idles + 1 if self.idle else 0
        self.cpu_writes = cpu_writes
        # A write granted in the clock before; what is granted, the CPU waits for while there is a promise.
        self.aimed = aims and (self.promised is None or self.begins)
        if self.aimed:
            self._aims.append(now)
            self._windows.append((now + WINDOW, self._some_windows()))

    def accept(self, packet: Packet, beat: int) -> None:
        """Take a beat from the stream in this clock."""
        if beat == 0:
            for earlier in self.packets:
                earlier.alone = False
            packet.first, packet.fresh = self.clock, self._idles >= IDLE
            self.packets.append(packet)
        if beat == len(packet.beats) - 1:
            packet.last, packet.done = self.clock, self.clock + self.takes

    def end(self) -> None:
        """Find out what is promised in the next clock."""
        now, known = self.clock, self._known
        for packet in self.packets:
            if packet.last is not None and now == packet.last + self.looks and not packet.bad:
                packet.unit = self._found(packet)
        learning, self._learning = self._learning, None
        if learning is not None:
            unit, packet = learning
            if max(self._aims) < packet.first + 1 - SETTLE:
                known[unit] = (packet.place, packet.dword if unit == "edma" else None)
            else:
                self.seen["not learned"] += 1
        if self.aimed:
            self.seen["forgotten"] += any(known.values())
            self._known = dict.fromkeys(known)
        self.begins = False
        if self.made is self.promised:
            self.promised = None
        if self.made and self.made.plain and self.made.fresh and self.made.alone and self.made.unit in known:
            self._learning = self.made.unit, self.made
        for packet in self.packets:
            if packet.plain and packet.fresh and packet.last == now - 1 and not self.aimed:
                self._promise(packet)
        self.clock += 1

    def _promise(self, packet: Packet) -> None:
        keys = {"mu": (packet.place, None), "edma": (packet.place, packet.dword)}
        unit = next((unit for unit, key in keys.items() if self._known[unit] == key), None)
        if unit == "mu" and self.cpu_writes:
            self.seen["held back"] += 1
        elif unit:
            self.promised, self.promise, self.begins = packet, unit, True
            self.seen[f"promised {unit}"] += 1

    def _found(self, packet: Packet) -> str | None:
        """What a write reaches, by the windows that count in this clock."""
        windows = next(windows for since, windows in reversed(self._windows) if since <= self.clock)
        return windows.get(packet.place) or windows.get((packet.place, packet.dword))
