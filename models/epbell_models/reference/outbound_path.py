"""The processor's way to the host: aperture, outbound windows, bus mastering, the host's memory, and what may fail."""

from ..platform import BusError, Platform
from .endpoint import BOUNDARY, ReferenceEndpoint
from .host_memory import HostMemory
from .iatu import Refusal
from .outbound import Cause

__all__ = [
    "OutboundPath",
]


class OutboundPath:
    """Accesses of the processor beyond the endpoint.

    One that fails raises `BusError` with the status of its `Cause`, which the controller page keeps with the address. A
    write is posted: what the host does with it, nobody tells the processor. A function-level reset ends the reads that
    are under way, as a timeout would.

    Parameters
    ----------
    platform
        Time.
    endpoint
        Windows, and whether the function is a bus master.
    memory
        The host's memory.
    latency
        Seconds from a read request to its completion.
    timeout
        Seconds after which a read ends that the host does not answer.
    """

    def __init__(
        self, platform: Platform, endpoint: ReferenceEndpoint, memory: HostMemory, latency: float, timeout: float
    ) -> None:
        self._platform = platform
        self._endpoint = endpoint
        self._memory = memory
        self._latency = latency
        self._timeout = timeout

    def holds(self, address: int) -> bool:
        """Return whether an address is in the aperture."""
        return address in self._endpoint.map.outbound

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes that do not cross 4 KiB."""
        controller = self._endpoint.controller
        resets = controller.resets
        await self._platform.sleep(self._latency)
        if controller.resets != resets:
            raise self._failed(Cause.TIMEOUT, address)
        answer = self._try_read(address, length)
        if isinstance(answer, bytes):
            return answer
        # As the processor does it, dword by dword: the first that fails is the one to tell of.
        data = b""
        for at, end in _dwords(address, length):
            answer = self._try_read(at, end - at)
            if not isinstance(answer, bytes):
                if answer is Cause.TIMEOUT:
                    await self._platform.sleep(self._timeout)
                raise self._failed(answer, at)
            data += answer
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write bytes that do not cross 4 KiB."""
        target = self._target(address, len(data))
        if isinstance(target, Cause):
            raise self._failed(target, address)
        self._memory.write(target, data)

    def _try_read(self, address: int, length: int) -> bytes | Cause:
        target = self._target(address, length)
        return target if isinstance(target, Cause) else self._memory.read(target, length)

    def _target(self, address: int, length: int) -> int | Cause:
        assert address // BOUNDARY == (address + length - 1) // BOUNDARY, "every window begins and ends at 4 KiB"
        target = self._endpoint.outbound.translate(address, length)
        if isinstance(target, Refusal):
            return Cause.NO_WINDOW
        return target if self._endpoint.controller.may_request else Cause.NOT_MASTER

    def _failed(self, cause: Cause, address: int) -> BusError:
        self._endpoint.controller.fail(cause, address & ~3)
        return BusError(cause.status, address)


def _dwords(address: int, length: int) -> list[tuple[int, int]]:
    """Cut bytes at multiples of 4; return first byte and end of each piece."""
    end = address + length
    return [(max(at, address), min(at + 4, end)) for at in range(address & ~3, end, 4)]
