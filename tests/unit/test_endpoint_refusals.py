"""What the endpoint refuses, how it answers, what it counts, and that the next request works."""

import dataclasses

import pytest
from usp_packets import (
    CAS,
    FETCH_ADD,
    IO_READ,
    IO_WRITE,
    MEM_READ_LOCKED,
    MSG,
    MSG_ATS,
    MSG_VENDOR,
    SWAP,
    UR,
    Request,
    cq_beats,
    expected_completions,
    read,
    write,
)
from usp_rig import CONTROLLER, EDMA, IATU, MU_A, MU_B, RAM, RAM_SIZE, RR, TR, WIDTHS, Rig

CONFIG_READS, CONFIG_WRITES = (8, 9), (10, 11)
NONE = {"writes": 0, "reads": 0, "unsupported": 0, "discontinued": 0, "malformed": 0}


async def still_works(rig: Rig) -> None:
    """A good write and a good read through BAR 0, which shows the RAM."""
    rig.send(write(0, 0x80, 0x600D), read(0, 0x80, tag=99))
    (completion,) = await rig.answers(1)
    assert (completion.status, completion.tag, completion.data) == (0, 99, [0x600D])
    assert not rig.completions


async def refused(rig: Rig, bar: int, offset: int, length: int = 1, **more: int) -> None:
    """A write and a read there: dropped, Unsupported Request; one more in each counter."""
    before = await rig.counters()
    random = rig.random
    hint = random.randrange(2), random.randrange(4), random.randrange(256)
    request = read(bar, offset, length, tag=11, requester=0xBEEF, tc=5, attr=3, tph=hint, **more)
    request = dataclasses.replace(request, reserved=random.randrange(4))
    rig.send(write(bar, offset, *range(1, length + 1), **more), request)
    (completion,) = await rig.answers(1)
    assert [completion] == expected_completions(request, None, 128)
    assert completion.status == UR
    after = await rig.counters()
    assert after == before | {"writes": before["writes"] + 1, "reads": before["reads"] + 1}
    await still_works(rig)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_window(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        await refused(rig, 1, 0x40)
        await rig.map(1, 1, MU_B)
        await rig.cpu_write(IATU + 0x300 + 4, 0)
        await rig.step(2)
        await refused(rig, 1, TR)
        await refused(rig, 1, 0, 40)
        assert not rig.irq_rises
        assert await rig.bell(0) == (0, 0, 0)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_guard(width: int) -> None:
    """No window lets the host reach more than RAM and side B."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        for target in (MU_A, CONTROLLER, IATU, EDMA, RAM - 0x10000, RAM + RAM_SIZE, 0x1_0000_0000 + RAM):
            await rig.map(1, 1, target)
            await refused(rig, 1, 0x10)
        before = await rig.cpu_read(IATU + 0x100 + 0x14)
        await rig.map(1, 1, IATU)
        rig.send(write(1, 0x114, 0xFFFFFFFF))
        await rig.drain()
        assert await rig.cpu_read(IATU + 0x100 + 0x14) == before == RAM

    Rig(width).run(bench)


@pytest.mark.parametrize("width", [64, 256])
def test_without_guard(width: int) -> None:
    """The host reaches every page that exists, as in silicon; what does not exist is still refused."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        for target, offset, value in ((MU_A, 0x004, 0x03040404), (CONTROLLER, 0, 0x4550424C), (IATU, 0x114, RAM)):
            await rig.map(1, 1, target)
            rig.send(read(1, offset, tag=4))
            (completion,) = await rig.answers(1)
            assert completion.data == [value]
        await rig.map(1, 1, MU_A)
        rig.send(write(1, 0x128, 0xF))
        await rig.map(1, 1, MU_B)
        rig.send(write(1, TR, 0xF00))
        await rig.drain()
        assert rig.irq == 1
        assert await rig.cpu_read(CONTROLLER + 0x80) == rig.irq_rises[0] - rig.first_beats[-1]
        assert await rig.cpu_read(CONTROLLER + 8) >> 24 & 1 == 0
        await rig.map(1, 1, EDMA + 0x10000)
        await refused(rig, 1, 0x4C)

    Rig(width, guard=False).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_other_function(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        await refused(rig, 0, 0x40, function=1)
        await rig.map(0, 0, RAM, function=1)
        before = await rig.counters()
        rig.send(write(0, 0x40, 1))
        await rig.drain()
        assert (await rig.counters())["writes"] == before["writes"] + 1
        await rig.map(0, 0, RAM, function=0)
        await still_works(rig)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_crossing_4_kib(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        rig.send(read(0, 0xFF8, 2, tag=1), read(0, 0x1000, 2, tag=2))
        assert [c.status for c in await rig.answers(2)] == [0, 0]
        await refused(rig, 0, 0xFF8, 3)
        await refused(rig, 0, 0x2004, 1024)
        assert await rig.cpu_read(RAM + 0xFF8) == 0
        assert await rig.cpu_read(RAM + 0x2004) == 0

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_beyond_a_small_bar(width: int) -> None:
    """BAR 3 has 128 bytes."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        await rig.map(3, 3, RAM + 0x1000)
        rig.send(write(3, 0, *range(32)), read(3, 0x7C, tag=1), read(3, 0, 32, tag=2))
        last, whole = await rig.answers(2)
        assert (last.data, whole.data) == ([31], list(range(32)))
        await refused(rig, 3, 0x7C, 2)
        await refused(rig, 3, 0x40, 17)

    Rig(width).run(bench)


@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
@pytest.mark.parametrize("width", WIDTHS)
def test_unsupported_kinds(width: int, stalled: bool) -> None:
    """I/O, configuration, atomics, locked reads are refused after their payload; messages leave one trace."""

    async def bench(rig: Rig) -> None:
        if stalled:
            rig.stall(0.4, 0.4)
        await rig.map(0, 0, RAM)
        payload = {IO_READ: 0, IO_WRITE: 1, FETCH_ADD: 2, SWAP: 1, CAS: 4, MEM_READ_LOCKED: 0}
        payload |= dict.fromkeys(CONFIG_READS, 0) | dict.fromkeys(CONFIG_WRITES, 1)
        requests = [
            Request(kind, 0, 0x40, max(count, 1), payload=(0xBAD,) * count, tag=kind, requester=0x1234, tc=2, attr=1)
            for kind, count in payload.items()
        ]
        requests.append(Request(MEM_READ_LOCKED, 0, 0x44, 33, first_be=0xC, last_be=0x3, tag=9))
        requests.append(Request(CAS, 0, 0x40, 8, payload=(0xBAD,) * 8, tag=10))
        rig.send(*requests)
        assert await rig.answers(len(requests)) == [expected_completions(r, None, 128)[0] for r in requests]
        assert await rig.counters() == NONE | {"unsupported": len(requests)}
        for kind in (MSG, MSG_VENDOR, MSG_ATS):
            for count in (0, 1, 5, 20):
                rig.send(Request(kind, 0, 0x40, max(count, 1), payload=(0xBAD,) * count))
        await still_works(rig)
        assert await rig.counters() == NONE | {"unsupported": len(requests) + 12}
        assert await rig.cpu_read(RAM + 0x40) == 0

    Rig(width, seed=1).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_discontinued(width: int) -> None:
    """A write flagged from its first beat leaves no trace; a read is answered with UR, never with data."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        rig.send(write(0, 0x40, *range(1, 40), discontinue=frozenset(range(64))))
        rig.send(asked := read(0, 0x40, 4, tag=3, discontinue=frozenset({0})))
        (completion,) = await rig.answers(1)
        assert [completion] == expected_completions(asked, None, 128)
        assert await rig.counters() == NONE | {"discontinued": 2}
        assert await rig.cpu_read(RAM + 0x40) == 0
        await still_works(rig)

    Rig(width).run(bench)


@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
@pytest.mark.parametrize("width", WIDTHS)
def test_all_doorbells_behind_a_discarded_write(width: int, stalled: bool) -> None:
    """Bad in its last beat alone, it rings nothing; each dword of the next request, and of the one after it, rings."""

    async def bench(rig: Rig) -> None:
        if stalled:
            rig.stall(0.4, 0)
        await rig.map(1, 1, MU_B)
        bad = write(1, TR, *range(1, 4))
        last = len(cq_beats(bad, width)) - 1
        for first in (0x10, 0x20):
            rig.send(dataclasses.replace(bad, discontinue=frozenset({last})))
            for words in (range(first, first + 4), range(first + 4, first + 8)):
                rig.send(write(1, TR, *words))
                await rig.drain()
                await rig.step(8)
                assert [await rig.cpu_read(MU_A + RR + 4 * vector) for vector in range(4)] == [*words]
        assert [await rig.bell(vector) for vector in range(4)] == [(4, 0, 4)] * 4
        assert await rig.counters() == NONE | {"discontinued": 2}

    Rig(width).run(bench)


@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
@pytest.mark.parametrize("width", WIDTHS)
def test_framing(width: int, stalled: bool) -> None:
    """Early and late tlast, a packet inside another, a beat outside of any: counted once each, and in step again."""

    async def bench(rig: Rig) -> None:
        if stalled:
            rig.stall(0.4, 0)
        await rig.map(0, 0, RAM)
        long = write(0, 0x400, *range(40))
        beats = cq_beats(long, width)
        middle = len(beats) // 2
        count = 0
        rig.cq += [*beats[:middle], dataclasses.replace(beats[middle], last=1)]
        count += 1
        await still_works(rig)
        extra = dataclasses.replace(beats[middle], user=0)
        going_on = dataclasses.replace(extra, last=0)
        rig.cq += [*beats[:-1], dataclasses.replace(beats[-1], last=0), going_on, going_on]
        rig.cq += [dataclasses.replace(extra, last=1)]
        count += 1
        await still_works(rig)
        torn = cq_beats(write(0, 0x1400, *[0x7EA2] * 40), width)
        rig.cq += torn[: middle + 1]  # no end at all: the next packet begins
        count += 1
        await still_works(rig)
        written = max((middle + 1) * width // 32 - 4, 0)
        words = [await rig.cpu_read(RAM + 0x1400 + 4 * k) for k in range(40)]
        assert words == [0x7EA2] * written + [0] * (40 - written), "the next packet's descriptor is no payload"
        holed = dataclasses.replace(beats[middle], keep=beats[middle].keep & ~2)
        rig.cq += [*beats[:middle], holed, *beats[middle + 1 :]]
        count += 1
        await still_works(rig)
        rig.cq += [going_on, dataclasses.replace(extra, last=1)]
        count += 1
        await still_works(rig)
        assert await rig.counters() == NONE | {"malformed": count}

    Rig(width, seed=3).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_damaged_read_is_answered(width: int) -> None:
    """A read that trails beats, or asks for nothing, gets UR: the host need not wait for its time-out."""

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        beats = cq_beats(read(0, 0x40, 4, tag=7), width)
        extra = dataclasses.replace(beats[-1], user=0)
        rig.cq += [*beats[:-1], dataclasses.replace(beats[-1], last=0), extra]
        rig.send(read(0, 0x40, 0, tag=8))
        late, nothing = await rig.answers(2)
        assert (late.tag, late.status, late.length, late.byte_count) == (7, UR, 0, 16)
        assert (nothing.tag, nothing.status, nothing.length) == (8, UR, 0)
        rig.send(Request(FETCH_ADD, 0, 0x40, 2, payload=(1,), tag=9))
        (short,) = await rig.answers(1)
        assert (short.tag, short.status) == (9, UR)
        assert await rig.counters() == NONE | {"malformed": 3}
        await still_works(rig)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_counters_clear(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, RAM)
        rig.send(write(1, 0, 1), read(1, 0))
        await rig.answers(1)
        assert await rig.counters() == NONE | {"writes": 1, "reads": 1}
        await rig.cpu_write(CONTROLLER + 0x40, 1)
        assert await rig.counters() == NONE

    Rig(width).run(bench)


def test_cpu_outside_the_map() -> None:
    """DECERR, and no effect anywhere."""

    async def bench(rig: Rig) -> None:
        await rig.cpu_write(RAM, 0x55)
        for address in (0, EDMA - 4, EDMA + 0x10000, MU_A + 0x10000, MU_B - 4, RAM + RAM_SIZE, 0xFFFFFFFC):
            assert await rig.cpu_write(address, 0xFFFFFFFF) == 3
            assert await rig.cpu_read_response(address) == (0, 3)
        assert await rig.cpu_read(RAM) == 0x55
        assert await rig.cpu_read(CONTROLLER) == 0x4550424C

    Rig(64).run(bench)
