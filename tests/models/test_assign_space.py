"""Which window of a BAR covers given addresses: against a search over every power of two."""

import errno
import random
from dataclasses import replace

import pytest
from vntb_rig import run_vntb

from epbell_models.linux.epc_features import BarFeature, BarFlag, BarKind

ALIGN = 0x1000


def searched(address, size, fixed=0):
    """Return first address and bytes of the smallest aligned window that covers all bytes, None without one."""
    for bits in range(1, 63):
        window = max(128, fixed, 1 << bits)
        start = address // max(window, ALIGN) * max(window, ALIGN)
        natural = address >> bits == (address + size - 1) >> bits
        if natural and (not fixed or 1 << bits <= fixed):
            return (start, window) if address + size <= start + window else None
    return None


def assign(feature, requests):
    """Ask for each (size, address) with such a BAR 2; return answers and what the BAR then is."""

    async def scenario(rig):
        epf = rig.vntb.epf
        bars = list(epf.epc.features.bars)
        bars[2] = feature
        epf.epc.features = replace(epf.epc.features, bars=tuple(bars), align=ALIGN)
        answers = []
        for size, address in requests:
            epf.bars[2] = None
            error = epf.assign_space(size, 2, address)
            answers.append((error, epf.bars[2]))
        return answers

    return run_vntb(scenario, bring_up=False)


@pytest.mark.parametrize("fixed", [0, 0x1000, 0x4000, 0x2_0000])
def test_against_a_search(fixed):
    source = random.Random(fixed)
    requests = []
    for _ in range(300):
        size = 4 * source.choice([1, 2, 4, 16, 1 << source.randrange(16)])
        edge = source.getrandbits(40) & -(1 << source.randrange(2, 24))
        requests.append((size, max(0, edge + 4 * source.randrange(-4, 5))))
    feature = BarFeature(BarKind.FIXED, fixed) if fixed else BarFeature()
    met = set()
    for (size, address), (error, bar) in zip(requests, assign(feature, requests), strict=True):
        expected = searched(address, size, fixed)
        met.add(expected is not None)
        assert error == (0 if expected else -errno.ENOMEM), (size, address)
        assert (bar and (bar.phys_addr, bar.size)) == expected, (size, address)
    assert met == {True, False}


def test_across_a_power_of_two_the_next_larger_window_fits():
    """As many bytes would fit a smaller window, but not from there."""
    requests = [(0x2008, 0x5D30_1FFC), (8, 0x5D30_3FFC), (0x4000, 0x5D30_2004)]
    answers = [(error, bar.phys_addr, bar.size) for error, bar in assign(BarFeature(), requests)]
    assert answers == [(0, 0x5D30_0000, 0x8000)] * 3


def test_what_is_no_range():
    requests = [(0, 0x1000), (-4, 0x1000), (8, (1 << 63) - 4), (4, (1 << 63) - ALIGN)]
    assert [error for error, _ in assign(BarFeature(), requests)] == [-errno.EINVAL, -errno.EINVAL, -errno.EINVAL, 0]


@pytest.mark.parametrize(
    ("feature", "size", "flags"),
    [
        (BarFeature(), 4, BarFlag.MEM_32),
        (BarFeature(only_64bit=True), 4, BarFlag.MEM_64),
        (BarFeature(), 1 << 32, BarFlag.MEM_64),
    ],
)
def test_width(feature, size, flags):
    ((error, bar),) = assign(feature, [(size, 0)])
    assert error == 0
    assert bar.flags == flags
