"""The CPU's way to host memory, through the whole endpoint."""

from __future__ import annotations

import pytest
from requester_packets import CA, Reply, Sent, bad, good
from usp_packets import write
from usp_rig import CONTROLLER, IATU, RAM, WIDTHS, CpuAccess, Rig

APERTURE = 0x7000_0000
OKAY, SLVERR, DECERR = 0, 2, 3
CAUSE, ADDRESS, FAILED = CONTROLLER + 0x60, CONTROLLER + 0x64, CONTROLLER + 0x68
NO_WINDOW, BUS_MASTER_OFF, ABORT, TIMED_OUT = 1, 2, 4, 6
MSI_RAISE = CONTROLLER + 0x10


class Memory:
    """Host memory: dwords by address."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}

    def __call__(self, request: Sent) -> list[Reply]:
        if not request.write:
            return [good(request.tag, self.words.get(request.address, 0))]
        mask = sum(0xFF << 8 * lane for lane in range(4) if request.first_be >> lane & 1)
        assert request.data is not None
        self.words[request.address] = self.words.get(request.address, 0) & ~mask | request.data & mask
        return []


async def aim(rig: Rig, window: int, base: int, size: int, target: int) -> None:
    """Program an outbound window as the DesignWare driver does."""
    values = {0x08: base, 0x0C: 0, 0x10: base + size - 1, 0x20: 0, 0x14: target, 0x18: target >> 32, 0: 0, 4: 1 << 31}
    for offset, value in values.items():
        await rig.cpu_write(IATU + 0x200 * window + offset, value & 0xFFFF_FFFF)


async def reads(rig: Rig, addresses: list[int], limit: int = 3000) -> list[CpuAccess]:
    """Start reads one behind the other."""
    rig.pipelined = True
    accesses = [CpuAccess(address, None) for address in addresses]
    rig.cpu += accesses
    for _ in range(limit):
        if all(access.done for access in accesses):
            break
        await rig.step()
    rig.pipelined = False
    assert all(access.done for access in accesses)
    return accesses


@pytest.mark.parametrize("width", WIDTHS)
def test_both_directions(width: int) -> None:
    """Both windows of a page, 3DW and 4DW addresses, strobes; the first beat comes 4 clocks after the answer."""

    async def bench(rig: Rig) -> None:
        rig.host = memory = Memory()
        await aim(rig, 0, APERTURE, 0x1000, 0x1_2345_6000)
        await aim(rig, 1, APERTURE + 0x1000, 0x2000, 0x8000_0000)
        await rig.map(0, 0, RAM)
        await rig.step(3)
        access = rig.post(APERTURE + 0x10, 0x1122_3344, 0b0110)
        await rig.drain()
        assert (access.response, rig.sent[-1][0] - access.cycle) == (OKAY, 4)
        assert await rig.cpu_write(APERTURE + 0x2FFC, 0xCAFE) == OKAY
        await rig.drain()
        assert memory.words == {0x1_2345_6010: 0x0022_3300, 0x8000_1FFC: 0xCAFE}
        assert await rig.cpu_read(APERTURE + 0x10) == 0x0022_3300
        assert await rig.cpu_write(APERTURE + 0x14, 1, 0) == OKAY
        rig.send(write(0, 0x20, 5))
        await rig.drain()
        assert len(rig.sent) == 3, "a write without strobes sends nothing"
        assert await rig.cpu_read(RAM + 0x20) == 5, "an inbound window of the same number"
        assert [await rig.cpu_read(at) for at in (CAUSE, ADDRESS, FAILED)] == [0, 0, 0]

    Rig(width).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_many_reads_outstanding(width: int) -> None:
    """Reads go out before the first is answered; answers keep the order, local ones among them."""

    async def bench(rig: Rig) -> None:
        memory, asked = Memory(), []

        def host(request: Sent) -> list[Reply]:
            asked.append(request)
            if len(asked) == 6:
                return [good(one.tag, one.address) for one in rig.random.sample(asked, len(asked))]
            return memory(request) if len(asked) > 6 else []

        rig.host = host
        await aim(rig, 0, APERTURE, 0x1000, 0x4000_0000)
        await rig.cpu_write(RAM + 8, 0xABCD)
        places = [APERTURE + 4 * k for k in range(6)]
        answers = await reads(rig, [*places, RAM + 8, CONTROLLER, APERTURE + 0x100, 0x1000_0000, APERTURE + 0x104])
        assert [answer.value for answer in answers] == [
            *(0x4000_0000 + 4 * k for k in range(6)), 0xABCD, 0x4550424C, 0, 0, 0,
        ]  # fmt: skip
        assert [answer.response for answer in answers] == [OKAY] * 9 + [DECERR, OKAY]
        assert len({request.tag for request in asked[:6]}) == 6

    Rig(width, seed=width).run(bench)


def test_failures_have_a_cause() -> None:
    async def bench(rig: Rig) -> None:
        rig.host = lambda sent: [] if sent.write or sent.address & 4 else [bad(sent.tag, CA)]
        await aim(rig, 2, APERTURE + 0x1000, 0x1000, 0)
        assert await rig.cpu_write(APERTURE + 0x3002, 1) == DECERR
        assert [await rig.cpu_read(at) for at in (CAUSE, ADDRESS, FAILED)] == [NO_WINDOW, APERTURE + 0x3000, 1]
        assert await rig.cpu_read_response(APERTURE + 0x1000) == (0, SLVERR)
        assert [await rig.cpu_read(at) for at in (CAUSE, ADDRESS, FAILED)] == [ABORT, APERTURE + 0x1000, 2]
        assert await rig.cpu_read_response(APERTURE + 0x1004) == (0, SLVERR)
        assert [await rig.cpu_read(at) for at in (CAUSE, ADDRESS, FAILED)] == [TIMED_OUT, APERTURE + 0x1004, 3]
        rig.function_status = 0x3
        assert await rig.cpu_write(APERTURE + 0x1008, 1) == SLVERR
        assert [await rig.cpu_read(at) for at in (CAUSE, ADDRESS, FAILED)] == [BUS_MASTER_OFF, APERTURE + 0x1008, 4]
        await rig.cpu_write(CAUSE, 7)
        await rig.cpu_write(CAUSE, 0, 0b1110)
        assert await rig.cpu_read(CAUSE) == BUS_MASTER_OFF, "only zero in byte 0 forgets it"
        await rig.cpu_write(CAUSE, 0)
        assert [await rig.cpu_read(at) for at in (CAUSE, ADDRESS, FAILED)] == [0, APERTURE + 0x1008, 4]
        assert len(rig.sent) == 2

    Rig(128, timeout=200).run(bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_msi_does_not_overtake_writes(width: int) -> None:
    """RQ is held back: an MSI waits for the writes that were answered before it was raised, and for no later ones."""

    async def bench(rig: Rig) -> None:
        ctx, msi = rig.ctx, rig.dut.cfg_interrupt_msi
        msis: list[tuple[int, int]] = []
        ctx.set(msi.enable, 1)
        rig.watch.append(lambda: msis.append((rig.cycle, len(rig.sent))) if ctx.get(msi.int) else None)
        await aim(rig, 0, APERTURE, 0x1000, 0x4000_0000)
        rig.rq_ready = lambda: False
        for k in range(3):
            await rig.cpu_write(APERTURE + 4 * k, k)
        await rig.cpu_write(MSI_RAISE, 0)
        await rig.cpu_write(APERTURE + 0x20, 9)
        await rig.step(50)
        assert not msis, "an MSI has overtaken a write"
        turns = iter([*[False] * 20, True] * 100)
        rig.rq_ready = lambda: next(turns)
        await rig.step(450)
        assert [sent for _, sent in msis] == [3]
        assert [sent.data for _, sent in rig.sent] == [0, 1, 2, 9]
        ctx.set(msi.sent, 1)
        await rig.step()
        ctx.set(msi.sent, 0)
        await rig.cpu_write(MSI_RAISE, 1)
        await rig.step(4)
        assert len(msis) == 2, "without a write on its way there is nothing to wait for"

    Rig(width).run(bench)
