"""Host writes to the Messaging Unit through a BAR: what rings, what does not, and how fast."""

import dataclasses

import pytest
from usp_packets import cq_beats, read, write
from usp_rig import CONTROLLER, KNOWN, LATENCY, MU_A, MU_B, PERIOD, RAM, RCR, RR, RSR, TR, WIDTHS, Rig

FIRST_CC = {64: 23, 128: 21, 256: 21, 512: 21}
IRQ_LATENCY_LAST, IRQ_LATENCY_MAX = CONTROLLER + 0x80, CONTROLLER + 0x84


async def armed(rig: Rig) -> None:
    """BAR 1 shows side B, all four vectors are enabled on side A."""
    await rig.map(1, 1, MU_B)
    await rig.cpu_write(MU_A + RCR, 0xF)


@pytest.mark.parametrize("width", WIDTHS)
def test_latency(width: int) -> None:
    """First CQ beat to irq_mu, window and guard included, and the endpoint's own measurement of it."""

    async def bench(rig: Rig) -> None:
        await armed(rig)
        for ring in range(4):
            rig.send(write(1, TR + 4 * ring, 0x1000 + ring))
            await rig.drain()
            assert rig.irq == 1
            clocks = KNOWN[width] if ring else LATENCY[width]
            assert rig.irq_rises[-1] - rig.first_beats[-1] == clocks
            assert await rig.cpu_read(IRQ_LATENCY_LAST) == clocks
            assert await rig.cpu_read(MU_A + RR + 4 * ring) == 0x1000 + ring
            await rig.step(rig.random.randrange(5))
            assert rig.irq == 0
        assert len(rig.irq_rises) == 4
        # A stream that pauses between the beats counts as part of the latency.
        beats = cq_beats(write(1, TR, 5), width)
        for beat in beats:
            rig.cq.append(beat)
            await rig.step(7)
        paused = KNOWN[width] + 6 * (len(beats) - 1)
        assert await rig.cpu_read(IRQ_LATENCY_LAST) == paused
        assert await rig.cpu_read(IRQ_LATENCY_MAX) == max(LATENCY[width], paused)
        await rig.cpu_read(MU_A + RR)
        rig.send(write(1, TR, 5))
        await rig.drain()
        assert await rig.cpu_read(IRQ_LATENCY_LAST) == KNOWN[width]
        assert await rig.cpu_read(IRQ_LATENCY_MAX) == max(LATENCY[width], paused)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_latency_of_what_waits_inside(width: int) -> None:
    """Four words are one register after the other: the clocks that the last of them waits for the others count."""

    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, MU_B)
        await rig.cpu_write(MU_A + RCR, 0b1000)  # of the last word's vector alone
        rig.send(write(1, TR, 1, 2, 3, 4))
        await rig.drain()
        seen = rig.irq_rises[-1] - rig.first_beats[-1]
        assert seen >= LATENCY[width] + 3
        assert await rig.cpu_read(IRQ_LATENCY_LAST) == seen

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_unmasking_is_no_latency(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(1, 1, MU_B)
        rig.send(write(1, TR, 1))
        await rig.drain()
        assert rig.irq == 0
        await rig.cpu_write(MU_A + RCR, 1)
        await rig.step(3)
        assert rig.irq == 1
        assert await rig.cpu_read(IRQ_LATENCY_LAST) == 0

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_single_doorbells_back_to_back(width: int) -> None:
    """Throughput, and nothing lost: the counters add up and the last word is the one that is read."""

    async def bench(rig: Rig) -> None:
        await armed(rig)
        count = 60
        rig.send(*(write(1, TR + 4 * (n % 4), n) for n in range(count)))
        await rig.drain()
        gaps = {b - a for a, b in zip(rig.first_beats, rig.first_beats[1:], strict=False)}
        assert len(rig.first_beats) == count
        assert gaps == {PERIOD[width]}
        for vector in range(4):
            assert await rig.bell(vector) == (15, 14, 0)
            assert await rig.cpu_read(MU_A + RR + 4 * vector) == count - 4 + vector
            assert await rig.bell(vector) == (15, 14, 1)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_read_latency(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await armed(rig)
        rig.send(read(1, TR + 0x20))
        (completion,) = await rig.answers(1)
        assert completion.cycle - rig.first_beats[0] == FIRST_CC[width]

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_ram_takes_and_gives_a_beat_per_clock(width: int) -> None:
    """Writes without a pause on CQ, reads without a pause on CC, at an odd dword and across completions."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        rig.max_payload = 256
        beats = sum(len(cq_beats(write(0, 4, *range(200)), width)) for _ in range(3))
        rig.send(*(write(0, 0x1000 * n + 4, *range(200)) for n in range(3)))
        started = rig.cycle
        while rig.cq:
            await rig.step()
        assert rig.cycle - started == beats
        rig.send(*(read(0, 0x1000 * n + 4, 200, tag=n) for n in range(3)))
        completions = await rig.answers(12)
        assert [word for c in completions for word in c.data] == list(range(200)) * 3
        cc_beats = sum(-(-(3 + c.length) * 32 // width) for c in completions)
        last = -(-(3 + completions[-1].length) * 32 // width)
        # A completion begins when it is whole: at 64 bits a long one is not yet when a short one before it has gone.
        # Behind a completion of one beat that ends its request, as at 512 bits, the engine takes a clock for the next.
        assert completions[-1].cycle + last - completions[0].cycle == cc_beats + (width == 64) + 2 * (last == 1)

    Rig(width).run(bench)


@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
@pytest.mark.parametrize("width", WIDTHS)
def test_each_vector_with_its_own_data(width: int, stalled: bool) -> None:
    async def bench(rig: Rig) -> None:
        if stalled:
            rig.stall(0.5, 0.5)
        await armed(rig)
        for vector in (2, 0, 3, 1):
            data = rig.random.getrandbits(32)
            rig.send(write(1, TR + 4 * vector, data))
            await rig.drain()
            assert await rig.cpu_read(MU_A + RSR) == 1 << vector
            assert await rig.cpu_read(MU_A + RR + 4 * vector) == data
            assert await rig.cpu_read(MU_A + RSR) == 0
            assert await rig.bell(vector) == (1, 0, 1)
        assert len(rig.irq_rises) == 4

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("length", [2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
def test_burst_rings_each_once(width: int, length: int) -> None:
    """A burst reaches TR0, TR1, ... in ascending order, a dword per clock, and a neighbour nothing."""

    async def bench(rig: Rig) -> None:
        await armed(rig)
        data = [0xB000 + k for k in range(length)]
        rig.send(write(1, TR - 4, 0xFFFF, *data[: length - 1]), write(1, TR + 0x10, *data))
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == (1 << length - 1) - 1
        for k in range(length - 1):
            assert await rig.cpu_read(MU_A + RR + 4 * k) == data[k]
            assert await rig.bell(k) == (1, 0, 1)
        assert await rig.bell(length - 1) == (0, 0, 0)

    Rig(width).run(bench)


@pytest.mark.parametrize("length", [5, 8, 32])
@pytest.mark.parametrize("width", WIDTHS)
def test_long_burst_rings_nothing(width: int, length: int) -> None:
    async def bench(rig: Rig) -> None:
        await armed(rig)
        rig.send(write(1, TR, *range(length)), write(1, TR + 12, 9))
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0b1000
        assert (await rig.counters())["writes"] == 1
        assert await rig.bell(0) == (0, 0, 0)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_partial_writes_ring_nothing(width: int) -> None:
    """Every pattern of byte enables but all four, alone and at the ends of a burst."""

    async def bench(rig: Rig) -> None:
        await armed(rig)
        rig.send(*(write(1, TR, 0xFF, first_be=be) for be in range(15)))
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0
        rig.send(write(1, TR, 1, 2, 3, first_be=0xE, last_be=0x7))
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0b010
        assert await rig.bell(0) == (0, 0, 0)
        assert set((await rig.counters()).values()) == {0}

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_reads_of_the_doorbell_page(width: int) -> None:
    """A read rings nothing; only a read with a byte enabled takes the word out of RRn."""

    async def bench(rig: Rig) -> None:
        await armed(rig)
        for k in range(4):
            await rig.cpu_write(MU_A + TR + 4 * k, 0xA0 + k)
        rig.send(read(1, RR, first_be=0, tag=1), read(1, RSR, tag=2))
        flush, status = await rig.answers(2)
        assert (flush.length, flush.byte_count) == (1, 1)
        assert status.data == [0b1111]
        rig.send(read(1, RR, 3, last_be=0x1, tag=3), read(1, RSR, tag=4), read(1, TR, 4, tag=5))
        words, status, _ = await rig.answers(3)
        assert words.data == [0xA0, 0xA1, 0xA2]
        assert words.byte_count == 9
        assert status.data == [0b1000]
        # Enables that the specification forbids in longer requests are taken at their word.
        for k in range(4):
            await rig.cpu_write(MU_A + TR + 4 * k, 0xB0 + k)
        rig.send(read(1, RR, 4, first_be=0, last_be=0, tag=6), read(1, RSR, tag=7))
        words, status = await rig.answers(2)
        assert words.data[1:3] == [0xB1, 0xB2]
        assert status.data == [0b1001]
        rig.send(read(1, RR - 16, 7, last_be=0, tag=6), read(1, RSR, tag=7))
        *_, status = await rig.answers(3)  # two completions: it crosses a multiple of 128
        assert status.data == [0b1000]
        assert await rig.cpu_read(MU_A + RSR) == 0

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_reading_a_whole_page(width: int) -> None:
    """1024 dwords out of registers, cut at the maximum payload, with CC held back now and then."""

    async def bench(rig: Rig) -> None:
        rig.stall(0, 0.2)
        rig.max_payload = 256
        await armed(rig)
        await rig.cpu_write(MU_A + TR, 0x12345678)
        rig.send(read(1, 0, 256, tag=7))
        completions = await rig.answers(4)
        assert [c.length for c in completions] == [64] * 4
        assert [c.byte_count for c in completions] == [1024, 768, 512, 256]
        assert completions[2].data[(RR - 0x200) // 4] == 0x12345678
        assert completions[1].data[(RSR - 0x100) // 4] == 0b0001  # before RR0 was read
        assert completions[0].data[1] == 0x03040404

    Rig(width).run(bench)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
def test_damaged_packet_rings_nothing(width: int, length: int) -> None:
    """Discontinued in any beat, cut after any beat, or running on: no doorbell, and the next one works."""

    async def bench(rig: Rig) -> None:
        await armed(rig)
        request = write(1, TR, *range(0xD0, 0xD0 + length))
        beats = cq_beats(request, width)
        discontinued = malformed = 0
        for number in range(len(beats)):
            rig.send(dataclasses.replace(request, discontinue=frozenset({number})))
            discontinued += 1
        for number in range(len(beats) - 1):
            rig.cq += [*beats[:number], dataclasses.replace(beats[number], last=1)]
            malformed += 1
        rig.cq += [*beats[:-1], dataclasses.replace(beats[-1], last=0), dataclasses.replace(beats[-1], user=0)]
        malformed += 1
        if beats[-1].keep > 1:  # the last dword is missing
            rig.cq += [*beats[:-1], dataclasses.replace(beats[-1], keep=beats[-1].keep >> 1)]
            malformed += 1
        if not beats[-1].keep >> width // 32 - 1:  # one dword too many
            rig.cq += [*beats[:-1], dataclasses.replace(beats[-1], keep=beats[-1].keep << 1 | 1)]
            malformed += 1
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0
        assert await rig.counters() == {
            "writes": 0,
            "reads": 0,
            "unsupported": 0,
            "discontinued": discontinued,
            "malformed": malformed,
        }
        rig.send(write(1, TR + 4, 0x600D))
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0b10
        assert await rig.cpu_read(MU_A + RR + 4) == 0x600D

    Rig(width).run(bench)
