"""Interrupts of the host through the whole endpoint: none refused, none starved, and the CPU never stuck for good."""

from __future__ import annotations

import pytest
from resets_rig import bring_up, flr, kind
from test_endpoint_interrupts import INTX, INTX_DISABLE, MSI_RAISE, RAISE
from test_endpoint_outbound import APERTURE
from usp_packets import read
from usp_rig import CONTROLLER, RAM, CpuAccess, Rig

MSI_REFUSED, MSI_MERGED = CONTROLLER + 0x1C, CONTROLLER + 0xB4
INTX_MERGED, MSIX_REFUSED = CONTROLLER + 0xB8, CONTROLLER + 0xBC
MSIX_SIZE, MSIX_SENT = CONTROLLER + 0x58, CONTROLLER + 0x74
NO_MASTER, MASTER = 3, 7
RAISES = {"msi": MSI_RAISE, "msix": RAISE, "intx": INTX}
KINDS = pytest.mark.parametrize("which", RAISES)
PULSE = 2
_AT_ONCE = {"msi": 14, "msix": 48, "intx": 16}  # with the answer to the one before


def raise_(rig: Rig, which: str, number: int) -> CpuAccess:
    return rig.post(RAISES[which], PULSE if which == "intx" else number)


def heard(which: str, numbers: list[int]) -> list[str]:
    return ["intx 1"] * len(numbers) if which == "intx" else [f"{which} {number}" for number in numbers]


def of(which: str, left: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(clock, what) for clock, what in left if what.startswith(which) and what != "intx 0"]


@KINDS
def test_the_cpu_waits_for_room(which: str) -> None:
    """While answers take their time: each is sent once, in order; the host's and the CPU's reads go on."""
    numbers = [(7 * number) % 32 for number in range(24)]

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, which)
        await rig.cpu_write(RAM + 0x3000, 0x1234)
        hard.answer = 40
        raises = [raise_(rig, which, number) for number in numbers]
        await rig.step(200)
        assert 16 <= sum(access.done for access in raises) < 24
        rig.send(read(0, 0x3000, 1))
        assert (await rig.answers(1, 40))[0].data == [0x1234]
        await rig.drain()
        hard.answer = 4
        await rig.step(900)
        assert [what for _, what in of(which, hard.left)] == heard(which, numbers)
        assert [await rig.cpu_read(at) for at in (MSI_REFUSED, INTX_MERGED)] == [0, 0]

    Rig(128, msix="port").run(bench)


@KINDS
def test_never_stuck_behind_requests(which: str) -> None:
    """Requests that stand, since bus mastering is off: all can be raised; later they go, the interrupts after them."""
    numbers = list(range(20)) * 2

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, which)
        rig.rq_ready = lambda: False
        for word in range(4):
            await rig.cpu_write(APERTURE + 4 * word, word)
        rig.function_status = NO_MASTER
        for number in numbers:
            raise_(rig, which, number)
        await rig.drain(600)
        await rig.step(120)
        assert of(which, hard.left) == []
        rig.function_status = MASTER
        await rig.step(60)
        assert of(which, hard.left) == [], "before the requests that it announces"
        rig.rq_ready = lambda: True
        await rig.step(1000)
        assert [sent.data for _, sent in rig.sent] == list(range(4))
        begun = of(which, hard.left)
        assert [what for _, what in begun] == heard(which, list(range(16 if which == "intx" else 20)))
        assert begun[0][0] > rig.sent[-1][0]
        assert await rig.cpu_read(INTX_MERGED) == (24 if which == "intx" else 0)

    Rig(128, msix="port").run(bench)


def test_pulses_that_the_level_keeps_waiting() -> None:
    """Whoever raises them does not wait for the level, which it is to clear itself."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "intx")
        for _ in range(20):
            rig.post(INTX, PULSE | 1)
        rig.post(INTX, PULSE)
        await rig.drain(400)
        await rig.step(300)
        assert len(of("intx", hard.left)) == 17
        assert await rig.cpu_read(INTX_MERGED) == 5

    Rig(128, msix="port").run(bench)


@KINDS
def test_nothing_starves(which: str) -> None:
    """RQ ready one clock in four, and more to write than that lets go: each goes when its write has."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, which)
        rig.rq_ready = lambda: rig.cycle % 4 == 0
        for number in range(30):
            rig.post(APERTURE + 4 * number, number)
            raise_(rig, which, number)
        await rig.drain()
        await rig.step(900)
        begun = of(which, hard.left)
        assert [what for _, what in begun] == heard(which, list(range(30)))
        written = {sent.data: clock for clock, sent in rig.sent}
        before = 0
        for number, (clock, _) in enumerate(begun):
            assert written[number] < clock
            assert clock - max(written[number], before) <= _AT_ONCE[which], f"{number} waits for what came after it"
            before = clock

    Rig(128, msix="port").run(bench)


def test_the_level_does_not_starve() -> None:
    """INTA is asserted when what was written before the level has left, however often it is set."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "intx")
        rig.rq_ready = lambda: rig.cycle % 4 == 0
        for number in range(20):
            rig.post(APERTURE + 4 * number, number)
            rig.post(INTX, 1)
        await rig.step(110)
        assert rig.cpu, "no more writes"
        assert [what for _, what in of("intx", hard.left)] == ["intx 1"]
        await rig.drain()

    Rig(128, msix="port").run(bench)


def test_a_request_that_is_leaving_in_a_reset() -> None:
    """It is all that an interrupt raised after the reset could wait for; when it has left, nothing is."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "msi")
        for _ in range(3):
            rig.rq_ready = lambda: False
            for word in range(3):
                await rig.cpu_write(APERTURE + 4 * word, word)
            rig.ctx.set(rig.dut.cfg_flr_in_process, 1)
            await rig.step(20)
            rig.rq_ready = lambda: True
            done = await flr(rig, hard)
            await rig.cpu_write(MSI_RAISE, 3)
            await rig.step(10)
            assert hard.since(done) == ["msi 3"]

    Rig(128, msix="port").run(bench)


def test_pulses_need_no_bus_mastering() -> None:
    """Without it, and with nothing that they announce, each is told: whoever raises the seventeenth waits."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "intx")
        hard.answer = 40
        rig.function_status = NO_MASTER
        for _ in range(24):
            raise_(rig, "intx", 0)
        await rig.drain(2000)
        await rig.step(2000)
        assert len(of("intx", hard.left)) == 24
        assert await rig.cpu_read(INTX_MERGED) == 0

    Rig(128, msix="port").run(bench)


def test_a_merged_pulse_holds_the_one_before_it_at_once() -> None:
    """INTx is enabled in each clock around the merging: neither goes before the write that the second one announces."""
    seen = set()

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "intx")
        merged = 0
        for start in range(20):
            begun, rig.function_status = rig.cycle, MASTER | INTX_DISABLE
            await rig.step(4)
            await rig.cpu_write(INTX, PULSE)
            await rig.step(8)
            rig.rq_ready = lambda: False
            await rig.cpu_write(APERTURE, start)
            raise_(rig, "intx", 0)
            await rig.step(start)
            rig.function_status = MASTER
            await rig.step(40)
            more = await rig.cpu_read(INTX_MERGED) - merged
            merged += more
            assert hard.since(begun).count("intx 1") == 1 - more, "before its write"
            rig.rq_ready = lambda: True
            await rig.step(60)
            assert hard.since(begun).count("intx 1") == 2 - more
            seen.add(more)

    Rig(128, msix="port").run(bench)
    assert seen == {0, 1}, "always merged, or never"


def test_a_merged_msi_holds_the_one_before_it_at_once() -> None:
    """MSI is enabled in each clock around the merging: the vector does not go before the write that it announces."""
    seen = set()

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        merged = 0
        for start in range(6, 14):
            begun = rig.cycle
            await kind(rig, "none")
            await rig.step(10)
            await rig.cpu_write(MSI_RAISE, 9)
            await rig.step(20)
            rig.rq_ready = lambda: False
            await rig.cpu_write(APERTURE, start)
            raise_(rig, "msi", 9)
            await rig.step(start)
            await kind(rig, "msi")
            await rig.step(30)
            more = await rig.cpu_read(MSI_MERGED) - merged
            merged += more
            assert hard.since(begun).count("msi 9") == 1 - more, "before its write"
            rig.rq_ready = lambda: True
            await rig.step(40)
            assert hard.since(begun).count("msi 9") == 2 - more
            seen.add(more)

    Rig(128, msix="port").run(bench)
    assert seen == {0, 1}, "always merged, or never"


def test_vectors_of_an_earlier_table_leave_no_boundary() -> None:
    """What was raised before the table is set up anew is forgotten; the next vector waits for its own write."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "msix")
        size = await rig.cpu_read(MSIX_SIZE)
        for _ in range(3):
            begun = rig.cycle
            rig.rq_ready = lambda: False
            await rig.cpu_write(APERTURE, 1)
            for vector in (2, 4, 5, 6):
                await rig.cpu_write(RAISE, vector)
            await rig.cpu_write(MSIX_SIZE, 0)
            await rig.cpu_write(MSIX_SIZE, size)
            rig.rq_ready = lambda: True
            await rig.step(100)
            assert not [what for what in hard.since(begun) if what.startswith("msix")]
            rig.rq_ready = lambda: False
            await rig.cpu_write(APERTURE, 2)
            await rig.cpu_write(RAISE, 3)
            await rig.step(100)
            assert not [what for what in hard.since(begun) if what.startswith("msix")], "before its write"
            rig.rq_ready = lambda: True
            await rig.step(60)
            assert [what for what in hard.since(begun) if what.startswith("msix")] == ["msix 3"]

    Rig(128, msix="port").run(bench)


def test_vectors_that_there_are_not_are_counted() -> None:
    """Raised above the last one, while the table is off, or in a function-level reset."""

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, "msix")
        size = await rig.cpu_read(MSIX_SIZE)
        last = size & 0x7FF
        await rig.cpu_write(RAISE, last + 1)
        await rig.cpu_write(RAISE, last)
        await rig.step(60)
        assert await rig.cpu_read(MSIX_REFUSED) == 1
        await rig.cpu_write(MSIX_SIZE, last)
        await rig.cpu_write(RAISE, 0)
        assert await rig.cpu_read(MSIX_REFUSED) == 2
        await rig.cpu_write(MSIX_SIZE, size)
        await rig.step(100)
        rig.ctx.set(rig.dut.cfg_flr_in_process, 1)
        await rig.step(4)
        await rig.cpu_write(RAISE, 1)
        await flr(rig, hard)
        assert await rig.cpu_read(MSIX_REFUSED) == 3
        await rig.cpu_write(RAISE, 2)
        await rig.step(100)
        assert [what for _, what in of("msix", hard.left)] == [f"msix {last}", "msix 2"]
        assert await rig.cpu_read(MSIX_REFUSED) == 3

    Rig(128, msix="port").run(bench)
