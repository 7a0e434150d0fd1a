"""The express lane in the endpoint: rings that are fast, and that nobody can tell from those that are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from edma_traffic import READ_CLEAR, READ_STATUS, WRITE_STATUS, acknowledge
from usp_packets import Request, cq_beats, read, write
from usp_rig import CONTROLLER, EDMA, IATU, KNOWN, LATENCY, MU_A, MU_B, RAM, RCR, RR, RSR, TR, WIDTHS, CpuAccess, Rig

from epbell.express import HELD

WINDOW, OUTBOUND_WINDOW = IATU + 0x100, IATU
LOWER_TARGET, CTRL2 = 0x14, 0x04
SHOWN = 1 << 31 | 1 << 30  # in CTRL2: BAR 0, in BAR match
CR = MU_A + 0x08
SWEEP = range(-10, 16)  # clocks from the first beat of a ring to an access of the CPU


class Lane:
    """What the lane does, clock by clock: a promise is a line, and a ring within its time."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.promised: list[int] = []  # clocks in which a promise has begun
        self._outstanding = 0
        rig.watch.append(self._look)

    def _look(self) -> None:
        rig: Any = self.rig
        get, dut = rig.ctx.get, rig.dut
        outstanding = get(dut._express.outstanding)
        if outstanding and not self._outstanding:
            self.promised.append(self.rig.cycle)
        self._outstanding = outstanding
        unit = dut._blocks._mu
        side = unit._side_a
        arriving = 0 if get(side.reset) else get(side.arriving)
        full = get(side.receive_full) | get(side.promised) | arriving
        enabled = get(side._vector("RIE"))
        assert self.rig.irq == bool(full & enabled), f"irq_mu in clock {self.rig.cycle}"
        if get(dut._express.bells.edma):
            assert self.rig.edma, f"irq_edma in clock {self.rig.cycle}"


async def armed(rig: Rig) -> Lane:
    """BAR 0 shows side B and BAR 1 the eDMA; a ring of each has taken the slow way."""
    lane = Lane(rig)
    await rig.map(0, 0, MU_B)
    await rig.map(1, 1, EDMA)
    await rig.map(2, 2, RAM)
    await rig.cpu_write(MU_A + RCR, 0xF)
    await known(rig)
    assert not lane.promised
    return lane


async def known(rig: Rig) -> None:
    """Let the lane know both doorbells."""
    for request in (write(0, TR, 1), write(1, READ_STATUS, 1)):
        rig.send(request)
        await rig.drain()
    await rig.cpu_read(MU_A + RR)
    await acknowledge(rig)
    await rig.step(8)
    assert (rig.irq, rig.edma) == (0, 0)


def run(width: int, bench: Callable[[Rig, Lane], Awaitable[None]], **parameters: Any) -> None:
    """Simulate `bench` from an armed endpoint on."""

    async def whole(rig: Rig) -> None:
        await bench(rig, await armed(rig))

    Rig(width, **parameters).run(whole)


async def meet(rig: Rig, delta: int, start: Callable[[], Any], *requests: Request) -> Any:
    """Call `start` `delta` clocks after the first beat of the requests is on the stream; return what it returned."""
    begin = rig.cycle + max(0, -delta)
    access: Any = None
    for _ in range(max(0, delta) + max(0, -delta) + 1):
        if rig.cycle == begin:
            rig.send(*requests)
        if rig.cycle == begin + delta:
            access = start()
        await rig.step()
    await rig.drain()
    return access


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("guard", [True, False])
def test_latency(width: int, guard: bool) -> None:
    """Every vector behind the first ring, and the eDMA; with and without guard; the registers say the same."""

    async def bench(rig: Rig, lane: Lane) -> None:
        assert rig.irq_rises[-1] - rig.first_beats[-2] == LATENCY[width]
        assert rig.edma_rises[-1] - rig.first_beats[-1] == LATENCY[width]
        for turn in range(8):
            rig.send(write(0, TR + 4 * (turn % 4), turn))
            await rig.drain()
            assert rig.irq_rises[-1] - rig.first_beats[-1] == KNOWN[width]
            assert await rig.cpu_read(CONTROLLER + 0x80) == KNOWN[width]
            assert await rig.cpu_read(MU_A + RR + 4 * (turn % 4)) == turn
            rig.send(write(1, READ_STATUS, turn))
            await rig.drain()
            assert rig.edma_rises[-1] - rig.first_beats[-1] == KNOWN[width]
            assert await rig.cpu_read(CONTROLLER + 0x88) == KNOWN[width]
            await acknowledge(rig)
            await rig.step(rig.random.randrange(12))
            assert (rig.irq, rig.edma) == (0, 0)
        assert len(lane.promised) == 16
        assert [await rig.bell(vector) for vector in range(4)] == [(3, 0, 3), *3 * [(2, 0, 2)]]
        assert await rig.edma_bell() == (9, 0, 9)

    run(width, bench, guard=guard)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_no_doorbell_is_not_promised(width: int) -> None:
    """Each differs in one thing from a ring that would be fast; what the slow way makes of it stays as it is."""
    ring, kick = write(0, TR, 7), write(1, READ_STATUS, 7)
    beats = cq_beats(ring, width)
    others = [
        *(dataclasses.replace(ring, **change) for change in ({"function": 1}, {"bar": 2}, {"kind": 3}, {"kind": 9})),
        *(dataclasses.replace(ring, first_be=enables) for enables in (0, 1, 0x7, 0xE)),
        *(dataclasses.replace(ring, discontinue=frozenset((number,))) for number in range(len(beats))),
        *(dataclasses.replace(ring, length=length) for length in (0, 2, 1024)),
        *(write(0, offset, 7) for offset in (TR - 4, TR + 0x10, TR + 0x1000)),
        *(write(1, offset, 7) for offset in (READ_STATUS - 4, WRITE_STATUS, READ_STATUS + 0x1000)),
        *(dataclasses.replace(kick, bar=0), write(0, TR, 7, 8), read(0, TR), write(2, TR, 7)),
    ]
    broken = [[dataclasses.replace(beats[0], last=1)]] if len(beats) > 1 else []
    broken += [[*beats[:-1], dataclasses.replace(beats[-1], keep=keep)] for keep in (0, 3) if keep != beats[-1].keep]
    broken += [[*beats[:-1], dataclasses.replace(beats[-1], last=0), dataclasses.replace(beats[-1], user=0)]]

    async def bench(rig: Rig, lane: Lane) -> None:
        for packet in [*(cq_beats(request, width) for request in others), *broken]:
            await known(rig)
            lane.promised.clear()
            rig.cq += packet
            await rig.drain()
            assert not lane.promised, packet
            for vector in range(4):
                await rig.cpu_read(MU_A + RR + 4 * vector)
            await acknowledge(rig)

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_window_aimed_elsewhere(width: int) -> None:
    """In each clock around a ring: it rings or is in RAM, and a line that has risen has its ring."""

    async def bench(rig: Rig, lane: Lane) -> None:
        ways = set()
        for word, delta in enumerate(SWEEP, 100):
            await rig.cpu_write(WINDOW + LOWER_TARGET, RAM)
            await known(rig)
            before, rises = (await rig.bell(0))[0], len(rig.irq_rises)
            lane.promised.clear()
            await meet(rig, delta, lambda: rig.post(WINDOW + CTRL2, SHOWN), write(0, TR, word))
            rung, stored = (await rig.bell(0))[0] - before, await rig.cpu_read(RAM + TR) == word
            assert (rung, stored) in ((1, False), (0, True)), delta
            assert (rig.irq, len(rig.irq_rises) - rises) == (rung, rung), delta
            assert await rig.cpu_read(MU_A + RR) == word or not rung
            ways.add((rung, bool(lane.promised)))
            lane.promised.clear()
            rig.send(write(0, TR, 1))  # nobody knows where that goes
            await rig.drain()
            assert not lane.promised
            await rig.map(0, 0, MU_B)
        assert ways == {(1, True), (1, False), (0, False)}

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_only_inbound_windows_forget(width: int) -> None:
    """What the CPU writes to an outbound window does not make the next ring slower; an inbound one's does, once."""

    async def bench(rig: Rig, lane: Lane) -> None:
        for register, clocks in ((OUTBOUND_WINDOW, KNOWN), (WINDOW + 0x20, LATENCY), (MU_A + RCR + 0x100, KNOWN)):
            await rig.cpu_write(register, 0)
            for expected in (clocks, KNOWN):
                rig.send(write(0, TR, 1))
                await rig.drain()
                assert rig.irq_rises[-1] - rig.first_beats[-1] == expected[width], hex(register)
                await rig.cpu_read(MU_A + RR)

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_cpu_finds_what_the_line_says(width: int) -> None:
    """A read that starts when the line is up, or later, finds RFn, the word and the account; and they come in turn."""

    async def bench(rig: Rig, lane: Lane) -> None:
        for word, delta in enumerate(range(KNOWN[width] - 4, 16), 100):
            for address in (MU_A + RSR, MU_A + RR, CONTROLLER + 0x100):
                await known(rig)
                rung = (await rig.bell(0))[0]
                began = rig.cycle + max(0, -delta) + delta
                access = await meet(rig, delta, lambda a=address: _read(rig, a), write(0, TR, word))
                seen = {MU_A + RSR: 1, MU_A + RR: word, CONTROLLER + 0x100: rung + 1}[address]
                assert began < rig.irq_rises[-1] or access.value == seen, (delta, hex(address))
                taken = address == MU_A + RR and access.value == word
                assert rig.irq == (not taken), delta
                await rig.cpu_read(MU_A + RR)
        assert lane.promised

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_mur_around_a_ring(width: int) -> None:
    """MUR by the CPU in each clock around it: the account holds, and a ring that was promised is one."""

    async def bench(rig: Rig, lane: Lane) -> None:
        outcomes = set()
        for delta in SWEEP:
            await rig.cpu_write(MU_A + RCR, 0xF)
            await known(rig)
            lane.promised.clear()
            before, rises = await rig.bell(0), len(rig.irq_rises)
            await meet(rig, delta, lambda: rig.post(CR, 1), write(0, TR, 5))
            rung, merged, delivered = (now - then for now, then in zip(await rig.bell(0), before, strict=True))
            full = await rig.cpu_read(MU_A + RSR)
            assert (rung, delivered) == (merged + full, 0), delta
            assert rung or not lane.promised, delta
            # What comes behind MUR is masked by it.
            assert len(rig.irq_rises) - rises == merged, delta
            outcomes.add((rung, full, bool(lane.promised)))
        assert outcomes >= {(1, 0, True), (1, 1, False)}

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_acknowledge_around_a_kick(width: int) -> None:
    """INT_CLEAR in each clock around it: written when the line is up it takes it down, and none is lost."""

    async def bench(rig: Rig, lane: Lane) -> None:
        for delta in SWEEP:
            await known(rig)
            before = await rig.edma_bell()
            began = rig.cycle + max(0, -delta) + delta
            await meet(rig, delta, lambda: rig.post(EDMA + READ_CLEAR, 0), write(1, READ_STATUS, 5))
            rung, merged, delivered = (now - then for now, then in zip(await rig.edma_bell(), before, strict=True))
            assert (rung, merged, delivered + rig.edma) == (1, 0, 1), delta
            assert began < rig.edma_rises[-1] or not rig.edma, delta
            await acknowledge(rig)
        assert len(lane.promised) >= len(SWEEP)

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_payload_is_there(width: int) -> None:
    """However close a ring follows what it tells of: when the line is up, the CPU reads that in RAM."""

    async def bench(rig: Rig, lane: Lane) -> None:
        await known(rig)
        for gap in range(24):
            rig.send(write(2, 0x40, *range(gap, gap + 9)))
            while rig.cq:
                await rig.step()
            await rig.step(gap)
            rig.send(write(0, TR, gap))
            while not rig.irq:
                await rig.step()
            assert [await rig.cpu_read(RAM + 0x40 + 4 * dword) for dword in (0, 8)] == [gap, gap + 8]
            assert await rig.cpu_read(MU_A + RR) == gap
        assert 0 < len(lane.promised) < 24, "neither always nor never"

    run(width, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_cpu_waits_for_one_promise(width: int) -> None:
    """Where nobody else goes; and beside a host that reads the page all the time, and rings as often as is promised."""

    async def bench(rig: Rig, lane: Lane) -> None:
        waits = []
        for delta in SWEEP:
            began = rig.cycle + max(0, -delta) + delta
            access = await meet(rig, delta, lambda: _read(rig, CONTROLLER), write(0, TR, 1))
            waits.append(access.cycle - began)
        alone = min(waits)
        assert alone + 4 < max(waits) <= alone + HELD
        lane.promised.clear()
        waits.clear()
        rig.send(*(read(0, 0, 1024, tag=tag) for tag in range(6)))
        for _ in range(160):
            if not rig.cq:
                rig.send(write(0, TR, 1))
                await rig.step(rig.random.randrange(14, 18))
            began = rig.cycle
            access = _read(rig, MU_B)
            while not access.done:
                await rig.step()
                if rig.cycle % 15 == 0:
                    rig.send(write(0, TR, 1))
            waits.append(access.cycle - began)
        assert len(lane.promised) > 60
        assert max(waits) <= alone + HELD + 8 + 1  # its patience with the host, and the clock that is its own

    run(width, bench, patience=8)


@pytest.mark.parametrize("width", WIDTHS)
def test_reset_of_a_promise(width: int) -> None:
    """In each clock of it: the line is low behind the reset, and what was known is forgotten."""

    async def bench(rig: Rig, lane: Lane) -> None:
        for clocks in range(1, 14):
            rig.send(write(0, TR, 1))
            await rig.step(clocks)
            await rig.reset()
            assert (rig.irq, rig.edma) == (0, 0)
            lane.promised.clear()
            await armed(rig)

    run(width, bench)


def _read(rig: Rig, address: int) -> CpuAccess:
    """Start a read of the CPU in this clock."""
    rig.cpu.append(access := CpuAccess(address, None))
    return access
