"""What the wire tier sends on CQ and RC is what the documents say, as `usp_packets` has it for the unit tests."""

import pytest
from requester_packets import CA, POISONED, TIMEOUT, UR, Reply, bad, rc_beats
from usp_packets import BARS, MEM_READ, MEM_WRITE, Request, cq_beats

from epbell_models.reference.outbound import Cause
from epbell_tb.native.beats import Placed, answer, request
from epbell_tb.native.wire import BEAT

WIDTHS = (64, 128, 256, 512)


def unpacked(packed):
    """Return gap, data, keep, user and last of each beat."""
    beats = []
    for gap, keep, last, user, data in BEAT.iter_unpack(packed):
        beats.append((gap, int.from_bytes(data, "little"), keep, int.from_bytes(user, "little"), last))
    return beats


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 9, 32])
@pytest.mark.parametrize("bar", [0, 3, 4])
def test_writes(width, length, bar):
    payload = tuple(0x01020304 * (number + 1) & 0xFFFFFFFF for number in range(length))
    last_be = 0b0111 if length > 1 else 0
    want = Request(MEM_WRITE, bar, 0x24, length, 0b1110, last_be, payload, requester=0)
    place = Placed(bar, BARS[bar].size, want.address)
    packet = request(width // 32, MEM_WRITE, place, length, 0b1110, last_be, payload=True)
    gaps = tuple(range(len(packet.beats)))
    data = b"".join(word.to_bytes(4, "little") for word in payload)
    beats = cq_beats(want, width)
    assert unpacked(packet.packed(data, gaps)) == [(n, b.data, b.keep, b.user, b.last) for n, b in enumerate(beats)]
    assert [beat[0] for beat in unpacked(packet.packed(data))] == [0] * len(beats)


@pytest.mark.parametrize("width", WIDTHS)
def test_reads_and_poisoned_writes(width):
    wanted = Request(MEM_READ, 1, 0x40, 7, 0b1000, 0b0001, tag=19, requester=0)
    place = Placed(1, BARS[1].size, wanted.address)
    packet = request(width // 32, MEM_READ, place, 7, 0b1000, 0b0001, tag=19)
    assert unpacked(packet.packed(b"")) == [(0, b.data, b.keep, b.user, b.last) for b in cq_beats(wanted, width)]
    count = -(-5 // (width // 32))
    wanted = Request(MEM_WRITE, 1, 0x40, 1, payload=(9,), requester=0, discontinue=frozenset({count - 1}))
    packet = request(width // 32, MEM_WRITE, place, 1, 0xF, 0, payload=True, discontinue=True)
    found = unpacked(packet.packed(b"\x09\0\0\0"))
    assert found == [(0, b.data, b.keep, b.user, b.last) for b in cq_beats(wanted, width)]


REPLIES = {
    None: Reply(5, (0xA1B2C3D4,), lower=0x44, requester=0),
    Cause.UNSUPPORTED: bad(5, UR, lower=0x44, requester=0),
    Cause.ABORTED: bad(5, CA, lower=0x44, requester=0),
    Cause.POISONED: Reply(5, (0xA1B2C3D4,), lower=0x44, requester=0, poisoned=1, error=POISONED),
    Cause.TIMEOUT: Reply(5, lower=0x44, requester=0, error=TIMEOUT),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("cause", REPLIES)
def test_answers(width, cause):
    reply = REPLIES[cause]
    packet = answer(width // 32, 5, address=0x1_0000_0044, cause=cause)
    found = unpacked(packet.packed(b"\xd4\xc3\xb2\xa1" if reply.payload else b""))
    assert found == [(0, *beat) for beat in rc_beats(reply, width)]
