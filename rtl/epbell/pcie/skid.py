"""A place beside a stream, so that whoever fills it need not look at the receiver's ready within a clock."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie.usp import Stream

__all__ = ["Skid"]

_BEAT = ("tdata", "tkeep", "tuser", "tlast")


class Skid(wiring.Component):
    """Passes a stream on in the same clock, and keeps the beat that is not taken at once.

    The sender's ``tready`` is a flip-flop. A beat that the receiver does not take in its clock is kept, the same beat
    stays on the stream from here, and the sender waits until it has gone. Beats go on one per clock, with and without a
    stop before. From the flip-flops of the sender to those of the receiver there is one multiplexer.

    Parameters
    ----------
    signature : Stream
        The stream, as the sender sees it.

    Attributes
    ----------
    i : In(signature)
        From the sender.
    o : Out(signature)
        To the receiver.
    holds : Out(1)
        A beat is kept that has not gone yet. A flip-flop.
    """

    i: Any
    o: Any
    holds: Any

    def __init__(self, signature: Stream) -> None:
        super().__init__({"i": In(signature), "o": Out(signature), "holds": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Keep what comes while nothing is kept."""
        m: Any = Module()
        i, o = self.i, self.o
        free: Any = Signal(init=1)  # not `holds`, which turns all of the stream
        m.d.comb += [i.tready.eq(free), o.tvalid.eq(i.tvalid | self.holds)]
        m.d.sync += [self.holds.eq(o.tvalid & ~o.tready), free.eq(~o.tvalid | o.tready)]
        for name in _BEAT:
            kept: Any = Signal(len(getattr(i, name)), name=f"{name}_kept", reset_less=True)
            m.d.comb += getattr(o, name).eq(Mux(self.holds, kept, getattr(i, name)))
            with m.If(~self.holds & i.tvalid):
                m.d.sync += kept.eq(getattr(i, name))
        return m
