"""What software takes its time for, in a model whose Python takes none."""

from dataclasses import astuple, dataclass

__all__ = [
    "NtbCosts",
]


@dataclass(frozen=True)
class NtbCosts:
    """Seconds of Linux time that one side's processor spends; all zero unless somebody says what they are.

    Parameters
    ----------
    interrupt
        From when the driver is told of a doorbell to the end of the interrupt handler that schedules the tasklet. A
        doorbell that something finds without an interrupt (`NtbDevice.rings_interrupt`) costs none.
    wakeup
        From when a tasklet is scheduled to its first instruction.
    work
        The same for a work of the work queue: those of the link, and the one that rings the host in pci-epf-vntb.
    client
        A client's handler of one received frame, before it answers.
    """

    interrupt: float = 0.0
    wakeup: float = 0.0
    work: float = 0.0
    client: float = 0.0

    def __post_init__(self) -> None:
        if min(astuple(self)) < 0:
            raise ValueError(f"Software takes no less than 0 seconds, not {self!r}")
