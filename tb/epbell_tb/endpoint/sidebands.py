"""What ``tuser`` of the streams that the endpoint sends must say in each beat (AMD PG213, tables of CC and RQ).

Parity is off, so its bits are zero; so are hints, address offset, sequence number and what straddling would need.
"""

__all__ = [
    "check_completion_beat",
    "check_request_beat",
    "check_steady",
]

_WIDE = 16
"""Lanes of the streams whose ``tuser`` says where packets begin and end."""


def check_completion_beat(user: int, lanes: int, *, first: bool, last: bool, count: int) -> None:
    """Check a beat of CC: of how many lanes, which one of its packet, how many dwords of it count."""
    want = 0
    if lanes == _WIDE:
        want = int(first) | last << 6 | (count - 1 << 8 if last else 0)
    assert user == want, f"tuser of CC is {user:#x}, not {want:#x}"


def check_request_beat(user: int, lanes: int, *, first: bool, last: bool, count: int) -> None:
    """Check a beat of RQ, but for the byte enables of the first one, which are the request's."""
    enables = 0xF0F if lanes == _WIDE else 0xFF
    want = 0
    if lanes == _WIDE:
        want = int(first) << 20 | last << 26 | (count - 1 << 28 if last else 0)
    found = user & ~enables
    assert found == want, f"tuser of RQ is {found:#x} besides the byte enables, not {want:#x}"


def check_steady(open_since: int | None) -> None:
    """Check a clock without ``tvalid``; the hard block nullifies a packet that has one."""
    assert open_since is None, f"tvalid falls within the packet that has begun in clock {open_since}"
