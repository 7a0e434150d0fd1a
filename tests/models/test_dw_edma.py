"""The eDMA's driver: probe, channels that end and abort, and the interrupt that a store of the host emulates."""

import pytest
from rig import Rig, run_rig

from epbell_models import devicetree
from epbell_models.linux.dw_edma import NO_OFFSET, DwEdma
from epbell_models.linux.dw_edma_core import EdmaWay, Happened
from epbell_models.linux.irqdesc import IrqFlag, IrqReturn

EDMA = 0x5F09_0000
READ, WRITE = EdmaWay.READ, EdmaWay.WRITE
DONE, ABORT = Happened.DONE, Happened.ABORT


def shipped(name: str = "imx8-edma") -> devicetree.DeviceTree:
    return devicetree.load(devicetree.builtin(name))


def store(rig: Rig, offset: int = 0xA0, data: int = 0) -> None:
    """Let a store of the host arrive at the registers, past every window."""
    rig.endpoint.cpu_write32(rig.endpoint.map["edma"].base + offset, data)
    rig.link.settle()


def stores(rig: Rig, since: int = 0) -> list[tuple[int, int]]:
    """Return the processor's writes to the eDMA: offset and word."""
    base = rig.endpoint.map["edma"].base
    trace = rig.link.cpu.trace[since:]
    return [(a.address - base, a.value) for a in trace if a.kind == "write" and base <= a.address < base + 0x1_0000]


def taken(rig: Rig) -> int:
    return sum(rig.software.gic.taken[i.spi] for i in rig.software.controller._node.edma.interrupts)


async def listen(rig: Rig, *, threaded=False, notify=None) -> list[int]:
    """Request the doorbell's interrupt; return a list that grows with each run of the handler."""
    runs: list[int] = []

    async def handler(irq, dev_id):
        runs.append(rig.endpoint.edma.rung)
        if notify is not None:
            await notify()
        return IrqReturn.HANDLED

    core, virq = rig.software.core, rig.software.edma.db_irq
    if threaded:
        flags = IrqFlag.SHARED | IrqFlag.ONESHOT
        assert await core.request_threaded_irq(virq, None, handler, flags, "listener", runs_id(runs)) == 0
    else:
        assert await core.request_irq(virq, handler, IrqFlag.SHARED, "listener", runs_id(runs)) == 0
    return runs


def runs_id(runs: list[int]) -> str:
    return f"listener {id(runs)}"


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

    blocks = [0x200 * channel + 0x100 * way for channel in range(8) for way in range(2)]
    writes = [(block + offset, value) for block in blocks for offset, value in ((0x88, 5), (0x8C, 5), (0, 0))]
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
        return await lone.probe(rig.software.gic), lone.db_irq

    assert run_rig(scenario, tree=shipped()) == (-22, 0)


def test_interrupt_that_somebody_holds_alone(dts):
    async def scenario(rig: Rig):
        async def handler(irq, dev_id):
            return IrqReturn.NONE

        rig.software.gic.start()
        virq = rig.software.gic.map_spi(192)
        assert await rig.software.core.request_irq(virq, handler, IrqFlag.NONE, "alone", rig) == 0
        return await rig.software._edma.probe(rig.software.gic), rig.software._edma.db_irq

    assert run_rig(scenario, tree=shipped(), bring_up=False) == (-16, 0)


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
            await rig.software.edma.start_channel(WRITE, 0)
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


# -- channels ----------------------------------------------------------------------------------------------------------


PULSES = [
    ("wr_done", WRITE, DONE, 0x58, 0),
    ("wr_abort", WRITE, ABORT, 0x58, 16),
    ("rd_done", READ, DONE, 0xAC, 0),
    ("rd_abort", READ, ABORT, 0xAC, 16),
]


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588"])
@pytest.mark.parametrize(("pulse", "way", "happened", "register", "shift"), PULSES)
def test_a_channel_ends_or_aborts(name, pulse, way, happened, register, shift):
    async def scenario(rig: Rig):
        edma, told = rig.software.edma, []

        async def notify(*what):
            told.append(what)

        edma.notify = notify
        runs = await listen(rig)
        channel = edma.channels[way.value] - 1
        await edma.start_channel(way, channel)
        since = len(rig.link.cpu.trace)
        rig.link.pulse(**{pulse: 1 << channel})
        await rig.platform.sleep(1e-3)
        assert told == [(way, channel, happened)]
        # Any other line is high as well, and its handler, which serves another channel, acknowledges the doorbell only.
        written = stores(rig, since)
        assert [write for write in written if write[1]] == [(register, 1 << channel + shift)]
        assert written.count((0x58, 0)) == written.count((0xAC, 0)) == taken(rig)
        assert 1 <= taken(rig) <= len(rig.link.irq_edma)
        assert not any(line.level() for line in rig.link.irq_edma)
        return edma.done, edma.aborted, len(runs) >= 1

    writes = 4 if name == "imx8-edma" else 2
    counts = [0] * 2 * writes
    index = writes - 1 + (writes if way is READ else 0)
    counts[index] = 1
    none = [0] * 2 * writes
    expected = (counts, none, True) if happened is DONE else (none, counts, True)
    assert run_rig(scenario, tree=shipped(name)) == expected


def test_starting_a_channel():
    async def scenario(rig: Rig):
        since = len(rig.link.cpu.trace)
        await rig.software.edma.start_channel(READ, 2)
        return stores(rig, since)

    writes = [(0x2C, 1), (0xA8, 0x000B_000B), (0xC4, 0x4), (0x700, 0x308), (0x30, 2)]
    assert run_rig(scenario, tree=shipped()) == writes


def test_starting_a_channel_through_the_viewport(dts):
    async def scenario(rig: Rig):
        await rig.software.edma.start_channel(READ, 3)
        since = len(rig.link.cpu.trace)
        await rig.software.edma.start_channel(WRITE, 1)
        written = [offset - 0x970 for offset, _ in stores(rig, since)]
        rig.link.pulse(wr_done=2, rd_done=8)
        await rig.platform.sleep(1e-3)
        return written, rig.software.edma.done

    tree = dts(('"regs", "atu", "dma"', '"regs", "atu", "dbi"'))
    assert run_rig(scenario, tree=tree) == ([0x0C, 0x54, 0x90, 0xFC, 0x100, 0x10], [0, 1, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("channel", [-1, 4])
def test_no_such_channel(channel):
    async def scenario(rig: Rig):
        with pytest.raises(ValueError, match=f"has 4 WRITE channels, not {channel}"):
            await rig.software.edma.start_channel(WRITE, channel)
        return True

    assert run_rig(scenario, tree=shipped())


def test_channels_of_a_native_hdma():
    async def scenario(rig: Rig):
        edma = rig.software.edma
        for way in EdmaWay:
            await edma.start_channel(way, 1)
        rig.link.pulse(wr_done=2, rd_abort=2)
        await rig.platform.sleep(1e-3)
        return edma.done, edma.aborted, rig.link.irq_edma[0].level()

    assert run_rig(scenario, tree=shipped("hdma")) == ([0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0], False)


def test_a_channel_that_is_not_started_does_not_interrupt():
    async def scenario(rig: Rig):
        rig.link.pulse(wr_done=1)
        await rig.platform.sleep(1e-3)
        return taken(rig), rig.endpoint.cpu_read32(EDMA + 0x4C)

    assert run_rig(scenario, tree=shipped()) == (0, 1)


def test_done_and_doorbell_in_the_same_moment():
    """Neither is lost: the channel is counted, its bit cleared, and the doorbell's handler runs."""

    async def scenario(rig: Rig):
        edma = rig.software.edma
        runs = await listen(rig)
        await edma.start_channel(WRITE, 0)
        for _ in range(20):
            rig.endpoint.edma.step(None, None, ring=True, wr_done=1)
            rig.link.settle()
            await rig.platform.sleep(1e-5)
        return edma.done[0], runs[-1], rig.endpoint.edma.delivered, rig.endpoint.cpu_read32(EDMA + 0x4C)

    assert run_rig(scenario, tree=shipped()) == (20, 20, 20, 0)


@pytest.mark.parametrize("step", range(0, 40, 2))
def test_done_at_any_moment_around_a_doorbell(step):
    async def scenario(rig: Rig):
        edma = rig.software.edma
        runs = await listen(rig)
        await edma.start_channel(READ, 1)
        store(rig)
        await rig.platform.sleep(step * 25e-9)
        rig.link.pulse(rd_done=2)
        await rig.platform.sleep(1e-3)
        return edma.done[5], len(runs) >= 1, rig.link.irq_edma[0].level(), rig.endpoint.cpu_read32(EDMA + 0xA0)

    assert run_rig(scenario, tree=shipped()) == (1, True, False, 0)


def test_the_ack_leaves_what_is_done_alone():
    async def scenario(rig: Rig):
        store(rig)
        rig.endpoint.edma.pulse(wr_done=0b101, rd_abort=0b1000)
        await rig.software.edma._core.ack_emulated_irq()
        return rig.endpoint.edma.latched, rig.endpoint.cpu_read32(EDMA + 0x4C), rig.endpoint.cpu_read32(EDMA + 0xA0)

    async def quiet(rig: Rig):
        await rig.software.gic.stop()
        return await scenario(rig)

    assert run_rig(quiet, tree=shipped()) == (False, 0b101, 0b1000 << 16)


def test_a_doorbell_finds_channels_that_are_masked():
    """The handler looks at INT_STATUS, which the mask does not hide, and counts and clears what it finds."""

    async def scenario(rig: Rig):
        rig.link.pulse(wr_done=0b101, rd_abort=0b1000)
        store(rig)
        await rig.platform.sleep(1e-3)
        status = rig.endpoint.cpu_read32(EDMA + 0x4C), rig.endpoint.cpu_read32(EDMA + 0xA0)
        return status, rig.software.edma.done, rig.software.edma.aborted

    assert run_rig(scenario, tree=shipped()) == ((0, 0), [1, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1])


def test_clearing_a_channel_drops_the_latch_but_no_doorbell():
    """The clear of DONE takes the latch along; the handler is called all the same."""

    async def scenario(rig: Rig):
        edma = rig.software.edma
        runs = await listen(rig)
        await edma.start_channel(WRITE, 0)
        for delay in range(0, 12):
            before = rig.endpoint.edma.rung
            rig.link.pulse(wr_done=1)
            await rig.platform.sleep(delay * 25e-9)
            store(rig)
            await rig.platform.sleep(1e-3)
            assert runs[-1] == before + 1, f"the store {delay * 25} ns after DONE"
        return edma.done[0], rig.link.irq_edma[0].level()

    assert run_rig(scenario, tree=shipped()) == (12, False)
