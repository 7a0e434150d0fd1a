"""A stock kernel, its driver and its program judge the reference endpoint: content with a good one, not with others.

Each endpoint but the first is broken in one place. Every test boots a guest.
"""

import errno
from dataclasses import replace

import pytest

from epbell_models import devicetree
from epbell_models.linux import pci_epf_test_doorbell
from epbell_tb.guest import run
from epbell_tb.guest.model_guest import ModelGuest, ModelSetup
from epbell_tb.guest.port import MESSAGES

pytestmark = pytest.mark.guest

CHECKSUM = 0x20
CAPABILITIES = 0x30
GOOD = run.Setup(devicetree.builtin("imx8"), "model")


def results(only, change, **options):
    """Run some tests on an endpoint that is changed; return whether nothing failed, and every line."""
    setup = replace(GOOD, only=only and (only,), **options)
    lines = []
    device = ModelGuest(ModelSetup(setup.dts, setup.bar_sizes, msix=setup.msix, windows=setup.windows, change=change))
    good = run.run(setup, lines.append, device)
    print("\n".join(lines))
    return good, lines


def flipped(data, bit=5):
    return (int.from_bytes(data, "little") ^ 1 << bit).to_bytes(len(data), "little")


def nothing(endpoint):
    """A good endpoint."""


def bit_of_a_bar(endpoint):
    """One bit of one dword of BAR 1 reads wrong."""
    read = endpoint.memory_read

    async def memory_read(address, length):
        data = await read(address, length)
        return flipped(data) if address == endpoint.board.link.config.bar_address(1) + 0x7C else data

    endpoint.memory_read = memory_read


def checksum(endpoint):
    """The checksum of what the endpoint has written reads wrong."""
    read = endpoint.memory_read

    async def memory_read(address, length):
        data = await read(address, length)
        return flipped(data) if address == endpoint.board.link.config.bar_address(0) + CHECKSUM else data

    endpoint.memory_read = memory_read


def bit_to_the_host(endpoint):
    """One bit of what the endpoint writes to the host's memory is wrong."""
    memory = endpoint.board.link.host_memory
    write = memory.write
    memory.write = lambda address, data: write(address, data if address in MESSAGES else flipped(data))


def bit_from_the_host(endpoint):
    """One bit of what the endpoint reads from the host's memory is wrong."""
    memory = endpoint.board.link.host_memory
    read = memory.read
    memory.read = lambda address, length: flipped(read(address, length))


def no_messages(endpoint):
    """No MSI and no MSI-X arrives."""
    memory = endpoint.board.link.host_memory
    write = memory.write
    memory.write = lambda address, data: None if address in MESSAGES else write(address, data)


def wrong_vector(endpoint):
    """Every MSI-X message is that of the next vector."""
    memory = endpoint.board.link.host_memory
    write = memory.write

    def shifted(address, data):
        write(address, (int.from_bytes(data, "little") + 1).to_bytes(4, "little") if address in MESSAGES else data)

    memory.write = shifted


def no_intx(endpoint):
    """INTA is never asserted."""
    endpoint.board.link.intx.drive = lambda level: None


def silent_doorbell(endpoint):
    """The Messaging Unit never raises its line."""
    endpoint.board.link.irq_mu.drive = lambda level: None


def test_a_good_endpoint():
    good, lines = results("*", nothing)
    assert good
    assert sum(line.startswith("ok ") and "# SKIP" not in line for line in lines) == 13
    assert "# ok 3 - 10 of 10 rings: STATUS 0x200, 1 interrupts" in lines


@pytest.mark.parametrize(
    ("change", "test", "said"),
    [
        (bit_of_a_bar, "pci_ep_bar.BAR1.BAR_TEST", "BAR1: NOT OKAY"),
        (checksum, "pci_ep_data_transfer.memcpy.READ_TEST", "READ ( 1025 bytes): NOT OKAY"),
        (bit_to_the_host, "pci_ep_data_transfer.memcpy.READ_TEST", "READ ( 1025 bytes): NOT OKAY"),
        (bit_from_the_host, "pci_ep_data_transfer.memcpy.WRITE_TEST", "WRITE ( 1025 bytes): NOT OKAY"),
        (no_messages, "pci_ep_basic.MSI_TEST", "MSI1: NOT OKAY"),
        (wrong_vector, "pci_ep_basic.MSIX_TEST", "MSI-X1: NOT OKAY"),
        (no_intx, "pci_ep_basic.LEGACY_IRQ_TEST", "LEGACY IRQ: NOT OKAY"),
        (silent_doorbell, "pcie_ep_doorbell.DOORBELL_TEST", "not ok 3 - 0 of 10 rings: STATUS 0, 0 interrupts"),
    ],
)
def test_a_broken_endpoint(change, test, said):
    good, lines = results(test, change, msix=2)
    assert not good
    assert f"not ok 1 {test}" in lines
    assert f"# {said}" in lines


def refusing(monkeypatch, error):
    """No endpoint's Linux gets a doorbell's message from now on."""

    async def allocate(epf, number, said):
        epf.msi_error = error
        return error

    monkeypatch.setattr(pci_epf_test_doorbell, "pci_epf_alloc_doorbell", allocate)


@pytest.mark.parametrize(
    ("error", "test", "said"),
    [
        (-errno.ENOSPC, "not ok 1", "the doorbell is none"),
        (-errno.ENODEV, "ok 1", "the doorbell is polling"),
    ],
)
def test_an_endpoint_with_another_doorbell(monkeypatch, error, test, said):
    """What every endpoint's Linux says here is not what this device tree has to have."""
    refusing(monkeypatch, error)
    good, lines = results("pcie_ep_doorbell.DOORBELL_TEST", nothing)
    assert not good
    assert f"{test} pcie_ep_doorbell.DOORBELL_TEST" in lines
    assert any(line.startswith(f"# {said}") and line.endswith("it has to be mu") for line in lines)


def no_capabilities(endpoint):
    """It says that it can nothing beyond the oldest tests."""
    read = endpoint.memory_read

    async def memory_read(address, length):
        data = await read(address, length)
        return bytes(length) if address == endpoint.board.link.config.bar_address(0) + CAPABILITIES else data

    endpoint.memory_read = memory_read


def test_the_newest_kernels_selftest_skips_what_the_endpoint_can(newest_kernel):
    """To the program itself all is well."""
    good, lines = results((), no_capabilities, program="selftest", bars="halves", windows=8)
    assert not good
    assert "not ok 23 pcie_ep_doorbell.DOORBELL_TEST" in lines
    assert "not ok 4 pci_ep_bar.BAR1.BAR_SUBRANGE_TEST" in lines
    assert any(line.endswith("SKIP Doorbell test is not supported: no SKIP was foreseen") for line in lines)


def test_an_interrupt_that_is_lost_in_a_transfer():
    """The kernel's driver waits for ever."""
    good, lines = results("pci_ep_data_transfer.memcpy.READ_TEST", no_messages, limit=30.0)
    assert not good
    assert "not ok 1 pci_ep_data_transfer.memcpy.READ_TEST" in lines
    assert "# SET IRQ TYPE TO MSI: OKAY" in lines, "it had begun"
    assert any("the guest was ended after 30 s" in line for line in lines)
