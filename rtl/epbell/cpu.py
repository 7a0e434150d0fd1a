"""The endpoint CPU's way in: AXI4-Lite to everything in the address map."""

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from epbell import axil, ram, registers
from epbell.address_map import PAGE_BITS
from epbell.csr_register import any_of

__all__ = ["CpuPort"]

_OKAY, _DECERR = 0b00, 0b11


# One of these is on; `wait`: for its turn; `fetch`: data are on their way, or a write of a page takes effect.
_STATE = data.StructLayout(dict.fromkeys(("idle", "decode", "wait", "ask", "fetch", "answer"), 1))
_OUTSTANDING_BITS = 9  # as many reads as there are tags
_SETTLE = 3
"""Clocks between a write of a page and its answer, beside the one that any write takes: the next access, which comes
another three clocks later, then finds all in place that came of it, such as the room that is left for interrupts."""
_YOUNG = 7
"""Clocks for which a read of the aperture, from its decoding on, is waited for before an interrupt is raised."""


class CpuPort(wiring.Component):
    """AXI4-Lite subordinate that decodes the endpoint's address map.

    One write and one read are under way at a time, independently of each other. A write is answered after it has been
    done, a read with the data of the moment at which it was done: a master that waits for the answer of a write sees
    its effect in every read that it starts afterwards. Addresses outside the map are answered with DECERR and reach
    nothing. ``awprot`` and ``arprot`` make no difference.

    An access is asked for in the third clock after its handshake; a write is answered in the clock after it was done
    (of a page: four clocks after), a read in the clock after its data were there: `READ_CLOCKS` after it was done,
    those of the RAM (:mod:`epbell.ram`) or the pages (:mod:`epbell.registers`). Where there is nothing, an access is
    answered in the third clock after its handshake.

    The aperture is the way to the host. A write of it is done when it has been taken: it is posted. Reads of it go on
    before they are answered, a new one in the clock after the one before was taken; a read of anything else waits until
    they all are, since answers keep the order.

    Some writes may have to wait: those that raise interrupts, while there is no room for them. Such a write also lets a
    read of the aperture that came before it go first: until that is taken, or ten clocks after its handshake at the
    latest, in which it is taken if it is not held up, as by a read right before it.

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
    raises : mapping of int to int
        Addresses of registers that raise interrupts, and the bits of each that do when they are written 1; 0: any write
        does.

    Attributes
    ----------
    axil : In(axil.Signature(32))
        The CPU's bus.
    w_ram_valid, w_ram_ready, w_page_valid, w_page_ready : Out(1), In(1), Out(1), In(1)
        A write of the RAM or of a register page; ``valid``, a flip-flop, stays until ``ready``.
    w_pages, w_addr, w_data, w_strb : Out(len(pages)), Out(32), Out(32), Out(4)
        The write: page one-hot, address within the whole map. The page counts with a ``valid`` only.
    full : In(len(raises))
        There is no room for what the register raises. Looked at a clock before the write is asked for.
    r_ram_valid, r_ram_ready, r_page_valid, r_page_ready, r_pages, r_addr
        A read, in the same way.
    r_ram_data, r_page_data : In(32)
        Data of the RAM, of a page, as many clocks after ``ready`` as these take.
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
    full: Any
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
        raises: Mapping[int, int] | None = None,
    ) -> None:
        self._ram_base, self._ram_bits, self._pages = ram_base, exact_log2(ram_size), tuple(pages)
        self._aperture, self._aperture_bits = aperture, exact_log2(aperture_size)
        self._raises = dict(raises or {})
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
        members |= {"w_data": Out(32), "w_strb": Out(4), "full": In(len(self._raises))}
        members |= {"r_ram_data": In(32), "r_page_data": In(32)}
        members |= {"w_host_error": In(2), "d_valid": In(1), "d_ready": Out(1), "d_data": In(32), "d_error": In(2)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the two directions."""
        m: Any = Module()
        self._read_first: Any = Signal()  # a read of the aperture is on its way to being taken
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Any) -> None:
        bus = self.axil
        state: Any = Signal(_STATE, name="w_state", init={"idle": 1})
        ram_: Any = Signal(name="w_ram")
        host: Any = Signal(name="w_host")
        raises: Any = Signal(max(1, len(self._raises)), name="w_raises")
        settling: Any = Signal(_SETTLE - 1, name="w_settling")
        nowhere: Any = Signal(name="w_nowhere")
        take: Any = Signal(name="w_take")
        goes: Any = Signal(name="w_goes")
        done: Any = Signal(name="w_done")  # in the clock before, and of no page
        m.d.comb += [
            take.eq(state.idle & bus.awvalid & bus.wvalid),
            bus.awready.eq(take),
            bus.wready.eq(take),
            bus.bvalid.eq(state.answer | done),
            nowhere.eq(~ram_ & ~host & ~self.w_pages.any()),
            goes.eq(state.wait & ~(raises & self.full).any() & ~(raises.any() & self._read_first)),
            done.eq(state.ask & ((ram_ & ~self.w_ram_valid) | (host & ~self.w_host_valid))),
        ]
        with m.If(state.idle):
            m.d.sync += [self.w_addr.eq(bus.awaddr), self.w_data.eq(bus.wdata), self.w_strb.eq(bus.wstrb)]
        self._decode(m, self.w_addr, ram_, self.w_pages, host)
        for bit, (address, mask) in zip(raises, self._raises.items(), strict=False):
            ones = [self.w_strb[n // 8] & self.w_data[n] for n in range(32) if mask >> n & 1]
            m.d.sync += bit.eq((self.w_addr[2:] == address >> 2) & (any_of(ones) if ones else 1))
        self._ask(m, "w", goes, ram_, self.w_pages, host)
        taken = state.ask & ~done & self._asked_before("w")
        settled = state.fetch & settling[0]
        m.d.sync += [
            state.idle.eq((state.idle & ~take) | ((done | state.answer) & bus.bready)),
            state.decode.eq(take),
            state.wait.eq(state.decode | (state.wait & ~goes)),
            state.ask.eq((goes & ~nowhere) | (state.ask & ~done & ~taken)),
            state.fetch.eq(taken | (state.fetch & ~settled)),
            state.answer.eq((goes & nowhere) | settled | ((done | state.answer) & ~bus.bready)),
            settling.eq(Mux(state.fetch, settling >> 1, 1 << _SETTLE - 2)),
        ]
        with m.If(self.w_host_valid):
            m.d.sync += bus.bresp.eq(self.w_host_error)
        with m.Elif(~host):
            m.d.sync += bus.bresp.eq(Mux(nowhere, _DECERR, _OKAY))

    def _read(self, m: Any) -> None:
        bus = self.axil
        state: Any = Signal(_STATE, name="r_state", init={"idle": 1})
        ram_: Any = Signal(name="r_ram")
        host: Any = Signal(name="r_host")
        outstanding: Any = Signal(_OUTSTANDING_BITS)  # reads of the aperture
        word: Any = Signal(data.StructLayout({"ram": 32, "page": 32}))  # from one of them, from the other zero
        error: Any = Signal(2)
        due: Any = Signal(max(ram.READ_CLOCKS, registers.READ_CLOCKS) - 1)  # bit 0: the data are there
        young: Any = Signal(range(_YOUNG + 1))
        nowhere: Any = Signal(name="r_nowhere")
        goes: Any = Signal(name="r_goes")
        done: Any = Signal(name="r_done")  # in the clock before, and of the aperture
        idle: Any = Signal(name="r_idle")
        answered_all: Any = Signal(init=1)  # those of the aperture; of account in the state `wait`
        answer = state.answer
        m.d.comb += [
            nowhere.eq(~ram_ & ~host & ~self.r_pages.any()),
            goes.eq(state.wait & (host | answered_all)),
            done.eq(state.ask & host & ~self.r_host_valid),
            idle.eq(state.idle | done),
            bus.arready.eq(idle),
            bus.rvalid.eq(answer | self.d_valid),
            bus.rdata.eq(Mux(answer, word.ram | word.page, self.d_data)),
            bus.rresp.eq(Mux(answer, error, self.d_error)),
            self.d_ready.eq(bus.rready & ~answer),
        ]
        m.d.sync += [
            young.eq(Mux(state.decode, _YOUNG, young - young.any())),
            self._read_first.eq(state.decode | (young.any() & host & ~idle)),
        ]
        answered = self.d_valid & self.d_ready
        m.d.sync += answered_all.eq(~outstanding[1:].any() & (~outstanding[0] | answered))
        with m.If(done & ~answered):
            m.d.sync += outstanding.eq(outstanding + 1)
        with m.Elif(answered & ~done):
            m.d.sync += outstanding.eq(outstanding - 1)
        with m.If(idle):
            m.d.sync += self.r_addr.eq(bus.araddr)
        self._decode(m, self.r_addr, ram_, self.r_pages, host)
        self._ask(m, "r", goes, ram_, self.r_pages, host)
        taken = state.ask & ~done & self._asked_before("r")
        there = state.fetch & due[0]
        m.d.sync += [
            state.idle.eq((idle & ~bus.arvalid) | (state.answer & bus.rready)),
            state.decode.eq(idle & bus.arvalid),
            state.wait.eq(state.decode | (state.wait & ~goes)),
            state.ask.eq((goes & ~nowhere) | (state.ask & ~done & ~taken)),
            state.fetch.eq(taken | (state.fetch & ~there)),
            state.answer.eq((goes & nowhere) | there | (state.answer & ~bus.rready)),
            due.eq(Mux(state.fetch, due >> 1, Mux(ram_, 1 << ram.READ_CLOCKS - 2, 1 << registers.READ_CLOCKS - 2))),
        ]
        with m.If(state.wait):
            m.d.sync += [word.eq(0), error.eq(_DECERR)]
        with m.If(state.fetch):
            m.d.sync += [
                word.ram.eq(self.r_ram_data & ram_.replicate(32)),
                word.page.eq(self.r_page_data & (~ram_).replicate(32)),
                error.eq(_OKAY),
            ]

    def _decode(self, m: Any, address: Any, ram_: Any, pages: Any, host: Any) -> None:
        """Find out where it is, a clock behind the address, which stays until the access is over."""
        m.d.sync += [
            ram_.eq(address[self._ram_bits :] == self._ram_base >> self._ram_bits),
            host.eq(address[self._aperture_bits :] == self._aperture >> self._aperture_bits),
        ]
        for index, base in enumerate(self._pages):
            m.d.sync += pages[index].eq(address[PAGE_BITS:] == base >> PAGE_BITS)

    def _ask(self, m: Any, way: str, goes: Any, ram_: Any, pages: Any, host: Any) -> None:
        """Ask whom the access is for, until that is ready."""
        for name, wanted in (("ram", ram_), ("page", pages.any()), ("host", host)):
            valid, ready = getattr(self, f"{way}_{name}_valid"), getattr(self, f"{way}_{name}_ready")
            m.d.sync += valid.eq((goes & wanted) | (valid & ~ready))

    def _asked_before(self, way: str) -> Any:
        """Nobody is asked any more: in the state `ask`, what was asked for was done in the clock before."""
        return ~any_of([getattr(self, f"{way}_{name}_valid") for name in ("ram", "page", "host")])
