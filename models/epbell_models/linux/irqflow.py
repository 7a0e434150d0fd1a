"""Flow handlers: in which order an occurrence is masked, acknowledged, handled and let through again.

Follows kernel/irq/chip.c (handle_level_irq, handle_edge_irq, handle_fasteoi_irq) and kernel/irq/handle.c.
"""

from .irqdesc import IrqDesc, IrqReturn
from .spurious import note_interrupt

__all__ = [
    "handle_edge_irq",
    "handle_fasteoi_irq",
    "handle_level_irq",
    "run_actions",
]


async def handle_level_irq(desc: IrqDesc) -> None:
    """Mask and acknowledge, handle, unmask unless a one-shot thread still has work."""
    async with desc.lock:
        await desc.mask_ack()
        if not _may_start(desc):
            return
        desc.begin()
    result = await run_actions(desc)
    async with desc.lock:
        desc.end()
        await note_interrupt(desc, result)
        await _cond_unmask(desc)


async def handle_fasteoi_irq(desc: IrqDesc) -> None:
    """Handle, then signal the end; mask only for a one-shot thread or when nobody may be called."""
    async with desc.lock:
        if not _may_start(desc):
            await desc.mask()
            await desc.data.chip.irq_eoi(desc.data)
            return
        if desc.oneshot:
            await desc.mask()
        desc.begin()
    result = await run_actions(desc)
    async with desc.lock:
        desc.end()
        await note_interrupt(desc, result)
        await _cond_unmask(desc)
        await desc.data.chip.irq_eoi(desc.data)


async def handle_edge_irq(desc: IrqDesc) -> None:
    """Acknowledge before the handlers; keep what arrives meanwhile pending and run them once more.

    Disabled, without action, or while handlers run: the occurrence is noted, masked and acknowledged. The acknowledge
    consumes it in hardware, so that the note is all that is left of it.
    """
    async with desc.lock:
        if not _may_start(desc):
            await desc.mask_ack()
            return
        await desc.data.chip.irq_ack(desc.data)
        desc.begin()
    while True:
        result = await run_actions(desc)
        async with desc.lock:
            desc.end()
            await note_interrupt(desc, result)
            if not desc.pending or desc.disabled:
                return
            if not desc.actions:
                await desc.mask()
                return
            await desc.unmask()
            desc.begin()


async def run_actions(desc: IrqDesc) -> IrqReturn:
    """Call every action's handler in the order of the requests; wake the threads of those that ask for it."""
    result = IrqReturn.NONE
    for action in list(desc.actions):
        answer = await action.handler(desc.data.irq, action.dev_id)
        if answer & IrqReturn.WAKE_THREAD:
            desc.core.wake_thread(desc, action)
        result |= answer
    return result


def _may_start(desc: IrqDesc) -> bool:
    """Return whether handlers may run now; note the occurrence when they are running or must not run."""
    desc.replay = False
    if desc.in_progress or desc.disabled or not desc.actions:
        desc.pending = True
        return False
    desc.count += 1
    return True


async def _cond_unmask(desc: IrqDesc) -> None:
    if not desc.disabled and desc.masked and not desc.threads_oneshot:
        await desc.unmask()
