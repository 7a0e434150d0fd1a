"""What the scoreboard says of the RQ stream, without a simulator: it must be able to say no."""

from collections import Counter
from dataclasses import replace

import pytest

from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_tb.endpoint.clock import follow_clock
from epbell_tb.endpoint.latencies import DECIDED, MASKED, ON_RQ
from epbell_tb.endpoint.packets import MEM_READ, MEM_WRITE, CpuAccess
from epbell_tb.endpoint.permissions import Allowed, Permissions
from epbell_tb.endpoint.to_host import ToHost
from epbell_tb.endpoint.to_host_packets import Answer, AnswerReader, SentRequest

APERTURE = 0x7000_0000
HOST = 0x1_2345_6000
OKAY, SLVERR, DECERR = 0, 2, 3
NOW = 100
WRITE = SentRequest(
    first=10, last=10, kind=MEM_WRITE, address=HOST + 8, length=1, first_be=0xF, last_be=0, tag=0, requester=0,
    own_requester=False, completer=0, at=0, tc=0, attr=0, poisoned=False, ecrc=False, data=b"\x78\x56\x34\x12",
    discontinued=False,
)  # fmt: skip
READ = replace(WRITE, kind=MEM_READ, data=b"", tag=3)
GOOD = Answer(20, 20, 0, True, 1, 0, False, 3, b"\x01\x02\x03\x04", False)


@pytest.fixture(autouse=True)
def clock():
    """Let it be one clock all the time."""
    with follow_clock(lambda: NOW):
        yield


def board(*, master=True):
    reference = ReferenceEndpoint((0x4000,) * 6)
    for offset, value in ((0x08, APERTURE), (0x10, APERTURE), (0x14, HOST & 0xFFFF_FFFF), (0x18, 1), (0x04, 1 << 31)):
        reference.cpu_write32(reference.map["iatu"].base + offset, value)
    permissions = Permissions()
    permissions.history.change(0, Allowed(requests=True, msix=True))
    return ToHost(reference, lambda: master, Counter(), permissions, lambda check: check())


def access(offset, response, *, data=0, strobes=0):
    return CpuAccess(5, 30, APERTURE + offset, data, strobes, response)


def test_a_write_and_a_read():
    to_host = board()
    to_host.write_started(APERTURE + 8, 0x12345678, 0xF)
    to_host.sent(WRITE)
    to_host.write_ended(access(8, OKAY, strobes=0xF))
    to_host.read_started(APERTURE + 8)
    to_host.sent(READ)
    to_host.answer(GOOD)
    to_host.read_ended(access(8, OKAY, data=0x04030201))
    to_host.check_empty(merged=0)


@pytest.mark.parametrize(
    "change",
    [
        {"address": HOST + 12}, {"first_be": 7}, {"data": bytes(4)}, {"length": 2}, {"last_be": 1}, {"tc": 1},
        {"attr": 2}, {"requester": 8}, {"own_requester": True}, {"poisoned": True}, {"discontinued": True},
        {"ecrc": True}, {"at": 1}, {"kind": 5}, {"kind": MEM_READ},
    ],
)  # fmt: skip
def test_a_write_that_is_not_the_cpus(change):
    to_host = board()
    to_host.write_started(APERTURE + 8, 0x12345678, 0xF)
    with pytest.raises(AssertionError):
        to_host.sent(replace(WRITE, **change))


def test_a_request_that_nobody_asked_for():
    for request in (WRITE, READ):
        with pytest.raises(AssertionError, match="ask"):
            board().sent(request)


def test_a_tag_in_use():
    to_host = board()
    for _ in range(2):
        to_host.read_started(APERTURE + 8)
    to_host.sent(READ)
    with pytest.raises(AssertionError, match="in use"):
        to_host.sent(READ)


@pytest.mark.parametrize(
    ("answer", "response", "data"),
    [
        (GOOD, OKAY, 0), (GOOD, SLVERR, 0x04030201), (replace(GOOD, status=1), OKAY, 0x04030201),
        (replace(GOOD, poisoned=True), OKAY, 0x04030201), (replace(GOOD, error=9), OKAY, 0),
        (replace(GOOD, status=4), SLVERR, 0x04030201),
    ],
)  # fmt: skip
def test_a_wrong_answer_to_the_cpu(answer, response, data):
    to_host = board()
    to_host.read_started(APERTURE + 8)
    to_host.sent(READ)
    to_host.answer(answer)
    with pytest.raises(AssertionError):
        to_host.read_ended(access(8, response, data=data))


@pytest.mark.parametrize(
    ("tag", "response", "answer", "text"),
    [
        (3, SLVERR, replace(GOOD, length=2, data=bytes(8)), None),
        (3, SLVERR, GOOD, "its answer was good"),
        (3, OKAY, GOOD, "whose answer has not ended"),
        (4, SLVERR, GOOD, "nothing came back"),
        (None, SLVERR, GOOD, "nothing came back"),
    ],
)
def test_a_read_that_fails_before_its_answer_has_ended(tag, response, answer, text):
    """Its descriptor says that it is no good; only its own, and only if it is none."""
    to_host = board()
    to_host.coming = lambda: tag
    to_host.read_started(APERTURE + 8)
    to_host.sent(READ)

    def end():
        to_host.read_ended(access(8, response))
        to_host.answer(answer)
        to_host.check_empty(merged=0)

    if text is None:
        end()
        return
    with pytest.raises(AssertionError, match=text):
        end()


def test_a_read_that_is_refused_and_answered_late():
    """Behind one that the host holds; meanwhile the function may make requests again, and the next one leaves."""
    to_host = board()
    to_host.read_started(APERTURE + 8)
    to_host.read_started(APERTURE + 12)
    with pytest.raises(AssertionError, match="not of"):
        to_host.sent(replace(READ, address=HOST + 12))

    def again():
        to_host = board()
        for offset in (8, 12):
            to_host.read_started(APERTURE + offset)
        to_host.master_changed()
        to_host.sent(replace(READ, address=HOST + 12))
        to_host.answer(GOOD)
        return to_host

    to_host = again()
    to_host.read_ended(access(8, SLVERR))
    to_host.read_ended(access(12, OKAY, data=0x04030201))
    to_host.check_empty(merged=0)
    with pytest.raises(AssertionError, match="response 0"):
        again().read_ended(access(8, OKAY))


def test_which_answer_comes(monkeypatch):
    """The tag is known when the descriptor is there, until the answer ends."""
    monkeypatch.setattr("epbell_tb.endpoint.packets.cycle", lambda: 1)
    found = []
    reader = AnswerReader(2, found.append)
    packet = (0).to_bytes(8, "little") + bytes([7]) + bytes(3) + bytes(8)
    seen = []
    for at in range(0, 24, 8):
        beat = packet[at : at + 8]
        reader.beat(beat.ljust(8, b"\0"), (1 << len(beat) // 4) - 1, 0, at == 16, 1)
        seen.append(reader.coming)
    assert seen == [None, 7, None]
    assert [answer.tag for answer in found] == [7]


def test_failures_need_a_reason():
    to_host = board()
    to_host.write_started(APERTURE + 0x2000, 1, 0xF)
    to_host.write_ended(access(0x2000, DECERR, strobes=0xF))
    to_host.write_started(APERTURE + 8, 1, 0xF)
    with pytest.raises(AssertionError, match="bus master"):
        to_host.write_ended(access(8, SLVERR, strobes=0xF))
    to_host = board(master=False)
    to_host.read_started(APERTURE + 8)
    to_host.read_ended(access(8, SLVERR))
    to_host.check_empty(merged=0)


def test_what_never_leaves():
    to_host = board()
    to_host.write_started(APERTURE + 8, 1, 0xF)
    to_host.write_ended(access(8, OKAY, strobes=0xF))
    with pytest.raises(AssertionError, match="never left"):
        to_host.check_empty(merged=0)


def with_msix(way, since=0):
    """Vector 1 is raised in a cycle; its message is 0xCAFE to 0x123450."""
    to_host = board()
    to_host.msix = way
    reference = to_host._reference
    ram, page = reference.map["ram"].base, reference.map["controller"].base
    for offset, word in ((0x10, 0x12_3450), (0x18, 0xCAFE)):
        reference.cpu_write32(ram + offset, word)
    reference.cpu_write32(page + 0x50, ram)
    to_host.raised(1, since)
    return to_host


MESSAGE = 0x12_3450, b"\xfe\xca\0\0"


def test_a_message_at_the_port():
    """It may be asked for again until it is sent."""
    to_host = with_msix("port")
    to_host.asked(*MESSAGE, NOW)
    to_host.asked(*MESSAGE, NOW)()
    to_host.check_empty(merged=0)
    with pytest.raises(AssertionError, match="nobody asked for"):
        to_host.asked(*MESSAGE, NOW)


def test_a_message_at_the_port_that_overtakes():
    to_host = with_msix("port")
    to_host.write_started(APERTURE + 8, 1, 0xF)
    to_host.write_ended(access(8, OKAY, strobes=0xF))
    to_host.raised(1)
    to_host.asked(*MESSAGE, NOW)()
    with pytest.raises(AssertionError, match="overtaken"):
        to_host.asked(*MESSAGE, NOW)


@pytest.mark.parametrize(("address", "data"), [(0x12_3450, b"\xfe\xca\0\1"), (0x12_3454, MESSAGE[1])])
def test_a_message_that_the_table_does_not_hold(address, data):
    with pytest.raises(AssertionError, match="nobody asked for"):
        with_msix("port").asked(address, data, NOW)
    with pytest.raises(AssertionError, match="nobody asked for"):
        with_msix("rq").sent(replace(WRITE, address=address, data=data))


def test_a_message_the_other_way():
    to_host = with_msix("rq")
    with pytest.raises(AssertionError, match="at the port"):
        to_host.asked(*MESSAGE, NOW)
    to_host.sent(replace(WRITE, address=MESSAGE[0], data=MESSAGE[1]))
    to_host.check_empty(merged=0)
    with pytest.raises(AssertionError, match="nobody asked for"):
        with_msix("port").sent(replace(WRITE, address=MESSAGE[0], data=MESSAGE[1]))


def test_a_second_message_for_two_raises_that_became_one():
    """The endpoint says that it has merged them: then there is one message for both."""
    to_host = with_msix("port")
    to_host.raised(1)
    to_host.asked(*MESSAGE, NOW)()
    to_host.check_vectors(1)
    for merged, text in ((0, "never sent"), (2, "sent twice")):
        with pytest.raises(AssertionError, match=text):
            to_host.check_vectors(merged)
    to_host.asked(*MESSAGE, NOW)()
    with pytest.raises(AssertionError, match="sent twice"):
        to_host.check_vectors(1)
    reset(to_host)  # nobody knows what had been merged of what it has taken away
    to_host.check_vectors(1)


LATEST = 20 + MASKED + ON_RQ - DECIDED
LATER = LATEST + 30


@pytest.mark.parametrize(("since", "good"), [(15, True), (LATEST, True), (LATEST + 1, False), (LATER, False)])
def test_a_message_that_was_raised_behind_its_mask(since, good):
    """It may have waited for RQ, which has stood since before the mask, only if it was raised before the mask."""
    to_host = with_msix("rq", since)
    to_host._permissions.vector_masked(1, True, 18, 20)
    message = replace(WRITE, address=MESSAGE[0], data=MESSAGE[1], offered=LATER, behind=10)
    if good:
        to_host.sent(message)
    else:
        with pytest.raises(AssertionError, match="masked in the table"):
            to_host.sent(message)


def test_an_interrupt_that_overtakes():
    to_host = board()
    to_host.write_started(APERTURE + 8, 1, 0xF)
    to_host.write_ended(access(8, OKAY, strobes=0xF))
    assert to_host.answered == 1
    assert not to_host.follows(to_host.answered)
    to_host.sent(replace(WRITE, data=b"\x01\0\0\0"))
    assert to_host.follows(to_host.answered)


def reset(to_host):
    assert to_host.flr(True) == 0
    return to_host.flr(False)


def test_a_read_that_has_begun_leaves_in_a_function_level_reset():
    to_host = board()
    for offset in (8, 12):
        to_host.read_started(APERTURE + offset)
    to_host.flr(True)
    to_host.read_ended(access(8, SLVERR))
    with pytest.raises(AssertionError, match="begins in a reset"):
        to_host.sent(replace(READ, offered=NOW + 4))
    to_host.sent(replace(READ, offered=NOW + 3))
    to_host.read_ended(access(12, SLVERR))
    to_host.flr(False)
    to_host.check_empty(merged=0)
    with pytest.raises(AssertionError, match="did not ask for"):
        to_host.sent(replace(READ, address=HOST + 12, tag=4))


@pytest.mark.parametrize("kind", ["read", "write"])
def test_what_a_function_level_reset_has_dropped_does_not_leave(kind):
    to_host = board()
    if kind == "read":
        to_host.read_started(APERTURE + 8)
    else:
        to_host.write_started(APERTURE + 8, 0x12345678, 0xF)
        to_host.write_ended(access(8, OKAY, strobes=0xF))
    reset(to_host)
    if kind == "read":
        to_host.read_ended(access(8, SLVERR))
    to_host.check_empty(merged=0)
    with pytest.raises(AssertionError, match=r"did not ask for|nobody asked for"):
        to_host.sent(READ if kind == "read" else WRITE)


@pytest.mark.parametrize("cut", [False, True])
def test_only_what_a_reset_has_cut_off_may_be_left_out(cut):
    to_host = board()
    to_host.write_started(APERTURE + 4, 1, 0xF)
    if cut:
        reset(to_host)
    to_host.write_started(APERTURE + 8, 0x12345678, 0xF)
    if cut:
        to_host.sent(WRITE)
        assert to_host.follows(1)
    else:
        with pytest.raises(AssertionError, match="nobody asked for"):
            to_host.sent(WRITE)


def test_vectors_that_a_function_level_reset_forgets():
    to_host = with_msix("rq")
    to_host.raised(1)(False)
    doubtful, too_late = to_host.raised(1), to_host.raised(1)
    assert reset(to_host) == 1
    doubtful(None)
    with pytest.raises(AssertionError, match="never sent"):
        to_host.check_empty(merged=1)
    too_late(True)
    to_host.check_empty(merged=1)
