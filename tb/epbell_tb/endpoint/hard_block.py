"""The UltraScale+ hard block of the benches: cocotbext-pcie's model, mended, and asleep when nothing moves.

What differs from the stock model:

- what is in `epbell_tb.endpoint.upstream`, a file for each defect, and what `RequesterSide` and `InterruptPorts` say;
- malformed packets are dropped, and errors logged and signalled, as a hard block does;
- configuration outputs and credits are followed on changes and not in every clock;
- memory requests of the host take no way through the root complex's switch (`direct_route`);
- the link takes no time: packets reach the other end in their order, with no wire, no ACK and no flow control, unless
  `LinkCredits` limits them.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cocotb.triggers import Event, RisingEdge
from cocotb.utils import get_sim_steps
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType
from cocotbext.pcie.xilinx.us.interface import UsPcieFrame
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

from epbell_tb.endpoint.interrupt_ports import InterruptPorts
from epbell_tb.endpoint.link_checks import malformed
from epbell_tb.endpoint.requester import RequesterSide
from epbell_tb.endpoint.upstream.atomics_raise import MEMORY_REQUESTS, POSTED
from epbell_tb.endpoint.upstream.credits_lost_in_stalls import CreditsLostInStalls
from epbell_tb.endpoint.upstream.high_addresses_match import match_bar
from epbell_tb.endpoint.upstream.poisoned_requests_passed import to_user
from epbell_tb.endpoint.upstream.rom_and_bist_without_any import deny_rom_and_self_test
from epbell_tb.endpoint.upstream.silent_errors import Error

__all__ = [
    "HardBlock",
    "direct_link",
    "direct_route",
    "refused_request",
]

_CONFIG_WRITES = {TlpType.CFG_WRITE_0, TlpType.CFG_WRITE_1}
_FORWARDED = {TlpType.MEM_READ, TlpType.MEM_READ_64, TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
_COMPLETION, _REQUEST = 3, 4
_REFUSAL = _COMPLETION + 1 + _REQUEST
"""Dwords of descriptors, and of a refusal."""


def direct_link(bridge: Any, port: Any) -> None:
    """Let a root port and the port below it hand every packet straight to the other end."""
    upper = bridge.downstream_port
    for near, far in ((upper, port), (port, upper)):
        near.send = partial(_hand_over, far)
        near.fc_initialized = True
        near.fc_idle_timer_steps = get_sim_steps(1, "sec")  # it would wake up for credits that nobody counts
    bridge.downstream_tx_handler = upper.send


def direct_route(root: Any, bridge: Any, port: Any) -> None:
    """Let the root complex hand memory requests that a root port forwards straight to the port below it.

    They do not overtake each other. They may overtake configuration requests and completions, which take the stock
    way, through the switch: the ordering rules of PCI Express allow it (2.4.1). Of messages the host sends none.
    """
    routed = root.send

    async def send(tlp: Tlp) -> None:
        if tlp.fmt_type not in _FORWARDED or not _forwards(bridge, tlp.address):
            await routed(tlp)
            return
        for hop in (root.upstream_bridge, bridge):
            hop.master_data_parity_error |= bool(tlp.ep and hop.parity_error_response_enable)
            hop.sec_master_data_parity_error |= bool(tlp.ep and hop.bridge_parity_error_response_enable)
        await port.rx_handler(tlp)

    root.send = send


def _forwards(bridge: Any, address: int) -> bool:
    return (
        bridge.mem_base <= address <= bridge.mem_limit
        or bridge.prefetchable_mem_base <= address <= bridge.prefetchable_mem_limit
    )


async def _hand_over(port: Any, tlp: Tlp) -> None:
    tlp.release_fc()
    port.rx_queue.put_nowait(Tlp(tlp))


def refused_request(frame: UsPcieFrame) -> Tlp:
    """Return the request that a completion with UR or CA refuses, as far as its header is told.

    AMD PG213, "Completions with Error Status (UR and CA)": descriptor, byte enables, the request's descriptor.
    """
    dwords = frame.data
    assert len(dwords) == _REFUSAL, f"a refusal of {len(dwords)} dwords, not {_REFUSAL}: the header log needs them all"
    request = UsPcieFrame()
    request.data = dwords[_COMPLETION + 1 :]
    request.first_be, request.last_be = dwords[_COMPLETION] & 0xF, dwords[_COMPLETION] >> 4 & 0xF
    request.byte_en = [0] * _REQUEST
    return Tlp(Tlp_us.unpack_us_cq(request))


class HardBlock(CreditsLostInStalls, RequesterSide, InterruptPorts):
    """The hard block; parameters as of the stock model.

    Attributes
    ----------
    dropped
        Memory requests that no BAR matched.
    malformed
        Packets that were dropped because they are malformed, and what is wrong with them.
    on_master_change
        Called when the host has changed Bus Master Enable.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.dropped: list[Tlp] = []
        self.malformed: list[tuple[Tlp, str]] = []
        self.on_master_change: Callable[[], None] = lambda: None
        self._was_master = False
        self._config_written = Event()
        super().__init__(*args, **kwargs)
        deny_rom_and_self_test(self.functions[0])

    @property
    def decodes(self) -> bool:
        """Whether memory requests are given to the user."""
        return bool(self.functions[0].memory_space_enable)

    async def upstream_recv(self, tlp: Tlp) -> None:
        """Take a packet from the link."""
        kind = tlp.fmt_type
        what = malformed(tlp, 128 << self.functions[0].pcie_cap.max_payload_size)
        if what is not None:
            tlp.release_fc()
            self.malformed.append((Tlp(tlp), what))
            await self.report(Error.MALFORMED, tlp)
            return
        if kind in MEMORY_REQUESTS:
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
        request = to_user(tlp)
        request.bar_id = bar
        mask = function.bar_mask[bar]
        if function.bar[bar] & 4:
            mask |= function.bar_mask[bar + 1] << 32
            request.bar_aperture = (~mask & (1 << 64) - 1).bit_length()
        else:
            request.bar_aperture = (~mask & 0xFFFF_FFFF).bit_length()
        request.completer_id = function.pcie_id
        self.offer(request)

    async def _memory(self, tlp: Tlp) -> None:
        tlp.release_fc()
        match = match_bar(self.functions[0], tlp.address)
        taken = match is not None and self.decodes
        if match is not None and taken:
            self.pass_on(tlp, match[0])
        if tlp.ep:
            await self.report(Error.POISONED, tlp)
        if taken:
            return
        self.dropped.append(Tlp(tlp))
        posted = tlp.fmt_type in POSTED
        await self.report(Error.UNSUPPORTED, tlp, advisory=not posted)
        if not posted:
            await self.upstream_send(Tlp.create_ur_completion_for_tlp(tlp, self.functions[0].pcie_id))

    def set_max_payload(self, size: int) -> None:
        """Set Max_Payload_Size in Device Control; bytes."""
        self.functions[0].pcie_cap.max_payload_size = (size // 128).bit_length() - 1
        self._config_written.set()

    def drop_everything(self) -> None:
        """Forget requests and credits, as a reset does; what has left is on its way to the host."""
        self.offer_nothing()
        self.forget_reads()
        self.msis_under_way = deque(replace(msi, cut=True) for msi in self.msis_under_way)

    # -- the stock model's coroutines, asleep when there is nothing to do ----------------------------------------------

    async def _run_cc_logic(self) -> None:
        while True:
            frame = await self.cc_sink.recv()
            completion = Tlp_us.unpack_us_cc(frame, self.enable_parity)
            if completion.discontinue:
                continue
            if not completion.completer_id_enable:
                completion.completer_id = completion.completer_id._replace(bus=self.bus_num)
            if completion.status == CplStatus.UR:
                await self.report(Error.UNSUPPORTED, refused_request(frame), advisory=True)
            elif completion.status == CplStatus.CA:
                self.functions[0].signaled_target_abort = True
                await self.report(Error.COMPLETER_ABORT, refused_request(frame), advisory=True)
            await self.send(Tlp(completion))

    async def _run_cfg_status_logic(self) -> None:
        edge = RisingEdge(self.user_clk)
        while True:
            self._config_written.clear()
            await edge
            function = self.functions[0]
            self.cfg_max_payload.value = function.pcie_cap.max_payload_size & 3
            bits = (
                function.io_space_enable,
                function.memory_space_enable,
                function.bus_master_enable,
                function.interrupt_disable,
            )
            self.cfg_function_status.value = sum(bool(bit) << position for position, bit in enumerate(bits))
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
        while not self.offered:
            await edge
