"""MSI-X messages through the hard block's port (AMD PG213, "MSI-X Interrupt External Interface")."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.patience import PATIENCE, Patience, check_answers

__all__ = [
    "HardMsix",
    "MsixSender",
]


class HardMsix(wiring.Signature):
    """``cfg_interrupt_msix_*`` of the hard block, in the endpoint's view; physical functions only.

    A block without ``sent`` and ``fail`` of its own answers with those of ``cfg_interrupt_msi_*``: they go to both.
    Function number, attributes and hints are those of ``cfg_interrupt_msi_*``.

    Attributes
    ----------
    enable, mask, sent, fail : In
        4, 4, 1 and 1 bits.
    address, data, int, vec_pending : Out
        64, 32, 1 and 2 bits. ``vec_pending`` belongs to the table inside the hard block and is zero.
    """

    def __init__(self) -> None:
        super().__init__({
            "enable": In(4),
            "mask": In(4),
            "sent": In(1),
            "fail": In(1),
            "address": Out(64),
            "data": Out(32),
            "int": Out(1),
            "vec_pending": Out(2),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HardMsix)

    def __hash__(self) -> int:
        return hash(HardMsix)

    def __repr__(self) -> str:
        return "msix_sender.HardMsix()"


class MsixSender(wiring.Component):
    """Hands the messages of :class:`epbell.msix.Msix` to the hard block, one at a time, for function 0.

    A message is on ``hard.address`` and ``hard.data`` from the clock after it is taken until the next one, and
    ``hard.int`` is high in the first of these clocks. Its answer is passed on in the clock in which it comes, and
    waited for as long as MSI-X stays enabled. Once it has been off, as after a reset of the function, the message has
    failed after `patience` clocks without an answer. An answer that comes while none is awaited is ignored.

    Parameters
    ----------
    patience : int
        Clocks that an answer is waited for once MSI-X has been off, 1 or more.

    Attributes
    ----------
    i_valid, i_ready, i_address, i_data, i_sent, i_failed : In(1), Out(1), In(64), In(32), Out(1), Out(1)
        The message and its answer.
    enabled, masked : Out(1)
        MSI-X Enable and Function Mask of function 0.
    idle : Out(1)
        No answer of the hard block is awaited.
    hard : Out(HardMsix())
        The hard block's port.

    Raises
    ------
    ValueError
        If `patience` is out of range.
    """

    i_valid: Any
    i_ready: Any
    i_address: Any
    i_data: Any
    i_sent: Any
    i_failed: Any
    enabled: Any
    masked: Any
    idle: Any
    hard: Any

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = check_answers(patience)
        super().__init__({
            "i_valid": In(1),
            "i_ready": Out(1),
            "i_address": In(64),
            "i_data": In(32),
            "i_sent": Out(1),
            "i_failed": Out(1),
            "enabled": Out(1),
            "masked": Out(1),
            "idle": Out(1),
            "hard": Out(HardMsix()),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the message, and wait for the answer."""
        m: Any = Module()
        asked: Any = Signal()
        doubt: Any = Signal()  # MSI-X has been off since
        m.submodules.patience = patience = Patience(self._patience)
        takes = self.i_valid & self.i_ready
        m.d.comb += [
            self.enabled.eq(self.hard.enable[0]),
            self.masked.eq(self.hard.mask[0]),
            self.idle.eq(~asked),
            self.i_ready.eq(~asked),
            self.i_sent.eq(asked & self.hard.sent),
            patience.waits.eq(asked & (doubt | ~self.enabled)),
            self.i_failed.eq(asked & ~self.hard.sent & (self.hard.fail | patience.over)),
        ]
        m.d.sync += [self.hard.int.eq(takes), doubt.eq(asked & (doubt | ~self.enabled))]
        with m.If(takes):
            m.d.sync += [self.hard.address.eq(self.i_address), self.hard.data.eq(self.i_data), asked.eq(1)]
        with m.Elif(self.i_sent | self.i_failed):
            m.d.sync += asked.eq(0)
        return m
