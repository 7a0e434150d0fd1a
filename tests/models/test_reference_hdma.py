"""The reference page of a native HDMA against the documents."""

import pytest

from epbell_models.reference.edma import EdmaPage

INT_STAT, INT_SETUP, INT_CLEAR = 0x84, 0x88, 0x8C
STOP, ABORT = 0x1, 0x4
LOCAL_STOP, LOCAL_ABORT = 0x10, 0x40
BLOCKS = [("wr", n, 0x200 * n) for n in range(4)] + [("rd", n, 0x200 * n + 0x100) for n in range(4)]


@pytest.fixture
def page():
    return EdmaPage("hdma")


def test_nothing_rings(page):
    for offset in range(0, 0x10000, 4):
        page.write32(offset, 0xFFFF_FFFF)
        page.write32(offset, 0)
    page.ring()
    assert not page.irq
    assert (page.latched, page.rung, page.merged, page.delivered) == (False, 0, 0, 0)
    assert page.doorbells == ()


@pytest.mark.parametrize(("way", "n", "block"), BLOCKS)
def test_status_setup_and_clear_of_a_channel(page, way, n, block):
    page.write32(block + INT_SETUP, LOCAL_STOP)
    page.write32(block + INT_STAT, 0xFFFF_FFFF)
    assert page.read32(block + INT_STAT) == 0
    page.pulse(**{f"{way}_done": 1 << n})
    assert page.irq
    assert page.read32(block + INT_STAT) == STOP
    assert [page.read32(other + INT_STAT) for _, _, other in BLOCKS if other != block] == [0] * 7
    page.write32(block + INT_STAT, 0)
    page.write32(block + INT_CLEAR, ABORT)
    assert page.irq
    page.write32(block + INT_CLEAR, STOP, 0b1110)
    assert page.irq
    page.write32(block + INT_CLEAR, STOP)
    assert not page.irq
    assert (page.read32(block + INT_STAT), page.read32(block + INT_CLEAR)) == (0, 0)


@pytest.mark.parametrize(("kind", "enable", "mask", "bit"), [("done", LOCAL_STOP, 1, 1), ("abort", LOCAL_ABORT, 4, 4)])
def test_local_enable_and_mask_gate_the_line(page, kind, enable, mask, bit):
    page.pulse(**{f"wr_{kind}": 2})
    assert page.read32(0x200 + INT_STAT) == bit
    assert not page.irq
    page.write32(0x200 + INT_SETUP, 0x7D & ~enable & ~mask)
    assert not page.irq
    page.write32(0x200 + INT_SETUP, enable)
    assert page.irq
    page.write32(0x200 + INT_SETUP, enable | mask)
    assert not page.irq
    page.write32(0x200 + INT_SETUP, enable | 5 & ~mask)
    assert page.irq


def test_a_pulse_in_the_clock_of_its_clear_stays(page):
    page.pulse(wr_done=1, wr_abort=1)
    assert page.step((INT_CLEAR, 5, 0xF), INT_STAT, wr_done=1) == 5
    assert page.read32(INT_STAT) == STOP


def test_values_after_reset(page):
    page.pulse(wr_done=0xF, rd_abort=0xF)
    for offset in range(0, 0x10000, 4):
        page.write32(offset, 0xFFFF_FFFF)
    page.reset()
    assert not any(page.read32(offset) for offset in range(0, 0x10000, 4))


def test_writable_bits():
    page = EdmaPage("hdma", 2, 1)
    for offset in range(0, 0x10000, 4):
        page.write32(offset, 0xFFFF_FFFF)
    full = (0x08, *range(0x10, 0x3C, 4), 0x80, *range(0x90, 0xAC, 4))
    block = {0x00: 1, 0x04: 1, INT_SETUP: 0x7D} | dict.fromkeys(full, 0xFFFF_FFFF)
    expected = {base + register: mask for base in (0x000, 0x100, 0x200) for register, mask in block.items()}
    assert {offset: value for offset in range(0, 0x10000, 4) if (value := page.read32(offset))} == expected


def test_no_register_counts_channels(page):
    """Where the older map has DMA_CTRL there is no count: the glue driver must supply it."""
    assert page.read32(0x08) == 0
