"""The environment of the endpoint's benches with a guest for a host: RTL, software, and every check of the pins.

The host's models are not asked anything: the guest's kernel enumerates, its drivers drive, its memory is the host's.
"""

from typing import Any

from epbell_models.linux.pci_epf_vntb_config import CLASS_MEMORY_RAM, MSIX_OFFSET, VntbConfig
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.guest.host_side import HostSideLine, HostSideMemory
from epbell_tb.guest.port import HostSide

__all__ = [
    "GuestEnv",
]

_VENDOR, _DEVICE = 0x1957, 0x0808
"""Identity of the function: that of the models' configuration space."""

_OTHERS = 0xFF0000
"""Class code of pci-epf-test: a device that fits no class."""


class GuestEnv(EndpointEnv):
    """The endpoint between a guest and a CPU that runs Linux's drivers; environment variables as of `EndpointEnv`.

    Parameters
    ----------
    dut
        The design.
    host
        The guest.
    msix
        How many MSI-X vectors the function offers, 1 to 2048; of pci-epf-vntb as many as its configuration says.
    vntb
        Configuration of pci-epf-vntb, which then is the function; None for pci-epf-test.
    """

    def __init__(self, dut: Any, host: HostSide, *, msix: int = 32, vntb: VntbConfig | None = None) -> None:
        self._vntb = vntb
        if vntb is None:
            super().__init__(dut, "endpoint_guest", msix=msix)
        else:
            super().__init__(dut, "endpoint_guest", msix=vntb.msix_interrupts, msix_table=MSIX_OFFSET)
        self.to_host.memory = HostSideMemory(host, self._message)
        self.to_host.intx = HostSideLine(self.platform, host)
        function = self.block.functions[0]
        function.vendor_id, function.device_id, function.class_code = _VENDOR, _DEVICE, _OTHERS
        if vntb is not None:
            function.vendor_id, function.device_id, function.class_code = vntb.vendor, vntb.device, CLASS_MEMORY_RAM

    async def boot(self) -> None:
        """Reset the endpoint, boot its Linux, and let the streams pause from then on, if they are to."""
        await self.reset()
        await self.start_linux(**({} if self._vntb is None else {"vntb": self._vntb}))
        self.stall()

    async def finish(self) -> None:
        """Check as at the end of every scenario, and that each write to the guest reached something."""
        await super().finish()
        nowhere = [f"{address:#x}" for address in self.to_host.memory.dropped]
        assert not nowhere, f"the endpoint wrote to the guest where nothing is: {', '.join(nowhere[:8])}"

    def _message(self, address: int, data: bytes) -> None:
        """Check an interrupt message that arrives: those of MSI-X were checked on their way."""
        if self.block.functions[0].msi_cap.msi_enable or self.block.msis_under_way:
            msi = self.block.msis_under_way[0]
            assert address == msi.address, f"an MSI at {address:#x}, not at {msi.address:#x}"
            self.judge_msi(int.from_bytes(data, "little"))
