"""Runs the tests on a target, one after the other, each for a limited time."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from ..platform import Platform
from .tap import Result, TapWriter, Verdict
from .tests import SIZES, Checks, HostDriver, SelfTest, all_tests

__all__ = [
    "DmaEngine",
    "Options",
    "Target",
    "run",
    "selected",
]

DmaEngine = Literal["none", "slave", "memcpy"]
"""What moves data for the endpoint's function: nothing, an engine for the host's memory, one for any memory."""

_NO_DMA = "no DMA engine: the endpoint's function never answers, and the kernel's tool fails by timeout"
_NO_MEMCPY = "the endpoint's DMA engine does not copy from the host to the host"


class Target(Protocol):
    """Something with an endpoint in it."""

    @property
    def platform(self) -> Platform:
        """Time and concurrency; the tests run in a task of it."""
        ...

    @property
    def dma(self) -> DmaEngine:
        """What moves data for the endpoint's function."""
        ...

    def heading(self) -> str:
        """Return what is tested, in a line that is known before anything runs."""
        ...

    async def bring_up(self) -> HostDriver:
        """Boot the endpoint's software, enumerate the function, bind the host's driver to it."""
        ...

    def notes(self) -> list[str]:
        """Return what is worth telling at the end, a line each."""
        ...


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes
    ----------
    sizes
        Bytes of the data transfers.
    only
        Patterns of names as in a shell, ``*`` for anything; none for every test.
    rounds
        How often to run the list, at least once.
    force_dma
        Run the tests of DMA even though the target has none.
    limit
        Seconds of Linux time for one test. (The kernel's driver waits for transfers without end, and cannot be killed;
        here the test is given up and its driver released.)
    """

    sizes: tuple[int, ...] = SIZES
    only: tuple[str, ...] = ()
    rounds: int = 1
    force_dma: bool = False
    limit: float = 30.0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"The tests are run once or more often, not {self.rounds!r}")
        if self.limit <= 0:
            raise ValueError(f"A test's time limit is positive, not {self.limit!r}")


def selected(options: Options) -> list[SelfTest]:
    """Return the tests that the options ask for; ValueError when a pattern is no test's name."""
    tests = all_tests(options.sizes)
    for pattern in options.only:
        if not any(fnmatchcase(test.name, pattern) for test in tests):
            raise ValueError(f"A pattern must be the name of a test, such as '*.MSI_TEST', not {pattern!r}")
    wanted = [test for test in tests if any(fnmatchcase(test.name, pattern) for pattern in options.only)]
    return (wanted if options.only else tests) * options.rounds


async def run(target: Target, options: Options, out: Callable[[str], None]) -> TapWriter:
    """Bring a target up and run the tests.

    Parameters
    ----------
    target
        What to test.
    options
        What to run.
    out
        Takes every line of the report.

    Returns
    -------
    TapWriter
        The results; its ``good`` says whether all is well.
    """
    tests = selected(options)
    tap = TapWriter(out)
    tap.begin(len(tests), options.rounds * len({test.case for test in tests}))
    tap.note(target.heading())
    driver = await target.bring_up()
    for test in tests:
        tap.run(test.name)
        tap.end(await _run_one(target, test, driver, options, tap))
    for note in target.notes():
        tap.note(note)
    tap.finish()
    return tap


async def _run_one(target: Target, test: SelfTest, driver: HostDriver, options: Options, tap: TapWriter) -> Result:
    if test.dma and target.dma == "none" and not options.force_dma:
        return Result(test.name, Verdict.SKIP, _NO_DMA)
    checks = Checks(lambda text: tap.note(f"{test.test}: {text}"))
    skipped = await _within(target.platform, options.limit, test, driver, checks)
    expected = _expected_failure(target.dma, test)
    if expected:
        return Result(test.name, Verdict.XFAIL if checks.failures else Verdict.XPASS, expected)
    if checks.failures:
        tap.note(f"{test.test}: Test failed")
        return Result(test.name, Verdict.FAIL)
    return Result(test.name, Verdict.SKIP, skipped) if skipped else Result(test.name, Verdict.PASS)


async def _within(platform: Platform, limit: float, test: SelfTest, driver: HostDriver, checks: Checks) -> str:
    """Run a test's body for at most ``limit`` seconds; return why its rest was skipped."""
    ended = platform.event()
    skipped: list[str] = []

    async def body() -> None:
        skipped.append(await checks.run(test.body, driver))
        ended.set()

    task = platform.spawn(body(), test.name)
    if await ended.wait(limit):
        return skipped[0]
    task.cancel()
    checks.fail("Test terminated by timeout")
    return ""


def _expected_failure(dma: DmaEngine, test: SelfTest) -> str:
    if not test.dma or dma == "memcpy":
        return ""
    if dma == "none":
        return _NO_DMA
    return _NO_MEMCPY if test.test == "COPY_TEST" else ""
