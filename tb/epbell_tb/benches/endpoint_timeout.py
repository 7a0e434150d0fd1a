"""Reads of the host that are never answered, on an endpoint that gives up before its hard block does.

That is not the endpoint of the scenarios: there the hard block's time is over first. Its time is EPBELL_TIMEOUT clocks,
and it has few tags, all of which can be lost: EPBELL_TAGS.
"""

import os

import cocotb
from cocotb.utils import get_sim_time

from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import PERIOD_NS
from epbell_tb.endpoint.host_reads import fails

_PAGE = 0x1000
_AT_ONCE = 100
"""Clocks in which a read fails that is not even sent, and that a completion takes to the endpoint."""

_SLACK = 60
"""Clocks that the CPU's read and its answer take besides the timeout."""


class _Host:
    """The host's memory, which keeps completions back when told to, and who used which tag."""

    def __init__(self, env):
        self.silent = False
        self.kept = []
        self.tags = []
        env.to_host.spoil = self._pass

    def _pass(self, completion):
        self.tags.append(completion.tag)
        if not self.silent:
            return [completion]
        self.kept.append(completion)
        return []


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def silent_hosts(env):
    """Leave reads unanswered: each fails in time, its tag stays reserved, and what comes late is nobody's."""
    timeout, tags = int(os.environ["EPBELL_TIMEOUT"]), int(os.environ["EPBELL_TAGS"])
    assert timeout * PERIOD_NS < env.block.completion_timeout
    env.board.to_host.gives_up(timeout, tags)
    host, memory = _Host(env), env.to_host.memory
    image = env.random.randbytes(_PAGE)
    base = memory.allocate(_PAGE, _PAGE)
    memory.poke(base, image)
    mapping = await env.software.epc.mem_map(base, _PAGE)
    assert not isinstance(mapping, int)

    async def good(count=1):
        for _ in range(count):
            start = 4 * env.random.randrange(_PAGE // 4)
            data = await env.cpu.read(mapping.address + start, 4)
            assert data == image[start : start + 4], "a good read brings something else"

    async def unanswered(offset):
        """Lose a read; return its completion."""
        host.silent = True
        began = get_sim_time("ns")
        address = mapping.address + offset
        await fails(env, env.cpu.read(address, 4), Cause.TIMEOUT, address)
        took = (get_sim_time("ns") - began) / PERIOD_NS
        assert timeout < took < timeout + 6 * _SLACK, f"given up after {took} clocks"
        host.silent = False
        return host.kept.pop()

    await good(2 * tags)
    assert set(host.tags) == set(range(tags))

    # The completion comes late, with the next read under way: it is that one's no more than anybody else's.
    late = await unanswered(0x10)
    host.tags.clear()
    await good(2 * tags)
    assert late.tag not in host.tags, "the tag of a read that may still be answered is in use"
    env.to_host.delay = lambda: 2 * _AT_ONCE * PERIOD_NS
    reading = cocotb.start_soon(good())
    await env.clocks(_AT_ONCE)
    await env.root.send(late)
    await reading
    env.to_host.delay = lambda: 0
    await good(2 * tags)
    assert late.tag in host.tags, "the tag of a read that has been answered late is not used again"

    # The hard block gives up, too, and says so: then the tag is free again.
    late = await unanswered(0x20)
    await env.until(lambda: env.block.active_request[late.tag] is None, "the hard block gives up", 2 * timeout * tags)
    await env.clocks(_AT_ONCE)
    host.tags.clear()
    await good(2 * tags)
    assert set(host.tags) == set(range(tags))

    # Every tag is lost: reads fail at once, until there is one again.
    env.block.completion_timeout *= 2 * tags
    kept = [await unanswered(0x40 + 4 * number) for number in range(tags)]
    assert {completion.tag for completion in kept} == set(range(tags))
    sent, began = env.board.counts["to_host_reads"], get_sim_time("ns")
    await fails(env, env.cpu.read(mapping.address, 4), Cause.TIMEOUT, mapping.address)
    assert get_sim_time("ns") - began < 6 * _SLACK * PERIOD_NS
    assert env.board.counts["to_host_reads"] == sent, "a read without a tag was sent"
    for completion in env.random.sample(kept, tags):
        host.tags.clear()
        await env.root.send(completion)
        await env.clocks(_AT_ONCE)
        await good()
    await good(2 * tags)
    assert set(host.tags) == set(range(tags))
    assert await env.host.write_test(100) == 0, env.software.log
