"""The interrupt core: descriptors, requests, enable and disable, threads, replay.

Follows kernel/irq/manage.c, chip.c (startup, lazy disable) and resend.c. What the kernel does with interrupts off is
done here under the descriptor's lock. Functions return 0 or a negative errno.
"""

import errno
from typing import Any

from ..platform import Platform
from .irqdesc import TRIGGER_MASK, FlowHandler, Handler, IrqAction, IrqChip, IrqData, IrqDesc, IrqFlag, IrqReturn
from .irqdomain import IrqDomain

__all__ = [
    "IrqCore",
]

_FIRST_IRQ = 16
_THREAD_BITS = 64


async def _default_primary_handler(irq: int, dev_id: Any) -> IrqReturn:
    return IrqReturn.WAKE_THREAD


class IrqCore:
    """All interrupts of one endpoint processor.

    Parameters
    ----------
    platform
        Time and concurrency.
    log
        Receives the kernel's messages.
    spurious_window
        Number of interrupts after which unhandled ones are judged (Linux: 100,000).
    """

    def __init__(self, platform: Platform, log: list[str], *, spurious_window: int = 100_000) -> None:
        self.platform = platform
        self.log = log
        self.spurious_window = spurious_window
        self.descs: dict[int, IrqDesc] = {}

    # -- descriptors ---------------------------------------------------------------------------------------------------

    def map(
        self, domain: IrqDomain, hwirq: int, chip: IrqChip, flow: FlowHandler, trigger: IrqFlag = IrqFlag.NONE
    ) -> IrqDesc:
        """Give ``hwirq`` of ``domain`` the lowest free Linux number."""
        irq = _FIRST_IRQ
        while irq in self.descs:
            irq += 1
        desc = IrqDesc(self, IrqData(irq, hwirq, chip, domain), flow, trigger)
        self.descs[irq] = desc
        domain.revmap[hwirq] = desc
        return desc

    def unmap(self, irq: int) -> None:
        """Forget ``irq``; its actions must be gone."""
        desc = self.descs.pop(irq)
        if desc.actions:
            raise RuntimeError(f"Interrupt {irq} still has the action {desc.actions[0].name!r}")
        del desc.data.domain.revmap[desc.data.hwirq]

    async def set_chained_handler(self, irq: int, flow: FlowHandler) -> None:
        """Let a cascaded controller's flow handler take ``irq``; it is started at once and cannot be requested."""
        desc = self.descs[irq]
        async with desc.lock:
            desc.handle_irq = flow
            desc.chained = True
            await self._startup(desc)

    # -- request and free ----------------------------------------------------------------------------------------------

    async def request_irq(self, irq: int, handler: Handler, flags: IrqFlag, name: str, dev_id: Any) -> int:
        """Request without a thread."""
        return await self.request_threaded_irq(irq, handler, None, flags, name, dev_id)

    async def request_threaded_irq(
        self, irq: int, handler: Handler | None, thread_fn: Handler | None, flags: IrqFlag, name: str, dev_id: Any
    ) -> int:
        """Add an action and, for the first one, start the interrupt.

        Returns -EINVAL for a shared request without cookie, an unknown or chained interrupt, no handler at all, or a
        thread alone without one-shot; -EBUSY when the interrupt is taken and not both parties share it alike.
        """
        if flags & IrqFlag.SHARED and dev_id is None:
            return -errno.EINVAL
        desc = self.descs.get(irq)
        if desc is None or desc.chained or (handler is None and thread_fn is None):
            return -errno.EINVAL
        primary = handler if handler is not None else _default_primary_handler
        if not flags & TRIGGER_MASK:
            flags |= desc.trigger
        if desc.data.chip.oneshot_safe:
            flags &= ~IrqFlag.ONESHOT
        action = IrqAction(primary, thread_fn, flags, name, dev_id, self.platform.event())
        async with desc.request_lock, desc.lock:
            error = self._check_request(desc, action, handler is None)
            if error:
                return error
            first = not desc.actions
            if first:
                desc.spurious_disabled = False
                desc.oneshot = bool(flags & IrqFlag.ONESHOT)
                if not flags & IrqFlag.NO_AUTOEN:
                    await self._startup(desc)
            desc.actions.append(action)
            desc.irq_count = desc.irqs_unhandled = 0
            if not first and desc.spurious_disabled:
                desc.spurious_disabled = False
                await self._enable(desc)
            if thread_fn is not None:
                action.thread = self.platform.spawn(self._thread(desc, action, thread_fn), f"irq/{irq}-{name}")
        return 0

    def _check_request(self, desc: IrqDesc, action: IrqAction, default_primary: bool) -> int:
        used = 0
        for old in desc.actions:
            shared = bool(old.flags & action.flags & IrqFlag.SHARED)
            alike = not (old.flags ^ action.flags) & (IrqFlag.ONESHOT | TRIGGER_MASK)
            if not (shared and alike):
                self.log.append(f"genirq: Flags mismatch irq {desc.data.irq}. {action.name} vs. {old.name}")
                return -errno.EBUSY
            used |= old.thread_mask
        if action.flags & IrqFlag.ONESHOT:
            free = next((bit for bit in range(_THREAD_BITS) if not used >> bit & 1), None)
            if free is None:
                return -errno.EBUSY
            action.thread_mask = 1 << free
        elif default_primary and not desc.data.chip.oneshot_safe:
            self.log.append(
                f"genirq: Threaded irq requested with handler=NULL and !ONESHOT for {action.name} (irq {desc.data.irq})"
            )
            return -errno.EINVAL
        return 0

    async def free_irq(self, irq: int, dev_id: Any) -> None:
        """Remove the action with this cookie; the last one stops the interrupt. Return when its handlers are done."""
        desc = self.descs.get(irq)
        action = next((a for a in desc.actions if a.dev_id is dev_id), None) if desc is not None else None
        if desc is None or action is None:
            self.log.append(f"Trying to free already-free IRQ {irq}")
            return
        async with desc.request_lock:
            async with desc.lock:
                desc.actions.remove(action)
                if not desc.actions:
                    await self._shutdown(desc)
            await desc.idle.wait()
            while action.run_thread or desc.threads_active:
                await desc.threads_idle.wait()
            action.exiting = True
            if action.thread is not None:
                action.thread.cancel()

    # -- enable and disable --------------------------------------------------------------------------------------------

    async def disable_irq_nosync(self, irq: int) -> None:
        """Disable lazily: the source is masked only when it fires next."""
        desc = self.descs[irq]
        async with desc.lock:
            desc.depth += 1
            desc.disabled = True

    async def disable_irq(self, irq: int) -> None:
        """Disable lazily and wait until running handlers are done."""
        await self.disable_irq_nosync(irq)
        await self.synchronize_irq(irq)

    async def enable_irq(self, irq: int) -> None:
        """Undo one disable; the last one unmasks, and replays what was noted meanwhile."""
        desc = self.descs[irq]
        async with desc.lock:
            await self._enable(desc)

    async def synchronize_irq(self, irq: int) -> None:
        """Wait until no handler and no thread of ``irq`` runs."""
        desc = self.descs[irq]
        await desc.idle.wait()
        await desc.threads_idle.wait()

    async def _enable(self, desc: IrqDesc) -> None:
        if desc.depth == 0:
            self.log.append(f"Unbalanced enable for IRQ {desc.data.irq}")
        elif desc.depth == 1:
            await self._startup(desc)
        else:
            desc.depth -= 1

    async def _startup(self, desc: IrqDesc) -> None:
        desc.depth = 0
        desc.started = True
        desc.disabled = False
        await desc.unmask()
        self._check_resend(desc)

    async def _shutdown(self, desc: IrqDesc) -> None:
        if desc.started:
            desc.replay = False
            desc.depth = 1
            desc.disabled = True
            await desc.mask()
            desc.started = False

    def _check_resend(self, desc: IrqDesc) -> None:
        """Run the flow handler once more for an occurrence that was noted; a level needs no such help."""
        if desc.level:
            desc.pending = False
        elif desc.pending and not desc.replay:
            desc.pending = False
            desc.replay = True
            self.platform.spawn(self._resend(desc), f"resend-{desc.data.irq}")

    async def _resend(self, desc: IrqDesc) -> None:
        if desc.replay:
            await desc.handle_irq(desc)

    # -- threads -------------------------------------------------------------------------------------------------------

    def wake_thread(self, desc: IrqDesc, action: IrqAction) -> None:
        """Let the thread of ``action`` run (once more, should it be running)."""
        if action.thread_fn is None:
            self.log.append(f"IRQ {desc.data.irq} device {action.name} returned IRQ_WAKE_THREAD but no thread function")
            return
        if action.exiting or action.run_thread:
            return
        action.run_thread = True
        desc.threads_oneshot |= action.thread_mask
        desc.threads_active += 1
        desc.threads_idle.clear()
        action.wake.set()

    async def _thread(self, desc: IrqDesc, action: IrqAction, thread_fn: Handler) -> None:
        while True:
            await action.wake.wait()
            action.wake.clear()
            action.run_thread = False
            answer = await thread_fn(desc.data.irq, action.dev_id)
            if answer & IrqReturn.HANDLED:
                desc.threads_handled += 1
            await self._finalize_oneshot(desc, action)
            desc.threads_active -= 1
            if not desc.threads_active:
                desc.threads_idle.set()

    async def _finalize_oneshot(self, desc: IrqDesc, action: IrqAction) -> None:
        """Unmask when the last one-shot thread is done, unless the interrupt was disabled or fired again."""
        if not desc.oneshot:
            return
        while True:
            async with desc.lock:
                if not desc.in_progress:
                    if action.run_thread:
                        return
                    desc.threads_oneshot &= ~action.thread_mask
                    if not desc.threads_oneshot and not desc.disabled:
                        await desc.unmask()
                    return
            await desc.idle.wait()
