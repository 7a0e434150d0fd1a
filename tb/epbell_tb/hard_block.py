"""The UltraScale+ hard block as the endpoint's stream ports see it: cocotbext-pcie's model, corrected and made quick.

What differs from the stock model: a poisoned request arrives with ``discontinue`` set, atomic and locked requests reach
the stream, requests can be put on the stream which no root port would forward, a reset of the user logic also empties
the queues, and everything sleeps until something happens instead of looking every clock.
"""

from typing import Any

import cocotb
from cocotb.triggers import Event, FallingEdge, RisingEdge, ValueChange
from cocotbext.axi import AxiStreamBus
from cocotbext.pcie.core.tlp import Tlp, TlpAttr, TlpType
from cocotbext.pcie.core.utils import PcieId
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

__all__ = [
    "BarShape",
    "HardBlock",
]

BarShape = tuple[int, bool]
"""Size in bytes (0: no such BAR) and whether it is the lower half of a 64-bit pair."""

_LINKS = {64: (3, 2), 128: (3, 4), 256: (3, 8), 512: (3, 16)}
_POSTED = (TlpType.MEM_WRITE, TlpType.MEM_WRITE_64)
_FORWARDED = (
    TlpType.MEM_READ_LOCKED, TlpType.MEM_READ_LOCKED_64, TlpType.FETCH_ADD, TlpType.FETCH_ADD_64,
    TlpType.SWAP, TlpType.SWAP_64, TlpType.CAS, TlpType.CAS_64,
)  # fmt: skip
_MOST_CREDITS = 32


class HardBlock(UltraScalePlusPcieDevice):
    """One function with memory BARs and MSI.

    Parameters
    ----------
    dut
        The endpoint; ports named as in ``epbell_endpoint_usp*``.
    bars : sequence of BarShape
        Six BARs.
    msi_vectors : int
        Vectors that the function offers.
    """

    def __init__(self, dut: Any, bars: tuple[BarShape, ...], *, msi_vectors: int = 32) -> None:
        cq = AxiStreamBus.from_prefix(dut, "s_axis_cq")
        generation, lanes = _LINKS[len(cq.tdata)]
        self._requests = Event()
        super().__init__(
            pcie_generation=generation,
            pcie_link_width=lanes,
            user_clk_frequency=250e6,
            max_payload_size=1024,
            enable_extended_tag=True,
            pf0_msi_enable=True,
            pf0_msi_count=msi_vectors,
            user_clk=dut.clk,
            user_reset=None,
            cq_bus=cq,
            cc_bus=AxiStreamBus.from_prefix(dut, "m_axis_cc"),
            pcie_cq_np_req=dut.pcie_cq_np_req,
            cfg_max_payload=dut.cfg_max_payload,
            cfg_function_status=dut.cfg_function_status,
            cfg_interrupt_msi_enable=dut.cfg_interrupt_msi_enable,
            cfg_interrupt_msi_mmenable=dut.cfg_interrupt_msi_mmenable,
            cfg_interrupt_msi_int=dut.cfg_interrupt_msi_int,
            cfg_interrupt_msi_sent=dut.cfg_interrupt_msi_sent,
            cfg_interrupt_msi_fail=dut.cfg_interrupt_msi_fail,
            cfg_interrupt_msi_attr=dut.cfg_interrupt_msi_attr,
            cfg_interrupt_msi_function_number=dut.cfg_interrupt_msi_function_number,
        )
        for unused in (dut.cfg_interrupt_msi_mask_update, dut.cfg_interrupt_msi_data):
            unused.value = 0
        function = self.functions[0]
        function.vendor_id, function.device_id = 0x1957, 0x0808
        for index, (size, wide) in enumerate(bars):
            if size:
                function.configure_bar(index, size, ext=wide)

    def inject(self, tlp: Tlp, *, bar: int, aperture: int) -> None:
        """Put a request on the stream as a hit of `bar` (``aperture``: log2 of its size), whatever its type."""
        request = Tlp_us(tlp)
        request.bar_id, request.bar_aperture = bar, aperture
        request.discontinue = bool(tlp.ep)
        request.completer_id = self.functions[0].pcie_id
        self.cq_queue.put_nowait(request)
        self._requests.set()

    def forget(self) -> None:
        """Drop everything that is queued towards the endpoint: its side has been reset, credits included."""
        for queue in (self.cq_queue, self.cq_np_queue):
            while not queue.empty():
                queue.get_nowait()
        self.cq_source.clear()
        self.cq_np_req_count = 0

    @property
    def idle(self) -> bool:
        """Whether every request has been taken by the endpoint."""
        return self.cq_queue.empty() and self.cq_np_queue.empty() and self.cq_source.idle()

    # -- requests ------------------------------------------------------------------------------------------------------

    async def upstream_recv(self, tlp: Tlp) -> None:
        """Take a TLP from the link."""
        poisoned = bool(tlp.ep) and tlp.fmt_type in _POSTED
        if tlp.fmt_type in _FORWARDED or poisoned:
            found = self.functions[0].match_bar(tlp.address)
            tlp.release_fc()
            if found:
                self.inject(tlp, bar=found[0], aperture=self._aperture(found[0]))
            return
        await super().upstream_recv(tlp)
        if not self.cq_queue.empty():
            self._requests.set()
        if tlp.fmt_type in (TlpType.CFG_WRITE_0, TlpType.CFG_WRITE_1):
            self._show_configuration()

    def _aperture(self, bar: int) -> int:
        function = self.functions[0]
        mask = function.bar_mask[bar]
        wide = bool(function.bar[bar] & 4)
        full = mask | (function.bar_mask[bar + 1] << 32) if wide else mask | 0xFFFF_FFFF_0000_0000
        return (~full & 0xFFFF_FFFF_FFFF_FFFF).bit_length()

    async def _run_cq_logic(self) -> None:
        cocotb.start_soon(self._run_credits())
        while True:
            # A non-posted request without a credit waits here, and posted ones pass it.
            while not self.cq_np_queue.empty() and self.cq_np_req_count > 0:
                self.cq_np_req_count -= 1
                await self.cq_source.send(self.cq_np_queue.get_nowait().pack_us_cq())
            while not self.cq_queue.empty():
                await self._forward(self.cq_queue.get_nowait())
            self._requests.clear()
            if self.cq_queue.empty() and (self.cq_np_queue.empty() or self.cq_np_req_count == 0):
                await self._requests.wait()

    async def _forward(self, tlp: Any) -> None:
        if tlp.fmt_type in _POSTED:
            await self.cq_source.send(tlp.pack_us_cq())
        elif self.cq_np_req_count > 0 and self.cq_np_queue.empty():
            self.cq_np_req_count -= 1
            await self.cq_source.send(tlp.pack_us_cq())
        else:
            self.cq_np_queue.put_nowait(tlp)

    async def _run_credits(self) -> None:
        edge = RisingEdge(self.user_clk)
        while True:
            await edge
            granted = int(self.pcie_cq_np_req.value)
            if granted:
                self.cq_np_req_count = min(self.cq_np_req_count + granted, _MOST_CREDITS)
                self._requests.set()
            else:
                await ValueChange(self.pcie_cq_np_req)

    # -- configuration and interrupts ----------------------------------------------------------------------------------

    def _show_configuration(self) -> None:
        function = self.functions[0]
        self.cfg_max_payload.value = function.pcie_cap.max_payload_size & 3
        self.cfg_function_status.value = 0x7 if function.bus_master_enable else 0
        self.cfg_interrupt_msi_enable.value = int(function.msi_cap.msi_enable)
        self.cfg_interrupt_msi_mmenable.value = function.msi_cap.msi_multiple_message_enable & 0x7

    async def _run_cfg_status_logic(self) -> None:
        self._show_configuration()

    async def _run_cfg_ctrl_logic(self) -> None:
        self.config_space_enable = True

    async def _run_reset(self) -> None:
        """Reset is the environment's."""

    async def _run_cfg_int_logic(self) -> None:
        edge = RisingEdge(self.user_clk)
        while True:
            await ValueChange(self.cfg_interrupt_msi_int)
            await edge
            asked = int(self.cfg_interrupt_msi_int.value)
            if not asked:
                continue
            if asked & (asked - 1):
                raise AssertionError(f"cfg_interrupt_msi_int must be one-hot, not {asked:#x}")
            number = int(self.cfg_interrupt_msi_function_number.value)
            assert number == 0, f"an MSI for function {number}, which does not exist"
            await self.functions[0].msi_cap.issue_msi_interrupt(asked.bit_length() - 1, attr=TlpAttr(0))
            await FallingEdge(self.user_clk)
            self.cfg_interrupt_msi_sent.value = 1
            await FallingEdge(self.user_clk)
            self.cfg_interrupt_msi_sent.value = 0


def requester() -> PcieId:
    """Requester ID of the root complex."""
    return PcieId(0, 0, 0)
