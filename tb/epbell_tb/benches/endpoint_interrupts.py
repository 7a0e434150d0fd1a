"""Scenarios of the way to the host's interrupts: every type, and vectors that are raised while they may not be sent."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.host_vectors import (
    COMMAND,
    INTX,
    MASTER,
    MSI,
    MSI_CAPABILITY,
    MSIX,
    MSIX_CAPABILITY,
    SILENT,
    change,
    mask_vector,
    pending_bits,
    silent,
    until_fired,
)

_VECTORS = 8
_INTX_DISABLE, _STATUS = 1 << 10, 1 << 19
_MSI_MASK, _MSI_PENDING = 0x10, 0x14
_MSI_ENABLE = 1 << 16
_MSIX_ENABLE, _FUNCTION_MASK = 1 << 31, 1 << 30
_PULSE, _BUSY = 2, 1 << 8
_LATE, _VERY_LATE = 600, 4000
_RAISE = {MSI: "MSI_RAISE", MSIX: "MSIX_RAISE"}


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def every_interrupt_type(env):
    """Use INTx, MSI and MSI-X in turn: each vector is raised, and the DOORBELL test passes with each."""
    host, device = env.host, env.device
    for kind in (MSIX, INTX, MSI, INTX, MSIX, MSI):
        assert await host.set_irqtype(kind) == 0
        assert len(device.fired) == {INTX: 1, MSI: 32, MSIX: _VECTORS}[kind]
        if kind == INTX:
            rises = env.to_host.intx.rises
            assert await host.intx_test() == 0
            assert env.to_host.intx.rises == rises + 1
        else:
            test = host.msi_test if kind == MSI else host.msix_test
            for number in (1, len(device.fired), env.random.randrange(2, len(device.fired))):
                fired = list(device.fired)
                assert await test(number) == 0, env.software.log
                fired[number - 1] += 1
                assert device.fired == fired
            assert await test(len(device.fired) + 1) < 0
        assert await host.doorbell_test() == 0, env.software.log
        assert await host.copy_test(17) == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def msix_held_back(env):
    """Raise MSI-X vectors while masked, disabled and without bus mastering: pending, and sent once when they may be."""
    assert await env.host.set_irqtype(MSIX) == 0
    capability = await env.device.find_capability(MSIX_CAPABILITY)
    obstacles = {
        "vector": (lambda: mask_vector(env, 2, True), lambda: mask_vector(env, 2, False)),
        "function": (
            lambda: change(env, capability, set_=_FUNCTION_MASK),
            lambda: change(env, capability, clear=_FUNCTION_MASK),
        ),
        "disabled": (
            lambda: change(env, capability, clear=_MSIX_ENABLE),
            lambda: change(env, capability, set_=_MSIX_ENABLE),
        ),
        "bus master": (
            lambda: change(env, COMMAND, clear=MASTER),
            lambda: change(env, COMMAND, set_=MASTER),
        ),
    }
    for name, (block, free) in obstacles.items():
        await block()
        before = list(env.device.fired)
        for _ in range(2):
            await env.counters.write("MSIX_RAISE", 2)
        await silent(env)
        env.board.counts["msix_merged"] += 1
        assert await pending_bits(env) == 1 << 2, f"{name}: the pending bit is not set"
        await free()
        await until_fired(env, before, (2,))
        await silent(env)
        assert await pending_bits(env) == 0, f"{name}: the pending bit stays"
    assert await env.counters.read("MSIX_HELD") == len(obstacles)
    assert await env.counters.read("MSIX_MERGED") == len(obstacles)
    # A masked vector holds no other one back.
    await mask_vector(env, 5, True)
    before = list(env.device.fired)
    for vector in (5, 1, 7):
        await env.counters.write("MSIX_RAISE", vector)
    await until_fired(env, before, (1, 7))
    await mask_vector(env, 5, False)
    await until_fired(env, before, (1, 7, 5))


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def msi_held_back(env):
    """Raise MSIs while masked and without bus mastering: each is sent once when it may be."""
    capability = await env.device.find_capability(MSI_CAPABILITY)
    await env.function.config_write32(capability + _MSI_MASK, 1 << 4 | 1 << 9)
    await env.clocks(20)
    before = list(env.device.fired)
    for vector in (4, 4, 9, 6):
        await env.counters.write("MSI_RAISE", vector)
    await until_fired(env, before, (6,))
    await silent(env)
    assert await env.function.config_read32(capability + _MSI_PENDING) == 1 << 4 | 1 << 9
    await env.function.config_write32(capability + _MSI_MASK, 1 << 9)
    await until_fired(env, before, (6, 4))
    await silent(env)
    await env.function.config_write32(capability + _MSI_MASK, 0)
    await until_fired(env, before, (6, 4, 9))
    await silent(env)
    assert await env.function.config_read32(capability + _MSI_PENDING) == 0
    await change(env, COMMAND, clear=MASTER)
    for vector in (3, 8):
        await env.counters.write("MSI_RAISE", vector)
    await silent(env)
    await change(env, COMMAND, set_=MASTER)
    await until_fired(env, before, (6, 4, 9, 3, 8))


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def intx_follows_its_level(env):
    """Ask for INTx by level: the host's line follows, unless the host does not want to hear of it."""
    line = env.to_host.intx
    assert await env.host.set_irqtype(INTX) == 0
    await env.device.free_irq(0)

    async def becomes(level):
        await env.until(lambda: line.level() == level, f"the line is {level}")
        await env.clocks(SILENT)
        assert line.level() == level

    for _ in range(3):
        await env.counters.write("INTX", 1)
        await becomes(True)
        assert await env.function.config_read32(COMMAND) & _STATUS
        await change(env, COMMAND, set_=_INTX_DISABLE)
        await becomes(False)
        assert await env.function.config_read32(COMMAND) & _STATUS, "Interrupt Status must not depend on the disable"
        await change(env, COMMAND, clear=_INTX_DISABLE)
        await becomes(True)
        await env.counters.write("INTX", 0)
        await becomes(False)
        assert not await env.function.config_read32(COMMAND) & _STATUS
    assert line.rises == 6
    await env.device.request_irq(0, _nothing)


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def disabled_before_the_answer(env):
    """Let the host disable a kind of interrupt between message and answer, for short and for long: it hears of one."""
    env.block.refuses = lambda: False
    for kind, capability, enable in ((MSI, MSI_CAPABILITY, _MSI_ENABLE), (MSIX, MSIX_CAPABILITY, _MSIX_ENABLE)):
        assert await env.host.set_irqtype(kind) == 0
        at = await env.device.find_capability(capability)
        env.block.answer_takes = lambda: _LATE
        for long in (False, True):
            before = list(env.device.fired)
            await env.counters.write(_RAISE[kind], 3)
            await until_fired(env, before, (3,))
            await change(env, at, clear=enable)
            await env.clocks(_LATE if long else 1)
            await change(env, at, set_=enable)
            await env.clocks(_LATE)
            await env.counters.write(_RAISE[kind], 5)
            await until_fired(env, before, (3, 5))
            await env.clocks(_LATE)
            assert env.device.fired[3] == before[3] + 1, "twice"
    # An answer of one kind is not one of the other, though it comes at the pins of both.
    assert await env.host.set_irqtype(MSI) == 0
    before = list(env.device.fired)
    env.block.answer_takes = lambda: _VERY_LATE
    await env.counters.write("MSI_RAISE", 3)
    await until_fired(env, before, (3,))
    env.block.answer_takes = lambda: 0
    assert await env.host.set_irqtype(MSIX) == 0
    before = list(env.device.fired)
    sent = await env.counters.read("MSIX_SENT")
    assert await env.counters.read("MSI_STATUS") >> 16 & 1, "the answer has come already"
    await env.counters.write("MSIX_RAISE", 2)
    if env.board.to_host.msix == "port":
        await silent(env)
    await until_fired(env, before, (2,), 2 * _VERY_LATE)
    await env.clocks(2 * _VERY_LATE)
    assert env.device.fired[2] == before[2] + 1
    assert await env.counters.read("MSIX_SENT") == sent + 1


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def intx_disabled_before_the_answer(env):
    """Set Interrupt Disable between Assert_INTA and the answer: the line comes back, and the pulse is told again."""
    line = env.to_host.intx
    assert await env.host.set_irqtype(INTX) == 0
    await env.device.free_irq(0)
    env.block.line_takes = lambda: _LATE
    rises = line.rises
    await env.counters.write("INTX", _PULSE)
    await env.until(line.level, "INTA is asserted")
    await change(env, COMMAND, set_=_INTX_DISABLE)
    await change(env, COMMAND, clear=_INTX_DISABLE)
    assert line.rises == rises + 1
    assert await env.counters.read("INTX") & _BUSY, "the answer has come already"
    await env.until(lambda: line.rises == rises + 2, "INTA is asserted again")
    env.block.line_takes = lambda: 0
    await env.until(lambda: not line.level(), "INTA is deasserted")
    await env.clocks(SILENT)
    assert (line.rises, line.level()) == (rises + 2, False)
    assert await env.counters.read("INTX") == 0
    await env.device.request_irq(0, _nothing)


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def raises_wait_for_room(env):
    """Raise more interrupts than there is room for while each takes its time: none is refused, lost or doubled."""
    env.block.answer_takes = lambda: env.random.randrange(60)
    for kind in (MSI, MSIX):
        assert await env.host.set_irqtype(kind) == 0
        before = list(env.device.fired)
        order = [env.random.randrange(_VECTORS) for _ in range(40)]
        for vector in order:
            await env.counters.write(_RAISE[kind], vector)
        await until_fired(env, before, order)
    assert await env.counters.read("MSI_REFUSED") == 0
    line = env.to_host.intx
    assert await env.host.set_irqtype(INTX) == 0
    await env.device.free_irq(0)
    rises = line.rises
    env.block.line_takes = lambda: env.random.randrange(60)
    for _ in range(40):
        await env.counters.write("INTX", _PULSE)
    await env.until(lambda: line.rises == rises + 40 and not line.level(), "forty pulses", 6000)
    # The level keeps them waiting, and Interrupt Disable does: whoever raises them does not wait for that.
    for value in (*[_PULSE | 1] * 40, 0):
        await env.counters.write("INTX", value)
    await env.until(lambda: line.rises == rises + 57 and not line.level(), "the level and sixteen pulses", 6000)
    await change(env, COMMAND, set_=_INTX_DISABLE)
    for _ in range(40):
        await env.counters.write("INTX", _PULSE)
    await change(env, COMMAND, clear=_INTX_DISABLE)
    await env.until(lambda: line.rises == rises + 58 and not line.level(), "one pulse")
    await env.clocks(SILENT)
    assert line.rises == rises + 58
    assert await env.counters.read("INTX_MERGED") == 24 + 39
    await env.device.request_irq(0, _nothing)


async def _nothing(_index):
    """Handle nothing."""
