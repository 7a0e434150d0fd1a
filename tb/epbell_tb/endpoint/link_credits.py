"""Flow-control credits of the link: how much of a kind its far end still takes."""

from collections import Counter, deque
from typing import Any

import cocotb
from cocotb.triggers import Event
from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import Tlp

__all__ = [
    "LinkCredits",
]


class LinkCredits:
    """Holds packets back at a port; without a limit until told otherwise.

    Posted packets and completions wait where they are, and with them whoever sends. Non-posted ones wait aside, in
    their order: posted ones must be able to pass them (PCI Express, 2.4.1).

    Parameters
    ----------
    port
        The port; its ``send`` is replaced.

    Attributes
    ----------
    sent
        Packets that have left, by kind.
    """

    def __init__(self, port: Any) -> None:
        self.sent: Counter[FcType] = Counter()
        self._send = port.send
        self._left: dict[FcType, int] = {}
        self._given = Event()
        self._aside: deque[Tlp] = deque()
        self._held: Counter[FcType] = Counter()
        port.send = self._gate
        cocotb.start_soon(self._send_aside())

    def limit(self, kind: FcType, packets: int) -> None:
        """Let only so many packets of a kind pass from now on."""
        self._left[kind] = packets

    def give(self, kind: FcType, packets: int) -> None:
        """Let so many more pass."""
        self._left[kind] += packets
        self._given.set()

    def lift(self) -> None:
        """Let everything pass again."""
        self._left.clear()
        self._given.set()

    def held(self, kind: FcType) -> int:
        """Return how many packets of a kind wait."""
        return self._held[kind]

    async def _gate(self, tlp: Tlp) -> None:
        kind = tlp.get_fc_type()
        if kind is FcType.NP and (self._aside or not self._left.get(kind, 1)):
            self._aside.append(tlp)
            self._held[kind] += 1
            return
        await self._take(tlp)

    async def _take(self, tlp: Tlp) -> None:
        kind = tlp.get_fc_type()
        self._held[kind] += 1
        while not self._left.get(kind, 1):
            self._given.clear()
            await self._given.wait()
        self._held[kind] -= 1
        if kind in self._left:
            self._left[kind] -= 1
        self.sent[kind] += 1
        await self._send(tlp)

    async def _send_aside(self) -> None:
        while True:
            while not self._aside or not self._left.get(FcType.NP, 1):
                self._given.clear()
                await self._given.wait()
            self._held[FcType.NP] -= 1
            await self._take(self._aside.popleft())
