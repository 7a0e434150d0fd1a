"""One side of the i.MX Messaging Unit: its registers and its interrupt line.

Follows the three register layouts of the i.MX MU (Linux ``fsl,imx6sx-mu``, ``fsl,imx7ulp-mu``, ``fsl,imx8ulp-mu``).
What the sides tell each other is in :mod:`epbell.mu` (one clock) and :mod:`epbell.mu_async` (two clocks).
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, DomainRenamer, Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import csr
from epbell.csr_register import any_of

__all__ = [
    "LAYOUTS",
    "MuSide",
]

LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")
"""Names of the register layouts."""

# Where each layout keeps its bits. V1 and 7ULP share SR and CR among all of them.
_SHARED = {
    **dict.fromkeys(("GIP", "RF", "TE", "EP", "FUP", "RS", "F in"), "SR"),
    **dict.fromkeys(("GIE", "RIE", "TIE", "GIR", "MUR", "F out"), "CR"),
}
_SPLIT = {
    "GIP": "GSR",
    "RF": "RSR",
    "TE": "TSR",
    "EP": "SR",
    "FUP": "SR",
    "RS": "SR",
    "F in": "FSR",
    "GIE": "GIER",
    "RIE": "RCR",
    "TIE": "TCR",
    "GIR": "GCR",
    "MUR": "CR",
    "F out": "FCR",
}


class MuSide(wiring.Component):
    """Registers and interrupt line of one side, in the domain ``sync``.

    Vectors of four bits are in channel order whatever the layout's bit order is. Strobes are high in the clock of the
    access, before the edge at which it takes effect.

    Parameters
    ----------
    layout : str
        ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``.
    registered : bool
        Whether each access is decoded a clock ahead. "The clock of the access" is the one in which it is made.
    read_clocks : int
        Clocks from that of a read to its data, see :class:`csr.Signature`.

    Attributes
    ----------
    bus : In(csr.Signature(16, registered=registered, read_clocks=read_clocks))
        Register port.
    irq : Out(1)
        Level of the interrupt line, combinational from flip-flops and from the status inputs below.
    causes : Out(2)
        Registered only: what the line is the OR of.
    arriving, promised : In(4)
        Registered only: the far side's word for RRn is being written in this clock, or is promised. Holds the line as
        RFn does, so that this rises in the clock after the one in which the write was accepted; but what is written in
        the clock of ``reset`` does not stay.
    reset : In(1)
        Clears all registers at the next clock edge; wins over any access in the same clock. An access that has been
        accepted and not been made stays.
    ring, ring_word0 .. ring_word3 : Out(4), Out(32)
        TRn is being written with all four strobes; the newest word, from the clock of the write on.
    stored_word0 .. stored_word3 : Out(32)
        TRn as it reads, from the clock after the write on.
    receive_word0 .. receive_word3 : In(32)
        What RRn reads.
    take : Out(4)
        RRn is being read.
    transmit_empty, receive_full : In(4)
        TEn, RFn.
    request, request_done : Out(4), In(4)
        GIRn is being written 1; clear GIRn (a request in the same clock wins).
    pending_set, acknowledge : In(4), Out(4)
        Set GIPn (wins over the acknowledge in the same clock); 1 is being written to GIPn.
    flags, far_flags : Out(3), In(3)
        Fn as written; Fn as the far side shows them.
    mur, mur_by_far : Out(1), In(1)
        MUR is being written 1; set MURIP (imx8ulp).
    mur_soon : Out(1)
        Registered only: MUR is being written 1 in the next clock, so that ``reset`` can come out of a flip-flop.
    in_reset, event_pending, flags_pending : In(1)
        MURS (RS in V1 and 7ULP), EP, FUP.

    Raises
    ------
    ValueError
        If there is no such layout.
    """

    bus: Any
    irq: Any
    arriving: Any
    promised: Any
    causes: Any
    reset: Any
    ring: Any
    take: Any
    transmit_empty: Any
    receive_full: Any
    request: Any
    request_done: Any
    pending_set: Any
    acknowledge: Any
    flags: Any
    far_flags: Any
    mur: Any
    mur_soon: Any
    mur_by_far: Any
    in_reset: Any
    event_pending: Any
    flags_pending: Any

    def __init__(self, layout: str, *, registered: bool = False, read_clocks: int = 0) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"The layout of a Messaging Unit must be one of {', '.join(LAYOUTS)}, not {layout!r}")
        self._split = layout == "imx8ulp"
        self._registered = registered
        decode = "decode" if registered else None
        self._registers = csr.Block(epbell_regs.load(f"mu_{layout}"), decode=decode, read_clocks=read_clocks)
        outputs = {f"{kind}_word{n}": Out(32) for kind in ("ring", "stored") for n in range(4)}
        words = outputs | {f"receive_word{n}": In(32) for n in range(4)}
        super().__init__(
            {
                "bus": In(self._registers.bus.signature.flip()),
                "irq": Out(1),
                **({"arriving": In(4), "promised": In(4), "mur_soon": Out(1), "causes": Out(2)} if registered else {}),
                "reset": In(1),
                "ring": Out(4),
                "take": Out(4),
                "transmit_empty": In(4),
                "receive_full": In(4),
                "request": Out(4),
                "request_done": In(4),
                "pending_set": In(4),
                "acknowledge": Out(4),
                "flags": Out(3),
                "far_flags": In(3),
                "mur": Out(1),
                "mur_by_far": In(1),
                "in_reset": In(1),
                "event_pending": In(1),
                "flags_pending": In(1),
                **words,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the fields of the layout."""
        m: Any = Module()
        registers: Any = ResetInserter(self.reset)(self._registers)
        # Outside of the ResetInserter: it does not clear what is in the other domain.
        m.submodules.registers = DomainRenamer({"decode": "sync"})(registers) if self._registered else registers
        wiring.connect(m, wiring.flipped(self.bus), self._registers.bus)
        self._connect_words(m)
        m.d.comb += [
            self._vector("TE").eq(self.transmit_empty),
            self._vector("RF").eq(self.receive_full),
            self.request.eq(self._vector("GIR", "set_strobe")),
            self._vector("GIR", "clear").eq(self.request_done),
            self._vector("GIP", "set").eq(self.pending_set),
            self.acknowledge.eq(self._vector("GIP", "clear_strobe")),
            self.flags.eq(self._vector("F out", prefix="F")),
            self._vector("F in", prefix="F").eq(self.far_flags),
            self.mur.eq(self._field("MUR").set_strobe),
            self._field("MUR").clear.eq(1),
            self._field("EP").value.eq(self.event_pending),
            self._field("FUP").value.eq(self.flags_pending),
        ]
        waiting = self.receive_full
        if self._registered:
            waiting = waiting | self.promised | (self.arriving & ~self.reset.replicate(4))
            register = (_SPLIT if self._split else _SHARED)["MUR"]
            m.d.comb += self.mur_soon.eq(self._registers.coming(m, register, "MUR"))
        interrupts = [
            waiting & self._vector("RIE"),
            self.transmit_empty & self._vector("TIE"),
            self._vector("GIP") & self._vector("GIE"),
        ]
        if self._split:
            interrupts.append(self._connect_status(m))
        else:
            m.d.comb += self._field("RS").value.eq(self.in_reset)
        causes: Any = Cat(*interrupts)
        m.d.comb += self.irq.eq(causes.any())
        if self._registered:
            words, *others = (some.any() for some in interrupts)
            m.d.comb += self.causes.eq(Cat(words, any_of(others)))
        return m

    def _connect_words(self, m: Any) -> None:
        for n in range(4):
            transmit, receive = self._registers.field(f"TR{n}", "DATA"), self._registers.field(f"RR{n}", "DATA")
            m.d.comb += [
                self.ring[n].eq(transmit.w_stb),
                getattr(self, f"ring_word{n}").eq(transmit.value),
                getattr(self, f"stored_word{n}").eq(transmit.value),
                receive.value.eq(getattr(self, f"receive_word{n}")),
                self.take[n].eq(receive.r_stb),
            ]
            with m.If(transmit.w_stb):
                m.d.comb += getattr(self, f"ring_word{n}").eq(transmit.w_data)

    def _connect_status(self, m: Any) -> Any:
        """Drive V2's SR; return the interrupt that is only there."""
        field = self._registers.field
        m.d.comb += [
            field("SR", "MURS").value.eq(self.in_reset),
            field("SR", "MURIP").set.eq(self.mur_by_far),
            # The documents disagree about the next three; docs/mu.md has the choice. No Linux driver reads them.
            field("SR", "GIRP").value.eq(self._vector("GIP").any()),
            field("SR", "TEP").value.eq((self.transmit_empty & self._vector("TIE")).any()),
            field("SR", "RFP").value.eq(self.receive_full.any()),
        ]
        return field("SR", "MURIP").value & field("CR", "MURIE").value

    def _field(self, name: str) -> Any:
        return self._registers.field((_SPLIT if self._split else _SHARED)[name], name)

    def _vector(self, group: str, member: str = "value", *, prefix: str | None = None) -> Any:
        register = (_SPLIT if self._split else _SHARED)[group]
        return self._registers.vector(register, prefix or group, member)
