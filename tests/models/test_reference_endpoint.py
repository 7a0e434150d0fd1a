"""The reference endpoint as the scoreboard uses it: what one observed write must lead to."""

import pytest

from epbell_models import devicetree
from epbell_models.reference.address_map import DEFAULT_MAP, AddressMap, Place
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.inbound import Guard, InboundWindows, Landing, Refusal
from epbell_models.reference.outcome import Ignored, RamWrite, Refused, RegisterWrite, Ring

SIZES = (0x4000, 0x4000, 0x4000, 0x4000, 0x4000, 0x1_0000)
MU_B, RAM, MU_A, IATU, CONTROLLER = 0x5D30_0000, 0x6000_0000, 0x5D27_0000, 0x5F31_0000, 0x5F01_0000
TR0 = {"imx6sx": 0x00, "imx7ulp": 0x20, "imx8ulp": 0x200}
RR0, RSR = 0x280, 0x12C  # imx8ulp
ENABLE, BAR_MATCH, FUNCTION_MATCH = 1 << 31, 1 << 30, 1 << 19


def aim(endpoint, window, bar, target, control=ENABLE | BAR_MATCH, ctrl1=0):
    base = IATU + window * 0x200 + 0x100
    endpoint.cpu_write32(base + 0x14, target & 0xFFFF_FFFF)
    endpoint.cpu_write32(base + 0x18, target >> 32)
    endpoint.cpu_write32(base + 0x00, ctrl1)
    endpoint.cpu_write32(base + 0x04, control | bar << 8)


@pytest.fixture
def endpoint():
    endpoint = ReferenceEndpoint(SIZES)
    aim(endpoint, 0, 0, RAM)
    aim(endpoint, 1, 1, MU_B)
    return endpoint


def word(value):
    return value.to_bytes(4, "little")


@pytest.mark.parametrize("layout", TR0)
@pytest.mark.parametrize("vector", range(4))
def test_a_whole_word_rings_its_vector_only(layout, vector):
    endpoint = ReferenceEndpoint(SIZES, layout=layout)
    aim(endpoint, 0, 1, MU_B)
    assert endpoint.host_write(1, TR0[layout] + 4 * vector, word(0xBE11)) == [Ring(vector, 0xBE11)]
    assert [bell.rung for bell in endpoint.mu.bells()] == [n == vector for n in range(4)]


@pytest.mark.parametrize("enables", [1, 2, 4, 8, 3, 6, 0xC, 7, 0xE])
def test_part_of_a_word_never_rings(endpoint, enables):
    assert endpoint.host_write(1, 0x200, word(1), enables) == [Ignored(0, enables)]
    assert endpoint.mu.bells()[0].rung == 0


def test_a_byte_at_an_odd_offset_never_rings(endpoint):
    assert endpoint.host_write(1, 0x202, b"\xff") == [Ignored(0, 4)]


def test_a_zero_length_write_does_nothing(endpoint):
    assert endpoint.host_write(1, 0x200, word(1), 0) == []
    assert endpoint.host_write(0, 0, word(1), 0) == []


def test_eight_bytes_ring_two_vectors_once_each(endpoint):
    assert endpoint.host_write(1, 0x204, word(1) + word(2)) == [Ring(1, 1), Ring(2, 2)]


def test_a_burst_touches_every_register_once(endpoint):
    outcomes = endpoint.host_write(1, 0x1FC, word(9) + word(0) + word(1) + word(2))
    assert outcomes == [RegisterWrite("mu_b", 0x1FC, 9, 0xF), Ring(0, 0), Ring(1, 1), Ring(2, 2)]


def test_a_long_burst_at_a_register_page_is_refused_whole(endpoint):
    assert isinstance(endpoint.host_write(1, 0x200, bytes(20))[0], Refused)
    assert endpoint.mu.bells()[0].rung == 0


def test_prediction_changes_nothing(endpoint):
    assert endpoint.predict_write(1, 0x200, word(1)) == [Ring(0, 1)]
    assert endpoint.mu.bells()[0].rung == 0


def test_ram_honours_byte_enables(endpoint):
    endpoint.host_write(0, 0x100, bytes(range(8)))
    assert endpoint.host_write(0, 0x100, b"\xff" * 8, 0b0101_1010) == [RamWrite(RAM + 0x100, b"\xff" * 8, 0b0101_1010)]
    assert endpoint.host_read(0, 0x100, 8) == bytes([0, 255, 2, 255, 255, 5, 255, 7])


@pytest.mark.parametrize("bar", [2, 3, 4, 5])
def test_a_bar_without_window_is_refused(endpoint, bar):
    assert endpoint.host_write(bar, 0x200, word(1)) == [Refused("no window claims it")]
    assert isinstance(endpoint.host_read(bar, 0x200, 4), Refusal)
    assert (endpoint.cpu_read32(CONTROLLER + 0x20), endpoint.cpu_read32(CONTROLLER + 0x24)) == (1, 1)


@pytest.mark.parametrize("target", [MU_A, IATU, CONTROLLER, 0x5F09_0000, 0x7000_0000, 0x1_6000_0000])
def test_guard(endpoint, target):
    aim(endpoint, 2, 2, target)
    assert isinstance(endpoint.host_write(2, 0x128, word(1))[0], Refused)
    assert isinstance(endpoint.host_read(2, 0, 4), Refusal)


@pytest.mark.parametrize("place", ["mu_a", "iatu", "controller"])
def test_without_guard_the_page_is_exposed(place):
    endpoint = ReferenceEndpoint(SIZES, guard=False)
    aim(endpoint, 2, 2, DEFAULT_MAP[place].base)
    assert endpoint.host_write(2, 0x128, word(2)) == [RegisterWrite(place, 0x128, 2, 0xF)]
    assert isinstance(endpoint.host_read(2, 0x128, 4), bytes)


def test_without_guard_nothing_is_still_nothing():
    endpoint = ReferenceEndpoint(SIZES, guard=False)
    aim(endpoint, 2, 2, 0x7000_0000)
    assert endpoint.host_write(2, 0, word(1)) == [Refused("nothing is at 0x70000000")]


def test_a_bar_larger_than_the_page_reaches_the_page_only():
    endpoint = ReferenceEndpoint((0, 0x10_0000, 0, 0, 0, 0))
    aim(endpoint, 0, 1, MU_B)
    assert endpoint.host_write(1, 0x200, word(1)) == [Ring(0, 1)]
    assert isinstance(endpoint.host_write(1, 0x1_0200, word(1))[0], Refused)


def test_end_of_the_bar(endpoint):
    assert endpoint.host_write(0, 0x3FFC, word(1)) == [RamWrite(RAM + 0x3FFC, word(1), 0xF)]
    assert isinstance(endpoint.host_write(0, 0x3FFC, bytes(8))[0], Refused)


def test_a_request_that_crosses_4_kib_is_refused(endpoint):
    assert isinstance(endpoint.host_write(0, 0xFFC, bytes(8))[0], Refused)
    assert isinstance(endpoint.host_read(0, 0xFFC, 8), Refusal)


def test_there_is_one_function(endpoint):
    assert endpoint.host_write(1, 0x200, word(1), function=1) == [Refused("there is no function 1")]


def test_reading_a_doorbell_rings_nothing(endpoint):
    endpoint.host_read(1, 0x200, 16)
    assert [tuple(bell) for bell in endpoint.mu.bells()] == [(0, 0, 0)] * 4


@pytest.mark.parametrize(
    ("enables", "taken"),
    [(None, (0, 1, 2)), (0xFFF, (0, 1, 2)), (0xF00, (2,)), (0x0F8, (0, 1)), (0x002, (0,)), (0, ())],
)
def test_a_dword_of_which_nothing_is_read_has_no_side_effects(endpoint, enables, taken):
    """The words that the CPU sent to side B: those that are read are gone from RRn."""
    for number in range(3):
        endpoint.cpu_write32(MU_A + TR0["imx8ulp"] + 4 * number, 0x11 * (number + 1))
    data = endpoint.host_read(1, RR0, 12, enables=enables)
    assert data == b"".join(word(0x11 * (number + 1) if number in taken else 0) for number in range(3))
    full = endpoint.cpu_read32(MU_B + RSR)
    assert full == sum(1 << number for number in range(3) if number not in taken)


class TestWindows:
    def windows(self, control=ENABLE | BAR_MATCH | 1 << 8, ctrl1=0, target=0x5D30_0000):
        windows = InboundWindows(SIZES)
        for offset, value in ((0x14, target), (0x00, ctrl1), (0x04, control)):
            windows.write32(0x100 + offset, value)
        return windows

    def test_low_target_bits_are_dropped(self):
        assert self.windows(target=0x5D30_1FFF).translate(1, 0, 0x200) == 0x5D30_0200

    @pytest.mark.parametrize("control", [BAR_MATCH | 1 << 8, ENABLE | 1 << 8, ENABLE | BAR_MATCH | 2 << 8])
    def test_what_keeps_a_window_out(self, control):
        assert isinstance(self.windows(control=control).translate(1, 0, 0), Refusal)

    @pytest.mark.parametrize("type_", [2, 4, 5, 0x10])
    def test_only_memory(self, type_):
        assert isinstance(self.windows(ctrl1=type_).translate(1, 0, 0), Refusal)

    def test_function_match(self):
        windows = self.windows(control=ENABLE | BAR_MATCH | FUNCTION_MATCH | 1 << 8, ctrl1=3 << 20)
        assert isinstance(windows.translate(1, 0, 0), Refusal)
        assert windows.translate(1, 3, 4) == 0x5D30_0004

    def test_lowest_window_wins(self):
        windows = self.windows()
        windows.write32(0x314, RAM)
        windows.write32(0x304, ENABLE | BAR_MATCH | 1 << 8)
        assert windows.translate(1, 0, 0) == 0x5D30_0000
        windows.write32(0x104, 0)
        assert windows.translate(1, 0, 0) == RAM

    def test_a_retarget_takes_effect_with_ctrl2(self):
        windows = self.windows()
        windows.write32(0x114, RAM)
        windows.write32(0x118, 1)
        assert windows.translate(1, 0, 0) == 0x5D30_0000
        windows.write32(0x104, ENABLE | BAR_MATCH | 1 << 8)
        assert windows.translate(1, 0, 0) == 1 << 32 | RAM

    def test_writable_bits_and_granularity(self):
        windows = InboundWindows(SIZES)
        for offset in range(0x100, 0x124, 4):
            windows.write32(offset, 0xFFFF_FFFF)
        read = [windows.read32(offset) for offset in range(0x100, 0x124, 4)]
        ones, target = 0xFFFF_FFFF, 0xFFFF_F000
        assert read == [0x01F0_211F, 0xD048_0700, target, ones, ones, target, ones, 0, ones]

    def test_byte_strobes(self):
        windows = InboundWindows(SIZES)
        windows.write32(0x118, 0x1122_3344, 0b0101)
        assert windows.read32(0x118) == 0x0022_0044

    def test_regions_that_are_not_built_read_zero(self):
        windows = InboundWindows(SIZES, 2)
        windows.write32(0x514, 0x1111_0000)
        windows.write32(0x314, 0x1111_0000)
        assert (windows.read32(0x514), windows.read32(0x314)) == (0, 0x1111_0000)

    @pytest.mark.parametrize("number", [0, 17])
    def test_number_of_windows(self, number):
        with pytest.raises(ValueError, match=f"not {number}"):
            InboundWindows(SIZES, number)


def test_guard_says_where():
    assert Guard(DEFAULT_MAP).check(RAM) == Landing(DEFAULT_MAP["ram"], RAM)


def test_controller_identity_and_bells(endpoint):
    for _ in range(3):
        endpoint.host_write(1, 0x208, word(5))
    endpoint.cpu_read32(MU_A + 0x288)
    endpoint.host_write(1, 0x208, word(5))
    bells = [endpoint.cpu_read32(CONTROLLER + 0x120 + 4 * n) for n in range(3)]
    assert bells == [4, 2, 1]
    assert endpoint.cpu_read32(CONTROLLER) == 0x4550_424C
    assert endpoint.cpu_read32(CONTROLLER + 8) >> 8 == 6 | 4 << 8 | 1 << 16 | 1 << 19
    endpoint.cpu_write32(CONTROLLER + 0x40, 1)
    assert [endpoint.cpu_read32(CONTROLLER + 0x120 + 4 * n) for n in range(3)] == [0, 0, 0]


def test_msi_queue(endpoint):
    controller = endpoint.controller
    for vector in range(40):
        endpoint.cpu_write32(CONTROLLER + 0x10, vector)
    assert controller.next_msi() is None, "the host has not enabled MSI"
    controller.enabled = controller.master = True
    sent = []
    while (vector := controller.next_msi()) is not None:
        sent.append(vector)
    assert sent == [0], "one vector is granted: they are all the same"
    assert [endpoint.cpu_read32(CONTROLLER + at) for at in (0x18, 0x1C, 0xB0, 0xB4)] == [1, 0, 32, 8]


def test_reset_clears_everything_but_ram(endpoint):
    endpoint.host_write(0, 0, word(7))
    endpoint.cpu_write32(MU_A + 0x128, 0xF)
    endpoint.host_write(1, 0x200, word(1))
    assert endpoint.irq_mu
    endpoint.reset()
    assert not endpoint.irq_mu
    assert isinstance(endpoint.host_write(1, 0x200, word(1))[0], Refused)
    assert endpoint.cpu_read32(RAM) == 7


def test_map_of_the_shipped_tree_is_the_default():
    assert AddressMap.of(devicetree.load(devicetree.builtin())) == DEFAULT_MAP


MU_AT = (0x5D27_0000, 0x5D30_0000)
TREES = {
    "imx8": ("imx8ulp", MU_AT, 0x5F09_0000, "unroll", (4, 4), (0x4C, 0xA0), 1, None),
    "imx8-edma": ("imx8ulp", MU_AT, 0x5F09_0000, "unroll", (4, 4), (0x4C, 0xA0), 1, None),
    "rk3588": ("imx8ulp", MU_AT, 0xF438_0000, "unroll", (2, 2), (0x4C, 0xA0), 4, 4),
    "hdma": ("imx8ulp", MU_AT, 0x4038_0000, "hdma", (4, 4), (), 1, None),
    "msi-enospc": ("imx8ulp", MU_AT, 0x5F09_0000, "unroll", (4, 4), (0x4C, 0xA0), 1, None),
    "msi-enomem": ("imx8ulp", MU_AT, 0x5F09_0000, "unroll", (4, 4), (0x4C, 0xA0), 1, None),
}


@pytest.mark.parametrize("name", TREES)
def test_endpoint_of_each_shipped_tree(name):
    layout, sides, page, personality, channels, words, lines, fixed_bar = TREES[name]
    endpoint = ReferenceEndpoint.of(devicetree.load(devicetree.builtin(name)), SIZES)
    assert endpoint.mu.layout == layout
    assert (endpoint.map["mu_a"].base, endpoint.map["mu_b"].base) == sides
    edma = endpoint.edma
    assert (edma.personality, (edma.write_channels, edma.read_channels)) == (personality, channels)
    assert endpoint.map["edma"] == Place("edma", page, 0x1_0000, True, words)
    assert (endpoint.edma_lines, endpoint.fixed_bar) == (lines, fixed_bar)


def test_the_trees_above_are_all_that_ship():
    assert set(TREES) == set(devicetree.shipped())


def test_legacy_edma_of_a_tree(dts):
    tree = dts(('"regs", "atu", "dma"', '"regs", "atu", "dbi"'))
    endpoint = ReferenceEndpoint.of(tree, SIZES, guard=False)
    assert endpoint.map["edma"] == Place("edma", 0x5F09_0000, 0x1_0000, True, (0x9BC, 0xA10))
    assert AddressMap.of(tree)["edma"] == endpoint.map["edma"]
    assert endpoint.cpu_read32(0x5F09_0978) == 0x0004_0004
    aim(endpoint, 0, 1, 0x5F09_0000)
    assert isinstance(endpoint.host_read(1, 0x978, 4), bytes), "no guard was asked for"


def test_windows_and_layout_of_a_tree(dts):
    tree = dts(("num-ib-windows = <6>", "num-ib-windows = <2>"), ("fsl,imx8ulp-mu-msi", "fsl,imx7ulp-mu-msi"))
    endpoint = ReferenceEndpoint.of(tree, SIZES)
    assert endpoint.mu.layout == "imx7ulp"
    endpoint.cpu_write32(IATU + 0x514, 0x1111_0000)
    assert endpoint.cpu_read32(IATU + 0x514) == 0


def test_layout_is_checked():
    with pytest.raises(ValueError, match="not 'imx93'"):
        ReferenceEndpoint(SIZES, layout="imx93")
