"""Resets in each clock of rings, reads and writes both ways, so that every state that these go through sees one.

Besides, MSIs or MSI-X messages leave, or a window moves: see `epbell_tb.endpoint.fault_traffic`. `rst` comes without
warning, in the middle of packets; the hard block's streams drop what they are in, as with a link that is lost.
`epbell faults` runs them.
"""

from dataclasses import asdict

import cocotb
from cocotb.triggers import Timer

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.doorbells import VECTORS
from epbell_tb.endpoint.fault_rig import KICK, Rig, Row
from epbell_tb.endpoint.fault_traffic import BESIDES, MSIX_VECTORS, Bare, accesses
from epbell_tb.endpoint.streams import forget_packet
from epbell_tb.faults_plan import FAMILIES, PROBE, SWEEPS

_GIVEN_UP_NS = 1500
_ANSWER_NS = 80
_HOST = 0x100
_FLR_DONE = 100
"""Clocks until `cfg_flr_done` with RQ and CC ready (docs/endpoint.md, "Resets and power"): the streams may pause."""
_WIPED = 200
"""As many more where MSI-X is on, whose pending bits are zeroed: three clocks for each of 64 words, more in RAM."""
_NAMES = ("BELL0", "BELL1", "BELL2", "BELL3", "EDMA")


def _states(env):
    """Return what the pins show to be under way."""
    dut = env.dut
    seen = {
        "a request half in": env.requests.open_since is not None,
        "a completion half out": env.completions.open_since is not None,
        "a request of the endpoint half out": env.sent.open_since is not None,
        "the host's read": any(env.root.tag_active),
        "the CPU's write": any(int(getattr(dut, f"cpu_axil_{name}valid").value) for name in ("aw", "w", "b")),
        "the CPU's read": any(int(getattr(dut, f"cpu_axil_{name}valid").value) for name in ("ar", "r")),
        "a read of the host's memory": any(one is not None for one in env.block.active_request),
        "irq_mu": env.irq_mu.level(),
        "irq_edma": env.irq_edma[0].level(),
    }
    return [name for name, now in seen.items() if now]


_WANTED = {"a request half in", "the host's read", "the CPU's write", "the CPU's read", "irq_mu", "irq_edma"}
_WANTED |= {"a read of the host's memory"}
_IN_PARTS = {"a completion half out", "a request of the endpoint half out"}
"""Of a beat each on a wider stream."""


async def _sweep(env, family, state, besides, once):
    """Do `once` in each clock; keep a row for each, and see that every state that the pins show was hit."""
    rows = env.outcome.setdefault("faults", [])
    hit = set()
    for clocks in range(SWEEPS[state]):
        row = Row(f"clock {clocks}", bound=FAMILIES[family].bound + PROBE)
        try:
            states = await once(clocks, row)
            hit.update(states)
            row.fault += f": {', '.join(states) or 'nothing'}"
            assert not row.lost, f"{row.lost} rings are lost"
            assert not row.invented, f"{row.invented} rings are invented"
            assert (row.recovery or 0) <= row.bound, f"it takes {row.recovery} clocks, the bound is {row.bound}"
            row.survived = True
        except Exception as error:
            row.why = str(error) or type(error).__name__
            raise
        finally:
            rows.append(asdict(row))
    wanted = _WANTED | besides.wanted | _IN_PARTS
    missed = (wanted if env.width == 64 else wanted - _IN_PARTS) - hit
    assert not missed, f"no reset came with {', '.join(sorted(missed))} under way"


async def _rst(env, state):
    """Assert rst in each clock: what was rung before is gone, and all works when it is set up again."""
    besides = BESIDES[state](env)
    bare = Bare(env, besides)
    env.memory.completion_timeout = _GIVEN_UP_NS
    env.to_host.delay = lambda: _ANSWER_NS
    streams = env.block.cq_source, env.block.cc_sink, env.block.rq_sink, env.block.rc_source
    await bare.set_up()
    await besides.open()

    async def once(clocks, row):
        tasks = accesses(env, bare.ring, bare.window, besides)
        await env.clocks(clocks + 1)
        await Timer(1, unit="ns")  # what this clock edge has done is seen before the reset is on
        states = _states(env) + besides.states()
        env.block.absent = True
        env.begin_reset()
        await env.clocks(3)
        for stream in streams:
            forget_packet(stream)
        env.block.drop_everything()
        await env.clocks(3)
        for task in tasks:
            await task
        await env.block.answered()
        env.dut.rst.value = 0
        await env.clocks(2)
        env.block.drop_everything()
        env.block.regain_link()
        began = cycle()
        assert not any(bare.lines()), "a line is high after the reset"
        await bare.set_up()
        rows = [await env.counters.read(f"{name}_RUNG") for name in _NAMES]
        row.invented = sum(rows) + (await env.pending()).bit_count()
        await bare.probe()
        row.recovery = cycle() - began
        await besides.check()
        for name in _NAMES:
            rung, merged, delivered = [
                await env.counters.read(f"{name}_{event}") for event in ("RUNG", "MERGED", "DELIVERED")
            ]
            row.lost += max(1 - rung, 0) + max(rung - merged - delivered, 0)
            row.invented += max(rung - 1, 0) + max(merged + delivered - rung, 0)
        await env.counters.check(env.board)
        return states

    await _sweep(env, "rst", state, besides, once)


async def _flr(env, state):
    """Reset the function in each clock: doorbells stay the CPU's, and all works when the host has restored it."""
    besides = BESIDES[state](env)
    rig = await Rig.open(env)
    if besides.kind is not None:
        assert await env.host.set_irqtype(besides.kind.value) == 0
    mapping = await env.software.epc.mem_map(env.to_host.memory.allocate(_HOST, 8), _HOST)
    assert not isinstance(mapping, int), f"no mapping: {mapping}"
    resets, function = env.device.resets, env.block.functions[0]
    await resets.save_and_disable()
    await resets.restore()
    env.memory.completion_timeout = _GIVEN_UP_NS
    env.to_host.delay = lambda: _ANSWER_NS
    most = _FLR_DONE + (_WIPED if state == "msix" else 0)

    async def once(clocks, row):
        flrs = await env.counters.read("FLRS")
        tasks = accesses(env, rig.ring, mapping.address, besides)
        await env.clocks(clocks + 1)
        states = _states(env) + besides.states()
        began = cycle()
        await function.pcie_cap.initiate_function_level_reset()
        await env.until(lambda: not env.block.in_flr, "cfg_flr_done", most)
        for task in tasks:
            await task
        await resets.restore()
        await rig.drained()
        await rig.probe()
        row.recovery = cycle() - began
        await besides.check()
        # What the hard block dropped was not rung: the pins tell.
        rig.sent.update({n: len(env.board.bells[n].rings) - rig.sent[n] for n in range(VECTORS)})
        rig.sent[KICK] = len(env.board.latch.kicks)
        row.lost, row.invented = await rig.accounts()
        assert await env.counters.read("FLRS") == flrs + 1, "a function-level reset is counted once"
        await env.counters.write("FUNCTION", 1)
        await env.counters.check(env.board)
        return states

    await _sweep(env, "flr", state, besides, once)
    await env.software.epc.mem_unmap(mapping)


def _tests():
    """Make a test for each sweep."""
    for family, sweep in (("rst", _rst), ("flr", _flr)):
        for state in FAMILIES[family].states:
            linux, msix = family == "flr", MSIX_VECTORS if state == "msix" else 0

            async def run(env, sweep=sweep, state=state):
                await sweep(env, state)

            name = run.__name__ = run.__qualname__ = f"{family}_{state}"
            test = cocotb.test(timeout_time=40_000, timeout_unit="us")
            globals()[name] = test(scenario(linux=linux, msix=msix)(run))


_tests()
