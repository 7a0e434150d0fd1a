"""The eDMA's driver: channels that end and abort, alone and together with the doorbell."""

import errno

import pytest
from dw_edma_rig import listen, shipped, store, stores, taken
from rig import Rig, run_rig

from epbell_models.linux.dw_edma_core import EdmaWay, Happened

EDMA = 0x5F09_0000
READ, WRITE = EdmaWay.READ, EdmaWay.WRITE
DONE, ABORT = Happened.DONE, Happened.ABORT


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


def accesses(rig: Rig, since: int) -> list[tuple[str, int, int]]:
    """Return the processor's accesses to the eDMA: kind, offset and word."""
    base = rig.endpoint.map["edma"].base
    trace = rig.link.cpu.trace[since:]
    return [(a.kind, a.address - base, a.value) for a in trace if base <= a.address < base + 0x1_0000]


def test_native_hdma_reads_each_status_once_and_stop_is_before_abort():
    async def scenario(rig: Rig):
        edma, told = rig.software.edma, []

        async def notify(way, channel, happened):
            told.append((channel, happened, rig.endpoint.cpu_read32(base + 0x284)))

        edma.notify = notify
        base = rig.endpoint.map["edma"].base
        await edma.start_channel(WRITE, 1)
        since = len(rig.link.cpu.trace)
        rig.link.pulse(wr_done=2, wr_abort=2)
        await rig.platform.sleep(1e-3)
        return accesses(rig, since), told

    def reads(way, channels):
        return [("read", 0x200 * channel + 0x100 * way + 0x84, 0) for channel in channels]

    handled = [("read", 0x284, 5), ("write", 0x28C, 1), ("write", 0x28C, 4)]
    expected = reads(0, [0]) + handled + reads(0, [2, 3]) + reads(1, range(4))
    assert run_rig(scenario, tree=shipped("hdma")) == (expected, [(1, DONE, 4), (1, ABORT, 0)])


def test_native_hdma_has_nothing_to_acknowledge():
    async def scenario(rig: Rig):
        since = len(rig.link.cpu.trace)
        return await rig.software.edma._core.ack_emulated_irq(), accesses(rig, since)

    assert run_rig(scenario, tree=shipped("hdma")) == (-errno.EOPNOTSUPP, [])


@pytest.mark.parametrize(("done", "abort", "way"), [("wr_done", "wr_abort", WRITE), ("rd_done", "rd_abort", READ)])
def test_done_is_handled_before_abort_and_cleared_before_anybody_is_told(done, abort, way):
    async def scenario(rig: Rig):
        edma, told = rig.software.edma, []

        async def notify(direction, channel, happened):
            told.append((direction, channel, happened, rig.endpoint.cpu_read32(status)))

        edma.notify = notify
        status = EDMA + (0x4C if way is WRITE else 0xA0)
        for channel in (0, 2):
            await edma.start_channel(way, channel)
        rig.link.pulse(**{done: 0b101, abort: 0b101})
        await rig.platform.sleep(1e-3)
        return told

    assert run_rig(scenario, tree=shipped()) == [
        (way, 0, DONE, 0x5_0004),
        (way, 2, DONE, 0x5_0000),
        (way, 0, ABORT, 0x4_0000),
        (way, 2, ABORT, 0),
    ]


@pytest.mark.parametrize("name", ["imx8-edma", "rk3588", "hdma"])
@pytest.mark.parametrize(("pulse", "way"), [pulse[:2] for pulse in PULSES])
def test_a_channel_that_ends_again_while_somebody_is_told(name, pulse, way):
    """Its bit is cleared before, so that the second end is seen, too."""

    async def scenario(rig: Rig):
        edma, told = rig.software.edma, []

        async def notify(*what):
            told.append(what)
            if len(told) < 3:
                rig.link.pulse(**{pulse: 1})

        edma.notify = notify
        await edma.start_channel(way, 0)
        rig.link.pulse(**{pulse: 1})
        await rig.platform.sleep(1e-3)
        counts = edma.done if pulse.endswith("done") else edma.aborted
        return sum(counts), len(told), [line.level() for line in rig.link.irq_edma]

    lines = shipped(name).endpoint.edma.lines
    assert run_rig(scenario, tree=shipped(name)) == (3, 3, [False] * lines)


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
