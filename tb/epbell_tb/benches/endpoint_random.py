"""Random traffic of host, CPU, configuration and interrupts on the whole endpoint; every check that is always on.

`epbell_tb.random_run` runs it; EPBELL_RANDOM names the file with the operations. With EPBELL_PRESETS=1, in a build that
allows it, counters begin anywhere; some operations follow with all of them full.
"""

import json
import os
import time
from pathlib import Path

import cocotb

from epbell_tb import figures
from epbell_tb.endpoint.bring_up import BringUp
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.presets import BITS, PRESETS, begin_anywhere, fill
from epbell_tb.traffic.final import check
from epbell_tb.traffic.ground import VECTORS, Ground
from epbell_tb.traffic.operations import Reset, from_json
from epbell_tb.traffic.player import Player

_BRING_UP = BringUp(linux=False, msix=VECTORS)
_SOME = 150


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def endpoint_random(dut):
    """Do the operations, settle, do one good access of each kind; the counter page says what the pins showed."""
    given = json.loads(Path(os.environ["EPBELL_RANDOM"]).read_text(encoding="utf-8"))
    env = await _BRING_UP.environment(dut)
    env.begin("endpoint_random")
    player = Player(env, Ground.of(env.tree, os.environ.get("EPBELL_BARS", "everyday")))
    await player.set_up(given["max_payload"])
    await begin_anywhere(env)
    env.stall()
    began, since = time.monotonic(), cycle()
    try:
        operations = from_json(given["operations"])
        await player.play(operations)
        await check(env, player, Ground.of(env.tree, os.environ.get("EPBELL_BARS", "everyday")))
        await env.finish()
        if os.environ.get(PRESETS) == "1":
            await _play_full(env, player, operations[:_SOME])
    finally:
        counts = env.board.counts
        figures.append(
            begun=player.begun, done=dict(player.done), cycles=cycle(), seconds=time.monotonic() - began,
            busy=cycle() - since, merged=env.merged, counts=dict(counts), answers=player.host.answers,
            errors=player.cpu.errors, latencies=max(env.board.latencies, default=None),
            compared=env.board.ram.compared, crossed=env.board.aims.crossed,
            malformed=len(env.block.malformed), dropped=len(env.block.dropped),
        )  # fmt: skip


async def _play_full(env, player, operations):
    """Do operations while every counter is at its largest value: it stays there."""
    counters = await fill(env)
    await player.config.set_up()
    await player.play([one for one in operations if not isinstance(one, Reset)])
    fallen = {name: int(count.value) for name, count in counters.items() if count.value != (1 << BITS) - 1}
    assert not fallen, f"counters that were at their largest value, and are not any more: {fallen}"
