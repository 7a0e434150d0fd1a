"""What software takes its time for in ``epbell vntb``: one table, the same for every doorbell and for both ends.

The models are Python: their code takes no simulated time, only their accesses do. What a kernel spends besides is here.
None of it was measured by us, and none of it makes a difference between the doorbells: it is there so that a ping is
not shorter than one can be.
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
    """One cost: field of `NtbCosts`, microseconds, what it stands for, where the number comes from."""

    field: str
    microseconds: float
    what: str
    source: str


TABLE = (
    Cost(
        "interrupt", 3.0, "from the line, or the MSI, to the end of the interrupt's handler",
        "assumption: entry, flow handler and a short handler, some thousands of instructions at 1 to 2 GHz",
    ),
    Cost(
        "wakeup", 2.0, "from a tasklet that is scheduled to its first instruction",
        "assumption: it runs when the interrupt returns, on a processor that does nothing else",
    ),
    Cost(
        "work", 8.0, "the same for a work of the work queue: link handshakes only, not in a ping",
        "assumption: wake-up of a kernel thread and a context switch",
    ),
    Cost(
        "client", 10.0, "a client's handler of one frame; Linux's ping goes through a network stack here",
        "assumption: a received packet on its way through driver and ICMP",
    ),
)  # fmt: skip
"""All costs."""

COSTS = NtbCosts(**{cost.field: cost.microseconds * 1e-6 for cost in TABLE})
"""The same for the models."""


def per_ping_us() -> float:
    """Return what they add to a ping, in microseconds: at either end an interrupt, a tasklet and a client."""
    return 2e6 * (COSTS.interrupt + COSTS.wakeup + COSTS.client)
