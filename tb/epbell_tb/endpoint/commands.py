"""Commands to Linux's test function on the endpoint, given as the host's driver gives them, one word at a time."""

from epbell_tb.endpoint.doorbells import SILENT
from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "DISABLE",
    "DISABLE_FAIL",
    "DISABLE_SUCCESS",
    "ENABLE",
    "ENABLE_FAIL",
    "ENABLE_SUCCESS",
    "IRQ_RAISED",
    "STATUS",
    "command",
]

STATUS = 0x08
"""Offset of the function's status in its register BAR."""

ENABLE, DISABLE = 1 << 6, 1 << 7
IRQ_RAISED = 1 << 6
ENABLE_SUCCESS, ENABLE_FAIL, DISABLE_SUCCESS, DISABLE_FAIL = (1 << bit for bit in range(10, 14))

_COMMAND, _IRQ_NUMBER = 0x04, 0x28
_ANSWERED = 8000


async def command(env: EndpointEnv, word: int, limit: int = _ANSWERED) -> int:
    """Give the test function a command; return its STATUS when the one interrupt for it came, in so many clocks."""
    fired = env.device.fired[0]
    await env.device.write32(0, STATUS, 0)
    await env.device.write32(0, _IRQ_NUMBER, 1)
    await env.device.write32(0, _COMMAND, word)
    await env.until(lambda: env.device.fired[0] > fired, f"the interrupt for command {word:#x}", limit)
    await env.clocks(SILENT)
    assert env.device.fired[0] == fired + 1
    return await env.device.read32(0, STATUS)
