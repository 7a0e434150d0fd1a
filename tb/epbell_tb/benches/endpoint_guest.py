"""The RTL as the PCI device of a guest: a stock Linux kernel is the host, and none of our models.

`epbell_tb.guest.rtl_sim` runs it; EPBELL_GUEST holds its options.
"""

import json
import os
import socket
import time
from pathlib import Path

import cocotb

from epbell_tb.endpoint.clock import cycle
from epbell_tb.guest.attachment import Attachment
from epbell_tb.guest.pace import Pace
from epbell_tb.guest.port import serve
from epbell_tb.guest.rtl_endpoint import RtlEndpoint
from epbell_tb.guest.rtl_env import GuestEnv


def attach(path):
    """Take the guest that is handed over: its socket, and the path of QEMU's test socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as runner:
        runner.connect(path)
        qtest, descriptors, _, _ = socket.recv_fds(runner, 4096, 1)
    assert descriptors, "nobody has handed a guest over"
    return Attachment(socket.socket(fileno=descriptors[0]), Path(qtest.decode()))


async def serve_guest(dut, env_of=GuestEnv, endpoint_of=RtlEndpoint):
    """Serve the guest until it has gone; then check what must hold at the end of every scenario.

    Other environments and endpoints than the stock ones are for what is broken on purpose.
    """
    given = json.loads(os.environ["EPBELL_GUEST"])
    guest = attach(given["socket"])
    env = env_of(dut, guest, msix=given["msix"])
    await env.boot()
    endpoint = endpoint_of(env)
    began, first = time.monotonic(), cycle()
    try:
        await serve(guest, endpoint, Pace(env, guest).rest)
    finally:
        function = env.software.function
        figures = {
            **endpoint.accesses,
            "seconds": time.monotonic() - began,
            "clocks": cycle() - first,
            "interrupts": function.irqs_raised,
            "doorbell": function.backend,
            "reason": function.reason,
            "log": env.software.log,
            "function_resets": env.board.counts["flrs"],
        }
        Path(given["figures"]).write_text(json.dumps(figures), encoding="utf-8")
    await env.finish()
    env.report()


@cocotb.test()
async def endpoint_guest(dut):
    """Serve the guest until it has gone."""
    await serve_guest(dut)
