"""What the endpoint's scoreboard is made of, without a simulator: it must be able to say no."""

import pytest

from epbell_tb.endpoint.bells import Bell, Ring
from epbell_tb.endpoint.latencies import SETTLE
from epbell_tb.endpoint.shadow import FOREVER, ShadowRam

BASE = 0x6000_0000


def ram(*writes):
    shadow = ShadowRam(BASE, 0x1000)
    for address, data, until in writes:
        shadow.write(address, data, (1 << len(data)) - 1, by_host=True, since=until, host_until=until, cpu_until=until)
    return shadow


def test_shadow_compares_what_was_written():
    shadow = ram((BASE + 4, b"\x01\x02\x03\x04", 10))
    shadow.check(BASE + 4, b"\x01\x02\x03\x04", 11, host=True, what="read")
    assert shadow.compared == 4
    with pytest.raises(AssertionError, match="0x60000006 is 0x09, not 0x03"):
        shadow.check(BASE + 4, b"\x01\x02\x09\x04", 11, host=True, what="read")


def test_shadow_learns_what_it_does_not_know():
    shadow = ram()
    shadow.check(BASE, b"\x55", 0, host=False, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x56", 0, host=False, what="read")


def test_a_read_teaches_nothing_while_a_bad_write_may_be_under_way():
    shadow = ram((BASE, b"\x01\x01", 0))
    shadow.forget(BASE, 2, 20)
    shadow.check(BASE, b"\x01\x07", 20, host=True, what="read")
    shadow.check(BASE, b"\x02\x01", 21, host=True, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x01\x01", 22, host=True, what="read")


@pytest.mark.parametrize(("by_host", "since", "sure"), [(True, 15, True), (False, 15, False), (False, 21, True)])
def test_a_write_beside_a_bad_one(by_host, since, sure):
    """What the CPU writes meanwhile may stay, or not; what the host writes comes behind it."""
    shadow = ram((BASE, b"\x01", 0))
    shadow.forget(BASE, 1, 20)
    shadow.write(BASE, b"\x02", 1, by_host=by_host, since=since, host_until=30, cpu_until=30)
    if sure:
        with pytest.raises(AssertionError):
            shadow.check(BASE, b"\x03", 31, host=True, what="read")
    else:
        shadow.check(BASE, b"\x03", 31, host=True, what="read")


def test_shadow_honours_byte_enables():
    shadow = ram((BASE, bytes(4), 0))
    shadow.write(BASE, b"\xff\xff\xff\xff", 0b0101, by_host=True, since=1, host_until=1, cpu_until=1)
    shadow.check(BASE, b"\xff\x00\xff\x00", 5, host=True, what="read")


def test_an_old_value_is_allowed_while_its_write_may_be_under_way_only():
    shadow = ram((BASE, b"\x01", 0), (BASE, b"\x02", 20))
    shadow.check(BASE, b"\x01", 20, host=True, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x01", 21, host=True, what="read")


def test_host_and_cpu_see_a_write_at_different_times():
    shadow = ram((BASE, b"\x01", 0))
    shadow.write(BASE, b"\x02", 1, by_host=True, since=1, host_until=10, cpu_until=FOREVER)
    shadow.check(BASE, b"\x01", 50, host=False, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x01", 50, host=True, what="read")


def both(*, cpu_until, host_since):
    """Let the CPU write a dword from cycle 10 on, and the host half of it until cycle 20."""
    shadow = ram((BASE, bytes(4), 0))
    own = shadow.write(BASE, b"\x11" * 4, 0xF, by_host=False, since=10, host_until=FOREVER, cpu_until=FOREVER)
    own.host_until = own.cpu_until = cpu_until
    shadow.write(BASE, b"\x22" * 4, 0b0011, by_host=True, since=host_since, host_until=20, cpu_until=20)
    return shadow


def test_either_of_two_writes_at_a_time_may_stay_and_then_it_is_the_one():
    for stays in (b"\x11\x11", b"\x22\x22", b"\x11\x22"):
        shadow = both(cpu_until=30, host_since=18)
        shadow.check(BASE, b"\x11", 25, host=True, what="read before both are done")
        shadow.check(BASE, b"\x22", 25, host=True, what="read before both are done")
        shadow.check(BASE, stays + b"\x11\x11", 31, host=True, what="read")
        shadow.check(BASE, stays + b"\x11\x11", 40, host=False, what="read")
        for wrong in (b"\x11\x11\x22\x11", bytes(4), bytes(byte ^ 0x33 for byte in stays) + b"\x11\x11"):
            with pytest.raises(AssertionError):
                shadow.check(BASE, wrong, 41, host=True, what="read")


def test_a_write_after_both_is_the_only_one():
    shadow = both(cpu_until=30, host_since=18)
    shadow.write(BASE, b"\x44" * 4, 0xF, by_host=True, since=50, host_until=51, cpu_until=51)
    shadow.check(BASE, b"\x44" * 4, 60, host=False, what="read")
    for wrong in (b"\x11", b"\x22"):
        with pytest.raises(AssertionError):
            shadow.check(BASE, wrong, 60, host=False, what="read")


def test_of_two_writes_one_after_the_other_the_later_one_stays():
    shadow = both(cpu_until=15, host_since=16)
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x11", 21, host=True, what="read")
    shadow.check(BASE, b"\x22\x22\x11\x11", 21, host=True, what="read")


def test_a_forgotten_byte_may_be_anything_once():
    shadow = ram((BASE, b"\x01\x02", 0))
    shadow.forget(BASE, 1, 8)
    shadow.check(BASE, b"\x99\x02", 9, host=True, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x98\x02", 9, host=True, what="read")


def bell(*rings):
    return Bell("vector 0", rings=[Ring(*ring) for ring in rings])


def test_the_latest_settled_word_is_the_one():
    one = bell((100, 101, 0xA), (200, 201, 0xB))
    one.check_word(201 + SETTLE, 210 + SETTLE, 0xB)
    for word in (0xA, 0xC, 0):
        with pytest.raises(AssertionError):
            one.check_word(201 + SETTLE, 210 + SETTLE, word)


def test_a_word_that_arrives_may_be_seen_or_not():
    one = bell((100, 101, 0xA), (200, 201, 0xB))
    for word in (0xA, 0xB):
        one.check_word(202, 205, word)
    with pytest.raises(AssertionError):
        one.check_word(190, 195, 0xB)


def test_pending_as_of_a_cycle_that_is_over():
    """What was rung and read since then says nothing."""
    one = bell((100, 101, 0xA), (300, 301, 0xB))
    one.ack(102 + SETTLE, 110 + SETTLE, 0xA)
    assert one.may_be_pending(200, -1)
    assert not one.may_be_pending(200)
    assert not one.may_be_pending(100, -1)
    assert one.may_be_pending(302)


def test_pending():
    one = bell((100, 101, 0xA))
    assert one.may_be_pending(102)
    assert not one.may_be_pending(100)
    assert one.must_be_pending()
    one.ack(102 + SETTLE, 110 + SETTLE, 0xA)
    assert not one.may_be_pending(500)
    assert not one.must_be_pending()
    assert one.acks == 1
