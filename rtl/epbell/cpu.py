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


_OUTSTANDING_BITS = 9  # as many reads as there are tags


class CpuPort(wiring.Component):
    """AXI4-Lite subordinate that decodes the endpoint's address map.

    One write and one read are under way at a time, independently of each other. A write is answered after it has been
    done, a read with the data of the moment at which it was done: a master that waits for the answer of a write sees
    its effect in every read that it starts afterwards. Addresses outside the map are answered with DECERR and reach
    nothing. ``awprot`` and ``arprot`` make no difference.

    Alone at its target, an access is done in the clock after its handshake and answered in the one after that (two for
    a read of the RAM).

    The aperture is the way to the host. A write of it is done when it has been taken: it is posted. Reads of it go on
    before they are answered, a new one every other clock; a read of anything else waits until they all are, since
    answers keep the order.

    Parameters
    ----------
    ram_base, ram_size : int
        Address and size of the RAM in bytes; the size is a power of two and divides the address.
    pages : sequence of int
        Addresses of the register pages, 64 KiB each.
    aperture : int
        Address of the aperture.
    aperture_size : int
        Size of the aperture in bytes; a power of two that divides the address.

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
    w_host_valid, w_host_ready, w_host_error : Out(1), In(1), In(2)
        A write of the aperture, and the response to it in the same clock as ``ready``.
    r_host_valid, r_host_ready : Out(1), In(1)
        A read of the aperture.
    d_valid, d_ready, d_data, d_error : In(1), Out(1), In(32), In(2)
        Answers to the reads of the aperture, in their order: data and response.
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
    w_host_valid: Any
    w_host_ready: Any
    w_host_error: Any
    r_host_valid: Any
    r_host_ready: Any
    d_valid: Any
    d_ready: Any
    d_data: Any
    d_error: Any

    def __init__(
        self,
        *,
        ram_base: int,
        ram_size: int,
        pages: Sequence[int],
        aperture: int = 0x7000_0000,
        aperture_size: int = 256 << 20,
    ) -> None:
        self._ram_base, self._ram_bits, self._pages = ram_base, exact_log2(ram_size), tuple(pages)
        self._aperture, self._aperture_bits = aperture, exact_log2(aperture_size)
        members: dict[str, Any] = {"axil": In(axil.Signature(32))}
        for way in ("w", "r"):
            members |= {
                f"{way}_ram_valid": Out(1),
                f"{way}_ram_ready": In(1),
                f"{way}_page_valid": Out(1),
                f"{way}_page_ready": In(1),
                f"{way}_host_valid": Out(1),
                f"{way}_host_ready": In(1),
                f"{way}_pages": Out(len(self._pages)),
                f"{way}_addr": Out(32),
            }
        members |= {"w_data": Out(32), "w_strb": Out(4), "r_ram_data": In(32), "r_page_data": In(32)}
        members |= {"w_host_error": In(2), "d_valid": In(1), "d_ready": Out(1), "d_data": In(32), "d_error": In(2)}
        super().__init__(members)

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
        host: Any = Signal(name="w_host")
        done = self.w_ram_ready | self.w_page_ready
        nowhere = ~ram & ~host & ~self.w_pages.any()
        take: Any = Signal(name="w_take")
        m.d.comb += [
            take.eq((state == _State.IDLE) & bus.awvalid & bus.wvalid),
            bus.awready.eq(take),
            bus.wready.eq(take),
            bus.bvalid.eq(state == _State.ANSWER),
            self.w_ram_valid.eq((state == _State.ASK) & ram),
            self.w_page_valid.eq((state == _State.ASK) & self.w_pages.any()),
            self.w_host_valid.eq((state == _State.ASK) & host),
        ]
        with m.If(take):
            self._decode(m, bus.awaddr, ram, self.w_pages, host)
            m.d.sync += [
                self.w_addr.eq(bus.awaddr),
                self.w_data.eq(bus.wdata),
                self.w_strb.eq(bus.wstrb),
                state.eq(_State.ASK),
            ]
        with m.If((state == _State.ASK) & (done | nowhere | (host & self.w_host_ready))):
            m.d.sync += [
                bus.bresp.eq(Mux(nowhere, _DECERR, Mux(host, self.w_host_error, _OKAY))),
                state.eq(_State.ANSWER),
            ]
        with m.If((state == _State.ANSWER) & bus.bready):
            m.d.sync += state.eq(_State.IDLE)

    def _read(self, m: Any) -> None:
        bus = self.axil
        state: Any = Signal(_State, name="r_state")
        ram: Any = Signal(name="r_ram")
        host: Any = Signal(name="r_host")
        outstanding: Any = Signal(_OUTSTANDING_BITS)  # reads of the aperture
        turn: Any = Signal(name="r_turn")  # of a read of anything else
        data: Any = Signal(32)
        nowhere = ~ram & ~host & ~self.r_pages.any()
        answer = state == _State.ANSWER
        m.d.comb += [
            turn.eq((state == _State.ASK) & ~outstanding.any()),
            bus.arready.eq(state == _State.IDLE),
            bus.rvalid.eq(answer | self.d_valid),
            bus.rdata.eq(Mux(answer, data, self.d_data)),
            bus.rresp.eq(Mux(answer, Mux(nowhere, _DECERR, _OKAY), self.d_error)),
            self.d_ready.eq(bus.rready & ~answer),
            self.r_ram_valid.eq(turn & ram),
            self.r_page_valid.eq(turn & self.r_pages.any()),
            self.r_host_valid.eq((state == _State.ASK) & host),
        ]
        asked = self.r_host_valid & self.r_host_ready
        m.d.sync += outstanding.eq(outstanding + asked - (self.d_valid & self.d_ready))
        with m.Switch(state):
            with m.Case(_State.IDLE), m.If(bus.arvalid):
                self._decode(m, bus.araddr, ram, self.r_pages, host)
                m.d.sync += [self.r_addr.eq(bus.araddr), state.eq(_State.ASK)]
            with m.Case(_State.ASK):
                with m.If(host & self.r_host_ready):
                    m.d.sync += state.eq(_State.IDLE)
                with m.Elif(self.r_page_ready | (turn & nowhere)):
                    m.d.sync += [data.eq(Mux(nowhere, 0, self.r_page_data)), state.eq(_State.ANSWER)]
                with m.Elif(self.r_ram_ready):
                    m.d.sync += state.eq(_State.FETCH)
            with m.Case(_State.FETCH):
                m.d.sync += [data.eq(self.r_ram_data), state.eq(_State.ANSWER)]
            with m.Case(_State.ANSWER), m.If(bus.rready):
                m.d.sync += state.eq(_State.IDLE)

    def _decode(self, m: Any, address: Any, ram: Any, pages: Any, host: Any) -> None:
        m.d.sync += [
            ram.eq(address[self._ram_bits :] == self._ram_base >> self._ram_bits),
            host.eq(address[self._aperture_bits :] == self._aperture >> self._aperture_bits),
        ]
        for index, base in enumerate(self._pages):
            m.d.sync += pages[index].eq(address[PAGE_BITS:] == base >> PAGE_BITS)
