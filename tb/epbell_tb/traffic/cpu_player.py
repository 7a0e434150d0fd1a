"""The CPU's part of random traffic: its accesses, windows both ways, interrupts of the host, and how all begins."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from epbell_models.platform import BusError
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.host_vectors import TABLE
from epbell_tb.endpoint.windows import LOW
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.ground import GRANULE, HOST_PAGES, VECTORS, Ground

__all__ = ["CpuPlayer"]

_STRIDE, _INBOUND = 0x200, 0x100
_CTRL1, _CTRL2, _LOWER_BASE, _UPPER_BASE, _LIMIT, _LOWER_TARGET, _UPPER_TARGET = 0, 4, 8, 0xC, 0x10, 0x14, 0x18
_ENABLE, _BAR_MATCH = 1 << 31, 1 << 30
_NOWHERE = 0x4000_0000
_MSIX_ON, _ENTRY = 1 << 31, 16
_INT_STATUS, _INT_CLEARS = 0x4C, (0x58, 0xAC)
_ALL = 0xFFFF_FFFF

Start = Callable[[Coroutine[Any, Any, None], str], None]


class CpuPlayer:
    """Makes accesses, one after the other, but for reads of the host.

    Parameters
    ----------
    env
        The environment.
    ground
        What there is.
    start
        Lets something go on by itself.

    Attributes
    ----------
    errors
        How many accesses ended in which error.
    """

    def __init__(self, env: EndpointEnv, ground: Ground, start: Start) -> None:
        self.errors: dict[str, int] = {}
        self._env = env
        self._ground = ground
        self._start = start
        self._fetching = 0
        self._rr = [env.board.registers.offset[f"RR{vector}"] for vector in range(4)]
        memory = env.to_host.memory
        for page in HOST_PAGES:
            memory.grant(page, GRANULE)

    # -- how all begins ------------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Write windows, the place of the MSI-X table, and enables, as software does after a reset."""
        await self.set_windows()
        ground, counters = self._ground, self._env.counters
        table = ground.map["ram"].base + TABLE
        settings = {"SIZE": 0, "TABLE": table, "PBA": table + _ENTRY * VECTORS}
        for name, value in settings.items():
            await counters.write(f"MSIX_{name}", value)
        await counters.write("MSIX_SIZE", _MSIX_ON | VECTORS - 1)
        await self._enables(0xF)

    async def set_windows(self) -> None:
        """Write windows, both ways."""
        env, ground = self._env, self._ground
        for number in range(ground.windows):
            await env.cpu.write32(self._region(number) + _INBOUND + _CTRL2, 0)
        for bar in ground.bars:
            window = ground.start_window(bar)
            if window is not None:
                place, offset = ground.start_target(bar)
                await self._write_all(window, *self._to_bar(bar, ground.map[place].base + offset))
        for number in range(ground.outbound):
            await self._map(number, number, number if number < len(HOST_PAGES) else -1)

    async def quieten(self) -> None:
        """Take what is pending, and end what the CPU asked for."""
        env = self._env
        await env.counters.write("INTX", 0)
        await env.counters.write("OUTBOUND_CAUSE", 0)
        for vector in range(4):
            await self.take(vector)
        for which in range(2):
            await self.clear(which)

    async def take(self, vector: int) -> int:
        """Read the word of a vector."""
        return await self._env.cpu.read32(self._env.board.map["mu_a"].base + self._rr[vector])

    async def clear(self, which: int) -> None:
        """Clear the eDMA's latch and every DONE and ABORT of one direction."""
        words = self._ground.words
        if words:
            page = self._env.board.map["edma"].base + words[0] - _INT_STATUS
            await self._env.cpu.write32(page + _INT_CLEARS[which], _ALL)

    # -- operations ----------------------------------------------------------------------------------------------------

    async def do(self, operation: ops.Operation) -> None:
        """Do one operation; whether its answer is right, the scoreboard knows."""
        try:
            await self._do(operation)
        except BusError as error:
            self._failed(error)

    async def _do(self, operation: ops.Operation) -> None:
        env = self._env
        match operation:
            case ops.Poke():
                await self._poke(operation)
            case ops.Ack(vector=None):
                await self.clear(operation.which)
            case ops.Ack(vector=int(vector)):
                await self.take(vector)
            case ops.Enables():
                await self._enables(operation.vectors)
            case ops.Aim():
                await self._aim(operation)
            case ops.Map():
                await self._map(operation.window, operation.slot, operation.page)
            case ops.Put():
                data = Random(operation.seed).randbytes(operation.length)
                await env.cpu.write(self.aperture(operation.slot, operation.offset), data)
            case ops.Fetch():
                self._fetching += 1
                self._start(self._fetch(operation), f"{operation}")
            case ops.Raise():
                await env.counters.write(f"{operation.way.upper()}_RAISE", operation.vector)
            case ops.Intx():
                await env.counters.write("INTX", operation.word)
            case _:
                raise TypeError(f"The CPU does not do {operation!r}")

    def aperture(self, slot: int, offset: int) -> int:
        """Return the address by which the CPU reaches a page of the host's, if a window is there."""
        return self._env.board.map.outbound.base + slot * GRANULE + offset

    def _failed(self, error: BusError) -> None:
        self.errors[error.status] = self.errors.get(error.status, 0) + 1

    async def _fetch(self, operation: ops.Fetch) -> None:
        try:
            await self._env.cpu.read(self.aperture(operation.slot, operation.offset), 4 * operation.dwords)
        except BusError as error:
            self._failed(error)
        finally:
            self._fetching -= 1

    async def _poke(self, operation: ops.Poke) -> None:
        env = self._env
        base = _NOWHERE if operation.place is None else env.board.map[operation.place].base
        at, strobes = base + operation.offset, operation.strobes
        if not strobes:
            await env.cpu.read32(at)
            return
        # The port writes bytes side by side: a hole in the strobes makes two writes.
        word = operation.word.to_bytes(4, "little")
        start = 0
        while start < 4:
            end = start
            while end < 4 and strobes >> end & 1:
                end += 1
            if end > start:
                await env.cpu.write(at + start, word[start:end])
            start = end + 1

    async def _enables(self, vectors: int) -> None:
        registers = self._env.board.registers
        value = registers.mask("RIE", vectors) if vectors else 0
        await self._env.cpu.write32(self._env.board.map["mu_a"].base + registers.home("RIE"), value)

    # -- windows -------------------------------------------------------------------------------------------------------

    def _region(self, number: int) -> int:
        return self._env.board.map["iatu"].base + number * _STRIDE

    def _to_bar(self, bar: int, target: int) -> tuple[dict[int, int], int]:
        """Return the registers of a window that sends all of a BAR somewhere, and its CTRL2."""
        values = {_LOWER_TARGET: target & LOW, _UPPER_TARGET: target >> 32, _CTRL1: 0}
        return values, _ENABLE | _BAR_MATCH | bar << 8

    async def _aim(self, how: ops.Aim) -> None:
        source, bar = Random(how.seed), how.bar
        ram = self._ground.map["ram"].base
        nowhere = source.choice((_NOWHERE, ram | 1 << 32, self._ground.map["mu_b"].base | 1 << 40))
        target = nowhere if how.place is None else self._ground.map[how.place].base + how.page * GRANULE
        if how.mode == "off":
            await self._env.cpu.write32(self._region(how.window) + _INBOUND + _CTRL2, 0)
            return
        values, control = self._to_bar(bar, target)
        if how.mode == "addresses":
            first = self._env.address(bar, how.first * GRANULE)
            limit = self._env.address(bar, how.last * GRANULE) + GRANULE - 1
            values |= {_LOWER_BASE: first & LOW, _UPPER_BASE: first >> 32, _LIMIT: limit & LOW}
            control = _ENABLE
        noise = {register: source.getrandbits(32) for register in source.sample(list(values), 2)} if how.noisy else {}
        registers = list(values)
        source.shuffle(registers)
        values = {register: values[register] for register in registers}
        await self._write_all(how.window, values, control, noise=noise, early=how.early)

    async def _write_all(
        self, window: int, values: dict[int, int], control: int, *, noise: dict[int, int] | None = None,
        early: bool = False,
    ) -> None:  # fmt: skip
        """Write a window's registers, and CTRL2 after them, unless it comes too early."""
        cpu, region = self._env.cpu, self._region(window) + _INBOUND
        for register, value in (noise or {}).items():
            await cpu.write32(region + register, value)
        if early:
            await cpu.write32(region + _CTRL2, control)
        for register, value in values.items():
            await cpu.write32(region + register, value)
        if not early:
            await cpu.write32(region + _CTRL2, control)

    async def _map(self, window: int, slot: int, page: int) -> None:
        cpu, region = self._env.cpu, self._region(window)
        while self._fetching:  # which of a window's write and a read comes first, the pins do not tell
            await self._env.clock
        if page < 0:
            await cpu.write32(region + _CTRL2, 0)
            return
        base = self.aperture(slot, 0)
        target = HOST_PAGES[page] if page < len(HOST_PAGES) else 0x6666_6000
        values = {_CTRL1: 0, _LOWER_BASE: base & LOW, _UPPER_BASE: base >> 32, _LIMIT: base + GRANULE - 1 & LOW}
        values |= {_LOWER_TARGET: target & LOW, _UPPER_TARGET: target >> 32, _CTRL2: _ENABLE}
        for register, value in values.items():
            await cpu.write32(region + register, value)
