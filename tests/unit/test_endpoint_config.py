"""The CPU reads in the controller page where the host has put the BARs."""

import pytest
from usp_rig import CONTROLLER, WIDTHS, Rig

BARS = [CONTROLLER + 0x90 + 4 * number for number in range(6)]
ANSWER = 4  # clocks
ROUND = 6 * (ANSWER + 2)
REST = 240  # clocks between two rounds


def connect(rig: Rig, registers: list[int]) -> None:
    """Answer on the configuration management port from now on."""
    port = rig.dut.cfg_mgmt
    waited = 0

    def answer() -> None:
        nonlocal waited
        ctx = rig.ctx
        waited = waited + 1 if ctx.get(port.read) else 0
        done = waited == ANSWER + 1
        ctx.set(port.read_write_done, int(done))
        ctx.set(port.read_data, registers[ctx.get(port.addr) - 4] if done else rig.random.getrandbits(32))

    rig.watch.append(answer)


@pytest.mark.parametrize("width", WIDTHS)
def test_bars(width: int) -> None:
    """Each word is the register of its number, at most a round old; the CPU's writes do nothing."""

    async def bench(rig: Rig) -> None:
        registers = [rig.random.getrandbits(28) << 4 | number for number in range(6)]
        connect(rig, registers)
        await rig.step(2 * ROUND)
        assert [await rig.cpu_read(at) for at in BARS] == registers
        for at in BARS:
            await rig.cpu_write(at, 0xFFFF_FFFF)
        assert [await rig.cpu_read(at) for at in BARS] == registers
        for number in range(6):
            registers[number] ^= 0xFFFF_0000
            await rig.step(7 * ANSWER + 12 + REST)
            assert [await rig.cpu_read(at) for at in BARS] == registers

    Rig(width).run(bench)


def test_a_port_that_is_not_connected() -> None:
    async def bench(rig: Rig) -> None:
        await rig.step(2 * ROUND)
        assert [await rig.cpu_read(at) for at in BARS] == [0] * 6

    Rig(64).run(bench)


def test_reset() -> None:
    """Zeros until the first round after it."""

    async def bench(rig: Rig) -> None:
        registers = [rig.random.getrandbits(28) << 4 | number for number in range(6)]
        connect(rig, registers)
        await rig.step(2 * ROUND)
        rig.watch.clear()
        rig.ctx.set(rig.dut.cfg_mgmt.read_write_done, 0)
        await rig.reset()
        assert [await rig.cpu_read(at) for at in BARS] == [0] * 6
        connect(rig, registers)
        await rig.step(2 * ROUND)
        assert [await rig.cpu_read(at) for at in BARS] == registers

    Rig(64).run(bench)
