"""Windows by hand, register by register, beside or instead of Linux's driver."""

from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "LOW",
    "Window",
    "window_of",
]

LOW = 0xFFFF_FFFF

_CTRL1, _CTRL2, _LOWER_BASE, _UPPER_BASE, _LIMIT, _LOWER_TARGET, _UPPER_TARGET, _UPPER_LIMIT = (
    0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x20,
)  # fmt: skip
_ENABLE, _BAR_MATCH, _INCREASE_REGION_SIZE = 1 << 31, 1 << 30, 1 << 13
_STRIDE, _INBOUND = 0x200, 0x100


async def window_of(env: EndpointEnv, bar: int) -> tuple[int, int]:
    """Return the number of the window that shows a BAR, and the address where it leads."""
    for number in range(env.tree.endpoint.inbound_windows):
        region = env.board.map["iatu"].base + number * _STRIDE + _INBOUND
        if await env.cpu.read32(region + _CTRL2) & (_ENABLE | _BAR_MATCH | 7 << 8) == _ENABLE | _BAR_MATCH | bar << 8:
            return number, await env.cpu.read32(region + _LOWER_TARGET)
    raise AssertionError(f"no window shows BAR {bar}")


class Window:
    """One window, inbound unless told otherwise.

    Its registers are written in any order, with CTRL2 last: it comes into force as a whole.

    Parameters
    ----------
    env
        The environment.
    number
        Number of the window.
    noisy
        Whether something else is written first to every register but CTRL2.
    outbound
        Whether it is one of the outbound windows, which have the same registers, and no BARs.
    """

    def __init__(self, env: EndpointEnv, number: int, *, noisy: bool = False, outbound: bool = False) -> None:
        self._env = env
        self._region = env.board.map["iatu"].base + number * _STRIDE + _INBOUND * (not outbound)
        self._noisy = noisy

    async def bar(self, bar: int, target: int) -> None:
        """Send all of a BAR to ``target``."""
        values = {_LOWER_TARGET: target & LOW, _UPPER_TARGET: target >> 32, _CTRL1: 0}
        await self._write(values, _ENABLE | _BAR_MATCH | bar << 8)

    async def addresses(self, base: int, limit: int, target: int, *, grows: bool | None = None) -> None:
        """Send the PCI addresses from ``base`` to ``limit``, or those of the CPU, to ``target``.

        ``grows`` is INCREASE_REGION_SIZE; None: as the addresses need it.
        """
        grows = limit >> 32 > base >> 32 if grows is None else grows
        values = {_LOWER_BASE: base & LOW, _UPPER_BASE: base >> 32, _LIMIT: limit & LOW, _UPPER_LIMIT: limit >> 32}
        values |= {_LOWER_TARGET: target & LOW, _UPPER_TARGET: target >> 32}
        await self._write({**values, _CTRL1: _INCREASE_REGION_SIZE if grows else 0}, _ENABLE)

    async def off(self) -> None:
        """Let it claim nothing."""
        await self._env.cpu.write32(self._region + _CTRL2, 0)

    async def _write(self, values: dict[int, int], control: int) -> None:
        env, registers = self._env, list(values)
        if self._noisy:
            for register in env.random.sample(registers, 3):
                await env.cpu.write32(self._region + register, env.random.getrandbits(32))
        env.random.shuffle(registers)
        for register in registers:
            await env.cpu.write32(self._region + register, values[register])
        await env.cpu.write32(self._region + _CTRL2, control)
