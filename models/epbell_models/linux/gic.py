"""The root interrupt controller: shared peripheral interrupts from level-sensitive lines, and who takes them.

One task per line waits for it to be high and then runs the flow handler, again and again while it stays high: a level
that nobody takes away is a storm, exactly as on silicon. All lines share one processor: their flow handlers never
overlap.
"""

from collections.abc import Mapping

from ..platform import IrqLine, Task
from .irq import IrqCore
from .irqdesc import IrqChip, IrqData, IrqFlag
from .irqdomain import IrqDomain
from .irqflow import handle_fasteoi_irq

__all__ = [
    "Gic",
]


class _GicChip(IrqChip):
    name = "GICv3"

    def __init__(self, gic: "Gic") -> None:
        self._gic = gic

    async def irq_mask(self, data: IrqData) -> None:
        self._gic.enabled[data.hwirq].clear()

    async def irq_unmask(self, data: IrqData) -> None:
        self._gic.enabled[data.hwirq].set()


class Gic(IrqDomain):
    """Root interrupt controller.

    Parameters
    ----------
    core
        Interrupt core.
    lines
        Line of each shared peripheral interrupt, by its number.

    Attributes
    ----------
    taken
        How many times the processor took each interrupt.
    """

    def __init__(self, core: IrqCore, lines: Mapping[int, IrqLine]) -> None:
        super().__init__("gic")
        self._core = core
        self._lines = dict(lines)
        self._processor = core.platform.lock()
        self._tasks: list[Task] = []
        self.enabled = {spi: core.platform.event() for spi in self._lines}
        self.taken = dict.fromkeys(self._lines, 0)
        self.chip = _GicChip(self)

    def map_spi(self, spi: int) -> int:
        """Return the Linux number of a shared peripheral interrupt, 0 when no line is connected to it."""
        if spi not in self._lines:
            return 0
        if spi not in self.revmap:
            self._core.map(self, spi, self.chip, handle_fasteoi_irq, IrqFlag.TRIGGER_HIGH)
        return self.find_mapping(spi)

    def start(self) -> None:
        """Start to take interrupts."""
        platform = self._core.platform
        self._tasks = [platform.spawn(self._watch(spi, line), f"spi-{spi}") for spi, line in self._lines.items()]

    async def stop(self) -> None:
        """Take no more interrupts, once the one in hand is done."""
        async with self._processor:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    async def _watch(self, spi: int, line: IrqLine) -> None:
        enabled = self.enabled[spi]
        while True:
            await enabled.wait()
            await line.wait_high()
            async with self._processor:
                if line.level() and enabled.is_set():
                    self.taken[spi] += 1
                    await self.generic_handle(spi)
