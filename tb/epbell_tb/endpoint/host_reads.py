"""Accesses of the CPU to the host's memory that must fail, and what the controller page tells of them."""

from collections.abc import Awaitable
from typing import Any

from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "fails",
]


async def fails(env: EndpointEnv, access: Awaitable[Any], cause: Cause, address: int) -> None:
    """Do an access that must fail; see that the controller page says why and where, and that it can be cleared."""
    failed = await env.counters.read("OUTBOUND_FAILED")
    status = ""
    try:
        await access
    except BusError as error:
        status = error.status
    assert status == ("UR" if cause is Cause.NO_WINDOW else "CA"), f"the CPU got {status or 'no error'}, not {cause!r}"
    assert await env.counters.read("OUTBOUND_CAUSE") == cause
    assert await env.counters.read("OUTBOUND_ADDRESS") == address
    assert await env.counters.read("OUTBOUND_FAILED") == failed + 1
    await env.counters.write("OUTBOUND_CAUSE", 0)
    assert await env.counters.read("OUTBOUND_CAUSE") == Cause.NONE
