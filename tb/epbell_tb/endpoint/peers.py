"""Requesters of the host besides its root complex, such as another device that reads the endpoint's BARs."""

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import SimTimeoutError, with_timeout
from cocotbext.pcie.core.tlp import CplStatus, Tlp
from cocotbext.pcie.core.utils import PcieId

from epbell_models.platform import BusError
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.raw_requests import Raw, send_raw

__all__ = [
    "Peer",
]

_TIMEOUT_US = 200


class Peer:
    """A requester with an ID and tags of its own, which takes its reads' attributes and traffic class at random.

    Parameters
    ----------
    env
        The environment.
    where
        Its device number on bus 0, 1 to 31, or its ID.

    Attributes
    ----------
    completions
        How many completions it got.
    """

    def __init__(self, env: EndpointEnv, where: int | PcieId) -> None:
        self.completions = 0
        self._env = env
        self._identity = PcieId(0, where, 0) if isinstance(where, int) else where
        self._answers: dict[int, Queue[Tlp]] = {}
        env.to_host.peers[self._identity] = self._take

    async def read(self, address: int, length: int, tag: int) -> bytes:
        """Read with a tag, which must not be in use; `BusError` if it is refused or not answered in time."""
        assert tag not in self._answers, f"tag {tag} of {self._identity} is in use"
        source = self._env.random
        request = memory_request(address, None, length, tc=source.randrange(8), attr=source.randrange(4))
        request.requester_id, request.tag = self._identity, tag
        answers: Queue[Tlp] = Queue()
        self._answers[tag] = answers
        await self._env.root.send(request)
        data = b""
        while len(data) < length:
            try:
                answer: Tlp = await with_timeout(cocotb.start_soon(answers.get()), _TIMEOUT_US, "us")
            except SimTimeoutError:
                raise BusError("TIMEOUT", address) from None
            if answer.status != CplStatus.SC:
                raise BusError("UR" if answer.status == CplStatus.UR else "CA", address)
            data += bytes(answer.get_data())[answer.lower_address & 3 :]
        del self._answers[tag]
        assert answers.empty(), f"more completions than were asked for with tag {tag}"
        return data[:length]

    async def ask(self, request: Tlp, tag: int, raw: Raw) -> CplStatus:
        """Give the stream a request that has one answer at most, as `raw_requests.ask_raw` does; return its status."""
        request.requester_id, request.tag = self._identity, tag
        answers: Queue[Tlp] = Queue()
        self._answers[tag] = answers
        send_raw(self._env, request, raw)
        answer: Tlp = await with_timeout(cocotb.start_soon(answers.get()), _TIMEOUT_US, "us")
        del self._answers[tag]
        return answer.status

    def _take(self, completion: Tlp) -> None:
        self.completions += 1
        assert completion.tag in self._answers, f"a completion that {self._identity} does not wait for: {completion!r}"
        self._answers[completion.tag].put_nowait(completion)
