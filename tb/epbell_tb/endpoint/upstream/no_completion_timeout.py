"""A read without completion never ends.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``: nothing watches ``active_request``; a read that the host does not answer
is outstanding for ever, and its tag with it. The hard block has a Completion Timeout (PCI Express, 2.8): it tells the
user with error code 9 (AMD PG213, requester completion descriptor), and sets Completion Timeout Status.

What we do: `NoCompletionTimeout.watch` notes each read; after ``completion_timeout`` the notice comes. Gone when the
stock model gives a read up by itself.
"""

from collections import deque
from typing import Any

from cocotb.triggers import Event, Timer
from cocotb.utils import get_sim_time
from cocotbext.pcie.core.tlp import CplStatus
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice
from cocotbext.pcie.xilinx.us.tlp import ErrorCode, Tlp_us

from epbell_tb.endpoint.upstream.dropped_without_master import notice
from epbell_tb.endpoint.upstream.silent_errors import Error, SilentErrors

__all__ = [
    "NoCompletionTimeout",
]

_Stock: Any = UltraScalePlusPcieDevice


class NoCompletionTimeout(SilentErrors, _Stock):
    """Ends reads in time.

    Attributes
    ----------
    completion_timeout
        Nanoseconds after which a read ends without its completion. Silicon takes milliseconds; here, as in all of the
        benches' Linux, a millisecond is a microsecond.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.completion_timeout = 12_500
        self._under_way: deque[tuple[float, Tlp_us]] = deque()
        self._asked = Event()
        super().__init__(*args, **kwargs)

    def watch(self, request: Tlp_us) -> None:
        """Note a read that is being sent."""
        self._under_way.append((get_sim_time("ns") + self.completion_timeout, request))
        self._asked.set()

    def watch_nothing(self) -> None:
        """Forget every read."""
        self._under_way.clear()

    async def give_up_reads(self) -> None:
        """End each read whose time is over."""
        while True:
            while not self._under_way:
                self._asked.clear()
                await self._asked.wait()
            deadline, request = self._under_way.popleft()
            if self.active_request[request.tag] is not request:
                continue
            left = deadline - get_sim_time("ns")
            if left > 0:
                await Timer(round(left), unit="ns")
            if self.active_request[request.tag] is request:
                self.active_request[request.tag] = None
                self.rc_queue.put_nowait(notice(request, ErrorCode.TIMEOUT, CplStatus.SC))
                await self.report(Error.COMPLETION_TIMEOUT)
