"""The RTL as what a guest accesses: each access becomes a request packet, and waits for its answer.

Nothing is answered on the endpoint's behalf: configuration space is the hard block's, memory is what the RTL says.
"""

from collections.abc import Iterator

from epbell_models.platform import BusError
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.env import ENDPOINT
from epbell_tb.guest.rtl_env import GuestEnv

__all__ = [
    "RtlEndpoint",
]

_COMMAND, _BAR0, _BARS = 0x04, 0x10, 6
_BRIDGE_CONTROL, _BUS_RESET = 0x3C, 1 << 22
_WIDE, _KIND = 0x4, 0xF
_PAGE = 0x1000
_POSTED = 8
"""Posted requests that may wait at the stream, like a root port's credits."""

_RESET_CLOCKS = 500
"""Linux holds a bus in reset for 2 ms."""


class RtlEndpoint:
    """`epbell_tb.guest.port.Endpoint` in the simulator.

    The root port's windows follow the BARs, as firmware would set them.

    Parameters
    ----------
    env
        The environment, booted.

    Attributes
    ----------
    accesses
        How many there were: ``config``, ``reads``, ``writes`` and ``resets``.
    """

    def __init__(self, env: GuestEnv) -> None:
        self.accesses = dict.fromkeys(("config", "reads", "writes", "resets"), 0)
        self._env = env
        self._root = env.root
        self._bridges = env.root.upstream_bridge, env.port
        self._follow_config()

    async def config_read(self, offset: int, length: int) -> int:
        """Read 1, 2 or 4 bytes of configuration space, within one dword."""
        self.accesses["config"] += 1
        return int.from_bytes(await self._root.config_read(ENDPOINT, offset, length), "little")

    async def config_write(self, offset: int, length: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of configuration space."""
        self.accesses["config"] += 1
        await self._root.config_write(ENDPOINT, offset, value.to_bytes(length, "little"))
        self._follow_config()

    async def memory_read(self, address: int, length: int) -> bytes:
        """Read bytes; all ones where nobody answers, or with an error, as a root complex tells its processor.

        Raises
        ------
        BusError
            If there is no answer at all.
        """
        self.accesses["reads"] += 1
        data = b""
        for at, count in _pieces(address, length):
            try:
                data += (await self._env.memory.ask(memory_request(at, None, count))).data
            except BusError as error:
                if error.status == "TIMEOUT":
                    raise
                data += b"\xff" * count
        return data

    async def memory_write(self, address: int, data: bytes) -> None:
        """Post bytes, and wait for room if many requests wait before these."""
        self.accesses["writes"] += 1
        env = self._env
        for at, count in _pieces(address, len(data)):
            await env.memory.post(memory_request(at, data[at - address :][:count]))
        while env.block.cq_source.queue.qsize() > _POSTED:
            await env.clock

    async def reset(self) -> None:
        """Reset the bus; return when the endpoint's Linux has set everything up again, for which it has a second."""
        self.accesses["resets"] += 1
        env = self._env
        control = await env.bridge.config_read32(_BRIDGE_CONTROL)
        await env.bridge.config_write32(_BRIDGE_CONTROL, control | _BUS_RESET)
        await env.clocks(_RESET_CLOCKS)
        await env.bridge.config_write32(_BRIDGE_CONTROL, control & ~_BUS_RESET)
        await env.hot_reset.over()
        self._follow_config()

    def _follow_config(self) -> None:
        """Let the root port forward what the BARs claim, and the checks expect the payload that the guest has set."""
        env = self._env
        function = env.block.functions[0]
        env.board.max_payload = env.memory.max_payload = 128 << function.pcie_cap.max_payload_size
        low = min((at for _, at, _ in self._bars()), default=1)
        high = max((at + size - 1 for _, at, size in self._bars()), default=0)
        for bridge in self._bridges:
            bridge.prefetchable_mem_base, bridge.prefetchable_mem_limit = low, high
            bridge.mem_base, bridge.mem_limit = 1, 0

    def bar_address(self, bar: int) -> int:
        """Return what the host wrote to a BAR, both halves."""
        return next((address for number, address, _ in self._bars() if number == bar), 0)

    def _bars(self) -> Iterator[tuple[int, int, int]]:
        """Give number, address and size of each BAR that has an address."""
        function = self._env.block.functions[0]
        for number, bar in enumerate(self._env.bars):
            if bar is None:
                continue
            address = function.bar[number] & ~_KIND
            if bar.wide:
                address |= function.bar[number + 1] << 32
            if address:
                yield number, address, bar.size


def _pieces(address: int, length: int) -> Iterator[tuple[int, int]]:
    """Cut an access where a request must not go on: at multiples of 4 KiB."""
    while length:
        count = min(length, _PAGE - address % _PAGE)
        yield address, count
        address, length = address + count, length - count
