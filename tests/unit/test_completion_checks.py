"""What the scoreboard says of completions, and of tuser, without a simulator: it must be able to say no."""

import pytest

from epbell_tb.endpoint.completions import byte_count, check_echo, check_piece, check_refusal, first_offset
from epbell_tb.endpoint.packets import MEM_READ, Request, SentCompletion
from epbell_tb.endpoint.sidebands import check_completion_beat, check_request_beat, check_steady

SC, UR, CA = 0, 1, 4
READ_LOCKED, SWAP = 7, 5
REQUEST = Request(
    first=1, decided=2, last=2, kind=MEM_READ, bar=2, function=0, address=0xC000_0074, length=9, first_be=0xE,
    last_be=0x3, tag=9, requester=0x18, tc=5, attr=2, payload=b"", discontinued=False, at=1,
    hint=0x5A << 3 | 2 << 1 | 1, descriptor=bytes(range(16)),
)  # fmt: skip
FIRST = SentCompletion(
    first=5, last=6, status=SC, byte_count=33, lower_address=0x75, length=3, tag=9, requester=0x18, tc=5, attr=2,
    data=bytes(12), discontinued=False, at=1,
)  # fmt: skip
SECOND = FIRST._replace(byte_count=22, lower_address=0, length=6, data=bytes(24))
HEADER = bytes([0x3E, 0b101, 0x5A, 0]) + bytes(range(16))
REFUSAL = FIRST._replace(status=UR, length=0, data=HEADER)


def test_what_is_right():
    check_echo(REQUEST, FIRST, SC)
    check_piece(REQUEST, 0, FIRST, 128)
    check_piece(REQUEST, 12, SECOND, 128)
    check_echo(REQUEST, REFUSAL, UR)
    check_refusal(REQUEST, REFUSAL)
    locked = REQUEST._replace(kind=READ_LOCKED)
    check_echo(locked, REFUSAL._replace(locked=True), UR)
    check_refusal(locked, REFUSAL._replace(locked=True))
    check_refusal(REQUEST._replace(kind=SWAP), REFUSAL._replace(byte_count=4, lower_address=0))


@pytest.mark.parametrize(
    "change",
    [
        {"requester": 0x10}, {"tc": 0}, {"tc": 4}, {"attr": 0}, {"at": 0}, {"completer": 0x100}, {"completer": 1},
        {"own_completer": True}, {"status": UR}, {"status": CA}, {"poisoned": True}, {"ecrc": True}, {"locked": True},
        {"reserved": 1 << 7}, {"discontinued": True},
    ],
)  # fmt: skip
def test_a_field_that_is_not_the_requests(change):
    with pytest.raises(AssertionError):
        check_echo(REQUEST, FIRST._replace(**change), SC)


@pytest.mark.parametrize(
    "change",
    [
        {"lower_address": 0x74}, {"lower_address": 0x35}, {"byte_count": 32}, {"byte_count": 36}, {"length": 4},
        {"data": bytes(8)}, {"length": 0, "data": b""}, {"length": 2, "data": bytes(8)},
        {"length": 10, "data": bytes(40)},
    ],
)  # fmt: skip
def test_a_first_piece_that_is_wrong(change):
    with pytest.raises(AssertionError):
        check_piece(REQUEST, 0, FIRST._replace(**change), 128)


@pytest.mark.parametrize(
    "change",
    [{"lower_address": 4}, {"byte_count": 21}, {"byte_count": 24}, {"length": 7, "data": bytes(28)}],
)
def test_a_later_piece_that_is_wrong(change):
    with pytest.raises(AssertionError):
        check_piece(REQUEST, 12, SECOND._replace(**change), 128)


def test_pieces_end_on_multiples_of_128_and_not_of_64():
    request = REQUEST._replace(address=0xC000_0000, length=64, first_be=0xF, last_be=0xF)
    piece = FIRST._replace(lower_address=0, byte_count=256)
    check_piece(request, 0, piece._replace(length=32, data=bytes(128)), 128)
    with pytest.raises(AssertionError, match="RCB"):
        check_piece(request, 0, piece._replace(length=16, data=bytes(64)), 128)
    with pytest.raises(AssertionError, match="maximum payload"):
        check_piece(request, 0, piece._replace(length=64, data=bytes(256)), 128)
    check_piece(request, 0, piece._replace(length=64, data=bytes(256)), 256)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 3}, {"length": 5}, {"byte_count": 4}, {"lower_address": 0}, {"data": b""}, {"data": HEADER[:16]},
        {"data": HEADER + bytes(4)},
        *({"data": bytes(byte ^ (n == at) << n % 8 for n, byte in enumerate(HEADER))} for at in range(20)),
    ],
)  # fmt: skip
def test_a_refusal_that_is_wrong(change):
    with pytest.raises(AssertionError):
        check_refusal(REQUEST, REFUSAL._replace(**change))


@pytest.mark.parametrize("change", [{"byte_count": 33}, {"lower_address": 0x74}])
def test_a_refusal_of_anything_else_that_is_wrong(change):
    with pytest.raises(AssertionError):
        check_refusal(REQUEST._replace(kind=SWAP), REFUSAL._replace(**({"byte_count": 4, "lower_address": 0} | change)))


@pytest.mark.parametrize(
    ("length", "first_be", "last_be", "offset", "count"),
    [
        (1, 0x0, 0x0, 0, 1), (1, 0x8, 0x0, 3, 1), (1, 0x9, 0x0, 0, 4), (1, 0xA, 0x0, 1, 3), (1, 0x4, 0x0, 2, 1),
        (2, 0x8, 0x1, 3, 2), (2, 0x1, 0x8, 0, 8), (2, 0x5, 0xA, 0, 8), (3, 0xC, 0x7, 2, 9), (1024, 0xF, 0xF, 0, 4096),
    ],
)  # fmt: skip
def test_table_of_byte_counts(length, first_be, last_be, offset, count):
    request = REQUEST._replace(length=length, first_be=first_be, last_be=last_be)
    assert (first_offset(request), byte_count(request)) == (offset, count)


@pytest.mark.parametrize("check", [check_completion_beat, check_request_beat])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("bit", [12, 15, 16, 19, 32, 36, 37, 59, 60, 80, 136])
def test_bits_of_tuser_that_must_be_zero(check, lanes, bit):
    where = {"first": True, "last": True, "count": 1}
    good = 0
    if lanes == 16:
        good = 1 | 1 << 6 if check is check_completion_beat else 1 << 20 | 1 << 26
    check(good, lanes, **where)
    with pytest.raises(AssertionError, match="tuser"):
        check(good | 1 << bit, lanes, **where)


@pytest.mark.parametrize(
    ("check", "starts", "ends", "lane"),
    [(check_completion_beat, 1, 1 << 6, 8), (check_request_beat, 1 << 20, 1 << 26, 28)],
)
def test_where_packets_begin_and_end_at_512_bits(check, starts, ends, lane):
    check(starts, 16, first=True, last=False, count=16)
    check(0, 16, first=False, last=False, count=16)
    check(ends | 6 << lane, 16, first=False, last=True, count=7)
    for wrong in (0, starts, ends | 5 << lane, starts | ends | 6 << lane):
        with pytest.raises(AssertionError, match="tuser"):
            check(wrong, 16, first=False, last=True, count=7)


def test_a_packet_has_no_gaps():
    check_steady(None)
    with pytest.raises(AssertionError, match="clock 0"):
        check_steady(0)
