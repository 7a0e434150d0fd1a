"""How the mended hard block reports errors: in the status registers, in AER's log, and by messages.

There is nothing to compare it with: the stock package reports none.
"""


import asyncio

import pytest
from cocotbext.pcie.core.tlp import Tlp
from cocotbext.pcie.xilinx.us import usp_model

from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.upstream.hidden_aer import show_extended_capabilities
from epbell_tb.endpoint.upstream.silent_errors import ERR_COR, ERR_FATAL, ERR_NONFATAL, Error, SilentErrors

BASE = 0xC000_0000


def run(coroutine):
    """Run a coroutine that waits for nothing of the simulator's."""
    return asyncio.run(coroutine)


class Reporter:
    """What `SilentErrors` asks of its device."""

    _wanted = SilentErrors._wanted
    _message = SilentErrors._message

    def __init__(self):
        one = usp_model.UltraScalePlusPcieFunction()
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
