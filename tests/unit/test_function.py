"""Function-level reset and power state: what the hard block is told, and when."""

from typing import Any

import pytest
from simulate import simulate

from epbell.function import Function


def run(bench: Any, *timeout: int) -> None:
    dut = Function(*timeout)
    simulate(dut, lambda ctx: bench(ctx, dut))


async def trace(ctx: Any, dut: Function, asked: str, quiet: str) -> list[str]:
    """Drive both, a character per clock; return begins, reset and done."""
    seen: list[str] = ["", "", ""]
    for process, silent in zip(asked, quiet, strict=True):
        ctx.set(dut.in_process, int(process))
        ctx.set(dut.quiet, int(silent))
        for row, port in enumerate((dut.begins, dut.reset, dut.done)):
            seen[row] += str(ctx.get(port))
        assert ctx.get(dut.serves) == 1 - ctx.get(dut.reset), "it serves whenever there is no reset"
        await ctx.tick()
    return seen


CASES = {
    # At once: three clocks.
    "quiet": ("0111100000", "1111111111", "0010000000", "0011111000", "0000111000"),
    # The first clock of the reset tells nothing: it has not had an effect yet.
    "quiet in the first clock only": ("0111111100", "1110000111", "0010000000", "0011111111", "0000000011"),
    # Told once, it is told until the hard block takes the request back.
    "noise after it": ("0111111000", "1111010011", "0010000000", "0011111110", "0000111110"),
    "noise when it is taken back": ("0111111000", "1111011101", "0010000000", "0011111110", "0000111110"),
    # Taken back too early: it goes on, and is never told.
    "taken back": ("0110000000", "0000000011", "0010000000", "0011111110", "0000000000"),
    "again before it is quiet": ("0110111110", "0000000111", "0010010000", "0011111111", "0000000011"),
}


@pytest.mark.parametrize("case", CASES)
def test_reset(case: str) -> None:
    asked, quiet, *expected = CASES[case]

    async def bench(ctx: Any, dut: Function) -> None:
        assert await trace(ctx, dut, asked, quiet) == expected

    run(bench)


@pytest.mark.parametrize("timeout", [2, 3, 9])
def test_never_quiet(timeout: int) -> None:
    """Done after its time; the next reset has all of its time again, and none when it is taken back early."""

    async def bench(ctx: Any, dut: Function) -> None:
        for _ in range(2):
            asked = "0" + "1" * (timeout + 4) + "0000"
            begins, reset, done = await trace(ctx, dut, asked, "0" * len(asked))
            assert begins == "001".ljust(len(asked), "0")
            assert done == "0" * (timeout + 2) + "11111" + "00"
            assert reset == "00" + "1" * (timeout + 5) + "00"
        asked = "010".ljust(timeout + 6, "0")
        _, reset, done = await trace(ctx, dut, asked, "0" * len(asked))
        assert done == "0" * len(asked)
        assert reset == ("00" + "1" * timeout).ljust(len(asked), "0")

    run(bench, timeout)


@pytest.mark.parametrize("timeout", [1, 0, -5, (1 << 24) + 1, 2.0, None])
def test_refused_timeout(timeout: Any) -> None:
    with pytest.raises(ValueError, match=f"must be done after 2 to 16777216 clocks, not {timeout!r}"):
        Function(timeout)


def test_other_functions_are_done_at_once() -> None:
    async def bench(ctx: Any, dut: Function) -> None:
        ctx.set(dut.in_process, 0b1010)
        assert ctx.get(dut.done) == 0
        await ctx.tick()
        assert (ctx.get(dut.done), ctx.get(dut.reset), ctx.get(dut.begins)) == (0b1010, 0, 0)
        ctx.set(dut.in_process, 0)
        await ctx.tick()
        assert ctx.get(dut.done) == 0

    run(bench)


def test_power_states() -> None:
    """D0 before and after the first configuration, D1 (not implemented), D3hot; other functions do not matter."""

    async def bench(ctx: Any, dut: Function) -> None:
        for others in (0, 0o4440):
            for state, awake in ((0, 1), (1, 1), (2, 0), (4, 0)):
                ctx.set(dut.power_state, others | state)
                assert ctx.get(dut.awake) == awake

    run(bench)
