"""Outbound windows: edges, overlap, what takes no part, and aiming one elsewhere under traffic."""

from __future__ import annotations

import pytest
from outbound_rig import (
    BASE,
    CTRL1,
    CTRL2,
    DECERR,
    ENABLE,
    INCREASE,
    LIMIT,
    LOWER_BASE,
    LOWER_TARGET,
    NO_WINDOW,
    OKAY,
    SIZE,
    TARGET,
    UPPER_TARGET,
    Interrupt,
    Rig,
    Write,
    every_width,
    memory,
)
from register_page import read_page


@every_width
def test_window_edges(width: int) -> None:
    """One byte before the base and one behind the limit nothing is reached; no request crosses 4 KiB."""

    async def bench(rig: Rig) -> None:
        memory(rig)
        await rig.map(2, BASE + 0x3123, BASE + 0x5ABC, TARGET + 0xEEF)  # the low 12 bits are not there
        inside = [BASE + 0x3000, BASE + 0x3FFC, BASE + 0x4000, BASE + 0x5FFC]
        outside = [0, BASE, BASE + 0x2FFC, BASE + 0x6000, BASE + SIZE - 4, 0xFFFF_FFFC]
        rig.writes.extend(Write(address, 7) for address in inside + outside)
        rig.reads.extend(inside + outside)
        await rig.drain()
        assert rig.errors == [OKAY] * 4 + [DECERR] * 6
        assert [a.error for a in rig.answers] == [OKAY] * 4 + [DECERR] * 6
        assert [a.data for a in rig.answers[4:]] == [0] * 6
        expected = [TARGET - BASE - 0x3000 + address for address in inside]
        for write in (True, False):
            assert [sent.address for _, sent in rig.sent if sent.write == write] == expected
        assert rig.failed == 12
        assert set(rig.failures) == {(NO_WINDOW, address) for address in outside}

    Rig(width).run(bench)


def test_overlap_and_disabled_windows() -> None:
    async def bench(rig: Rig) -> None:
        async def targets(*addresses: int) -> list[int | None]:
            rig.sent.clear()
            found: list[int | None] = []
            for address in addresses:
                rig.writes.append(Write(address, 0))
                before = len(rig.sent)
                await rig.drain()
                found.append(rig.sent[-1][1].address if len(rig.sent) > before else None)
            return found

        await rig.map(3, BASE, BASE + 0xFFFF, 0x3000_0000)
        await rig.map(1, BASE + 0x4000, BASE + 0x7FFF, 0x1000_0000)
        await rig.map(5, BASE + 0xF000, BASE + 0x1FFFF, 0x5000_0000)
        assert await targets(BASE, BASE + 0x4000, BASE + 0x8000, BASE + 0xF000, BASE + 0x10000) == [
            0x3000_0000, 0x1000_0000, 0x3000_8000, 0x3000_F000, 0x5000_1000,
        ]  # fmt: skip
        await rig.register(0x200 + CTRL2, 0)
        await rig.step(3)
        assert await targets(BASE + 0x4000) == [0x3000_4000]
        await rig.register(0x600 + CTRL2, 0x7FFF_FFFF)
        await rig.step(3)
        assert await targets(BASE + 0x4000, BASE + 0xF000) == [None, 0x5000_0000]

    Rig(256).run(bench)


@pytest.mark.parametrize(
    ("ctrl1", "base", "limit", "claims"),
    [
        (0, BASE, BASE + 0xFFF, (True, False, False)),
        (0, BASE, BASE | 1 << 32, (True, False, False)),  # UPPER_LIMIT counts only for a large region
        (INCREASE, BASE, BASE + 0xFFF, (True, False, False)),
        (INCREASE, BASE, 1 << 32, (True, True, True)),
        (0, BASE | 1 << 32, BASE + 0xFFF, (False, False, False)),
        (0, BASE + 0x1000, BASE, (False, False, False)),
        (2, BASE, BASE + 0xFFF, (False, False, False)),
        (4, BASE, BASE + 0xFFF, (False, False, False)),
        (0x10, BASE, BASE + 0xFFF, (False, False, False)),
        (1 << 20, BASE, BASE + 0xFFF, (False, False, False)),
    ],
)
def test_what_takes_no_part(ctrl1: int, base: int, limit: int, claims: tuple[bool, ...]) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, base, limit, 0x1000_0000, ctrl1=ctrl1)
        addresses = (BASE, BASE + 0x1000, 0xFFFF_FFFC)
        rig.writes.extend(Write(address, 0) for address in addresses)
        await rig.drain()
        expected = [0x1000_0000 + address - BASE for address, claimed in zip(addresses, claims, strict=True) if claimed]
        assert [sent.address for _, sent in rig.sent] == expected
        assert [error == OKAY for error in rig.errors] == list(claims)

    Rig(256).run(bench)


def test_traffic_class_attributes_and_digest() -> None:
    async def bench(rig: Rig) -> None:
        memory(rig)
        await rig.map(0, BASE, BASE + 0xFFF, 0, ctrl1=5 << 5 | 1 << 8 | 2 << 9)
        await rig.map(1, BASE + 0x1000, BASE + 0x1FFF, 0, ctrl1=2 << 5 | 1 << 9)
        for address in (BASE, BASE + 0x1000):
            rig.writes.append(Write(address, 0))
            rig.reads.append(address)
            await rig.drain()
        rig.interrupts.append(Interrupt(0xFEE0_0000, 0))
        await rig.drain()
        fields = [(sent.tc, sent.attr, sent.ecrc) for _, sent in rig.sent]
        assert fields == [(5, 2, 1), (5, 2, 1), (2, 1, 0), (2, 1, 0), (0, 0, 0)]

    Rig(64).run(bench)


@pytest.mark.parametrize("clock", range(7))
def test_a_window_that_is_aimed_elsewhere_shows_its_old_or_its_new_target(clock: int) -> None:
    """In each clock of a write on its way; it is the window of the clock in which the write is taken that counts."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, BASE, BASE + 0xFFFF, 0x1_1111_0000)
        rig.writes.extend(Write(BASE + 4 * (n % 64), n) for n in range(24))
        await rig.step(10 + clock)
        values = {LOWER_BASE: BASE, LIMIT: BASE + 0x1FFFF, LOWER_TARGET: 0x2222_0000, UPPER_TARGET: 2, CTRL1: 0}
        for register, value in values.items():
            await rig.register(register, value)
            await rig.step(5)
        assert {sent.address >> 16 for _, sent in rig.sent} == {0x1_1111}
        written = rig.cycle
        await rig.register(CTRL2, ENABLE)
        await rig.drain()
        assert len(rig.sent) == 24
        for (taken, _), (_, sent) in zip(rig.taken, rig.sent, strict=True):
            # Made in the clock after it was at the port, in force two clocks later.
            assert sent.address >> 16 == (0x2_2222 if taken >= written + 3 else 0x1_1111)
        assert len({sent.address >> 16 for _, sent in rig.sent}) == 2

    Rig(512).run(bench)


@pytest.mark.parametrize("clock", range(7))
@pytest.mark.parametrize("on", [True, False])
def test_a_window_is_switched_in_front_of_another_one(clock: int, on: bool) -> None:
    """In each clock of a write on its way."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, BASE, BASE + 0xFFF, 0x1000_0000, ctrl2=0 if on else ENABLE)
        await rig.map(1, BASE, BASE + 0xFFFF, 0x2000_0000)
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(12))
        await rig.step(10 + clock)
        written = rig.cycle
        await rig.register(CTRL2, ENABLE if on else 0)
        await rig.drain()
        targets = [sent.address >> 28 for _, sent in rig.sent]
        assert targets == [1 if (taken >= written + 3) == on else 2 for taken, _ in rig.taken]
        assert set(targets) == {1, 2}

    Rig(256).run(bench)


@pytest.mark.parametrize("clock", range(12))
def test_windows_change_while_an_access_waits_for_room(clock: int) -> None:
    """What had waited for longer than it takes to look a window up goes where the windows say by then."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, BASE, BASE + 0xFFF, 0x1000_0000)
        await rig.map(1, BASE, BASE + 0xFFFF, 0x2000_0000)
        rig.rq_ready = lambda: False
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(8))
        await rig.step(80)
        assert len(rig.taken) == 6
        written = rig.cycle
        rig.rq_ready = lambda: rig.cycle >= written + clock
        await rig.register(CTRL2, 0)
        await rig.drain()
        targets = [sent.address >> 28 for _, sent in rig.sent]
        assert targets == [1 if taken < written + 3 else 2 for taken, _ in rig.taken]
        assert targets[:6] == [1] * 6
        assert targets[7] == 2

    Rig(512).run(bench)


def test_registers_read_back() -> None:
    async def bench(rig: Rig) -> None:
        async def peek(offset: int) -> int:
            return await read_page(rig.ctx, rig.dut.bus, offset)

        for window in range(3):
            for offset in (CTRL2, LOWER_BASE, LIMIT, LOWER_TARGET):
                await rig.register(0x200 * window + offset, 0xFFFF_FFFF)
        built = [0x9040_00FF, 0xFFFF_F000, 0xFFFF_FFFF, 0xFFFF_F000]
        for window, expected in ((0, built), (1, built), (2, [0] * 4)):
            assert [await peek(0x200 * window + o) for o in (CTRL2, LOWER_BASE, LIMIT, LOWER_TARGET)] == expected
        await rig.register(LIMIT, 0)
        await rig.step()
        assert await peek(LIMIT) == 0xFFF

    Rig(64, windows=2).run(bench)
