"""Random traffic of host, CPU, configuration and interrupts on the whole endpoint; every check that is always on.

`epbell_tb.random_run` runs it; EPBELL_RANDOM names the file with the operations. With EPBELL_PRESETS=1, in a build that
allows it, counters begin anywhere.
"""

import json
import os
import time
from pathlib import Path

import cocotb

from epbell_tb import figures
from epbell_tb.endpoint.bring_up import BringUp
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.presets import begin_anywhere
from epbell_tb.traffic.final import check
from epbell_tb.traffic.ground import VECTORS, Ground
from epbell_tb.traffic.operations import from_json
from epbell_tb.traffic.player import Player

_BRING_UP = BringUp(linux=False, msix=VECTORS)


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
        await player.play(from_json(given["operations"]))
        await check(env, player, Ground.of(env.tree, os.environ.get("EPBELL_BARS", "everyday")))
        await env.finish()
    finally:
        counts = env.board.counts
        figures.append(
            begun=player.begun, done=dict(player.done), cycles=cycle(), seconds=time.monotonic() - began,
            busy=cycle() - since, merged=env.merged, counts=dict(counts), answers=player.host.answers,
            errors=player.cpu.errors, latencies=max(env.board.latencies, default=None),
            compared=env.board.ram.compared, crossed=env.board.aims.crossed,
            malformed=len(env.block.malformed), dropped=len(env.block.dropped),
        )  # fmt: skip
