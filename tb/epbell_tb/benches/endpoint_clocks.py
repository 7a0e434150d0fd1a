"""Scenarios of clocks: what an access of the CPU takes and how long it may wait, and how often BARs are asked for."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.latencies import PAGE_READ, PAGE_WRITE, PATIENCE, RAM_READ, RAM_WRITE
from epbell_tb.endpoint.windows import Window

_BAR = 2
_TURNS = 9
_OFFERED = 2
"""Clocks from the CPU's resolve to an access to its handshake."""

_PAGES = "mu_a", "mu_b", "edma", "iatu", "controller"
_READS = {"ram": _OFFERED + RAM_READ, **dict.fromkeys(_PAGES, _OFFERED + PAGE_READ)}
_WRITES = {"ram": _OFFERED + RAM_WRITE, **dict.fromkeys(_PAGES, _OFFERED + PAGE_WRITE)}
"""Clocks of an access at each place."""

_BEATS = 3
"""Clocks more, for what is on its way."""

_LONG = 2048
_REST = 240
"""Clocks between rounds; docs/endpoint.md."""

_ROUNDS, _BARS, _SHORT = 3, 6, 16


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False)
async def accesses_take_their_clocks(env):
    """Read and write each place now and then: as long as nobody else does, nothing waits."""
    for name, read in _READS.items():
        base, write = env.board.map[name].base, _WRITES[name]
        for turn in range(_TURNS):
            await env.clocks(env.random.randrange(1, 4 + turn))
            begin = cycle()
            await env.cpu.read32(base)
            assert cycle() - begin == read, f"a read of {name} takes {cycle() - begin} clocks, not {read}"
            await env.clocks(env.random.randrange(1, 4 + turn))
            begin = cycle()
            await env.cpu.write32(base, 0)
            assert cycle() - begin == write, f"a write of {name} takes {cycle() - begin} clocks, not {write}"
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False)
async def cpu_waits_for_its_turn(env):
    """Write and read RAM as fast as the host can, and let the CPU in between: it waits for its turn, and no longer."""
    ram, source = env.board.map["ram"].base, env.random
    await Window(env, 0).bar(_BAR, ram)
    longest = {"read": 0, "write": 0}
    for host in (
        lambda: env.memory.write(env.address(_BAR), source.randbytes(_LONG)),
        lambda: env.memory.read(env.address(_BAR), _LONG),
    ):
        task = cocotb.start_soon(host())
        while not task.done():
            for name, access in (("read", env.cpu.read32), ("write", lambda at: env.cpu.write32(at, 0))):
                begin = cycle()
                await access(ram + _LONG + 4 * source.randrange(_LONG // 4))
                longest[name] = max(longest[name], cycle() - begin)
                await env.clocks(source.randrange(1, 6))
    most = {"read": _READS["ram"] + PATIENCE + _BEATS, "write": _WRITES["ram"] + PATIENCE + _BEATS}
    assert all(longest[name] <= most[name] for name in most), f"{longest} clocks, not {most} at most"


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False)
async def bars_are_asked_for_at_their_pace(env):
    """See when the endpoint asks: one register after the other, then nothing for a while."""
    pin, gaps, since = env.dut.cfg_mgmt_read, [], 0
    for _ in range(_ROUNDS * (_REST + _BARS * 2 * _SHORT)):
        await env.clocks(1)
        if int(pin.value) and since:
            gaps.append(since)
        since = 0 if int(pin.value) else since + 1
    # The first gap was under way already. From a pause on each round is as long.
    rounds = gaps[1 + next(number for number, gap in enumerate(gaps[1:]) if gap > _SHORT) :]
    assert len(rounds) > _BARS * (_ROUNDS - 1), f"gaps of {gaps} clocks"
    for number, gap in enumerate(rounds):
        most = _REST + _SHORT if number % _BARS == 0 else _SHORT
        least = _REST if number % _BARS == 0 else 1
        assert least <= gap <= most, f"a gap of {gap} clocks, not {least} to {most}: {gaps}"
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))
