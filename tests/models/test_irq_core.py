"""The interrupt core on a chip of its own: requests, flows, threads, replay."""

import errno

import pytest

from epbell_models.linux.irq import IrqCore
from epbell_models.linux.irqdesc import IrqChip, IrqFlag, IrqReturn
from epbell_models.linux.irqdomain import IrqDomain
from epbell_models.linux.irqflow import handle_edge_irq, handle_fasteoi_irq, handle_level_irq
from epbell_models.platform import VirtualPlatform

LEVEL, EDGE = IrqFlag.TRIGGER_HIGH, IrqFlag.TRIGGER_RISING


class Chip(IrqChip):
    """Writes down what is done to it."""

    def __init__(self, oneshot_safe=False):
        self.calls = []
        self.oneshot_safe = oneshot_safe

    async def irq_mask(self, data):
        self.calls.append("mask")

    async def irq_unmask(self, data):
        self.calls.append("unmask")

    async def irq_ack(self, data):
        self.calls.append("ack")

    async def irq_eoi(self, data):
        self.calls.append("eoi")


class World:
    def __init__(self, flow, trigger, **options):
        self.platform = VirtualPlatform()
        self.log = []
        self.core = IrqCore(self.platform, self.log, **options)
        self.chip = Chip()
        self.domain = IrqDomain("test")
        self.desc = self.core.map(self.domain, 7, self.chip, flow, trigger)
        self.irq = self.desc.data.irq

    def handler(self, answer=IrqReturn.HANDLED, seconds=0.0, name="handler"):
        async def handler(irq, dev_id):
            self.chip.calls.append(name)
            await self.platform.sleep(seconds)
            self.chip.calls.append(f"{name} done")
            return answer

        return handler

    async def fire(self):
        assert await self.domain.generic_handle(7) == 0


def run(world, coroutine):
    return world.platform.run(coroutine)


FLOWS = {
    "level": (handle_level_irq, LEVEL, ["mask", "ack", "handler", "handler done", "unmask"]),
    "edge": (handle_edge_irq, EDGE, ["ack", "handler", "handler done"]),
    "fasteoi": (handle_fasteoi_irq, LEVEL, ["handler", "handler done", "eoi"]),
}


@pytest.mark.parametrize("flow", FLOWS)
def test_order_of_chip_callbacks(flow):
    function, trigger, expected = FLOWS[flow]
    world = World(function, trigger)

    async def main():
        assert await world.core.request_irq(world.irq, world.handler(), IrqFlag.NONE, "x", world) == 0
        await world.fire()

    run(world, main())
    assert world.chip.calls == ["unmask", *expected]


THREADED = {
    "level": ["mask", "ack", "thread", "thread done", "unmask"],
    "edge": ["ack", "thread", "thread done"],
    "fasteoi": ["mask", "eoi", "thread", "thread done", "unmask"],
}


@pytest.mark.parametrize("flow", FLOWS)
def test_one_shot_thread_keeps_a_level_masked(flow):
    function, trigger, _ = FLOWS[flow]
    world = World(function, trigger)

    async def main():
        thread = world.handler(name="thread", seconds=1e-3)
        assert await world.core.request_threaded_irq(world.irq, None, thread, IrqFlag.ONESHOT, "x", world) == 0
        world.chip.calls.clear()
        await world.fire()
        await world.platform.sleep(10e-3)

    run(world, main())
    assert world.chip.calls == THREADED[flow]


def test_one_shot_waits_for_every_thread():
    world = World(handle_level_irq, LEVEL)

    async def main():
        flags = IrqFlag.ONESHOT | IrqFlag.SHARED
        for name, seconds in (("fast", 1e-3), ("slow", 5e-3)):
            thread = world.handler(name=name, seconds=seconds)
            assert await world.core.request_threaded_irq(world.irq, None, thread, flags, name, name) == 0
        world.chip.calls.clear()
        await world.fire()
        await world.platform.sleep(10e-3)

    run(world, main())
    assert world.chip.calls == ["mask", "ack", "fast", "slow", "fast done", "slow done", "unmask"]


def test_edge_during_the_handler_runs_it_once_more():
    world = World(handle_edge_irq, EDGE)

    async def main():
        await world.core.request_irq(world.irq, world.handler(seconds=1e-3), IrqFlag.NONE, "x", world)
        world.chip.calls.clear()

        async def again():
            await world.platform.sleep(0.2e-3)
            await world.fire()
            await world.fire()

        world.platform.spawn(again(), "again")
        await world.fire()

    run(world, main())
    # The second and third occurrence are masked, acknowledged and kept as one.
    pending = ["mask", "ack", "ack"]
    assert world.chip.calls == ["ack", "handler", *pending, "handler done", "unmask", "handler", "handler done"]


def test_lazy_disable_masks_at_the_next_occurrence_and_replays():
    world = World(handle_edge_irq, EDGE)

    async def main():
        await world.core.request_irq(world.irq, world.handler(), IrqFlag.NONE, "x", world)
        world.chip.calls.clear()
        await world.core.disable_irq(world.irq)
        silent = list(world.chip.calls)
        await world.fire()
        masked = list(world.chip.calls)
        await world.core.enable_irq(world.irq)
        await world.platform.sleep(1e-3)
        return silent, masked

    assert run(world, main()) == ([], ["mask", "ack"])
    assert world.chip.calls == ["mask", "ack", "unmask", "ack", "handler", "handler done"]


def test_a_level_is_not_replayed_in_software():
    world = World(handle_level_irq, LEVEL)

    async def main():
        await world.core.request_irq(world.irq, world.handler(), IrqFlag.NONE, "x", world)
        await world.core.disable_irq(world.irq)
        await world.fire()
        await world.core.enable_irq(world.irq)
        await world.platform.sleep(1e-3)

    run(world, main())
    assert "handler" not in world.chip.calls


def test_disable_nests_and_enable_may_be_unbalanced():
    world = World(handle_edge_irq, EDGE)

    async def main():
        await world.core.request_irq(world.irq, world.handler(), IrqFlag.NONE, "x", world)
        await world.core.disable_irq(world.irq)
        await world.core.disable_irq(world.irq)
        await world.core.enable_irq(world.irq)
        still = world.desc.disabled
        await world.core.enable_irq(world.irq)
        await world.core.enable_irq(world.irq)
        return still, world.desc.disabled

    assert run(world, main()) == (True, False)
    assert world.log == [f"Unbalanced enable for IRQ {world.irq}"]


SHARED, ONESHOT = IrqFlag.SHARED, IrqFlag.ONESHOT
SHARING = [
    (SHARED, SHARED, 0),
    (IrqFlag.NONE, SHARED, -errno.EBUSY),
    (SHARED, IrqFlag.NONE, -errno.EBUSY),
    (SHARED, SHARED | ONESHOT, -errno.EBUSY),
    (SHARED | IrqFlag.TRIGGER_HIGH, SHARED | IrqFlag.TRIGGER_RISING, -errno.EBUSY),
]


@pytest.mark.parametrize(("first", "second", "result"), SHARING)
def test_sharing_rules(first, second, result):
    world = World(handle_level_irq, LEVEL)

    async def main():
        assert await world.core.request_irq(world.irq, world.handler(), first, "one", "one") == 0
        return await world.core.request_irq(world.irq, world.handler(), second, "two", "two")

    assert run(world, main()) == result
    assert bool(world.log) == (result != 0)


def test_bad_requests():
    world = World(handle_level_irq, LEVEL)
    core, irq = world.core, world.irq

    async def main():
        handler = world.handler()
        return [
            await core.request_irq(irq, handler, SHARED, "no cookie", None),
            await core.request_irq(999, handler, IrqFlag.NONE, "unknown", world),
            await core.request_threaded_irq(irq, None, None, IrqFlag.NONE, "nothing", world),
            await core.request_threaded_irq(irq, None, handler, IrqFlag.NONE, "no one-shot", world),
        ]

    assert run(world, main()) == [-errno.EINVAL] * 4
    assert not world.desc.actions
    assert world.chip.calls == []


def test_chained_interrupt_cannot_be_requested():
    world = World(handle_level_irq, LEVEL)

    async def flow(desc):
        world.chip.calls.append("chained")

    async def main():
        await world.core.set_chained_handler(world.irq, flow)
        await world.fire()
        return await world.core.request_irq(world.irq, world.handler(), SHARED, "x", world)

    assert run(world, main()) == -errno.EINVAL
    assert world.chip.calls == ["unmask", "chained"]


def test_free_waits_for_the_thread_and_masks():
    world = World(handle_edge_irq, EDGE)

    async def main():
        thread = world.handler(name="thread", seconds=5e-3)
        await world.core.request_threaded_irq(world.irq, None, thread, ONESHOT, "x", world)
        await world.fire()
        await world.platform.sleep(1e-3)
        await world.core.free_irq(world.irq, world)
        world.core.unmap(world.irq)

    run(world, main())
    assert world.chip.calls == ["unmask", "ack", "thread", "mask", "thread done"]
    assert world.log == []


def test_free_of_what_was_never_requested_is_told():
    world = World(handle_edge_irq, EDGE)
    run(world, world.core.free_irq(world.irq, world))
    assert world.log == [f"Trying to free already-free IRQ {world.irq}"]


def test_unmapping_a_requested_interrupt_is_refused():
    world = World(handle_edge_irq, EDGE)

    async def main():
        await world.core.request_irq(world.irq, world.handler(), IrqFlag.NONE, "busy", world)

    run(world, main())
    with pytest.raises(RuntimeError, match="'busy'"):
        world.core.unmap(world.irq)


@pytest.mark.parametrize(("handled_every", "disabled"), [(0, True), (50, False)])
def test_nobody_cared(handled_every, disabled):
    world = World(handle_level_irq, LEVEL, spurious_window=1000)

    async def handler(irq, dev_id):
        return IrqReturn.HANDLED if handled_every and world.desc.count % handled_every == 0 else IrqReturn.NONE

    async def main():
        await world.core.request_irq(world.irq, handler, IrqFlag.NONE, "x", world)
        for _ in range(1000):
            await world.fire()

    run(world, main())
    assert world.desc.disabled is disabled
    assert any("nobody cared" in line for line in world.log) is disabled


def test_unmapped_interrupt_is_einval():
    assert World(handle_level_irq, LEVEL).platform.run(IrqDomain("empty").generic_handle(0)) == -errno.EINVAL


def test_thread_asked_for_but_absent_is_told():
    world = World(handle_level_irq, LEVEL)

    async def main():
        await world.core.request_irq(world.irq, world.handler(IrqReturn.WAKE_THREAD), IrqFlag.NONE, "x", world)
        await world.fire()

    run(world, main())
    assert any("no thread function" in line for line in world.log)
