"""What is behind the register pages: Messaging Unit, eDMA, and the controller page that accounts for both."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import csr
from epbell.config_reader import BARS
from epbell.controller import FUNCTION, Controller
from epbell.dma_channels import connect_pulses, pulse_ports
from epbell.edma import Edma, EdmaShape
from epbell.express import Promises
from epbell.interrupts import InterruptRegisters
from epbell.mu import MessagingUnit
from epbell.pcie.requester import Cause
from epbell.pcie.target import EVENTS, LATENCY_BITS

__all__ = [
    "Peripherals",
    "edma_ports",
]


def edma_ports(shape: EdmaShape) -> dict[str, Any]:
    """Members for the eDMA's interrupt lines and for the pulses of its channels."""
    return {"irq_edma": Out(shape.lines), **pulse_ports(shape.write_channels, shape.read_channels, "edma_")}


class Peripherals(wiring.Component):
    """The blocks that ring, and the one that counts and raises interrupts of the host.

    A ring by the host comes as a write of a register port, a clock ahead of the one in which it is made, or to the eDMA
    as ``edma_aside``, in that clock. Either raises the interrupt line in that clock already, and a promise of one
    before.

    Parameters
    ----------
    layout : str
        Layout of the Messaging Unit.
    edma : EdmaShape
        What the eDMA is like.
    data_width, windows, guard
        For the controller page: see :class:`Controller`.

    Attributes
    ----------
    mu_a, mu_b, controller, edma : In(csr.PAGE)
        Register ports.
    edma_aside : In(1)
        The host rings the eDMA beside its register port.
    host_mu, host_edma, host_age : In(1), In(1), In(16)
        A write of the host to side B or to the eDMA is made in this cycle, that many clocks after its request began.
    promises : In(Promises())
        What is going to ring; a latency ends where a promise begins.
    write_refused, read_refused, unsupported, discontinued, malformed : In(1)
        Requests that were not done. ``torn`` is one more that is malformed.
    outbound_failed, outbound_cause, outbound_address : In(range(3)), In(Cause), In(32)
        Failures of the CPU's accesses to the host, for the controller page.
    bars : In(32).array(6)
        The base address registers as the host reads them, for the controller page.
    flr_begins, in_flr, low_power : In(1)
        State of the function, for the controller page.
    interrupts : Out(InterruptRegisters())
        Between the controller page and the interrupts of the host.
    irq_mu : Out(1)
        Interrupt of the Messaging Unit, side A: level, active high.
    irq_edma : Out(lines)
        Interrupt of the eDMA, the same level on every line.
    edma_wr_done, edma_wr_abort, edma_rd_done, edma_rd_abort : In(channels)
        The DMA engine has ended a transfer; a clock long, bit n for channel n.

    Raises
    ------
    ValueError
        If there is no such layout.
    """

    mu_a: Any
    mu_b: Any
    controller: Any
    edma: Any
    edma_aside: Any
    host_mu: Any
    host_edma: Any
    host_age: Any
    promises: Any
    write_refused: Any
    read_refused: Any
    unsupported: Any
    discontinued: Any
    malformed: Any
    torn: Any
    outbound_failed: Any
    outbound_cause: Any
    outbound_address: Any
    bars: Any
    flr_begins: Any
    in_flr: Any
    low_power: Any
    interrupts: Any
    irq_mu: Any
    irq_edma: Any
    edma_wr_done: Any
    edma_wr_abort: Any
    edma_rd_done: Any
    edma_rd_abort: Any

    def __init__(self, *, layout: str, edma: EdmaShape, data_width: int, windows: int, guard: bool) -> None:
        self._mu = MessagingUnit(layout, registered=True, read_clocks=csr.PAGE.read_clocks)
        self._edma = Edma(edma, registered=True)
        self._controller = Controller(data_width=data_width, windows=windows, guard=guard, edma=edma)
        super().__init__({
            **{page: In(csr.PAGE) for page in ("mu_a", "mu_b", "controller", "edma")},
            "edma_aside": In(1),
            "host_mu": In(1),
            "host_edma": In(1),
            "host_age": In(LATENCY_BITS),
            "promises": In(Promises()),
            **{event: In(1) for event in EVENTS},
            "torn": In(1),
            "outbound_failed": In(range(3)),
            "outbound_cause": In(Cause),
            "outbound_address": In(32),
            "bars": In(32).array(BARS),
            **{name: In(1) for name in FUNCTION},
            "interrupts": Out(InterruptRegisters()),
            "irq_mu": Out(1),
            **edma_ports(edma),
        })

    def elaborate(self, platform: object) -> Module:
        """Connect each block to the controller page."""
        m: Any = Module()
        mu, edma, controller = self._mu, self._edma, self._controller
        m.submodules.mu, m.submodules.edma, m.submodules.controller = mu, edma, controller
        for page, port in (("mu_a", mu.a), ("mu_b", mu.b), ("controller", controller.bus), ("edma", edma.bus)):
            wiring.connect(m, wiring.flipped(getattr(self, page)), port)
        wiring.connect(m, wiring.flipped(self.interrupts), controller.interrupts)
        self._doorbells(m)
        self._account(m)
        return m

    def _doorbells(self, m: Any) -> None:
        """Connect interrupts and rings, and count them."""
        mu, edma, controller, promises = self._mu, self._edma, self._controller, self.promises
        m.d.comb += [
            promises.rung_mu.eq(mu.b_to_a.rung & self.host_mu.replicate(4)),
            promises.rung_edma.eq(self.host_edma & edma.rung.any()),
            mu.promised.eq(promises.mu),
            edma.promised.eq(promises.edma),
            self.irq_mu.eq(mu.a_irq),
            self.irq_edma.eq(edma.irq),
            edma.ring.eq(self.edma_aside),
            controller.irq_mu.eq(mu.a_causes),
            controller.irq_edma.eq(edma.irq[0]),
            controller.mu_ring.eq(self.host_mu | promises.begins_mu),
            controller.edma_ring.eq(promises.rung_edma | promises.begins_edma),
            controller.ring_age.eq(self.host_age),
            controller.promised.eq(promises.begins_mu | promises.begins_edma),
            controller.promised_age.eq(promises.age),
        ]
        connect_pulses(m, self, edma, "edma_")
        for event in ("rung", "merged", "delivered"):
            m.d.comb += [
                getattr(controller, event).eq(getattr(mu.b_to_a, event)),
                getattr(controller, f"edma_{event}").eq(getattr(edma, event)),
            ]

    def _account(self, m: Any) -> None:
        """Count what was not done."""
        for name in ("failed", "cause", "address"):
            m.d.comb += getattr(self._controller, f"outbound_{name}").eq(getattr(self, f"outbound_{name}"))
        for name in FUNCTION:
            m.d.comb += getattr(self._controller, name).eq(getattr(self, name))
        for shown, bar in zip(self._controller.bars, self.bars, strict=True):
            m.d.comb += shown.eq(bar)
        for event in EVENTS:
            also = self.torn if event == "malformed" else 0
            m.d.comb += getattr(self._controller, event).eq(getattr(self, event) + also)
