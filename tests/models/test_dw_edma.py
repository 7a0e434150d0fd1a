"""The eDMA's driver: probe, and the interrupt that a store of the host emulates."""

import pytest
from dw_edma_rig import listen, shipped, store, stores, taken
from rig import Rig, run_rig

from epbell_models.linux.dw_edma import NO_OFFSET, DwEdma
from epbell_models.linux.dw_edma_core import EdmaWay
from epbell_models.linux.irqdesc import IrqFlag, IrqReturn

EDMA = 0x5F09_0000


# -- probe -------------------------------------------------------------------------------------------------------------


def test_probe_masks_clears_and_disables():
    async def scenario(rig: Rig):
        edma = rig.software.edma
        return stores(rig), edma.channels, edma.db_offset, rig.software.core.descs[edma.db_irq].data.chip.name

    writes = [(0x54, 0xFF_00FF), (0xA8, 0xFF_00FF), (0x58, 0xFF_00FF), (0xAC, 0xFF_00FF), (0x0C, 0), (0x2C, 0)]
    assert run_rig(scenario, tree=shipped()) == (writes, (4, 4), 0xA0, "dw-edma-emul")


def test_probe_of_a_native_hdma():
    async def scenario(rig: Rig):
        edma = rig.software.edma
        return stores(rig), edma.channels, (edma.db_irq, edma.db_offset)

    steps = ((0x88, 5), (0x8C, 5), (0, 0))
    blocks = [(0x200 * channel, 0x200 * channel + 0x100) for channel in range(8)]
    writes = [(block + offset, value) for both in blocks for offset, value in steps for block in both]
    assert run_rig(scenario, tree=shipped("hdma")) == (writes, (4, 4), (0, NO_OFFSET))


def test_probe_takes_an_old_latch_away():
    async def scenario(rig: Rig):
        store(rig)
        assert rig.link.irq_edma[0].level()
        await rig.bring_up()
        return rig.link.irq_edma[0].level(), taken(rig)

    assert run_rig(scenario, tree=shipped(), bring_up=False) == (False, 0)


DMA_CTRL = {
    "no write channel": (0x0004_0000, None),
    "no read channel": (0x0000_0004, None),
    "nothing answers": (0xFFFF_FFFF, None),
    "nine": (0x0004_0009, None),
    "one and one": (0x0001_0001, (1, 1)),
    "eight and eight": (0x0008_0008, (8, 8)),
}


class SaysAnother:
    """The processor's bus, but for DMA_CTRL."""

    def __init__(self, bus, value):
        self.bus = bus
        self.value = value

    def __getattr__(self, name):
        return getattr(self.bus, name)

    async def read32(self, address):
        return self.value if address == EDMA + 0x08 else await self.bus.read32(address)


@pytest.mark.parametrize("case", DMA_CTRL)
def test_channel_counts(case):
    value, channels = DMA_CTRL[case]

    async def scenario(rig: Rig):
        edma = rig.software.edma
        return edma and edma.channels, await rig.software.epc.get_aux_resources_count()

    expected = (channels, 1 if channels else 0)
    assert run_rig(scenario, tree=shipped(), cpu_bus=lambda bus: SaysAnother(bus, value)) == expected


@pytest.mark.parametrize("names", ['"edma"', '"dma0"'])
def test_wrong_interrupts_mean_no_edma(names, dts):
    async def scenario(rig: Rig):
        return rig.software.edma, "Invalid eDMA IRQs found" in rig.software.log, await rig.host.doorbell_test()

    tree = dts(('interrupt-names = "dma"', f"interrupt-names = {names}"))
    assert run_rig(scenario, tree=tree) == (None, True, 0), "the controller goes on, and the Messaging Unit serves"


def test_interrupt_that_nothing_drives(dts):
    async def scenario(rig: Rig):
        lone = DwEdma(rig.software.core, rig.link.cpu, dts(("<0 192 4>", "<0 77 4>")).endpoint.edma)
        return await lone.find(rig.software.gic), rig.software.log

    assert run_rig(scenario, tree=shipped()) == (False, ["Invalid eDMA IRQs found"])


def test_interrupt_that_somebody_holds_alone(dts):
    async def scenario(rig: Rig):
        async def handler(irq, dev_id):
            return IrqReturn.NONE

        rig.software.gic.start()
        virq = rig.software.gic.map_spi(192)
        assert await rig.software.core.request_irq(virq, handler, IrqFlag.NONE, "alone", rig) == 0
        edma = rig.software._edma
        return await edma.find(rig.software.gic), await edma.probe(), edma.db_irq

    assert run_rig(scenario, tree=shipped(), bring_up=False) == (True, -16, 0)


# -- the emulated interrupt --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])
@pytest.mark.parametrize("offset", [0x4C, 0xA0])
@pytest.mark.parametrize("data", [0, 1, 2, 0xFFFF_FFFF])
def test_a_store_interrupts_once(name, offset, data):
    async def scenario(rig: Rig):
        runs = await listen(rig)
        store(rig, offset, data)
        await rig.platform.sleep(1e-3)
        return len(runs), taken(rig), [line.level() for line in rig.link.irq_edma], rig.software.edma.done

    lines, channels = (1, 8) if name == "imx8-edma" else (4, 4)
    assert run_rig(scenario, tree=shipped(name)) == (1, 1, [False] * lines, [0] * channels)


def test_ack_is_zero_to_both_and_before_the_handler():
    async def scenario(rig: Rig):
        seen = []

        async def look():
            seen.append((stores(rig, since), rig.endpoint.edma.latched))

        await listen(rig, notify=look)
        since = len(rig.link.cpu.trace)
        store(rig)
        await rig.platform.sleep(1e-3)
        return seen, stores(rig, since)

    ack = [(0x58, 0), (0xAC, 0)]
    assert run_rig(scenario, tree=shipped()) == ([(ack, False)], ack)


def test_a_store_while_the_handler_runs_is_not_lost():
    async def scenario(rig: Rig):
        async def again():
            if len(runs) == 1:
                store(rig)
            await rig.platform.sleep(1e-5)

        runs = await listen(rig, notify=again)
        store(rig)
        await rig.platform.sleep(1e-3)
        return runs, rig.endpoint.edma.delivered, rig.link.irq_edma[0].level()

    assert run_rig(scenario, tree=shipped()) == ([1, 2], 2, False)


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])
@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("step", range(0, 24, 3))
def test_a_store_at_any_moment_around_the_ack(name, threaded, step):
    async def scenario(rig: Rig):
        runs = await listen(rig, threaded=threaded)
        store(rig)
        await rig.platform.sleep(step * 25e-9)
        store(rig)
        await rig.platform.sleep(1e-3)
        edma = rig.endpoint.edma
        assert not any(line.level() for line in rig.link.irq_edma)
        return runs[-1], len(runs) <= 2, edma.rung == edma.merged + edma.delivered == 2

    assert run_rig(scenario, tree=shipped(name)) == (2, True, True)


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])
@pytest.mark.parametrize("threaded", [False, True])
def test_many_stores(name, threaded):
    async def scenario(rig: Rig):
        runs = await listen(rig, threaded=threaded)
        for number in range(300):
            store(rig, data=number)
            await rig.platform.sleep(number % 7 * 1e-7)
        await rig.platform.sleep(1e-3)
        return 1 <= len(runs) <= 300, runs[-1], taken(rig) <= 300, any(line.level() for line in rig.link.irq_edma)

    assert run_rig(scenario, tree=shipped(name)) == (True, 300, True, False)


def test_nobody_listens():
    async def scenario(rig: Rig):
        for _ in range(200):
            store(rig)
            await rig.platform.sleep(1e-5)
        return taken(rig), rig.link.irq_edma[0].level(), rig.software.log

    assert run_rig(scenario, tree=shipped(), spurious_window=50) == (200, False, [])


def test_masks_and_engines_have_no_say():
    async def scenario(rig: Rig):
        for offset in (0x54, 0xA8):
            store(rig, offset, 0xFFFF_FFFF)
        for offset in (0x0C, 0x2C):
            store(rig, offset, 0)
        runs = await listen(rig)
        store(rig)
        await rig.platform.sleep(1e-3)
        return len(runs)

    assert run_rig(scenario, tree=shipped()) == 1


def test_window_before_the_interrupt_exists():
    """Between the request of the interrupt and the creation of the doorbell's: nobody cares, and the line goes off."""

    async def window():
        rig = rigs[0]
        store(rig)
        await rig.platform.sleep(1e-2)
        virq = rig.software.gic.find_mapping(192)
        found.append((rig.software.core.descs[virq].spurious_disabled, rig.link.irq_edma[0].level()))

    async def scenario(rig: Rig):
        rigs.append(rig)
        await rig.bring_up()
        return rig.software.log

    rigs: list[Rig] = []
    found = []
    options = {"bring_up": False, "spurious_window": 100, "before_doorbell_irq": window}
    log = run_rig(scenario, tree=shipped(), **options)
    assert found == [(True, True)]
    assert log == ["irq 17: nobody cared", "Disabling IRQ #17"]


def test_window_that_closes_in_time():
    """A store in the window, and the doorbell's interrupt a moment later: it is still acknowledged."""

    async def window():
        store(rigs[0])
        await rigs[0].platform.sleep(2e-6)

    async def scenario(rig: Rig):
        rigs.append(rig)
        await rig.bring_up()
        await rig.platform.sleep(1e-3)
        return rig.link.irq_edma[0].level(), rig.software.log, rig.endpoint.edma.delivered

    rigs: list[Rig] = []
    options = {"bring_up": False, "spurious_window": 1000, "before_doorbell_irq": window}
    assert run_rig(scenario, tree=shipped(), **options) == (False, [], 1)


@pytest.mark.parametrize("unheard", ["doorbell", "channel"])
def test_what_nobody_heard_is_replayed_at_the_next_request(unheard):
    """The flow handler notes an interrupt without action as pending, and this one is no level to the core."""

    async def scenario(rig: Rig):
        if unheard == "channel":
            await rig.software.edma.start_channel(EdmaWay.WRITE, 0)
            rig.link.pulse(wr_done=1)
        else:
            store(rig)
        await rig.platform.sleep(1e-3)
        runs = await listen(rig)
        await rig.platform.sleep(1e-3)
        replayed = len(runs)
        store(rig)
        await rig.platform.sleep(1e-3)
        return replayed, len(runs)

    assert run_rig(scenario, tree=shipped()) == (1, 2)


def test_after_the_interrupt_is_gone_nobody_cares():
    async def scenario(rig: Rig):
        rig.software.edma.free_doorbell_irq()
        store(rig)
        await rig.platform.sleep(1e-2)
        count = await rig.software.epc.get_aux_resources_count()
        return count, [line for line in rig.software.log if "nobody cared" in line] != [], rig.software.edma.db_irq

    assert run_rig(scenario, tree=shipped(), spurious_window=100) == (0, True, 0)


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])
def test_remove_frees_the_lines_from_the_last_and_then_the_doorbells_interrupt(name, monkeypatch):
    async def scenario(rig: Rig):
        freed, core, edma = [], rig.software.core, rig.software.edma
        free, unmap = core.free_irq, core.unmap

        async def free_irq(irq, dev_id):
            freed.append((irq, edma.db_irq in core.descs))
            await free(irq, dev_id)

        def forget(irq):
            freed.append(irq)
            unmap(irq)

        monkeypatch.setattr(core, "free_irq", free_irq)
        monkeypatch.setattr(core, "unmap", forget)
        lines = [rig.software.gic.find_mapping(interrupt.spi) for interrupt in shipped(name).endpoint.edma.interrupts]
        expected = [(virq, True) for virq in reversed(lines)] + [edma.db_irq]
        await edma.remove()
        return len(lines), freed == expected, freed, expected

    count, right, freed, expected = run_rig(scenario, tree=shipped(name))
    assert right, f"{freed}, not {expected}"
    assert count == (1 if name == "imx8-edma" else 4)


@pytest.mark.parametrize("taken", range(4))
def test_one_of_four_interrupts_is_taken(taken, monkeypatch):
    """Those that were requested before are freed, the last first, and a later probe finds them free."""

    async def scenario(rig: Rig):
        async def handler(irq, dev_id):
            return IrqReturn.NONE

        rig.software.gic.start()
        core, edma = rig.software.core, rig.software._edma
        virqs = [rig.software.gic.map_spi(interrupt.spi) for interrupt in shipped("rk3588").endpoint.edma.interrupts]
        assert await core.request_irq(virqs[taken], handler, IrqFlag.NONE, "alone", rig) == 0
        free, freed = core.free_irq, []

        async def free_irq(irq, dev_id):
            freed.append(virqs.index(irq))
            await free(irq, dev_id)

        assert await edma.find(rig.software.gic)
        with monkeypatch.context() as patch:
            patch.setattr(core, "free_irq", free_irq)
            failed = await edma.probe()
        left = [action.name for virq in virqs for action in core.descs[virq].actions]
        await core.free_irq(virqs[taken], rig)
        return failed, edma.db_irq, freed, left, await edma.probe(), rig.software.log[1:]

    expected = (-16, 0, list(reversed(range(taken))), ["alone"], 0, [])
    assert run_rig(scenario, tree=shipped("rk3588"), bring_up=False) == expected


def test_remove():
    async def scenario(rig: Rig):
        edma, since = rig.software.edma, len(rig.link.cpu.trace)
        await edma.remove()
        quiet = stores(rig, since)
        store(rig)
        await rig.platform.sleep(1e-3)
        actions = [action.name for desc in rig.software.core.descs.values() for action in desc.actions]
        return len(quiet), actions, (edma.db_irq, edma.db_offset), taken(rig), len(rig.software.log)

    assert run_rig(scenario, tree=shipped()) == (6, [], (0, NO_OFFSET), 0, 0)


def test_one_shot_is_not_needed():
    """The chip is safe: a thread alone is accepted, and the doorbell rings on while it runs."""

    async def scenario(rig: Rig):
        async def thread(irq, dev_id):
            await rig.platform.sleep(1e-4)
            heard.append(rig.endpoint.edma.rung)
            return IrqReturn.HANDLED

        core, virq = rig.software.core, rig.software.edma.db_irq
        assert await core.request_threaded_irq(virq, None, thread, IrqFlag.SHARED, "thread", rig) == 0
        for _ in range(5):
            store(rig)
            await rig.platform.sleep(1e-5)
        await rig.platform.sleep(1e-2)
        return heard[-1], rig.endpoint.edma.delivered

    heard = []
    assert run_rig(scenario, tree=shipped()) == (5, 5)
