"""The reference eDMA page against the documents, register by register and tie by tie."""

import random

import pytest

from epbell_models.reference.edma import EdmaPage

BASE = {"unroll": 0, "legacy": 0x970}
WRITE_STATUS, READ_STATUS = 0x4C, 0xA0
WRITE_MASK, READ_MASK = 0x54, 0xA8
WRITE_CLEAR, READ_CLEAR = 0x58, 0xAC
STATUS = {"wr": WRITE_STATUS, "rd": READ_STATUS}
MASK = {"wr": WRITE_MASK, "rd": READ_MASK}
CLEAR = {"wr": WRITE_CLEAR, "rd": READ_CLEAR}
ERROR = {"wr": 0x5C, "rd": 0xB4}
VIEWPORT = 0xFC
LIE = 8


class Driver:
    """What software does, the same in both maps; offsets relative to the registers' base."""

    def __init__(self, personality="unroll", write_channels=4, read_channels=4, base=None):
        self.page = EdmaPage(personality, write_channels, read_channels, base)
        self.legacy = personality == "legacy"
        self.base = BASE[personality] if base is None else base

    def read(self, offset):
        return self.page.read32(self.base + offset)

    def write(self, offset, value, strobes=0xF):
        self.page.write32(self.base + offset, value, strobes)

    def step(self, write=None, read=None, **inputs):
        if write is not None:
            write = (self.base + write[0], *write[1:])
        return self.page.step(write, None if read is None else self.base + read, **inputs)

    def channel(self, way, n):
        """Make a channel's block reachable and return where it is."""
        if self.legacy:
            self.write(VIEWPORT, n | (1 << 31 if way == "rd" else 0))
            return 0x100
        return 0x200 + 0x200 * n + (0x100 if way == "rd" else 0)

    def unmask(self, way, n):
        self.write(self.channel(way, n), LIE)
        self.write(MASK[way], self.read(MASK[way]) & ~(0x1_0001 << n))

    @property
    def accounts(self):
        return self.page.rung, self.page.merged, self.page.delivered, self.page.latched


@pytest.fixture(params=BASE)
def edma(request):
    return Driver(request.param)


@pytest.fixture(params=["wr", "rd"])
def way(request):
    return request.param


# -- emulation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [0, 1, 2, 0x00FF_00FF, 0xFFFF_FFFF])
def test_a_write_of_any_data_asserts(edma, way, data):
    edma.write(STATUS[way], data)
    assert edma.page.irq
    assert edma.page.latched
    assert (edma.read(WRITE_STATUS), edma.read(READ_STATUS)) == (0, 0), "only DONE and ABORT show"


@pytest.mark.parametrize("strobes", range(1, 16))
def test_any_byte_asserts(edma, way, strobes):
    edma.write(STATUS[way], 0, strobes)
    assert edma.accounts == (1, 0, 0, True)


def test_a_write_without_bytes_does_nothing(edma, way):
    edma.write(STATUS[way], 0, 0)
    assert not edma.page.irq
    edma.page.ring()
    edma.write(CLEAR[way], 0xFFFF_FFFF, 0)
    assert edma.page.irq
    assert edma.accounts == (1, 0, 0, True)


@pytest.mark.parametrize("data", [0, 1, 0xFFFF_FFFF])
@pytest.mark.parametrize("strobes", [1, 2, 4, 8, 0xF])
@pytest.mark.parametrize("rung", ["wr", "rd"])
def test_either_clear_with_any_data_deasserts(edma, way, rung, data, strobes):
    edma.write(STATUS[rung], 0)
    edma.write(CLEAR[way], data, strobes)
    assert not edma.page.irq
    assert edma.accounts == (1, 0, 1, False)


def test_the_line_is_a_level(edma):
    edma.page.ring()
    for _ in range(100):
        edma.step(read=READ_STATUS)
        assert edma.page.irq
    edma.write(READ_CLEAR, 0)
    assert not edma.page.irq


def test_masks_and_engines_do_not_gate(edma):
    edma.write(WRITE_MASK, 0xFFFF_FFFF)
    edma.write(READ_MASK, 0xFFFF_FFFF)
    edma.write(0x0C, 0)
    edma.write(0x2C, 0)
    edma.write(READ_STATUS, 0)
    assert edma.page.irq


def test_only_two_words_ring(edma):
    for offset in range(0, 0x10000, 4):
        edma.page.write32(offset, 0)
    assert edma.page.rung == 2
    assert edma.page.doorbells == (edma.base + 0x4C, edma.base + 0xA0)


def test_doorbells_are_where_silicon_has_them():
    assert EdmaPage("unroll").doorbells == (0x4C, 0xA0)
    assert EdmaPage("legacy").doorbells == (0x9BC, 0xA10)


def test_any_byte_address_of_the_word_rings(edma):
    for byte in range(4):
        edma.write(READ_STATUS + byte, 0)
    assert edma.page.rung == 4


def test_a_base_of_its_own():
    edma = Driver(base=0x1000)
    assert edma.page.doorbells == (0x104C, 0x10A0)
    assert (edma.page.read32(0x1008), edma.page.read32(0x8)) == (0x0004_0004, 0)


# -- ties and accounting -----------------------------------------------------------------------------------------------


def test_set_wins_over_clear(edma, way):
    edma.page.ring()
    edma.step((CLEAR[way], 0, 0xF), ring=True)
    assert edma.page.irq
    assert edma.accounts == (2, 0, 1, True), "the first was delivered, the second waits"


def test_a_clear_that_finds_nothing_delivers_nothing(edma, way):
    edma.write(CLEAR[way], 0)
    assert edma.accounts == (0, 0, 0, False)
    edma.step((CLEAR[way], 0, 0xF), ring=True)
    assert edma.accounts == (1, 0, 0, True)


def test_two_rings_of_a_clock_merge(edma, way):
    edma.step((STATUS[way], 0, 0xF), ring=True)
    assert edma.accounts == (2, 1, 0, True)
    edma.step((STATUS[way], 0, 0xF), ring=True)
    assert edma.accounts == (4, 3, 0, True)


def test_a_ring_that_finds_the_latch_set_merges(edma):
    for _ in range(5):
        edma.page.ring()
    assert edma.accounts == (5, 4, 0, True)
    edma.write(READ_CLEAR, 0)
    assert edma.accounts == (5, 4, 1, False)


@pytest.mark.parametrize("personality", BASE)
@pytest.mark.parametrize("seed", range(5))
def test_accounts_balance_and_the_last_event_decides(personality, seed):
    chance = random.Random(f"{personality} {seed}")
    edma = Driver(personality)
    last_ring = last_clear = -1
    total = delivered = 0
    for clock in range(2000):
        offset = chance.choice([WRITE_STATUS, READ_STATUS, WRITE_CLEAR, READ_CLEAR, WRITE_MASK, 0x200, None, None])
        strobes, ring = chance.randrange(16), chance.random() < 0.2
        write = None if offset is None else (offset, chance.getrandbits(32), strobes)
        edma.step(write, ring=ring)
        rings = ring + (offset in (WRITE_STATUS, READ_STATUS) and strobes != 0)
        if offset in (WRITE_CLEAR, READ_CLEAR) and strobes:
            delivered += last_ring >= 0 and last_ring >= last_clear
            last_clear = clock
        if rings:
            last_ring, total = clock, total + rings
        latched = last_ring >= 0 and last_ring >= last_clear
        assert edma.page.irq == edma.page.latched == latched
        assert edma.page.rung == total == edma.page.merged + edma.page.delivered + latched
    assert edma.page.delivered == delivered
    assert min(edma.page.merged, edma.page.delivered) > 100


def test_no_ring_is_lost_in_any_clock_around_the_acknowledgement(edma):
    for when in range(4):
        edma.page.reset()
        edma.page.ring()
        for clock in range(4):
            edma.step((WRITE_CLEAR, 0, 0xF) if clock == 1 else (READ_CLEAR, 0, 0xF) if clock == 2 else None,
                      ring=clock == when)  # fmt: skip
        assert edma.page.irq == (when >= 2), "before the last clear it is seen by the handler that follows the clear"


# -- DONE and ABORT ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(4))
def test_pulses_show_in_the_status_of_their_way(edma, way, n):
    edma.page.pulse(**{f"{way}_done": 1 << n})
    assert (edma.read(STATUS[way]), edma.read(ERROR[way])) == (1 << n, 0)
    edma.page.pulse(**{f"{way}_abort": 1 << n})
    assert (edma.read(STATUS[way]), edma.read(ERROR[way])) == (0x1_0001 << n, 1 << n)
    other = {"wr": "rd", "rd": "wr"}[way]
    assert (edma.read(STATUS[other]), edma.read(ERROR[other])) == (0, 0)
    assert edma.accounts == (0, 0, 0, False)


@pytest.mark.parametrize("n", range(4))
@pytest.mark.parametrize(("kind", "bit"), [("done", 0), ("abort", 16)])
def test_the_line_wants_lie_and_no_mask(edma, way, n, kind, bit):
    edma.page.pulse(**{f"{way}_{kind}": 1 << n})
    assert not edma.page.irq
    control = edma.channel(way, n)
    edma.write(control, 0xFFFF_FFFF & ~LIE)
    edma.write(MASK[way], 0)
    assert not edma.page.irq, "without LIE"
    edma.write(control, LIE)
    assert edma.page.irq
    edma.write(MASK[way], 0x000F_000F)
    assert not edma.page.irq
    edma.write(MASK[way], 0x000F_000F & ~(1 << n + bit))
    assert edma.page.irq, "the mask's own half counts"
    edma.write(MASK[way], 1 << n + bit)
    assert not edma.page.irq


def test_lie_of_another_channel_does_not_count(edma, way):
    edma.write(MASK[way], 0)
    edma.write(edma.channel(way, 1), LIE)
    edma.write(edma.channel({"wr": "rd", "rd": "wr"}[way], 0), LIE)
    edma.page.pulse(**{f"{way}_done": 1})
    assert not edma.page.irq


def test_clear_takes_the_bits_written_one(edma, way):
    edma.page.pulse(**{f"{way}_done": 0xF, f"{way}_abort": 0xF})
    edma.write(CLEAR[way], 0x0008_0001)
    assert (edma.read(STATUS[way]), edma.read(ERROR[way])) == (0x0007_000E, 0x7)
    edma.write(CLEAR[way], 0xFFFF_FFFF, 0b0100)
    assert (edma.read(STATUS[way]), edma.read(ERROR[way])) == (0x0000_000E, 0)
    edma.write(CLEAR[way], 0xFFFF_FFFF, 0b1010)
    assert edma.read(STATUS[way]) == 0x0000_000E
    edma.write(CLEAR[way], 0xFFFF_FFFF, 0b0001)
    assert edma.read(STATUS[way]) == 0
    assert edma.read(CLEAR[way]) == 0


def test_clear_is_for_its_own_way_and_zero_takes_nothing(edma, way):
    edma.page.pulse(**{f"{way}_done": 0xF, f"{way}_abort": 0xF})
    edma.page.ring()
    edma.write(CLEAR[{"wr": "rd", "rd": "wr"}[way]], 0xFFFF_FFFF)
    edma.write(CLEAR[way], 0)
    assert edma.read(STATUS[way]) == 0x000F_000F
    assert not edma.page.irq


def test_writing_the_status_leaves_done_and_abort(edma, way):
    edma.page.pulse(**{f"{way}_done": 0x5, f"{way}_abort": 0xA})
    for data in (0, 0xFFFF_FFFF):
        edma.write(STATUS[way], data)
        assert edma.read(STATUS[way]) == 0x000A_0005


def test_a_pulse_in_the_clock_of_its_clear_stays(edma, way):
    edma.page.pulse(**{f"{way}_done": 0x3, f"{way}_abort": 0x3})
    edma.step((CLEAR[way], 0x00FF_00FF, 0xF), **{f"{way}_done": 0x2, f"{way}_abort": 0x1})
    assert (edma.read(STATUS[way]), edma.read(ERROR[way])) == (0x0001_0002, 0x1)


def test_done_with_a_ring_and_its_clear_keeps_the_line(edma, way):
    edma.unmask(way, 2)
    edma.step(ring=True, **{f"{way}_done": 4})
    edma.write(CLEAR[way], 0)
    assert edma.page.irq, "the completion still asks"
    edma.write(CLEAR[way], 4)
    assert not edma.page.irq


def test_a_read_shows_the_state_before_the_edge(edma, way):
    assert edma.step((MASK[way], 0, 0xF), MASK[way]) == 0x000F_000F
    assert edma.step(read=STATUS[way], **{f"{way}_done": 1}) == 0
    assert edma.step((CLEAR[way], 1, 0xF), STATUS[way]) == 1
    assert edma.step(read=STATUS[way]) == 0


# -- registers ---------------------------------------------------------------------------------------------------------


def test_values_after_reset(edma):
    values = {0x08: 0x0004_0004, WRITE_MASK: 0x000F_000F, READ_MASK: 0x000F_000F}
    for offset in range(0, 0x10000, 4):
        assert edma.page.read32(offset) == values.get(offset - edma.base, 0), hex(offset)


@pytest.mark.parametrize(("write", "read"), [(1, 8), (8, 1), (2, 2), (8, 8)])
@pytest.mark.parametrize("personality", BASE)
def test_channels_that_are_not_built(personality, write, read):
    edma = Driver(personality, write, read)
    assert edma.read(0x08) == read << 16 | write
    for way, count in (("wr", write), ("rd", read)):
        ones = (1 << count) - 1
        edma.write(MASK[way], 0xFFFF_FFFF)
        assert edma.read(MASK[way]) == ones << 16 | ones
        edma.page.pulse(**{f"{way}_done": 0xFF, f"{way}_abort": 0xFF})
        assert edma.read(STATUS[way]) == ones << 16 | ones
        for n in range(8):
            block = edma.channel(way, n)
            edma.write(block + 0x04, 0x1234_5678)
            assert edma.read(block + 0x04) == (0x1234_5678 if n < count else 0)


WRITABLE = {
    0x000: 0xFFFF_FFFF,
    0x00C: 0x1,
    0x010: 0x8000_0007,
    0x018: 0xFFFF_FFFF,
    0x01C: 0xFFFF_FFFF,
    0x02C: 0x1,
    0x030: 0x8000_0007,
    0x038: 0xFFFF_FFFF,
    0x03C: 0xFFFF_FFFF,
    0x054: 0x000F_000F,
    **dict.fromkeys((0x060, 0x064, 0x068, 0x06C, 0x070, 0x074), 0xFFFF_FFFF),
    0x090: 0x000F_000F,
    0x0A8: 0x000F_000F,
    0x0C4: 0x000F_000F,
    **dict.fromkeys((0x0CC, 0x0D0, 0x0D4, 0x0D8, 0x0DC, 0x0E0), 0xFFFF_FFFF),
}
BLOCK = {0x00: 0x37F, **dict.fromkeys(range(0x04, 0x24, 4), 0xFFFF_FFFF)}


def test_writable_bits_of_the_unroll_map():
    edma = Driver()
    expected = dict(WRITABLE)
    expected |= dict.fromkeys((0x100, 0x104, 0x108, 0x10C, 0x118, 0x11C), 0xFFFF_FFFF)
    expected |= dict.fromkeys((0x128, 0x12C, 0x130, 0x134, 0x168, 0x16C, 0x170, 0x174), 0xFFFF_FFFF)
    for base in range(0x200, 0xA00, 0x100):
        expected |= {base + register: mask for register, mask in BLOCK.items()}
    for offset in range(0, 0x1000, 4):
        edma.write(offset, 0xFFFF_FFFF)
    found = {offset: value for offset in range(0, 0x1000, 4) if (value := edma.read(offset))}
    assert found.pop(0x008) == 0x0004_0004
    assert found == expected


def test_writable_bits_of_the_legacy_map():
    edma = Driver("legacy")
    for offset in range(0, 0x100, 4):
        edma.write(offset, 0xFFFF_FFFF)
    found = {offset: value for offset in range(0, 0x100, 4) if (value := edma.read(offset))}
    assert found.pop(0x008) == 0x0004_0004
    assert found == WRITABLE | {VIEWPORT: 0x8000_0007}
    edma.channel("rd", 3)
    for offset in range(0x100, 0x1000, 4):
        edma.write(offset, 0xFFFF_FFFF)
    found = {offset - 0x100: value for offset in range(0x100, 0x1000, 4) if (value := edma.read(offset))}
    assert found == BLOCK
    assert edma.page.read32(0) == 0, "nothing before the base"


@pytest.mark.parametrize("offset", [0x060, MASK["wr"], 0x0DC])
def test_storage_honours_byte_strobes(edma, offset):
    mask = WRITABLE[offset]
    edma.write(offset, 0, 0xF)
    edma.write(offset, 0xFFFF_FFFF, 0b0101)
    assert edma.read(offset) == 0x00FF_00FF & mask
    edma.write(offset, 0, 0b1011)
    assert edma.read(offset) == 0x00FF_0000 & mask


def test_imwr_data_of_an_odd_number_of_channels():
    edma = Driver(write_channels=3, read_channels=1)
    for offset in (0x70, 0x74, 0x78, 0xDC, 0xE0):
        edma.write(offset, 0xFFFF_FFFF)
    read = [edma.read(offset) for offset in (0x70, 0x74, 0x78, 0xDC, 0xE0)]
    assert read == [0xFFFF_FFFF, 0xFFFF, 0, 0xFFFF, 0]


def test_every_channel_has_its_bank(edma):
    places = [(way, n) for way in ("wr", "rd") for n in range(4)]
    for value, (way, n) in enumerate(places, start=1):
        edma.write(edma.channel(way, n) + 0x08, value)
    assert [edma.read(edma.channel(way, n) + 0x08) for way, n in places] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_reset(edma):
    edma.page.pulse(wr_done=0xF, rd_abort=0xF)
    edma.page.ring()
    for offset in (0x60, WRITE_MASK, 0x0C):
        edma.write(offset, 1)
    edma.write(edma.channel("rd", 1) + 4, 5)
    edma.page.reset()
    assert not edma.page.irq
    assert edma.accounts == (0, 0, 0, False)
    values = {0x08: 0x0004_0004, WRITE_MASK: 0x000F_000F, READ_MASK: 0x000F_000F}
    assert all(edma.read(offset) == values.get(offset, 0) for offset in range(0, 0x1000, 4))
    assert edma.read(edma.channel("rd", 1) + 4) == 0


def test_what_linux_writes_when_it_switches_the_engines_off(edma):
    """`dw_edma_v0_core_off`: masks and clears of eight channels whatever is there, engines disabled."""
    edma.page.pulse(wr_done=0x3, rd_abort=0x1)
    edma.page.ring()
    for way in ("wr", "rd"):
        edma.write(MASK[way], 0x00FF_00FF)
        edma.write(CLEAR[way], 0x00FF_00FF)
    edma.write(0x0C, 0)
    edma.write(0x2C, 0)
    assert not edma.page.irq
    assert [edma.read(offset) for offset in (WRITE_STATUS, READ_STATUS, WRITE_MASK)] == [0, 0, 0x000F_000F]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("rolled",), "unroll, legacy, hdma, not 'rolled'"),
        (("unroll", 0), "1 to 8 write channels, not 0"),
        (("unroll", 4, 9), "1 to 8 read channels, not 9"),
        (("unroll", 4, 4, 2), "a multiple of 4 up to 0xf600, not 2"),
        (("legacy", 4, 4, 0xFE04), "a multiple of 4 up to 0xfe00, not 65028"),
        (("hdma", 8, 1, -4), "a multiple of 4 up to 0xf000, not -4"),
    ],
)
def test_parameters_are_checked(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        EdmaPage(*arguments)
