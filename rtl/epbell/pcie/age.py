"""How long ago a request began, however long it has been on the way."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = [
    "LATENCY_BITS",
    "REQUESTS",
    "AgeClock",
    "shown",
    "time_shape",
]

LATENCY_BITS = 16
"""Width of the ages as registers show them; they saturate."""

REQUESTS = 31
"""How many requests may be on the way at a time, for their ages to be right."""


def time_shape(bits: int = LATENCY_BITS) -> Shape:
    """Shape of a time, and of an age before it is shown, which is the difference of two times modulo their range."""
    return unsigned(bits + 1 + ceil_log2(REQUESTS + 1))


class AgeClock(wiring.Component):
    """Counts clocks, but stands while the age of all that is on the way is beyond what can be shown.

    A request is given the time at which it begins; its age is the time now less that, so that nothing has to be counted
    for each of them. A request may wait for ever, but a time has a range. So time stands at a multiple of 2**bits if no
    request has begun since the multiple before: then the one that began last is older than can be shown, as are all
    before it, and they stay so. Time goes on when another request begins, whose age is right from its first clock on.
    Between two beginnings time gets on by two multiples and a clock at most, so that times have a range for `REQUESTS`
    requests. While there is none it stands, too: an endpoint that has nothing to do changes nothing.

    Parameters
    ----------
    bits : int
        Width of an age as it is shown, 4 or more.

    Attributes
    ----------
    rests : In(1)
        Nothing is on the way.
    begins : In(1)
        A request begins in this clock: ``time`` is its time.
    time : Out(time_shape(bits))
        The time. A flip-flop.

    Raises
    ------
    ValueError
        If `bits` is less than 4.
    """

    rests: Any
    begins: Any
    time: Any

    def __init__(self, bits: int = LATENCY_BITS) -> None:
        if not isinstance(bits, int) or bits < 4:
            raise ValueError(f"The width of an age must be 4 bits or more, not {bits!r}")
        self._bits = bits
        super().__init__({"rests": In(1), "begins": In(1), "time": Out(time_shape(bits))})

    def elaborate(self, platform: object) -> Module:
        """Count; look at each multiple whether a request began since the one before."""
        m: Any = Module()
        stands: Any = Signal()
        began: Any = Signal()  # a request, since the last multiple
        ends: Any = Signal()  # the next time is a multiple
        goes_on: Any = self.begins | ~(stands | self.rests)
        with m.If(goes_on):
            m.d.sync += [self.time.eq(self.time + 1), ends.eq(self.time[: self._bits] == (1 << self._bits) - 2)]
        with m.If(self.begins):
            m.d.sync += [began.eq(1), stands.eq(0)]
        with m.Elif(ends & ~(stands | self.rests)):
            m.d.sync += [began.eq(0), stands.eq(~began)]
        return m


def shown(age: Any, bits: int = LATENCY_BITS) -> Any:
    """Return the age in so many bits, the largest value if it is more."""
    return age[:bits] | age[bits:].any().replicate(bits)
