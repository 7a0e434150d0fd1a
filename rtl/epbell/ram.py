"""RAM behind the BARs: one beat of the PCIe stream per clock, at any dword."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.share import Share, check_patience

__all__ = ["READ_CLOCKS", "Ram"]

READ_CLOCKS = 6
"""Clocks from the handshake of a read to its data."""

_PART = 4  # bits of a row's number that are compared at a time


class Ram(wiring.Component):
    """Dword-interleaved banks with one write port and one read port, each shared by the host and the CPU.

    Dword *a* is in row *a / lanes* of bank *a mod lanes*, so that any `lanes` consecutive dwords are in different banks
    and are written, or read, in one clock. Addresses wrap at the end of the RAM. The handshakes are the order: a read
    sees the writes of which the handshake was in an earlier clock, and no others. What comes behind them never stands:
    the read data are there `READ_CLOCKS` clocks after the handshake, and only then. Writing and reading are
    independent; each port is arbitrated as :class:`Share` says. The contents are zero at power-up and survive a reset,
    and what has been granted is done, reset or not.

    In clock 0, that of the handshake, a master is chosen; in clock 1 the banks' rows are computed, and a write is
    turned to its banks; in clock 2 the banks are read, in 3 they are written. What is read goes from the block RAM into
    its own output register in clock 3, is replaced by what was just being written in clock 4 if it has to be, is turned
    back in clocks 4 and 5, and is there in clock 6.

    Parameters
    ----------
    lanes : int
        Dwords per beat: a power of two, 2 to 16.
    size : int
        Bytes: a power of two, ``8 * lanes`` or more.
    patience : int
        Clocks that the CPU waits at most for a port, 1 or more.

    Attributes
    ----------
    host_w_valid, host_w_ready, host_w_addr, host_w_data, host_w_strb
        Write of the host: dword address of lane 0, `lanes` dwords, four byte strobes for each. ``host_w_ready`` depends
        on flip-flops only.
    host_r_valid, host_r_ready, host_r_addr
        Read of the host: dword address of lane 0.
    host_w_next, host_r_next : Out(1)
        ``host_w_ready`` and ``host_r_ready`` of the next clock.
    cpu_w_valid, cpu_w_ready, cpu_w_addr, cpu_w_data, cpu_w_strb
        Write of the CPU, one dword. Hold ``valid`` until ``ready``.
    cpu_r_valid, cpu_r_ready, cpu_r_addr
        Read of the CPU, one dword. Hold ``valid`` until ``ready``.
    r_data : Out
        `lanes` dwords from the address of the read `READ_CLOCKS` clocks ago; the CPU's dword is in lane 0.

    Raises
    ------
    ValueError
        If a parameter is none of those.
    """

    host_w_valid: Any
    host_w_ready: Any
    host_w_addr: Any
    host_w_data: Any
    host_w_strb: Any
    host_r_valid: Any
    host_r_ready: Any
    host_r_addr: Any
    host_w_next: Any
    host_r_next: Any
    cpu_w_valid: Any
    cpu_w_ready: Any
    cpu_w_addr: Any
    cpu_w_data: Any
    cpu_w_strb: Any
    cpu_r_valid: Any
    cpu_r_ready: Any
    cpu_r_addr: Any
    r_data: Any

    def __init__(self, lanes: int, size: int, *, patience: int = 8) -> None:
        if lanes not in (2, 4, 8, 16):
            raise ValueError(f"The number of lanes of the RAM must be 2, 4, 8 or 16, not {lanes!r}")
        if not isinstance(size, int) or size < 8 * lanes or size & (size - 1):
            raise ValueError(f"The size of the RAM must be a power of two of at least {8 * lanes} bytes, not {size!r}")
        self._lanes, self._size, self._patience = lanes, size, check_patience(patience)
        address = exact_log2(size // 4)
        super().__init__({
            "host_w_valid": In(1),
            "host_w_ready": Out(1),
            "host_w_addr": In(address),
            "host_w_data": In(data.ArrayLayout(32, lanes)),
            "host_w_strb": In(data.ArrayLayout(4, lanes)),
            "host_r_valid": In(1),
            "host_r_ready": Out(1),
            "host_r_addr": In(address),
            "host_w_next": Out(1),
            "host_r_next": Out(1),
            "cpu_w_valid": In(1),
            "cpu_w_ready": Out(1),
            "cpu_w_addr": In(address),
            "cpu_w_data": In(32),
            "cpu_w_strb": In(4),
            "cpu_r_valid": In(1),
            "cpu_r_ready": Out(1),
            "cpu_r_addr": In(address),
            "r_data": Out(data.ArrayLayout(32, lanes)),
        })

    def elaborate(self, platform: object) -> Module:
        """Build the banks, with a rotator and registers on either side of them."""
        m: Any = Module()
        words, strobes, w_rows = self._write_side(m)
        r_rows, back = self._read_side(m)
        shown = []
        for index, rows in enumerate(zip(w_rows, r_rows, strict=True)):
            word, strobe = words.word_select(index, 32), strobes.word_select(index, 4)
            shown.append(self._bank(m, index, word, strobe, *rows))
        # By half of the lanes, or not, in the clock before: each clock has half of the multiplexers.
        half = _rotate_up(m, Cat(*shown), back[-1:], 16 * self._lanes, "r_half")
        r_data: Any = _later(m, half, 1, "r_half_turned")
        if self._lanes > 2:
            r_data = _rotate_up(m, r_data, _later(m, back[:-1], 1, "r_rest"), 32, "r_data")
        m.d.comb += self.r_data.as_value().eq(_later(m, r_data, 1, "r_data_turned"))
        return m

    def _bank(self, m: Any, index: int, word: Any, strobe: Any, w_row: Any, r_row: Any) -> Any:
        """Build a bank; return the dword of the read that was asked of it two clocks ago.

        In a clock with a write and a read of one row the bank gives anything for the bytes that are written. This read
        comes after the write, and gets these bytes from beside the bank.
        """
        memory = Memory(shape=32, depth=self._size // 4 // self._lanes, init=[], attrs={"no_rw_check": 1})
        m.submodules[f"bank{index}"] = memory
        write: Any = memory.write_port(granularity=8)
        read: Any = memory.read_port()
        kept: Any = _later(m, read.data, 1, f"bank{index}_kept")
        # The two rows are one if all parts of them are; these are put together a clock later.
        parts = range(0, len(w_row), _PART)
        met: Any = _later(m, Cat(w_row[n : n + _PART] == r_row[n : n + _PART] for n in parts), 1, f"bank{index}_met")
        beside: Any = _later(m, word, 2, f"bank{index}_beside")
        written: Any = _later(m, strobe, 1, f"bank{index}_strb") & met.all().replicate(4)
        newer: Any = _later(m, written, 1, f"bank{index}_newer")
        m.d.comb += [
            write.addr.eq(w_row),
            write.data.eq(word),
            write.en.eq(strobe),
            read.addr.eq(r_row),
            read.en.eq(1),
        ]
        return Cat(Mux(newer[n], beside.word_select(n, 8), kept.word_select(n, 8)) for n in range(4))

    def _rows(self, m: Any, address: Any, name: str, clocks: int) -> list[Any]:
        """Row of each bank, so many clocks later: the next one for the banks below the first dword's."""
        shift = exact_log2(self._lanes)
        row, lane = address[shift:], address[:shift]
        below: Any = Cat(lane > bank for bank in range(self._lanes - 1))
        then: Any = (row + 1)[: len(row)]
        row, then, below = (_later(m, value, clocks - 1, f"{name}_rows") for value in (row, then, below))
        chosen = [*(Mux(lower, then, row) for lower in below), row]
        return [_later(m, value, 1, f"{name}_row{bank}") for bank, value in enumerate(chosen)]

    def _write_side(self, m: Any) -> tuple[Any, Any, list[Any]]:
        """Choose a master, turn its dwords to their banks, wait a clock; return words, strobes and rows for the banks.

        The wait is for a read that was granted in the same clock: it is to see what was there before.
        """
        m.submodules.w_share = share = Share(self._patience)
        shift = exact_log2(self._lanes)
        cpu = share.cpu_ready
        m.d.comb += [
            share.host_wants.eq(self.host_w_valid),
            share.cpu_wants.eq(self.cpu_w_valid),
            self.host_w_ready.eq(share.host_ready),
            self.host_w_next.eq(share.host_next),
            self.cpu_w_ready.eq(cpu),
        ]
        address: Any = _later(m, Mux(cpu, self.cpu_w_addr, self.host_w_addr), 1, "w_addr")
        strobes: Any = _later(m, Mux(cpu, self.cpu_w_strb, self.host_w_strb.as_value()), 1, "w_strb")
        written = _later(m, cpu | (self.host_w_valid & share.host_ready), 2, "w_there")
        low = Mux(cpu, self.cpu_w_data, self.host_w_data[0])
        words: Any = _later(m, Cat(low, self.host_w_data.as_value()[32:]), 1, "w_data")
        words = _rotate_up(m, words, address[:shift], 32, "w_data")
        strobes = _rotate_up(m, strobes, address[:shift], 4, "w_strb")
        strobes = _later(m, strobes, 1, "w_strb_turned") & written.replicate(len(strobes))
        rows = self._rows(m, address, "w", 2)
        return _later(m, words, 2, "w_data_turned"), _later(m, strobes, 1, "w_strb_late"), rows

    def _read_side(self, m: Any) -> tuple[list[Any], Any]:
        """Choose a master; return rows for the banks, and two clocks later how far to turn the dwords."""
        m.submodules.r_share = share = Share(self._patience)
        shift = exact_log2(self._lanes)
        m.d.comb += [
            share.host_wants.eq(self.host_r_valid),
            share.cpu_wants.eq(self.cpu_r_valid),
            self.host_r_ready.eq(share.host_ready),
            self.host_r_next.eq(share.host_next),
            self.cpu_r_ready.eq(share.cpu_ready),
        ]
        address: Any = _later(m, Mux(share.cpu_ready, self.cpu_r_addr, self.host_r_addr), 1, "r_addr")
        back = _later(m, (Const(0, shift) - address[:shift])[:shift], 3, "r_back")
        return self._rows(m, address, "r", 1), back


def _later(m: Any, value: Any, clocks: int, name: str) -> Any:
    """Return what `value` was so many clocks ago; a reset of the endpoint does not stop it."""
    for stage in range(clocks):
        after: Any = Signal(len(Value.cast(value)), name=f"{name}{stage or ''}", reset_less=True)
        m.d.sync += after.eq(value)
        value = after
    return value


def _rotate_up(m: Any, value: Any, amount: Any, unit: int, name: str) -> Any:
    """Move unit i of `value` to unit i + amount, around the end; one layer of multiplexers for each bit of amount."""
    for bit in range(len(amount)):
        layer: Any = Signal(len(value), name=f"{name}_layer{bit}")
        m.d.comb += layer.eq(Mux(amount[bit], value.rotate_left(unit << bit), value))
        value = layer
    return value
