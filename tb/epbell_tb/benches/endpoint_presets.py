"""Counters and clocks that a test has set: they take more events than any test has. For `epbell mutate` only.

The flip-flops are written from outside (`epbell_tb.mutate_design` makes them public), which nothing else does.
"""

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import PERIOD_NS, cycle
from epbell_tb.endpoint.doorbells import VECTORS
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.edma import BareEdma
from epbell_tb.endpoint.host_vectors import MSI, MSI_CAPABILITY, change, until_fired
from epbell_tb.endpoint.presets import counters_of, inside
from epbell_tb.endpoint.windows import Window

_PATTERNS, _TIMES = 6, 8
_TIMEOUT, _FLR_TIMEOUT, _PATIENCE = 3_125_000, 1 << 20, 1 << 16
"""Clocks of `epbell.endpoint.Endpoint` until a read of the host fails, a function-level reset is done, and the answer
to an MSI is given up."""

_NOW_BITS, _SOON, _TAGS = 30, 40, 32
_LATE_NS = 3000
_LATE = 1000
_MSI_ENABLE = 1 << 16
_PAGE = 0x1000
_AGE_BITS = 16
_OLDEST = (1 << _AGE_BITS) - 1
_FEW = 12
"""Clocks that a read takes to RQ, or an answer to the CPU."""

_CONTROL, _INITIATE = 0x08, 1 << 15
_EXPRESS = 0x10
_ALL = 0xFFFF_FFFF
_BAR = 2
_REFUSED = ("WRITES_REFUSED", "READS_REFUSED")
_BELLS = (*(f"BELL{vector}" for vector in range(VECTORS)), "EDMA")


async def _compare(env, wanted, what):
    for name, value in wanted.items():
        found = await env.counters.read(name)
        assert found == value, f"{what}: {name} is {found:#x}, not {value:#x}"


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(linux=False)
async def counters_anywhere(env):
    """Set every counter to any value: it keeps it, the page shows it; it goes on from there; clear, and reset."""
    counters = counters_of(env.dut)
    assert {"BELL0_RUNG", "MSI_MERGED", "INTX_MERGED", *_REFUSED} <= set(counters), f"only {sorted(counters)}"
    address = env.address(_BAR)
    pattern = {}
    for turn in range(_PATTERNS):
        inverse = {name: value ^ _ALL for name, value in pattern.items()}
        pattern = inverse if turn % 2 else {name: env.random.getrandbits(32) for name in counters}
        for name, value in pattern.items():
            counters[name].value = value
        # Whatever would change now and then, or to and fro: an odd number of clocks lies between the looks.
        for rest in (2, 3):
            await env.clocks(rest + (cycle() ^ rest) % 2)
            await _compare(env, pattern, "set")
    await env.counters.write("COUNTERS", 1)
    await _compare(env, dict.fromkeys(counters, 0), "cleared")
    # No window is there: each request is refused. What is carried, and the largest value.
    for bit in range(1, 33):
        for name in _REFUSED:
            counters[name].value = (1 << bit) - 1
        await env.clocks(2)
        await env.memory.write32(address, 1)
        await env.memory.complete(memory_request(address, None, 4))
        await _compare(env, dict.fromkeys(_REFUSED, min(1 << bit, _ALL)), "one more")
    await _largest(env, counters)
    for name, value in pattern.items():
        counters[name].value = value
    await env.reset()
    await _compare(env, dict.fromkeys(counters, 0), "after a reset")
    await env.enumerate()
    await env.device.enable()
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))


async def _largest(env, counters):
    """Let the CPU do, with every counter at its largest value, what so many of them count; some then twice at once."""
    side_a, side_b, mu = env.board.map["mu_a"].base, env.board.map["mu_b"].base, env.board.registers.offset
    edma, aperture, ram = BareEdma(env, _BAR), env.board.map.outbound.base, env.board.map["ram"].base
    # The host has neither MSI nor MSI-X enabled: what is raised becomes pending, and is merged.
    for name, value in (("MSIX_TABLE", ram), ("MSIX_PBA", ram + 0x1000), ("MSIX_SIZE", 1 << 31 | 7)):
        await env.counters.write(name, value)
    for start in (0, _ALL - 2, _ALL - 1, _ALL):
        for name in counters:
            counters[name].value = start
        await env.clocks(2)
        for vector in range(VECTORS):
            for _ in range(3):
                await env.cpu.write32(side_b + mu[f"TR{vector}"], 0)
                await env.cpu.write32(side_b + mu[f"TR{vector}"], 0)
                assert await env.cpu.read32(side_a + mu[f"RR{vector}"]) == 0
        for _ in range(3):
            await edma.write("READ_INT_STATUS", 0)
            await edma.write("READ_INT_STATUS", 0)
            await edma.clear()
        for kind in ("MSI", "MSIX"):
            for _ in range(3):
                await env.counters.write(f"{kind}_RAISE", 0)
        await env.clocks(_SOON)
        reads = [cocotb.start_soon(_fails(env, aperture)) for _ in range(4)]
        writes = [cocotb.start_soon(_fails(env, aperture, write=True)) for _ in range(4)]
        for access in (*reads, *writes):
            await access
        done = {"RUNG": 6, "MERGED": 3, "DELIVERED": 3}
        wanted = {f"{bell}_{event}": count for bell in _BELLS for event, count in done.items()}
        wanted["OUTBOUND_FAILED"] = len(reads) + len(writes)
        await _compare(env, {name: min(start + count, _ALL) for name, count in wanted.items()}, "counted on")
        for name in ("MSI_MERGED", "MSIX_MERGED"):
            assert await env.counters.read(name) >= min(start + 2, _ALL), name
    await _compare(env, dict.fromkeys(counters, _ALL), "at the largest value")


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(linux=False)
async def clocks_anywhere(env):
    """Set what reads of the host and a reset of the function are timed by: a read fails in its time, not before."""
    aperture, page = env.board.map.outbound.base, env.to_host.memory.allocate(_PAGE, _PAGE)
    await Window(env, 0, outbound=True).addresses(aperture, aperture + _PAGE - 1, page)
    await _reads_in_time(env, inside(env.dut, "outbound", "outstanding").now, aperture)
    await _reset_in_time(env, inside(env.dut, "function").patience, aperture)
    await env.enumerate()
    await env.device.enable()
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))


async def _reads_in_time(env, now, address):
    """Lose reads, from any time on."""
    env.board.to_host.gives_up(_SOON, _TAGS)
    env.to_host.delay = lambda: _LATE_NS
    for _ in range(_TIMES):
        start = env.random.getrandbits(_NOW_BITS)
        now.value = start
        await env.clocks(2)
        began = env.board.counts["outbound_failed"]
        read = cocotb.start_soon(_fails(env, address))
        await env.clocks(_FEW)
        now.value = (start + _TIMEOUT - 2 * _SOON) % (1 << _NOW_BITS)
        await env.clocks(_SOON)
        assert env.board.counts["outbound_failed"] == began, "a read is given up before its time"
        await env.clocks(_SOON + _FEW)
        assert env.board.counts["outbound_failed"] == began + 1, "a read is not given up in time"
        await read
        await env.clocks(_LATE_NS // PERIOD_NS)
    env.to_host.delay = lambda: 0
    assert await env.cpu.read32(address) == 0


async def _reset_in_time(env, patience, address):
    """Reset the function while RQ stands: the clocks that are left become fewer."""
    control = await env.device.find_capability(_EXPRESS) + _CONTROL
    word = await env.function.config_read32(control)
    env.block.rq_sink.pause = True
    await env.cpu.write32(address, 1)
    await env.clocks(_FEW)
    await env.function.config_write32(control, word | _INITIATE)
    await env.until(lambda: env.block.in_flr, "a function-level reset begins")
    await env.clocks(_FEW)
    waited = _FLR_TIMEOUT - int(patience.value)
    assert _FEW // 2 < waited < 2 * _SOON, f"{waited} clocks of a reset that has just begun"
    for _ in range(_TIMES):
        value = env.random.randrange(_SOON, _FLR_TIMEOUT)
        patience.value = value
        await env.clocks(_FEW)
        left = int(patience.value)
        assert abs(value - _FEW - left) < 4, f"{left} clocks left after {_FEW}, of {value}"
    env.block.rq_sink.pause = False
    await env.until(lambda: not env.block.in_flr, "the reset is done")


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario()
async def answers_anywhere(env):
    """Set what the answer to an MSI is waited for by, once MSI is off: it is given up in its time, not before."""
    env.block.refuses = lambda: False
    assert await env.host.set_irqtype(MSI) == 0
    at = await env.device.find_capability(MSI_CAPABILITY)
    env.block.answer_takes = lambda: _LATE
    before = list(env.device.fired)
    await env.counters.write("MSI_RAISE", 3)
    await until_fired(env, before, (3,))
    await change(env, at, clear=_MSI_ENABLE)
    waited = inside(env.dut, "interrupts", "msi", "patience").waited
    for turn in range(_TIMES):
        value = env.random.randrange(_PATIENCE // 2) * (1 + turn % 2)
        waited.value = value
        await env.clocks(_FEW)
        now = int(waited.value)
        assert abs(now - value - _FEW) < 4, f"{now} clocks after {_FEW} from {value} on"
    waited.value = _PATIENCE - _SOON
    await env.clocks(_FEW)
    assert await env.counters.read("MSI_PENDING") == 0, "the answer is not waited for any more"
    await env.clocks(_SOON)
    assert await env.counters.read("MSI_PENDING") == 1 << 3, "the answer is still waited for"
    # The host has had this one.
    env.block.answer_takes = lambda: 0
    await env.clocks(_LATE)
    await env.reset()
    await env.enumerate()
    await env.device.enable()
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False)
async def latencies_anywhere(env):
    """Hold a ring between its beats, and set its age: its latency is that and what was left; the longest is kept."""
    page, registers = env.board.map["mu_a"].base, env.board.registers
    age, longest, left = 0, 0, set()
    await Window(env, 0).bar(_BAR, env.board.map["mu_b"].base)
    await env.cpu.write32(page + registers.home("RIE"), registers.mask("RIE"))
    for turn in range(2 * _TIMES):
        age = age ^ _OLDEST if turn % 2 else env.random.getrandbits(_AGE_BITS)
        cocotb.start_soon(env.memory.write32(env.address(_BAR, registers.offset["TR0"]), turn))
        await RisingEdge(env.dut.s_axis_cq_tvalid)
        env.block.cq_source.pause = True
        await env.clocks(_FEW)
        assert not env.irq_mu.level(), "the ring has not ended"
        env.dut.packet_age.value = age
        env.block.cq_source.pause = False
        await env.until(env.irq_mu.level, "the ring interrupts")
        last = await env.counters.read("IRQ_LATENCY_LAST")
        assert age < last or last == _OLDEST, f"a ring {age} clocks old interrupts after {last}"
        left |= {last - age} if last != _OLDEST else set()
        longest = max(longest, last)
        assert await env.counters.read("IRQ_LATENCY_MAX") == longest
        assert await env.cpu.read32(page + registers.offset["RR0"]) == turn
    assert len(left) == 1, f"once it goes on a ring takes {left} clocks"
    await env.counters.write("COUNTERS", 1)
    assert [await env.counters.read(f"IRQ_LATENCY_{name}") for name in ("LAST", "MAX")] == [0, 0]
    await env.reset()
    await env.enumerate()
    await env.device.enable()
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))


async def _fails(env, address, *, write=False):
    with pytest.raises(BusError):
        await (env.cpu.write32(address, 0) if write else env.cpu.read32(address))
