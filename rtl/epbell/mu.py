"""The i.MX Messaging Unit, both sides: words with TE and RF, GIR and GIP, flags, MUR.

Register-compatible with Linux ``fsl,imx6sx-mu``, ``fsl,imx7ulp-mu`` and ``fsl,imx8ulp-mu``, so that ``irq-imx-mu-msi``
and ``imx-mailbox`` drive it. What the public documents leave open is decided in docs/mu.md; in short: the last word
wins when the one before is unread, a read of an empty RRn changes nothing, set wins over clear in the same clock, MUR
wins over everything.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import axil, csr
from epbell.mu_crossing import Crossing
from epbell.mu_side import LAYOUTS, MuSide

__all__ = [
    "LAYOUTS",
    "MUR_CLOCKS",
    "BellEvents",
    "MessagingUnit",
    "MuAxil",
    "MuAxilAsync",
]

MUR_CLOCKS = 4
"""Clocks for which MURS (RS) reads 1 after the clock that wrote MUR, in the single-clock build."""


class BellEvents(wiring.Signature):
    """What happens to the words that side B writes: one-clock pulses, bit n for TRn.

    Attributes
    ----------
    rung : Out(4)
        B writes TRn.
    superseded : Out(4)
        B writes TRn while the word before has not begun to cross. Always 0 in the single-clock build.
    merged : Out(4)
        A word comes to A while the one before is unread, or MUR throws an unread word away.
    delivered : Out(4)
        A reads RRn while RFn is 1.

    Notes
    -----
    Single-clock build: of the pulses counted, ``rung = merged + delivered + RFn`` at any time, across MUR too (a TR
    write in the clock of a MUR is no ring). Two-clock build: ``rung`` and ``superseded`` are in the domain ``b``,
    ``merged`` and ``delivered`` in ``a``, and ``rung = superseded + merged + delivered + RFn`` whenever nothing is
    under way, as long as no MUR or reset of one side has thrown away a word in flight.
    """

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(("rung", "superseded", "merged", "delivered"), Out(4)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BellEvents)

    def __hash__(self) -> int:
        return hash(BellEvents)

    def __repr__(self) -> str:
        return "mu.BellEvents()"


class MessagingUnit(wiring.Component):
    """Both sides of a Messaging Unit.

    Single-clock build: everything is in ``sync``. A write of TRn in clock t raises the far interrupt line, if that is
    enabled, in clock t + 1, and makes RFn 1 then (in t + 2 where the register ports are registered: the line is a clock
    ahead of RFn); one write per clock is sustained. FUP and EP read 0: nothing is ever under way.

    Two-clock build: side A is in the domain ``a``, side B in ``b``, with any ratio of frequencies. Own flags (TEn, RFn,
    GIPn) clear at the next clock edge of their own side; the far *set* comes at the third clock edge of the far side
    (docs/mu.md has all latencies). The link between the sides keeps its state through a reset of one of them, so its
    flip-flops rely on their initial values (FPGA configuration).

    Parameters
    ----------
    layout : str
        ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``.
    synchronous : bool
        Whether both sides are in ``sync``.
    registered : bool
        Whether each access is decoded a clock ahead; with one clock only. Every access is made a clock later then, and
        at nearly twice the frequency. All else is the same, but that a word holds the line in the clock of its write.
    read_clocks : int
        Clocks from that in which a read is made to its data, see :class:`csr.Signature`.

    Attributes
    ----------
    a, b : In(csr.Signature(16, registered=registered, read_clocks=read_clocks))
        Register ports of the sides.
    a_irq, b_irq : Out(1)
        Interrupt lines: level, active high.
    a_causes : Out(2)
        Registered only: what side A's line is the OR of.
    b_to_a : Out(BellEvents())
        Loss accounting of the words from B to A.
    promised : In(4)
        Registered only: side B is going to write TRn, and nothing of side A is made before. Holds side A's line as RFn
        does.

    Raises
    ------
    ValueError
        If there is no such layout, or a unit with two clocks is to be registered.
    """

    a: Any
    b: Any
    a_irq: Any
    b_irq: Any
    b_to_a: Any
    promised: Any
    a_causes: Any

    def __init__(
        self, layout: str, *, synchronous: bool = True, registered: bool = False, read_clocks: int = 0
    ) -> None:
        if not isinstance(registered, bool):
            raise ValueError(f"Whether the register ports are registered must be True or False, not {registered!r}")
        if registered and not synchronous:
            raise ValueError(
                f"Whether the register ports are registered must be False with two clocks, not {registered!r}"
            )
        port = csr.Signature(16, registered=registered, read_clocks=read_clocks)
        self._side_a = MuSide(layout, registered=registered, read_clocks=read_clocks)
        self._side_b = MuSide(layout, registered=registered, read_clocks=read_clocks)
        self._synchronous, self._registered = synchronous, registered
        self._mur: Any = Signal(name="mur")
        super().__init__(
            {
                "a": In(port),
                "b": In(port),
                "a_irq": Out(1),
                "b_irq": Out(1),
                "b_to_a": Out(BellEvents()),
                **({"promised": In(4), "a_causes": Out(2)} if registered else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Join the sides."""
        m: Any = Module()
        a, b = self._side_a, self._side_b
        if self._synchronous:
            self._join(m)
        else:
            m.submodules.crossing = crossing = Crossing(a, b)
            for event in self.b_to_a.signature.members:
                m.d.comb += getattr(self.b_to_a, event).eq(getattr(crossing, event))
        wiring.connect(m, wiring.flipped(self.a), a.bus)
        wiring.connect(m, wiring.flipped(self.b), b.bus)
        m.d.comb += [self.a_irq.eq(a.irq), self.b_irq.eq(b.irq)]
        if self._registered:
            m.d.comb += self.a_causes.eq(a.causes)
        return m

    def _join(self, m: Any) -> None:
        """One clock: the far side sees everything at the next edge, so one full flag serves both sides."""
        a, b = self._side_a, self._side_b
        m.submodules.side_a, m.submodules.side_b = a, b
        mur, mur_clocks = self._mur, Signal(range(MUR_CLOCKS + 1))
        if self._registered:  # a flip-flop of its own, since it clears some 300 others
            m.d.sync += mur.eq(a.mur_soon | b.mur_soon)
        else:
            m.d.comb += mur.eq(a.mur | b.mur)
        with m.If(mur):
            m.d.sync += mur_clocks.eq(MUR_CLOCKS)
        with m.Elif(mur_clocks != 0):
            m.d.sync += mur_clocks.eq(mur_clocks - 1)
        self._send(m, a, b, mur)
        full = self._send(m, b, a, mur)
        for near, far in ((a, b), (b, a)):
            mur_by_far = Signal()
            # A clock later, because the reset itself clears MURIP.
            m.d.sync += mur_by_far.eq(far.mur)
            m.d.comb += [near.reset.eq(mur), near.mur_by_far.eq(mur_by_far), near.in_reset.eq(mur_clocks != 0)]
        m.d.comb += [
            self.b_to_a.rung.eq(b.ring & ~mur.replicate(4)),
            self.b_to_a.merged.eq(full & ~a.take & (b.ring | mur.replicate(4))),
            self.b_to_a.delivered.eq(full & a.take),
        ]

    def _send(self, m: Any, near: MuSide, far: MuSide, mur: Any) -> Any:
        """Connect what ``near`` sends to ``far``; return the full flags of its words."""
        full: Any = Signal(4)
        # A write in the clock of a read: the read has the old word, RF ends 1 for the new one.
        m.d.sync += full.eq(((full & ~far.take) | near.ring) & ~mur.replicate(4))
        m.d.comb += [
            near.transmit_empty.eq(~full),
            far.receive_full.eq(full),
            far.pending_set.eq(near.request),
            near.request_done.eq(far.acknowledge),
            far.far_flags.eq(near.flags),
        ]
        if self._registered:
            promised = self.promised if far is self._side_a else 0
            m.d.comb += [far.arriving.eq(near.ring), far.promised.eq(promised)]
        for n in range(4):
            m.d.comb += getattr(far, f"receive_word{n}").eq(getattr(near, f"stored_word{n}"))
        return full


class MuAxil(wiring.Component):
    """A Messaging Unit with AXI4-Lite ports, in one clock: exported as ``epbell_mu_<layout>``.

    A doorbell accepted in clock t raises the interrupt line in clock t + 1; both ports sustain one write and one read
    per clock.

    Parameters
    ----------
    layout : str
        ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``.
    registered : bool
        Whether each access is decoded a clock ahead. Without, all but the rise of the line is a clock earlier, reads
        too, at little more than half the frequency (docs/area.md).

    Attributes
    ----------
    a_axil, b_axil : In(axil.Signature(16))
        Register ports of the sides.
    a_irq, b_irq : Out(1)
        Interrupt lines: level, active high.

    Raises
    ------
    ValueError
        If there is no such layout.
    """

    a_axil: Any
    b_axil: Any
    a_irq: Any
    b_irq: Any

    def __init__(self, layout: str, *, registered: bool = True) -> None:
        self.layout = layout
        self._unit = MessagingUnit(layout, registered=registered)
        self._bridges = {side: axil.Bridge(16, registered=registered) for side in "ab"}
        super().__init__(_axil_ports())

    def elaborate(self, platform: object) -> Module:
        """Put a bridge in front of each side."""
        m: Any = Module()
        _connect_bridges(self, m, self._unit, self._bridges, crossing=False)
        return m


class MuAxilAsync(wiring.Component):
    """A Messaging Unit with AXI4-Lite ports, side A in the domain ``a`` and side B in ``b``.

    Exported as ``epbell_mu_<layout>_async``. Layout, ports and errors are those of :class:`MuAxil`; each access is made
    in the clock in which it is accepted.
    """

    a_axil: Any
    b_axil: Any
    a_irq: Any
    b_irq: Any

    def __init__(self, layout: str) -> None:
        self.layout = layout
        self._unit = MessagingUnit(layout, synchronous=False)
        self._bridges = {side: axil.Bridge(16) for side in "ab"}
        super().__init__(_axil_ports())

    def elaborate(self, platform: object) -> Module:
        """Put a bridge in front of each side, in its domain."""
        m: Any = Module()
        _connect_bridges(self, m, self._unit, self._bridges, crossing=True)
        return m


def _axil_ports() -> dict[str, Any]:
    port = axil.Signature(16)
    return {"a_axil": In(port), "b_axil": In(port), "a_irq": Out(1), "b_irq": Out(1)}


def _connect_bridges(top: Any, m: Any, unit: MessagingUnit, bridges: dict[str, axil.Bridge], *, crossing: bool) -> None:
    m.submodules.unit = unit
    for side, bridge in bridges.items():
        m.submodules[f"bridge_{side}"] = DomainRenamer(side)(bridge) if crossing else bridge
        wiring.connect(m, wiring.flipped(getattr(top, f"{side}_axil")), bridge.axil)
        wiring.connect(m, bridge.bus, getattr(unit, side))
        m.d.comb += getattr(top, f"{side}_irq").eq(getattr(unit, f"{side}_irq"))
