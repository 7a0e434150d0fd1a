"""Function-level reset of the whole endpoint: nothing of before comes after it; what is the CPU's stays."""

from __future__ import annotations

import dataclasses

import pytest
from resets_rig import LEAVES, LONG, bring_up, flr, kind, post
from test_endpoint_interrupts import HELD, INTX, LAST, MSI_RAISE, PBA, RAISE, ROOM, SENT, SIZE, STATUS, pba
from test_endpoint_outbound import APERTURE, CAUSE, TIMED_OUT
from usp_packets import cq_beats, read, write
from usp_rig import CONTROLLER, EDMA, MU_A, MU_B, RAM, RCR, RSR, TR, CpuAccess, Rig

FUNCTION, FLRS, REFUSED, MSI_STATUS = (CONTROLLER + at for at in (0xA8, 0xAC, 0x1C, 0x14))
FLR, IN_FLR = 1, 2
TIMEOUT = 200
DEASSERTED = {"intx": ["intx 1", "intx 0"], "level": ["intx 1"]}


@pytest.mark.parametrize(
    ("which", "way"), [("msi", "rq"), ("msix", "rq"), ("msix", "port"), ("intx", "rq"), ("level", "rq")]
)
def test_around_an_interrupt(which: str, way: str) -> None:
    """From the clock of the raise to the one in which all is over: it comes once, or never; the next one comes."""
    outcomes = set()
    longest = LEAVES[which] + 8

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, which)
        mine = "rq" if (which, way) == ("msix", "rq") else f"{which} 3"
        once = DEASSERTED.get(which, [mine])
        for start in range(longest):
            first = rig.cycle
            # Sometimes longer than it takes to zero the pending bits.
            hard.answer = 30 if way == "port" and start % 2 else 4
            post(rig, which)
            await rig.step(start)
            done = await flr(rig, hard)
            hard.answer = 4
            before = hard.since(first)
            both = [*once, "intx 0"] if which == "level" else once
            assert before in ([], both)
            outcomes.add(len(before))
            post(rig, which)
            await rig.step(LONG)
            assert hard.since(done) == once, "the next one"
            if which == "level":
                await rig.cpu_write(INTX, 0)
                await rig.step(LONG)
        assert await rig.cpu_read(FLRS) == longest

    Rig(128, msix=way).run(bench)
    assert len(outcomes) == 2, "never in time, or always"


def test_what_is_held_back_is_forgotten() -> None:
    """Masked and queued vectors, pending bits."""

    async def bench(rig: Rig) -> None:
        ctx, dut = rig.ctx, rig.dut
        hard = await bring_up(rig, masked=(3, 33))
        await kind(rig, "msix")
        for vector in (3, 33):
            await rig.cpu_write(RAISE, vector)
        await rig.step(2 * LONG)
        assert await pba(rig) == 1 << 3 | 1 << 33
        await kind(rig, "msi")
        ctx.set(dut.cfg_interrupt_msi.data, 0b10)
        await rig.cpu_write(MSI_RAISE, 1)
        rig.function_status = 3
        for vector in range(5):
            await rig.cpu_write(MSI_RAISE, vector)
        await rig.cpu_write(INTX, 3)
        await rig.step(LONG)
        hard.left.clear()
        await flr(rig, hard)
        rig.function_status = 7
        ctx.set(dut.cfg_interrupt_msi.data, 0)
        for which in ("msi", "msix", "none"):
            await kind(rig, which)
            for vector in (3, 33):
                rig.send(write(0, 0x80 + 16 * vector + 12, 0))
            await rig.drain()
            await rig.step(2 * LONG)
        assert hard.left == []
        assert await pba(rig) == 0
        assert await rig.cpu_read(SIZE) == 1 << 31 | LAST, "registers stay"
        assert await rig.cpu_read(HELD) == 2, "counters stay"

    Rig(128).run(bench)


def test_pending_bits_are_zero_when_it_is_done() -> None:
    """The last word of the PBA of many vectors."""

    async def bench(rig: Rig) -> None:
        ctx, dut = rig.ctx, rig.dut
        hard = await bring_up(rig)
        await kind(rig, "none")
        for register, value in ((SIZE, 0), (PBA, RAM + 0x2000), (SIZE, 1 << 31 | 300)):
            await rig.cpu_write(register, value)
        await rig.step(40)
        await rig.cpu_write(RAISE, 300)
        await rig.step(LONG)
        last_word = RAM + 0x2000 + 4 * (300 // 32)
        assert await rig.cpu_read(last_word) == 1 << 300 % 32
        ctx.set(dut.cfg_flr_in_process, 1)
        while not ctx.get(dut.cfg_flr_done):
            await rig.step()
        assert await rig.cpu_read(last_word) == 0
        await flr(rig, hard)

    Rig(128).run(bench)


def test_dropped_requests_hold_nothing_up() -> None:
    """Writes that never leave are nothing that an interrupt would have to wait for."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "msi")
        rig.rq_ready = lambda: False
        for word in range(4):
            await rig.cpu_write(APERTURE + 4 * word, word)
        await rig.cpu_write(MSI_RAISE, 3)
        await rig.step(LONG)
        rig.ctx.set(rig.dut.cfg_flr_in_process, 1)
        await rig.step(2 * LONG)
        assert not rig.ctx.get(rig.dut.cfg_flr_done), "a request on the stream has not left"
        rig.rq_ready = lambda: True
        done = await flr(rig, hard)
        assert [sent.data for _, sent in rig.sent] == [0], "the one that was on the stream"
        post(rig, "msi")
        await rig.step(LONG)
        assert hard.since(done) == ["msi 3"]

    Rig(128).run(bench)


def test_raised_during_the_reset() -> None:
    """Dropped, an MSI with a count; the level cannot be set."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        rig.ctx.set(rig.dut.cfg_flr_in_process, 1)
        for _ in range(20):  # more than fit in anywhere
            await rig.cpu_write(MSI_RAISE, 1)
            await rig.cpu_write(RAISE, 2)
            await rig.cpu_write(INTX, 3)
        assert await rig.cpu_read(FUNCTION) == FLR | IN_FLR
        assert (await rig.cpu_read(REFUSED), await rig.cpu_read(INTX)) == (20, 0)
        assert await rig.cpu_write(APERTURE, 1) == 2
        assert await rig.cpu_read_response(APERTURE) == (0, 2)
        assert await rig.cpu_read(CAUSE) == 2
        await flr(rig, hard)
        for which in ("msi", "msix", "none"):
            await kind(rig, which)
            await rig.step(2 * LONG)
        assert hard.left == []
        assert await rig.cpu_read(STATUS) & ROOM == 16 << 8
        assert await rig.cpu_read(SENT) == 0

    Rig(128).run(bench)


def test_the_cpu_learns_of_it_and_keeps_its_own() -> None:
    """Doorbells stay pending, with their accounts; windows both ways and RAM stay; FLR is told until it is cleared."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await rig.map(1, 1, MU_B)
        await rig.map(2, 3, EDMA)
        await rig.cpu_write(MU_A + RCR, 1)
        await rig.cpu_write(RAM + 0x1000, 0x1234)
        rig.send(write(1, TR, 0xAB), write(3, 0x4C, 1))
        await rig.drain()
        assert await rig.cpu_read(FUNCTION) == 0
        for count in (1, 2):
            await flr(rig, hard)
            assert (await rig.cpu_read(FUNCTION), await rig.cpu_read(FLRS)) == (FLR, count)
        await rig.cpu_write(FUNCTION, FLR)
        assert (await rig.cpu_read(FUNCTION), await rig.cpu_read(FLRS)) == (0, 2)
        assert (rig.irq, rig.edma) == (1, 1)
        assert await rig.cpu_read(MU_A + RSR) & 1
        rig.send(write(1, TR, 0xCD), write(3, 0x4C, 1), read(0, 0x1000, 1))
        assert (await rig.answers(1))[0].data == [0x1234]
        assert await rig.bell(0) == (2, 1, 0)
        assert await rig.edma_bell() == (2, 1, 0)
        await rig.cpu_write(APERTURE, 5)
        await rig.step(20)
        assert [sent.address for _, sent in rig.sent] == [0x4000_0000]

    Rig(128).run(bench)


def test_around_requests_of_both_sides() -> None:
    """Reads of the host are answered before it is done; reads of the CPU fail or are answered, and always end."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        answered = set()
        for start in range(0, 22, 3):
            rig.cc_ready = lambda: rig.cycle % 3 == 0
            rig.rq_ready = lambda: rig.cycle % 4 == 0
            rig.send(read(0, 0x100, 40), write(0, 0x1000, *range(20)), read(0, 0x104, 1))
            rig.pipelined = True
            accesses = [CpuAccess(APERTURE + 4 * n, None) for n in range(3)]
            rig.cpu += accesses
            await rig.step(start)
            # From now on the hard block has no requests for the function.
            while rig.cq:
                await rig.step()
            await flr(rig, hard)
            await rig.step(10)
            assert all(access.done for access in accesses)
            answered.add(tuple(access.response for access in accesses))
            assert len(rig.completions) == 3, "two completions for the first read, one for the second"
            rig.completions.clear()
        assert await rig.cpu_read(CAUSE) in (2, TIMED_OUT)
        assert answered == {(2, 2, 2)}

    Rig(128).run(bench)


async def in_time(rig: Rig) -> int:
    """A reset that never gets quiet; return the clock in which it is done, which must be the last one allowed."""
    ctx, dut, began = rig.ctx, rig.dut, rig.cycle
    ctx.set(dut.cfg_flr_in_process, 1)
    while not ctx.get(dut.cfg_flr_done):
        await rig.step()
        assert rig.cycle <= began + 1 + TIMEOUT
    assert rig.cycle == began + 1 + TIMEOUT
    await rig.step(2)
    ctx.set(dut.cfg_flr_in_process, 0)
    await rig.step(2)
    assert (ctx.get(dut.cfg_flr_done), await rig.cpu_read(FUNCTION) & IN_FLR) == (0, 0)
    return rig.cycle


@pytest.mark.parametrize(("which", "way"), [("msi", "rq"), ("msix", "port"), ("intx", "rq"), ("level", "rq")])
def test_a_port_that_does_not_answer(which: str, way: str) -> None:
    """The reset is done in time; once there is an answer, what is raised next comes."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, which)
        hard.answer = 2 * TIMEOUT
        post(rig, which)
        await rig.step(LEAVES[which] + 1)
        assert hard.waits
        await in_time(rig)
        hard.answer = 4
        while hard.waits:
            await rig.step()
        await rig.step(LONG)
        hard.left.clear()
        post(rig, which)
        await rig.step(LONG)
        assert hard.since(0) == DEASSERTED.get(which, [f"{which} 3"])

    Rig(128, **({"msix": way} if way == "port" else {}), flr_timeout=TIMEOUT).run(bench)


@pytest.mark.parametrize("width", [64, 128])
def test_streams_that_stand_still(width: int) -> None:
    """What has begun goes on after the reset, whole; the completion that waited behind it, too, and no request."""

    async def bench(rig: Rig) -> None:
        await bring_up(rig)
        await rig.cpu_write(RAM + 0x100, 0xABCD)
        for again in range(2):
            # A beat of each at 64 bits, where packets have more.
            rig.cc_ready = rig.rq_ready = lambda until=rig.cycle + 60: width == 64 and rig.cycle == until
            rig.send(read(0, 0x100, tag=1), read(0, 0x100, tag=2))
            for word in range(3):
                await rig.cpu_write(APERTURE + 4 * word, word)
            await rig.step(80)
            await in_time(rig)
            rig.cc_ready = rig.rq_ready = lambda: True
            await rig.step(LONG)
            assert [(one.tag, one.data) for one in rig.completions] == [(1, [0xABCD]), (2, [0xABCD])]
            assert [sent.data for _, sent in rig.sent] == [0], f"reset {again}"
            rig.completions.clear()
            rig.sent.clear()
        await rig.cpu_write(APERTURE, 7)
        rig.send(read(0, 0x100, tag=3))
        await rig.step(40)
        assert [sent.data for _, sent in rig.sent] == [7]
        assert [completion.tag for completion in rig.completions] == [3]

    Rig(width, flr_timeout=TIMEOUT).run(bench)


@pytest.mark.parametrize("flows", [True, False], ids=["taken", "never taken"])
def test_requests_all_the_time(flows: bool) -> None:
    """CQ is valid in each clock: the reset is done in time, and each request that was taken is done."""

    async def bench(rig: Rig) -> None:
        await bring_up(rig)
        rig.first_beats.clear()
        rig.cc_ready = lambda: flows
        rig.send(*(read(0, 0x100, 1, tag=n % 256) for n in range(4 * TIMEOUT)))
        await rig.step(80)
        assert rig.ctx.get(rig.dut.s_axis_cq.tvalid)
        await in_time(rig)
        assert rig.ctx.get(rig.dut.s_axis_cq.tvalid)
        rig.cc_ready = lambda: True
        while len(rig.cq) > 1:  # the beat that is offered stays
            rig.cq.pop()
        await rig.step(2 * TIMEOUT)
        assert [completion.tag for completion in rig.completions] == [n % 256 for n in range(len(rig.first_beats))]

    Rig(128, flr_timeout=TIMEOUT).run(bench)


def test_a_stream_that_is_valid_but_not_taken_holds_nothing_up() -> None:
    """Junk without a start of packet, as it may be left of a packet that a reset has cut."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        began = rig.cycle
        alone = await flr(rig, hard) - began
        rig.cq += [dataclasses.replace(beat, last=0, user=0) for beat in cq_beats(write(0, 0, 1), 128)] * 100
        began = rig.cycle
        assert await flr(rig, hard) == began + alone
        assert rig.ctx.get(rig.dut.s_axis_cq.tvalid)

    Rig(128, flr_timeout=TIMEOUT).run(bench)
