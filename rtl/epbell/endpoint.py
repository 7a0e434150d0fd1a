"""The endpoint: a host that writes to a BAR interrupts the endpoint's CPU.

``PCIe hard block -> parser -> inbound windows -> target -> {RAM, Messaging Unit side B, eDMA doorbell words}``, and
back through the read engine; the CPU reaches everything over AXI4-Lite, and host memory through outbound windows.
docs/endpoint.md has the whole story.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Assert, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import epbell_regs
from epbell import axil
from epbell.address_map import AddressMap, HostPage
from epbell.bar import DEFAULT_BARS, Bar, FixedBar, check_bars
from epbell.config_reader import ConfigReader, HardConfig
from epbell.cpu import CpuPort
from epbell.csr_register import any_of
from epbell.edma import EdmaShape
from epbell.endpoint_parameters import check_types, check_values
from epbell.express import Express
from epbell.function import DEFAULT_FLR_TIMEOUT, Function
from epbell.inbound import Inbound
from epbell.interrupts import Interrupts
from epbell.intx import HardIntx
from epbell.msi import HardMsi
from epbell.msix_sender import HardMsix
from epbell.outbound import Outbound
from epbell.pcie import usp, usp_requester
from epbell.pcie.completion import CompletionSender
from epbell.pcie.outstanding import DEFAULT_TIMEOUT
from epbell.pcie.queue import Credits, Queue
from epbell.pcie.read import ReadEngine
from epbell.pcie.request import RequestParser
from epbell.pcie.skid import Skid
from epbell.pcie.target import EVENTS, Target
from epbell.peripherals import Peripherals, edma_ports
from epbell.ram import Ram
from epbell.ram_share import RamShare
from epbell.registers import RegisterPages

__all__ = ["Endpoint"]

_PAGES = ("mu_a", "mu_b", "controller", "edma", "iatu")
_GUARDED_PAGES = ("mu_b", "edma")
_INBOUND_BIT = 8  # of the address of a window's register: the window is an inbound one
_RAISES = {"MSI_RAISE": 0, "MSIX_RAISE": 0, "INTX": 1 << 1}  # what is to be written there to raise one; 0: anything
_CONFIG_REST = 240  # clocks: the base address registers are read once in a microsecond


class Endpoint(wiring.Component):
    """PCIe endpoint with doorbells, behind the UltraScale+ hard block (AMD PG213; DWORD-aligned, no straddling).

    From the first CQ beat of a doorbell write to ``irq_mu`` or ``irq_edma``: 4, 3, 2 and 2 clocks at 64, 128, 256 and
    512 bits if the doorbell is known and nothing is in front of it (:mod:`epbell.express`), else 12, 11, 10 and 10 from
    when its turn comes; single doorbells follow each other every 3, 2, 1 and 1 clocks. From the first CQ beat of a read
    of one dword to the first CC beat: 23, 21, 21 and 21 clocks; a longer completion begins when its last beat is there,
    and a completion of one beat that ends its read is followed by the next one two clocks later, all others at once.
    From the CPU's access of the aperture to the first RQ beat: 11 clocks.

    Parameters
    ----------
    width : int
        Width of the PCIe streams in bits: 64, 128, 256 or 512.
    bars : sequence of Bar or None
        BARs that the hard block is configured for, BAR 0 first.
    layout : str
        Layout of the Messaging Unit: ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``.
    windows : int
        Number of inbound windows, 1 to 16.
    ram_size : int
        Size of the RAM in bytes: a power of two from 4 KiB.
    guard : bool
        Let the host reach RAM, the Messaging Unit's side B and the eDMA's doorbell words only. False: everything that
        a window exposes, as in silicon.
    address_map : AddressMap
        Endpoint-local addresses.
    reads : int
        Non-posted requests that may be under way at a time, 1 to 32.
    patience : int
        Clocks that the CPU waits at most for the host at a shared port, 1 or more.
    edma : EdmaShape
        Register layout, channels and interrupt lines of the eDMA.
    fixed_bar : int
        A BAR of at least 4 KiB that shows the eDMA page whatever the windows say.
    outbound_windows : int
        Number of outbound windows, 1 to 16.
    aperture : int
        Size of the CPU's range of addresses for host memory: a power of two from 64 KiB.
    outbound_reads, tags : int
        Reads of host memory that may be outstanding, 1 to `tags`; number of tags, 1 to 256 (more than 32 need Extended
        Tags).
    timeout : int
        Clocks until a read of host memory without a completion fails.
    msix_vectors : int
        MSI-X vectors at most, 1 to 2048. None: as many as half of the RAM has room for.
    msix : str
        How MSI-X messages leave: ``"rq"``, as memory writes, or ``"port"``, through the hard block's port.
    flr_timeout : int
        Clocks of a function-level reset, from its second one on, after which it is done at the latest, 2 to 2 ** 24.
        Less than 65536 ends it before the wait for an answer about an interrupt, which then goes on.

    Attributes
    ----------
    s_axis_cq, m_axis_cc
        Completer streams (:class:`usp.CompleterRequest`, :class:`usp.CompleterCompletion`).
    m_axis_rq, s_axis_rc
        Requester streams (:class:`usp_requester.RequesterRequest`, :class:`usp_requester.RequesterCompletion`).
    pcie_cq_np_req : Out(2)
        Credits for non-posted requests.
    cfg_max_payload, cfg_function_status : In(2), In(16)
        Maximum payload; the host's enables (of function 0 bit 2: bus mastering, bit 3: Interrupt Disable).
    cfg_interrupt_msi, cfg_interrupt_msix, cfg_interrupt
        Ports for MSI, MSI-X and INTx (:class:`HardMsi`, :class:`HardMsix`, :class:`HardIntx`).
    cfg_flr_in_process, cfg_flr_done : In(4), Out(4)
        Function-level reset of function 0: what the host was to be told is forgotten. Answered when all is quiet, at
        the latest when `flr_timeout` is over.
    cfg_function_power_state : In(12)
        Power states, 3 bits each. In another one than D0 nothing leaves but completions.
    cfg_mgmt : Out(HardConfig())
        Port to read the base address registers (:class:`HardConfig`); nothing else may use it.
    cpu_axil : In(axil.Signature(32))
        The CPU's bus.
    parameters : dict
        Those of the parameters that decide what the CPU finds at which address, the defaults filled in.
    irq_mu : Out(1)
        Interrupt of the Messaging Unit, side A: level, active high.
    irq_edma : Out(lines)
        Interrupt of the eDMA: level, active high, all lines alike.
    edma_wr_done, edma_wr_abort, edma_rd_done, edma_rd_abort : In(channels)
        Pulses of a DMA engine, bit n for channel n.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    s_axis_cq: Any
    m_axis_cc: Any
    m_axis_rq: Any
    s_axis_rc: Any
    pcie_cq_np_req: Any
    cfg_max_payload: Any
    cfg_function_status: Any
    cfg_interrupt_msi: Any
    cfg_interrupt_msix: Any
    cfg_interrupt: Any
    cfg_flr_in_process: Any
    cfg_flr_done: Any
    cfg_function_power_state: Any
    cfg_mgmt: Any
    cpu_axil: Any
    irq_mu: Any
    irq_edma: Any
    edma_wr_done: Any
    edma_wr_abort: Any
    edma_rd_done: Any
    edma_rd_abort: Any

    def __init__(
        self,
        width: int,
        *,
        bars: Sequence[Bar | None] = DEFAULT_BARS,
        layout: str = "imx8ulp",
        windows: int = 6,
        ram_size: int = 2 << 20,
        guard: bool = True,
        address_map: AddressMap | None = None,
        reads: int = 8,
        patience: int = 8,
        edma: EdmaShape | None = None,
        fixed_bar: int | None = None,
        outbound_windows: int = 6,
        aperture: int = 256 << 20,
        outbound_reads: int = 8,
        tags: int = 32,
        timeout: int = DEFAULT_TIMEOUT,
        msix_vectors: int | None = None,
        msix: str = "rq",
        flr_timeout: int = DEFAULT_FLR_TIMEOUT,
    ) -> None:
        self._width = usp.check_width(width)
        check_types(guard, address_map, edma)
        self._map = AddressMap() if address_map is None else address_map
        self._map.check_ram(ram_size)
        self._map.check_aperture(aperture, ram_size)
        check_values(bars, layout, windows, reads, patience, fixed_bar)
        self._shape = EdmaShape() if edma is None else edma
        self._guard = guard
        self.parameters = {
            **{"layout": layout, "windows": windows, "outbound_windows": outbound_windows},
            **{"ram_size": ram_size, "aperture": aperture, "address_map": self._map, "edma": self._shape},
        }
        vectors = min(2048, ram_size // 32) if msix_vectors is None else msix_vectors
        interrupts = Interrupts(ram_size=ram_size, lanes=width // 32, vectors=vectors, msix=msix)
        outbound = Outbound(width, windows=outbound_windows, reads=outbound_reads, tags=tags, timeout=timeout)
        self._host_names = _GUARDED_PAGES if guard else _PAGES
        # A write of a doorbell word is an event. With the whole page open to the host, its writes need the port.
        self._aside = ("edma",) if guard else ()
        words = {"edma": self._shape.doorbells} if guard else {}
        host_pages = [
            HostPage(getattr(self._map, name), words.get(name), waits=name not in self._aside)
            for name in self._host_names
        ]
        ram: dict[str, Any] = {"ram_base": self._map.ram, "ram_size": ram_size}
        lanes = width // 32
        controller = epbell_regs.offsets("controller")
        self._parser = RequestParser(width)
        fixed = None if fixed_bar is None else FixedBar(fixed_bar, self._map.edma)
        self._inbound = Inbound(check_bars(bars), windows, fixed)
        self._express = Express(width)
        self._target = Target(lanes, **ram, pages=host_pages)
        read_layout: Any = self._target.read.shape()
        self._queue = Queue(read_layout, reads)
        self._credits = Credits(reads)
        self._reader = ReadEngine(lanes, len(self._target.read.either.fetch.origin), len(host_pages))
        self._sender = CompletionSender(width)
        self._skid = Skid(usp.CompleterCompletion(width))
        self._ram = Ram(lanes, ram_size, patience=patience)
        self._pages = RegisterPages(_PAGES, self._host_names, aside=self._aside, patience=patience)
        self._cpu = CpuPort(
            **ram,
            pages=[getattr(self._map, name) for name in _PAGES],
            aperture=self._map.outbound,
            aperture_size=aperture,
            raises={self._map.controller + controller[name]: mask for name, mask in _RAISES.items()},
        )
        self._outbound = outbound
        self._interrupts = interrupts
        self._config = ConfigReader(_CONFIG_REST)
        self._function = Function(flr_timeout)
        self._ram_share = RamShare(len(self._ram.cpu_w_addr))
        self._blocks = Peripherals(layout=layout, edma=self._shape, data_width=width, windows=windows, guard=guard)
        super().__init__({
            "s_axis_cq": In(usp.CompleterRequest(width)),
            "m_axis_cc": Out(usp.CompleterCompletion(width)),
            "m_axis_rq": Out(usp_requester.RequesterRequest(width)),
            "s_axis_rc": In(usp_requester.RequesterCompletion(width)),
            "pcie_cq_np_req": Out(2),
            "cfg_max_payload": In(2),
            "cfg_function_status": In(16),
            "cfg_interrupt_msi": Out(HardMsi()),
            "cfg_interrupt_msix": Out(HardMsix()),
            "cfg_interrupt": Out(HardIntx()),
            "cfg_flr_in_process": In(4),
            "cfg_flr_done": Out(4),
            "cfg_function_power_state": In(12),
            "cfg_mgmt": Out(HardConfig()),
            "cpu_axil": In(axil.Signature(32)),
            "irq_mu": Out(1),
            **edma_ports(self._shape),
        })

    def elaborate(self, platform: object) -> Module:
        """Join the blocks."""
        m: Any = Module()
        for name in ("parser", "inbound", "target", "express", "queue", "credits", "reader", "sender", "skid"):
            m.submodules[name] = getattr(self, f"_{name}")
        for name in ("ram", "ram_share", "pages", "cpu", "blocks", "outbound", "interrupts", "config", "function"):
            m.submodules[name] = getattr(self, f"_{name}")
        wiring.connect(m, wiring.flipped(self.s_axis_cq), self._parser.cq)
        wiring.connect(m, self._skid.i, self._sender.cc)
        wiring.connect(m, wiring.flipped(self.m_axis_cc), self._skid.o)
        wiring.connect(m, wiring.flipped(self.m_axis_rq), self._outbound.rq)
        wiring.connect(m, wiring.flipped(self.s_axis_rc), self._outbound.rc)
        wiring.connect(m, wiring.flipped(self.cpu_axil), self._cpu.axil)
        wiring.connect(m, wiring.flipped(self.cfg_mgmt), self._config.hard)
        self._raise_interrupts(m)
        self._requests(m)
        self._promises(m)
        self._answers(m)
        self._masters(m)
        self._to_host(m)
        self._registers(m)
        self._resets(m)
        return m

    def _requests(self, m: Any) -> None:
        """Way in: parser, windows, target."""
        parser, inbound, target = self._parser, self._inbound, self._target
        m.d.comb += [
            parser.room.eq(target.room),
            *(getattr(inbound, name).eq(parser.header[name]) for name in ("bar", "function", "address", "length")),
            inbound.address_again.eq(parser.address_again),
            *(getattr(target, name).eq(getattr(inbound, name)) for name in ("claimed", "fits", "local")),
            *(getattr(target, name).eq(getattr(parser, name)) for name in ("valid", "segment", "begins")),
            target.rests.eq(parser.idle),
            target.max_payload.eq(self.cfg_max_payload),
        ]

    def _promises(self, m: Any) -> None:
        """Beside the way in: the express lane of the doorbells."""
        express, cq, cpu = self._express, self.s_axis_cq, self._cpu
        pages: Any = self._pages
        unit = [cpu.w_pages[_PAGES.index(name)] for name in ("mu_a", "mu_b")]
        asked = cpu.w_page_valid & any_of(unit)
        aimed: Any = Signal()  # beside the page's own enable, which is far away in an FPGA
        m.d.sync += aimed.eq(self._aims())
        m.d.comb += [
            *(getattr(express, name).eq(getattr(cq, name)) for name in ("tdata", "tkeep", "tuser", "tlast")),
            express.accepted.eq(cq.tvalid & cq.tready),
            express.idle.eq(self._parser.idle & self._target.idle),
            express.aimed.eq(aimed),
            express.cpu_writes.eq(asked | pages.mu_a.w_en | pages.mu_b.w_en),
            express.made.eq(pages.host_made.any()),
            pages.hold.eq(express.outstanding),
        ]
        wiring.connect(m, express.bells, self._blocks.promises)

    def _aims(self) -> Any:
        """Return "a write to a register of an inbound window is asked for": in the next clock it may be at the port."""
        cpu, target = self._cpu, self._target
        aims: Any = cpu.w_page_valid & cpu.w_pages[_PAGES.index("iatu")] & cpu.w_addr[_INBOUND_BIT]
        aims &= ~self._express.outstanding
        if "iatu" in self._host_names:
            page = target.bus_pages[self._host_names.index("iatu")]
            aims |= target.bus_valid & page & target.bus_addr[_INBOUND_BIT]
        return aims

    def _answers(self, m: Any) -> None:
        """Way back: queue, read engine, completions."""
        target, queue, reader, sender = self._target, self._queue, self._reader, self._sender
        m.d.comb += [
            queue.i_valid.eq(target.read_valid),
            queue.i_data.eq(target.read),
            target.read_ready.eq(queue.i_ready),
            reader.i_valid.eq(queue.o_valid),
            reader.i_data.eq(queue.o_data),
            queue.o_ready.eq(reader.i_ready),
            reader.max_payload.eq(self.cfg_max_payload),
            sender.valid.eq(reader.beat_valid),
            sender.beat.eq(reader.beat),
            sender.ram_data.eq(self._ram.r_data),
            self._credits.returned.eq(reader.answered),
            self.pcie_cq_np_req.eq(self._credits.np_req),
        ]

    def _masters(self, m: Any) -> None:
        """Connect host and CPU to the RAM and the register pages."""
        target, reader, cpu, ram, pages = self._target, self._reader, self._cpu, self._ram, self._pages
        share = self._ram_share
        _drive(m, ram, "host_w_", target, "ram_", "addr", "data", "strb")
        _drive(m, ram, "host_r_", reader, "ram_", "addr")
        _drive(m, share, "cpu_w_", cpu, "w_", "data", "strb")
        _drive(m, ram, "cpu_w_", share, "w_", "data", "strb")
        _drive(m, pages, "host_w_", target, "bus_", "valid", "addr", "data", "strb")
        _drive(m, pages, "host_r_", reader, "bus_", "pages", "addr")
        _drive(m, pages, "cpu_w_", cpu, "w_", "data", "strb")
        # For each way one flip-flop (a read's twice) that says "go on", to RAM and pages alike: where it is the CPU's
        # turn at either of them, the host waits for both. Pages beside whose ports its writes go are of no account. A
        # read needs room, too, for what it gives.
        w_free, r_free = (Signal(init=1, name=f"{way}_free") for way in ("w", "r"))
        again: Any = Signal(name="r_free_again")  # after a reset a clock later: else synthesis would make one of both
        aside: Any = Cat(Const(int(name in self._aside), 1) for name in self._host_names)
        m.d.sync += [
            w_free.eq(ram.host_w_next & pages.host_w_next),
            *(free.eq(ram.host_r_next & pages.host_r_next & self._sender.room_next) for free in (r_free, again)),
        ]
        m.d.comb += [
            target.ready.eq(w_free),
            *(ready.eq(1) for ready in (reader.ram_ready, reader.bus_ready)),
            *(reader.room.eq(r_free), reader.room_again.eq(again)),
            ram.host_w_valid.eq(target.ram_valid & w_free),
            ram.host_r_valid.eq(reader.ram_valid),
            pages.host_w_pages.eq(target.bus_pages & (aside | w_free.replicate(len(aside)))),
            pages.host_r_valid.eq(reader.bus_valid),
            reader.bus_data.eq(pages.host_r_data),
            cpu.r_ram_data.eq(ram.r_data[0]),
            cpu.r_page_data.eq(pages.cpu_r_data),
            cpu.full.eq(Cat(getattr(self._interrupts, f"{kind}_full") for kind in ("msi", "msix", "intx"))),
        ]
        raised = self._blocks.interrupts
        for kind in ("msi", "msix") if self._guard else ():
            late = getattr(raised, f"{kind}_raise") & ~getattr(raised, f"{kind}_room").any() & ~self._function.reset
            m.d.sync += Assert(~late, f"an interrupt is raised by {kind.upper()}_RAISE without room for it")
        for way in ("w", "r"):
            address = getattr(cpu, f"{way}_addr")
            m.d.comb += [
                getattr(share, f"cpu_{way}_valid").eq(getattr(cpu, f"{way}_ram_valid")),
                getattr(cpu, f"{way}_ram_ready").eq(getattr(share, f"cpu_{way}_ready")),
                getattr(share, f"cpu_{way}_addr").eq(address[2:]),
                getattr(ram, f"cpu_{way}_valid").eq(getattr(share, f"{way}_valid")),
                getattr(share, f"{way}_ready").eq(getattr(ram, f"cpu_{way}_ready")),
                getattr(ram, f"cpu_{way}_addr").eq(getattr(share, f"{way}_addr")),
                getattr(pages, f"cpu_{way}_valid").eq(getattr(cpu, f"{way}_page_valid")),
                getattr(cpu, f"{way}_page_ready").eq(getattr(pages, f"cpu_{way}_ready")),
                getattr(pages, f"cpu_{way}_pages").eq(getattr(cpu, f"{way}_pages")),
                getattr(pages, f"cpu_{way}_addr").eq(address),
            ]

    def _raise_interrupts(self, m: Any) -> None:
        """Connect the interrupts of the host: registers, ports of the hard block, RAM, RQ."""
        interrupts, target, outbound, share = self._interrupts, self._target, self._outbound, self._ram_share
        wiring.connect(m, self._blocks.interrupts, interrupts.registers)
        for port, hard in (("_msi", interrupts.msi), ("_msix", interrupts.msix), ("", interrupts.intx)):
            wiring.connect(m, wiring.flipped(getattr(self, f"cfg_interrupt{port}")), hard)
        for name in ("valid", "write", "addr", "data", "cancel"):
            m.d.comb += getattr(share, f"mem_{name}").eq(getattr(interrupts, f"mem_{name}"))
        for name in ("valid", "address", "data"):
            m.d.comb += getattr(outbound, f"i_{name}").eq(getattr(interrupts, f"i_{name}"))
        m.d.comb += [
            interrupts.function_status.eq(self.cfg_function_status[:4]),
            interrupts.function_reset.eq(~self._function.serves),
            interrupts.entered.eq(outbound.entered),
            interrupts.left.eq(outbound.left),
            interrupts.leaving.eq(outbound.leaving),
            interrupts.i_ready.eq(outbound.i_ready),
            interrupts.mem_ready.eq(share.mem_ready),
            interrupts.mem_rvalid.eq(share.mem_rvalid),
            interrupts.mem_rdata.eq(self._ram.r_data[0]),
            interrupts.host_wrote.eq(target.ram_wrote),
            interrupts.host_address.eq(target.ram_wrote_addr),
            interrupts.host_written.eq(target.ram_wrote_dwords),
        ]

    def _to_host(self, m: Any) -> None:
        """Connect the CPU with host memory, and account for what fails."""
        cpu, outbound, blocks = self._cpu, self._outbound, self._blocks
        _drive(m, outbound, "w_", cpu, "w_", "addr", "data", "strb")
        _drive(m, outbound, "w_", cpu, "w_host_", "valid", back="ready")
        _drive(m, outbound, "r_", cpu, "r_", "addr")
        _drive(m, outbound, "r_", cpu, "r_host_", "valid", back="ready")
        _drive(m, cpu, "d_", outbound, "d_", "valid", "data", "error", back="ready")
        m.d.comb += [
            cpu.w_host_error.eq(outbound.w_error),
            blocks.outbound_failed.eq(outbound.failed),
            blocks.outbound_cause.eq(outbound.cause),
            blocks.outbound_address.eq(outbound.cause_address),
        ]

    def _resets(self, m: Any) -> None:
        """Connect what the hard block says of the function's state."""
        function, blocks = self._function, self._blocks
        idle = self._parser.idle & self._target.idle & self._reader.idle
        answered = idle & ~self._queue.o_valid & self._sender.empty & ~self._skid.holds
        settled: Any = Signal()  # in the clock before
        m.d.sync += settled.eq(self._outbound.quiet & answered)
        m.d.comb += [
            function.in_process.eq(self.cfg_flr_in_process),
            function.power_state.eq(self.cfg_function_power_state),
            function.quiet.eq(self._interrupts.quiet & settled),
            self._interrupts.awake.eq(function.awake),
            self._outbound.bus_master.eq(self.cfg_function_status[2] & function.awake),
            self._outbound.flush.eq(function.reset),
            self.cfg_flr_done.eq(function.done),
            blocks.flr_begins.eq(function.begins),
            blocks.in_flr.eq(function.reset),
            blocks.low_power.eq(~function.awake),
        ]

    def _windows(self, m: Any) -> None:
        """Put the registers of both directions on one page; neither has a register where the other has one."""
        pages: Any = self._pages
        page, inward, outward = pages.iatu, self._inbound.bus, self._outbound.bus
        for port in (inward, outward):
            for name in ("w_en", "w_addr", "w_data", "w_strb", "r_load", "r_en", "r_addr"):
                m.d.comb += getattr(port, name).eq(getattr(page, name))
        m.d.comb += page.r_data.eq(inward.r_data | outward.r_data)

    def _registers(self, m: Any) -> None:
        """Connect the pages with what is behind them."""
        pages, blocks, target = self._pages, self._blocks, self._target
        self._windows(m)
        for shown, bar in zip(blocks.bars, self._config.bars, strict=True):
            m.d.comb += shown.eq(bar)
        for name in _PAGES:
            if name != "iatu":
                wiring.connect(m, getattr(pages, name), getattr(blocks, name))
        for name in self._aside:
            m.d.comb += getattr(blocks, f"{name}_aside").eq(getattr(pages, f"{name}_aside"))
        for event in EVENTS:
            m.d.comb += getattr(blocks, event).eq(getattr(target, event))
        for name in edma_ports(self._shape):
            port, member = getattr(self, name), getattr(blocks, name)
            m.d.comb += port.eq(member) if name == "irq_edma" else member.eq(port)
        m.d.comb += [
            blocks.host_mu.eq(pages.host_made[self._host_names.index("mu_b")]),
            blocks.host_edma.eq(pages.host_made[self._host_names.index("edma")]),
            blocks.host_age.eq(target.bus_age),
            blocks.torn.eq(target.torn),
            self.irq_mu.eq(blocks.irq_mu),
        ]


def _drive(m: Any, far: Any, to: str, near: Any, of: str, *names: str, back: str = "") -> None:
    """Connect ports of two blocks, ``near.<of><name>`` to ``far.<to><name>``, and the other way round for `back`."""
    for name in names:
        m.d.comb += getattr(far, to + name).eq(getattr(near, of + name))
    if back:
        m.d.comb += getattr(near, of + back).eq(getattr(far, to + back))
