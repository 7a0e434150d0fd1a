"""Ordering, deadlock and reset: what may pass what, how long the CPU waits, and what a reset leaves behind."""

import pytest
from usp_packets import cq_beats, expected_completions, read, write
from usp_rig import MU_A, MU_B, RAM, RCR, RR, RSR, TR, WIDTHS, Rig


async def mapped(rig: Rig) -> None:
    await rig.map(0, 0, RAM)
    await rig.map(1, 1, MU_B)
    await rig.cpu_write(MU_A + RCR, 0xF)


@pytest.mark.parametrize("width", WIDTHS)
def test_posted_writes_pass_stalled_reads(width: int) -> None:
    """The host takes no completion at all, and its doorbells still get through (PCI Express, 2.4.1, table 2-39)."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        rig.cc_ready = lambda: False
        reads = [read(0, 0x100 * tag, 32, tag=tag) for tag in range(8)]
        rig.send(*reads)
        for ring in range(20):
            rig.send(write(1, TR, ring), write(0, 0x1000, ring))
        await rig.drain(400)
        assert not rig.completions
        assert rig.irq == 1
        assert await rig.bell(0) == (20, 19, 0)
        assert await rig.cpu_read(MU_A + RR) == 19
        assert await rig.cpu_read(RAM + 0x1000) == 19
        rig.cc_ready = lambda: True
        zeroes = bytes(0x4000)
        assert await rig.answers(8) == [expected_completions(r, zeroes, 128)[0] for r in reads]

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_credits(width: int) -> None:
    """Eight non-posted requests are granted, and one more for each that has been answered, refused ones included."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        assert rig.credits == 8
        rig.cc_ready = lambda: False
        # The first is more than the sender takes. What waits in there is answered as far as the queue is concerned.
        rig.send(read(0, 0, 512, tag=0), *(read(0, 0, tag=tag) for tag in range(1, 7)), read(2, 0, tag=7))
        await rig.drain()
        assert rig.credits == 8
        rig.cc_ready = lambda: True
        answers = await rig.answers(512 * 4 // rig.max_payload + 7)
        assert [one.tag for one in answers[-8:]] == list(range(8))
        await rig.step(4)
        assert rig.credits == 16
        await rig.step(50)
        assert rig.credits == 16

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_more_reads_than_credits_only_wait(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await mapped(rig)
        rig.stall(0, 0.5)
        rig.send(*(read(0, 16 * tag, 3, tag=tag) for tag in range(40)))
        assert [c.tag for c in await rig.answers(40)] == list(range(40))

    Rig(width).run(bench)


@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_read_sees_every_earlier_write(width: int, stalled: bool) -> None:
    async def bench(rig: Rig) -> None:
        if stalled:
            rig.stall(0.2, 0.2)
        await mapped(rig)
        for turn in range(6):
            length = rig.random.randrange(1, 40)
            words = [rig.random.getrandbits(32) for _ in range(length)]
            rig.send(write(0, 0x200, *words), read(0, 0x200 + 4 * (length - 1), tag=turn))
            rig.send(write(1, TR + 4, turn), read(1, 0x104, tag=turn), read(1, 0x124, tag=turn))
            last, _, status = await rig.answers(3)
            assert last.data == [words[-1]]
            assert status.data == [0b1101]  # TE1: what was rung has not been read
            await rig.cpu_read(MU_A + RR + 4)

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_payload_is_visible_with_the_interrupt(width: int) -> None:
    """Whatever the length and place of the payload: when irq_mu rises, a read of the CPU finds it."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        for turn in range(8):
            length = rig.random.randrange(1, 20)
            offset = 4 * rig.random.randrange(64)
            words = [rig.random.getrandbits(32) for _ in range(length)]
            rises = len(rig.irq_rises)
            rig.send(write(0, offset, *words), write(1, TR, turn))
            while len(rig.irq_rises) == rises:
                await rig.step()
            assert await rig.cpu_read(RAM + offset + 4 * (length - 1)) == words[-1]
            assert await rig.cpu_read(MU_A + RR) == turn

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("target", ["doorbell", "ram"])
@pytest.mark.parametrize("width", WIDTHS)
def test_cpu_is_not_starved(width: int, target: str) -> None:
    """While the host writes without a gap, an access of the CPU to the same place ends within 20 clocks."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        bar, offset, address = (1, TR, MU_B + TR + 12) if target == "doorbell" else (0, 0x100, RAM + 0x800)
        for value in range(10):
            rig.send(*(write(bar, offset, n) for n in range(20)))
            started = rig.cycle
            assert await rig.cpu_write(address, value) == 0
            assert rig.cq, "the host must still be writing"
            assert rig.cycle - started <= 20
        await rig.drain()
        if target == "doorbell":
            assert await rig.bell(0) == (200, 199, 0)
            assert await rig.bell(3) == (10, 9, 0)
        else:
            assert await rig.cpu_read(address) == 9

    Rig(width).run(bench)


@pytest.mark.parametrize("stalled", [False, True], ids=["flowing", "stalled"])
def test_cpu_reads_ram_while_the_host_does(stalled: bool) -> None:
    """The host's long reads neither keep the CPU out nor mix up its data, even when the host takes nothing."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        words = [rig.random.getrandbits(32) for _ in range(1024)]
        rig.send(write(0, 0, *words))
        await rig.drain()
        rig.cc_ready = (lambda: rig.random.random() < 0.3) if stalled else (lambda: True)
        rig.max_payload = 512
        rig.send(read(0, 0, 1024, tag=1), read(0, 0x40, 16, tag=2))
        for k in range(12):
            started = rig.cycle
            assert await rig.cpu_read(RAM + 4 * 17 * k) == words[17 * k]
            assert rig.cycle - started <= 24
        data = [word for c in await rig.answers(9) for word in c.data]
        assert data == words + words[16:32]

    Rig(128).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_reset_in_the_middle(width: int) -> None:
    """Of a write, of a completion, and while a doorbell is pending: nothing stale, and the next requests work."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        rig.send(write(0, 0, *range(1, 65)), write(1, TR, 7))
        await rig.drain()
        assert rig.irq == 1
        rig.cc_ready = lambda: False
        rig.send(read(0, 0, 64, tag=1), read(0, 0, 64, tag=2))
        await rig.drain()
        rig.send(write(0, 0x800, *range(100, 164)))
        await rig.step(3)
        await rig.reset()
        rig.cc_ready = lambda: True
        assert rig.irq == 0
        await rig.step(30)
        assert not rig.completions
        assert rig.credits == 8
        await mapped(rig)
        assert rig.irq == 0
        rig.send(read(0, 0, 4, tag=3), write(1, TR + 4, 8))
        (completion,) = await rig.answers(1)
        assert completion.data == [1, 2, 3, 4]
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0b10

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_reset_of_the_endpoint_alone(width: int) -> None:
    """The rest of a packet that comes after the reset is skipped; its payload is never taken for a request."""

    async def bench(rig: Rig) -> None:
        await mapped(rig)
        # A payload that, read as a descriptor, would be a doorbell.
        fake = cq_beats(write(1, TR, 0xBAD), 64)
        words = [beat.data >> shift & 0xFFFFFFFF for beat in fake for shift in (0, 32)]
        beats = cq_beats(write(0, 0x400, *(words * 12)), width)
        rig.cq += beats[:2]
        await rig.step(4)
        await rig.reset()
        await mapped(rig)
        rig.cq += beats[2:]
        rig.send(write(1, TR + 4, 1))
        await rig.drain()
        assert await rig.cpu_read(MU_A + RSR) == 0b10
        assert (await rig.counters())["malformed"] == 1

    Rig(width).run(bench)
