"""The defects of cocotbext-pcie that `epbell_tb.endpoint.upstream` is about are still in the stock package.

A test that fails here is good news: the package does it right now, and the file that mends it can go. No simulator is
needed: the stock coroutines run on a stand-in for the device, up to where they would wait.
"""

import asyncio
import functools
import importlib.metadata
import logging
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cocotbext.pcie.core import caps
from cocotbext.pcie.core.bridge import Bridge
from cocotbext.pcie.core.msi import MsiRegion
from cocotbext.pcie.core.tlp import TlpType
from cocotbext.pcie.core.utils import PcieId
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice, usp_model
from cocotbext.pcie.xilinx.us.interface import CqSource
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

import epbell_tb.endpoint.upstream as upstream
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.upstream import discontinue_in_every_beat
from epbell_tb.endpoint.upstream.atomics_raise import MEMORY_REQUESTS, POSTED
from epbell_tb.endpoint.upstream.credits_lost_in_stalls import CreditsLostInStalls
from epbell_tb.endpoint.upstream.hidden_aer import show_extended_capabilities
from epbell_tb.endpoint.upstream.high_addresses_match import match_bar
from epbell_tb.endpoint.upstream.hot_reset_only_stored import watch_bus_reset
from epbell_tb.endpoint.upstream.msis_look_like_one import refuse_vectors
from epbell_tb.endpoint.upstream.poisoned_requests_passed import to_user
from epbell_tb.endpoint.upstream.rom_and_bist_without_any import deny_rom_and_self_test
from epbell_tb.endpoint.upstream.short_error_pointer import WholeErrorPointer

OWN = PcieId(1, 0, 0)
BASE = 0xC000_0000
AER, AER_ID = 0x40, 1


def run(coroutine):
    """Run a coroutine that waits for nothing of the simulator's."""
    return asyncio.run(coroutine)


class Clock:
    """Instead of a trigger: whoever waits for it goes on in the next clock."""

    def __init__(self, _):
        pass

    def __await__(self):
        yield


@pytest.fixture
def clocks(monkeypatch):
    """Return what runs a coroutine for some clocks; what waits for an edge goes on in the next one."""
    monkeypatch.setattr(usp_model, "RisingEdge", Clock)

    def go(coroutine, count):
        for _ in range(count):
            coroutine.send(None)

    return go


def function():
    """Return what the stock UltraScale+ function has of configuration space."""
    return usp_model.UltraScalePlusPcieFunction()


class Device:
    """What the stock coroutines ask of their device."""

    def __init__(self, *, claims=True):
        self.functions = [SimpleNamespace(match_bar=self._match, bar=[0] * 6, bar_mask=[0] * 6, pcie_id=OWN)]
        self.log = logging.getLogger("stock")
        self.log.disabled = True
        self.bus_num = 1
        self.taken = []
        self.sent = []
        self.cq_queue = SimpleNamespace(put_nowait=self.taken.append)
        self._claims = claims

    def _match(self, address, io=False):
        return (0, address - BASE) if self._claims else None

    async def upstream_send(self, tlp):
        self.sent.append(tlp)

    def receive(self, tlp):
        run(UltraScalePlusPcieDevice.upstream_recv(self, tlp))


def test_the_version_that_the_files_are_about():
    version = importlib.metadata.version("cocotbext-pcie")
    files = sorted(Path(upstream.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for path in files:
        assert f"cocotbext-pcie {version}" in path.read_text(encoding="utf-8"), f"{path.name} is about another version"


def test_poisoned_requests_passed():
    stock = Device()
    request = memory_request(BASE, bytes(4))
    request.ep = True
    stock.receive(request)
    assert [taken.discontinue for taken in stock.taken] == [False]
    assert to_user(request).discontinue
    request.ep = False
    assert not to_user(request).discontinue


@pytest.mark.parametrize("width", [64, 512])
def test_discontinue_in_every_beat(width):
    request = Tlp_us(memory_request(BASE, bytes(200)))
    request.discontinue = True
    beats, source, frames = [], CqSource.__new__(CqSource), [request.pack_us_cq()]

    async def frame():
        return frames.pop()

    async def drive(beat):
        beats.append(beat)

    def beat():
        return SimpleNamespace(tdata=0, tlast=0, tkeep=0, tuser=0)

    source.width, source.seg_count, source.seg_byte_lanes = width, 1, width // 32
    source.bus = SimpleNamespace(tuser=range(183 if width == 512 else 88))
    source._get_frame, source._drive, source._transaction_obj = frame, drive, beat
    source.log = logging.getLogger("stock")
    CqSource._init(source)
    with pytest.raises(IndexError):
        run(CqSource._run(source))

    def told():
        return [beat.tuser >> source.discontinue_offset & 1 for beat in beats]

    assert told() == [1] * -(-54 // (width // 32))
    for one in beats:
        discontinue_in_every_beat.of_beat(source, one)
    assert told() == [0] * (len(beats) - 1) + [1]


@pytest.mark.parametrize("wide", [False, True])
def test_high_addresses_match(wide):
    stock = function()
    stock.configure_bar(0, 0x4000, ext=wide, prefetch=wide)
    stock.bar[0] |= BASE
    assert match_bar(stock, BASE + 8) == stock.match_bar(BASE + 8) == (0, 8)
    high = BASE + 8 + (1 << 40)
    assert (stock.match_bar(high) is None) == wide
    assert match_bar(stock, high) is None


@pytest.mark.parametrize(("offset", "mask"), [(0x30, 0x1), (0x0C, 0x4)])
def test_rom_and_bist_without_any(offset, mask):
    stock, mended = function(), function()
    deny_rom_and_self_test(mended)
    for one in (stock, mended):
        run(one.write_config_register(offset // 4, 0xFFFF_FFFF, mask))
    assert run(stock.read_config_register(offset // 4))
    assert run(mended.read_config_register(offset // 4)) == 0
    run(mended.write_config_register(0x3C // 4, 0x0B, 0x1))
    assert run(mended.read_config_register(0x3C // 4)) & 0xFF == 0x0B, "all else is written"


@pytest.mark.parametrize("kind", sorted(MEMORY_REQUESTS - POSTED, key=lambda kind: kind.name))
def test_atomics_raise(kind):
    stock = Device()
    request = memory_request(BASE, None if "READ" in kind.name else bytes(8), 8, kind=kind)
    if kind in (TlpType.MEM_READ, TlpType.MEM_READ_64):
        stock.receive(request)
        assert stock.taken
        return
    with pytest.raises(Exception, match="TODO"):
        stock.receive(request)


@pytest.mark.parametrize("stalls", [False, True])
def test_credits_lost_in_stalls(clocks, stalls):
    """Credits that are given while the stream takes nothing are not counted, and others are."""
    stalled, given = stalls, 3

    async def send(_):
        while stalled:
            await Clock(None)

    stock = SimpleNamespace(
        user_clk=None, pcie_cq_np_req=SimpleNamespace(value=0), pcie_cq_np_req_count=None, cq_np_req_count=0,
        cq_np_queue=Waiting(), cq_queue=Waiting(), cq_source=SimpleNamespace(send=send),
    )  # fmt: skip
    stock.cq_queue.put_nowait(SimpleNamespace(fmt_type=TlpType.MEM_WRITE, pack_us_cq=lambda: None))
    running = UltraScalePlusPcieDevice._run_cq_logic(stock)
    clocks(running, 3)
    stock.pcie_cq_np_req.value = 1
    clocks(running, given)
    stock.pcie_cq_np_req.value = 0
    stalled = False
    clocks(running, 8)
    assert stock.cq_queue.empty()
    assert stock.cq_np_req_count == (0 if stalls else given)


def test_requests_that_a_reset_drops_give_their_credits_back():
    """Eight credits, eight reads on their way: all but those next to the user are dropped, and may be asked again."""
    block: Any = CreditsLostInStalls.__new__(CreditsLostInStalls)
    block._waiting, block._waits = deque(), SimpleNamespace(set=lambda: None)
    block.cq_source = SimpleNamespace(queue=Waiting())
    block.cq_source.send_nowait = block.cq_source.queue.append
    block.cq_np_req_count = 8
    for number in range(12):
        request = Tlp_us(memory_request(BASE + 4 * number, bytes(4) if number % 2 else None, 4))
        block.offer(request)
    assert (block.cq_np_req_count, len(block.cq_source.queue), block.waiting) == (2, 12, 0)
    block.offer_no_more(3)
    assert (block.cq_np_req_count, len(block.cq_source.queue)) == (6, 3), "two reads and a write are left"
    for number in range(8):
        block.offer(Tlp_us(memory_request(BASE + 4 * number, None, 4)))
    assert (block.cq_np_req_count, block.waiting) == (0, 2)
    assert [frame.data[0] - BASE for frame in block.cq_source.queue] == [0, 4, 8, *range(0, 24, 4)]
    block.offer_nothing()
    assert (block.cq_np_req_count, block.waiting, len(block.cq_source.queue)) == (0, 0, 0)


class Waiting(deque):
    """A queue in which who waits does so clock by clock."""

    put_nowait, get_nowait = deque.append, deque.popleft

    def empty(self):
        return not self

    def qsize(self):
        return len(self)

    async def get(self):
        while not self:
            await Clock(None)
        return self.popleft()


class Requester:
    """What the stock coroutines of RQ ask of their device; a read with tag 3 is all that the user sends."""

    enable_parity = False
    enable_client_tag = True
    tag_available_count = 32
    cpld_credit_count, cpld_credit_limit = 0, 64
    rq_np_limit = 8

    def __init__(self, *, master):
        control = SimpleNamespace(extended_tag_field_enable=False)
        self.functions = [SimpleNamespace(bus_master_enable=master, pcie_cap=control)]
        self.log = logging.getLogger("stock")
        self.active_request = [None] * 256
        self.sent, self.told = [], []
        self.rq_np_queue = Waiting()
        self.rq_np_queue_dequeue = SimpleNamespace(set=lambda: None)
        self.rq_sink = SimpleNamespace(recv=self._receive)
        self.rc_queue = SimpleNamespace(put_nowait=self.told.append)
        self.rq_seq_num = SimpleNamespace(put_nowait=lambda _: None)
        self._requests = [memory_request(BASE, None, 4)]

    async def _receive(self):
        while not self._requests:
            await Clock(None)
        return self._requests.pop()

    def get_available_tag_count(self):
        return 31

    async def send(self, tlp):
        self.sent.append(tlp)


@pytest.fixture
def as_sent(monkeypatch):
    """Let the stock coroutines take requests as they are, and say what they start and wait for."""
    waits = []

    def unpack(request, _):
        one = Tlp_us(request)
        one.requester_id_enable, one.requester_id, one.tag = True, OWN._replace(function=0), 3
        return one

    monkeypatch.setattr(Tlp_us, "unpack_us_rq", unpack)
    for name in ("Timer", "First"):
        monkeypatch.setattr(usp_model, name, lambda *_, name=name: waits.append(name))
    monkeypatch.setattr(usp_model, "cocotb", SimpleNamespace(start_soon=waits.append))
    return waits


@pytest.mark.parametrize("name", ["_run_rq_logic", "_run_rq_np_queue_logic"])
def test_dropped_without_master(name, clocks, as_sent):
    stock = Requester(master=False)
    one = Tlp_us.unpack_us_rq(memory_request(BASE, None, 4), False)
    if name == "_run_rq_np_queue_logic":
        stock.rq_np_queue.put_nowait(one)
    clocks(getattr(UltraScalePlusPcieDevice, name)(stock), 4)
    assert stock.rq_np_queue.empty()
    assert (stock.sent, stock.told) == ([], [])


def test_no_completion_timeout(clocks, as_sent):
    """Nobody waits with the read, or is told that it has ended."""
    stock = Requester(master=True)
    clocks(UltraScalePlusPcieDevice._run_rq_logic(stock), 1000)
    assert len(stock.sent) == 1
    assert stock.active_request[3] is not None
    assert (as_sent, stock.told) == ([], [])


def test_hidden_aer():
    one = function()
    assert run(one.read_config_register(AER)) == 0
    show_extended_capabilities(one)
    assert run(one.read_config_register(AER)) & 0xFFFF == AER_ID
    for register in range(0x10, 0x40):
        assert one.capabilities.find_by_reg(register) is None or register < 0x2B


def test_short_error_pointer():
    for capability, read in ((caps.AerExtendedCapability(), 4), (WholeErrorPointer(), 20)):
        capability.first_error_pointer, capability.ecrc_check_capable = 20, True
        assert run(capability.read_register(6)) == read | 1 << 7


def test_silent_errors():
    stock = Device(claims=False)
    one = stock.functions[0]
    one.pcie_cap, one.aer_ext_cap = caps.PcieCapability(), caps.AerExtendedCapability()
    stock.receive(memory_request(BASE, bytes(4)))
    assert not one.pcie_cap.unsupported_request_detected
    assert not one.aer_ext_cap.unsupported_request_error_status


class Interrupter(UltraScalePlusPcieDevice):
    """The stock device, of which there is nothing but the pins of interrupts."""

    def __init__(self, **pins):
        self.user_clk = None
        self.log = logging.getLogger("stock")
        self.functions = [SimpleNamespace(msi_cap=caps.MsiCapability(), msix_cap=caps.MsixCapability())]
        self.pins = {name: SimpleNamespace(value=value) for name, value in pins.items()}

    def __getattr__(self, name):
        if not name.startswith("cfg_interrupt_"):
            raise AttributeError(name)
        return self.pins.get(name.removeprefix("cfg_interrupt_"))


def test_no_intx(clocks):
    stock = Interrupter(int=1, sent=0, pending=1)
    stock.send = stock.upstream_send = lambda tlp: pytest.fail(f"INTx is sent: {tlp!r}")
    clocks(stock._run_cfg_int_logic(), 8)
    assert stock.pins["sent"].value == 0


@pytest.mark.parametrize("kind", ["msi", "msix"])
def test_interrupts_never_fail(kind, clocks):
    """One that may not be sent is an error of the simulation, not an answer."""
    pins = {f"{kind}_{name}": 0 for name in ("int", "sent", "fail")}
    stock = Interrupter(**{**pins, f"{kind}_int": 1})
    with pytest.raises(Exception, match=f"{'MSI' if kind == 'msi' else 'MSI-X'} disabled"):
        clocks(stock._run_cfg_int_logic(), 8)
    assert (stock.pins[f"{kind}_sent"].value, stock.pins[f"{kind}_fail"].value) == (0, 0)


def test_a_function_level_reset_does_nothing():
    capability = caps.PcieCapability()
    capability.function_level_reset_capability = capability.extended_tag_field_enable = True
    run(capability.initiate_function_level_reset())
    assert capability.extended_tag_field_enable


def test_a_hot_reset_is_only_stored():
    """Of all that a bridge has, the write changes what it stores."""
    stock = SimpleNamespace()
    register, bit = 15, 1 << 22
    told = []

    async def changed(level):
        told.append(level)

    stock.write_config_register = functools.partial(Bridge.write_config_register, stock)
    stock.secondary_bus_reset = False
    run(stock.write_config_register(register, bit, 0xC))
    assert stock.secondary_bus_reset
    stored = {"secondary_bus_reset", "bridge_parity_error_response_enable", "bridge_serr_enable"}
    assert set(vars(stock)) - {"write_config_register"} == stored
    watch_bus_reset(stock, changed)
    for data in (bit, 0, 0, bit):
        run(stock.write_config_register(register, data, 0xC))
    assert told == [False, True]


def test_two_msis_look_like_one():
    region = SimpleNamespace(get_absolute_address=lambda _: BASE, msi_msg_limit=0, msi_vectors={})
    (vector,) = MsiRegion.alloc_vectors(region, 1)
    region.rc = SimpleNamespace(log=logging.getLogger("stock"))
    run(MsiRegion.write(region, 0, bytes(4)))
    once = dict(vars(vector))
    assert vector.event.is_set()
    run(MsiRegion.write(region, 0, bytes(4)))
    assert vars(vector) == once
    root = SimpleNamespace()
    refuse_vectors(root)
    with pytest.raises(NotImplementedError, match="not the root complex's"):
        root.msi_alloc_vectors(32)


def test_extended_message_data_is_enabled_with_the_wrong_bit():
    capability = caps.MsiCapability()
    capability.msi_extended_message_data_capable = True
    for bit, enabled in ((26, False), (16, True)):
        run(capability.write_register(0, 1 << bit, 0xF))
        assert bool(capability.msi_extended_message_data_enable) == enabled


def test_msix_does_not_look_at_the_function_mask():
    capability = caps.MsixCapability()
    written = []

    async def write(address, data, **_):
        written.append((address, data))

    capability.parent = SimpleNamespace(mem_write=write)
    capability.msix_enable = capability.msix_function_mask = True
    run(capability.issue_msix_interrupt(BASE, 1))
    assert written


def test_a_second_base_of_msis_is_misaligned():
    stock = SimpleNamespace(get_absolute_address=lambda _: BASE, msi_msg_limit=0, msi_vectors={})
    MsiRegion.alloc_vectors(stock, 33)
    assert MsiRegion.alloc_vectors(stock, 32)[0].data % 32


def test_msis_that_are_masked_are_sent():
    capability = caps.MsiCapability()
    written = []

    async def write(address, data, **_):
        written.append((address, data))

    capability.parent = SimpleNamespace(mem_write=write)
    capability.msi_enable, capability.msi_per_vector_mask_capable, capability.msi_mask_bits = True, 1, 1
    run(capability.issue_msi_interrupt(0))
    assert written


def test_what_the_benches_compute_themselves():
    request = memory_request(BASE + 0x45, None, 2)
    assert request.get_lower_address() != 0x45
    one = Tlp_us()
    one.request_completed = True
    assert not Tlp_us(one).request_completed
