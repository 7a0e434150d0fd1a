"""Base address registers as the host reads them, through the hard block's configuration management port (AMD PG213)."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "BARS",
    "ConfigReader",
    "HardConfig",
]

BARS = 6
"""Base address registers of a function."""

_BAR0 = 4  # dword of configuration space


class HardConfig(wiring.Signature):
    """``cfg_mgmt_*`` of the hard block, in the endpoint's view.

    Attributes
    ----------
    addr, function_number : Out(10), Out(8)
        Dword of configuration space, and whose.
    write, write_data, byte_enable : Out(1), Out(32), Out(4)
        Write it.
    read : Out(1)
        Read it; high, with ``addr`` as it is, until there is an answer.
    debug_access : Out(1)
        Write bits that are read-only.
    read_data, read_write_done : In(32), In(1)
        The answer, and that it is there.
    """

    def __init__(self) -> None:
        super().__init__({
            "addr": Out(10),
            "function_number": Out(8),
            "write": Out(1),
            "write_data": Out(32),
            "byte_enable": Out(4),
            "read": Out(1),
            "debug_access": Out(1),
            "read_data": In(32),
            "read_write_done": In(1),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HardConfig)

    def __hash__(self) -> int:
        return hash(HardConfig)

    def __repr__(self) -> str:
        return "config_reader.HardConfig()"


class ConfigReader(wiring.Component):
    """Keeps a copy of function 0's base address registers: reads one after the other, round after round.

    ``hard.read`` is low for a clock after each answer, and until ``read_write_done`` is low, so that no answer is taken
    for two. With a hard block that answers in the N-th clock after the first one of ``hard.read`` (0: in the same), a
    read takes N + 2 clocks and a round 6 * (N + 2). The copy follows a change of the register one round after the
    answer that just missed it: 7 * N + 12 clocks after the change at most, whenever in these N clocks the hard block
    looks. With `rest`, that many clocks later: after each round the port is left alone for so long.

    Without an answer the copy stays as it is, zero after a reset. The first answer after a reset is not used: it may be
    to a read from before the reset. Each register is read by itself: the halves of a 64-bit BAR are not of one time.
    Nothing is ever written.

    Parameters
    ----------
    rest : int
        Clocks between two rounds in which nothing is asked for.

    Attributes
    ----------
    hard : Out(HardConfig())
        The hard block's port.
    bars : Out(32).array(6)
        The copy, with the bits that say what kind of BAR it is; BAR 0 first.
    """

    hard: Any
    bars: Any

    def __init__(self, rest: int = 0) -> None:
        self._rest = rest
        super().__init__({"hard": Out(HardConfig()), "bars": Out(32).array(BARS)})

    def elaborate(self, platform: object) -> Module:
        """Ask, wait for the answer, go on to the next register."""
        m: Any = Module()
        hard, bars = self.hard, self.bars
        which: Any = Signal(range(BARS))
        turn: Any = Signal(BARS)  # the same, one-hot; zero until a read has been answered since the reset
        answered = turn.any()
        rests: Any = Signal(range(self._rest + 2))  # clocks for which nothing is asked for
        m.d.comb += hard.addr.eq(_BAR0 + which)
        with m.If(hard.read & hard.read_write_done):
            m.d.sync += [hard.read.eq(0), turn.eq(Mux(answered, turn.rotate_left(1), 1))]
            for bar, loads in zip(bars, turn, strict=True):
                with m.If(loads):
                    m.d.sync += bar.eq(hard.read_data)
            with m.If(answered):
                m.d.sync += which.eq(which + 1)
                with m.If(turn[-1]):
                    m.d.sync += [which.eq(0), rests.eq(self._rest)]
        with m.Elif(rests.any()):
            m.d.sync += rests.eq(rests - 1)
        with m.Elif(~hard.read & ~hard.read_write_done):
            m.d.sync += hard.read.eq(1)
        return m
