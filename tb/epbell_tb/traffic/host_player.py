"""The host's part of random traffic: its requests, and what becomes of reads."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, Tlp

from epbell_models.platform import BusError
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.host_vectors import TABLE
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.bad import KINDS, UNSUPPORTED
from epbell_tb.traffic.cpu_player import CpuPlayer
from epbell_tb.traffic.ground import Ground

__all__ = ["HostPlayer"]

HOLE = 0xCF00_0000
"""Routed to the endpoint, and in none of its BARs."""

_ENTRY, _CONTROL = 16, 12
_BEFORE = 4
"""Clocks before a ring is expected on the stream from which on the handler's access may begin."""
_ARRIVES = 60
"""Clocks within which a request is on the stream if nothing is before it."""

Start = Callable[[Coroutine[Any, Any, None], str], None]


class HostPlayer:
    """Sends requests.

    Parameters
    ----------
    env
        The environment.
    ground
        What there is.
    start
        Lets something go on by itself.
    cpu
        Handles what meets a ring.

    Attributes
    ----------
    disturbed
        Goes up when a reset begins and when it is over: then reads may stay without an answer.
    answers
        How many reads ended in which status.
    """

    def __init__(self, env: EndpointEnv, ground: Ground, start: Start, cpu: CpuPlayer) -> None:
        self.disturbed = 0
        self._cpu = cpu
        self._way = _ARRIVES // 4
        self.answers: dict[str, int] = {}
        self._env = env
        self._ground = ground
        self._start = start
        self._tr = [env.board.registers.offset[f"TR{vector}"] for vector in range(4)]

    async def do(self, operation: ops.Operation) -> None:
        """Do one operation; reads go on afterwards."""
        if isinstance(operation, ops.Ring):
            at = self._address(operation.bar, self._tr[operation.vector])
            await self._post(at, operation.word, operation.first_be)
        elif isinstance(operation, ops.Kick):
            at = self._address(operation.bar, self._ground.words[operation.which])
            await self._post(at, operation.word, operation.first_be)
        elif isinstance(operation, ops.Meet):
            await self._meet(operation)
        elif isinstance(operation, ops.MaskVector):
            at = self._address(self._ground.table_bar, TABLE + _ENTRY * operation.vector + _CONTROL)
            await self._post(at, int(operation.masked))
        elif isinstance(operation, ops.Bad):
            await self._bad(operation)
        elif isinstance(operation, ops.Access):
            at, size = self._address(operation.bar, operation.offset), 4 * operation.dwords
            stores = isinstance(operation, ops.Store)
            request = memory_request(
                at, Random(operation.seed).randbytes(size) if stores else None, size,
                first_be=operation.first_be, last_be=operation.last_be, tc=operation.tc, attr=operation.attr,
            )  # fmt: skip
            if stores:
                await self._env.memory.post(request)
            else:
                self._start(self._read(request), f"read of {size} bytes at {at:#x}")
        else:
            raise TypeError(f"The host does not do {operation!r}")

    def _address(self, bar: int | None, offset: int) -> int:
        return HOLE + offset if bar is None else self._env.address(bar, offset)

    async def _meet(self, operation: ops.Meet) -> None:
        kicks = operation.vector is None
        offset = self._ground.words[operation.which] if operation.vector is None else self._tr[operation.vector]
        counts, name = self._env.board.counts, "kicks" if kicks else "rings"
        before = counts[name]
        begun = cycle()
        self._start(self._handle(operation), f"{operation}")
        await self._post(self._address(operation.bar, offset), operation.word)
        for _ in range(_ARRIVES):
            if counts[name] != before:
                self._way = cycle() - begun
                break
            await self._env.clock

    async def _handle(self, operation: ops.Meet) -> None:
        await self._env.clocks(max(1, self._way - _BEFORE + operation.after))
        await self._cpu.do(ops.Ack(0, operation.vector, operation.which))

    async def _post(self, address: int, word: int, first_be: int = 0xF) -> None:
        await self._env.memory.post(memory_request(address, word.to_bytes(4, "little"), first_be=first_be))

    async def _read(self, request: Tlp) -> None:
        """Read; whether the data are right, the scoreboard knows. Only a reset may leave a read without an answer."""
        before = self.disturbed
        try:
            status = (await self._env.memory.complete(request)).status.name
        except BusError as error:
            status = error.status
        if status == "TIMEOUT":
            self._lost(before, f"a read at {request.address:#x}")
        self.answers[status] = self.answers.get(status, 0) + 1

    def _lost(self, before: int, what: str) -> None:
        near = before % 2 or self.disturbed != before
        assert near, f"stuck: {what} has no completion, and no reset was near"

    async def _bad(self, operation: ops.Bad) -> None:
        at = self._address(operation.bar, operation.offset)
        request = KINDS[operation.what](at, operation.dwords, Random(operation.seed))
        if operation.what not in UNSUPPORTED:
            await self._env.memory.post(request)
        elif self._env.block.decodes and not self.disturbed % 2:
            self._start(self._refused(request, operation), f"{operation.what} at {at:#x}")

    async def _refused(self, request: Tlp, operation: ops.Bad) -> None:
        """Ask for what no root port would forward; the endpoint refuses it."""
        before = self.disturbed
        try:
            status = await self._env.ask(request, operation.bar)
        except AssertionError:
            self._env.root.release_tag(request.tag)
            self._lost(before, operation.what)
            return
        assert status == CplStatus.UR, f"{operation.what} ends in {status.name}"
