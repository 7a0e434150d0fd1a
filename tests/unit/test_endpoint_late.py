"""How late the host's word counts: the scoreboard allows what the endpoint does, and not a clock more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from resets_rig import D0, D3HOT, LEAVES, LONG, HardBlock, bring_up, kind, post
from test_endpoint_outbound import APERTURE
from usp_packets import write
from usp_rig import MU_B, TR, Rig

from epbell_tb.endpoint import permissions
from epbell_tb.endpoint.latencies import BEGUN, CROSSED, DECIDED, MASKED, ON_RQ, UNMASKED
from epbell_tb.endpoint.permissions import Allowed, Permissions

VECTOR = 3
PINS: dict[str, Callable[[Rig, bool], Any]] = {
    "MSI Enable": lambda rig, shut: rig.ctx.set(rig.dut.cfg_interrupt_msi.enable, int(not shut)),
    "MSI grant": lambda rig, shut: rig.ctx.set(rig.dut.cfg_interrupt_msi.mmenable, 1 if shut else 5),
    "MSI mask": lambda rig, shut: rig.ctx.set(rig.dut.cfg_interrupt_msi.data, int(shut) << VECTOR),
    "MSI-X Enable": lambda rig, shut: rig.ctx.set(rig.dut.cfg_interrupt_msix.enable, int(not shut)),
    "Function Mask": lambda rig, shut: rig.ctx.set(rig.dut.cfg_interrupt_msix.mask, int(shut)),
    "bus mastering": lambda rig, shut: setattr(rig, "function_status", 3 if shut else 7),
    "D3hot": lambda rig, shut: rig.ctx.set(rig.dut.cfg_function_power_state, D3HOT if shut else D0),
}


GRANTED = f"msi {VECTOR % 2}"
"""The vector's MSI when the host grants two: it may leave, however late."""


def seen(hard: HardBlock, since: int) -> list[int]:
    """Return when the bench sees the first clocks of what begins to leave: at the edge behind each."""
    return [clock + 1 for clock, what in hard.left if clock >= since and what != GRANTED]


@pytest.mark.parametrize(
    ("which", "way", "pin", "late"),
    [
        *(("msi", "rq", pin, DECIDED) for pin in ("MSI Enable", "MSI grant", "bus mastering", "D3hot")),
        ("msi", "rq", "MSI mask", UNMASKED),
        *(("msix", "port", pin, DECIDED) for pin in ("MSI-X Enable", "Function Mask", "bus mastering", "D3hot")),
        *(("msix", "rq", pin, ON_RQ) for pin in ("MSI-X Enable", "Function Mask")),
        *(("msix", "rq", pin, BEGUN) for pin in ("bus mastering", "D3hot")),
    ],
)
def test_a_pin(which: str, way: str, pin: str, late: int) -> None:
    """It changes in each clock around that of the interrupt, and changes back later: which is the last to be seen?"""
    crossed = set[int]()

    async def bench(rig: Rig) -> None:
        hard = await bring_up(rig)
        await kind(rig, which)
        for start in range(LEAVES[which] + 2):
            first = rig.cycle
            post(rig, which)
            await rig.step(start)
            PINS[pin](rig, True)
            changed = rig.cycle
            await rig.step(LONG)
            crossed.update(now - changed for now in seen(hard, first))
            PINS[pin](rig, False)
            await rig.step(2 * LONG)
            assert len(hard.since(first)) == 1, "once, then or later"

    Rig(128, msix=way).run(bench)
    assert max(crossed) == late


async def mask_around(rig: Rig, before: int, starts: range) -> set[int]:
    """Let the host mask the vector behind some writes to registers; return how late messages were seen after that."""
    cq, crossed, lasts = rig.dut.s_axis_cq, set[int](), list[int]()
    rig.watch.append(lambda: lasts.append(rig.cycle + 1) if rig.ctx.get(cq.tvalid & cq.tready & cq.tlast) else None)
    hard = await bring_up(rig)
    await kind(rig, "msix")
    await rig.map(1, 1, MU_B)
    for start in starts:
        first = rig.cycle
        if start < 0:
            rig.send(*[write(1, TR, 1, 2, 3, 4)] * before, write(0, 0x80 + 16 * VECTOR + 12, 1))
            await rig.step(-start)
        post(rig, "msix")
        if start >= 0:
            await rig.step(start)
            rig.send(*[write(1, TR, 1, 2, 3, 4)] * before, write(0, 0x80 + 16 * VECTOR + 12, 1))
        await rig.step(2 * LONG)
        crossed.update(now - lasts[-1] for now in seen(hard, first))
        rig.send(write(0, 0x80 + 16 * VECTOR + 12, 0))
        await rig.step(2 * LONG)
        assert len(hard.since(first)) == 1, "once, then or later"
    return crossed


@pytest.mark.parametrize(("width", "way"), [(64, "port"), (128, "port"), (128, "rq"), (512, "port")])
def test_a_mask_in_the_table(width: int, way: str) -> None:
    """The host masks the vector in each clock around that of the message."""
    crossed = set[int]()

    async def bench(rig: Rig) -> None:
        around = LEAVES["msix"] - CROSSED
        crossed.update(await mask_around(rig, 0, range(around - 8, around + 4)))

    Rig(width, msix=way).run(bench)
    assert max(crossed) == CROSSED + (ON_RQ - DECIDED if way == "rq" else 0)


def test_a_mask_behind_other_writes() -> None:
    """Those to registers take a clock for each dword, at 512 bits four for each beat, and the FIFO has filled up."""
    crossed = set[int]()

    async def bench(rig: Rig) -> None:
        crossed.update(await mask_around(rig, 18, range(-54, -46)))

    Rig(512, msix="port").run(bench)
    assert max(crossed) == MASKED - 8, "and what the CPU has of the pages"


@dataclass
class Run:
    """What the pins said, and what was on RQ: since when it had been busy, first clock and last, whether a message."""

    changes: list[tuple[int, Allowed]]
    requests: list[tuple[int, int, int, bool]]

    def check(self) -> None:
        """Let the scoreboard's permissions judge it."""
        found = Permissions()
        for clock, allowed in self.changes:
            found.history.change(clock, allowed)
        for behind, offered, end, is_message in self.requests:
            assert found.request_allowed(offered)
            if is_message:
                found.check_msix(VECTOR, False, offered, found.queued_since(behind, offered))
            found.left(behind, offered, end)


class Requests:
    """Follows RQ, in the cycles in which the bench sees it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.since: int | None = None
        self.offered: int | None = None
        self.runs: list[Run] = []
        self._seen: list[tuple[int, int, int]] = []
        self._allowed = Allowed(requests=True, msix=True)
        rig.watch.append(self.clock)

    def clock(self) -> None:
        ctx, rq, now = self.rig.ctx, self.rig.dut.m_axis_rq, self.rig.cycle + 1
        if not ctx.get(rq.tvalid):
            self.since = None
            return
        self.since = self.since or now
        self.offered = self.offered or now
        if ctx.get(rq.tready) and ctx.get(rq.tlast):
            self._seen.append((self.since, self.offered, now))
            self.offered = None

    def begin(self) -> None:
        """Begin a run, in which everything is allowed at first."""
        self._changes = [(0, self._allowed)]
        self._seen.clear()
        self.rig.sent.clear()

    def shut(self, pin: str, shut: bool) -> None:
        """Change a pin."""
        PINS[pin](self.rig, shut)
        self._allowed = replace(self._allowed, **{"requests" if pin == "bus mastering" else "msix": not shut})
        self._changes.append((self.rig.cycle, self._allowed))

    async def end(self) -> None:
        """Let everything leave, and keep what there was."""
        self.rig.rq_ready = lambda: True
        await self.rig.step(LONG)
        messages = [sent.data == 0x4000 + VECTOR for _, sent in self.rig.sent]
        self.runs.append(Run(self._changes, [(*at, one) for at, one in zip(self._seen, messages, strict=True)]))
        for pin in ("MSI-X Enable", "bus mastering"):
            self.shut(pin, False)
        await self.rig.step(2 * LONG)


async def behind_writes(rig: Rig, requests: Requests) -> None:
    """RQ stands; one write or two, and the message that is taken soon after them; then MSI-X is off."""
    for writes in (1, 2):
        for apart in range(12, 30, 1 if writes == 1 else 4):
            for shut in (29, 30, 31):
                requests.begin()
                rig.rq_ready = lambda: False
                post(rig, "msix")
                began = rig.cycle
                await rig.step(apart - 6 * (writes - 1))
                for word in range(writes):
                    rig.post(APERTURE + 4 * word, word)
                await rig.step(began + shut - rig.cycle)
                requests.shut("MSI-X Enable", True)
                await rig.step(LONG)
                await requests.end()


async def without_bus_mastering(rig: Rig, requests: Requests) -> None:
    """MSI-X goes off around the taking of a message, and bus mastering before it can leave."""
    for off in range(28, 36):
        for later in range(7):
            requests.begin()
            post(rig, "msix")
            await rig.step(off)
            requests.shut("MSI-X Enable", True)
            await rig.step(later)
            requests.shut("bus mastering", True)
            await rig.step(LONG)
            requests.shut("bus mastering", False)
            await requests.end()


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Return what messages did that had to wait on their way to RQ."""
    found: list[Run] = []
    for width, way in ((128, behind_writes), (256, behind_writes), (128, without_bus_mastering)):

        async def bench(rig: Rig, way: Callable[..., Any] = way) -> None:
            await bring_up(rig)
            await kind(rig, "msix")
            requests = Requests(rig)
            await way(rig, requests)
            found.extend(requests.runs)

        Rig(width).run(bench)
    return found


@pytest.mark.parametrize(
    ("name", "tighter"), [("", 0), ("ON_RQ", -1), ("AFTER", 1), ("NEXT", -1), ("RESUMED", -1), ("BEGUN", -1)]
)
def test_messages_that_had_to_wait(runs: list[Run], monkeypatch: pytest.MonkeyPatch, name: str, tighter: int) -> None:
    """All of them are allowed; with any of the figures by a clock tighter, some are not."""
    if not name:
        for run in runs:
            run.check()
        return
    monkeypatch.setattr(permissions, name, getattr(permissions, name) + tighter)
    refused = 0
    for run in runs:
        try:
            run.check()
        except AssertionError:
            refused += 1
    assert refused
