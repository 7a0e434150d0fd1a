"""Credits for non-posted requests get lost while the CQ stream stalls.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``_run_cq_logic``: one coroutine both looks at ``pcie_cq_np_req`` and
waits for room in the stream; while it waits, pulses of ``pcie_cq_np_req`` are not counted. The endpoint gives each
credit once (AMD PG213, ``pcie_cq_np_req``), so after enough stalls no read is ever sent again. It counts 2 and 3 as one
credit, too.

What we do: `CreditsLostInStalls` counts in a coroutine of its own, which sleeps while nothing is given. Gone when
``cq_np_req_count`` follows the pin while ``cq_source.send`` waits.
"""

from typing import Any

import cocotb
from cocotb.queue import Queue
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
        self._credits_given = Event()
        self._waiting: Queue[Tlp_us] = Queue()
        self._requests: Queue[Tlp_us] = Queue()
        super().__init__(*args, **kwargs)

    def offer(self, request: Tlp_us) -> None:
        """Queue a request."""
        self._requests.put_nowait(request)

    def offer_nothing(self) -> None:
        """Forget every request and credit."""
        for queue in (self._requests, self._waiting, self.cq_source.queue):
            while not queue.empty():
                queue.get_nowait()
        self.cq_source.queue_occupancy_frames = self.cq_source.queue_occupancy_bytes = 0
        self.cq_np_req_count = 0

    @property
    def offered(self) -> bool:
        """Whether every request has been given to the stream."""
        return self._requests.empty() and self._waiting.empty() and self.cq_source.idle()

    @property
    def waiting(self) -> int:
        """How many requests wait for a credit."""
        return self._waiting.qsize()

    async def _run_cq_logic(self) -> None:
        cocotb.start_soon(self._count_credits())
        cocotb.start_soon(self._send_non_posted())
        while True:
            tlp = await self._requests.get()
            if tlp.fmt_type in POSTED:
                await self._send(tlp)
            elif self.cq_np_req_count and self._waiting.empty():
                self.cq_np_req_count -= 1
                await self._send(tlp)
            else:
                self._waiting.put_nowait(tlp)

    async def _send(self, tlp: Tlp_us) -> None:
        await self.cq_source.send(tlp.pack_us_cq())

    async def _send_non_posted(self) -> None:
        """Send what had to wait for credits; posted requests may pass it."""
        while True:
            tlp = await self._waiting.get()
            while not self.cq_np_req_count:
                self._credits_given.clear()
                await self._credits_given.wait()
            self.cq_np_req_count -= 1
            await self._send(tlp)

    async def _count_credits(self) -> None:
        edge, change = RisingEdge(self.user_clk), ValueChange(self.pcie_cq_np_req)
        while True:
            await edge
            given = int(self.pcie_cq_np_req.value)
            if given:
                # PG213: 1 is one more request, 2 and 3 are two.
                self.cq_np_req_count = min(self.cq_np_req_count + min(given, 2), _MOST_CREDITS)
                self._credits_given.set()
            else:
                await change
