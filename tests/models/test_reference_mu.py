"""The reference Messaging Unit against the documents, register by register and tie by tie."""

import random

import pytest

from epbell_models.reference.mu import LAYOUTS, MUR_CLOCKS, MessagingUnit, Write

TR = {"imx6sx": 0x00, "imx7ulp": 0x20, "imx8ulp": 0x200}
RR = {"imx6sx": 0x10, "imx7ulp": 0x40, "imx8ulp": 0x280}
SR = {"imx6sx": 0x20, "imx7ulp": 0x60}
CR = {"imx6sx": 0x24, "imx7ulp": 0x64}
FAR = {"a": "b", "b": "a"}


class Driver:
    """Names for what software does, the same for every layout."""

    def __init__(self, layout):
        self.mu = MessagingUnit(layout)
        self.layout = layout
        self.v2 = layout == "imx8ulp"

    def bit(self, group, n):
        """Mask of channel n of a group in V2's register or V1's SR and CR."""
        if self.v2:
            return 1 << n
        return 1 << ({"GIP": 28, "RF": 24, "TE": 20, "GIE": 28, "RIE": 24, "TIE": 20, "GIR": 16}[group] + 3 - n)

    def register(self, group):
        if self.v2:
            offsets = {"GIE": 0x110, "GIR": 0x114, "GIP": 0x118, "TIE": 0x120, "TE": 0x124, "RIE": 0x128, "RF": 0x12C}
            return offsets[group]
        return (SR if group in ("GIP", "RF", "TE") else CR)[self.layout]

    def get(self, side, group, n):
        return bool(self.mu.read32(side, self.register(group)) & self.bit(group, n))

    def enable(self, side, group, n, on=True):
        offset = self.register(group)
        old = self.mu.read32(side, offset)
        self.mu.write32(side, offset, old | self.bit(group, n) if on else old & ~self.bit(group, n))

    def request(self, side, n):
        old = 0 if self.v2 else self.mu.read32(side, self.register("GIR")) & 0xFFF0_0000
        return Write(self.register("GIR"), old | self.bit("GIR", n))

    def acknowledge(self, n):
        return Write(self.register("GIP"), self.bit("GIP", n))

    def tr(self, n):
        return TR[self.layout] + 4 * n

    def rr(self, n):
        return RR[self.layout] + 4 * n

    def in_reset(self, side):
        return bool(self.mu.read32(side, 0x00C) & 1 if self.v2 else self.mu.read32(side, SR[self.layout]) & 0x80)

    def mur(self):
        return Write(0x008, 1) if self.v2 else Write(CR[self.layout], 0x20)

    def spend(self, side, write):
        self.mu.write32(side, *write)

    def check_accounts(self):
        for source, reader in (("b", "a"), ("a", "b")):
            for n, bell in enumerate(self.mu.bells(source)):
                assert bell.rung == bell.merged + bell.delivered + self.get(reader, "RF", n)


@pytest.fixture(params=LAYOUTS)
def mu(request):
    return Driver(request.param)


@pytest.fixture(params=["a", "b"])
def side(request):
    return request.param


def test_unknown_layout_is_refused():
    with pytest.raises(ValueError, match=r"imx6sx, imx7ulp, imx8ulp, not 'imx9'"):
        MessagingUnit("imx9")


@pytest.mark.parametrize(
    ("layout", "values"),
    [
        ("imx6sx", {0x20: 0x00F0_0000}),
        ("imx7ulp", {0x00: 0x0100_0001, 0x60: 0x00F0_0000, 0x64: 0x0000_0100}),
        ("imx8ulp", {0x000: 0x0309_000F, 0x004: 0x0304_0404, 0x010: 0x14, 0x124: 0xF}),
    ],
)
def test_values_after_reset(layout, values, side):
    mu = MessagingUnit(layout)
    for offset in range(0, 0x10000, 4):
        assert mu.read32(side, offset) == values.get(offset, 0), hex(offset)


@pytest.mark.parametrize(
    ("layout", "writable"),
    [
        ("imx6sx", {0x24: 0xFFF0_0007}),
        ("imx7ulp", {0x64: 0xFFF0_0007}),
        ("imx8ulp", {0x008: 0x2, 0x100: 0x7, 0x110: 0xF, 0x120: 0xF, 0x128: 0xF}),
    ],
)
def test_only_the_documented_bits_store(layout, writable, side):
    for offset in range(0, 0x400, 4):
        if TR[layout] <= offset < TR[layout] + 0x10:
            continue
        for strobes in range(16):
            mu = MessagingUnit(layout)
            before = mu.read32(side, offset)
            place = (layout, offset)
            request = {("imx6sx", 0x24): 0xF0000, ("imx7ulp", 0x64): 0xF0000, ("imx8ulp", 0x114): 0xF}.get(place, 0)
            reset = {("imx6sx", 0x24): 0x20, ("imx7ulp", 0x64): 0x20, ("imx8ulp", 0x008): 1}.get(place, 0)
            mu.write32(side, offset, 0xFFFF_FFFF & ~reset, strobes)
            mask = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1)
            assert mu.read32(side, offset) == before | ((writable.get(offset, 0) | request) & mask)


def test_a_word_crosses(mu, side):
    for n in range(4):
        mu.mu.write32(side, mu.tr(n), 0x1234_5670 + n)
        assert [mu.get(FAR[side], "RF", k) for k in range(4)] == [k == n for k in range(4)]
        assert [mu.get(side, "TE", k) for k in range(4)] == [k != n for k in range(4)]
        assert not mu.get(side, "RF", n)
        assert mu.mu.read32(side, mu.tr(n)) == 0x1234_5670 + n
        assert mu.mu.read32(FAR[side], mu.rr(n)) == 0x1234_5670 + n
        assert not mu.get(FAR[side], "RF", n)
        assert mu.get(side, "TE", n)
    mu.check_accounts()


def test_write_when_full_replaces_the_word(mu, side):
    mu.mu.write32(side, mu.tr(2), 1)
    mu.mu.write32(side, mu.tr(2), 2)
    assert mu.mu.read32(FAR[side], mu.rr(2)) == 2
    assert not mu.get(FAR[side], "RF", 2)
    assert mu.mu.bells(side)[2] == (2, 1, 1)


def test_read_when_empty_shows_the_old_word_and_does_nothing(mu, side):
    assert mu.mu.read32(side, mu.rr(0)) == 0
    mu.mu.write32(FAR[side], mu.tr(0), 77)
    assert [mu.mu.read32(side, mu.rr(0)) for _ in range(3)] == [77] * 3
    assert mu.mu.bells(FAR[side])[0] == (1, 0, 1)
    assert mu.get(FAR[side], "TE", 0)


def test_write_and_read_in_one_clock(mu):
    mu.mu.write32("b", mu.tr(1), 10)
    a_data, _ = mu.mu.step(a_read=mu.rr(1), b_write=Write(mu.tr(1), 11))
    assert a_data == 10
    assert mu.get("a", "RF", 1)
    assert not mu.get("b", "TE", 1)
    assert mu.mu.read32("a", mu.rr(1)) == 11
    assert mu.mu.bells()[1] == (2, 0, 2)


def test_partial_store_never_rings(mu, side):
    for strobes in range(15):
        mu.mu.write32(side, mu.tr(0), 0xFFFF_FFFF, strobes)
    assert not mu.get(FAR[side], "RF", 0)
    assert mu.mu.read32(FAR[side], mu.rr(0)) == 0
    assert mu.mu.bells(side)[0] == (0, 0, 0)


@pytest.mark.parametrize("group", ["RIE", "TIE", "GIE"])
@pytest.mark.parametrize("n", range(4))
def test_level_equation(mu, side, group, n):
    def irq():
        return mu.mu.irq(side), mu.mu.irq(FAR[side])

    status = {"RIE": "RF", "TIE": "TE", "GIE": "GIP"}[group]
    if group == "TIE":
        mu.mu.write32(side, mu.tr(n), 5)
    mu.enable(side, group, n)
    assert irq() == (False, False)
    if group == "RIE":
        mu.mu.write32(FAR[side], mu.tr(n), 5)
    elif group == "TIE":
        mu.mu.read32(FAR[side], mu.rr(n))
    else:
        mu.spend(FAR[side], mu.request(FAR[side], n))
    assert mu.get(side, status, n)
    assert irq() == (True, False)
    mu.enable(side, group, n, on=False)
    assert irq() == (False, False)
    mu.enable(side, group, n)
    assert irq() == (True, False)
    if group == "RIE":
        mu.mu.read32(side, mu.rr(n))
    elif group == "TIE":
        mu.mu.write32(side, mu.tr(n), 6)
    else:
        mu.spend(side, mu.acknowledge(n))
    assert irq() == (False, False)


def test_request_stays_until_acknowledged(mu, side):
    mu.spend(side, mu.request(side, 3))
    assert mu.get(side, "GIR", 3)
    assert mu.get(FAR[side], "GIP", 3)
    mu.mu.write32(side, mu.register("GIR"), 0)
    assert mu.get(side, "GIR", 3)
    mu.spend(side, mu.request(side, 3))
    mu.spend(FAR[side], mu.acknowledge(3))
    assert not mu.get(side, "GIR", 3)
    assert not mu.get(FAR[side], "GIP", 3)


def test_request_wins_over_acknowledge(mu):
    mu.spend("b", mu.request("b", 0))
    request = mu.request("b", 0)
    mu.mu.step(a_write=mu.acknowledge(0), b_write=request)
    assert mu.get("a", "GIP", 0)
    assert mu.get("b", "GIR", 0)
    request = mu.request("a", 0)
    mu.mu.step(a_write=request, b_write=mu.acknowledge(0))
    assert mu.get("b", "GIP", 0)


def test_flags(mu, side):
    control, status = (0x100, 0x104) if mu.v2 else (mu.register("GIR"), mu.register("GIP"))
    for flags in (5, 2, 7, 0):
        mu.mu.write32(side, control, flags)
        assert mu.mu.read32(FAR[side], status) & 7 == flags
        assert mu.mu.read32(side, status) & 7 == 0


def test_mur_resets_both_sides(mu, side):
    for one in "ab":
        for n in range(4):
            mu.mu.write32(one, mu.tr(n), 0xAA00 + n)
            for group in ("RIE", "TIE", "GIE"):
                mu.enable(one, group, n)
            mu.spend(one, mu.request(one, n))
    assert mu.mu.a_irq
    assert mu.mu.b_irq
    mu.spend(side, mu.mur())
    assert not mu.mu.a_irq
    assert not mu.mu.b_irq
    for _ in range(MUR_CLOCKS):
        assert mu.in_reset(side)
    assert not mu.in_reset(side)
    fresh = MessagingUnit(mu.layout)
    for one in "ab":
        for offset in range(0, 0x400, 4):
            expected = fresh.read32(one, offset)
            if mu.v2 and offset == 0x00C and one == FAR[side]:
                expected |= 2  # MURIP
            assert mu.mu.read32(one, offset) == expected
    assert all(bell == (1, 1, 0) for bell in mu.mu.bells())
    mu.check_accounts()


def test_mur_wins_over_a_ring_in_the_same_clock(mu):
    mu.mu.write32("b", mu.tr(0), 1)
    mu.mu.step(a_write=mu.mur(), b_write=Write(mu.tr(0), 2))
    assert not mu.get("a", "RF", 0)
    assert mu.mu.bells()[0] == (1, 1, 0)
    mu.mu.write32("b", mu.tr(0), 3)
    mu.mu.step(a_read=mu.rr(0), b_write=mu.mur())
    assert mu.mu.bells()[0] == (2, 1, 1)
    mu.mu.write32("b", mu.tr(0), 4)  # MURS reads 1 in this clock, and the ring counts
    assert mu.get("a", "RF", 0)


def test_murip():
    mu = Driver("imx8ulp")
    mu.mu.write32("a", 0x008, 2)
    mu.mu.write32("b", 0x008, 3)
    mu.mu.write32("b", 0x008, 2)
    assert not mu.mu.a_irq  # MURIE went with the reset
    assert mu.mu.read32("a", 0x00C) & 2
    mu.mu.write32("a", 0x008, 2)
    assert mu.mu.a_irq
    assert not mu.mu.b_irq
    mu.mu.write32("a", 0x00C, 2)
    assert not mu.mu.a_irq
    mu.mu.step(a_write=Write(0x008, 1), b_write=Write(0x008, 1))
    mu.mu.step(a_write=Write(0x00C, 2))  # MURIP rises at the end of this clock: set wins
    assert mu.mu.read32("a", 0x00C) & mu.mu.read32("b", 0x00C) & 2


def test_summary_bits():
    mu = Driver("imx8ulp")
    assert mu.mu.read32("a", 0x00C) == 0
    mu.enable("a", "TIE", 1)
    assert mu.mu.read32("a", 0x00C) == 0x20
    mu.mu.write32("b", mu.tr(3), 0)
    assert mu.mu.read32("a", 0x00C) == 0x60
    mu.spend("b", mu.request("b", 0))
    assert mu.mu.read32("a", 0x00C) == 0x70


def test_mailbox_probe_is_harmless(mu):
    """imx-mailbox at probe: clear all enables, write the status back, read the four words blindly."""
    mu.mu.write32("b", mu.tr(0), 9)
    mu.spend("b", mu.request("b", 1))
    for offset in (0x008, 0x110, 0x114, 0x120, 0x128) if mu.v2 else (CR[mu.layout],) * 5:
        mu.mu.write32("a", offset, 0)
    status = mu.register("GIP")
    mu.mu.write32("a", status, mu.mu.read32("a", status))
    assert not mu.get("b", "GIR", 1)
    assert [mu.mu.read32("a", mu.rr(n)) for n in range(4)] == [9, 0, 0, 0]
    assert all(mu.get("a", "TE", n) and not mu.get("a", "RF", n) for n in range(4))
    mu.mu.write32("b", mu.tr(0), 10)
    assert mu.get("a", "RF", 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_accounts_balance(layout):
    rng = random.Random(2)
    mu = Driver(layout)
    tr, rr = [mu.tr(n) for n in range(4)], [mu.rr(n) for n in range(4)]

    def write():
        if rng.random() < 0.01:
            return mu.mur()
        return Write(rng.choice(tr), rng.getrandbits(32), rng.choice((15, 15, 15, 3)))

    for _ in range(2000):
        mu.mu.step(write(), rng.choice(rr), write() if rng.random() < 0.7 else None, rng.choice([None, *rr]))
        mu.check_accounts()
    assert sum(bell.merged for bell in mu.mu.bells()) > 50
