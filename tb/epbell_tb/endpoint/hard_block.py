"""The UltraScale+ hard block of the benches: cocotbext-pcie's model, mended, and asleep when nothing moves.

What differs from the stock model:

- a poisoned request reaches the user with ``discontinue`` set, instead of as a good one;
- atomics, locked reads and I/O are passed on, and wait for credits like every non-posted request;
- a credit pulse counts also while the CQ stream is stalled;
- what `RequesterSide` and `InterruptPorts` say;
- configuration outputs and credits are followed on changes and not in every clock;
- the link takes no time: packets reach the other end in their order, with no wire, no ACK and no flow control.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import Event, RisingEdge, ValueChange
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

from epbell_tb.endpoint.interrupt_ports import InterruptPorts
from epbell_tb.endpoint.requester import RequesterSide

__all__ = [
    "HardBlock",
    "direct_link",
]

_POSTED = {TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
_MEMORY = {
    *_POSTED,
    TlpType.MEM_READ,
    TlpType.MEM_READ_64,
    TlpType.MEM_READ_LOCKED,
    TlpType.MEM_READ_LOCKED_64,
    TlpType.FETCH_ADD,
    TlpType.FETCH_ADD_64,
    TlpType.SWAP,
    TlpType.SWAP_64,
    TlpType.CAS,
    TlpType.CAS_64,
}
_CONFIG_WRITES = {TlpType.CFG_WRITE_0, TlpType.CFG_WRITE_1}
_MOST_CREDITS = 32


def direct_link(bridge: Any, port: Any) -> None:
    """Let a root port and the port below it hand every packet straight to the other end."""
    upper = bridge.downstream_port
    for near, far in ((upper, port), (port, upper)):
        near.send = partial(_hand_over, far)
        near.fc_initialized = True
    bridge.downstream_tx_handler = upper.send


async def _hand_over(port: Any, tlp: Tlp) -> None:
    tlp.release_fc()
    port.rx_queue.put_nowait(Tlp(tlp))


class HardBlock(RequesterSide, InterruptPorts):
    """The hard block; parameters as of the stock model.

    Attributes
    ----------
    dropped
        Memory requests that no BAR matched.
    on_master_change
        Called when the host has changed Bus Master Enable.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.dropped: list[Tlp] = []
        self.on_master_change: Callable[[], None] = lambda: None
        self._was_master = False
        self._config_written = Event()
        self._credits_given = Event()
        self._waiting: Queue[Tlp_us] = Queue()
        self._requests: Queue[Tlp_us] = Queue()
        super().__init__(*args, **kwargs)

    async def upstream_recv(self, tlp: Tlp) -> None:
        """Take a packet from the link."""
        kind = tlp.fmt_type
        if kind in _MEMORY:
            await self._memory(tlp)
            return
        await super().upstream_recv(tlp)
        if kind in _CONFIG_WRITES:
            self._config_written.set()
            master = bool(self.functions[0].bus_master_enable)
            if master != self._was_master:
                self._was_master = master
                self.on_master_change()

    def pass_on(self, tlp: Tlp, bar: int) -> None:
        """Give the user a request as one for `bar`, whatever its address and kind."""
        function = self.functions[0]
        request = Tlp_us(tlp)
        request.bar_id = bar
        mask = function.bar_mask[bar]
        if function.bar[bar] & 4:
            mask |= function.bar_mask[bar + 1] << 32
            request.bar_aperture = (~mask & (1 << 64) - 1).bit_length()
        else:
            request.bar_aperture = (~mask & 0xFFFF_FFFF).bit_length()
        request.completer_id = function.pcie_id
        request.discontinue = tlp.ep
        self._requests.put_nowait(request)

    async def _memory(self, tlp: Tlp) -> None:
        tlp.release_fc()
        match = self.functions[0].match_bar(tlp.address)
        if match and self.functions[0].memory_space_enable:
            self.pass_on(tlp, match[0])
            return
        self.dropped.append(tlp)
        if tlp.fmt_type not in _POSTED:
            await self.upstream_send(Tlp.create_ur_completion_for_tlp(tlp, self.functions[0].pcie_id))

    def set_max_payload(self, size: int) -> None:
        """Set Max_Payload_Size in Device Control; bytes."""
        self.functions[0].pcie_cap.max_payload_size = (size // 128).bit_length() - 1
        self._config_written.set()

    def drop_everything(self) -> None:
        """Forget requests and credits, as a reset does."""
        for queue in (self._requests, self._waiting, self.cq_source.queue):
            while not queue.empty():
                queue.get_nowait()
        self.cq_source.queue_occupancy_frames = self.cq_source.queue_occupancy_bytes = 0
        self.cq_np_req_count = 0
        self.forget_reads()

    # -- the stock model's coroutines, asleep when there is nothing to do ----------------------------------------------

    async def _run_cq_logic(self) -> None:
        cocotb.start_soon(self._count_credits())
        cocotb.start_soon(self._send_non_posted())
        while True:
            tlp = await self._requests.get()
            if tlp.fmt_type in _POSTED:
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

    async def _run_cfg_status_logic(self) -> None:
        edge = RisingEdge(self.user_clk)
        while True:
            self._config_written.clear()
            await edge
            function = self.functions[0]
            self.cfg_max_payload.value = function.pcie_cap.max_payload_size & 3
            enables = 0x7 if function.bus_master_enable else 0
            self.cfg_function_status.value = enables | (0x8 if function.interrupt_disable else 0)
            self.show_interrupts()
            await self._config_written.wait()

    async def _run_cfg_ctrl_logic(self) -> None:
        """Nothing to do: configuration space is always enabled."""

    async def _run_cfg_fc_logic(self) -> None:
        """Nothing to do: the endpoint does not look at flow control."""

    async def _run_reset(self) -> None:
        """Nothing to do: the bench resets the endpoint."""

    async def settle(self) -> None:
        """Wait until every request has been given to the stream."""
        edge = RisingEdge(self.user_clk)
        while not (self._requests.empty() and self._waiting.empty() and self.cq_source.idle()):
            await edge
