"""When each step of a ping was made: by the software of both ends, on the link, at the endpoint's interrupt line."""

from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import ValueChange

from epbell_tb.endpoint.vntb_env import VntbEnv

__all__ = [
    "STEPS",
    "PingSteps",
]

STEPS = {
    "host stores the frame": "host",
    "host rings": "host",
    "doorbell's TLP at the endpoint": "link",
    "interrupt line rises": "endpoint",
    "endpoint's driver hears it": "endpoint",
    "endpoint's client has the frame": "endpoint",
    "endpoint stores the answer": "endpoint",
    "answer's first TLP at the host": "link",
    "endpoint rings": "endpoint",
    "MSI at the host": "link",
    "host's driver hears it": "host",
    "host's client has the answer": "host",
    "ping is over": "host",
}
"""Every step, in their order, and where it is made. Without an interrupt there is no line."""

_OF_HOST = {
    "store": "host stores the frame",
    "ring": "host rings",
    "irq": "host's driver hears it",
    "received": "host's client has the answer",
}
_OF_ENDPOINT = {
    "irq": "endpoint's driver hears it",
    "received": "endpoint's client has the frame",
    "store": "endpoint stores the answer",
    "ring": "endpoint rings",
}


class PingSteps:
    """Notes when the steps of the ping that is under way were made: the first time of each, in seconds.

    Parameters
    ----------
    env
        The bridge.
    """

    def __init__(self, env: VntbEnv) -> None:
        self._env = env
        self._found: dict[str, float] = {}
        self._watch_link()
        for line in (env.dut.irq_mu, env.dut.irq_edma):
            cocotb.start_soon(self._watch_line(line), name="ping's interrupt")

    def take(self) -> dict[str, float]:
        """Return what was found since the last time."""
        found, self._found = self._found, {}
        return found

    def host(self, step: str, time: float) -> None:
        """Be the trace of the host's transport."""
        self._found.setdefault(_OF_HOST[step], time)

    def endpoint(self, step: str, time: float) -> None:
        """Be the trace of the endpoint's transport."""
        self._found.setdefault(_OF_ENDPOINT[step], time)

    def _note(self, step: str) -> None:
        self._found.setdefault(step, self._env.platform.now())

    def _watch_link(self) -> None:
        env: Any = self._env
        bell = env.map.db
        at_bell, at_host, msi = "doorbell's TLP at the endpoint", "answer's first TLP at the host", "MSI at the host"
        env.board.request = self._noting(at_bell, lambda request: request.bar == bell, env.board.request)
        env.to_host.judge = self._noting(at_host, self._answers, env.to_host.judge)
        env.msis.deliver = self._noting(msi, lambda word: True, env.msis.deliver)

    def _noting(self, step: str, wanted: Callable[[Any], bool], call: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the same function, which notes a step first if its argument is one that is waited for."""

        def noting(argument: Any) -> None:
            if wanted(argument):
                self._note(step)
            call(argument)

        return noting

    def _answers(self, packet: Any) -> bool:
        return "endpoint stores the answer" in self._found and not packet.is_completion()

    async def _watch_line(self, line: Any) -> None:
        change = ValueChange(line)
        while True:
            await change
            if int(line.value):
                self._note("interrupt line rises")
