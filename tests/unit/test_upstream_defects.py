"""The defects of cocotbext-pcie that `epbell_tb.endpoint.upstream` is about are still in the stock package.

A test that fails here is good news: the package does it right now, and the file that mends it can go. No simulator is
needed: the stock coroutines run on a stand-in for the device, up to where they would wait.
"""

import asyncio
import importlib.metadata
import inspect
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from cocotbext.pcie.core import caps
from cocotbext.pcie.core.msi import MsiRegion
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice, usp_model
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

import epbell_tb.endpoint.upstream as upstream
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.upstream.atomics_raise import MEMORY_REQUESTS, POSTED
from epbell_tb.endpoint.upstream.hidden_aer import show_extended_capabilities
from epbell_tb.endpoint.upstream.poisoned_requests_passed import to_user
from epbell_tb.endpoint.upstream.short_error_pointer import WholeErrorPointer
from epbell_tb.endpoint.upstream.silent_errors import ERR_COR, ERR_FATAL, ERR_NONFATAL, Error, SilentErrors

OWN = PcieId(1, 0, 0)
BASE = 0xC000_0000
AER, AER_ID = 0x40, 1


def run(coroutine):
    """Run a coroutine that waits for nothing of the simulator's."""
    return asyncio.run(coroutine)


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


def test_credits_lost_in_stalls():
    """The coroutine that looks at the pin is the one that waits for room in the stream."""
    source = inspect.getsource(UltraScalePlusPcieDevice._run_cq_logic)
    assert "pcie_cq_np_req.value" in source
    assert "await self.cq_source.send" in source


@pytest.mark.parametrize("name", ["_run_rq_logic", "_run_rq_np_queue_logic"])
def test_dropped_without_master(name):
    source = inspect.getsource(getattr(UltraScalePlusPcieDevice, name))
    assert "TODO: internal response" in source, "the stock model has learned to answer what it does not send"


def test_no_completion_timeout():
    source = inspect.getsource(usp_model)
    told = [line for line in source.splitlines() if "ErrorCode.TIMEOUT" in line]
    assert not told, "the stock model has learned to give reads up"


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


def test_no_intx():
    source = inspect.getsource(UltraScalePlusPcieDevice._run_cfg_int_logic)
    assert "cfg_interrupt_int.value" not in source
    assert "cfg_interrupt_sent.value" not in source


def test_interrupts_never_fail():
    source = inspect.getsource(UltraScalePlusPcieDevice._run_cfg_int_logic)
    for kind in ("msi", "msix"):
        assert f"cfg_interrupt_{kind}_fail.value = 0" in source
        assert f"cfg_interrupt_{kind}_fail.value = 1" not in source
    with pytest.raises(Exception, match="MSI disabled"):
        run(caps.MsiCapability().issue_msi_interrupt(0))


def test_a_function_level_reset_does_nothing():
    capability = caps.PcieCapability()
    capability.function_level_reset_capability = capability.extended_tag_field_enable = True
    run(capability.initiate_function_level_reset())
    assert capability.extended_tag_field_enable


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


# -- what SilentErrors does: there is nothing else to compare it with -------------------------------------------------


class Reporter:
    """What `SilentErrors` asks of its device."""

    _wanted = SilentErrors._wanted
    _message = SilentErrors._message

    def __init__(self):
        one = function()
        show_extended_capabilities(one)
        self.functions = [one]
        self.device, self.aer = one.pcie_cap, one.aer_ext_cap
        self.codes = []

    async def send(self, message: Tlp):
        self.codes.append(message.last_be << 4 | message.first_be)

    def report(self, error, tlp=None, *, advisory=False):
        run(SilentErrors.report(self, error, tlp, advisory=advisory))


def test_a_posted_write_that_no_bar_claims():
    one = Reporter()
    write = memory_request(BASE + 4, bytes(4))
    one.report(Error.UNSUPPORTED, write)
    device, aer = one.device, one.aer
    assert (device.unsupported_request_detected, device.nonfatal_error_detected) == (True, True)
    assert not device.correctable_error_detected
    assert not device.fatal_error_detected
    assert (aer.unsupported_request_error_status, aer.first_error_pointer) == (True, 20)
    assert aer.header_log[2] == BASE + 4
    assert not one.codes
    one.report(Error.MALFORMED, memory_request(BASE + 8, bytes(4)))
    assert aer.malformed_tlp_status
    assert (aer.first_error_pointer, aer.header_log[2]) == (20, BASE + 4), "the first error's header stays"


def test_a_read_that_is_refused_is_advisory():
    one = Reporter()
    one.report(Error.UNSUPPORTED, advisory=True)
    assert (one.device.unsupported_request_detected, one.device.correctable_error_detected) == (True, True)
    assert not one.device.nonfatal_error_detected
    assert one.aer.advisory_nonfatal_error_status
    assert not one.aer.unsupported_request_error_status, "advisory errors are masked until software wants them"
    one.aer.advisory_nonfatal_error_mask = False
    one.report(Error.UNSUPPORTED, advisory=True)
    assert one.aer.unsupported_request_error_status


@pytest.mark.parametrize(
    ("error", "advisory", "enables", "codes"),
    [
        (Error.POISONED, False, ("non_fatal_error_reporting_enable",), [ERR_NONFATAL]),
        (Error.POISONED, False, ("fatal_error_reporting_enable", "correctable_error_reporting_enable"), []),
        (Error.MALFORMED, False, ("fatal_error_reporting_enable",), [ERR_FATAL]),
        (Error.MALFORMED, False, ("non_fatal_error_reporting_enable",), []),
        (Error.UNSUPPORTED, False, ("non_fatal_error_reporting_enable",), []),
        (
            *(Error.UNSUPPORTED, False),
            ("non_fatal_error_reporting_enable", "unsupported_request_reporting_enable"),
            [ERR_NONFATAL],
        ),
        (Error.UNEXPECTED_COMPLETION, True, ("correctable_error_reporting_enable",), [ERR_COR]),
        (Error.UNSUPPORTED, True, ("correctable_error_reporting_enable",), []),
    ],
)
def test_error_messages(error, advisory, enables, codes):
    one = Reporter()
    one.aer.advisory_nonfatal_error_mask = False
    for name in enables:
        setattr(one.device, name, True)
    one.report(error, advisory=advisory)
    assert one.codes == codes


def test_serr_and_masks():
    one = Reporter()
    one.functions[0].serr_enable = True
    one.aer.poisoned_tlp_received_mask = True
    one.report(Error.POISONED)
    assert one.aer.poisoned_tlp_received_status
    assert one.functions[0].detected_parity_error
    assert not one.codes
    one.report(Error.COMPLETION_TIMEOUT)
    assert one.codes == [ERR_NONFATAL]
    assert one.functions[0].signaled_system_error
    one.aer.completion_timeout_severity = True
    one.report(Error.COMPLETION_TIMEOUT, advisory=True)
    assert one.codes == [ERR_NONFATAL, ERR_FATAL]
