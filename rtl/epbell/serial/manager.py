"""The CPU of a board: its accesses come as messages, and their answers go back."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell import axil

__all__ = ["ACCESS", "ANSWER", "Manager"]

ACCESS = data.StructLayout({"strobes": 4, "write": 1, "spare": 27, "address": 32, "data": 32})
"""Three dwords of CPU to the board."""

ANSWER = data.StructLayout({"response": 2, "spare": 30, "data": 32})
"""Two dwords of CPU from the board."""


class Manager(wiring.Component):
    """Makes one access after the other on AXI4-Lite.

    Attributes
    ----------
    valid, ready, access : In(1), Out(1), In(ACCESS)
        An access; there is no room for another one until its answer has been taken.
    answered, taken, answer : Out(1), In(1), Out(ANSWER)
        The answer, until it is taken.
    axil : Out(axil.Signature(32))
        The endpoint's CPU port.
    """

    valid: Any
    ready: Any
    access: Any
    answered: Any
    taken: Any
    answer: Any
    axil: Any

    def __init__(self) -> None:
        super().__init__({
            "valid": In(1),
            "ready": Out(1),
            "access": In(ACCESS),
            "answered": Out(1),
            "taken": In(1),
            "answer": Out(ANSWER),
            "axil": Out(axil.Signature(32)),
        })

    def elaborate(self, platform: object) -> Module:
        """Offer address and data together, then wait for the response."""
        m: Any = Module()
        bus = self.axil
        m.d.comb += [bus.bready.eq(1), bus.rready.eq(1), bus.araddr.eq(bus.awaddr)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.ready.eq(1)
                with m.If(self.valid):
                    m.d.sync += [
                        bus.awaddr.eq(self.access.address),
                        bus.wdata.eq(self.access.data),
                        bus.wstrb.eq(self.access.strobes),
                        bus.awvalid.eq(self.access.write),
                        bus.wvalid.eq(self.access.write),
                        bus.arvalid.eq(~self.access.write),
                    ]
                    m.next = "BUSY"
            with m.State("BUSY"):
                for channel in ("aw", "w", "ar"):
                    with m.If(getattr(bus, f"{channel}ready")):
                        m.d.sync += getattr(bus, f"{channel}valid").eq(0)
                with m.If(bus.bvalid | bus.rvalid):
                    m.d.sync += [self.answer.data.eq(bus.rdata), self.answered.eq(1)]
                    m.d.sync += self.answer.response.eq(bus.bresp)
                    with m.If(bus.rvalid):
                        m.d.sync += self.answer.response.eq(bus.rresp)
                    m.next = "ANSWER"
            with m.State("ANSWER"), m.If(self.taken):
                m.d.sync += self.answered.eq(0)
                m.next = "IDLE"
        return m
