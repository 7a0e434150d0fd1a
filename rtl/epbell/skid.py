"""A place beside a stream, for what comes in the clock in which the other side stops taking."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Skid"]


class Skid(wiring.Component):
    """Lets a stream through in its own clock; refuses out of a flip-flop.

    What comes while the other side does not take is kept, one entry, and goes before anything else comes in. So a chain
    of ready signals ends here, and no clock is lost: after a clock without ``o_ready`` there is one without
    ``i_ready``.

    Parameters
    ----------
    layout : data.StructLayout
        An entry.

    Attributes
    ----------
    i_valid, i_ready, i_data : In(1), Out(1), In(layout)
        Way in. ``i_ready`` is a flip-flop.
    o_valid, o_ready, o_data : Out(1), In(1), Out(layout)
        Way out. What is offered stays, unchanged, if the way in offers it until it is let in. ``o_data`` without
        ``o_valid`` is ``i_data``.
    """

    i_valid: Any
    i_ready: Any
    i_data: Any
    o_valid: Any
    o_ready: Any
    o_data: Any

    def __init__(self, layout: data.StructLayout) -> None:
        self._layout = layout
        super().__init__({
            "i_valid": In(1),
            "i_ready": Out(1, init=1),
            "i_data": In(layout),
            "o_valid": Out(1),
            "o_ready": In(1),
            "o_data": Out(layout),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep an entry; two flip-flops say whether, so that neither drives too much."""
        m: Any = Module()
        full: Any = Signal()
        kept: Any = Signal(self._layout, reset_less=True)
        stays = self.o_valid & ~self.o_ready
        m.d.comb += [
            self.o_valid.eq(full | self.i_valid),
            self.o_data.as_value().eq(Mux(full, kept.as_value(), self.i_data.as_value())),
        ]
        m.d.sync += [full.eq(stays), self.i_ready.eq(~stays)]
        with m.If(self.i_ready):
            m.d.sync += kept.eq(self.i_data)
        return m
