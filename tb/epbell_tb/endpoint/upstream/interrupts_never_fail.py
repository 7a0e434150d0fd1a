"""An MSI or MSI-X that may not be sent ends the simulation, instead of failing.

cocotbext-pcie 0.2.16, ``core.caps.msi`` and ``xilinx.us.usp_model``: ``issue_msi_interrupt`` raises when MSI is off or
the vector was not granted, ``issue_msix_interrupt`` when MSI-X is off, and a write without Bus Master Enable raises,
too; ``cfg_interrupt_msi_fail`` is never 1. The hard block answers with ``fail`` (AMD PG213, "Configuration Interrupt
Controller Interface").

What we do: `InterruptsNeverFail.serve` asks first whether an interrupt may be sent. Gone when the stock model sets
``cfg_interrupt_msi_fail``.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from cocotb.triggers import RisingEdge, ValueChange
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice

from epbell_tb.endpoint.pulse import pulse

__all__ = [
    "InterruptsNeverFail",
    "Wanted",
]

_Stock: Any = UltraScalePlusPcieDevice
Wanted = tuple[Callable[[], bool], Callable[[], Coroutine[Any, Any, None]]]
"""Whether an interrupt may be sent; how."""


class InterruptsNeverFail(_Stock):
    """Answers requests for MSI and MSI-X.

    An answer can take its time, and can be a failure although nothing is in the way; it goes to the pins of MSI and
    MSI-X alike, as in a block that has one pair of them.

    Attributes
    ----------
    answer_after
        How many clocks a request for an MSI or MSI-X waits until it is sent or fails, anew for each.
    answer_takes
        How many clocks after it was sent the answer comes, anew for each.
    refuses
        Whether a request fails that could be granted, anew for each.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.answer_after: Callable[[], int] = lambda: 0
        self.answer_takes: Callable[[], int] = lambda: 0
        self.refuses: Callable[[], bool] = lambda: False
        self._owed = 0
        super().__init__(*args, **kwargs)

    async def serve(self, pin: Any, wanted: Callable[[int], Wanted]) -> None:
        """Answer what is asked for at a pin, one after the other."""
        edge, change = RisingEdge(self.user_clk), ValueChange(pin)
        while True:
            await edge
            asked = int(pin.value)
            if not asked:
                await change
                continue
            self._owed += 1
            allowed, send = wanted(asked)
            for _ in range(self.answer_after()):
                if not allowed():
                    break
                await edge
                assert not int(pin.value), "asked for an interrupt again before the answer"
            good = allowed() and not self.refuses()
            if good:
                await send()
                for _ in range(self.answer_takes()):
                    await edge
                    assert not int(pin.value), "asked for an interrupt again before the answer"
            await pulse(self.user_clk, *(self._sent_pins if good else self._fail_pins))
            self._owed -= 1

    async def answered(self) -> None:
        """Wait until no request is without its answer."""
        edge = RisingEdge(self.user_clk)
        while self._owed:
            await edge

    @property
    def _sent_pins(self) -> tuple[Any, ...]:
        return self.cfg_interrupt_msi_sent, self.cfg_interrupt_msix_sent

    @property
    def _fail_pins(self) -> tuple[Any, ...]:
        return self.cfg_interrupt_msi_fail, self.cfg_interrupt_msix_fail
