"""The controller page: identity, MSI towards the host, counters of refusals and of bells."""

from collections import deque
from collections.abc import Callable

from .edma import PERSONALITIES, EdmaPage
from .mu import MessagingUnit

__all__ = [
    "QUEUE_DEPTH",
    "ControllerPage",
]

QUEUE_DEPTH = 16

_IDENTITY = 0x4550_424C
_VERSION = 0x0000_0100
_VECTORS = 4
_BELLS, _EDMA_BELL = 0x100, 0x140
# In the order of their registers, from 0x018 on.
_COUNTERS = ("msi_sent", "msi_refused", "writes_refused", "reads_refused", "unsupported", "discontinued", "malformed")


class ControllerPage:
    """Registers that only the endpoint's processor reaches.

    Cycle counts are the one thing a model without a clock cannot know; they read zero.

    Parameters
    ----------
    mu
        The Messaging Unit whose bells are counted.
    edma
        The eDMA whose bell is counted.
    windows, guard, lines
        What FEATURES reports: inbound windows, whether there is a guard, interrupt lines of the eDMA.

    Attributes
    ----------
    enabled, multiple, master
        State of the function's MSI capability and command register: MSI enabled, log2 of the vectors, bus master.
    on_raise
        Called when an MSI was queued.
    """

    def __init__(self, mu: MessagingUnit, edma: EdmaPage, windows: int, guard: bool, lines: int = 1) -> None:
        self._mu = mu
        self._edma = edma
        self._features = windows << 8 | _VECTORS << 16 | guard << 24
        self._features |= PERSONALITIES.index(edma.personality) << 25 | lines << 27
        self._bells_at_clear = self._bells()
        self.queue: deque[int] = deque()
        self.enabled = False
        self.multiple = 0
        self.master = False
        self.on_raise: Callable[[], None] = lambda: None
        self.counts = dict.fromkeys(_COUNTERS, 0)

    def next_msi(self) -> int | None:
        """Take the MSI that may be sent now, None when there is none or the host does not let us."""
        if not self.queue or not self.enabled or not self.master:
            return None
        self.counts["msi_sent"] += 1
        return self.queue.popleft()

    def read32(self, offset: int) -> int:
        """Read a register; reserved offsets read zero."""
        counters = dict(zip(range(0x018, 0x034, 4), self.counts.values(), strict=True))
        if offset in counters:
            return counters[offset]
        if _BELLS <= offset < _EDMA_BELL + 0x10 and offset & 0xC != 0xC:
            return self._bell(offset - _BELLS >> 4, offset >> 2 & 0x3)
        status = self.enabled | self.multiple << 1 | (QUEUE_DEPTH - len(self.queue)) << 8
        status |= bool(self.queue) << 16 | self.master << 17
        return {0x000: _IDENTITY, 0x004: _VERSION, 0x008: self._features, 0x014: status}.get(offset, 0)

    def write32(self, offset: int, value: int, strobes: int = 0xF) -> None:
        """Write a register; only MSI_RAISE and COUNTERS do something."""
        if not strobes & 1:
            return
        if offset == 0x010:
            if len(self.queue) == QUEUE_DEPTH:
                self.counts["msi_refused"] += 1
            else:
                self.queue.append(value & 0x1F)
                self.on_raise()
        elif offset == 0x040 and value & 1:
            self.counts = dict.fromkeys(self.counts, 0)
            self._bells_at_clear = self._bells()

    def reset(self, mu: MessagingUnit) -> None:
        """Forget what is queued and counted; count the bells of ``mu`` and of the eDMA from now on."""
        self._mu = mu
        self.queue.clear()
        self.counts = dict.fromkeys(self.counts, 0)
        self._bells_at_clear = self._bells()

    def _bells(self) -> list[tuple[int, ...]]:
        """Return rung, merged and delivered of every vector, then of the eDMA."""
        return [*self._mu.bells(), (self._edma.rung, self._edma.merged, self._edma.delivered)]

    def _bell(self, bell: int, which: int) -> int:
        return min(0xFFFF_FFFF, self._bells()[bell][which] - self._bells_at_clear[bell][which])
