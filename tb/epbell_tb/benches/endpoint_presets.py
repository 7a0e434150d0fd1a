"""Counters that a test has set: their high bits take more events than any test has. For `epbell mutate` only.

The flip-flops are written from outside (`epbell_tb.mutate_design` makes them public), which nothing else does.
"""

import cocotb

import epbell_regs
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.drivers import memory_request

_PATTERNS = 6
_ALL = 0xFFFF_FFFF
_BAR = 2
_PAGE = "controller"
_REFUSED = ("WRITES_REFUSED", "READS_REFUSED")


def _counters(dut):
    """Return the flip-flops of each counter, by the name of its register."""
    registers = epbell_regs.offsets("controller")
    named = {_plain(child).upper(): child for child in next(child for child in dut.blocks if _plain(child) == _PAGE)}
    return {name: child.count for name, child in named.items() if name in registers}


def _plain(handle):
    """Return the name of a module without the number that a conversion may have added."""
    return handle._name.strip("\\ ").partition("$")[0]


async def _compare(env, wanted, what):
    for name, value in wanted.items():
        found = await env.counters.read(name)
        assert found == value, f"{what}: {name} is {found:#x}, not {value:#x}"


@cocotb.test(timeout_time=1000, timeout_unit="us")
@scenario(linux=False)
async def counters_anywhere(env):
    """Set every counter to any value: it keeps it, the page shows it; it goes on from there; clear, and reset."""
    counters = _counters(env.dut)
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
    for name, value in pattern.items():
        counters[name].value = value
    await env.reset()
    await _compare(env, dict.fromkeys(counters, 0), "after a reset")
    await env.enumerate()
    await env.device.enable()
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))
