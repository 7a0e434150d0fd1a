"""The eDMA in the reference endpoint: guard, fixed BAR, controller page, lines."""

import pytest

from epbell_models.platform import VirtualPlatform
from epbell_models.reference.address_map import DEFAULT_MAP
from epbell_models.reference.edma import EdmaPage
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.inbound import Guard, Landing, Refusal
from epbell_models.reference.link import ReferenceLink
from epbell_models.reference.outcome import Kick, RamWrite, Refused, RegisterWrite, Ring

SIZES = (0x4000, 0x4000, 0x4000, 0x4000, 0x4000, 0x10_0000)
EDMA, MU_B, RAM, IATU, CONTROLLER = 0x5F09_0000, 0x5D30_0000, 0x6000_0000, 0x5F31_0000, 0x5F01_0000
DOORBELLS = {"unroll": (0x4C, 0xA0), "legacy": (0x9BC, 0xA10), "hdma": ()}
READ_CLEAR = EDMA + 0xAC
SINGLE_WORDS_ONLY = "the guard lets the host reach single doorbell words of edma only"
ZERO = bytes(4)


def aim(endpoint, window, bar, target):
    base = IATU + window * 0x200 + 0x100
    for offset, value in ((0x14, target), (0x18, 0), (0x00, 0), (0x04, 0xC000_0000 | bar << 8)):
        endpoint.cpu_write32(base + offset, value)


def build(personality="unroll", **options):
    """Return an endpoint whose BAR1 shows the eDMA page, BAR0 RAM and BAR2 the doorbells of the MU."""
    endpoint = ReferenceEndpoint(SIZES, edma=EdmaPage(personality), **options)
    for bar, target in enumerate((RAM, EDMA, MU_B)):
        aim(endpoint, bar, bar, target)
    return endpoint


@pytest.fixture
def endpoint():
    return build()


def counted(endpoint):
    """Return writes and reads refused."""
    return endpoint.cpu_read32(CONTROLLER + 0x20), endpoint.cpu_read32(CONTROLLER + 0x24)


@pytest.mark.parametrize("offset", [0x4C, 0xA0])
@pytest.mark.parametrize("data", [0, 1, 2, 0xFFFF_FFFF])
def test_a_store_to_a_doorbell_kicks(endpoint, offset, data):
    assert endpoint.host_write(1, offset, data.to_bytes(4, "little")) == [Kick(offset, data, 0xF)]
    assert endpoint.irq_edma
    assert not endpoint.irq_mu
    assert counted(endpoint) == (0, 0)
    endpoint.cpu_write32(READ_CLEAR, 0)
    assert not endpoint.irq_edma


@pytest.mark.parametrize("enables", range(1, 16))
def test_any_byte_of_it_kicks(endpoint, enables):
    assert endpoint.host_write(1, 0xA0, ZERO, enables) == [Kick(0xA0, 0, enables)]
    assert endpoint.edma.rung == 1


@pytest.mark.parametrize(("offset", "data", "strobes"), [(0xA2, b"\x12", 4), (0xA1, b"\x12\x34", 6)])
def test_bytes_within_the_word_kick(endpoint, offset, data, strobes):
    (kick,) = endpoint.host_write(1, offset, data)
    assert (kick.offset, kick.strobes) == (0xA0, strobes)
    assert endpoint.irq_edma


def test_a_zero_length_write_does_not_kick(endpoint):
    assert endpoint.host_write(1, 0xA0, ZERO, 0) == []
    assert not endpoint.irq_edma
    assert counted(endpoint) == (0, 0)


def test_prediction_changes_nothing(endpoint):
    assert endpoint.predict_write(1, 0xA0, ZERO) == [Kick(0xA0, 0, 0xF)]
    assert endpoint.edma.rung == 0


@pytest.mark.parametrize("personality", DOORBELLS)
def test_guard_word_by_word(personality):
    endpoint = build(personality)
    for offset in range(0, 0x1000, 4):
        allowed = offset in DOORBELLS[personality]
        before = counted(endpoint)
        outcomes = endpoint.host_write(1, offset, ZERO)
        assert outcomes == ([Kick(offset, 0, 0xF)] if allowed else [Refused(SINGLE_WORDS_ONLY)]), hex(offset)
        answer = endpoint.host_read(1, offset, 4)
        assert answer == (ZERO if allowed else Refusal(SINGLE_WORDS_ONLY)), hex(offset)
        refused = not allowed
        assert counted(endpoint) == (before[0] + refused, before[1] + refused)
    assert endpoint.edma.rung == len(DOORBELLS[personality])


@pytest.mark.parametrize(
    ("offset", "length"), [(0xA0, 8), (0x9C, 8), (0xA2, 4), (0x9F, 2), (0x4C, 12), (0x48, 16), (0xA0, 64), (0x40, 128)]
)
def test_more_than_the_word_is_refused_whole(endpoint, offset, length):
    assert endpoint.host_write(1, offset, bytes(length)) == [Refused(SINGLE_WORDS_ONLY)]
    assert endpoint.host_read(1, offset, length) == Refusal(SINGLE_WORDS_ONLY)
    assert endpoint.edma.rung == 0
    assert counted(endpoint) == (1, 1)


@pytest.mark.parametrize(("offset", "length"), [(0xA0, 1), (0xA3, 1), (0xA1, 2), (0xA0, 4)])
def test_reading_the_word_shows_done_and_abort_only(endpoint, offset, length):
    endpoint.edma.pulse(rd_done=0x9, rd_abort=0x6)
    endpoint.host_write(1, 0xA0, b"\xff" * 4)
    skip = offset - 0xA0
    assert endpoint.host_read(1, offset, length) == bytes([0x9, 0, 0x6, 0])[skip : skip + length]
    assert endpoint.irq_edma
    assert (endpoint.edma.rung, endpoint.edma.merged, endpoint.edma.delivered) == (1, 0, 0)


def test_without_guard_the_page_is_as_silicon_has_it():
    endpoint = build(guard=False)
    assert endpoint.host_write(1, 0x54, ZERO) == [RegisterWrite("edma", 0x54, 0, 0xF)]
    assert endpoint.host_read(1, 0x54, 4) == ZERO
    assert endpoint.host_read(1, 0x08, 4) == bytes([4, 0, 4, 0])
    assert endpoint.host_write(1, 0x9C, bytes(8)) == [RegisterWrite("edma", 0x9C, 0, 0xF), Kick(0xA0, 0, 0xF)]
    assert endpoint.irq_edma
    assert endpoint.host_write(1, 0xA8, bytes(8))[1] == RegisterWrite("edma", 0xAC, 0, 0xF)
    assert not endpoint.irq_edma, "the host can take the doorbell back"
    assert endpoint.host_write(1, 0x3C, bytes(20)) == [Refused("a write of 5 dwords is too long for a register page")]
    assert endpoint.edma.rung == 1


def test_without_guard_hdma_has_no_doorbell_either():
    endpoint = build("hdma", guard=False)
    for offset in range(0, 0x1000, 4):
        assert endpoint.host_write(1, offset, b"\xff" * 4) == [RegisterWrite("edma", offset, 0xFFFF_FFFF, 0xF)]
    assert not endpoint.irq_edma


def test_the_guard_knows_the_words_of_the_map():
    guard = Guard(DEFAULT_MAP)
    assert guard.check(EDMA + 0xA0) == Landing(DEFAULT_MAP["edma"], EDMA + 0xA0)
    assert isinstance(guard.check(EDMA + 0xA4), Refusal)
    assert isinstance(guard.check(EDMA + 0xA0, 5), Refusal)
    assert isinstance(guard.check(MU_B + 0x200, 16), Landing)
    assert isinstance(Guard(DEFAULT_MAP, enabled=False).check(EDMA + 0xA4, 16), Landing)


def test_the_guard_follows_the_personality():
    assert ReferenceEndpoint(SIZES, edma=EdmaPage("legacy")).map["edma"].words == (0x9BC, 0xA10)
    assert ReferenceEndpoint(SIZES, edma=EdmaPage("hdma")).map["edma"].words == ()


class TestFixedBar:
    @pytest.fixture
    def endpoint(self):
        return ReferenceEndpoint(SIZES, fixed_bar=4)

    def test_it_shows_the_page_without_any_window(self, endpoint):
        assert endpoint.host_write(4, 0xA0, ZERO) == [Kick(0xA0, 0, 0xF)]
        assert endpoint.host_read(4, 0xA0, 4) == ZERO
        assert endpoint.irq_edma

    def test_no_window_changes_that(self, endpoint):
        aim(endpoint, 0, 4, RAM)
        assert endpoint.host_write(4, 0x4C, ZERO) == [Kick(0x4C, 0, 0xF)]
        assert endpoint.host_write(4, 0, ZERO) == [Refused(SINGLE_WORDS_ONLY)]
        assert endpoint.cpu_read32(RAM) == 0

    def test_the_other_bars_go_by_their_windows(self, endpoint):
        assert endpoint.host_write(1, 0xA0, ZERO) == [Refused("no window claims it")]
        aim(endpoint, 0, 1, EDMA)
        assert endpoint.host_write(1, 0xA0, ZERO) == [Kick(0xA0, 0, 0xF)]
        aim(endpoint, 1, 0, RAM)
        assert endpoint.host_write(0, 0, b"\x01\0\0\0") == [RamWrite(RAM, b"\x01\0\0\0", 0xF)]

    def test_the_guard_applies(self, endpoint):
        for offset in range(0, 0x1000, 4):
            kicks = offset in (0x4C, 0xA0)
            assert isinstance(endpoint.predict_write(4, offset, ZERO)[0], Kick if kicks else Refused), hex(offset)

    def test_without_guard_it_is_the_whole_page(self):
        endpoint = ReferenceEndpoint(SIZES, fixed_bar=4, guard=False)
        assert endpoint.host_read(4, 0x54, 4) == bytes([0xF, 0, 0xF, 0])

    @pytest.mark.parametrize("guard", [True, False])
    def test_beyond_the_page_is_nothing(self, guard):
        endpoint = ReferenceEndpoint((0, 0, 0, 0, 0x100_0000, 0), fixed_bar=4, guard=guard)
        for offset in (0x1_0000, 0x1_00A0, IATU - EDMA, 0xFF_FFFC):
            assert isinstance(endpoint.host_write(4, offset, ZERO)[0], Refused)
            assert isinstance(endpoint.host_read(4, offset, 4), Refusal)
        assert counted(endpoint) == (4, 4)

    def test_there_is_one_function(self, endpoint):
        assert endpoint.host_write(4, 0xA0, ZERO, function=1) == [Refused("there is no function 1")]

    def test_hdma_has_nothing_to_show(self):
        endpoint = ReferenceEndpoint(SIZES, edma=EdmaPage("hdma"), fixed_bar=4)
        assert endpoint.host_write(4, 0xA0, ZERO) == [Refused(SINGLE_WORDS_ONLY)]

    @pytest.mark.parametrize("bar", [-1, 6, 0])
    def test_it_is_a_bar_that_exists(self, bar):
        with pytest.raises(ValueError, match=f"exists, not {bar}"):
            ReferenceEndpoint((0, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000), fixed_bar=bar)


def test_mu_and_edma_ring_apart(endpoint):
    assert endpoint.host_write(2, 0x200, ZERO) == [Ring(0, 0)]
    assert endpoint.edma.rung == 0
    endpoint.host_write(1, 0xA0, ZERO)
    assert endpoint.mu.bells()[0].rung == 1
    endpoint.cpu_write32(READ_CLEAR, 0)
    assert endpoint.mu.unread("b") == 1


def test_the_controller_counts_the_bell(endpoint):
    registers = [CONTROLLER + offset for offset in (0x140, 0x144, 0x148, 0x14C)]
    for _ in range(3):
        endpoint.host_write(1, 0xA0, ZERO)
    endpoint.cpu_write32(READ_CLEAR, 0)
    endpoint.cpu_write32(EDMA + 0x4C, 0)
    assert [endpoint.cpu_read32(register) for register in registers] == [4, 2, 1, 0]
    assert [endpoint.cpu_read32(CONTROLLER + offset) for offset in (0x100, 0x130)] == [0, 0]
    endpoint.cpu_write32(CONTROLLER + 0x40, 1)
    endpoint.host_write(1, 0xA0, ZERO)
    assert [endpoint.cpu_read32(register) for register in registers] == [1, 1, 0, 0]


@pytest.mark.parametrize(("personality", "number"), [("unroll", 0), ("legacy", 1), ("hdma", 2)])
@pytest.mark.parametrize("lines", [1, 4, 16])
def test_features(personality, number, lines):
    endpoint = build(personality, edma_lines=lines)
    assert endpoint.cpu_read32(CONTROLLER + 8) == 6 << 8 | 4 << 16 | 1 << 24 | number << 25 | lines << 27


@pytest.mark.parametrize("lines", [0, 17])
def test_number_of_lines(lines):
    with pytest.raises(ValueError, match=f"1 to 16 interrupt lines, not {lines}"):
        ReferenceEndpoint(SIZES, edma_lines=lines)


def test_reset(endpoint):
    for _ in range(2):
        endpoint.host_write(1, 0xA0, ZERO)
    endpoint.reset()
    assert not endpoint.irq_edma
    assert [endpoint.cpu_read32(CONTROLLER + offset) for offset in (0x140, 0x144, 0x148)] == [0, 0, 0]
    assert endpoint.host_write(1, 0xA0, ZERO) == [Refused("no window claims it")]
    endpoint.cpu_write32(EDMA + 0xA0, 0)
    assert endpoint.cpu_read32(CONTROLLER + 0x140) == 1


@pytest.mark.parametrize("lines", [1, 4])
def test_all_lines_of_the_link_carry_the_level(lines):
    platform = VirtualPlatform()
    endpoint = build(edma_lines=lines)
    link = ReferenceLink(platform, endpoint)

    async def levels(address, value):
        await link.cpu.write32(address, value)
        return [line.level() for line in link.irq_edma]

    async def main():
        assert await levels(EDMA + 0xA0, 0) == [True] * lines
        assert await levels(READ_CLEAR, 0) == [False] * lines
        assert await levels(EDMA + 0x200, 8) == [False] * lines
        link.pulse(wr_done=1)
        assert not link.irq_edma[0].level(), "masked"
        assert await levels(EDMA + 0x54, 0) == [True] * lines
        link.pulse(rd_abort=2)
        assert await link.cpu.read32(EDMA + 0xA0) == 0x0002_0000
        assert await levels(EDMA + 0x58, 1) == [False] * lines
        assert not link.irq_mu.level()
        return [line.rises for line in link.irq_edma]

    assert platform.run(main()) == [2] * lines


def test_lines_of_the_link_may_be_fewer_than_those_built():
    assert len(ReferenceLink(VirtualPlatform(), build(edma_lines=4), lines=1).irq_edma) == 1
