"""The hard block's requester side, mended: requests of the endpoint always end, and a tag is free when they have.

What differs from the stock model:

- a read while bus mastering is off, which the stock model drops without a word, ends at once as Unsupported Request;
- a read without completion ends after a time limit, with the hard block's own notice (error code 9), and its tag is
  free: the stock model waits for ever;
- a completion with wrong requester ID, attributes or traffic class does not occupy its tag for ever;
- sequence numbers, which nobody looks at, are not followed in every clock.
"""

from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import Event, Timer
from cocotb.utils import get_sim_time
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice
from cocotbext.pcie.xilinx.us.tlp import ErrorCode, Tlp_us

__all__ = [
    "RequesterSide",
]

_Stock: Any = UltraScalePlusPcieDevice

_READS = {TlpType.MEM_READ, TlpType.MEM_READ_64}
_TAGS = 256


class RequesterSide(_Stock):
    """RQ and RC.

    Attributes
    ----------
    not_master
        Requests that were not sent because the host had bus mastering off.
    completion_timeout
        Nanoseconds after which a read ends without its completion. Silicon takes milliseconds; here, as in all of the
        benches' Linux, a millisecond is a microsecond.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.not_master: list[Tlp_us] = []
        self.completion_timeout = 12_500
        self._under_way: deque[tuple[float, Tlp_us]] = deque()
        self._asked = Event()
        super().__init__(*args, enable_client_tag=True, **kwargs)

    def forget_reads(self) -> None:
        """Forget every read and completion, as a reset does."""
        self._under_way.clear()
        self.active_request: list[Tlp_us | None] = [None] * _TAGS
        for queue in (self.rc_queue, self.rc_source.queue):
            while not queue.empty():
                queue.get_nowait()
        self.rc_source.queue_occupancy_frames = self.rc_source.queue_occupancy_bytes = 0

    async def upstream_recv(self, tlp: Tlp) -> None:
        """Take a packet from the link."""
        await super().upstream_recv(tlp)
        request = self.active_request[tlp.tag] if tlp.is_completion() else None
        if request is not None and not self._belongs(tlp, request):
            self.active_request[tlp.tag] = None

    @staticmethod
    def _belongs(completion: Tlp, request: Tlp) -> bool:
        return completion.attr == request.attr and completion.tc == request.tc

    async def _run_rq_logic(self) -> None:
        cocotb.start_soon(self._give_up_reads())
        while True:
            request = Tlp_us.unpack_us_rq(await self.rq_sink.recv(), self.enable_parity)
            if not request.requester_id_enable:
                request.requester_id = request.requester_id._replace(bus=self.bus_num)
            reads = request.fmt_type in _READS
            if not self.functions[0].bus_master_enable:
                self.not_master.append(request)
                if reads:
                    self._end(request, ErrorCode.BAD_STATUS, CplStatus.UR)
                continue
            if reads:
                assert self.active_request[request.tag] is None, f"tag {request.tag} is still in use"
                self.active_request[request.tag] = request
                self._under_way.append((get_sim_time("ns") + self.completion_timeout, request))
                self._asked.set()
            await self.send(Tlp(request))

    async def _run_rq_np_queue_logic(self) -> None:
        """Nothing to do: reads of a dword never wait for room for their completions."""

    async def _run_rq_seq_num_logic(self) -> None:
        """Nothing to do: the endpoint does not look at sequence numbers."""

    async def _give_up_reads(self) -> None:
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
                self._end(request, ErrorCode.TIMEOUT, CplStatus.SC)

    def _end(self, request: Tlp_us, error: ErrorCode, status: CplStatus) -> None:
        """Tell the user that a read has ended, without a completion of the host's."""
        notice = Tlp_us()
        notice.fmt_type = TlpType.CPL
        notice.tag, notice.tc, notice.attr = request.tag, request.tc, request.attr
        notice.requester_id = request.requester_id
        notice.error_code, notice.status, notice.request_completed = error, status, True
        self.rc_queue.put_nowait(notice)
