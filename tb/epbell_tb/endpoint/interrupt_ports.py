"""The hard block's interrupt ports, mended: nothing is followed in every clock, and every request is answered.

What differs from the stock model is in `epbell_tb.endpoint.upstream`; besides, mask bits are shown when the host
changes them, pending bits follow the endpoint, and ``cfg_mgmt`` wakes up only to answer.
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer, ValueChange

from epbell_tb.endpoint.clock import PERIOD_NS, cycle
from epbell_tb.endpoint.permissions import Allowed
from epbell_tb.endpoint.pulse import pulse
from epbell_tb.endpoint.upstream.interrupts_never_fail import InterruptsNeverFail, Wanted
from epbell_tb.endpoint.upstream.no_intx import NoIntx

__all__ = [
    "InterruptPorts",
    "SentMsi",
]

_CONFIG_CLOCKS = 3
_SLOWEST_ANSWER = 24
_REFUSED = 0.1


@dataclass(frozen=True)
class SentMsi:
    """An MSI that was sent: Message Address and Data, and how many vectors were granted, as they were then.

    It is `cut` if everything was reset behind it: it is on the link, and arrives.
    """

    address: int
    data: int
    granted: int
    cut: bool = False

    def vector(self, word: int) -> int | None:
        """Return the vector that a word means, None if it is none of these."""
        return word - self.data if 0 <= word - self.data < self.granted else None


class InterruptPorts(NoIntx, InterruptsNeverFail):
    """MSI, MSI-X, INTx, and the port through which the user reads configuration space; see also its bases.

    Attributes
    ----------
    msis_under_way
        MSIs that were sent and have not arrived; who takes one out there removes it.
    on_shown
        Called with what the host allows of interrupts, when the pins begin to show it.
    on_msi
        Called with what is asked for at the MSI port, and with the cycle.
    on_msix
        Called with address and data of a message that was asked for at the MSI-X port, and with the cycle; what it
        returns is called when the message is sent.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.msis_under_way: deque[SentMsi] = deque()
        self.on_shown: Callable[[Allowed], None] = lambda _: None
        self.on_msi: Callable[[int, int], None] = lambda bits, now: None
        self.on_msix: Callable[[int, bytes, int], Callable[[], None]] = lambda address, data, now: lambda: None
        super().__init__(*args, **kwargs)

    def take_time(self, source: random.Random) -> None:
        """Let answers of MSI and MSI-X take their time, at random, and some of them be failures."""
        self.answer_after = lambda: source.randrange(_SLOWEST_ANSWER)
        self.answer_takes = lambda: source.randrange(_SLOWEST_ANSWER)
        self.refuses = lambda: source.random() < _REFUSED

    def show_interrupts(self) -> None:
        """Show the user what the host has set of MSI and MSI-X."""
        function = self.functions[0]
        msi, msix = function.msi_cap, function.msix_cap
        self.cfg_interrupt_msi_enable.value = int(msi.msi_enable)
        self.cfg_interrupt_msi_mmenable.value = msi.msi_multiple_message_enable & 0x7
        self.cfg_interrupt_msi_data.value = msi.msi_mask_bits
        self.cfg_interrupt_msix_enable.value = int(msix.msix_enable)
        self.cfg_interrupt_msix_mask.value = int(msix.msix_function_mask)
        requests, enabled = self.may_request, (bool(msi.msi_enable), bool(msix.msix_enable))
        granted = 1 << msi.msi_multiple_message_enable
        intx = self.awake and not (any(enabled) or function.interrupt_disable)
        masks = msi.msi_mask_bits, bool(msix.msix_function_mask)
        self.on_shown(Allowed(requests, enabled[0], granted, masks[0], enabled[1], masks[1], intx))

    @property
    def awake(self) -> bool:
        """Whether the function is in D0."""
        return True

    @property
    def linked(self) -> bool:
        """Whether there is a link: what is sent without one is lost."""
        return True

    @property
    def may_request(self) -> bool:
        """Whether the function may make requests."""
        return bool(self.functions[0].bus_master_enable) and self.awake

    async def _run_cfg_int_logic(self) -> None:
        cocotb.start_soon(self._follow(self.cfg_interrupt_msi_pending_status, self._show_pending))
        cocotb.start_soon(self._follow(self.cfg_interrupt_pending, self._show_status))
        cocotb.start_soon(self.follow_intx())
        cocotb.start_soon(self.serve(self.cfg_interrupt_msix_int, self._msix_wanted))
        await self.serve(self.cfg_interrupt_msi_int, self._msi_wanted)

    def _msi_wanted(self, bits: int) -> Wanted:
        function, vector = self.functions[0], bits.bit_length() - 1
        msi = function.msi_cap
        self.on_msi(bits, cycle())

        def allowed() -> bool:
            exists = bits == 1 << vector and vector < 1 << msi.msi_multiple_message_enable
            return exists and msi.msi_enable and function.bus_master_enable

        async def send() -> None:
            granted = 1 << msi.msi_multiple_message_enable
            if self.linked:
                self.msis_under_way.append(SentMsi(msi.msi_message_address, msi.msi_message_data, granted))
            await msi.issue_msi_interrupt(vector)

        return allowed, send

    def _msix_wanted(self, _: int) -> Wanted:
        function = self.functions[0]
        address, data = int(self.cfg_interrupt_msix_address.value), int(self.cfg_interrupt_msix_data.value)
        sent = self.on_msix(address, data.to_bytes(4, "little"), cycle())

        async def send() -> None:
            sent()
            await function.msix_cap.issue_msix_interrupt(address, data)

        return lambda: function.msix_cap.msix_enable and function.bus_master_enable, send

    async def _follow(self, pin: Any, show: Callable[[int], None]) -> None:
        change = ValueChange(pin)
        while True:
            await change
            show(int(pin.value))

    def _show_pending(self, bits: int) -> None:
        self.functions[0].msi_cap.msi_pending_bits = bits

    def _show_status(self, functions: int) -> None:
        self.functions[0].interrupt_status = bool(functions & 1)

    async def _run_cfg_mgmt_logic(self) -> None:
        cocotb.start_soon(self._answer(self.cfg_mgmt_write, self._write_config))
        await self._answer(self.cfg_mgmt_read, self._read_config)

    async def _answer(self, asked: Any, serve: Callable[[Any, int], Awaitable[None]]) -> None:
        """Answer each request some clocks after it; the endpoint asks all the time, so nothing wakes up in between."""
        request, edge = RisingEdge(asked), RisingEdge(self.user_clk)
        while True:
            await request
            await Timer(_CONFIG_CLOCKS * PERIOD_NS + PERIOD_NS // 2, unit="ns")
            await edge
            if asked.value:  # a reset takes it back
                await serve(self.functions[0], int(self.cfg_mgmt_addr.value))
                await pulse(self.user_clk, self.cfg_mgmt_read_write_done)

    async def _read_config(self, function: Any, register: int) -> None:
        self.cfg_mgmt_read_data.value = await function.read_config_register(register)

    async def _write_config(self, function: Any, register: int) -> None:
        data, enables = int(self.cfg_mgmt_write_data.value), int(self.cfg_mgmt_byte_enable.value)
        await function.write_config_register(register, data, enables)
