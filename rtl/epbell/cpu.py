"""The endpoint CPU's way in: AXI4-Lite to everything in the address map."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell import axil
from epbell.address_map import PAGE_BITS

__all__ = ["CpuPort"]

_OKAY, _DECERR = 0b00, 0b11


class _State(enum.Enum):
    IDLE = 0
    ASK = 1  # decoded, waits for its turn
    FETCH = 2  # the RAM's data come in this cycle
    ANSWER = 3


class CpuPort(wiring.Component):
    """AXI4-Lite subordinate that decodes the endpoint's address map.

    One write and one read are under way at a time, independently of each other. A write is answered after it has been
    done, a read with the data of the moment at which it was done: a master that waits for the answer of a write sees
    its effect in every read that it starts afterwards. Addresses outside the map are answered with DECERR and reach
    nothing. ``awprot`` and ``arprot`` make no difference.

    Alone at its target, an access is done in the clock after its handshake and answered in the one after that (two for
    a read of the RAM).

    Parameters
    ----------
    ram_base, ram_size : int
        Address and size of the RAM in bytes; the size is a power of two and divides the address.
    pages : sequence of int
        Addresses of the register pages, 64 KiB each.

    Attributes
    ----------
    axil : In(axil.Signature(32))
        The CPU's bus.
    w_ram_valid, w_ram_ready, w_page_valid, w_page_ready : Out(1), In(1), Out(1), In(1)
        A write of the RAM or of a register page; ``valid`` stays until ``ready``.
    w_pages, w_addr, w_data, w_strb : Out(len(pages)), Out(32), Out(32), Out(4)
        The write: page one-hot, address within the whole map.
    r_ram_valid, r_ram_ready, r_page_valid, r_page_ready, r_pages, r_addr
        A read, in the same way.
    r_ram_data, r_page_data : In(32)
        Data of the RAM, in the cycle after its ``ready``; of a page, in the same cycle.
    """

    axil: Any
    w_ram_valid: Any
    w_ram_ready: Any
    w_page_valid: Any
    w_page_ready: Any
    w_pages: Any
    w_addr: Any
    w_data: Any
    w_strb: Any
    r_ram_valid: Any
    r_ram_ready: Any
    r_page_valid: Any
    r_page_ready: Any
    r_pages: Any
    r_addr: Any
    r_ram_data: Any
    r_page_data: Any

    def __init__(self, *, ram_base: int, ram_size: int, pages: Sequence[int]) -> None:
        self._ram_base, self._ram_bits, self._pages = ram_base, exact_log2(ram_size), tuple(pages)
        members: dict[str, Any] = {"axil": In(axil.Signature(32))}
        for way in ("w", "r"):
            members |= {
                f"{way}_ram_valid": Out(1),
                f"{way}_ram_ready": In(1),
                f"{way}_page_valid": Out(1),
                f"{way}_page_ready": In(1),
                f"{way}_pages": Out(len(self._pages)),
                f"{way}_addr": Out(32),
            }
        super().__init__(
            members | {"w_data": Out(32), "w_strb": Out(4), "r_ram_data": In(32), "r_page_data": In(32)},
        )

    def elaborate(self, platform: object) -> Module:
        """Build the two directions."""
        m: Any = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Any) -> None:
        bus = self.axil
        state: Any = Signal(_State, name="w_state")
        ram: Any = Signal(name="w_ram")
        done = self.w_ram_ready | self.w_page_ready
        nowhere = ~ram & ~self.w_pages.any()
        take: Any = Signal(name="w_take")
        m.d.comb += [
            take.eq((state == _State.IDLE) & bus.awvalid & bus.wvalid),
            bus.awready.eq(take),
            bus.wready.eq(take),
            bus.bvalid.eq(state == _State.ANSWER),
            bus.bresp.eq(Mux(nowhere, _DECERR, _OKAY)),
            self.w_ram_valid.eq((state == _State.ASK) & ram),
            self.w_page_valid.eq((state == _State.ASK) & self.w_pages.any()),
        ]
        with m.If(take):
            self._decode(m, bus.awaddr, ram, self.w_pages)
            m.d.sync += [
                self.w_addr.eq(bus.awaddr),
                self.w_data.eq(bus.wdata),
                self.w_strb.eq(bus.wstrb),
                state.eq(_State.ASK),
            ]
        with m.If((state == _State.ASK) & (done | nowhere)):
            m.d.sync += state.eq(_State.ANSWER)
        with m.If((state == _State.ANSWER) & bus.bready):
            m.d.sync += state.eq(_State.IDLE)

    def _read(self, m: Any) -> None:
        bus = self.axil
        state: Any = Signal(_State, name="r_state")
        ram: Any = Signal(name="r_ram")
        nowhere = ~ram & ~self.r_pages.any()
        m.d.comb += [
            bus.arready.eq(state == _State.IDLE),
            bus.rvalid.eq(state == _State.ANSWER),
            bus.rresp.eq(Mux(nowhere, _DECERR, _OKAY)),
            self.r_ram_valid.eq((state == _State.ASK) & ram),
            self.r_page_valid.eq((state == _State.ASK) & self.r_pages.any()),
        ]
        with m.Switch(state):
            with m.Case(_State.IDLE), m.If(bus.arvalid):
                self._decode(m, bus.araddr, ram, self.r_pages)
                m.d.sync += [self.r_addr.eq(bus.araddr), state.eq(_State.ASK)]
            with m.Case(_State.ASK):
                with m.If(self.r_page_ready | nowhere):
                    m.d.sync += [bus.rdata.eq(Mux(nowhere, 0, self.r_page_data)), state.eq(_State.ANSWER)]
                with m.Elif(self.r_ram_ready):
                    m.d.sync += state.eq(_State.FETCH)
            with m.Case(_State.FETCH):
                m.d.sync += [bus.rdata.eq(self.r_ram_data), state.eq(_State.ANSWER)]
            with m.Case(_State.ANSWER), m.If(bus.rready):
                m.d.sync += state.eq(_State.IDLE)

    def _decode(self, m: Any, address: Any, ram: Any, pages: Any) -> None:
        m.d.sync += ram.eq(address[self._ram_bits :] == self._ram_base >> self._ram_bits)
        for index, base in enumerate(self._pages):
            m.d.sync += pages[index].eq(address[PAGE_BITS:] == base >> PAGE_BITS)
