"""The eDMA page of the endpoint: what rings, how fast, and what the host reaches of the page."""

import dataclasses

import pytest
from edma_traffic import (
    CONTROL1,
    DMA_CTRL,
    FINE,
    LIE,
    READ_CLEAR,
    READ_STATUS,
    WRITE_CLEAR,
    WRITE_MASK,
    WRITE_STATUS,
    acknowledge,
    refused,
    rings,
)
from usp_packets import UR, cq_beats, read, write
from usp_rig import CONTROLLER, EDMA, IATU, KNOWN, LATENCY, MU_A, PERIOD, WIDTHS, Rig

from epbell.edma import EdmaShape

LATENCY_LAST, LATENCY_MAX = CONTROLLER + 0x88, CONTROLLER + 0x8C
MU_LATENCY_LAST = CONTROLLER + 0x80


@pytest.mark.parametrize("width", WIDTHS)
def test_latency(width: int) -> None:
    """First CQ beat to irq_edma, window and guard included, and the endpoint's own measurement of it."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        for ring in range(6):
            rig.send(write(1, (WRITE_STATUS, WRITE_STATUS, READ_STATUS)[ring % 3], ring))
            await rig.drain()
            clocks = KNOWN[width] if ring % 3 == 1 else LATENCY[width]  # the other word is another doorbell
            assert rig.edma_rises[-1] - rig.first_beats[-1] == clocks
            assert await rig.cpu_read(LATENCY_LAST) == clocks
            await acknowledge(rig)
            await rig.step(rig.random.randrange(5))
        assert len(rig.edma_rises) == 6
        # A stream that pauses between the beats counts as part of the latency.
        beats = cq_beats(write(1, READ_STATUS, 5), width)
        for beat in beats:
            rig.cq.append(beat)
            await rig.step(7)
        paused = KNOWN[width] + 6 * (len(beats) - 1)
        longest = max(paused, LATENCY[width])
        assert (await rig.cpu_read(LATENCY_LAST), await rig.cpu_read(LATENCY_MAX)) == (paused, longest)
        rig.send(write(1, READ_STATUS, 5))  # finds the line high
        await rig.drain()
        assert await rig.cpu_read(LATENCY_LAST) == paused
        await acknowledge(rig)
        await rings(rig, 1, READ_STATUS)
        assert (await rig.cpu_read(LATENCY_LAST), await rig.cpu_read(LATENCY_MAX)) == (KNOWN[width], longest)
        assert await rig.cpu_read(MU_LATENCY_LAST) == 0
        await rig.cpu_write(CONTROLLER + 0x40, 1)
        assert (await rig.cpu_read(LATENCY_LAST), await rig.cpu_read(LATENCY_MAX)) == (0, 0)
        assert await rig.edma_bell() == (0, 0, 0)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_rings_back_to_back_never_wait_for_the_cpu(width: int) -> None:
    """The CPU writes to the page whenever it can; the rings come in at full rate, and each is counted."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        count = 60
        rig.send(*(write(1, (WRITE_STATUS, READ_STATUS)[n % 2], n) for n in range(count)))
        for n in range(40):
            rig.post(EDMA + WRITE_MASK, n)
        await rig.drain()
        gaps = {b - a for a, b in zip(rig.first_beats, rig.first_beats[1:], strict=False)}
        assert gaps == {PERIOD[width]}
        assert await rig.edma_bell() == (count, count - 1, 0)
        await acknowledge(rig)
        assert await rig.edma_bell() == (count, count - 1, 1)

    Rig(width).run(bench)


@pytest.mark.parametrize("offset", [WRITE_STATUS, READ_STATUS])
@pytest.mark.parametrize("width", WIDTHS)
def test_any_data_and_any_byte(width: int, offset: int) -> None:
    """Whatever is written, by whatever bytes, rings; a write of no byte is done and rings nothing."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        rung = 0
        for enables in range(16):
            for data in (0, 1, 2, 0xFFFFFFFF):
                rig.send(write(1, offset, data, first_be=enables))
                await rig.drain()
                rung += enables != 0
                assert rig.edma == int(enables != 0)
                await acknowledge(rig)
        assert len(rig.edma_rises) == 60
        assert await rig.edma_bell() == (60, 0, 60)
        assert await rig.counters() == FINE
        assert [await rig.cpu_read(EDMA + word) for word in (WRITE_STATUS, READ_STATUS)] == [0, 0]

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_reads_of_the_doorbell_words(width: int) -> None:
    """They show DONE and ABORT, ring nothing and acknowledge nothing."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        rig.pulses = {"wr_done": 0b0101, "wr_abort": 0b1000, "rd_done": 0b0010, "rd_abort": 0b0001}
        await rig.step()
        rig.send(write(1, WRITE_STATUS, 0))
        rig.send(read(1, WRITE_STATUS, tag=1), read(1, READ_STATUS, tag=2), read(1, WRITE_STATUS, first_be=0, tag=3))
        one, other, nothing = await rig.answers(3)
        assert (one.data, other.data) == ([0x0008_0005], [0x0001_0002])
        assert (nothing.status, nothing.length, nothing.byte_count) == (0, 1, 1)
        assert rig.edma == 1
        assert await rig.edma_bell() == (1, 0, 0)
        assert await rig.counters() == FINE

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_guard_keeps_the_rest_of_the_page(width: int) -> None:
    """Every word but the two, those that differ in one bit of the address included."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)  # 16 KiB of it
        near = [*range(0, 0x140, 4), CONTROL1, 0x300, 0x9BC, 0xA10]
        far = [word ^ 1 << bit for word in (WRITE_STATUS, READ_STATUS) for bit in range(2, 14)]
        offsets = sorted({*near, *far} - {WRITE_STATUS, READ_STATUS})
        await rings(rig, 1, WRITE_STATUS)
        control = await rig.cpu_read(EDMA + DMA_CTRL)
        await refused(rig, *(write(1, offset, 0xFFFFFFFF) for offset in offsets))
        await refused(rig, *(read(1, offset, tag=number & 0xFF) for number, offset in enumerate(offsets)))
        assert await rig.cpu_read(EDMA + DMA_CTRL) == control == 0x0004_0004
        assert await rig.cpu_read(EDMA + WRITE_MASK) == 0x000F_000F
        await refused(rig, write(1, WRITE_MASK, 0, first_be=0), read(1, WRITE_MASK, first_be=0))
        rig.send(write(1, READ_STATUS, 0))
        await rig.drain()
        await refused(rig, write(1, WRITE_CLEAR, 0), write(1, READ_CLEAR, 0))
        assert rig.edma == 1

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_guard_keeps_longer_requests(width: int) -> None:
    """Whatever is longer than a dword is refused as a whole, wherever the doorbell word is in it."""

    async def bench(rig: Rig) -> None:
        rig.max_payload = 256
        await rig.map(1, 1, EDMA)
        for length in (2, 3, 4, 5, 8, 33):
            for word in (WRITE_STATUS, READ_STATUS):
                places = {0, 1, length // 2, length - 1}
                begins = [word - 4 * place for place in places if word >= 4 * place]
                await refused(rig, *(write(1, begin, *[0] * length) for begin in begins))
                await refused(rig, *(read(1, begin, length, tag=6) for begin in begins))
        # No byte of a longer request need be enabled for it to be one.
        await refused(rig, write(1, WRITE_STATUS, 0, 0, first_be=0xF, last_be=0))
        assert not rig.edma_rises
        await rings(rig, 1, READ_STATUS)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", [64, 256])
def test_neighbouring_pages_stay_out_of_reach(width: int) -> None:
    """The words' offsets ring in the eDMA page only; the iATU is refused at them and elsewhere."""

    async def bench(rig: Rig) -> None:
        for page in (IATU, CONTROLLER, MU_A, EDMA - 0x10000, EDMA + 0x10000):
            await rig.map(1, 1, page)
            for offset in (WRITE_STATUS, READ_STATUS, 0x104, 0x114):
                await refused(rig, write(1, offset, 0), read(1, offset))
        await rig.map(1, 1, EDMA + (0x5000 & ~0x3FFF))  # another part of the page
        await refused(rig, write(1, WRITE_STATUS, 0))

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_damaged_packet_rings_nothing(width: int) -> None:
    """Discontinued in any beat, cut after any, or running on; another function; and the next one rings."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        request = write(1, READ_STATUS, 0xD0)
        beats = cq_beats(request, width)
        for number in range(len(beats)):
            rig.send(dataclasses.replace(request, discontinue=frozenset({number})))
        for number in range(len(beats) - 1):
            rig.cq += [*beats[:number], dataclasses.replace(beats[number], last=1)]
        rig.cq += [*beats[:-1], dataclasses.replace(beats[-1], last=0), dataclasses.replace(beats[-1], user=0)]
        rig.send(write(1, READ_STATUS, 0, function=1))
        await rig.drain()
        assert await rig.edma_bell() == (0, 0, 0)
        assert await rig.counters() == FINE | {"writes": 1, "discontinued": len(beats), "malformed": len(beats)}
        assert not rig.edma_rises
        await rings(rig, 1, READ_STATUS)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_without_guard(width: int) -> None:
    """The whole page, as in silicon: the host rings, acknowledges, unmasks, in up to four dwords."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        rig.send(write(1, READ_STATUS, 0))
        await rig.drain()
        assert rig.edma_rises[-1] - rig.first_beats[-1] == LATENCY[width]
        assert await rig.cpu_read(LATENCY_LAST) == LATENCY[width]
        rig.send(write(1, WRITE_CLEAR, 0), read(1, DMA_CTRL))
        (control,) = await rig.answers(1)
        await rig.step(4)
        assert (control.data, rig.edma) == ([0x0004_0004], 0)
        assert await rig.edma_bell() == (1, 0, 1)
        rig.send(write(1, WRITE_STATUS - 4, 0, 0, 0, 0))
        await rig.drain()
        assert await rig.edma_bell() == (2, 0, 1)
        await acknowledge(rig)
        # A DONE that the host unmasks is no ring, so it is not measured.
        await rig.cpu_write(CONTROLLER + 0x40, 1)
        rig.pulses = {"wr_done": 1}
        await rig.step()
        rig.send(write(1, CONTROL1, LIE), write(1, WRITE_MASK, 0))
        await rig.drain()
        assert rig.edma == 1
        assert await rig.cpu_read(LATENCY_LAST) == 0
        assert await rig.edma_bell() == (0, 0, 0)
        assert await rig.counters() == FINE

    Rig(width, guard=False).run(bench)


@pytest.mark.parametrize("lines", [4, 16])
def test_lines_carry_the_same_level(lines: int) -> None:
    async def bench(rig: Rig) -> None:
        levels: set[int] = set()
        rig.watch.append(lambda: levels.add(rig.ctx.get(rig.dut.irq_edma)))
        await rig.map(1, 1, EDMA)
        for offset in (WRITE_STATUS, READ_STATUS):
            await rings(rig, 1, offset, (1 << lines) - 1)
        assert levels == {0, (1 << lines) - 1}
        assert await rig.cpu_read(CONTROLLER + 8) >> 27 == lines

    Rig(64, edma=EdmaShape(lines=lines)).run(bench)


def test_channels_are_as_many_as_told() -> None:
    """Two to write and one to read: so many pulses there are, and DMA_CTRL says so."""

    async def bench(rig: Rig) -> None:
        assert (len(rig.dut.edma_wr_done), len(rig.dut.edma_rd_abort)) == (2, 1)
        assert await rig.cpu_read(EDMA + DMA_CTRL) == 0x0001_0002
        await rig.map(1, 1, EDMA)
        await rings(rig, 1, READ_STATUS)

    Rig(64, edma=EdmaShape(write_channels=2, read_channels=1)).run(bench)


@pytest.mark.parametrize("shape", [EdmaShape("legacy"), EdmaShape(base=0x1000)])
def test_registers_at_another_base(shape: EdmaShape) -> None:
    """The doorbell words move with the registers: 0x9bc and 0xa10 in the legacy map."""

    async def bench(rig: Rig) -> None:
        base = 0x970 if shape.personality == "legacy" else 0x1000
        await rig.map(1, 1, EDMA)
        for offset in (WRITE_STATUS, READ_STATUS):
            await refused(rig, write(1, offset, 0), read(1, offset))
            rig.send(write(1, base + offset, 0), read(1, base + offset))
            assert (await rig.answers(1))[0].data == [0]
            assert rig.edma == 1
            await rig.cpu_write(EDMA + base + READ_CLEAR, 0)
            await rig.step(2)
            assert rig.edma == 0
        assert await rig.edma_bell() == (2, 0, 2)

    Rig(128, edma=shape).run(bench)


def test_hdma_has_no_doorbell() -> None:
    """The guard keeps the host out of the whole page."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        for offset in (0, WRITE_STATUS, READ_STATUS, 0x84, 0x88, 0x8C, 0x184):
            await refused(rig, write(1, offset, 0), read(1, offset), write(4, offset, 0), read(4, offset))
        assert not rig.edma_rises

    Rig(64, edma=EdmaShape("hdma"), fixed_bar=4).run(bench)


def test_hdma_without_guard_rings_nothing() -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        rig.send(*(write(1, offset, 0xFFFFFFFF) for offset in (WRITE_STATUS, READ_STATUS, 0x84, 0x184)))
        await rig.drain()
        assert not rig.edma_rises
        assert await rig.edma_bell() == (0, 0, 0)
        assert await rig.counters() == FINE

    Rig(64, edma=EdmaShape("hdma"), guard=False).run(bench)


def test_refused_read_is_ur() -> None:
    """The completion in full, once: Unsupported Request, no data, byte count of the request."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, EDMA)
        rig.send(read(1, WRITE_STATUS, 2, tag=9))
        (completion,) = await rig.answers(1)
        assert (completion.status, completion.length, completion.byte_count, completion.tag) == (UR, 0, 8, 9)

    Rig(64).run(bench)
