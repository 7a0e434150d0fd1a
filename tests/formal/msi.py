"""Proofs of what sends interrupts to the host: the hand-over of MSI-X messages to the hard block."""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In

from epbell.msix_sender import MsixSender
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Clocks; the endpoint has 65536, which only makes the count longer.
_PATIENCE = 3


class _Sender(Bench):
    """Each message is handed over once and has one answer."""

    def __init__(self) -> None:
        super().__init__(
            {
                **{name: In(1) for name in ("valid", "sent", "fail")},
                **{name: In(4) for name in ("enable", "mask")},
                "address": In(64),
                "data": In(32),
            }
        )

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = MsixSender(_PATIENCE)
        hard: Any = dut.hard
        m.d.comb += [
            *(getattr(hard, name).eq(getattr(self, name)) for name in ("enable", "mask", "sent", "fail")),
            dut.i_valid.eq(self.valid),
            dut.i_address.eq(self.address),
            dut.i_data.eq(self.data),
        ]
        takes, ends = self.valid & dut.i_ready, dut.i_sent | dut.i_failed
        owed: Any = Signal(name="owed")
        off: Any = Signal(name="off")
        waited: Any = Signal(range(_PATIENCE + 1), name="waited")
        m.d.sync += [
            owed.eq(owed & ~ends | takes),
            off.eq(owed & (off | ~self.enable[0])),
            waited.eq(Mux(owed & ~ends & (off | ~self.enable[0]), waited + 1, 0)),
        ]
        message = Cat(hard.address, hard.data)
        checks.invariant("an answer is awaited from the message on", dut.idle == ~owed)
        took = checks.past(takes, "took")
        taken = checks.past(Cat(self.address, self.data), "taken")
        held = checks.past(message, "held")
        checks.forward(
            "a message is asked for in the next clock, as it was given", ~took | hard.int & (message == taken)
        )
        checks.backward("nothing else is asked for", ~hard.int | took)
        checks.forward(
            "address and data stay until the next message",
            took | (message == held) | ~checks.past(Const(1, 1), "begun"),
        )
        checks.backward("one message at a time", ~(takes & owed))
        checks.forward("a message is taken when none is owed", owed | dut.i_ready)
        checks.forward("the answer is passed on in its clock", ~(owed & self.sent) | dut.i_sent)
        checks.forward("a refusal is passed on in its clock", ~(owed & self.fail & ~self.sent) | dut.i_failed)
        checks.backward("each message has one answer, and nothing else has", ~ends | owed)
        checks.backward("an answer is one of both", ~(dut.i_sent & dut.i_failed))
        checks.backward("sent is what the hard block said", ~dut.i_sent | self.sent)
        checks.backward(
            "failed is what the hard block said, or MSI-X has been off for as long as is waited",
            ~dut.i_failed | self.fail | (waited == _PATIENCE - 1),
        )
        checks.forward("with MSI-X off, the wait has an end", waited < _PATIENCE)
        checks.cover("an answer is given up", dut.i_failed & ~self.fail)
        checks.cover(
            "a second message after the first was sent",
            took & checks.past(checks.past(dut.i_sent, "sent_ago"), "sent_before"),
        )


PROOFS = [
    Proof(
        "msi.handover.msix",
        "each MSI-X message is asked for once, as it was given, and has one answer within its patience",
        _Sender,
        depth=8,
        cover_depth=10,
    )
]
