"""The hard block's interrupt ports, mended: nothing is followed in every clock, and every request is answered.

What differs from the stock model:

- INTx, which the stock model does not have: each change of ``cfg_interrupt_int`` is answered, and becomes a message
  unless the host does not want to hear of it;
- an MSI that the host did not enable, or while bus mastering is off, fails instead of ending the simulation;
- mask bits are shown when the host changes them, pending bits follow the endpoint;
- ``cfg_mgmt`` sleeps while nobody asks.
"""

from collections.abc import Callable
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

ASSERT_INTA = 0x20
DEASSERT_INTA = 0x24
"""Message codes (PCI Express, 2.2.8.1)."""

_CONFIG_CLOCKS = 3


class InterruptPorts(_Stock):
    """MSI, MSI-X, INTx, and the port through which the user reads configuration space."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._told = False
        super().__init__(*args, **kwargs)

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
        edge, change = RisingEdge(self.user_clk), ValueChange(self.cfg_interrupt_msi_int)
        while True:
            await edge
            wanted = int(self.cfg_interrupt_msi_int.value)
            if not wanted:
                await change
                continue
            vector = wanted.bit_length() - 1
            function = self.functions[0]
            msi = function.msi_cap
            good = wanted == 1 << vector and msi.msi_enable and vector < 1 << msi.msi_multiple_message_enable
            good = good and function.bus_master_enable
            if good:
                await msi.issue_msi_interrupt(vector)
            await self._pulse(self.cfg_interrupt_msi_sent if good else self.cfg_interrupt_msi_fail)

    async def _pulse(self, pin: Any) -> None:
        pin.value = 1
        await RisingEdge(self.user_clk)
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
            await edge
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
