"""One environment for every bench of the endpoint: clock, reset, seed, both ends and what watches them."""

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer
from cocotbext.axi import AxiStreamBus
from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.core.tlp import CplStatus, Tlp
from cocotbext.pcie.core.utils import PcieId

from epbell_models import devicetree
from epbell_models.host.msi import MsiController
from epbell_models.host.pci import PciDevice
from epbell_models.host.pci_endpoint_test import PciEndpointTest
from epbell_models.linux.boot import EndpointSoftware, boot
from epbell_models.reference.address_map import AddressMap
from epbell_tb import bins_seen, records
from epbell_tb.bar_sets import BAR_SETS
from epbell_tb.endpoint.bins import EndpointBins
from epbell_tb.endpoint.clock import PERIOD_NS, cycle
from epbell_tb.endpoint.counters import Counters, channels
from epbell_tb.endpoint.drivers import CpuBus, HostBus, HostFunction
from epbell_tb.endpoint.function_state import StatefulBlock
from epbell_tb.endpoint.hard_block import direct_link, direct_route
from epbell_tb.endpoint.host_port import HostPort
from epbell_tb.endpoint.link_checks import LinkChecks
from epbell_tb.endpoint.monitors import CpuMonitor, watch_line, watch_stream
from epbell_tb.endpoint.packets import CompletionReader, LineReader, RequestReader
from epbell_tb.endpoint.platform import CocotbIrqLine, CocotbPlatform
from epbell_tb.endpoint.quick import make_quick
from epbell_tb.endpoint.record import Record
from epbell_tb.endpoint.resets import HotReset, RootPort
from epbell_tb.endpoint.scoreboard import Scoreboard
from epbell_tb.endpoint.to_host_packets import AnswerReader, SentRequestReader
from epbell_tb.endpoint.upstream.hot_reset_only_stored import watch_bus_reset
from epbell_tb.endpoint.upstream.msis_look_like_one import refuse_vectors
from epbell_tb.endpoint.watch import looking_on
from epbell_tb.hard_block_pins import PINS

__all__ = [
    "ENDPOINT",
    "EndpointEnv",
]

TIME_SCALE = 1000.0
"""Linux's millisecond is a simulated microsecond."""

ENDPOINT = PcieId(1, 0, 0)
"""Bus, device and function number of the endpoint."""

_RESET_CLOCKS = 8
_PULSES = ("wr_done", "wr_abort", "rd_done", "rd_abort")
_WINDOW = 0xC000_0000
_WIDE_WINDOW = 0x8000_0000_0000_0000
_WINDOW_SIZE = 0x1000_0000
_MSI_ADDRESS = 0xA000_0000
_VECTORS = 32
_HOST_VECTORS = 4096
_MSIX_TABLE = 0x80
_ANSWERED_US = 20
_REST = 200
"""Clocks after which everything that was under way has ended."""


class EndpointEnv:
    """The endpoint between a host and a CPU that run Linux's drivers.

    The width comes from the design's bus; from the environment come EPBELL_SEED, EPBELL_STALLS (1: pauses on both
    streams), EPBELL_BARS (a name of `BAR_SETS`), EPBELL_DTS (a device tree instead of the shipped one),
    EPBELL_WINDOWS (a number of inbound windows instead of the tree's), EPBELL_MSIX (rq or port: the way of MSI-X) and
    EPBELL_THOROUGH (1: sweeps take every value).

    Parameters
    ----------
    dut
        The design.
    name
        Name of the scenario; it may come later, with `begin`.
    msix
        How many MSI-X vectors the function offers, 0 to 2048; the endpoint's Linux uses them and INTx unless it is 0.
    msix_table
        Where in BAR 0 their table is; by default where pci-epf-test has it.

    Attributes
    ----------
    thorough
        Whether a sweep takes every value; else it takes few, each boundary among them.
    platform, tree, software, device, host
        Linux: time, device tree, the endpoint's software, the host's driver core and pci_endpoint_test.
    cpu, memory
        The CPU's bus and the host's.
    function, bridge
        Configuration space of the endpoint, and of the root port above it.
    port, hot_reset
        That root port, and what comes of its bus reset.
    to_host
        What the endpoint reaches of the host: memory and INTx.
    link
        What was seen on the link of what the endpoint sends.
    irq_mu, irq_edma
        The interrupt lines: the Messaging Unit's, and those of the eDMA.
    board, counters
        What must follow from what the pins show, and what the endpoint itself counted.
    outcome
        What the scenario adds to its line of the report.
    """

    time_scale = TIME_SCALE
    """Seconds of Linux in a simulated second."""

    def __init__(self, dut: Any, name: str = "", *, msix: int = 0, msix_table: int = _MSIX_TABLE) -> None:
        self.dut = dut
        self.msix = msix
        self._msix_table = msix_table
        self.width = len(dut.s_axis_cq_tdata)
        self.seed = int(os.environ.get("EPBELL_SEED", "1"))
        self.thorough = os.environ.get("EPBELL_THOROUGH", "0") == "1"
        self.bars = BAR_SETS[os.environ.get("EPBELL_BARS", "everyday")]
        self.bar_sizes = tuple(bar.size if bar else 0 for bar in self.bars)
        self.record = Record() if records.wanted() else None
        self.begin(name)
        self.clock = RisingEdge(dut.clk)
        self.tree = devicetree.load(os.environ.get("EPBELL_DTS") or devicetree.builtin())
        windows = os.environ.get("EPBELL_WINDOWS")
        if windows:
            self.tree = replace(self.tree, endpoint=replace(self.tree.endpoint, inbound_windows=int(windows)))
        self.platform = CocotbPlatform(self.time_scale)
        _quieten(dut)
        make_quick()
        self.root: Any = RootComplex()
        refuse_vectors(self.root)
        self.block = self._hard_block()
        self.port = self._link()
        self.bridge = RootPort(self.root, self.port)
        self.hot_reset = HotReset(self)
        watch_bus_reset(self.port, self.hot_reset.follow)
        self.to_host = HostPort(self.root, self.port, self.platform)
        self.link = LinkChecks(self.block.functions[0])
        self.to_host.judge = self.link.check
        self.cpu = CpuBus(dut, AddressMap.of(self.tree).outbound)
        self.irq_mu = CocotbIrqLine(dut.irq_mu)
        self.irq_edma = [CocotbIrqLine(dut.irq_edma, line) for line in range(self.tree.endpoint.edma.lines)]
        self.msis = MsiController(_MSI_ADDRESS, vectors=_HOST_VECTORS)
        self.to_host.memory.doorbells[_MSI_ADDRESS] = self._heard
        self.memory = HostBus(self.root)
        self.software = self.new_software()
        self.function = HostFunction(self.root, ENDPOINT, self.memory)
        self.device = PciDevice(self.platform, self.function, self.msis, intx=self.to_host.intx)
        source = random.Random(f"{self.seed} buffers")
        self.host = PciEndpointTest(self.device, store_bytes=512, memory=self.to_host.memory, source=source)
        lanes = self.width // 32
        self.requests = RequestReader(lanes, self._kept("request", lambda request: self.board.request(request)))
        self.board = Scoreboard(
            self.bar_sizes, self.tree, lambda: self.requests.open_since, lambda: self.block.may_request
        )
        if bins_seen.wanted():
            bins_seen.begin(width=self.width)
        watches = (EndpointBins(self.board) if bins_seen.wanted() else None, self.record)
        self.board.look_on(looking_on(*(watch for watch in watches if watch is not None)))
        self.block.on_flr, self.block.on_power = self.board.flr, self.board.power
        self.block.on_master_change = self.board.to_host.master_changed
        self.board.to_host.msix = os.environ.get("EPBELL_MSIX", "rq")
        self.block.on_msi, self.block.on_msix = self.board.permissions.check_msi, self.board.to_host.asked
        self.block.on_shown = self.board.permissions.shown
        board = self.board
        self.completions = CompletionReader(lanes, self._kept("completion", board.completion))
        self.sent = SentRequestReader(lanes, self._kept("sent", lambda request: board.to_host.sent(request)))
        watch_stream(dut, "s_axis_cq", self.requests)
        watch_stream(dut, "m_axis_cc", self.completions)
        watch_stream(dut, "m_axis_rq", self.sent)
        answers = AnswerReader(lanes, self._kept("answer", board.to_host.answer))
        board.to_host.coming = lambda: answers.coming
        watch_stream(dut, "s_axis_rc", answers)
        self._watch_cpu()
        self.counters = Counters(self.cpu, self.board.map["controller"].base)
        self.merged: int | None = None
        self._rises = 0
        self.outcome: dict[str, Any] = {}

    # -- bring-up ------------------------------------------------------------------------------------------------------

    def begin(self, name: str) -> None:
        """Take the name of the scenario, with it the random numbers, and whether the streams are to pause."""
        self.name = name
        self.stalls = os.environ.get("EPBELL_STALLS", "0") == "1"
        self.random = random.Random(f"{self.seed} {name} {self.width}")
        if self.record is not None:
            self.record.begin()
        if name:
            cocotb.log.info("%s: %d bits, stalls %d, EPBELL_SEED=%d", name, self.width, self.stalls, self.seed)

    async def start(self, *, linux: bool = True, irq_type: int | None = 1) -> None:
        """Bring everything up, and let the streams pause from then on, if they are to."""
        await self.bring_up(linux=linux, irq_type=irq_type)
        self.stall()

    async def bring_up(self, *, linux: bool = True, irq_type: int | None = 1) -> None:
        """Reset and enumerate the endpoint, boot its Linux and the host's driver; without Linux only enumerate.

        The driver's vectors are of a type of pci_endpoint_test's, None for no vectors.
        """
        await self.reset()
        if linux:
            await self.start_linux()
        await self.enumerate()
        await self.device.enable()
        await self.device.set_master()
        if linux:
            await self.start_host(irq_type)

    def stall(self) -> None:
        """Let the streams pause at random, if this is a run with stalls."""
        if self.stalls:
            for stream in (self.block.cq_source, self.block.cc_sink, self.block.rq_sink, self.block.rc_source):
                stream.set_pause_generator(self.pauses())
            self.block.take_time(random.Random(self.random.random()))

    async def start_linux(self, **options: Any) -> None:
        """Boot the endpoint's Linux; options as of `boot`."""
        self.software = self.new_software(**options)
        error = await self.software.start()
        assert error == 0, f"the endpoint's software must start, not end with {error}: {self.software.log}"

    async def start_host(self, irq_type: int | None = 1) -> None:
        """Probe the host's driver, and let it use interrupts of a type: MSIs, unless told otherwise."""
        assert await self.host.probe() == 0
        if irq_type is not None:
            assert await self.host.set_irqtype(irq_type) == 0

    async def reset(self) -> None:
        """Reset the endpoint; what the hard block holds is lost."""
        self.begin_reset()
        for name in _PULSES:
            getattr(self.dut, f"edma_{name}").value = 0
        await self.clocks(_RESET_CLOCKS)
        self.dut.rst.value = 0
        await self.clocks(2)

    def begin_reset(self) -> None:
        """Begin to reset the endpoint; what the hard block holds is lost."""
        self.dut.rst.value = 1
        self.block.drop_everything()
        self.board.reset("hot" if self.block.absent else "rst")
        self.counters.start.clear()
        self._rises = self.to_host.intx.rises

    async def enumerate(self) -> None:
        """Size the BARs and give them addresses."""
        await self.device.scan()
        await self.device.assign(_WINDOW, _WIDE_WINDOW)

    async def use_max_payload(self, size: int) -> None:
        """Let both ends use payloads of up to ``size`` bytes: 128, 256, 512 or 1024."""
        self.block.set_max_payload(size)
        self.memory.max_payload = self.board.max_payload = size
        await self.clocks(4)

    async def clocks(self, count: int) -> None:
        """Wait until ``count`` clock edges have passed."""
        if count > 1:
            await Timer((count - 1) * PERIOD_NS, unit="ns")
        await self.clock

    async def until(self, condition: Callable[[], bool], what: str, limit: int = 3000) -> None:
        """Wait for a condition, at most ``limit`` clocks."""
        step = 8
        for _ in range(0, limit, step):
            if condition():
                return
            await self.clocks(step)
        assert condition(), f"{what}: not within {limit} clocks"

    async def pulse(self, **channels: int) -> int:
        """Drive the DMA's inputs ``wr_done wr_abort rd_done rd_abort``, bit per channel, for a clock; return which."""
        for name, bits in channels.items():
            getattr(self.dut, f"edma_{name}").value = bits
        await self.clock
        self.board.latch.pulse(cycle(), channels)
        self.board.watch.pulsed(channels)
        for name in channels:
            getattr(self.dut, f"edma_{name}").value = 0
        return cycle()

    async def ask(self, request: Tlp, bar: int) -> CplStatus:
        """Give the endpoint a non-posted request that no root port would forward; return the completion's status."""
        request.tag = await self.root.alloc_tag()
        self.block.pass_on(request, bar)
        completion = await self.root.recv_cpl(request.tag, _ANSWERED_US, "us")
        assert completion is not None, f"no completion within {_ANSWERED_US} us for {request!r}"
        self.root.release_tag(request.tag)
        return completion.status

    def address(self, bar: int, offset: int = 0) -> int:
        """Return the bus address of a byte of a BAR."""
        found = self.device.resources[bar]
        assert found is not None, f"there is no BAR {bar}"
        return found.address + offset

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _hard_block(self) -> StatefulBlock:
        dut = self.dut
        pins = {name: getattr(dut, name) for name in PINS}
        block = StatefulBlock(
            user_clk_frequency=1e9 / PERIOD_NS, user_clk=dut.clk, user_reset=dut.rst,
            pf0_msi_enable=True, pf0_msi_count=_VECTORS, **_msix(self.msix or 1, self._msix_table),
            cq_bus=AxiStreamBus.from_prefix(dut, "s_axis_cq"), cc_bus=AxiStreamBus.from_prefix(dut, "m_axis_cc"),
            rq_bus=AxiStreamBus.from_prefix(dut, "m_axis_rq"), rc_bus=AxiStreamBus.from_prefix(dut, "s_axis_rc"),
            **pins,
        )  # fmt: skip
        block.functions[0].interrupt_pin = 1
        block.functions[0].msi_cap.msi_per_vector_mask_capable = 1
        for name in ("msi_mask_update", "msix_sent", "msix_fail"):
            getattr(dut, f"cfg_interrupt_{name}").value = 0
        dut.cfg_flr_in_process.value = 0
        for number, bar in enumerate(self.bars):
            if bar is not None:
                block.functions[0].configure_bar(number, bar.size, ext=bar.wide, prefetch=bar.wide)
        return block

    def _link(self) -> Any:
        """Connect the block below a root port that routes both windows to it, as firmware would; return the port."""
        port = self.root.make_port()
        port.connect(self.block)
        direct_link(port, self.block.upstream_port)
        direct_route(self.root, port, self.block.upstream_port)
        port.sec_bus_num = port.sub_bus_num = ENDPOINT.bus
        for bridge in (port, self.root.upstream_bridge):
            bridge.mem_base, bridge.mem_limit = _WINDOW, _WINDOW + _WINDOW_SIZE - 1
            bridge.prefetchable_mem_base = _WIDE_WINDOW
            bridge.prefetchable_mem_limit = _WIDE_WINDOW + _WINDOW_SIZE - 1
        return port

    def _kept(self, kind: str, judge: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what judges packets of a kind, and keeps them before, if anybody wants them kept."""
        return judge if self.record is None else self.record.tee(kind, judge)

    def _watch_cpu(self) -> None:
        """Have the CPU's accesses and its interrupt lines judged, and kept, if anybody wants them kept."""
        dut, board, record = self.dut, self.board, self.record
        writes, reads = (board.cpu_write_started, board.cpu_write_ended), (board.cpu_read_started, board.cpu_read_ended)
        lines = {"irq_mu": board.irq, "irq_edma": board.irq_edma}
        if record is not None:
            writes = record.write_started(writes[0]), record.ended("write", writes[1])
            reads = record.read_started(reads[0]), record.ended("read", reads[1])
            lines = {name: record.line(name, judge) for name, judge in lines.items()}
            self.to_host.on_intx = record.intx
        CpuMonitor(dut, *writes, reads[1], reads[0])
        watch_line(dut.irq_mu, LineReader(1, lines["irq_mu"]))
        watch_line(dut.irq_edma, LineReader(len(self.irq_edma), lines["irq_edma"]))

    def new_software(self, **options: Any) -> EndpointSoftware:
        """Return a Linux that has not booted yet; options as of `boot`."""
        lines = {unit.interrupt.spi: self.irq_mu for unit in self.tree.messaging_units}
        interrupts = self.tree.endpoint.edma.interrupts
        lines |= {interrupt.spi: line for interrupt, line in zip(interrupts, self.irq_edma, strict=False)}
        wide = tuple(number for number, bar in enumerate(self.bars) if bar is not None and bar.wide)
        options = {"wide_bars": wide, "msix_interrupts": self.msix, "intx": bool(self.msix), **options}
        return boot(self.platform, self.cpu, lines, self.tree, self.bar_sizes, **options)

    def pauses(self) -> Iterator[bool]:
        """Pause at random, in runs, so that both full speed and long stalls occur."""
        source = random.Random(self.random.random())
        while True:
            for _ in range(source.randrange(1, 12)):
                yield False
            for _ in range(source.randrange(0, 6)):
                yield True

    def _heard(self, word: int) -> None:
        msi = self.block.functions[0].msi_cap
        if msi.msi_enable or self.block.msis_under_way:  # else it is MSI-X, which the scoreboard sees on the RQ stream
            self.judge_msi(word)
        self.msis.deliver(word)

    def judge_msi(self, word: int) -> None:
        """Check an MSI that arrives at the host; the host may have changed its mind since it was sent."""
        msi = self.block.msis_under_way.popleft()
        vector = msi.vector(word)
        assert vector is not None, f"an MSI with {word:#x}, which is none of {msi}"
        if not msi.cut:
            self.board.msis.arrived(vector, msi.granted)

    # -- the end -------------------------------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Check what must hold at the end of every scenario, and compare the endpoint's counters with what was seen."""
        await self.block.settle()
        await self.clocks(_REST)
        assert not self.msis.strays, f"MSIs to nobody: {self.msis.strays}"
        rises = self.to_host.intx.rises - self._rises
        self.merged = await self.counters.check_end(self.board, self.irq_mu.level(), rises)

    async def pending(self) -> int:
        """Read which vectors are pending, bit n for vector n."""
        return await channels(self.cpu, self.board, "RF")

    def report(self) -> None:
        """Append the figures of this scenario to the report, and write its record, if these are asked for."""
        if self.record is not None:
            self._write_record(self.record)
        path = os.environ.get("EPBELL_REPORT")
        if not path:
            return
        counts = self.board.counts
        latencies = [*self.board.latencies, *self.board.latch.latencies]
        line = {
            "name": self.name, "tree": self.tree.name, "width": self.width, "stalls": self.stalls,
            "rings": counts["rings"] + counts["kicks"], "irqs": counts["irqs"] + counts["edma_irqs"],
            "merged": self.merged,
            "cycles_to_irq_min": min(latencies, default=None), "cycles_to_irq_max": max(latencies, default=None),
            "seed": self.seed, **self._spread(), **self.outcome,
        }  # fmt: skip
        with Path(path).open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def _spread(self) -> dict[str, dict[str, dict[int, int]]]:
        """Return for each kind of interrupt how often it took how many clocks, if that is kept."""
        if self.record is None:
            return {}
        lines = {"irq_mu": Counter(self.board.latencies), "irq_edma": Counter(self.board.latch.latencies)}
        spread = {**lines, **self.record.latencies}
        return {"latencies": {kind: dict(sorted(spread[kind].items())) for kind in sorted(spread) if spread[kind]}}

    def _write_record(self, record: Record) -> None:
        board = self.board
        record.write(
            records.folder(), self.name,
            tree=self.tree.name, width=self.width, stalls=self.stalls, seed=self.seed,
            places=[[place.name, place.base, place.size] for place in (*board.map.places, board.map.outbound)],
            registers={"mu_a": {offset: name for name, offset in board.registers.offset.items()}},
            edma=self.tree.endpoint.edma.personality,
            bars={bar: f"{found.address:x}" for bar, found in enumerate(self.device.resources) if found is not None},
        )  # fmt: skip


def _msix(vectors: int, table: int) -> dict[str, Any]:
    """Return the stock model's parameters for an MSI-X table in BAR 0, with the pending bits behind it."""
    pending = table + 16 * vectors
    place = {"pf0_msix_table_bir": 0, "pf0_msix_table_offset": table}
    place |= {"pf0_msix_pba_bir": 0, "pf0_msix_pba_offset": pending}
    return {"pf0_msix_enable": True, "pf0_msix_table_size": vectors - 1, **place}


def _quieten(dut: Any) -> None:
    for name in ("cocotb.pcie", f"cocotb.{dut._name}"):
        logging.getLogger(name).setLevel(logging.WARNING)
