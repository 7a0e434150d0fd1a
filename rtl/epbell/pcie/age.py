"""How long ago a request began, however long it has been on the way."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "LATENCY_BITS",
    "TIME",
    "AgeClock",
    "shown",
]

LATENCY_BITS = 16
"""Width of the ages as registers show them; they saturate."""

TIME = unsigned(LATENCY_BITS + 6)
"""Time of :class:`AgeClock`, modulo its range; and an age, which is the difference of two times."""


class AgeClock(wiring.Component):
    """Counts clocks, but stands while the age of all that is on the way is beyond what can be shown.

    A request is given the time at which it begins; its age is the time now less that, so that nothing has to be counted
    for each of them. A request may wait for ever, but a time has a range. So time stands at a multiple of 65536 if no
    request has begun since the multiple before: then the one that began last is older than can be shown, as are all
    before it, and they stay so. Time goes on when another request begins, whose age is right from its first clock on.
    Between two beginnings time gets on by at most 131072, so up to 31 requests may be on the way. While there is none
    it stands, too: an endpoint that has nothing to do changes nothing.

    Attributes
    ----------
    rests : In(1)
        Nothing is on the way.
    begins : In(1)
        A request begins in this clock: ``time`` is its time.
    time : Out(TIME)
        The time. A flip-flop.
    """

    rests: Any
    begins: Any
    time: Any

    def __init__(self) -> None:
        super().__init__({"rests": In(1), "begins": In(1), "time": Out(TIME)})

    def elaborate(self, platform: object) -> Module:
        """Count; look at each multiple of 65536 whether a request began since the last one."""
        m: Any = Module()
        stands: Any = Signal()
        began: Any = Signal()  # a request, since the last multiple
        m.d.sync += self.time.eq(self.time + (self.begins | ~(stands | self.rests)))
        with m.If(self.begins):
            m.d.sync += [began.eq(1), stands.eq(0)]
        with m.Elif(self.time[:LATENCY_BITS].all() & ~stands):
            m.d.sync += [began.eq(0), stands.eq(~began)]
        return m


def shown(age: Any) -> Any:
    """Return the age in LATENCY_BITS bits, the largest value if it is more."""
    return age[:LATENCY_BITS] | age[LATENCY_BITS:].any().replicate(LATENCY_BITS)
