"""The readers of the streams, fed beat by beat without a simulator: they gather packets and call the checks."""

import pytest

from epbell_tb.endpoint.clock import follow_clock
from epbell_tb.endpoint.packets import CompletionReader, RequestReader
from epbell_tb.endpoint.to_host_packets import AnswerReader, SentRequestReader

LANES = 8
FULL = (1 << LANES) - 1
DRIVEN = (CompletionReader, SentRequestReader)
"""Those whose ``tuser`` the endpoint drives."""
GIVEN = (RequestReader, AnswerReader)


@pytest.fixture
def clock():
    now = [0]
    with follow_clock(lambda: now[0]):
        yield now


def beat(reader, clock, *, keep=FULL, user=0, last=False):
    clock[0] += 1
    reader.beat(bytes(4 * LANES), keep, user, last, clock[0])


@pytest.mark.parametrize("kind", [*DRIVEN, *GIVEN])
def test_packets_of_two_beats(clock, kind):
    found = []
    reader = kind(LANES, found.append)
    for _ in range(3):
        beat(reader, clock)
        assert reader.open_since == clock[0]
        beat(reader, clock, keep=0b111, last=True)
        assert reader.open_since is None
        reader.paused()
    assert [(packet.first, packet.last) for packet in found] == [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize("kind", [*DRIVEN, *GIVEN])
def test_a_reset_takes_the_packet_under_way(clock, kind):
    found = []
    reader = kind(LANES, found.append)
    beat(reader, clock)
    reader.forget()
    reader.paused()
    beat(reader, clock, last=True)
    assert [(packet.first, packet.last) for packet in found] == [(2, 2)]


@pytest.mark.parametrize("kind", [*DRIVEN, *GIVEN])
@pytest.mark.parametrize(("keep", "last"), [(0b101, True), (0b1111, False)])
def test_dwords_have_no_gap(clock, kind, keep, last):
    with pytest.raises(AssertionError, match="tkeep"):
        beat(kind(LANES, print), clock, keep=keep, last=last)


@pytest.mark.parametrize("kind", DRIVEN)
def test_tuser_of_each_beat_is_checked(clock, kind):
    reader = kind(LANES, lambda packet: None)
    beat(reader, clock)
    with pytest.raises(AssertionError, match="tuser of "):
        beat(reader, clock, user=1 << 11, last=True)


@pytest.mark.parametrize("kind", DRIVEN)
def test_no_pause_within_a_packet(clock, kind):
    reader = kind(LANES, print)
    beat(reader, clock)
    with pytest.raises(AssertionError, match="begun in clock 1"):
        reader.paused()


@pytest.mark.parametrize("kind", GIVEN)
def test_the_hard_block_may_pause(clock, kind):
    reader = kind(LANES, print)
    beat(reader, clock, user=1 << 50)
    opened = reader.open_since
    reader.paused()
    assert reader.open_since == opened, "the packet is still under way"
