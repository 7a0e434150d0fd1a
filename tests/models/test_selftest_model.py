"""Linux's selftest on both ends' software around the reference endpoint: every device tree, twice; what breaks it."""

import pytest

from epbell_models import devicetree
from epbell_models.selftest.harness import Options, run
from epbell_models.selftest.model import ModelTarget
from epbell_models.selftest.tap import Verdict
from epbell_models.selftest.tests import all_tests

NAMES = [test.name for test in all_tests()]
BARS = [f"pci_ep_bar.BAR{bar}.BAR_TEST" for bar in range(6)]
SUBRANGES = [f"pci_ep_bar.BAR{bar}.BAR_SUBRANGE_TEST" for bar in range(6)]
CONSECUTIVE, INTX, MSI, MSIX = (f"pci_ep_basic.{n}_TEST" for n in ("CONSECUTIVE_BAR", "LEGACY_IRQ", "MSI", "MSIX"))
READ, WRITE, COPY = (f"pci_ep_data_transfer.memcpy.{name}_TEST" for name in ("READ", "WRITE", "COPY"))
DMA = [name for name in NAMES if ".dma." in name]
DOORBELL = "pcie_ep_doorbell.DOORBELL_TEST"
FAILED = {"msi-enospc": [DOORBELL], "msi-enomem": [DOORBELL]}
RESERVED = {"rk3588": [BARS[4], SUBRANGES[4]]}
SOME_SIZES = (1, 1025, 0x1001)


def go(name="imx8", options=None, break_it=None, **target_options):
    target = ModelTarget(devicetree.load(devicetree.builtin(name)), **target_options)
    if break_it is not None:
        break_it(target)
    lines = []
    tap = target.platform.run(run(target, options or Options(), lines.append), limit=2000)
    return target, tap, lines


def names_of(tap, verdict):
    return [result.name for result in tap.results if result.verdict is verdict]


def in_order(*names):
    return sorted(names, key=NAMES.index)


@pytest.mark.parametrize("name", devicetree.shipped())
def test_row35_selftest_all(name):
    """All 23 in order, and again without enumerating anew: passed or skipped as the kernel's would be."""
    target, tap, lines = go(name, Options(rounds=2), msix_vectors=64, windows=8)
    failed = FAILED.get(name, [])
    skipped = in_order(SUBRANGES[0], MSIX, *DMA, *RESERVED.get(name, []))
    assert [result.name for result in tap.results] == NAMES * 2
    assert names_of(tap, Verdict.SKIP) == skipped * 2
    assert names_of(tap, Verdict.FAIL) == failed * 2, lines
    assert tap.good == (not failed)
    # Nothing is left behind: no doorbell's mapping, no window before the host's memory, no message to nobody.
    assert target.software.mappings.live == {}
    assert target.software.controller.outbound == {}
    assert target.link.receiver.strays == []
    assert target.link.host_memory.dropped == []
    assert target.link.memory.dropped == []
    assert target.device.refused_reads == []


def test_every_vector_of_the_largest_function():
    target, tap, lines = go(options=Options(only=("*.MSI*_TEST",)))
    assert names_of(tap, Verdict.PASS) == [MSI, MSIX], lines
    assert target.device.fired == [1] * 2048


@pytest.mark.parametrize(
    ("host", "reasons"),
    [
        ({"msi_limit": 1, "msix_limit": 3}, ["MSI2 is disabled (-EINVAL)", "MSI-X4 is disabled (-EINVAL)"]),
        (
            {"msi_limit": 16, "msi_vectors_log2": 3, "msix_vectors": 8},
            ["MSI9 is disabled (-EINVAL)", "MSI-X9 is disabled (-EINVAL)"],
        ),
    ],
)
def test_a_host_that_grants_fewer_vectors(host, reasons):
    _, tap, lines = go(options=Options(only=("*.MSI*_TEST",)), **host)
    assert [result.reason for result in tap.results] == reasons, lines
    assert tap.good


def test_row33_windows_exhausted():
    """Six BARs have a window each; to tile one takes two more than its own, and what it had comes back."""
    _, tap, lines = go(options=Options(rounds=2, only=("pci_ep_bar.*", CONSECUTIVE)), windows=6)
    assert names_of(tap, Verdict.SKIP) == SUBRANGES * 2, lines
    reasons = [result.reason for result in tap.results if result.name in SUBRANGES]
    assert reasons == ["BAR holds the test's registers (-EBUSY)", *["too few inbound windows (-ENOSPC)"] * 5] * 2
    assert names_of(tap, Verdict.PASS) == [*BARS, CONSECUTIVE] * 2


@pytest.mark.parametrize("bar_sizes", [(0x1_0000, 0, 0x4000, 0, 0x2000, 0), (0x1_0000, 0x1000, 0x2000, 0, 0, 1 << 19)])
def test_other_bars(bar_sizes):
    """What does not exist is skipped; a half below 4 KiB cannot be a window's, and that is the endpoint's failure."""
    _, tap, lines = go(options=Options(only=("pci_ep_bar.*", CONSECUTIVE)), bar_sizes=bar_sizes)
    missing = [name for bar in range(6) if not bar_sizes[bar] for name in (BARS[bar], SUBRANGES[bar])]
    too_small = [SUBRANGES[bar] for bar in range(1, 6) if 0 < bar_sizes[bar] < 0x2000]
    assert names_of(tap, Verdict.SKIP) == in_order(*missing, SUBRANGES[0]), lines
    assert names_of(tap, Verdict.FAIL) == too_small, lines


def test_dma_although_there_is_none():
    """The function leaves the command: the transfer never ends, and FLAGS still says DMA at the doorbell test."""
    options = Options(sizes=SOME_SIZES, only=("*.dma.READ_TEST", DOORBELL), force_dma=True, limit=3.0)
    _, tap, lines = go(options=options)
    assert [result.verdict for result in tap.results] == [Verdict.XFAIL, Verdict.FAIL], lines
    assert "# READ_TEST: Test terminated by timeout" in lines


# -- what breaks it ----------------------------------------------------------------------------------------------------


def windows_alias(target):
    windows = target.endpoint.windows
    translate = windows.translate
    windows.translate = lambda bar, *rest: translate(3 if bar == 2 else bar, *rest)


def a_bit_is_stuck(target):
    write = target.endpoint.predict_write

    def stuck(bar, offset, data, *rest, **named):
        data = bytes([data[0] | 0x01]) + data[1:] if bar == 4 else data
        return write(bar, offset, data, *rest, **named)

    target.endpoint.predict_write = stuck


def msix_of_the_neighbour(target):
    msix = target.endpoint.controller.msix
    raise_ = msix.raise_
    msix.raise_ = lambda vector: raise_(vector ^ 1)


def msi_is_lost(target):
    msi = target.endpoint.controller.msi
    raise_ = msi.raise_
    msi.raise_ = lambda vector: vector == 7 or raise_(vector)


def no_intx(target):
    target.endpoint.controller.intx.pulse = lambda: None


def a_page_too_far(target):
    outbound = target.endpoint.outbound
    translate = outbound.translate

    def far(address, length=1):
        target = translate(address, length)
        return target + 0x1000 if isinstance(target, int) else target

    outbound.translate = far


def address_of_32_bits(target):
    outbound = target.endpoint.outbound
    translate = outbound.translate

    def cut(address, length=1):
        target = translate(address, length)
        return target & 0xFFFF_FFFF if isinstance(target, int) else target

    outbound.translate = cut


def the_ring_is_lost(target):
    target.endpoint.mu.write32 = lambda *access: None


@pytest.mark.parametrize(
    ("break_it", "failed"),
    [
        (windows_alias, [SUBRANGES[2], CONSECUTIVE]),
        (a_bit_is_stuck, [BARS[4], SUBRANGES[4], CONSECUTIVE]),
        (msix_of_the_neighbour, [MSIX]),
        (msi_is_lost, [MSI]),
        (no_intx, [INTX]),
        (a_page_too_far, [READ, WRITE, COPY]),
        (address_of_32_bits, [READ, WRITE, COPY]),
        (the_ring_is_lost, [DOORBELL]),
    ],
)
def test_what_is_broken_is_noticed(break_it, failed):
    """By the tests that are for it, and by no others."""
    _, tap, lines = go(options=Options(sizes=SOME_SIZES), break_it=break_it, msix_vectors=8, windows=8)
    assert names_of(tap, Verdict.FAIL) == failed, lines
