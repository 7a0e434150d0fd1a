"""What a run prints: TAP version 13 as the kernel's test harness writes it (tools/testing/selftests/kselftest.h)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Result",
    "TapWriter",
    "Verdict",
]


class Verdict(Enum):
    """How a test ended."""

    PASS = "pass"
    FAIL = "fail"
    XFAIL = "xfail"
    XPASS = "xpass"
    SKIP = "skip"


_WORDS = {Verdict.PASS: "OK", Verdict.SKIP: "OK", Verdict.FAIL: "FAIL", Verdict.XFAIL: "XFAIL", Verdict.XPASS: "XPASS"}
_DIRECTIVES = {Verdict.SKIP: "SKIP", Verdict.XFAIL: "XFAIL", Verdict.XPASS: "XPASS"}


@dataclass(frozen=True)
class Result:
    """One test's end: its name, how it ended, and why if it did not simply pass."""

    name: str
    verdict: Verdict
    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict is not Verdict.FAIL


class TapWriter:
    """Writes one run.

    Parameters
    ----------
    out
        Takes a line, without its end.

    Attributes
    ----------
    results
        Every test's end, in order.
    """

    def __init__(self, out: Callable[[str], None]) -> None:
        self.results: list[Result] = []
        self._out = out
        self._planned = 0

    @property
    def good(self) -> bool:
        """Whether all that was planned was run, and nothing is wrong."""
        return len(self.results) == self._planned and all(result.good for result in self.results)

    def begin(self, tests: int, cases: int) -> None:
        """Write the plan: how many tests, and how many pairs of a fixture and a variant they belong to."""
        self._planned = tests
        self._out("TAP version 13")
        self._out(f"1..{tests}")
        self._out(f"# Starting {tests} tests from {cases} test cases.")

    def run(self, name: str) -> None:
        """Say that a test starts."""
        self._out(f"#  RUN           {name} ...")

    def note(self, text: str) -> None:
        """Write a comment."""
        self._out(f"# {text}")

    def end(self, result: Result) -> None:
        """Write a test's end."""
        self.results.append(result)
        if result.verdict is Verdict.SKIP:
            self._out(f"#      SKIP      {result.reason}")
        self._out(f"# {_WORDS[result.verdict]:>13}  {result.name}")
        status = "not ok" if result.verdict is Verdict.FAIL else "ok"
        directive = _DIRECTIVES.get(result.verdict)
        reason = f" # {directive} {result.reason}" if directive else ""
        self._out(f"{status} {len(self.results)} {result.name}{reason}")

    def finish(self) -> None:
        """Write the totals."""
        count = Counter(result.verdict for result in self.results)
        passed = sum(result.good for result in self.results)
        self._out(f"# {'PASSED' if self.good else 'FAILED'}: {passed} / {self._planned} tests passed.")
        if count[Verdict.SKIP]:
            self._out(f"# {count[Verdict.SKIP]} skipped test(s) detected.")
        totals = " ".join(f"{verdict.value}:{count[verdict]}" for verdict in Verdict)
        self._out(f"# Totals: {totals} error:0")
