"""The scoreboard's watch over the eDMA's latch, without a simulator: it must be able to say no."""

import asyncio

import pytest

import epbell_regs
from epbell_models.reference.edma import EdmaPage
from epbell_tb.endpoint.counters import Counters
from epbell_tb.endpoint.latch import Latch
from epbell_tb.endpoint.latencies import ANSWERED, SETTLE

CONTROL1, MASK, CLEAR, STATUS = 0x200, 0x054, 0x058, 0x04C
LIE = 1 << 3
LONG = 10 * SETTLE


@pytest.fixture
def latch():
    return Latch(EdmaPage(), EdmaPage())


def kick(latch, at):
    """Take a kick in the way of the scoreboard, which shows it to the page too."""
    latch.page.ring()
    latch.kick(at, at + 1, 0, 0xF)


def write(latch, at, offset, data, length=3):
    latch.write_ended(latch.write_started(at, offset, data, 0xF), at + length)


def let_done_interrupt(latch):
    write(latch, 10, CONTROL1, LIE)
    write(latch, 20, MASK, 0)


def test_a_kick_raises_the_line_and_an_ack_lowers_it(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    assert latch.latencies == [4]
    write(latch, 200, CLEAR, 0)
    latch.edge(False, 202)
    latch.check(LONG)
    assert (latch.page.irq, latch.level, latch.rises) == (False, False, 1)
    assert latch.sure(LONG)


def test_a_line_that_nobody_rang_may_not_rise(latch):
    with pytest.raises(AssertionError, match="nobody rang"):
        latch.edge(True, 104)


def test_a_line_may_not_rise_before_its_kick(latch):
    kick(latch, 100)
    with pytest.raises(AssertionError, match="nobody rang"):
        latch.edge(True, 100)


def test_a_kick_that_was_acknowledged_may_not_raise_the_line_again(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    write(latch, 100 + LONG, CLEAR, 0)
    latch.edge(False, 102 + LONG)
    with pytest.raises(AssertionError, match="nobody rang"):
        latch.edge(True, 110 + LONG)


def test_a_line_may_not_rise_more_often_than_it_was_rung(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    write(latch, 105, CLEAR, 0)
    latch.edge(False, 107)
    with pytest.raises(AssertionError, match="2 times"):
        latch.edge(True, 110)


def test_a_line_may_not_fall_by_itself(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    with pytest.raises(AssertionError, match="nobody cleared it"):
        latch.edge(False, 110)


def test_a_line_may_not_stay_low_after_a_kick(latch):
    kick(latch, 100)
    latch.check(101)
    with pytest.raises(AssertionError, match="lost"):
        latch.check(102 + SETTLE)
    with pytest.raises(AssertionError, match="lost"):
        latch.write_started(102 + SETTLE, CLEAR, 0, 0xF)


def test_a_kick_after_the_ack_must_be_seen(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    write(latch, 200, CLEAR, 0)
    latch.edge(False, 202)
    kick(latch, 204)
    with pytest.raises(AssertionError, match="lost"):
        latch.check(LONG)


def test_a_kick_under_way_during_the_ack_may_be_merged_or_not(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    kick(latch, 198)
    write(latch, 200, CLEAR, 0)
    assert not latch.sure(LONG)
    latch.check(LONG)
    latch.edge(False, 202)
    latch.check(LONG)


def test_a_line_may_not_stay_high_after_the_ack(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    write(latch, 100 + LONG, CLEAR, 0)
    with pytest.raises(AssertionError, match="nobody rang"):
        latch.check(2 * LONG)


def test_the_write_of_nothing_is_no_ack(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    latch.write_ended(latch.write_started(200, CLEAR, 0, 0), 203)
    with pytest.raises(AssertionError, match="nobody cleared it"):
        latch.edge(False, 202)


def test_the_cpu_may_ring_too(latch):
    write(latch, 100, STATUS, 0)
    latch.edge(True, 103)
    assert (latch.page.irq, latch.page.rung, latch.alone.irq) == (True, 1, False)


def test_done_holds_the_line(latch):
    let_done_interrupt(latch)
    latch.pulse(100, {"wr_done": 1})
    latch.edge(True, 101)
    write(latch, 100 + LONG, CLEAR, 0)
    with pytest.raises(AssertionError, match="lost"):
        latch.edge(False, 102 + LONG)


def test_done_falls_with_the_write_that_clears_it(latch):
    let_done_interrupt(latch)
    latch.pulse(100, {"wr_done": 1})
    latch.edge(True, 101)
    ack = latch.write_started(200, CLEAR, 1, 0xF)
    latch.edge(False, 203)
    latch.write_ended(ack, 203)
    latch.pulse(300, {"wr_done": 1})
    latch.edge(True, 301)
    ack = latch.write_started(400, CLEAR, 0, 0xF)
    latch.edge(False, 403)
    with pytest.raises(AssertionError, match="lost"):
        latch.write_ended(ack, 403)


def test_unmasking_raises_the_line(latch):
    write(latch, 10, CONTROL1, LIE)
    latch.pulse(100, {"wr_done": 1})
    unmask = latch.write_started(200, MASK, 0, 0xF)
    latch.edge(True, 203)
    latch.write_ended(unmask, 203)
    latch.check(LONG)


def test_a_masked_done_may_not_raise_the_line(latch):
    latch.pulse(100, {"wr_done": 1})
    with pytest.raises(AssertionError, match="nobody rang"):
        latch.edge(True, 101)


@pytest.mark.parametrize(("at", "stays"), [(-2, False), (-1, False), (0, True), (1, True)])
def test_a_pulse_around_its_clear(latch, at, stays):
    """In the clock of its clear, and after it, DONE stays."""
    let_done_interrupt(latch)
    latch.pulse(100, {"wr_done": 1})
    latch.edge(True, 101)
    ack = latch.write_started(200, CLEAR, 1, 0xF)
    latch.pulse(205 - ANSWERED + at, {"wr_done": 1})
    latch.write_ended(ack, 205)
    assert latch.alone.irq == latch.page.irq == stays


def test_registers_are_settled_after_their_write(latch):
    open_write = latch.write_started(100, MASK, 0, 0xF)
    assert not latch.settled(101)
    latch.write_ended(open_write, 103)
    assert not latch.settled(103)
    assert latch.settled(104)
    latch.pulse(200, {"rd_done": 1})
    assert not latch.settled(200)


def test_after_a_reset_the_line_may_fall():
    Latch(EdmaPage(), EdmaPage(), since=500).edge(False, 501)
    with pytest.raises(AssertionError, match="nobody cleared it"):
        Latch(EdmaPage(), EdmaPage(), since=500).edge(False, 510)


def test_the_legacy_map_has_its_offsets():
    legacy = Latch(EdmaPage("legacy"), EdmaPage("legacy"))
    kick(legacy, 100)
    assert len(legacy.kicks) == 1
    legacy.edge(True, 104)
    write(legacy, 200, 0x970 + CLEAR, 0)
    legacy.edge(False, 202)
    assert not legacy.page.latched


def test_hdma_has_no_doorbell():
    hdma = Latch(EdmaPage("hdma"), EdmaPage("hdma"))
    write(hdma, 100, STATUS, 0)
    assert not hdma.kicks
    with pytest.raises(AssertionError, match="nobody rang"):
        hdma.edge(True, 103)


class Board:
    """As much of the scoreboard as the counters are compared with."""

    def __init__(self, latch):
        self.latch = latch


class Registers:
    """A bus to the controller page on which only these counters are not zero."""

    def __init__(self, **values):
        offsets = epbell_regs.offsets("controller")
        self._values = {offsets[f"EDMA_{name}"]: value for name, value in values.items()}

    async def read32(self, address):
        return self._values.get(address, 0)


def compared(latch, **values):
    """Compare the endpoint's counters with what was seen; return how many kicks were merged."""
    return asyncio.run(Counters(Registers(**values), 0).check_latch(Board(latch)))


def test_counters_that_agree(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    kick(latch, 110)
    assert compared(latch, RUNG=2, MERGED=1) == 1
    write(latch, 200, CLEAR, 0)
    latch.edge(False, 202)
    assert compared(latch, RUNG=2, MERGED=1, DELIVERED=1) == 1


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"RUNG": 1, "DELIVERED": 1}, "the pins showed 2 kicks"),
        ({"RUNG": 3, "MERGED": 2, "DELIVERED": 1}, "the pins showed 2 kicks"),
        ({"RUNG": 2}, "some are lost"),
        ({"RUNG": 2, "MERGED": 2, "DELIVERED": 1}, "some are lost"),
        ({"RUNG": 2, "MERGED": 1}, "one is lost"),
        ({"RUNG": 2, "DELIVERED": 2}, "cleared 1 times"),
    ],
)
def test_counters_that_do_not(latch, values, complaint):
    kick(latch, 100)
    latch.edge(True, 104)
    kick(latch, 110)
    write(latch, 200, CLEAR, 0)
    latch.edge(False, 202)
    with pytest.raises(AssertionError, match=complaint):
        compared(latch, **values)


def test_a_level_without_reason_in_the_counters(latch):
    kick(latch, 100)
    latch.edge(True, 104)
    with pytest.raises(AssertionError, match="invented"):
        compared(latch, RUNG=1, MERGED=1)
