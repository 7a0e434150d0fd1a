"""What scenarios of the host's interrupts share: registers that hold vectors back, and whether vectors fire or not."""

from collections.abc import Sequence

from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "COMMAND",
    "INTX",
    "MASTER",
    "MSI",
    "MSIX",
    "MSIX_CAPABILITY",
    "MSI_CAPABILITY",
    "SILENT",
    "TABLE",
    "change",
    "mask_vector",
    "pending_bits",
    "silent",
    "until_fired",
]

INTX, MSI, MSIX = range(3)
"""Types of interrupts, as pci_endpoint_test numbers them."""

COMMAND, MASTER = 0x04, 1 << 2
MSI_CAPABILITY, MSIX_CAPABILITY = 0x05, 0x11
TABLE = 0x80
"""Offset of the MSI-X table in BAR 0."""

SILENT = 400
"""Clocks that nothing may happen in."""

_ENTRY, _CONTROL = 16, 12
_SETTLE = 20


async def silent(env: EndpointEnv) -> None:
    """See that no vector fires for a while."""
    before = list(env.device.fired)
    await env.clocks(SILENT)
    assert env.device.fired == before, f"vectors {_more(before, env.device.fired)} fired that may not"


async def until_fired(env: EndpointEnv, before: Sequence[int], vectors: Sequence[int], limit: int = 3000) -> None:
    """Wait until each of the vectors has fired as often as it is named, since then, and no other one has."""
    wanted = list(before)
    for vector in vectors:
        wanted[vector] += 1
    await env.until(lambda: sum(env.device.fired) >= sum(wanted), f"{list(vectors)} fire", limit)
    assert env.device.fired == wanted, f"{_more(before, env.device.fired)} fired, not {sorted(vectors)}"


def _more(before: Sequence[int], after: Sequence[int]) -> list[int]:
    pairs = zip(before, after, strict=True)
    return [vector for vector, (old, new) in enumerate(pairs) for _ in range(new - old)]


async def change(env: EndpointEnv, offset: int, *, set_: int = 0, clear: int = 0) -> None:
    """Change bits of configuration space, and wait until the endpoint knows."""
    value = await env.function.config_read32(offset)
    await env.function.config_write32(offset, value & ~clear | set_)
    await env.clocks(_SETTLE)


async def mask_vector(env: EndpointEnv, vector: int, masked: bool) -> None:
    """Mask or unmask an MSI-X vector, and read that back."""
    at = TABLE + _ENTRY * vector + _CONTROL
    await env.device.write32(0, at, int(masked))
    assert await env.device.read32(0, at) == masked


async def pending_bits(env: EndpointEnv) -> int:
    """Read the pending bits of MSI-X, bit n for vector n, and those of its last quadword beyond the vectors."""
    bits = 0
    for number in range((env.msix + 63) // 64 * 2):
        bits |= await env.device.read32(0, TABLE + _ENTRY * env.msix + 4 * number) << 32 * number
    return bits
