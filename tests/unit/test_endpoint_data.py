"""Writes and reads of the RAM through a BAR, against an array of bytes."""

import pytest
from usp_packets import Request, apply_write, expected_completions, read, write
from usp_rig import RAM, RAM_SIZE, WIDTHS, Rig

LENGTHS = (1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 20, 28, 29, 31, 32, 33, 47, 64, 65)
STALLS = pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])


def byte_enables(rig: Rig, length: int) -> dict[str, int]:
    """Enables as the specification allows them: any for one dword, at least one bit at each end otherwise."""
    if length == 1:
        return {"first_be": rig.random.randrange(16), "last_be": 0}
    if rig.random.random() < 0.3:
        return {}
    return {"first_be": rig.random.randrange(1, 16), "last_be": rig.random.randrange(1, 16)}


def place(rig: Rig, length: int) -> int:
    """Offset of a request that does not cross a multiple of 4 KiB."""
    page = rig.random.randrange(RAM_SIZE // 4096) * 4096
    return page + 4 * rig.random.randrange(1024 - length + 1)


def some_write(rig: Rig, length: int) -> Request:
    payload = [rig.random.getrandbits(32) for _ in range(length)]
    return write(0, place(rig, length), *payload, **byte_enables(rig, length))


def some_read(rig: Rig, length: int, tag: int) -> Request:
    """A read with every field of its header at random."""
    return read(
        0,
        place(rig, length),
        length,
        tag=tag,
        requester=rig.random.getrandbits(16),
        tc=rig.random.randrange(8),
        attr=rig.random.randrange(8),
        at=rig.random.randrange(4),
        **byte_enables(rig, length),
    )


async def exchange(rig: Rig, memory: bytearray, lengths: list[int]) -> None:
    """Writes of these lengths, then reads of them, all at once on the stream."""
    writes = [some_write(rig, length) for length in lengths]
    for request in writes:
        apply_write(memory, request)
    reads = [some_read(rig, length, tag) for tag, length in enumerate(lengths)]
    # Reads of what has just been written, whole: an overwritten neighbour would show.
    reads += [read(0, w.offset, w.length, tag=128 + tag) for tag, w in enumerate(writes)]
    expected = [c for request in reads for c in expected_completions(request, bytes(memory), rig.max_payload)]
    rig.send(*writes, *reads)
    assert await rig.answers(len(expected)) == expected


@STALLS
@pytest.mark.parametrize("width", WIDTHS)
def test_random_traffic(width: int, stalled: bool) -> None:
    async def bench(rig: Rig) -> None:
        if stalled:
            rig.stall(0.3, 0.4)
        await rig.map(0, 0, RAM)
        memory = bytearray(RAM_SIZE)
        for mps in (128, 256, 512, 1024):
            rig.max_payload = mps
            lengths = rig.random.sample(LENGTHS, 12 if width < 256 else 20)
            await exchange(rig, memory, lengths)
        await rig.drain()
        assert not rig.completions
        assert set((await rig.counters()).values()) == {0}

    Rig(width, seed=width + stalled).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_longest_requests(width: int) -> None:
    """1024 dwords fill 4 KiB; one dword less leaves its neighbours alone."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        memory = bytearray(RAM_SIZE)
        words = [rig.random.getrandbits(32) for _ in range(1024)]
        requests = [write(0, 0x1000, *words), write(0, 0x2004, *words[1:], first_be=0x8, last_be=0x3)]
        for request in requests:
            apply_write(memory, request)
        reads = [read(0, 0x1000, 1024, tag=1), read(0, 0x2000, 1024, tag=2), read(0, 0x2004, 1023, first_be=8, tag=3)]
        rig.send(*requests)
        for mps, request in zip((128, 512, 1024), reads, strict=True):
            rig.max_payload = mps
            rig.send(request)
            expected = expected_completions(request, bytes(memory), mps)
            assert await rig.answers(len(expected)) == expected

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_byte_enable(width: int) -> None:
    """All 16 patterns of one dword, and every pair of ends of two and three dwords, written and read."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        memory = bytearray(RAM_SIZE)
        shapes = [(1, first, 0) for first in range(16)]
        pairs = [(first, last) for first in range(1, 16) for last in range(1, 16)]
        shapes += [(2 + index % 2, *pair) for index, pair in enumerate(rig.random.sample(pairs, 60))]
        for number, (length, first, last) in enumerate(shapes):
            offset = 16 * number + 4 * (number % 3)
            payload = [rig.random.getrandbits(32) for _ in range(length)]
            rig.send(request := write(0, offset, *payload, first_be=first, last_be=last))
            apply_write(memory, request)
        reads = [
            read(0, 16 * n + 4 * (n % 3), length, first_be=first, last_be=last, tag=n)
            for n, (length, first, last) in enumerate(shapes)
        ]
        rig.send(*reads)
        expected = [c for r in reads for c in expected_completions(r, bytes(memory), 128)]
        assert await rig.answers(len(expected)) == expected
        rig.send(whole := read(0, 0, 320, tag=200))
        expected = expected_completions(whole, bytes(memory), 128)
        assert await rig.answers(len(expected)) == expected

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_zero_length(width: int) -> None:
    """A write without byte enables changes nothing; a read without is answered with one dword, byte count 1."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        rig.send(write(0, 0x40, 0x11111111), write(0, 0x40, 0xFFFFFFFF, first_be=0), read(0, 0x40, first_be=0, tag=5))
        (flush,) = await rig.answers(1)
        assert (flush.status, flush.length, flush.byte_count, flush.lower, flush.tag) == (0, 1, 1, 0x40, 5)
        rig.send(read(0, 0x40))
        (now,) = await rig.answers(1)
        assert now.data == [0x11111111]
        assert set((await rig.counters()).values()) == {0}

    Rig(width).run(bench)


@pytest.mark.parametrize("mps", [128, 256, 512, 1024])
def test_completions_end_on_the_maximum_payload(mps: int) -> None:
    """Literal figures for one read: from 0x7c before a boundary, 200 dwords, three bytes less at either end."""

    async def bench(rig: Rig) -> None:
        rig.max_payload = mps
        await rig.map(0, 0, RAM)
        rig.send(read(0, 0x0384, 200, first_be=0x8, last_be=0x1, tag=1))
        total = 200 * 4 - 6
        end = 0x384 + 800
        cuts = [0x384, *range((0x384 // mps + 1) * mps, end, mps), end]
        completions = await rig.answers(len(cuts) - 1)
        left = total
        for number, (c, begin, stop) in enumerate(zip(completions, cuts, cuts[1:], strict=False)):
            assert c.length == (stop - begin) // 4
            assert c.byte_count == left
            assert c.lower == ((0x384 + 3) & 0x7F if number == 0 else 0)
            left -= stop - begin - (3 if number == 0 else 0)
        assert left == -3  # the three disabled bytes behind the last one

    Rig(128).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_cpu_and_host_see_the_same_ram(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        for k in range(9):
            await rig.cpu_write(RAM + 0x100 + 4 * k, 0x01010101 * k)
        await rig.cpu_write(RAM + 0x104, 0xAABBCCDD, strobes=0b0110)
        rig.send(read(0, 0x100, 9), write(0, 0x204, 5, 6, 7))
        (c,) = await rig.answers(1)
        assert c.data == [0, 0x01BBCC01, *(0x01010101 * k for k in range(2, 9))]
        assert [await rig.cpu_read(RAM + 0x200 + 4 * k) for k in range(5)] == [0, 5, 6, 7, 0]

    Rig(width).run(bench)
