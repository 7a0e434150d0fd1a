"""Rings of the eDMA in the very clock in which something else happens: an acknowledge, another ring, DONE, a reset."""

import pytest
from edma_traffic import CONTROL1, LIE, READ_CLEAR, READ_STATUS, WRITE_CLEAR, WRITE_MASK, WRITE_STATUS, acknowledge
from usp_packets import write
from usp_rig import CPU_ANSWERED, CPU_MADE, EDMA, LATENCY, MU_A, MU_B, PERIOD, RAM, RCR, RR, TR, WIDTHS, Rig

MAPPED = (1, 1, EDMA)


def line(rig: Rig) -> list[int]:
    """Record the level of irq_edma, clock by clock from now on."""
    levels: list[int] = []
    rig.watch.append(lambda: levels.append(rig.ctx.get(rig.dut.irq_edma)))
    return levels


async def ring_and_write(
    rig: Rig, offset: int, delta: int, address: int, data: int = 0, strobes: int = 0xF
) -> tuple[int, int]:
    """Let a ring be made `delta` clocks after a write of the CPU is; return the clocks in which both are.

    The ring takes the slow way: the express lane would let the CPU wait.
    """
    await rig.forget()
    way = LATENCY[rig.width] - CPU_MADE  # by which a ring takes longer than the CPU's write
    writes = max(0, way - delta)
    sends = writes + delta - way
    for clock in range(max(writes, sends) + 1):
        if clock == writes:
            access = rig.post(address, data, strobes)
        if clock == sends:
            rig.send(write(1, offset, clock))
        await rig.step()
    await rig.drain()
    rung, written = rig.first_beats[-1] + LATENCY[rig.width], access.cycle - CPU_ANSWERED
    assert rung - written == delta, "the test itself"
    return rung, written


def pulse_at(rig: Rig, clock: int, **pulses: int) -> None:
    """Let a DMA engine report in that clock."""

    def look() -> None:
        if rig.cycle + 1 == clock:
            rig.pulses = pulses

    rig.watch.append(look)


async def unmask(rig: Rig) -> None:
    """Let channel 0 of the write direction interrupt."""
    await rig.cpu_write(EDMA + WRITE_MASK, 0)
    await rig.cpu_write(EDMA + CONTROL1, LIE)


@pytest.mark.parametrize("clear", [WRITE_CLEAR, READ_CLEAR])
@pytest.mark.parametrize("width", WIDTHS)
def test_ring_around_an_acknowledge(width: int, clear: int) -> None:
    """In the clock of the acknowledge the ring wins and the line never falls; before it merges, later it rises anew."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        levels = line(rig)
        offset = WRITE_STATUS
        for delta in (*range(-7, 8), 0, 0):
            before = await rig.edma_bell()
            rig.send(write(1, offset, 0))
            await rig.drain()
            assert rig.edma == 1
            levels.clear()
            origin = rig.cycle
            rung, cleared = await ring_and_write(rig, offset, delta, EDMA + clear)
            low = range(cleared + 1, rung) if delta >= 0 else range(cleared + 1, rig.cycle)
            assert levels == [int(origin + clock not in low) for clock in range(len(levels))], delta
            gained = tuple(now - then for now, then in zip(await rig.edma_bell(), before, strict=True))
            assert gained == ((2, 1, 1) if delta < 0 else (2, 0, 1)), delta
            await acknowledge(rig)
            offset = WRITE_STATUS ^ READ_STATUS ^ offset
        rung_all, merged, delivered = await rig.edma_bell()
        assert rung_all == merged + delivered

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_host_and_cpu_ring_in_one_clock(width: int) -> None:
    """Both are rings and one of them is merged, as in the clocks around; the CPU's write of no byte is none."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        for delta in (-2, -1, 0, 1, 2):
            for strobes in (0b0001, 0b1111, 0b0000):
                before = await rig.edma_bell()
                await ring_and_write(rig, READ_STATUS, delta, EDMA + READ_STATUS, 0xFFFFFFFF, strobes)
                gained = tuple(now - then for now, then in zip(await rig.edma_bell(), before, strict=True))
                assert gained == ((2, 1, 0) if strobes else (1, 0, 0)), (delta, strobes)
                await acknowledge(rig)
        assert await rig.edma_bell() == (25, 10, 15)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_done_around_a_ring(width: int) -> None:
    """The line rises once and tells of both; acknowledging the ring leaves DONE, clearing DONE takes the line down."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        await unmask(rig)
        for delta in (-2, -1, 0, 1, 2):
            await rig.forget()
            rises = len(rig.edma_rises)
            rung = rig.cycle + 3 + LATENCY[width] - 1
            pulse_at(rig, rung + delta, wr_done=1)
            await rig.step(3)
            rig.send(write(1, READ_STATUS, 0))
            await rig.drain()
            assert rig.first_beats[-1] + LATENCY[width] - 1 == rung, "the test itself"
            assert rig.edma_rises[rises:] == [min(rung, rung + delta) + 1]
            assert await rig.cpu_read(EDMA + WRITE_STATUS) == 1
            await rig.cpu_write(EDMA + WRITE_CLEAR, 0)
            await rig.step(2)
            assert (rig.edma, await rig.cpu_read(EDMA + WRITE_STATUS)) == (1, 1)
            await rig.cpu_write(EDMA + WRITE_CLEAR, 1)
            await rig.step(2)
            assert rig.edma == 0
        assert await rig.edma_bell() == (5, 0, 5)

    Rig(width).run(bench)


@pytest.mark.parametrize("delta", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("width", [64, 256])
def test_done_around_an_acknowledge(width: int, delta: int) -> None:
    """A DONE in the clock of the INT_CLEAR that names it stays, and the line with it; the ring before is delivered."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        await unmask(rig)
        rig.send(write(1, READ_STATUS, 0))
        await rig.drain()
        levels, origin = line(rig), rig.cycle
        cleared = rig.cycle + 3 + CPU_MADE
        pulse_at(rig, cleared + delta, wr_done=1)
        await rig.step(3)
        access = rig.post(EDMA + WRITE_CLEAR, 1)
        await rig.drain()
        assert access.cycle - CPU_ANSWERED == cleared, "the test itself"
        low = range(cleared + 1, cleared + delta + 1) if delta >= 0 else range(cleared + 1, rig.cycle)
        assert levels == [int(origin + clock not in low) for clock in range(len(levels))]
        assert await rig.cpu_read(EDMA + WRITE_STATUS) == int(delta >= 0)
        assert await rig.edma_bell() == (1, 0, 1)

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_messaging_unit_and_edma_back_to_back(width: int) -> None:
    """Alternating rings come in at full rate; each line and each account is its own."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        await rig.map(2, 2, MU_B)
        await rig.cpu_write(MU_A + RCR, 0xF)
        for turn in range(8):
            rises = len(rig.irq_rises)
            pair = [write(2, TR, turn), write(1, READ_STATUS, turn)]
            rig.send(*(pair if turn % 2 else reversed(pair)))
            await rig.drain()
            first, second = rig.first_beats[-2:]
            assert second - first == PERIOD[width]
            mu, edma = (first, second) if turn % 2 else (second, first)
            assert rig.irq_rises[rises:] == [mu + LATENCY[width]]
            assert rig.edma_rises[rises:] == [edma + LATENCY[width]]
            if turn % 2:
                await acknowledge(rig)
                assert (rig.irq, await rig.cpu_read(MU_A + RR)) == (1, turn)
            else:
                assert await rig.cpu_read(MU_A + RR) == turn
                await rig.step(2)
                assert (rig.irq, rig.edma) == (0, 1)
                await acknowledge(rig)
        assert (await rig.bell(0), await rig.edma_bell()) == ((8, 0, 8), (8, 0, 8))
        rig.send(*(write(1 + n % 2, (READ_STATUS, TR)[n % 2], n) for n in range(40)))
        await rig.drain()
        assert {b - a for a, b in zip(rig.first_beats[-40:], rig.first_beats[-39:], strict=False)} == {PERIOD[width]}
        assert (await rig.bell(0), await rig.edma_bell()) == ((28, 19, 8), (28, 19, 8))

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_reset_while_latched(width: int) -> None:
    """It takes the line down and empties the account; a ring before the window is back is refused, one after works."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        rig.send(write(1, READ_STATUS, 0))
        await rig.drain()
        assert rig.edma == 1
        await rig.reset()
        assert rig.edma == 0
        rig.send(write(1, READ_STATUS, 0))
        await rig.drain()
        assert (rig.edma, await rig.edma_bell(), (await rig.counters())["writes"]) == (0, (0, 0, 0), 1)
        await rig.map(*MAPPED)
        rig.send(write(1, READ_STATUS, 0))
        await rig.drain()
        assert (rig.edma, await rig.edma_bell()) == (1, (1, 0, 0))

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_payload_is_visible_with_the_interrupt(width: int) -> None:
    """When irq_edma rises, a read of the CPU finds what the host wrote before it rang."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        await rig.map(0, 0, RAM)
        for turn in range(8):
            words = [rig.random.getrandbits(32) for _ in range(rig.random.randrange(1, 20))]
            offset, rises = 4 * rig.random.randrange(64), len(rig.edma_rises)
            rig.send(write(0, offset, *words), write(1, READ_STATUS, turn))
            while len(rig.edma_rises) == rises:
                await rig.step()
            assert await rig.cpu_read(RAM + offset + 4 * (len(words) - 1)) == words[-1]
            await acknowledge(rig)

    Rig(width, seed=width).run(bench)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_account_of_random_traffic(width: int, guard: bool) -> None:
    """Host and CPU ring, acknowledge and mask at random: every ring is merged, delivered or pending."""

    async def bench(rig: Rig) -> None:
        await rig.map(*MAPPED)
        sent = rung_by_cpu = 0
        for _ in range(30):
            for _ in range(rig.random.randrange(1, 12)):
                chance = rig.random.random()
                if chance < 0.5:
                    rig.send(write(1, rig.random.choice((WRITE_STATUS, READ_STATUS)), rig.random.getrandbits(32)))
                    sent += 1
                elif chance < 0.6:
                    rig.post(EDMA + rig.random.choice((WRITE_STATUS, READ_STATUS)), rig.random.getrandbits(32))
                    rung_by_cpu += 1
                elif chance < 0.9:
                    rig.post(EDMA + rig.random.choice((WRITE_CLEAR, READ_CLEAR)), rig.random.getrandbits(32))
                else:
                    rig.post(EDMA + WRITE_MASK, rig.random.getrandbits(32))
                await rig.step(rig.random.randrange(4))
            await rig.drain()
            rung, merged, delivered = await rig.edma_bell()
            assert rung == sent + rung_by_cpu
            assert rung == merged + delivered + rig.edma
        assert sent > 50
        assert merged > 10
        assert delivered > 10

    Rig(width, seed=width, guard=guard).run(bench)
