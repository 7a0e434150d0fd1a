"""``discontinue`` is set in every beat of a packet.

cocotbext-pcie 0.2.16, ``xilinx.us.interface``, ``CqSource`` and ``RcSource``: a frame that has `discontinue` has it in
``tuser`` of all its beats. A hard block finds the error while it reads the payload, and says so in the last beat (AMD
PG213, "Aborting a Completion Transfer"): whoever acts upon the first beat has to be seen to do it too early.

What we do: `of_beat` takes it out of the beats before the last. Gone when the stock source says it in the last alone.
"""

from typing import Any

__all__ = [
    "of_beat",
]


def of_beat(source: Any, transaction: Any) -> None:
    """Take ``discontinue`` out of a beat on CQ or RC, of whatever width, that is not the last of its packet."""
    if not transaction.tlast:
        transaction.tuser &= ~(1 << source.discontinue_offset)
