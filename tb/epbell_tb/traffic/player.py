"""What does the operations of a random run, each in its lane, and what must hold when all are over."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import Event

from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.bad import SPOILS
from epbell_tb.traffic.config_player import ConfigPlayer
from epbell_tb.traffic.cpu_player import CpuPlayer
from epbell_tb.traffic.ground import FILLED, Ground
from epbell_tb.traffic.host_player import HostPlayer

__all__ = ["SETTLED", "Player"]

SETTLED = 20_000
"""Clocks within which everything has come to an end after the last operation: a read of the host's is given up after
5,000, one of the CPU's after 1,000, and of either few are under way; a reset takes 6,000 with all that Linux does."""

_HELD = 4_000
"""Clocks after which the host lets the endpoint make requests again, if nothing goes on: a read of the CPU that was
taken before the host forbade them is held until then, or for 12.5 ms (docs/endpoint.md)."""

_WAITING = 4
"""Operations that may wait in a lane before the next one of any lane."""
_OFFERED = 6
"""Requests that may wait for the stream: what waits for long would meet only the last of what changes."""
_COMPLETION_TIMEOUT_NS = 4_000
_HOST_TIMEOUT_NS = 20_000

Work = Callable[[], Coroutine[Any, Any, None]]


class Player:
    """Does operations.

    Parameters
    ----------
    env
        The environment; the endpoint is enumerated, and has neither Linux nor windows.
    ground
        What there is.

    Attributes
    ----------
    done
        How many operations of each kind were begun.
    begun
        How many in all.
    """

    def __init__(self, env: EndpointEnv, ground: Ground) -> None:
        self.env = env
        self._ground = ground
        self.done: Counter[str] = Counter()
        self.begun = 0
        self.cpu = CpuPlayer(env, ground, self._start)
        self.host = HostPlayer(env, ground, self._start, self.cpu)
        self.config = ConfigPlayer(env, ground, self.cpu, self.host, self._by_cpu)
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[Any] = set()
        self._streams = {
            "cq": env.block.cq_source, "cc": env.block.cc_sink, "rq": env.block.rq_sink, "rc": env.block.rc_source,
        }  # fmt: skip

    async def set_up(self, max_payload: int) -> None:
        """Bring the endpoint to where the operations begin."""
        env = self.env
        env.block.completion_timeout = _COMPLETION_TIMEOUT_NS
        env.memory.completion_timeout = _HOST_TIMEOUT_NS
        await env.use_max_payload(max_payload)
        await self.cpu.set_up()
        await self.config.set_up()
        for bar in self._ground.bars:
            start = self._ground.filled(bar)
            if start is not None:
                await env.device.write(bar, start, env.random.randbytes(FILLED))

    async def play(self, operations: Sequence[ops.Operation]) -> None:
        """Begin one operation after the other."""
        env = self.env
        for operation in operations:
            await self._room()
            self.begun += 1
            cocotb.log.info("clock %d: %s", cycle(), operation)
            self.done[type(operation).__name__] += 1
            self._begin(operation)
            if operation.gap:
                await env.clocks(operation.gap)
        await self.settle()

    def _begin(self, operation: ops.Operation) -> None:
        if isinstance(operation, ops.Answers):
            self._answer(operation)
        elif operation.lane == "stall":
            assert isinstance(operation, ops.Stall)
            self._lane(f"stall {operation.stream}").put(lambda: self._stall(operation))
        elif operation.lane == "dma":
            self._lane("dma").put(lambda: self._pulse(operation))
        else:
            players = {"host": self.host, "cpu": self.cpu, "config": self.config}
            self._lane(operation.lane).put(lambda: players[operation.lane].do(operation))

    def _lane(self, name: str) -> _Lane:
        if name not in self._lanes:
            self._lanes[name] = _Lane(name)
        return self._lanes[name]

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Let something go on by itself, until `settle`."""
        task = cocotb.start_soon(work, name=name)
        self._tasks = {one for one in self._tasks if not one.done()}
        self._tasks.add(task)

    async def _by_cpu(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something in the CPU's turn, after what waits for it."""
        done = Event()

        async def do() -> None:
            await work()
            done.set()

        self._lane("cpu").put(do)
        await done.wait()

    async def _room(self) -> None:
        """Wait until neither the lanes nor the stream of requests have much to do."""
        for waited in range(SETTLED):
            self._let_go(waited)
            full = any(lane.waiting > _WAITING for lane in self._lanes.values())
            if not full and self.env.block.cq_source.count() <= _OFFERED:
                return
            await self.env.clock
        raise AssertionError(f"stuck: no room for an operation within {SETTLED} clocks: {self._busy()}")

    # -- beside the requests -------------------------------------------------------------------------------------------

    def _answer(self, how: ops.Answers) -> None:
        port, source, left = self.env.to_host, Random(how.seed), [how.count if how.spoil else 0]
        port.delay = lambda: source.randrange(how.delay + 1) if how.delay else 0

        def spoil(completion: Any) -> Any:
            if not left[0]:
                return (completion,)
            left[0] -= 1
            return SPOILS[how.spoil](completion)

        port.spoil = spoil

    async def _stall(self, how: ops.Stall) -> None:
        stream = self._streams[how.stream]
        stream.clear_pause_generator()
        stream.pause = True
        await self.env.clocks(how.clocks)
        stream.pause = False
        if self.env.stalls:
            stream.set_pause_generator(self.env.pauses())

    async def _pulse(self, how: ops.Operation) -> None:
        names = ("wr_done", "wr_abort", "rd_done", "rd_abort")
        await self.env.pulse(**{name: getattr(how, name) for name in names})

    # -- the end -------------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until everything that was begun has come to its end."""
        env = self.env
        env.to_host.spoil, env.to_host.delay = None, lambda: 0
        for waited in range(0, SETTLED, 8):
            self._let_go(waited)
            if not self._busy():
                return
            await env.clocks(8)
        raise AssertionError(f"stuck: not settled within {SETTLED} clocks: {self._busy()}")

    def _let_go(self, waited: int) -> None:
        """Let the endpoint make requests if it has been kept from them for so many clocks."""
        if waited == _HELD and not self.env.block.may_request:
            self._lane("config").put(lambda: self.config.command(ops.Command(0, True, True, True)))

    def _busy(self) -> list[str]:
        names = [f"{name} ({lane.waiting})" for name, lane in self._lanes.items() if lane.waiting]
        names += [task.get_name() for task in self._tasks if not task.done()]
        return names + ([] if self.env.block.offered else ["requests on their way"])


class _Lane:
    """Work that is done in its order."""

    def __init__(self, name: str) -> None:
        self.waiting = 0
        self._queue: deque[Work] = deque()
        self._wake = Event()
        cocotb.start_soon(self._run(), name=f"lane {name}")

    def put(self, work: Work) -> None:
        """Have work done after all other."""
        self.waiting += 1
        self._queue.append(work)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._queue.popleft()()
                self.waiting -= 1
