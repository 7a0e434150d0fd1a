"""Make cocotb tests of a family of faults: one for each state, which tries every fault of the family in it."""

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

import cocotb

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.fault_rig import Fault, Rig, try_fault
from epbell_tb.endpoint.fault_states import ENTER
from epbell_tb.faults_plan import FAMILIES, Family

__all__ = [
    "tried",
]

_LIMIT_US = 20_000

Faults = Callable[[Rig], Iterable[Fault]]


def tried(names: MutableMapping[str, Any]) -> Callable[[Faults], Faults]:
    """Add a test for each state of a family to a module's names; the decorated function makes its faults."""

    def wrap(faults: Faults) -> Faults:
        family = FAMILIES[faults.__name__]
        for state in family.states:
            run = _run(family, state, faults)
            run.__name__ = run.__qualname__ = f"{family.name}_{state}"
            run.__module__ = faults.__module__
            names[run.__name__] = cocotb.test(timeout_time=_LIMIT_US, timeout_unit="us")(scenario()(run))
        return faults

    return wrap


def _run(family: Family, state: str, faults: Faults) -> Any:
    async def run(env: EndpointEnv) -> None:
        rig = await Rig.open(env)
        for fault in faults(rig):
            await try_fault(rig, family, state, fault, ENTER[state])

    return run
