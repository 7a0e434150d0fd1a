"""Scenario of an endpoint at rest: each access of the CPU takes the clocks that docs/endpoint.md says, and no more."""

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.drivers import memory_request

_BAR = 2
_TURNS = 9
_READ, _WRITE = 4, 4
_PLACES = {"ram": _READ + 1, **dict.fromkeys(("mu_a", "mu_b", "edma", "iatu", "controller"), _READ)}
"""Clocks of a read, from one access to the next."""


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False)
async def accesses_take_their_clocks(env):
    """Read and write each place now and then: as long as nobody else does, nothing waits."""
    for name, read in _PLACES.items():
        base = env.board.map[name].base
        for turn in range(_TURNS):
            await env.clocks(env.random.randrange(1, 4 + turn))
            begin = cycle()
            await env.cpu.read32(base)
            assert cycle() - begin == read, f"a read of {name} takes {cycle() - begin} clocks, not {read}"
            await env.clocks(env.random.randrange(1, 4 + turn))
            begin = cycle()
            await env.cpu.write32(base, 0)
            assert cycle() - begin == _WRITE, f"a write of {name} takes {cycle() - begin} clocks, not {_WRITE}"
    await env.memory.complete(memory_request(env.address(_BAR), None, 4))
