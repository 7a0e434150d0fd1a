"""RAM behind the BARs: one beat of the PCIe stream per clock, at any dword."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell.share import Share, check_patience

__all__ = ["Ram"]


class Ram(wiring.Component):
    """Dword-interleaved banks with one write port and one read port, each shared by the host and the CPU.

    Dword *a* is in row *a / lanes* of bank *a mod lanes*, so that any `lanes` consecutive dwords are in different banks
    and are written, or read, in one clock. Addresses wrap at the end of the RAM. A write takes effect at the clock edge
    that ends its handshake; a read sees the writes of earlier cycles. The read data is there in the cycle
    after the handshake, and only then. Writing and reading are independent; each port is arbitrated as :class:`Share`
    says. The contents are zero at power-up and survive a reset.

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
    cpu_w_valid, cpu_w_ready, cpu_w_addr, cpu_w_data, cpu_w_strb
        Write of the CPU, one dword. Hold ``valid`` until ``ready``.
    cpu_r_valid, cpu_r_ready, cpu_r_addr
        Read of the CPU, one dword. Hold ``valid`` until ``ready``.
    r_data : Out
        `lanes` dwords from the address of the read in the cycle before; the CPU's dword is in lane 0.

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
        """Build the banks, and a rotator on either side of them."""
        m: Any = Module()
        self._write_side(m)
        self._read_side(m)
        for index in range(self._lanes):
            memory = Memory(shape=32, depth=self._size // 4 // self._lanes, init=[])
            m.submodules[f"bank{index}"] = memory
            write: Any = memory.write_port(granularity=8)
            read: Any = memory.read_port()
            m.d.comb += [
                write.addr.eq(self._row(m, self._w_addr, index, "w")),
                write.data.eq(self._w_data.word_select(index, 32)),
                write.en.eq(self._w_strb.word_select(index, 4)),
                read.addr.eq(self._row(m, self._r_addr, index, "r")),
                read.en.eq(self._r_en),
                self._banks.word_select(index, 32).eq(read.data),
            ]
        return m

    def _row(self, m: Any, address: Any, bank: int, name: str) -> Any:
        """Row of a bank: the next one for the banks below the first dword's."""
        shift = exact_log2(self._lanes)
        row: Any = Signal(len(address) - shift, name=f"{name}_row{bank}")
        next_row = address[:shift] > bank if bank < self._lanes - 1 else 0
        m.d.comb += row.eq(address[shift:] + next_row)
        return row

    def _write_side(self, m: Any) -> None:
        m.submodules.w_share = share = Share(self._patience)
        shift = exact_log2(self._lanes)
        cpu = share.cpu_ready
        address: Any = Signal(len(self.host_w_addr), name="w_addr")
        strobes: Any = Signal(4 * self._lanes, name="w_strb")
        words: Any = Signal(32 * self._lanes, name="w_data")
        host_strb = Mux(self.host_w_valid, self.host_w_strb.as_value(), 0)
        m.d.comb += [
            share.host_wants.eq(self.host_w_valid),
            share.cpu_wants.eq(self.cpu_w_valid),
            self.host_w_ready.eq(share.host_ready),
            self.cpu_w_ready.eq(cpu),
            address.eq(Mux(cpu, self.cpu_w_addr, self.host_w_addr)),
            strobes.eq(Mux(cpu, self.cpu_w_strb, host_strb)),
            words.eq(Cat(Mux(cpu, self.cpu_w_data, self.host_w_data[0]), self.host_w_data.as_value()[32:])),
        ]
        self._w_addr = address
        self._w_strb = _rotate_up(m, strobes, address[:shift], 4, "w_strb")
        self._w_data = _rotate_up(m, words, address[:shift], 32, "w_data")

    def _read_side(self, m: Any) -> None:
        m.submodules.r_share = share = Share(self._patience)
        shift = exact_log2(self._lanes)
        address: Any = Signal(len(self.host_r_addr), name="r_addr")
        first: Any = Signal(shift, name="r_first")
        self._r_en: Any = Signal(name="r_en")
        self._banks: Any = Signal(32 * self._lanes, name="banks")
        m.d.comb += [
            share.host_wants.eq(self.host_r_valid),
            share.cpu_wants.eq(self.cpu_r_valid),
            self.host_r_ready.eq(share.host_ready),
            self.cpu_r_ready.eq(share.cpu_ready),
            address.eq(Mux(share.cpu_ready, self.cpu_r_addr, self.host_r_addr)),
            self._r_en.eq(self.host_r_valid | self.cpu_r_valid),
        ]
        m.d.sync += first.eq(address[:shift])
        self._r_addr = address
        down = _rotate_up(m, self._banks, (Const(0, shift) - first)[:shift], 32, "r_data")
        m.d.comb += self.r_data.as_value().eq(down)


def _rotate_up(m: Any, value: Any, amount: Any, unit: int, name: str) -> Any:
    """Move unit i of `value` to unit i + amount, around the end; one layer of multiplexers for each bit of amount."""
    for bit in range(len(amount)):
        layer: Any = Signal(len(value), name=f"{name}_layer{bit}")
        m.d.comb += layer.eq(Mux(amount[bit], value.rotate_left(unit << bit), value))
        value = layer
    return value
