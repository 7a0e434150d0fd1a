"""The reference of an eDMA that is a doorbell only: the emulation of the whole one, and no transfers."""

import random

import pytest

from epbell_models.reference.edma import EdmaPage

BASE = {"unroll": 0, "legacy": 0x970}
STATUSES, CLEARS, MASKS = (0x4C, 0xA0), (0x58, 0xAC), (0x54, 0xA8)
PULSES = ("wr_done", "wr_abort", "rd_done", "rd_abort")


@pytest.fixture(params=BASE)
def page(request):
    return EdmaPage(request.param, 3, 8, doorbell_only=True)


def test_what_can_be_read(page):
    there = {0x08: 0x0008_0003, 0x54: 0x0007_0007, 0xA8: 0x00FF_00FF}
    assert {offset: page.read32(page.base + offset) for offset in range(0, 0x1200, 4)} == dict.fromkeys(
        range(0, 0x1200, 4), 0
    ) | there
    assert page.doorbells == tuple(page.base + offset for offset in STATUSES)


def test_nothing_can_be_written(page):
    for offset in range(0, 0x1200, 4):
        if offset not in (*STATUSES, *CLEARS):
            page.write32(page.base + offset, 0xFFFF_FFFF if offset not in MASKS else 0)
    assert not page.irq
    found = [page.read32(page.base + offset) for offset in (0x00, 0x08, 0x0C, 0x200, *MASKS)]
    assert found == [0, 0x0008_0003, 0, 0, 0x0007_0007, 0x00FF_00FF]


def test_no_pulse_interrupts(page):
    for offset in MASKS:
        page.write32(page.base + offset, 0)
    for offset in (0x200, 0x300, 0x100):
        page.write32(page.base + offset, 8)
    page.pulse(**dict.fromkeys(PULSES, 0b111))
    assert not page.irq
    assert [page.read32(page.base + offset) for offset in (*STATUSES, 0x5C, 0xB4)] == [0] * 4
    assert [page.masked(pulse) for pulse in PULSES] == [7, 7, 0xFF, 0xFF]


def test_the_emulation_is_that_of_the_whole_one(page):
    """Whatever is accessed, the latch and the accounts are the same."""
    whole, rng = EdmaPage(page.personality, 3, 8), random.Random(page.personality)
    for _ in range(5000):
        offset = rng.choice((*STATUSES, *CLEARS, *MASKS, rng.randrange(0, 0x400, 4), rng.randrange(0, 0x1_0000, 4)))
        write = (page.base + offset & 0xFFFF, rng.getrandbits(32), rng.randrange(16)) if rng.random() < 0.8 else None
        ring, pulses = rng.random() < 0.2, {pulse: rng.getrandbits(3) for pulse in PULSES if rng.random() < 0.1}
        for one in (page, whole):
            one.step(write, None, ring=ring, **pulses)
        assert (page.latched, page.rung, page.merged, page.delivered) == (
            whole.latched, whole.rung, whole.merged, whole.delivered
        )  # fmt: skip
        assert page.irq == page.latched
    assert page.rung > 1000
    assert page.rung == page.merged + page.delivered + page.latched


def test_an_hdma_is_no_doorbell():
    with pytest.raises(ValueError, match="is unroll or legacy, not 'hdma'"):
        EdmaPage("hdma", doorbell_only=True)


def test_its_registers_end_sooner():
    assert EdmaPage("unroll", base=0xFF00, doorbell_only=True).doorbells == (0xFF4C, 0xFFA0)
    with pytest.raises(ValueError, match="up to 0xff00, not 65284"):
        EdmaPage("unroll", base=0xFF04, doorbell_only=True)
