"""All 2048 MSI-X vectors through the whole endpoint: table and pending bits in the RAM behind a BAR, as in Linux."""

from __future__ import annotations

import pytest
from test_endpoint_interrupts import HELD, MERGED, PBA, PENDING, RAISE, SENT, SIZE, STATUS, TABLE, message
from usp_packets import read, write
from usp_rig import RAM, Rig

from epbell.bar import Bar

VECTORS = 2048
TABLE_OFFSET = 0x80
PBA_OFFSET = TABLE_OFFSET + 16 * VECTORS
SOME = (0, 31, 32, 63, 64, 1023, 2047)
ENABLE, MASK = "enable", "mask"


async def entry(rig: Rig, vector: int, *, masked: int) -> None:
    address, data = message(vector)
    words = (address & 0xFFFF_FFFF, address >> 32, data, masked)
    rig.send(write(0, TABLE_OFFSET + 16 * vector, *words))
    await rig.drain()


async def pending(rig: Rig) -> set[int]:
    """The vectors whose pending bits the host reads as set, and nothing but zeroes around them."""
    found: set[int] = set()
    for word in range(0, VECTORS // 32, 16):
        rig.completions.clear()
        rig.send(read(0, PBA_OFFSET + 4 * word, 16))
        for at, value in enumerate((await rig.answers(1))[0].data):
            found |= {32 * (word + at) + bit for bit in range(32) if value >> bit & 1}
    return found


@pytest.mark.parametrize(("width", "msix"), [(64, "rq"), pytest.param(512, "port", marks=pytest.mark.long)])
def test_2048_vectors(width: int, msix: str) -> None:
    """Raised while masked by vector or function: pending in the right word; unmasked: sent once, with its own entry."""

    async def bench(rig: Rig) -> None:
        ctx, port = rig.ctx, rig.dut.cfg_interrupt_msix
        seen: list[tuple[int, int]] = []

        def look() -> None:
            asked = ctx.get(port.int)
            ctx.set(port.sent, asked)
            if asked:
                seen.append((ctx.get(port.address), ctx.get(port.data)))

        def sent() -> list[tuple[int, int]]:
            return seen if msix == "port" else [(one.address, one.data or 0) for _, one in rig.sent]

        rig.watch.append(look)
        await rig.map(0, 0, RAM)
        # What was in the RAM before is not pending: the bits are zeroed when the table is set up.
        rig.send(write(0, PBA_OFFSET, *[0xFFFF_FFFF] * 16))
        await rig.drain()
        await rig.cpu_write(TABLE, RAM + TABLE_OFFSET)
        await rig.cpu_write(PBA, RAM + PBA_OFFSET)
        await rig.cpu_write(SIZE, 1 << 31 | VECTORS - 1)
        ctx.set(port.enable, 1)
        for vector in SOME:
            await entry(rig, vector, masked=1)
        await rig.step(200)
        assert await pending(rig) == set()
        for vector in (*SOME, *SOME):
            await rig.cpu_write(RAISE, vector)
        await rig.step(150)
        assert (sent(), await pending(rig)) == ([], set(SOME))
        left = set(SOME)
        for number, vector in enumerate(reversed(SOME), 1):
            await entry(rig, vector, masked=0)
            await rig.step(150)
            left.discard(vector)
            assert sent() == [message(each) for each in SOME[::-1][:number]]
            assert await pending(rig) == left
        ctx.set(port.mask, 1)
        for vector in SOME:
            await rig.cpu_write(RAISE, vector)
        await rig.step(150)
        assert (len(sent()), await pending(rig)) == (len(SOME), set(SOME))
        ctx.set(port.mask, 0)
        await rig.step(900)
        assert sent()[len(SOME) :] == [message(vector) for vector in SOME]
        assert await pending(rig) == set()
        assert not await rig.cpu_read(STATUS) & PENDING
        assert [await rig.cpu_read(at) for at in (SENT, HELD, MERGED)] == [2 * len(SOME), 2 * len(SOME), len(SOME)]

    bars = (Bar(64 << 10), *(None,) * 5)
    Rig(width, bars=bars, ram_size=64 << 10, msix_vectors=VECTORS, msix=msix).run(bench)
