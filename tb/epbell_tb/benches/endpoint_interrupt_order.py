"""Scenarios of interrupts that have to wait: for others, for what they announce, for the host to say which."""

from itertools import pairwise, permutations

import cocotb

from epbell_models.host.pci_endpoint_test_regs import Command, Register, Status
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.host_vectors import INTX, MSI, MSIX, SILENT, pending_bits, silent, until_fired

_VECTORS = 8
_LEVEL, _PULSE = 1, 2
_SLOW = 250
_LONG = 1000
_MSI_CAPABILITY, _MSI_ENABLE = 0x05, 1 << 16
_RAISE = {MSI: "MSI_RAISE", MSIX: "MSIX_RAISE"}
_STATUS, _ROOM = {MSI: "MSI_STATUS", MSIX: "MSIX_STATUS"}, 8
_QUEUE, _AHEAD = 16, 8
"""Interrupts that can wait, and less than so many that have left the queue and not the endpoint."""

_TAKEN = 4
"""Clocks after which one that may leave the queue has left it."""


def _hold_back_writes(env, held):
    """Let the hard block take no requests on RQ, or all of them."""
    env.block.rq_sink.clear_pause_generator()
    env.block.rq_sink.pause = held


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def interrupts_queue_up(env):
    """Raise interrupts while the first is not answered for long: they wait their turn, and each is sent once."""
    for kind in (MSI, MSIX):
        assert await env.host.set_irqtype(kind) == 0
        assert await pending_bits(env) == 0  # what unmasks the vectors goes before this read
        before = list(env.device.fired)
        slow = iter([_LONG])
        env.block.answer_after = lambda slow=slow: next(slow, 0)
        _hold_back_writes(env, kind == MSIX and env.board.to_host.msix == "rq")
        order, rooms = [], [_QUEUE]
        while rooms[-1]:
            order.append(env.random.randrange(_VECTORS))
            await env.counters.write(_RAISE[kind], order[-1])
            await env.clocks(_TAKEN)
            rooms.append(await env.counters.read(_STATUS[kind]) >> _ROOM & 0x3F)
        # The first ones leave the queue for where they wait for the host.
        steps = [earlier - later for earlier, later in pairwise(rooms)]
        assert set(steps[_AHEAD:]) == {1}, f"room for {rooms} more, after a raise each"
        assert len(order) in range(_QUEUE, _QUEUE + _AHEAD), f"room for {rooms} more, of {_QUEUE}"
        assert env.device.fired == before, "the first has gone already"
        _hold_back_writes(env, False)
        await until_fired(env, before, order)
        await silent(env)
    assert await env.counters.read("MSI_REFUSED") == 0
    assert await env.host.set_irqtype(INTX) == 0
    await env.device.free_irq(0)
    line = env.to_host.intx
    rises = line.rises
    env.block.line_after = lambda: env.random.randrange(_SLOW)
    for _ in range(5):
        await env.counters.write("INTX", _PULSE)
    assert line.rises <= rises + 1
    await env.until(lambda: line.rises == rises + 5 and not line.level(), "five pulses", 12 * _SLOW)
    await env.clocks(SILENT)
    assert line.rises == rises + 5
    await env.device.request_irq(0, _nothing)


async def _nothing(_index):
    """Handle nothing."""


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def interrupts_follow_their_writes(env):
    """Write to the host and interrupt it while RQ stalls for long: nothing comes before what was written is there.

    Not an MSI either that has become pending meanwhile.
    """
    memory, line = env.to_host.memory, env.to_host.intx
    base = memory.allocate(16, 8)
    mapping = await env.software.epc.mem_map(base, 16)
    seen, wanted = [], []

    async def look(_index):
        assert memory.peek(base, 12) == wanted[-1], "the interrupt has overtaken what it announces"
        seen.append(len(wanted))
        if env.host.irq_type == INTX:
            await env.counters.write("INTX", 0)
            await env.until(lambda: not line.level(), "INTA is deasserted")

    for kind, raised in ((INTX, _LEVEL), (INTX, _PULSE), (MSI, 5), (MSIX, 5)):
        assert await env.host.set_irqtype(kind) == 0
        vector = 0 if kind == INTX else raised
        await env.device.free_irq(vector)
        await env.device.request_irq(vector, look)
        for _ in range(3):
            _hold_back_writes(env, True)
            wanted.append(env.random.randbytes(12))
            await env.cpu.write(mapping.address, wanted[-1])
            if kind == INTX:
                await env.counters.write("INTX", raised)
            else:
                await env.counters.write(_RAISE[kind], vector)
            await silent(env)
            assert len(seen) == len(wanted) - 1
            assert not line.level()
            _hold_back_writes(env, False)
            await env.until(lambda: len(seen) == len(wanted), "the interrupt arrives")
        if kind == MSI:
            _hold_back_writes(env, True)
            wanted.append(env.random.randbytes(12))
            await env.cpu.write(mapping.address, wanted[-1])
            await _pending_meanwhile(env, vector)
            assert len(seen) == len(wanted) - 1
            _hold_back_writes(env, False)
            await env.until(lambda: len(seen) == len(wanted), "the pending interrupt arrives")
        await env.clocks(SILENT)
        assert len(seen) == len(wanted)
        assert not line.level()
    await env.software.epc.mem_unmap(mapping)


async def _pending_meanwhile(env, vector):
    """Raise an MSI while the host has MSI off, and let it be on again: it is pending, and still waits."""
    capability = await env.device.find_capability(_MSI_CAPABILITY)
    control = await env.function.config_read32(capability)
    await env.function.config_write32(capability, control & ~_MSI_ENABLE)
    await env.clocks(SILENT)
    await env.counters.write("MSI_RAISE", vector)
    await env.clocks(SILENT)
    assert await env.counters.read("MSI_PENDING") == 1 << vector
    await env.function.config_write32(capability, control)
    await silent(env)


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def irq_type_changed_before_the_ring(env):
    """Change IRQ_TYPE and IRQ_NUMBER between enable and ring: the ring interrupts by the new ones."""
    line = env.to_host.intx

    async def answered(kind, number, act):
        """Do something that ends with one interrupt; return STATUS."""
        await env.device.write32(0, Register.STATUS, 0)
        await env.device.write32(0, Register.IRQ_TYPE, kind)
        await env.device.write32(0, Register.IRQ_NUMBER, number)
        before, rises = list(env.device.fired), line.rises
        await act()
        if kind == INTX:
            await env.until(lambda: line.rises > rises and not line.level(), "a pulse on INTA", 8000)
        else:
            await until_fired(env, before, [number - 1], 8000)
        await env.clocks(SILENT)
        assert line.rises == rises + (kind == INTX)
        assert kind == INTX or sum(env.device.fired) == sum(before) + 1
        return await env.device.read32(0, Register.STATUS)

    async def command(word):
        await env.device.write32(0, Register.COMMAND, word)

    for first, second in permutations((INTX, MSI, MSIX), 2):
        assert await env.host.set_irqtype(first) == 0
        status = await answered(first, 1, lambda: command(Command.ENABLE_DOORBELL))
        assert status == Status.ENABLE_SUCCESS | Status.IRQ_RAISED
        places = (Register.DB_BAR, Register.DB_OFFSET, Register.DB_DATA)
        where = [await env.device.read32(0, offset) for offset in places]
        assert await env.host.set_irqtype(second) == 0
        for number in (1,) if second == INTX else (_VECTORS, 1):
            status = await answered(second, number, lambda where=where: env.device.write32(*where))
            assert status == Status.DOORBELL_SUCCESS | Status.IRQ_RAISED
        status = await answered(second, 1, lambda: command(Command.DISABLE_DOORBELL))
        assert status == Status.DISABLE_SUCCESS | Status.IRQ_RAISED


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(msix=_VECTORS)
async def irq_number_zero_or_over_count(env):
    """Command interrupts with IRQ_NUMBER 0 and one too many: none comes, and the next good one does."""
    device = env.device
    for kind, bit in ((MSI, Command.RAISE_MSI), (MSIX, Command.RAISE_MSIX)):
        assert await env.host.set_irqtype(kind) == 0
        before, raised = list(device.fired), env.software.function.irqs_raised
        for number, comes in ((0, False), (len(before) + 1, False), (len(before), True)):
            await device.write32(0, Register.STATUS, 0)
            await device.write32(0, Register.IRQ_TYPE, kind)
            await device.write32(0, Register.IRQ_NUMBER, number)
            await device.write32(0, Register.COMMAND, bit)
            if comes:
                await until_fired(env, before, [number - 1], 8000)
                raised += 1
            await silent(env)
            assert await device.read32(0, Register.COMMAND) == 0, "the command has been taken"
            assert await device.read32(0, Register.STATUS) == Status.IRQ_RAISED
            assert sum(device.fired) == sum(before) + comes
        assert env.software.function.irqs_raised == raised
        test = env.host.msi_test if kind == MSI else env.host.msix_test
        assert await test(1) == 0, env.software.log
