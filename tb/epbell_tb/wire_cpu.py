"""The CPU of the wire tier: a bus of the models that never waits, and how to call it from plain code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from epbell_models.platform import BusError

__all__ = ["WireCpu", "at_once"]

_RESPONSES = {2: "CA", 3: "UR"}  # SLVERR, DECERR
_FULL = 0xF

Result = TypeVar("Result")


def at_once(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that never waits.

    Raises
    ------
    RuntimeError
        If it waits.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("The coroutine must not wait: nothing here would wake it up again")


class WireCpu:
    """The endpoint's CPU: `epbell_models.platform.Bus`, as far as single dwords go.

    Parameters
    ----------
    access
        Makes an access (whether it is a write, address, data, strobes); returns data and response.
    """

    def __init__(self, access: Callable[[bool, int, int, int], tuple[int, int]]) -> None:
        self._access = access

    async def read32(self, address: int) -> int:
        """Read one dword.

        Raises
        ------
        ValueError
            If it is not one whole dword of the CPU's 4 GiB.
        epbell_models.platform.BusError
            If the endpoint answers with an error.
        """
        _whole(address, 4)
        return self._check(address, *self._access(False, address, 0, _FULL))

    async def write32(self, address: int, value: int) -> None:
        """Write one dword, and wait until it is done; errors as of `read32`."""
        _whole(address, 4)
        if value >> 32:
            raise ValueError(f"A dword must have 32 bits, not {value:#x}")
        self._check(address, *self._access(True, address, value, _FULL))

    async def read(self, address: int, length: int) -> bytes:
        """Read whole dwords, one after the other; errors as of `read32`."""
        _whole(address, length)
        return b"".join([(await self.read32(at)).to_bytes(4, "little") for at in range(address, address + length, 4)])

    async def write(self, address: int, data: bytes) -> None:
        """Write whole dwords, one after the other; errors as of `read32`."""
        _whole(address, len(data))
        for at in range(0, len(data), 4):
            await self.write32(address + at, int.from_bytes(data[at : at + 4], "little"))

    def _check(self, address: int, data: int, response: int) -> int:
        if response:
            raise BusError(_RESPONSES[response], address)
        return data


def _whole(address: int, length: int) -> None:
    if address % 4 or length % 4 or not 0 <= address <= (1 << 32) - length:
        raise ValueError(f"An access must be of whole dwords below 4 GiB, not {length} bytes at {address:#x}")
