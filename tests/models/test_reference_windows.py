"""Windows of both directions: registers as Linux detects them, matching by address, limits, priority, refusals."""

import random

import pytest

from epbell_models import devicetree
from epbell_models.reference.address_map import DEFAULT_MAP, AddressMap, Place
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.iatu import Refusal
from epbell_models.reference.inbound import InboundWindows
from epbell_models.reference.outbound import Marks, OutboundWindows
from epbell_models.reference.outcome import RamWrite, Refused, Ring

SIZES = (0x4000, 0x4000, 0x4000, 0x4000, 0x4000, 0x1_0000)
RAM, MU_B, IATU = 0x6000_0000, 0x5D30_0000, 0x5F31_0000
ENABLE, BAR_MATCH, FUNCTION_MATCH, INCREASE = 1 << 31, 1 << 30, 1 << 19, 1 << 13
LOW, HIGH = 0xFFFF_FFFF, 32
NOWHERE = Refusal("no window claims it")


def aim(write, first, base, limit, target, *, ctrl1=0, ctrl2=ENABLE):
    """Program a region as Linux does: addresses, type, and the enable bit last."""
    values = {0x08: base & LOW, 0x0C: base >> HIGH, 0x10: limit & LOW, 0x20: limit >> HIGH}
    values |= {0x14: target & LOW, 0x18: target >> HIGH, 0x00: ctrl1, 0x04: ctrl2}
    for offset, value in values.items():
        write(first + offset, value)


def inbound(*regions, sizes=SIZES, **options):
    windows = InboundWindows(sizes)
    for n, region in enumerate(regions):
        aim(windows.write32, n * 0x200 + 0x100, *region, **options)
    return windows


def outbound(*regions, **options):
    windows = OutboundWindows()
    for n, region in enumerate(regions):
        aim(windows.write32, n * 0x200, *region, **options)
    return windows


# -- registers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inbound", "outbound"), [(6, 6), (1, 16), (16, 1), (3, 2)])
def test_linux_counts_the_windows(inbound, outbound):
    endpoint = ReferenceEndpoint(SIZES, windows=inbound, outbound_windows=outbound)
    found = []
    for first in (0x100, 0x000):
        places = [IATU + n * 0x200 + first + 0x14 for n in range(64)]
        for place in places:
            endpoint.cpu_write32(place, 0x1111_0000)
        found.append([endpoint.cpu_read32(place) == 0x1111_0000 for place in places].index(False))
    assert found == [inbound, outbound]


@pytest.mark.parametrize("first", [0x000, 0x100])
def test_linux_finds_align_and_limit(first):
    endpoint = ReferenceEndpoint(SIZES)
    endpoint.cpu_write32(IATU + first + 0x10, 0)
    assert 1 << endpoint.cpu_read32(IATU + first + 0x10).bit_length() == 4096
    endpoint.cpu_write32(IATU + first + 0x20, LOW)
    assert endpoint.cpu_read32(IATU + first + 0x20) << 32 | LOW == (1 << 64) - 1


def test_writable_bits_of_an_outbound_region():
    windows = OutboundWindows()
    for offset in range(0x00, 0x24, 4):
        windows.write32(offset, LOW)
    read = [windows.read32(offset) for offset in range(0x00, 0x24, 4)]
    target = 0xFFFF_F000
    assert read == [0x01F0_27FF, 0x9040_00FF, target, LOW, LOW, target, LOW, 0, LOW]
    windows.reset()
    assert [windows.read32(offset) for offset in range(0x00, 0x24, 4)] == [0, 0, 0, 0, 0xFFF, 0, 0, 0, 0]


def test_marks_and_function_of_an_outbound_region():
    windows = outbound((0x7000_0000, 0x7000_FFFF, 0x1_0000_0000))
    assert (windows.translate(0x7000_0004), windows.marks(0x7000_0004)) == (0x1_0000_0004, Marks())
    windows.write32(0x00, 5 << 5 | 1 << 8 | 2 << 9)
    assert windows.marks(0x7000_0004) == Marks()  # not in force yet
    windows.write32(0x04, 1 << 31)
    assert windows.marks(0x7000_0004) == Marks(5, 2, digest=True)
    windows.write32(0x00, 1 << 20)
    windows.write32(0x04, 1 << 31)
    assert isinstance(windows.translate(0x7000_0004), Refusal)


def test_the_directions_keep_out_of_each_other():
    endpoint = ReferenceEndpoint(SIZES)
    endpoint.cpu_write32(IATU + 0x214, 0x1111_0000)
    endpoint.cpu_write32(IATU + 0x318, 0x2222_2222, 0b0110)
    read = [endpoint.cpu_read32(IATU + at) for at in (0x214, 0x314, 0x218, 0x318)]
    assert read == [0x1111_0000, 0, 0, 0x0022_2200]
    endpoint.reset()
    assert endpoint.cpu_read32(IATU + 0x214) == endpoint.cpu_read32(IATU + 0x318) == 0


@pytest.mark.parametrize("number", [0, 17])
def test_number_of_outbound_windows(number):
    with pytest.raises(ValueError, match=f"not {number}"):
        OutboundWindows(number)


def test_the_tree_says_how_many(dts):
    tree = dts(("num-ob-windows = <6>", "num-ob-windows = <2>"))
    endpoint = ReferenceEndpoint.of(tree, SIZES)
    for window in (1, 2):
        endpoint.cpu_write32(IATU + window * 0x200 + 0x14, 0x1111_0000)
    assert [endpoint.cpu_read32(IATU + window * 0x200 + 0x14) for window in (1, 2)] == [0x1111_0000, 0]


def test_aperture():
    place = Place("outbound", 0x7000_0000, 0x1000_0000, False)
    assert DEFAULT_MAP.outbound == DEFAULT_MAP["outbound"] == place
    assert AddressMap.of(devicetree.load(devicetree.builtin())).outbound == place
    assert DEFAULT_MAP.find(0x7000_0000) is None, "it is no place for the host"
    assert 0x7FFF_FFFF in place
    assert 0x8000_0000 not in place
    assert 0x6FFF_FFFF not in place


# -- inbound -----------------------------------------------------------------------------------------------------------

HOST = 0x8000_0000


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (HOST + 0x0FFF, NOWHERE),
        (HOST + 0x1000, RAM + 0x7000),
        (HOST + 0x2FFF, RAM + 0x8FFF),
        (HOST + 0x3000, NOWHERE),
        (HOST + 0x1000 + (1 << 32), NOWHERE),
    ],
)
def test_address_match_ends_at_base_and_limit(address, local):
    windows = inbound((HOST + 0x1000, HOST + 0x2FFF, RAM + 0x7000))
    assert windows.translate(0, 0, address & 0x3FFF, address) == local


def test_address_match_needs_an_address():
    assert inbound((0, 0xFFFF_F000, RAM)).translate(0, 0, 0) == NOWHERE


def test_low_bits_of_base_and_limit_are_hard_wired():
    windows = inbound((HOST + 0xABC, HOST + 0x1004, RAM + 0x123))
    assert windows.translate(0, 0, 0, HOST) == RAM
    assert windows.translate(0, 0, 0, HOST + 0x1FFF) == RAM + 0x1FFF
    assert windows.translate(0, 0, 0, HOST + 0x2000) == NOWHERE


def test_a_limit_below_the_base_claims_nothing():
    windows = inbound((HOST + 0x2000, HOST + 0x1FFF, RAM))
    assert [windows.translate(0, 0, 0, HOST + at) for at in (0x1FFF, 0x2000)] == [NOWHERE] * 2


def test_upper_limit_counts_with_increase_region_size_only():
    region = (0x1_F000_0000, 0x2_0FFF_FFFF, 0x10_0000_0000)
    assert inbound(region).translate(0, 0, 0, 0x1_F000_0000) == NOWHERE, "the limit is 0x1_0fff_ffff"
    windows = inbound(region, ctrl1=INCREASE)
    assert windows.translate(0, 0, 0, 0x2_0000_0000) == 0x10_1000_0000
    assert windows.translate(0, 0, 0, 0x2_1000_0000) == NOWHERE


def test_a_target_above_4_gib_is_not_truncated():
    windows = inbound((HOST, HOST + 0xFFF, 0x1_6000_0000))
    assert windows.translate(0, 0, 4, HOST + 4) == 0x1_6000_0004
    assert inbound((HOST, HOST + 0x1FFF, (1 << 64) - 0x1000)).translate(0, 0, 0, HOST + 0x1008) == 8


def test_function_match_of_an_address_window():
    windows = inbound((HOST, HOST + 0xFFF, RAM), ctrl1=5 << 20, ctrl2=ENABLE | FUNCTION_MATCH)
    assert [windows.translate(0, function, 0, HOST) for function in (0, 5)] == [NOWHERE, RAM]


@pytest.mark.parametrize("ctrl1", [2, 4, 5, 0x10])
def test_only_memory_by_address(ctrl1):
    assert inbound((HOST, HOST + 0xFFF, RAM), ctrl1=ctrl1).translate(0, 0, 0, HOST) == NOWHERE


def test_lowest_number_wins_whatever_its_match():
    windows = inbound((HOST + 0x1000, HOST + 0x1FFF, RAM), (HOST, HOST + 0x3FFF, RAM + 0x8000))
    aim(windows.write32, 0x500, 0, 0, MU_B, ctrl2=ENABLE | BAR_MATCH)
    translated = [windows.translate(0, 0, at, HOST + at) for at in (0x0800, 0x1800, 0x2800)]
    assert translated == [RAM + 0x8800, RAM + 0x800, RAM + 0xA800]
    windows.write32(0x304, 0)
    assert windows.translate(0, 0, 0x2800, HOST + 0x2800) == MU_B + 0x2800


def test_a_request_lies_in_one_window():
    windows = inbound((HOST + 0x1000, HOST + 0x1FFF, RAM), (HOST, HOST + 0x3FFF, RAM + 0x8000))
    out = Refusal("it does not end within the window that claims its first byte")
    cases = {(0x0FFC, 5): out, (0x1FFC, 8): out, (0x3FFC, 8): out}
    cases |= {(0x0FFC, 4): RAM + 0x8FFC, (0x2000, 0x2000): RAM + 0xA000}
    assert {case: windows.translate(0, 0, 0, HOST + case[0], case[1]) for case in cases} == cases


def test_windows_tile_a_bar():
    """As BAR_SUBRANGE does: two halves, in the other order."""
    endpoint = ReferenceEndpoint(SIZES)
    for n, target in enumerate((RAM + 0x2000, RAM)):
        base = HOST + n * 0x2000
        aim(endpoint.cpu_write32, IATU + n * 0x200 + 0x100, base, base + 0x1FFF, target)
    data = b"abcd"
    assert endpoint.host_write(2, 0x0010, data, address=HOST + 0x0010) == [RamWrite(RAM + 0x2010, data, 0xF)]
    assert endpoint.host_write(2, 0x3FFC, data, address=HOST + 0x3FFC) == [RamWrite(RAM + 0x1FFC, data, 0xF)]
    assert endpoint.host_read(2, 0x3FFC, 4, address=HOST + 0x3FFC) == data
    assert endpoint.predict_write(2, 0x3FFC, data) == [Refused("no window claims it")]
    assert endpoint.translate(2, 0, 0x10, HOST + 0x10) == RAM + 0x2010


def test_a_doorbell_behind_an_address_window():
    endpoint = ReferenceEndpoint(SIZES)
    aim(endpoint.cpu_write32, IATU + 0x100, HOST + 0x3000, HOST + 0x3FFF, MU_B)
    assert endpoint.host_write(1, 0x3200, b"\x01\0\0\0", address=HOST + 0x3200) == [Ring(0, 1)]
    aim(endpoint.cpu_write32, IATU + 0x100, HOST + 0x3000, HOST + 0x3FFF, MU_B | 1 << 32)
    nothing = [Refused("nothing is at 0x15d300200")]
    assert endpoint.host_write(1, 0x3200, b"\x01\0\0\0", address=HOST + 0x3200) == nothing


def test_a_limit_takes_effect_with_ctrl2():
    windows = inbound((HOST, HOST + 0xFFF, RAM))
    windows.write32(0x110, HOST + 0x1FFF)
    windows.write32(0x108, HOST + 0x1000)
    assert windows.translate(0, 0, 0, HOST) == RAM
    windows.write32(0x104, ENABLE, 0)
    assert windows.translate(0, 0, 0, HOST) == RAM, "no byte of it was written"
    windows.write32(0x104, ENABLE)
    assert [windows.translate(0, 0, 0, HOST + at) for at in (0, 0x1000)] == [NOWHERE, RAM]


@pytest.mark.parametrize("log2", range(7, 22))
def test_bar_match_of_every_size(log2):
    """The BAR's offset goes through; of the target counts what is above both the BAR's size and 4 KiB."""
    size = 1 << log2
    windows = InboundWindows((size, 0, 0, 0, 0, 0))
    aim(windows.write32, 0x100, 0, 0, 0x1_2345_6FFF, ctrl2=ENABLE | BAR_MATCH)
    granule = max(size, 4096)
    base = 0x1_2345_6FFF // granule * granule
    assert [windows.translate(0, 0, at) for at in (0, size // 2, size - 1)] == [base, base + size // 2, base + size - 1]


def test_inbound_against_a_list_of_pages():
    """A model of the model: which page of the bus goes where, filled from the highest window to the lowest."""
    rng = random.Random(7)
    for _ in range(60):
        windows, pages = InboundWindows(SIZES, 6), {}
        regions = [(rng.randrange(16), rng.randrange(16), rng.randrange(256), rng.random() < 0.8) for _ in range(6)]
        for n, (first, last, target, on) in enumerate(regions):
            aim(
                windows.write32,
                n * 0x200 + 0x100,
                HOST + first * 4096,
                HOST + last * 4096,
                target * 4096,
                ctrl2=ENABLE * on,
            )
        for first, last, target, on in reversed(regions):
            if on:
                pages |= {page: (target + page - first) * 4096 for page in range(first, last + 1)}
        for page in range(17):
            expected = pages.get(page)
            wanted = NOWHERE if expected is None else expected + 8
            assert windows.translate(0, 0, 0, HOST + page * 4096 + 8, 4) == wanted


# -- outbound ----------------------------------------------------------------------------------------------------------

APERTURE = 0x7000_0000


def nowhere(address):
    return Refusal(f"no outbound window claims {address:#x}")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (0x7000_0FFC, nowhere(0x7000_0FFC)),
        (0x7000_1000, 0x12_3456_7000),
        (0x7000_2FFC, 0x12_3456_8FFC),
        (0x7000_3000, nowhere(0x7000_3000)),
    ],
)
def test_outbound_translation(address, target):
    assert outbound((0x7000_1000, 0x7000_2FFF, 0x12_3456_7000)).translate(address) == target


def test_outbound_lowest_number_wins():
    windows = outbound((APERTURE + 0x1000, APERTURE + 0x1FFF, 0xA000_0000), (APERTURE, APERTURE + 0x2FFF, 0xB000_0000))
    targets = [windows.translate(APERTURE + at) for at in (0, 0x1000, 0x2000)]
    assert targets == [0xB000_0000, 0xA000_0000, 0xB000_2000]
    assert windows.translate(APERTURE + 0xFFC, 8) == nowhere(APERTURE + 0xFFC)


def test_outbound_upper_half():
    """The processor has 32 address bits: a window with an upper base is out of its reach; one may end above them."""
    region = (1 << 32 | APERTURE, 1 << 32 | APERTURE + 0xFFF, 0)
    assert outbound(region).translate(APERTURE) == nowhere(APERTURE)
    region = (APERTURE, 1 << 32 | 0xFFF, 0xC_0000_0000)
    assert outbound(region).translate(APERTURE) == nowhere(APERTURE)
    assert outbound(region, ctrl1=INCREASE).translate(0x7FFF_FFFC) == 0xC_0FFF_FFFC


@pytest.mark.parametrize("options", [{"ctrl1": 2}, {"ctrl1": 0x10}, {"ctrl2": 0}])
def test_what_keeps_an_outbound_window_out(options):
    assert outbound((APERTURE, APERTURE + 0xFFF, 0), **options).translate(APERTURE) == nowhere(APERTURE)


def test_an_outbound_window_changes_with_ctrl2():
    windows = outbound((APERTURE, APERTURE + 0xFFF, 0xA000_0000))
    windows.write32(0x14, 0xB000_0000)
    assert windows.translate(APERTURE) == 0xA000_0000
    windows.write32(0x04, ENABLE)
    assert windows.translate(APERTURE) == 0xB000_0000
