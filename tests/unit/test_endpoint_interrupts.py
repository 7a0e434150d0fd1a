"""MSI-X and INTx from the controller page to the host, through the whole endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from requester_packets import Sent
from test_endpoint_outbound import APERTURE, aim
from usp_packets import read, write
from usp_rig import CONTROLLER, RAM, WIDTHS, Rig

INTX, RAISE, STATUS, TABLE, PBA, SIZE = (CONTROLLER + offset for offset in (0x44, 0x48, 0x4C, 0x50, 0x54, 0x58))
MSI_MASK, MSI_PENDING, SENT, HELD, MERGED = (CONTROLLER + offset for offset in (0x6C, 0x70, 0x74, 0x78, 0x7C))
MSI_RAISE = CONTROLLER + 0x10
ENABLED, MASKED, ROOM, BUSY, PENDING = 1 << 0, 1 << 1, 0x3F << 8, 1 << 16, 1 << 18
LAST = 33
PBA_OFFSET = 0x80 + 16 * (LAST + 1)
BUS_MASTER, INTX_DISABLE = 4, 8


def message(vector: int) -> tuple[int, int]:
    """Address and data in the table."""
    return 0x1_FEE0_0000 | vector << 12, 0x4000 + vector


def vectors(rig: Rig) -> list[int]:
    """The messages on RQ, as vectors; each must be just what the table says."""
    found = [sent.data - 0x4000 for _, sent in rig.sent if sent.data is not None and sent.data >= 0x4000]
    messages = [sent for _, sent in rig.sent if sent.data is not None and sent.data >= 0x4000]
    assert messages == [Sent(True, message(vector)[0], 0xF, message(vector)[1]) for vector in found]
    return found


async def set_up(rig: Rig, *, masked: tuple[int, ...] = ()) -> None:
    """As Linux does it: the endpoint says where the table is, the host shows it in BAR 0, fills it in and enables."""
    await rig.map(0, 0, RAM)
    await rig.cpu_write(TABLE, RAM + 0x80)
    await rig.cpu_write(PBA, RAM + PBA_OFFSET)
    await rig.cpu_write(SIZE, 1 << 31 | LAST)
    for vector in range(LAST + 1):
        address, data = message(vector)
        entry = (address & 0xFFFF_FFFF, address >> 32, data, int(vector in masked))
        rig.send(write(0, 0x80 + 16 * vector, *entry))
    rig.ctx.set(rig.dut.cfg_interrupt_msix.enable, 1)
    await rig.drain()


async def mask(rig: Rig, vector: int, masked: int) -> None:
    """The host writes a vector control."""
    rig.send(write(0, 0x80 + 16 * vector + 12, masked))
    await rig.drain()


async def pba(rig: Rig) -> int:
    """The pending bits as the host reads them."""
    rig.send(read(0, PBA_OFFSET, 2))
    low, high = (await rig.answers(1))[0].data
    return high << 32 | low


@pytest.mark.parametrize("width", WIDTHS)
def test_msix_messages(width: int) -> None:
    """Each write of either byte raises once; bytes that are not written are zero."""

    async def bench(rig: Rig) -> None:
        await set_up(rig)
        await rig.cpu_write(RAISE, 0)
        await rig.cpu_write(RAISE, LAST)
        await rig.cpu_write(RAISE, 0xFFFF_FF05, 0b0001)
        await rig.cpu_write(RAISE, 7, 0b0010)
        await rig.cpu_write(RAISE, 9, 0b1100)
        await rig.cpu_write(RAISE, LAST + 1)
        await rig.step(160)
        assert vectors(rig) == [0, LAST, 5, 0]
        assert [await rig.cpu_read(at) for at in (SENT, HELD, MERGED)] == [4, 0, 0]
        assert await rig.cpu_read(STATUS) == ENABLED | 16 << 8 | 1 << 17
        access = rig.post(RAISE, 3)
        await rig.drain()
        assert rig.sent[-1][0] - (access.cycle - 2) <= 14, "from the raise to RQ"

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_msix_held_back(width: int) -> None:
    """By the vector's mask, the function's, MSI-X Enable or bus mastering: pending, merged, sent once afterwards."""

    async def bench(rig: Rig) -> None:
        ctx, port = rig.ctx, rig.dut.cfg_interrupt_msix
        await set_up(rig, masked=(2, 33))

        async def hold(which: str, on: bool) -> None:
            if which == "vector":
                await mask(rig, 33, int(on))
            elif which == "master":
                rig.function_status = 0x3 if on else 0x7
            else:
                ctx.set(getattr(port, which), int(on) if which == "mask" else int(not on))

        await mask(rig, 33, 0)
        for number, which in enumerate(("vector", "mask", "enable", "master")):
            await hold(which, True)
            for vector in (33, 2, 33):
                await rig.cpu_write(RAISE, vector)
            await rig.step(60)
            assert vectors(rig) == [33] * number
            assert await pba(rig) == 1 << 33 | 1 << 2
            assert await rig.cpu_read(STATUS) & PENDING
            await hold(which, False)
            await rig.step(120)
            assert vectors(rig) == [33] * (number + 1)
            assert await pba(rig) == 1 << 2
        await mask(rig, 2, 0)
        await rig.step(60)
        assert vectors(rig) == [33] * 4 + [2]
        assert await pba(rig) == 0
        assert not await rig.cpu_read(STATUS) & (PENDING | BUSY)
        assert [await rig.cpu_read(at) for at in (SENT, HELD, MERGED)] == [5, 5, 4 + 3]

    Rig(width).run(bench)


@pytest.mark.parametrize("width", [64, 256])
def test_mask_of_a_single_byte(width: int) -> None:
    """A write of the mask bit's byte alone masks, or lets go what is pending, as one of the whole dword does."""

    async def bench(rig: Rig) -> None:
        await set_up(rig, masked=(5,))
        for vector in (5, 6):
            control = 0x80 + 16 * vector + 12
            if vector == 6:
                rig.send(write(0, control, 1, first_be=0b0001))
                await rig.drain()
            await rig.cpu_write(RAISE, vector)
            await rig.step(40)
            assert await pba(rig) == 1 << vector
            assert vector not in vectors(rig)
            rig.send(write(0, control, 0, first_be=0b0001))
            await rig.drain()
            await rig.step(60)
        assert (vectors(rig), await pba(rig)) == ([5, 6], 0)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_cpu_waits_for_room(width: int) -> None:
    """More raises than there is room for while RQ stalls: none is lost."""

    async def bench(rig: Rig) -> None:
        await set_up(rig)
        rig.rq_ready = lambda: False
        raises = [rig.post(RAISE, vector) for vector in range(30)]
        await rig.step(400)
        done = sum(access.done for access in raises)
        assert 16 <= done < 30
        rig.rq_ready = lambda: True
        await rig.drain()
        await rig.step(1200)
        assert vectors(rig) == list(range(30))
        assert await rig.cpu_read(STATUS) & ROOM == 16 << 8

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_messages_stay_behind_writes(width: int) -> None:
    """Writes and raises in turn, while RQ stalls."""

    async def bench(rig: Rig) -> None:
        await set_up(rig)
        await aim(rig, 0, APERTURE, 0x1000, 0x4000_0000)
        rig.rq_ready = lambda: rig.cycle % 40 == 0
        expected: list[int] = []
        for k in range(30):
            await rig.cpu_write(APERTURE + 4 * k, k)
            await rig.cpu_write(RAISE, k)
            expected += [k, 0x4000 + k]
        for _ in range(5000):
            if len(rig.sent) == len(expected):
                break
            await rig.step()
        data = [sent.data for _, sent in rig.sent]
        assert sorted(map(str, data)) == sorted(map(str, expected))
        assert vectors(rig) == list(range(30))
        for k in range(30):
            assert data.index(k) < data.index(0x4000 + k), "a message has overtaken the write before it"

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_msix_through_the_port(width: int) -> None:
    """The hard block gets address and data, after the write that the vector announces."""

    async def bench(rig: Rig) -> None:
        ctx, port = rig.ctx, rig.dut.cfg_interrupt_msix
        asked: list[tuple[int, int]] = []

        def look() -> None:
            ctx.set(port.sent, int(bool(asked) and rig.cycle % 7 == 0))
            if ctx.get(port.int):
                asked.append((ctx.get(port.address), ctx.get(port.data)))

        rig.watch.append(look)
        await set_up(rig)
        await aim(rig, 0, APERTURE, 0x1000, 0x4000_0000)
        rig.rq_ready = lambda: False
        await rig.cpu_write(APERTURE, 1)
        for vector in (4, 33):
            await rig.cpu_write(RAISE, vector)
        await rig.step(60)
        assert not asked, "a message has overtaken a write"
        rig.rq_ready = lambda: True
        await rig.step(80)
        assert asked == [message(4), message(33)]
        assert [sent.data for _, sent in rig.sent] == [1], "nothing but the CPU's write is on RQ"
        assert await rig.cpu_read(SENT) == 2

    Rig(width, msix="port").run(bench)


class HardIntx:
    """Answers each change of INTA some clocks later, and keeps what the host hears."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.heard, self._level, self._wait = rig, list[int](), 0, 0
        rig.watch.append(self.clock)

    def clock(self) -> None:
        ctx, port = self.rig.ctx, self.rig.dut.cfg_interrupt
        ctx.set(port.sent, 0)
        level = ctx.get(port.int) & 1
        if self._wait:
            assert level == self._level, "a change before the answer"
            self._wait -= 1
            ctx.set(port.sent, int(not self._wait))
        elif level != self._level:
            self._level, self._wait = level, 5
            self.heard.append(level)


def test_intx() -> None:
    """Level and pulses; Interrupt Disable and MSI hold back and deassert; a write announced by INTA goes first."""

    async def bench(rig: Rig) -> None:
        hard = HardIntx(rig)
        await rig.cpu_write(INTX, 1)
        await rig.step(12)
        assert (hard.heard, await rig.cpu_read(INTX)) == ([1], 1 | 1 << 9)
        await rig.cpu_write(INTX, 0)
        await rig.step(12)
        assert (hard.heard, await rig.cpu_read(INTX)) == ([1, 0], 0)
        await rig.cpu_write(INTX, 2)
        await rig.cpu_write(INTX, 2)
        await rig.step(40)
        assert (hard.heard, await rig.cpu_read(INTX)) == ([1, 0] * 3, 0)
        rig.function_status |= INTX_DISABLE
        await rig.cpu_write(INTX, 2)
        await rig.step(20)
        assert hard.heard == [1, 0] * 3
        rig.function_status &= ~INTX_DISABLE
        await rig.step(30)
        assert hard.heard == [1, 0] * 4
        await aim(rig, 0, APERTURE, 0x1000, 0x4000_0000)
        await rig.cpu_write(INTX, 1)
        await rig.step(12)
        rig.rq_ready = lambda: False
        await rig.cpu_write(APERTURE, 1)
        await rig.cpu_write(INTX, 1)
        await rig.step(12)
        assert hard.heard == [*[1, 0] * 4, 1], "INTA stays asserted"
        await rig.cpu_write(INTX, 0)
        await rig.step(12)
        await rig.cpu_write(INTX, 2)
        await rig.step(30)
        assert hard.heard == [1, 0] * 5, "deasserted, but not asserted before the write has gone"
        rig.rq_ready = lambda: True
        await rig.step(30)
        assert hard.heard == [1, 0] * 6

    Rig(128).run(bench)


def test_msi_mask_and_function_reset() -> None:
    """A masked MSI is pending, visible to the CPU; a reset of the function forgets all that the host was to be told."""

    async def bench(rig: Rig) -> None:
        ctx, msi, msis = rig.ctx, rig.dut.cfg_interrupt_msi, list[Any]()
        rig.watch.append(lambda: msis.append(ctx.get(msi.int)) if ctx.get(msi.int) else None)
        await set_up(rig, masked=(3,))
        ctx.set(msi.enable, 1)
        ctx.set(msi.mmenable, 5)
        ctx.set(msi.data, 0b10)
        await rig.cpu_write(MSI_RAISE, 1)
        await rig.cpu_write(RAISE, 3)
        await rig.cpu_write(INTX, 2)
        await rig.step(40)
        assert [await rig.cpu_read(at) for at in (MSI_MASK, MSI_PENDING)] == [2, 2]
        assert await pba(rig) == 1 << 3
        ctx.set(rig.dut.cfg_flr_in_process, 1)
        await rig.step(80)
        assert ctx.get(rig.dut.cfg_flr_done) == 1
        ctx.set(rig.dut.cfg_flr_in_process, 0)
        ctx.set(msi.data, 0)
        await rig.step(60)
        ctx.set(msi.enable, 0)
        ctx.set(rig.dut.cfg_interrupt_msix.enable, 0)
        await rig.step(20)
        assert (await rig.cpu_read(MSI_PENDING), await pba(rig), msis, vectors(rig)) == (0, 0, [], [])
        assert ctx.get(rig.dut.cfg_interrupt.int) == 0
        assert await rig.cpu_read(SIZE) == 1 << 31 | LAST, "registers stay"

    Rig(128).run(bench)
