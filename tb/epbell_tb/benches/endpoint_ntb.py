"""The RTL between two guests: pci-epf-vntb on the endpoint's CPU, a stock Linux kernel on either side of its bridge.

`epbell_tb.guest.vntb_sim` runs it; EPBELL_GUEST holds its options.
"""

import json
import os
import socket
import time
from pathlib import Path

import cocotb
from cocotb.utils import get_sim_time

from epbell_tb.endpoint.clock import cycle
from epbell_tb.guest.attachment import Attachment
from epbell_tb.guest.bell_times import BellTimes
from epbell_tb.guest.pace import Pace
from epbell_tb.guest.rtl_endpoint import RtlEndpoint
from epbell_tb.guest.rtl_env import GuestEnv
from epbell_tb.guest.two_guests import Survivor, Waiting, serve_both
from epbell_tb.guest.vntb_guests import bridged, vntb_config

COMMAND_STATUS = 0x08
PATIENCE = 1000
"""Clocks between two looks at a command's answer: four of Linux's milliseconds, and there may be 500 to wait for."""


def attach(path):
    """Take the guests that are handed over, the host's and the peer's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as runner:
        runner.connect(path)
        said, descriptors, _, _ = socket.recv_fds(runner, 4096, 2)
    assert len(descriptors) == 2, "nobody has handed two guests over"
    paths = json.loads(said)
    host, peer = (
        Attachment(socket.socket(fileno=one), Path(qtest)) for one, qtest in zip(descriptors, paths, strict=True)
    )
    return host, peer


class PatientEndpoint(RtlEndpoint):
    """The endpoint as a guest reaches it that starts later than it, and does not wait for commands in vain.

    pci-epf-vntb looks for commands every half second when doorbells interrupt, and nothing else happens meanwhile.
    """

    async def memory_read(self, address, length):
        """Read bytes, and let time pass if they say that a command is not answered yet."""
        data = await super().memory_read(address, length)
        if address == self.bar_address(0) + COMMAND_STATUS and not any(data):
            await self._env.clocks(PATIENCE)
        return data

    async def reset(self):
        """Count it: the reset of the host's machine when it is switched on was the bench's."""
        self.accesses["resets"] += 1
        assert not self._env.block.functions[0].bus_master_enable, "pci-epf-vntb does not survive a reset of its host"


@cocotb.test()
async def endpoint_ntb(dut):
    """Serve both guests until they have gone; then check what must hold at the end of every scenario."""
    given = json.loads(os.environ["EPBELL_GUEST"])
    guests = attach(given["socket"])
    hosts = Survivor(guests[0]), Survivor(guests[1])
    env = GuestEnv(dut, hosts[0], vntb=vntb_config())
    await env.boot()
    endpoint = PatientEndpoint(env)
    function = env.software.vntb
    bells = BellTimes(lambda: get_sim_time("ns") * 1e-9)
    ends, memory = bridged(env.platform, endpoint, function.ntb, hosts[1], endpoint.bar_address, bells)
    began, first = time.monotonic(), cycle()
    waiting = Waiting(guests)
    pace = Pace(env, waiting)

    async def rest():
        await pace.rest()
        await env.platform.sleep(0)

    try:
        await serve_both(env.platform, guests, ends, hosts, waiting, rest)
    finally:
        figures = {
            "host": endpoint.accesses,
            "seconds": time.monotonic() - began,
            "clocks": cycle() - first,
            "interrupts": function.irqs_raised,
            "doorbell": function.backend,
            "reason": function.reason,
            "rings": bells.note(),
            "copied": memory.copied,
            "log": env.software.log,
        }
        Path(given["figures"]).write_text(json.dumps(figures), encoding="utf-8")
    await env.finish()
    env.report()
