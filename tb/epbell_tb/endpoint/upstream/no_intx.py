"""There is no INTx.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``_run_cfg_int_logic``: ``cfg_interrupt_int`` is not looked at,
``cfg_interrupt_sent`` never answers. The hard block turns each change into an Assert or Deassert message and answers
(AMD PG213, "Legacy Interrupt Mode"); there is no message while Interrupt Disable is set (PCI Express, 2.2.8.1), but an
answer.

What we do: `NoIntx.follow_intx`. Gone when ``_run_cfg_int_logic`` reads ``cfg_interrupt_int``.
"""

from collections.abc import Callable
from typing import Any

from cocotb.triggers import RisingEdge, ValueChange
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice

from epbell_tb.endpoint.pulse import pulse

__all__ = [
    "ASSERT_INTA",
    "DEASSERT_INTA",
    "NoIntx",
]

_Stock: Any = UltraScalePlusPcieDevice

ASSERT_INTA = 0x20
DEASSERT_INTA = 0x24
"""Message codes (PCI Express, 2.2.8.1)."""


class NoIntx(_Stock):
    """Sends INTA.

    Attributes
    ----------
    line_after
        How many more clocks a change of INTA waits. Linux takes a pulse that outlasts its handler for two interrupts.
    line_takes
        How many clocks after it was accepted, with a message or without, the answer comes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.line_after: Callable[[], int] = lambda: 0
        self.line_takes: Callable[[], int] = lambda: 0
        self._told = False
        super().__init__(*args, **kwargs)

    async def follow_intx(self) -> None:
        """Answer each change of the pin."""
        edge, change = RisingEdge(self.user_clk), ValueChange(self.cfg_interrupt_int)
        level = False
        while True:
            await edge
            wanted = self._inta()
            if wanted == level:
                await change
                continue
            level = wanted
            if not await self._steady(level, 1 + self.line_after()):
                level = self._told = False  # after a reset the host knows of nothing
                continue
            await self._tell(level and not self.functions[0].interrupt_disable)
            if not await self._steady(level, self.line_takes()):
                level = self._told = False
                continue
            await pulse(self.user_clk, self.cfg_interrupt_sent)

    def _inta(self) -> bool:
        return bool(int(self.cfg_interrupt_int.value) & 1)

    async def _steady(self, level: bool, clocks: int) -> bool:
        """See that INTA stays for so many clocks; return False at a reset, which takes it away."""
        edge = RisingEdge(self.user_clk)
        for _ in range(clocks):
            await edge
            if int(self.user_reset.value):
                return False
            assert self._inta() == level, "INTA changed before the answer"
        return True

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
