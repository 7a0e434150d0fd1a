"""Detection of an interrupt that nobody handles: after too many it is switched off, loudly.

Follows kernel/irq/spurious.c. The kernel looks every 100,000 interrupts and gives up when more than 99,900 of them went
unhandled; `IrqCore` takes the first figure as a parameter and keeps the ratio.
"""

from .irqdesc import IrqDesc, IrqReturn

__all__ = [
    "note_interrupt",
]

# Unhandled interrupts further apart than this are counted as strays, not as a storm.
_STRAY_SECONDS = 0.1


async def note_interrupt(desc: IrqDesc, result: IrqReturn) -> None:
    """Account for one run of the handlers; called with the descriptor's lock held."""
    judged = _judge_threads(desc, result)
    if judged is None:
        return
    core = desc.core
    if judged == IrqReturn.NONE:
        now = core.platform.now()
        desc.irqs_unhandled = 1 if now - desc.last_unhandled > _STRAY_SECONDS else desc.irqs_unhandled + 1
        desc.last_unhandled = now
    desc.irq_count += 1
    if desc.irq_count < core.spurious_window:
        return
    desc.irq_count = 0
    if desc.irqs_unhandled > core.spurious_window * 999 // 1000:
        core.log.append(f"irq {desc.data.irq}: nobody cared")
        core.log.append(f"Disabling IRQ #{desc.data.irq}")
        desc.spurious_disabled = True
        desc.depth += 1
        desc.disabled = True
    desc.irqs_unhandled = 0


def _judge_threads(desc: IrqDesc, result: IrqReturn) -> IrqReturn | None:
    """Judge a mere wake-up by whether a thread has handled anything since the last one."""
    if result != IrqReturn.WAKE_THREAD:
        if result & IrqReturn.WAKE_THREAD:
            desc.threads_handled_last = None
        return result
    if desc.threads_handled_last is None:
        desc.threads_handled_last = desc.threads_handled
        return None
    if desc.threads_handled != desc.threads_handled_last:
        desc.threads_handled_last = desc.threads_handled
        return IrqReturn.HANDLED
    return IrqReturn.NONE
