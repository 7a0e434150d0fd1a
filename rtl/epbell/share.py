"""Two masters at one port: the host goes first, the endpoint's CPU waits a bounded time."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "Share",
    "check_patience",
]


def check_patience(patience: int) -> int:
    """Return `patience` if it is a number of clocks that a CPU can wait.

    Raises
    ------
    ValueError
        If it is less than 1.
    """
    if not isinstance(patience, int) or patience < 1:
        raise ValueError(f"The patience of the CPU must be 1 clock or more, not {patience!r}")
    return patience


class Share(wiring.Component):
    """Arbiter of one port between the host and the CPU.

    The host has the port whenever it wants it, unless the CPU has been asking for `patience` clocks: then one clock
    belongs to the CPU. That is so even if the CPU may in the last of them, since it is known without looking at the
    host; the host then waits a clock for nobody.

    Parameters
    ----------
    patience : int
        Clocks that a request of the CPU waits at most before it is granted, 1 or more.

    Attributes
    ----------
    host_wants : In(1)
        The host would use the port in this cycle.
    host_ready : Out(1)
        The host may. A flip-flop.
    host_next : Out(1)
        The host may in the next clock. Depends on ``cpu_wants``, ``hold`` and flip-flops only.
    cpu_wants : In(1)
        The CPU would use the port in this cycle, and keeps asking until it may.
    cpu_ready : Out(1)
        The CPU may.
    hold : In(1)
        The CPU may not, whoever else uses the port. In the first clock of this nobody may, if it was to be the CPU's;
        from the second one on the port is the host's alone. The clocks count as waiting: the CPU's clock is the second
        one behind this at the latest.

    Raises
    ------
    ValueError
        If `patience` is less than 1.
    """

    host_wants: Any
    host_ready: Any
    host_next: Any
    cpu_wants: Any
    cpu_ready: Any
    hold: Any

    def __init__(self, patience: int = 8) -> None:
        self._patience = check_patience(patience)
        super().__init__({
            "host_wants": In(1),
            "host_ready": Out(1),
            "host_next": Out(1),
            "cpu_wants": In(1),
            "cpu_ready": Out(1),
            "hold": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Count the clocks that the CPU waits."""
        m: Any = Module()
        turn: Any = Signal()
        waited: Any = Signal(range(self._patience))
        enough = waited == self._patience - 1
        comes: Any = Signal()  # its turn
        m.d.comb += [
            comes.eq(self.cpu_wants & enough & ~turn & ~self.hold),
            self.host_next.eq(~comes),
            self.host_ready.eq(~turn),
            self.cpu_ready.eq(self.cpu_wants & ~self.hold & (turn | ~self.host_wants)),
        ]
        m.d.sync += turn.eq(comes)
        with m.If(~self.cpu_wants | (turn & ~self.hold)):
            m.d.sync += waited.eq(0)
        with m.Elif(~enough):
            m.d.sync += waited.eq(waited + 1)
        return m
