"""The hard block's requester side: RQ, RC, and what is received for either.

What differs from the stock model is in `epbell_tb.endpoint.upstream`; besides, sequence numbers, which nobody looks at,
are not followed in every clock, and reads, which are of a dword each, never wait for room for their completions.
"""

from typing import Any

import cocotb
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

from epbell_tb.endpoint.upstream.dropped_without_master import DroppedWithoutMaster
from epbell_tb.endpoint.upstream.no_completion_timeout import NoCompletionTimeout
from epbell_tb.endpoint.upstream.silent_errors import Error

__all__ = [
    "RequesterSide",
]

_READS = {TlpType.MEM_READ, TlpType.MEM_READ_64}
_TAGS = 256


class RequesterSide(DroppedWithoutMaster, NoCompletionTimeout):
    """RQ and RC; the attributes are those of its bases."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, enable_client_tag=True, **kwargs)

    def forget_reads(self) -> None:
        """Forget every read and completion, as a reset does."""
        self.watch_nothing()
        self.active_request: list[Tlp_us | None] = [None] * _TAGS
        for queue in (self.rc_queue, self.rc_source.queue):
            while not queue.empty():
                queue.get_nowait()
        self.rc_source.queue_occupancy_frames = self.rc_source.queue_occupancy_bytes = 0

    async def upstream_recv(self, tlp: Tlp) -> None:
        """Take a packet from the link."""
        if tlp.is_completion():
            await self._received(tlp)
        await super().upstream_recv(tlp)

    async def _received(self, tlp: Tlp) -> None:
        """Keep account of a completion that is no good."""
        function = self.functions[0]
        request = self.active_request[tlp.tag]
        if request is None or (tlp.attr, tlp.tc) != (request.attr, request.tc):
            await self.report(Error.UNEXPECTED_COMPLETION, tlp, advisory=True)
            return
        function.received_master_abort |= tlp.status == CplStatus.UR
        function.received_target_abort |= tlp.status == CplStatus.CA
        if tlp.ep:
            function.master_data_parity_error |= bool(function.parity_error_response_enable)
            await self.report(Error.POISONED, tlp)

    async def _run_rq_logic(self) -> None:
        cocotb.start_soon(self.give_up_reads())
        while True:
            request = Tlp_us.unpack_us_rq(await self.rq_sink.recv(), self.enable_parity)
            if not request.requester_id_enable:
                request.requester_id = request.requester_id._replace(bus=self.bus_num)
            if not self.functions[0].bus_master_enable:
                self.not_sent(request)
                continue
            if request.fmt_type in _READS:
                assert self.active_request[request.tag] is None, f"tag {request.tag} is still in use"
                self.active_request[request.tag] = request
                self.watch(request)
            await self.send(Tlp(request))

    async def _run_rq_np_queue_logic(self) -> None:
        """Nothing to do: reads of a dword never wait for room for their completions."""

    async def _run_rq_seq_num_logic(self) -> None:
        """Nothing to do: the endpoint does not look at sequence numbers."""
