"""What software takes its time for in ``epbell vntb``: one table, the same for every doorbell and for both ends.

The models are Python: their code takes no simulated time, only their accesses do. What a kernel spends besides is here.
None of it was measured by us: it is there so that a ping is not shorter than one can be. A ping is charged what happens
in it: a tasklet and a client at either end, a work at the endpoint for the host's interrupt, an interrupt wherever one
occurs, so one less when doorbells are polled. The look at polled doorbells is charged nothing: its work runs anyway,
and its wake-up is part of the period that a ring waits.
"""

from dataclasses import dataclass

from epbell_models.ntb.costs import NtbCosts

__all__ = [
    "COSTS",
    "TABLE",
    "Cost",
    "per_ping_us",
]


@dataclass(frozen=True)
class Cost:
    """One cost: field of `NtbCosts`, microseconds, how often in a ping, what it is, where the number comes from.

    Attributes
    ----------
    polled, interrupts
        How often it is charged in a ping, there and back, when the endpoint looks for doorbells, or is interrupted.
    """

    field: str
    microseconds: float
    polled: int
    interrupts: int
    what: str
    source: str


TABLE = (
    Cost(
        "interrupt", 3.0, 1, 2, "from the line, or the MSI, to the end of the interrupt's handler",
        "assumption: entry, flow handler and a short handler, some thousands of instructions at 1 to 2 GHz",
    ),
    Cost(
        "wakeup", 2.0, 2, 2, "from a tasklet that is scheduled to its first instruction",
        "assumption: it runs when the interrupt returns, on a processor that does nothing else",
    ),
    Cost(
        "work", 8.0, 1, 1, "the same for a work of the work queue: in a ping, the one that interrupts the host",
        "assumption: wake-up of a kernel thread and a context switch",
    ),
    Cost(
        "client", 10.0, 2, 2, "a client's handler of one frame; Linux's ping goes through a network stack here",
        "assumption: a received packet on its way through driver and ICMP",
    ),
)  # fmt: skip
"""All costs."""

COSTS = NtbCosts(**{cost.field: cost.microseconds * 1e-6 for cost in TABLE})
"""The same for the models."""


def per_ping_us(backend: str) -> float:
    """Return what they add to a ping, in microseconds, for ``"polling"``, ``"mu"`` or ``"edma"``."""
    polled = backend == "polling"
    return sum(cost.microseconds * (cost.polled if polled else cost.interrupts) for cost in TABLE)
