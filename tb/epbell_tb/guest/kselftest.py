"""The kernel's own selftest of an endpoint, run by a guest: its TAP, test by test, becomes ours.

Of the newest kernel's driver nothing is missing, so nothing is translated: the program's names, results and reasons are
handed on. What a target cannot do in the time that the program allows is left out of the call, and skipped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from epbell_models.selftest.tap import Result, TapWriter, Verdict
from epbell_tb.guest.pcitest import Plan

__all__ = [
    "Relay",
    "script",
]

_MARK = "@@"
_RESULT = re.compile(r"(not ok|ok) \d+ (\S+)(?: # (SKIP|XFAIL) (.*))?")
# What the program says about the whole, which is said again at our end.
_TOTALS = re.compile(r"# (Totals|PASSED|FAILED|Starting|\d+ skipped)|TAP version|1\.\.\d+|# +(RUN|OK|FAIL|SKIP) ")


def script(without: Sequence[str], tests: Sequence[str] = ()) -> str:
    """Return the guest's part, for its shell.

    Parameters
    ----------
    without, tests
        Variants, and tests of any variant, that are not to be run.
    """
    left_out = " ".join([*(f"-V {variant}" for variant in without), *(f"-T {test}" for test in tests)])
    return f"""
echo "{_MARK} booted"
dmesg -n 4
echo "# $(uname -srv)"
[ -c /dev/pci-endpoint-test.0 ] && echo "{_MARK} bound"
selftest {left_out}
echo "{_MARK} ended"
"""


class Relay:
    """Listens to the guest's console and writes the selftest's TAP.

    Parameters
    ----------
    plans
        The list, with what is left out and what must fail.
    tap
        Where the results go.
    clock
        Seconds.

    Attributes
    ----------
    booted, bound, ended, accesses, seconds
        As of `epbell_tb.guest.pcitest.Listener`; nothing is known of the accesses.
    """

    accesses = 0
    seconds = 0.0

    def __init__(self, plans: Sequence[Plan], tap: TapWriter, clock: Callable[[], float] = time.monotonic) -> None:
        self.booted: float | None = None
        self.bound: float | None = None
        self.ended: float | None = None
        self._plans = plans
        self._tap = tap
        self._clock = clock

    def line(self, line: str) -> None:
        """Take a line of the console."""
        text = line.strip()
        found = _RESULT.fullmatch(text)
        if text.startswith(_MARK):
            self._mark(text.removeprefix(_MARK).strip())
        elif found is not None:
            self._result(found[1] == "ok", found[2], found[3] == "SKIP", found[4] or "")
        elif text and not _TOTALS.match(text):
            self._tap.note(text.removeprefix("#").strip())

    def give_up(self, why: str) -> None:
        """Write that the guest has gone before its end: the test that ran has failed, and those behind it did."""
        self._tap.note(why)
        for planned in self._plans[len(self._tap.results) :]:
            self._tap.end(Result(planned.name, Verdict.FAIL))

    def _mark(self, word: str) -> None:
        now = self._clock()
        if word == "booted":
            self.booted = now
        elif word == "bound":
            self.bound = now
        elif word == "ended":
            self.ended = now
            self._until(None)

    def _result(self, good: bool, name: str, skipped: bool, reason: str) -> None:
        if not any(planned.name == name for planned in self._plans[len(self._tap.results) :]):
            self._tap.note(f"the selftest has a test more, or twice: {name}")
            return
        self._until(name)
        planned = self._plans[len(self._tap.results)]
        self._tap.run(name)
        if planned.expected and not skipped:
            self._tap.end(Result(name, Verdict.FAIL if good else Verdict.XFAIL, planned.expected))
        elif not good:
            self._tap.end(Result(name, Verdict.FAIL))
        else:
            self._tap.end(Result(name, Verdict.SKIP if skipped else Verdict.PASS, reason))

    def _until(self, name: str | None) -> None:
        """Write the tests before one, or all, that the program did not tell of: skipped if they were left out."""
        while len(self._tap.results) < len(self._plans):
            planned = self._plans[len(self._tap.results)]
            if planned.name == name:
                return
            self._tap.run(planned.name)
            self._tap.end(Result(planned.name, Verdict.SKIP if planned.skip else Verdict.FAIL, planned.skip))
