"""The hard block's side of interrupts, resets and power states, for the endpoint in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

from test_endpoint_interrupts import INTX, MSI_RAISE, RAISE, set_up
from test_endpoint_outbound import APERTURE, aim
from usp_rig import Rig

D0, D3HOT = 1, 4
LEAVES = {"msi": 11, "msix": 37, "intx": 10, "level": 9}
"""Clocks from :func:`post` to the first one in which an interrupt of that kind is at the hard block."""
LONG = 60
"""Clocks in which whatever has been raised once has left, unless something holds it back."""


class HardBlock:
    """Answers at every port, and keeps what has begun to leave, with the clock.

    Attributes
    ----------
    answer : int
        Clocks from an interrupt at a port to its answer.
    left : list of (clock, what)
        MSIs as ``"msi 3"``, MSI-X through the port as ``"msix 3"``, INTx as ``"intx 1"`` when it is answered, requests
        as ``"rq"``, completions as ``"cc"``, each with its first clock.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.answer = 4
        self.left: list[tuple[int, str]] = []
        self._waits: dict[str, int] = {}
        self._line = 0
        self._requests = self._beats = 0
        rig.watch.append(self.clock)

    def clock(self) -> None:
        ctx, dut = self.rig.ctx, self.rig.dut
        asked = {
            "msi": ctx.get(dut.cfg_interrupt_msi.int),
            "msix": ctx.get(dut.cfg_interrupt_msix.int),
            "intx": int(ctx.get(dut.cfg_interrupt.int) & 1 != self._line),
        }
        pins = {"msi": dut.cfg_interrupt_msi.sent, "msix": dut.cfg_interrupt_msix.sent, "intx": dut.cfg_interrupt.sent}
        for name, pin in pins.items():
            wait = self._waits.get(name, 0)
            assert not (asked[name] and wait), f"{name}: again before the answer"
            ctx.set(pin, int(wait == 1))
            self._waits[name] = self.answer if asked[name] else max(0, wait - 1)
            if asked[name]:
                self._note(name)
        self._streams()

    def _note(self, name: str) -> None:
        ctx, dut = self.rig.ctx, self.rig.dut
        if name == "intx":
            self._line ^= 1
            number = self._line
        elif name == "msi":
            number = ctx.get(dut.cfg_interrupt_msi.int).bit_length() - 1
        else:
            number = ctx.get(dut.cfg_interrupt_msix.data) - 0x4000
        self.left.append((self.rig.cycle, f"{name} {number}"))

    def _streams(self) -> None:
        """A packet counts in the first clock in which it is offered, accepted or not."""
        ctx, dut = self.rig.ctx, self.rig.dut
        for name, stream in (("rq", dut.m_axis_rq), ("cc", dut.m_axis_cc)):
            valid = ctx.get(stream.tvalid)
            if valid and not self._waits.get(name):
                self.left.append((self.rig.cycle, name))
            self._waits[name] = int(valid and not (ctx.get(stream.tready) and ctx.get(stream.tlast)))

    @property
    def waits(self) -> bool:
        """Whether something has been begun and has not come to its end."""
        return any(self._waits.values())

    def since(self, clock: int) -> list[str]:
        """What has begun to leave in this clock or later."""
        return [what for at, what in self.left if at >= clock]


async def bring_up(rig: Rig, *, masked: tuple[int, ...] = ()) -> HardBlock:
    """MSI-X set up and a window to host memory; every interrupt may be used, as no host would allow."""
    hard = HardBlock(rig)
    rig.ctx.set(rig.dut.cfg_interrupt_msi.mmenable, 5)
    await set_up(rig, masked=masked)
    await aim(rig, 0, APERTURE, 0x1000, 0x4000_0000)
    hard.left.clear()
    return hard


async def kind(rig: Rig, which: str) -> None:
    """Enable this kind of interrupt only."""
    rig.ctx.set(rig.dut.cfg_interrupt_msi.enable, int(which == "msi"))
    rig.ctx.set(rig.dut.cfg_interrupt_msix.enable, int(which == "msix"))


def post(rig: Rig, which: str) -> Any:
    """Start to raise one interrupt of a kind; the page is written `usp_rig.CPU_MADE` clocks from now."""
    address, value = {"msi": (MSI_RAISE, 3), "msix": (RAISE, 3), "intx": (INTX, 2), "level": (INTX, 1)}[which]
    return rig.post(address, value)


async def flr(rig: Rig, hard: HardBlock, limit: int = 400) -> int:
    """A function-level reset; return the clock in which it is told to be done. Afterwards nothing may leave."""
    ctx, dut = rig.ctx, rig.dut
    ctx.set(dut.cfg_flr_in_process, 1)
    for _ in range(limit):
        if ctx.get(dut.cfg_flr_done):
            break
        await rig.step()
    else:
        raise AssertionError("the reset does not come to its end")
    done = rig.cycle
    assert not hard.waits, "done before all that had begun to leave has left"
    await rig.step(2)
    ctx.set(dut.cfg_flr_in_process, 0)
    await rig.step(LONG)
    assert ctx.get(dut.cfg_flr_done) == 0
    assert hard.since(done) == [], "something leaves after the reset is done"
    return done
