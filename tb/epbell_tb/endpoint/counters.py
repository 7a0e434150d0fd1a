"""The endpoint's own counters, compared with what the monitors saw."""

import epbell_regs
from epbell_models.platform import Bus
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.scoreboard import Scoreboard

__all__ = [
    "Counters",
    "channels",
]

_COUNTED = {
    "WRITES_REFUSED": "refused_writes",
    "READS_REFUSED": "refused_reads",
    "UNSUPPORTED": "unsupported",
    "DISCONTINUED": "discontinued",
    "MSI_SENT": "msis_since_reset",
    "MSI_REFUSED": "msis_refused",
    "MALFORMED": "malformed",
    "OUTBOUND_FAILED": "outbound_failed",
    "MSIX_SENT": "msix_since_reset",
    "MSIX_REFUSED": "msix_refused",
    "FLRS": "flrs",
}


async def channels(cpu: Bus, board: Scoreboard, name: str) -> int:
    """Read a flag of the four vectors at side A, ``"RF"`` (pending) or ``"RIE"`` (enabled): bit n for vector n."""
    registers = board.registers
    return registers.channels(name, await cpu.read32(board.map["mu_a"].base + registers.home(name)))


class Counters:
    """The controller page, as the CPU reads it.

    Parameters
    ----------
    cpu
        The CPU's bus.
    base
        Address of the page.

    Attributes
    ----------
    start : dict of str to int
        Where counters have begun that did not begin at zero, by their names: empty, unless a bench has set them.
    """

    def __init__(self, cpu: Bus, base: int) -> None:
        self._cpu = cpu
        self._base = base
        self._offsets = epbell_regs.offsets("controller")
        self.start: dict[str, int] = {}

    async def read(self, name: str) -> int:
        """Read a register by its name; of a counter, what it has counted since its start."""
        value = await self._cpu.read32(self._base + self._offsets[name])
        # Looked up now: a reset during the access makes it zero.
        return (value - self.start.get(name, 0)) % (1 << 32)

    async def write(self, name: str, value: int) -> None:
        """Write a register by its name."""
        await self._cpu.write32(self._base + self._offsets[name], value)

    async def check_end(self, board: Scoreboard, irq_mu: bool, rises: int) -> int:
        """Check what must hold at the end of every scenario, with everything at rest.

        Parameters
        ----------
        board
            What was seen.
        irq_mu
            Level of the Messaging Unit's line.
        rises
            How many times INTA was asserted since the reset.

        Returns
        -------
        int
            How many rings were merged.
        """
        board.check_empty()
        assert board.counts["requests"], "no request has been checked"
        assert board.counts["completions"], "no completion has been checked"
        await self.check(board)
        await self.check_interrupts(board, rises)
        pending = await channels(self._cpu, board, "RF")
        level = bool(pending & await channels(self._cpu, board, "RIE"))
        assert irq_mu == level, f"irq_mu must be {level} with vectors {pending:#x} pending"
        merged = await self.check_bells(board, pending)
        board.latch.check(cycle())
        if board.latch.sure(cycle()):
            assert board.latch.level == board.reference.irq_edma, f"irq_edma must be {board.reference.irq_edma}"
        merged += await self.check_latch(board)
        await self.check_latency(board)
        return merged

    async def check(self, board: Scoreboard) -> None:
        """Compare what became of requests and MSIs; what was in doubt is so no more."""
        for name, key in _COUNTED.items():
            value, want, doubt = await self.read(name), board.counts[key], board.doubts.pop(key, 0)
            assert want <= value <= want + doubt, (
                f"{name} is {value}; the pins showed {want}{f' to {want + doubt}' * bool(doubt)}"
            )
            board.counts[key] = value

    async def check_interrupts(self, board: Scoreboard, rises: int) -> None:
        """Compare what became of interrupts that had to wait; so many times INTA was asserted since the reset."""
        held, merged, pending = [await self.read(f"MSI_{name}") for name in ("HELD", "MERGED", "PENDING")]
        board.msis.check_counters(held, merged, pending.bit_count())
        board.pulses.check_counter(await self.read("INTX_MERGED"), rises)
        held, raised = await self.read("MSIX_HELD"), board.counts["msix_raised"]
        assert held <= raised, f"MSIX_HELD is {held}; {raised} vectors were raised"

    async def check_bells(self, board: Scoreboard, pending: int) -> int:
        """Compare the bells: every ring was merged, delivered or is pending. Return how many were merged."""
        merges = 0
        for number, bell in enumerate(board.bells):
            rung, merged, delivered = [
                await self.read(f"BELL{number}_{event}") for event in ("RUNG", "MERGED", "DELIVERED")
            ]
            waits = pending >> number & 1
            figures = f"{bell.name}: rung {rung}, merged {merged}, delivered {delivered}, pending {waits}"
            assert rung == len(bell.rings), f"{figures}; the pins showed {len(bell.rings)} rings"
            assert rung == merged + delivered + waits, f"{figures}: some are lost"
            assert delivered <= bell.acks, f"{figures}; the CPU read it {bell.acks} times"
            assert waits == bell.must_be_pending() or bell.may_be_pending(bell.reads[1]), f"{figures}: {bell.reads}"
            merges += merged
        return merges

    async def check_latch(self, board: Scoreboard) -> int:
        """Compare the eDMA's latch in the same way. Return how many kicks were merged."""
        latch = board.latch
        rung, merged, delivered = [await self.read(f"EDMA_{event}") for event in ("RUNG", "MERGED", "DELIVERED")]
        waits = rung - merged - delivered
        figures = f"eDMA: rung {rung}, merged {merged}, delivered {delivered}, line {latch.level}"
        assert rung == len(latch.kicks), f"{figures}; the pins showed {len(latch.kicks)} kicks"
        assert waits in (0, 1), f"{figures}: some are lost"
        assert waits <= latch.level, f"{figures}: one is lost"
        assert latch.level == bool(waits) or latch.alone.irq, f"{figures}: one is invented"
        assert delivered <= len(latch.acks), f"{figures}; the CPU cleared {len(latch.acks)} times"
        return merged

    async def check_latency(self, board: Scoreboard) -> None:
        """Compare the greatest latencies that the endpoint measured since its reset with the ones seen."""
        latencies, irqs = board.latencies[board.latencies_before :], board.counts["irqs"] - board.irqs_before
        await self._check_latency("IRQ_LATENCY_MAX", latencies, irqs)
        await self._check_latency("EDMA_LATENCY_MAX", board.latch.latencies, board.latch.rises)

    async def _check_latency(self, name: str, latencies: list[int], irqs: int) -> None:
        greatest = await self.read(name)
        seen = max(latencies, default=0)
        assert greatest >= seen, f"{name} is {greatest}; the pins showed {seen}"
        if len(latencies) == irqs:
            assert greatest == seen, f"{name} is {greatest}; the pins showed {seen} at the most"
