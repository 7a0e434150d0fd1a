"""Scenarios of inbound windows: aimed elsewhere under way, overlapping, at their edges, at nothing, above 4 GiB."""

from contextlib import asynccontextmanager

import cocotb
import pytest
from cocotbext.pcie.core.tlp import CplStatus

from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import open_doorbells
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.edma import open_edma
from epbell_tb.endpoint.windows import Window

_BAR, _PROBE = 2, 4
"""The BAR whose window changes, and one to look at the RAM through. Both exist in every set of BARs."""

_PAGE = 0x1000
_BURST = 512
_OFTEN = 16, 2, 2, 1
_TURNS, _PATIENCE = 24, 8
_HIGH = 1 << 32


@asynccontextmanager
async def streaming(env, offsets):
    """Write to and read from `offsets` of the BAR without a gap while the body runs; words, a few words, bursts."""
    goes_on, reads = [True], []
    lengths = 4, 8, 16, env.width  # the last one takes eight beats and its header's

    async def run():
        while goes_on:
            offset = env.random.choice(offsets)
            address = env.address(_BAR, offset)
            length = env.random.choices(lengths, _OFTEN)[0]
            if env.random.random() < 0.1:
                reads.append(cocotb.start_soon(env.memory.complete(memory_request(address, None, 64))))
            else:
                await env.memory.post(memory_request(address, env.random.randbytes(length)))
            # As much as the endpoint takes and no more: what waits would meet the last window only.
            while env.block.cq_source.count() > 2:
                await env.clock

    stream = cocotb.start_soon(run())
    yield
    goes_on.clear()
    await stream
    await env.block.settle()
    for read in reads:
        await read


def turns(env):
    """Yield numbers of turns: enough of them, and as many as it takes until a window changes under a request."""
    enough = _TURNS * (4 if env.thorough else 1)
    for turn in range(_PATIENCE * enough):
        if turn >= enough and env.board.aims.crossed:
            return
        yield turn


def looked_at(env):
    """Return the pages, by their offsets, that the scenario looks at: the first ones and that of the doorbells."""
    bells = env.board.map["mu_b"].base % env.bar_sizes[_BAR]
    return sorted({*range(0, 4 * _PAGE, _PAGE), bells & ~(_PAGE - 1)})


async def fill(env):
    """Write all of the RAM that the scenario looks at, so that a stray store would be noticed."""
    await env.use_max_payload(_BURST)
    ram = env.board.map["ram"].base
    await Window(env, 0).bar(_PROBE, ram)
    for page in looked_at(env):
        await env.memory.write(env.address(_PROBE, page), env.random.randbytes(_PAGE))
    await env.block.settle()
    return ram


async def compare(env):
    """Read all of that RAM; the scoreboard knows every byte."""
    before = env.board.ram.compared
    for page in looked_at(env):
        await env.memory.read(env.address(_PROBE, page), _PAGE)
    assert env.board.ram.compared == before + _PAGE * len(looked_at(env))


def landed(env):
    """Return how many requests have become what: rings, refusals, writes to RAM."""
    counts = env.board.counts
    return counts["rings"], counts["refused_writes"], counts["requests"]


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def retarget_in_flight(env):
    """Aim a BAR at RAM, doorbells and nothing in turn while requests stream; the scoreboard knows which meets what."""
    ram, bells = await fill(env), env.board.map["mu_b"].base
    window = Window(env, 1, noisy=True)
    size = env.bar_sizes[_BAR]
    targets = (ram, bells & ~(size - 1), ram + _HIGH, bells ^ _HIGH & ~(size - 1))
    bell = bells % size + env.board.registers.offset["TR0"]
    before = landed(env)
    async with streaming(env, [bell]):
        for turn in turns(env):
            await window.bar(_BAR, targets[0 if turn % 2 else turn // 2 % 3 + 1])
            await env.clocks(env.random.randrange(1, 24))
    rings, refused, requests = (now - then for now, then in zip(landed(env), before, strict=True))
    assert rings, "nothing has met the doorbells"
    assert refused, "nothing has met the window at nothing"
    assert requests > rings + refused, "nothing has met the RAM"
    assert env.board.aims.crossed, "no window has changed under a request"
    await compare(env)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario(linux=False)
async def retarget_by_address_in_flight(env):
    """Move, resize and switch off a slice that lies over a BAR's window; where it is, the lower number wins."""
    ram, bells = await fill(env), env.board.map["mu_b"].base
    over, under = Window(env, 1, noisy=True), Window(env, 2)
    await under.bar(_BAR, ram)
    start = env.address(_BAR)
    tr0 = env.board.registers.offset["TR0"]
    before = landed(env)
    async with streaming(env, [page + tr0 for page in range(0, 4 * _PAGE, _PAGE)]):
        for _ in turns(env):
            first = env.random.randrange(3)
            base, limit = start + first * _PAGE, start + env.random.randrange(first + 1, 5) * _PAGE - 1
            await over.addresses(base, limit, env.random.choice((bells, bells, ram, bells ^ _HIGH)))
            await env.clocks(env.random.randrange(1, 16))
            if env.random.random() < 0.3:
                await over.off()
    rings, refused, requests = (now - then for now, then in zip(landed(env), before, strict=True))
    assert rings
    assert refused
    assert requests > rings + refused
    assert env.board.aims.crossed, "no window has changed under a request"
    await compare(env)


async def reaches(env, offset, what):
    """Store a dword to the BAR and read it back; return whether it arrived, which the scoreboard knows better."""
    word = env.random.getrandbits(32)
    address = env.address(_BAR, offset)
    await env.memory.write32(address, word)
    answer = await env.memory.complete(memory_request(address, None, 4))
    if answer.status != CplStatus.SC:
        return False
    assert answer.data == word.to_bytes(4, "little"), what
    return True


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario(linux=False)
async def windows_at_their_edges(env):
    """Touch the first and the last dword of a window and their neighbours; move its edges in the upper half."""
    ram, window, start = await fill(env), Window(env, 3), env.address(_BAR)
    edges = {_PAGE - 4: False, _PAGE: True, 3 * _PAGE - 4: True, 3 * _PAGE: False}

    async def touch(wanted, what):
        assert {at: await reaches(env, at, what) for at in wanted} == wanted, what

    inside = start + _PAGE, start + 3 * _PAGE - 1
    nowhere = dict.fromkeys(edges, False)
    await window.addresses(*inside, ram)
    await touch(edges, "base and limit")
    await window.addresses(inside[1] - _PAGE + 1, inside[0] + _PAGE - 1, ram)
    await touch(nowhere, "a limit below the base")
    await window.addresses(inside[0] ^ _HIGH, inside[1] ^ _HIGH, ram)
    await touch(nowhere, "a base that differs in bit 32")
    await window.addresses(inside[0], inside[1] + 5 * _HIGH, ram, grows=False)
    await touch(edges, "UPPER_LIMIT without INCREASE_REGION_SIZE")
    await window.addresses(inside[0], inside[1] - _PAGE + _HIGH, ram, grows=True)
    await touch({**edges, 3 * _PAGE: True}, "UPPER_LIMIT with INCREASE_REGION_SIZE")
    if start >= _HIGH:
        # The window begins 4 GiB below the BAR: the distance is added with all of its bits.
        await window.addresses(inside[0] - _HIGH, inside[1], ram + _PAGE - _HIGH & (1 << 64) - 1, grows=True)
        await touch({**edges, _PAGE - 4: True}, "a base 4 GiB below")
    # A request is in one window as a whole, though another one begins where it ends.
    await window.addresses(start + _PAGE, start + 2 * _PAGE - 1, ram)
    await Window(env, 5).addresses(start + 2 * _PAGE, start + 3 * _PAGE - 1, ram)
    await touch({2 * _PAGE - 4: True, 2 * _PAGE: True}, "two windows side by side")
    # Lowest number: a window that leads nowhere hides the one behind it.
    hiding = Window(env, 2)
    await hiding.bar(_BAR, ram + _HIGH)
    await touch(nowhere, "a lower window that leads nowhere")
    await hiding.off()
    await touch({_PAGE: True}, "without it")
    await compare(env)


async def nothing_answers(env, bar, bell, silent):
    """Aim the doorbells' BAR at places where nothing is: its rings reach nobody, and are counted."""
    controller = env.software.controller
    window = Window(env, controller.bar_to_window[bar])
    size, ram, home = env.bar_sizes[bar], env.board.map["ram"], bell[1]
    wrong = [home ^ 1 << bit for bit in (32, 33, 47, 63)]
    wrong += [home ^ home >> 32 << 32] if home >> 32 else []
    wrong += [0, 0x4000_0000, ram.base + ram.size, ram.base - size, env.board.map.outbound.base]
    for target in wrong:
        target &= ~(size - 1)
        await window.bar(bar, target)
        writes, reads = env.board.counts["refused_writes"], env.board.counts["refused_reads"]
        await env.memory.write32(bell[0], env.random.getrandbits(32))
        with pytest.raises(BusError, match="UR"):
            await env.memory.read32(bell[0])
        await silent(f"a ring at {target:#x}")
        assert env.board.counts["refused_writes"] == writes + 1
        assert env.board.counts["refused_reads"] == reads + 1
    await window.bar(bar, home & ~(size - 1))


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def target_error(env):
    """Ring while nothing answers behind the window, or at an address that is right but for its upper half."""
    doorbells = await open_doorbells(env)
    await doorbells.good_ring(0)
    address = env.board.map["mu_b"].base + env.board.registers.offset["TR0"]
    await nothing_answers(env, doorbells.bar, (doorbells.address(0), address), doorbells.silent)
    await doorbells.good_ring(0)
    await doorbells.good_ring(3)


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def edma_target_error(env):
    """Ring the eDMA while nothing answers behind the window, or right but for the upper half."""
    doorbells = await open_edma(env)
    await doorbells.good_ring()
    bar = doorbells.client.published[0].bar
    address = doorbells.bare.address()
    home = env.board.map["edma"].base + address - env.address(bar, doorbells.bare.start)
    await nothing_answers(env, bar, (address, home), doorbells.silent)
    await doorbells.good_ring()
