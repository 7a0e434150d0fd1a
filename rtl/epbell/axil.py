"""AXI4-Lite (AMBA AXI, ARM IHI 0022, chapter B1): the bus of the CPU and of the register pages."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import csr

__all__ = [
    "Bridge",
    "Signature",
]


class Signature(wiring.Signature):
    """An AXI4-Lite port in the manager's view.

    Parameters
    ----------
    addr_width : int
        Width of ``awaddr`` and ``araddr`` in bits, 3 to 64.
    data_width : int
        Width of the data in bits; 32 only.

    Attributes
    ----------
    awaddr, awprot, awvalid, awready : Out(addr_width), Out(3), Out(1), In(1)
        Write address.
    wdata, wstrb, wvalid, wready : Out(32), Out(4), Out(1), In(1)
        Write data.
    bresp, bvalid, bready : In(2), In(1), Out(1)
        Write response.
    araddr, arprot, arvalid, arready : Out(addr_width), Out(3), Out(1), In(1)
        Read address.
    rdata, rresp, rvalid, rready : In(32), In(2), In(1), Out(1)
        Read data and response.

    Raises
    ------
    ValueError
        If a width is outside its range.
    """

    def __init__(self, addr_width: int, data_width: int = 32) -> None:
        if not isinstance(addr_width, int) or not 3 <= addr_width <= 64:
            raise ValueError(f"The address width of an AXI4-Lite port must be 3 to 64 bits, not {addr_width!r}")
        if data_width != 32:
            raise ValueError(f"The data width of an AXI4-Lite port must be 32 bits, not {data_width!r}")
        self._addr_width = addr_width
        super().__init__(
            {
                "awaddr": Out(addr_width),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(data_width),
                "wstrb": Out(data_width // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(addr_width),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(data_width),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )

    @property
    def addr_width(self) -> int:
        """Width of the addresses in bits."""
        return self._addr_width

    @property
    def data_width(self) -> int:
        """Width of the data in bits."""
        return 32

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signature) and self.addr_width == other.addr_width

    def __hash__(self) -> int:
        return hash((Signature, self._addr_width))

    def __repr__(self) -> str:
        return f"axil.Signature(addr_width={self.addr_width}, data_width={self.data_width})"


class Bridge(wiring.Component):
    """AXI4-Lite subordinate in front of a register port.

    A write is accepted in a cycle in which both its address and its data are offered, in whatever order they came;
    ``bus.w_en`` is high in that very cycle and ``bvalid`` in the next one. A read is accepted with ``bus.r_en`` in the
    same cycle and answered in the next one. One write and one read per clock are sustained while ``bready`` and
    ``rready`` are high; an answer that is not taken stays as it is and holds the next request back. Every answer is
    OKAY: what a page does not map reads as zero and ignores writes. ``awprot`` and ``arprot`` make no difference.

    With a registered port, ``bus.r_load`` is high in the cycle in which a read is accepted, ``bus.r_en`` in the next
    one, and the answer is there in the one after that; a read that is accepted behind an answer that waits is made when
    that is taken, so up to two are open. ``bvalid`` is still high in the cycle after the write, in which the write is
    made: an access that is accepted then, or later, is made behind it.

    ``awready`` and ``wready`` depend on the other channel's valid and on ``bready``, ``arready`` on ``rready``, within
    the cycle. No valid waits for a ready.

    Parameters
    ----------
    addr_width : int
        Width of the addresses in bits, 3 to 64.
    registered : bool
        Whether the register port decodes each access a cycle ahead.

    Attributes
    ----------
    axil : In(Signature(addr_width))
        The manager's bus.
    bus : Out(csr.Signature(addr_width, registered=registered))
        The register port.

    Raises
    ------
    ValueError
        If ``addr_width`` is outside its range.
    """

    axil: Any
    bus: Any

    def __init__(self, addr_width: int = 16, *, registered: bool = False) -> None:
        self._registered = registered
        self._asked: Any = Signal(name="asked")
        super().__init__(
            {
                "axil": In(Signature(addr_width)),
                "bus": Out(csr.Signature(addr_width, registered=registered)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build both directions."""
        m: Any = Module()
        axil, bus = self.axil, self.bus

        write = axil.awvalid & axil.wvalid & (~axil.bvalid | axil.bready)
        m.d.comb += [
            axil.awready.eq(write),
            axil.wready.eq(write),
            bus.w_en.eq(write),
            bus.w_addr.eq(axil.awaddr),
            bus.w_data.eq(axil.wdata),
            bus.w_strb.eq(axil.wstrb),
        ]
        m.d.sync += axil.bvalid.eq(write | (axil.bvalid & ~axil.bready))

        room = ~axil.rvalid | axil.rready
        if self._registered:
            self._elaborate_registered_reads(m, room)
            return m
        read = axil.arvalid & room
        m.d.comb += [
            axil.arready.eq(room),
            bus.r_en.eq(read),
            bus.r_addr.eq(axil.araddr),
        ]
        with m.If(room):
            m.d.sync += axil.rvalid.eq(axil.arvalid)
        with m.If(read):
            m.d.sync += axil.rdata.eq(bus.r_data)
        return m

    def _elaborate_registered_reads(self, m: Any, room: Any) -> None:
        axil, bus, asked = self.axil, self.bus, self._asked
        m.d.comb += [
            axil.arready.eq(~asked | room),
            # Without a request it loads what nobody asks for: so no valid is between the port and the flip-flops.
            bus.r_load.eq(axil.arready),
            bus.r_addr.eq(axil.araddr),
            bus.r_en.eq(asked & room),
        ]
        with m.If(axil.arready):
            m.d.sync += asked.eq(axil.arvalid)
        with m.If(room):
            m.d.sync += [axil.rvalid.eq(asked), axil.rdata.eq(bus.r_data)]
