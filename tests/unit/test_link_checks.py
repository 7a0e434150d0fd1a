"""What is said of packets on the link, without a simulator: it must be able to say no."""

from types import SimpleNamespace

import pytest
from cocotbext.pcie.core.caps import PcieCapability
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpAttr, TlpFmt, TlpType
from cocotbext.pcie.core.utils import PcieId

from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.link_checks import LinkChecks, malformed

OWN = PcieId(1, 0, 0)
FUNCTION = SimpleNamespace(pcie_id=OWN, pcie_cap=PcieCapability())


def changed(tlp, changes):
    for name, value in changes.items():
        setattr(tlp, name, value)
    return tlp


def write(address=0x1_0000_0040, size=8, **changes):
    tlp = memory_request(address, bytes(size))
    tlp.requester_id = OWN
    return changed(tlp, changes)


def read(address=0x1_0000_0040, size=8, **changes):
    tlp = memory_request(address, None, size)
    tlp.requester_id = OWN
    return changed(tlp, changes)


def completion(size=8, **changes):
    tlp = Tlp.create_completion_data_for_tlp(read(), OWN)
    tlp.set_data(bytes(size))
    tlp.byte_count = size
    return changed(tlp, changes)


def refusal(**changes):
    return changed(Tlp.create_ur_completion_for_tlp(read(), OWN), changes)


@pytest.mark.parametrize(
    "tlp",
    [
        write(), write(0xFFFF_FFF8), write(0xFF8, 8), write(0x43, 1), write(0x43, 70), write(first_be=0x5, last_be=0xA),
        write(size=128), write(size=0), read(), read(size=512), read(0xE00, 512), read(tag=31), completion(),
        completion(128), refusal(), write(attr=TlpAttr(2)),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_right(tlp):
    checks = LinkChecks(FUNCTION)
    checks.check(tlp)
    assert checks.kinds == {tlp.fmt_type: 1}


@pytest.mark.parametrize(
    ("tlp", "what"),
    [
        (write(requester_id=PcieId(0, 0, 0)), "requester ID"),
        (read(requester_id=PcieId(1, 0, 1)), "requester ID"),
        (write(ep=True), "poisoned"),
        (write(0x1_0000_0040, fmt=TlpFmt.THREE_DW_DATA), "above 4 GiB"),
        (write(0x40, fmt=TlpFmt.FOUR_DW_DATA), "below 4 GiB"),
        (read(0x40, fmt=TlpFmt.FOUR_DW), "below 4 GiB"),
        (changed(write(), {"address": 0x1_0000_0042}), "within a dword"),
        (write(length=1), "8 bytes of data with length 1"),
        (write(size=132), "maximum payload of 128"),
        (write(0xFFC, 8), "4 KiB"),
        (read(0xFFC, 8), "4 KiB"),
        (write(0x40, 4, last_be=1), "single dword"),
        (write(first_be=0), "no first"),
        (write(last_be=0), "no last"),
        (write(0x44, 8, first_be=0x5), "gaps"),
        (write(0x44, 8, last_be=0xA), "gaps"),
        (write(0x40, 16, first_be=0x6), "gaps"),
        (read(size=516), "more than 512 bytes"),
        (read(tag=32), "Extended Tags"),
        (write(attr=TlpAttr(4)), "attributes"),
        (completion(completer_id=PcieId(0, 0, 0)), "completer ID"),
        (completion(ep=True), "poisoned"),
        (completion(132), "maximum payload"),
        (completion(length=3), "length 3"),
        (completion(status=CplStatus.UR), "data with status"),
        (completion(byte_count=4097), "byte count"),
        (refusal(completer_id=PcieId(1, 0, 1)), "completer ID"),
    ],
)
def test_what_is_wrong(tlp, what):
    with pytest.raises(AssertionError, match=what):
        LinkChecks(FUNCTION).check(tlp)


def test_what_the_host_has_set_counts():
    control = PcieCapability()
    checks = LinkChecks(SimpleNamespace(pcie_id=OWN, pcie_cap=control))
    control.max_payload_size, control.max_read_request_size, control.extended_tag_field_enable = 1, 0, True
    checks.check(write(size=256))
    checks.check(read(tag=255))
    with pytest.raises(AssertionError, match="more than 128 bytes"):
        checks.check(read(size=132))
    control.enable_relaxed_ordering = False
    with pytest.raises(AssertionError, match="attributes"):
        checks.check(write(attr=TlpAttr(2)))


def test_malformed_requests_of_the_host():
    assert malformed(memory_request(0xC000_0000, bytes(128)), 128) is None
    assert malformed(memory_request(0xC000_0000, bytes(132)), 128)
    assert malformed(memory_request(0xC000_0FF8, bytes(12)), 128)
    assert malformed(memory_request(0xC000_0FF8, None, 12), 128)
    assert malformed(changed(memory_request(0xC000_0000, bytes(8)), {"length": 3}), 128)
    message = changed(Tlp(), {"fmt_type": TlpType.MSG_LOCAL})
    assert malformed(message, 128) is None
