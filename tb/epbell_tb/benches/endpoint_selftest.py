"""Linux's selftest of an endpoint on the RTL: the same list as on the models, with the same software at both ends.

`epbell selftest --target sim` runs it; EPBELL_SELFTEST holds the options, and EPBELL_TAP names the file for the TAP.
"""

import json
import os
from pathlib import Path

import cocotb

from epbell_models import devicetree
from epbell_models.selftest.harness import DmaEngine, Options, run, selected
from epbell_models.selftest.model import heading
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.rounds import Rounds

_PAYLOAD = 512


class SimTarget:
    """`epbell_models.selftest.harness.Target` on the RTL."""

    dma: DmaEngine = "none"

    def __init__(self, env, rounds):
        self.env = env
        self.rounds = rounds
        self.platform = env.platform

    def heading(self):
        """Return what is simulated, the device tree, and how many windows and vectors there are."""
        env = self.env
        flow = "with stalls" if env.stalls else "without stalls"
        tree, windows = devicetree.load(env.tree.source), env.tree.endpoint.inbound_windows
        return heading(f"the RTL, {env.width} bits {flow}", tree, windows, env.msix)

    async def bring_up(self):
        """Boot, enumerate, bind; nothing is set up that a test does not set up itself."""
        await self.env.start(irq_type=None)
        await self.env.use_max_payload(_PAYLOAD)
        self.rounds.begin()
        return self.env.host

    def notes(self):
        """Return the doorbell, and how long all of it took Linux."""
        env, function = self.env, self.env.software.function
        why = f" ({function.reason})" if function.reason else ""
        requests, interrupts = env.board.counts["requests"], function.irqs_raised
        return [
            f"doorbell {function.backend or 'none'}{why}",
            f"{self.platform.now():.3f} s of Linux's time, {requests} requests of the host, {interrupts} interrupts",
        ]


@cocotb.test()
async def endpoint_selftest(dut):
    """Run the tests; write every line as it comes. Each round leaves everything as it was before the first."""
    given = json.loads(os.environ["EPBELL_SELFTEST"])
    options = Options(tuple(given["sizes"]), tuple(given["only"]), given["rounds"], given["force_dma"], given["limit"])
    env = EndpointEnv(dut, "endpoint_selftest", msix=given["msix"])
    rounds = Rounds(env, len(selected(options)) // options.rounds)
    with Path(os.environ["EPBELL_TAP"]).open("w", encoding="utf-8") as tap:

        def out(line):
            print(line, file=tap, flush=True)
            rounds.line(line)

        await run(SimTarget(env, rounds), options, out)
    assert rounds.ended == options.rounds
    await env.finish()
    env.report()
