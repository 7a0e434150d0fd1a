"""An eDMA that is a doorbell only: what Linux does to it works, and there is nothing else."""

import pytest
from edma_rig import CLEARS, ONES, PULSES, STATUSES, WORDS, play

from epbell.edma import EdmaShape
from epbell_models.devicetree import EdmaNode, Interrupt, Region
from epbell_models.linux.dw_edma_core import EdmaWay, V0Core

SHAPES = (
    EdmaShape(doorbell_only=True),
    EdmaShape("legacy", doorbell_only=True),
    EdmaShape(write_channels=1, read_channels=8, lines=4, base=0x8000, doorbell_only=True),
)
HERE = {0x08, *STATUSES, *CLEARS, WORDS["WRITE_INT_MASK"], WORDS["READ_INT_MASK"]}


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape.personality}-{shape.write_channels}+{shape.read_channels}")
def shape(request):
    return request.param


class Bus:
    """The rig's register port as what the model of Linux's driver accesses."""

    def __init__(self, rig):
        self.rig = rig

    async def read32(self, address):
        return await self.rig.read(address - self.rig.base)

    async def write32(self, address, value):
        await self.rig.write(address - self.rig.base, value)


def linux(rig):
    """The driver's core on the page, as its probe finds it."""
    shape = rig.dut.shape
    node = EdmaNode(
        shape.personality,
        Region(0, 0x1_0000),
        shape.offset,
        (Interrupt(192, 4),),
        shape.write_channels,
        shape.read_channels,
        doorbell_only=True,
    )
    return V0Core(Bus(rig), node)


def test_linux_probes_it_and_acknowledges_the_doorbell(shape):
    async def program(rig):
        core = linux(rig)
        assert await core.channels() == (shape.write_channels, shape.read_channels)
        await rig.clock(ring=1)  # before the driver is there
        await core.off()
        assert rig.irq == 0
        every = (1 << shape.lines) - 1
        for ring in (lambda: rig.clock(ring=1), lambda: rig.write(core.db_offset, 0)):
            await ring()
            assert rig.irq == every
            for way, channels in ((EdmaWay.WRITE, shape.write_channels), (EdmaWay.READ, shape.read_channels)):
                assert not await core.handle(way, range(channels), note=None)  # nothing else to handle
            assert rig.irq == every
            assert await core.ack_emulated_irq() == 0
            assert rig.irq == 0
        assert rig.accounts == (3, 0, 3)

    play(program, shape)


def test_rings_are_accounted_for(shape):
    async def program(rig):
        for way, n in (("WRITE", 0), ("READ", 1)):
            await rig.write(f"{way}_INT_STATUS", ONES, 0)  # no byte strobe
            assert rig.irq == 0
            await rig.clock((STATUSES[n], ONES), ring=1)  # two in one clock
            await rig.clock((CLEARS[n], 0), ring=1)  # set wins
            assert rig.irq != 0
            await rig.write(f"{way}_INT_CLEAR", 0, 0b0100)
            assert rig.irq == 0
        assert rig.accounts == (6, 2, 4)

    play(program, shape)


def test_a_started_transfer_never_ends(shape):
    """The driver's writes for it are taken, and no pulse makes anything of them."""

    async def program(rig):
        core = linux(rig)
        for way in EdmaWay:
            await core.start(way, 0)
        await rig.write("WRITE_INT_MASK", 0)
        await rig.write("READ_INT_MASK", 0)
        await rig.clock(**dict.fromkeys(PULSES, 1))
        for _ in range(3):
            assert rig.irq == 0
            await rig.clock()
        for word in (*STATUSES, WORDS["WRITE_ERR_STATUS"], WORDS["READ_ERR_STATUS"]):
            assert await rig.read(word) == 0
        for way in EdmaWay:
            assert not await core.handle(way, [0], note=None)

    play(program, shape)


def test_every_channel_stays_masked(shape):
    async def program(rig):
        for name, channels in (("WRITE_INT_MASK", shape.write_channels), ("READ_INT_MASK", shape.read_channels)):
            ones = (1 << channels) - 1
            for data, strobes in ((0, 0xF), (0, 0b0001), (ONES, 0xF)):
                assert await rig.read(name) == ones << 16 | ones
                await rig.write(name, data, strobes)
            assert await rig.read(name) == ones << 16 | ones

    play(program, shape)


def test_everything_else_is_not_there(shape):
    """Every word where a whole eDMA has a register, and each one's neighbours."""

    async def program(rig):
        others = [offset for offset in (*range(0, 0x200, 4), *range(0x200, 0x1200, 0x10)) if offset not in HERE]
        for offset in others:
            await rig.write(offset, ONES)
        for offset in others:
            assert await rig.read(offset) == 0
        assert rig.irq == 0
        assert await rig.read(0x08) == shape.read_channels << 16 | shape.write_channels
        assert rig.accounts == (0, 0, 0)

    play(program, shape)
