"""The hard block's function with resets and power states, none of which the stock model has.

- Function-level reset (PCI Express Base Specification, 6.6.2): configuration space is as after power-up, what the
  function had not sent is gone, reads under way end with the hard block's notice (error code 8). Configuration requests
  are answered with Request Retry Status until the user says ``cfg_flr_done``.
- D3hot (5.3.1.4): memory requests are unsupported, configuration space is kept (No_Soft_Reset); the user sees it on
  ``cfg_function_power_state`` (AMD PG213).
- Without a link nothing arrives in either direction, and the root port answers for the function (2.9.1).
"""

from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType
from cocotbext.pcie.xilinx.us.tlp import ErrorCode, Tlp_us

from epbell_tb.endpoint.hard_block import HardBlock
from epbell_tb.endpoint.upstream.no_function_level_reset import on_function_level_reset

__all__ = [
    "StatefulBlock",
]

_CONFIG = {TlpType.CFG_READ_0, TlpType.CFG_WRITE_0}
_REQUESTS = {TlpType.MEM_READ, TlpType.MEM_READ_64, TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
_POSTED = {TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
_D0, _D3HOT = 0, 3
_PIN = {_D0: 1, _D3HOT: 4}
_NEW = 0
"""``cfg_function_power_state`` before the host has enabled anything."""

_BAR_KIND = 0xF
_WIDE = 0x4
_IDLE_CLOCKS = 4000
_BUFFERED = 2
"""Requests that reach the user after a function-level reset has begun: those next to its stream."""


class StatefulBlock(HardBlock):
    """The hard block; parameters as of the stock model.

    Attributes
    ----------
    absent
        Whether there is no link.
    in_flr
        Whether a function-level reset is under way.
    while_asleep
        Memory requests of the user in D3hot, which it must not make.
    on_flr
        Called with True when a function-level reset begins, and with False when the user has done it.
    on_power
        Called with whether the function is in D3hot, when that has changed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.absent = self.in_flr = False
        self.while_asleep: list[Tlp] = []
        self.on_flr: Callable[[bool], None] = lambda _: None
        self.on_power: Callable[[bool], None] = lambda _: None
        self._power = _D0
        self._configured = False
        super().__init__(*args, **kwargs)
        function = self.functions[0]
        function.pm_cap.no_soft_reset = True
        on_function_level_reset(function, self._begin_flr)

    @property
    def awake(self) -> bool:
        """Whether the function is in D0."""
        return self._power == _D0

    @property
    def linked(self) -> bool:
        """Whether there is a link: what is sent without one is lost."""
        return not self.absent

    @property
    def decodes(self) -> bool:
        """Whether memory requests are given to the user."""
        return super().decodes and self.awake

    async def upstream_recv(self, tlp: Tlp) -> None:
        """Take a packet from the link."""
        if self.absent:
            tlp.release_fc()
            if tlp.fmt_type not in _POSTED and not tlp.is_completion():
                await self.upstream_port.send(Tlp.create_ur_completion_for_tlp(tlp, self.functions[0].pcie_id))
            return
        if self.in_flr and tlp.fmt_type in _CONFIG:
            tlp.release_fc()
            await self.upstream_send(Tlp.create_crs_completion_for_tlp(tlp, self.functions[0].pcie_id))
            return
        await super().upstream_recv(tlp)
        if tlp.fmt_type in _CONFIG:
            self._follow_config()

    async def upstream_send(self, tlp: Tlp) -> None:
        """Give a packet to the link."""
        if self.absent:
            return
        if not self.awake and tlp.fmt_type in _REQUESTS:
            self.while_asleep.append(tlp)
        await super().upstream_send(tlp)

    # -- power ---------------------------------------------------------------------------------------------------------

    def _follow_config(self) -> None:
        """Show the power state that the host wants; one that the function lacks changes nothing."""
        function = self.functions[0]
        power = function.pm_cap
        if power.power_state not in _PIN:
            power.power_state = self._power
        self._configured |= bool(function.memory_space_enable or function.bus_master_enable)
        changed = power.power_state != self._power
        self._power = power.power_state
        self._show_power()
        if changed:
            self.on_master_change()
            self.on_power(self._power == _D3HOT)

    def _show_power(self) -> None:
        state = _NEW if self._power == _D0 and not self._configured else _PIN[self._power]
        self.cfg_function_power_state.value = state

    # -- resets --------------------------------------------------------------------------------------------------------

    async def _begin_flr(self) -> None:
        self.in_flr = True
        self.forget_config(keep_payload=True)
        self.offer_no_more(_BUFFERED)
        self._end_reads()
        self.on_flr(True)
        cocotb.start_soon(self._flr(), name="function-level reset")

    async def _flr(self) -> None:
        edge = RisingEdge(self.user_clk)
        self.cfg_flr_in_process.value = 1
        await edge
        while not int(self.cfg_flr_done.value) & 1:
            await edge
        self.cfg_flr_in_process.value = 0
        self.in_flr = False
        self.on_flr(False)

    def _end_reads(self) -> None:
        """Tell the user that its reads have ended; completions that come later belong to nobody."""
        for tag, request in enumerate(self.active_request):
            if request is None:
                continue
            self.active_request[tag] = None
            notice = Tlp_us()
            notice.fmt_type = TlpType.CPL
            notice.tag, notice.tc, notice.attr = request.tag, request.tc, request.attr
            notice.requester_id = request.requester_id
            notice.error_code, notice.status, notice.request_completed = ErrorCode.FLR, CplStatus.SC, True
            self.rc_queue.put_nowait(notice)

    async def lose_link(self) -> None:
        """Lose the link, and all that was under way; return when the streams are between packets.

        Silicon resets its streams with the link. The model's would go on with the packet that they were in.
        """
        self.absent = True
        edge = RisingEdge(self.user_clk)
        idle = False
        for _ in range(_IDLE_CLOCKS):
            self.drop_everything()
            await edge
            await Timer(1, unit="ns")
            idle = self.cq_source.idle() and self.rc_source.idle()
            if idle:
                break
        assert idle, "the user does not take what was begun"
        self.forget_config(keep_payload=False)
        self._told = False

    def regain_link(self) -> None:
        """Let the link come up again."""
        self.absent = False

    def forget_config(self, *, keep_payload: bool) -> None:
        """Reset what the host has set in configuration space; the payload size may be what the link agreed on."""
        function = self.functions[0]
        for name in ("io_space_enable", "memory_space_enable", "bus_master_enable", "interrupt_disable"):
            setattr(function, name, False)
        function.parity_error_response_enable = function.serr_enable = False
        function.interrupt_line = 0
        upper = False
        for number, bar in enumerate(function.bar):
            function.bar[number] = 0 if upper else bar & _BAR_KIND
            upper = not upper and bool(bar & _WIDE) and bool(function.bar_mask[number])
        msi, msix, express = function.msi_cap, function.msix_cap, function.pcie_cap
        msi.msi_enable = msix.msix_enable = msix.msix_function_mask = False
        msi.msi_multiple_message_enable = msi.msi_message_address = msi.msi_message_data = msi.msi_mask_bits = 0
        express.extended_tag_field_enable = False
        express.enable_relaxed_ordering = express.enable_no_snoop = True
        express.max_read_request_size = 2
        if not keep_payload:
            express.max_payload_size = 0
        function.pm_cap.power_state = _D0
        self._configured = False
        self._config_written.set()
        self._was_master = False
        self.on_master_change()
        self._follow_config()
