"""The pins of the hard block that are no stream, and the interrupt lines, as messages say them."""

from amaranth.lib import data

__all__ = [
    "FROM_BOARD",
    "PULSES",
    "TO_BOARD",
]

_CHANNELS = 8

TO_BOARD = data.StructLayout({
    "function_status": 4,
    "power_state": 3,
    "flr_in_process": 1,
    "msi_enable": 1,
    "msi_multiple": 3,
    "msix_enable": 1,
    "msix_mask": 1,
    "spare": 2,
    "msi_sent": 1,
    "msi_fail": 1,
    "msi_mask_update": 1,
    "intx_sent": 1,
    "more": 12,
    "msi_mask": 32,
    "wr_done": _CHANNELS,
    "wr_abort": _CHANNELS,
    "rd_done": _CHANNELS,
    "rd_abort": _CHANNELS,
})
"""Three dwords of PINS to the board: inputs of the endpoint, as they are from then on; :data:`PULSES` for a clock."""

PULSES = ("msi_sent", "msi_fail", "msi_mask_update", "intx_sent", "wr_done", "wr_abort", "rd_done", "rd_abort")

FROM_BOARD = data.StructLayout({
    "irq_mu": 1,
    "irq_edma": 1,
    "intx": 1,
    "intx_pending": 1,
    "flr_done": 1,
    "more": 27,
    "msi": 32,
    "msi_pending": 32,
})
"""Three dwords of PINS from the board: outputs of the endpoint as they are; ``msi``: those asked for since the last."""
