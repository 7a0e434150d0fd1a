"""Credits for non-posted requests get lost while the CQ stream stalls.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``_run_cq_logic``: one coroutine both looks at ``pcie_cq_np_req`` and
waits for room in the stream; while it waits, pulses of ``pcie_cq_np_req`` are not counted. The endpoint gives each
credit once (AMD PG213, ``pcie_cq_np_req``), so after enough stalls no read is ever sent again. It counts 2 and 3 as one
credit, too.

What we do: `CreditsLostInStalls` counts in a coroutine of its own, which sleeps while nothing is given. Gone when
``cq_np_req_count`` follows the pin while ``cq_source.send`` waits.
"""

from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge, ValueChange
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

from epbell_tb.endpoint.upstream.atomics_raise import POSTED

__all__ = [
    "CreditsLostInStalls",
]

_Stock: Any = UltraScalePlusPcieDevice

_MOST_CREDITS = 32


class CreditsLostInStalls(_Stock):
    """Sends requests to the user: posted ones in their order, others when there is a credit for them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._waits = Event()  # something may have changed for those that wait
        self._waiting: deque[Tlp_us] = deque()
        super().__init__(*args, **kwargs)
        self.cq_source.queue_occupancy_limit_frames = -1  # the host's requests wait there

    def offer(self, request: Tlp_us) -> None:
        """Give the stream a request, or let it wait for a credit."""
        posted = request.fmt_type in POSTED
        if not posted and (not self.cq_np_req_count or self._waiting):
            self._waiting.append(request)
            self._waits.set()
            return
        self.cq_np_req_count -= not posted
        self._send(request)

    def offer_nothing(self) -> None:
        """Forget every request and credit."""
        self.offer_no_more(0)
        self.cq_np_req_count = 0

    def offer_no_more(self, left: int) -> None:
        """Forget every request, except the first ones of those that the stream has been given.

        The credits of the forgotten ones can be used again: the user has not seen them, and gives none back for them.
        """
        self._waiting.clear()
        queue = self.cq_source.queue
        frames = [queue.get_nowait() for _ in range(queue.qsize())]
        for frame in frames[:left]:
            queue.put_nowait(frame)
        self.cq_source.queue_occupancy_frames = len(frames[:left])
        self.cq_source.queue_occupancy_bytes = sum(map(len, frames[:left]))
        self._take_credits(sum(Tlp_us.unpack_us_cq(frame).fmt_type not in POSTED for frame in frames[left:]))

    @property
    def offered(self) -> bool:
        """Whether every request has been given to the stream."""
        return not self._waiting and self.cq_source.idle() and self.cq_source.drive_obj is None

    @property
    def waiting(self) -> int:
        """How many requests wait for a credit."""
        return len(self._waiting)

    async def _run_cq_logic(self) -> None:
        cocotb.start_soon(self._count_credits())
        await self._send_non_posted()

    def _send(self, tlp: Tlp_us) -> None:
        self.cq_source.send_nowait(tlp.pack_us_cq())

    async def _send_non_posted(self) -> None:
        """Send what had to wait for credits; posted requests may pass it."""
        while True:
            while self._waiting and self.cq_np_req_count:
                self.cq_np_req_count -= 1
                self._send(self._waiting.popleft())
            self._waits.clear()
            await self._waits.wait()

    def _take_credits(self, count: int) -> None:
        self.cq_np_req_count = min(self.cq_np_req_count + count, _MOST_CREDITS)
        self._waits.set()

    async def _count_credits(self) -> None:
        edge, change = RisingEdge(self.user_clk), ValueChange(self.pcie_cq_np_req)
        while True:
            await edge
            given = int(self.pcie_cq_np_req.value)
            if given:
                self._take_credits(min(given, 2))  # PG213: 1 is one more request, 2 and 3 are two
            else:
                await change
