"""What the interrupt core knows of one interrupt: its chip, its state, its actions.

Follows include/linux/irq.h, include/linux/interrupt.h and kernel/irq/internals.h, in our own words.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING, Any

from ..platform import Event, Task

if TYPE_CHECKING:
    from .irq import IrqCore
    from .irqdomain import IrqDomain

__all__ = [
    "TRIGGER_MASK",
    "FlowHandler",
    "Handler",
    "IrqAction",
    "IrqChip",
    "IrqData",
    "IrqDesc",
    "IrqFlag",
    "IrqReturn",
]


class IrqReturn(IntFlag):
    """What a handler answers."""

    NONE = 0
    HANDLED = 1
    WAKE_THREAD = 2


class IrqFlag(IntFlag):
    """Flags of a request; the trigger bits say which kind the caller insists on."""

    NONE = 0
    TRIGGER_RISING = 0x1
    TRIGGER_FALLING = 0x2
    TRIGGER_HIGH = 0x4
    TRIGGER_LOW = 0x8
    SHARED = 0x80
    ONESHOT = 0x2000
    NO_AUTOEN = 0x8_0000


TRIGGER_MASK = IrqFlag.TRIGGER_RISING | IrqFlag.TRIGGER_FALLING | IrqFlag.TRIGGER_HIGH | IrqFlag.TRIGGER_LOW

Handler = Callable[[int, Any], Awaitable[IrqReturn]]
"""Called with the interrupt number and the cookie of the request."""


class IrqChip:
    """How to reach one interrupt controller; every callback does nothing unless a driver overrides it.

    Attributes
    ----------
    name
        As in /proc/interrupts.
    oneshot_safe
        The chip needs no masking while a threaded handler runs.
    """

    name = "dummy"
    oneshot_safe = False

    async def irq_mask(self, data: "IrqData") -> None:
        """Stop the interrupt at its source."""

    async def irq_unmask(self, data: "IrqData") -> None:
        """Let the interrupt through."""

    async def irq_ack(self, data: "IrqData") -> None:
        """Take note of one occurrence, before its handler runs."""

    async def irq_eoi(self, data: "IrqData") -> None:
        """Finish one occurrence, after its handler ran."""


@dataclass
class IrqData:
    """One interrupt from its chip's point of view: Linux number, number within the domain, chip, domain."""

    irq: int
    hwirq: int
    chip: IrqChip
    domain: "IrqDomain"


@dataclass(eq=False)
class IrqAction:
    """One request of an interrupt."""

    handler: Handler
    thread_fn: Handler | None
    flags: IrqFlag
    name: str
    dev_id: Any
    wake: Event
    thread_mask: int = 0
    run_thread: bool = False
    exiting: bool = False
    thread: Task | None = None


FlowHandler = Callable[["IrqDesc"], Awaitable[None]]


@dataclass(eq=False)
class IrqDesc:
    """State of one interrupt.

    ``lock`` is held around every change and every chip callback, released while handlers run, as the kernel's raw
    spinlock is. ``idle`` is set while no handler runs, ``threads_idle`` while no threaded handler has work.
    """

    core: "IrqCore"
    data: IrqData
    handle_irq: FlowHandler
    trigger: IrqFlag
    chained: bool = False
    actions: list[IrqAction] = field(default_factory=list[IrqAction])
    depth: int = 1
    disabled: bool = True
    masked: bool = True
    started: bool = False
    in_progress: bool = False
    pending: bool = False
    replay: bool = False
    oneshot: bool = False
    spurious_disabled: bool = False
    threads_oneshot: int = 0
    threads_active: int = 0
    threads_handled: int = 0
    threads_handled_last: int | None = None
    count: int = 0
    irq_count: int = 0
    irqs_unhandled: int = 0
    last_unhandled: float = float("-inf")

    def __post_init__(self) -> None:
        platform = self.core.platform
        self.lock = platform.lock()
        self.request_lock = platform.lock()
        self.idle = platform.event()
        self.idle.set()
        self.threads_idle = platform.event()
        self.threads_idle.set()

    @property
    def level(self) -> bool:
        """Whether the source is a level: then nothing need be replayed in software."""
        return bool(self.trigger & (IrqFlag.TRIGGER_HIGH | IrqFlag.TRIGGER_LOW))

    async def mask(self) -> None:
        """Mask unless masked already."""
        if not self.masked:
            await self.data.chip.irq_mask(self.data)
            self.masked = True

    async def unmask(self) -> None:
        """Unmask if masked."""
        if self.masked:
            await self.data.chip.irq_unmask(self.data)
            self.masked = False

    async def mask_ack(self) -> None:
        """Mask, then acknowledge."""
        await self.mask()
        await self.data.chip.irq_ack(self.data)

    def begin(self) -> None:
        """Note that handlers run from now on."""
        self.pending = False
        self.in_progress = True
        self.idle.clear()

    def end(self) -> None:
        """Note that they have run."""
        self.in_progress = False
        self.idle.set()
