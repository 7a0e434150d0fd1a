"""Scenarios of the way to the host's interrupts: every type, and vectors that are raised while they may not be sent."""

import cocotb

from epbell_tb.endpoint.env import scenario
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
_MSIX_ENABLE, _FUNCTION_MASK = 1 << 31, 1 << 30


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
    env.board.msis_in_order = False
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


async def _nothing(_index):
    """Handle nothing."""
