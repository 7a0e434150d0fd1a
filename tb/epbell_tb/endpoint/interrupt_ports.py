"""The hard block's interrupt ports, mended: nothing is followed in every clock, and every request is answered.

What differs from the stock model:

- INTx, which the stock model does not have: each change of ``cfg_interrupt_int`` is answered, and becomes a message
  unless the host does not want to hear of it;
- an MSI or MSI-X that the host did not enable, or while bus mastering is off, fails instead of ending the simulation;
- an answer can take its time, and can be a failure although nothing is in the way; it goes to the pins of MSI and
  MSI-X alike, as in a block that has one pair of them;
- mask bits are shown when the host changes them, pending bits follow the endpoint;
- ``cfg_mgmt`` sleeps while nobody asks.
"""

import random
from collections.abc import Callable, Coroutine
from typing import Any

import cocotb
from cocotb.triggers import First, RisingEdge, ValueChange
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice

__all__ = [
    "ASSERT_INTA",
    "DEASSERT_INTA",
    "InterruptPorts",
]

_Stock: Any = UltraScalePlusPcieDevice
_Wanted = tuple[Callable[[], bool], Callable[[], Coroutine[Any, Any, None]]]  # whether it may be sent; how

ASSERT_INTA = 0x20
DEASSERT_INTA = 0x24
"""Message codes (PCI Express, 2.2.8.1)."""

_CONFIG_CLOCKS = 3
_SLOWEST_ANSWER = 24
_REFUSED = 0.1


class InterruptPorts(_Stock):
    """MSI, MSI-X, INTx, and the port through which the user reads configuration space.

    Attributes
    ----------
    answer_after
        How many clocks a request for an MSI or MSI-X waits for its answer, anew for each.
    line_after
        How many more clocks a change of INTA waits. Linux takes a pulse that outlasts its handler for two interrupts.
    refuses
        Whether a request fails that could be granted, anew for each.
    on_msix
        Called with address and data of a message that was asked for at the MSI-X port; what it returns is called when
        the message is sent.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.answer_after: Callable[[], int] = lambda: 0
        self.line_after: Callable[[], int] = lambda: 0
        self.refuses: Callable[[], bool] = lambda: False
        self.on_msix: Callable[[int, bytes], Callable[[], None]] = lambda address, data: lambda: None
        self._told = False
        super().__init__(*args, **kwargs)

    def take_time(self, source: random.Random) -> None:
        """Let answers of MSI and MSI-X take their time, at random, and some of them be failures."""
        self.answer_after = lambda: source.randrange(_SLOWEST_ANSWER)
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

    async def _run_cfg_int_logic(self) -> None:
        cocotb.start_soon(self._follow(self.cfg_interrupt_msi_pending_status, self._show_pending))
        cocotb.start_soon(self._follow(self.cfg_interrupt_pending, self._show_status))
        cocotb.start_soon(self._send_intx())
        cocotb.start_soon(self._serve(self.cfg_interrupt_msix_int, self._msix_wanted))
        await self._serve(self.cfg_interrupt_msi_int, self._msi_wanted)

    async def _serve(self, pin: Any, wanted: Callable[[int], _Wanted]) -> None:
        """Answer what is asked for at a pin, one after the other."""
        edge, change = RisingEdge(self.user_clk), ValueChange(pin)
        while True:
            await edge
            asked = int(pin.value)
            if not asked:
                await change
                continue
            allowed, send = wanted(asked)
            for _ in range(self.answer_after()):
                if not allowed():
                    break
                await edge
                assert not int(pin.value), "asked for an interrupt again before the answer"
            good = allowed() and not self.refuses()
            if good:
                await send()
            await self._pulse(*(self._sent_pins if good else self._fail_pins))

    @property
    def _sent_pins(self) -> tuple[Any, ...]:
        return self.cfg_interrupt_msi_sent, self.cfg_interrupt_msix_sent

    @property
    def _fail_pins(self) -> tuple[Any, ...]:
        return self.cfg_interrupt_msi_fail, self.cfg_interrupt_msix_fail

    def _msi_wanted(self, bits: int) -> _Wanted:
        function, vector = self.functions[0], bits.bit_length() - 1
        msi = function.msi_cap

        def allowed() -> bool:
            exists = bits == 1 << vector and vector < 1 << msi.msi_multiple_message_enable
            return exists and msi.msi_enable and function.bus_master_enable

        return allowed, lambda: msi.issue_msi_interrupt(vector)

    def _msix_wanted(self, _: int) -> _Wanted:
        function = self.functions[0]
        address, data = int(self.cfg_interrupt_msix_address.value), int(self.cfg_interrupt_msix_data.value)
        sent = self.on_msix(address, data.to_bytes(4, "little"))

        async def send() -> None:
            sent()
            await function.msix_cap.issue_msix_interrupt(address, data)

        return lambda: function.msix_cap.msix_enable and function.bus_master_enable, send

    async def _pulse(self, *pins: Any) -> None:
        for pin in pins:
            pin.value = 1
        await RisingEdge(self.user_clk)
        for pin in pins:
            pin.value = 0

    async def _follow(self, pin: Any, show: Callable[[int], None]) -> None:
        change = ValueChange(pin)
        while True:
            await change
            show(int(pin.value))

    def _show_pending(self, bits: int) -> None:
        self.functions[0].msi_cap.msi_pending_bits = bits

    def _show_status(self, functions: int) -> None:
        self.functions[0].interrupt_status = bool(functions & 1)

    async def _send_intx(self) -> None:
        edge, change = RisingEdge(self.user_clk), ValueChange(self.cfg_interrupt_int)
        level = False
        while True:
            await edge
            wanted = bool(int(self.cfg_interrupt_int.value) & 1)
            if wanted == level:
                await change
                continue
            level = wanted
            for _ in range(1 + self.line_after()):
                await edge
                assert bool(int(self.cfg_interrupt_int.value) & 1) == level, "INTA changed before the answer"
            await self._tell(level and not self.functions[0].interrupt_disable)
            await self._pulse(self.cfg_interrupt_sent)

    async def _tell(self, level: bool) -> None:
        """Send the message that the host's view of the line needs, if any."""
        if level == self._told:
            return
        self._told = level
        message = Tlp()
        message.fmt_type = TlpType.MSG_LOCAL
        message.requester_id = self.functions[0].pcie_id
        # The message code is in the byte that has the byte enables of other requests.
        message.last_be, message.first_be = divmod(ASSERT_INTA if level else DEASSERT_INTA, 16)
        await self.send(message)

    async def _run_cfg_mgmt_logic(self) -> None:
        edge = RisingEdge(self.user_clk)
        reads, writes = self.cfg_mgmt_read, self.cfg_mgmt_write
        asks = First(ValueChange(reads), ValueChange(writes))
        while True:
            await edge
            if not reads.value and not writes.value:
                await asks
                continue
            for _ in range(_CONFIG_CLOCKS):
                await edge
            function, register = self.functions[0], int(self.cfg_mgmt_addr.value)
            if reads.value:
                self.cfg_mgmt_read_data.value = await function.read_config_register(register)
            else:
                data, enables = int(self.cfg_mgmt_write_data.value), int(self.cfg_mgmt_byte_enable.value)
                await function.write_config_register(register, data, enables)
            await self._pulse(self.cfg_mgmt_read_write_done)
