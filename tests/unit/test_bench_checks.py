"""What the endpoint's scoreboard is made of, without a simulator: it must be able to say no."""

import pytest

from epbell_tb.endpoint.bells import SETTLE, Bell, Ring
from epbell_tb.endpoint.shadow import FOREVER, ShadowRam

BASE = 0x6000_0000


def ram(*writes):
    shadow = ShadowRam(BASE, 0x1000)
    for address, data, until in writes:
        shadow.write(address, data, (1 << len(data)) - 1, host_until=until, cpu_until=until)
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


def test_shadow_honours_byte_enables():
    shadow = ram((BASE, bytes(4), 0))
    shadow.write(BASE, b"\xff\xff\xff\xff", 0b0101, host_until=1, cpu_until=1)
    shadow.check(BASE, b"\xff\x00\xff\x00", 5, host=True, what="read")


def test_an_old_value_is_allowed_while_its_write_may_be_under_way_only():
    shadow = ram((BASE, b"\x01", 0), (BASE, b"\x02", 20))
    shadow.check(BASE, b"\x01", 20, host=True, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x01", 21, host=True, what="read")


def test_host_and_cpu_see_a_write_at_different_times():
    shadow = ram((BASE, b"\x01", 0))
    shadow.write(BASE, b"\x02", 1, host_until=10, cpu_until=FOREVER)
    shadow.check(BASE, b"\x01", 50, host=False, what="read")
    with pytest.raises(AssertionError):
        shadow.check(BASE, b"\x01", 50, host=True, what="read")


def test_a_forgotten_byte_may_be_anything_once():
    shadow = ram((BASE, b"\x01\x02", 0))
    shadow.forget(BASE, 1)
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


def test_pending():
    one = bell((100, 101, 0xA))
    assert one.may_be_pending(102)
    assert not one.may_be_pending(100)
    assert one.must_be_pending()
    one.ack(102 + SETTLE, 110 + SETTLE, 0xA)
    assert not one.may_be_pending(500)
    assert not one.must_be_pending()
    assert one.acks == 1
