"""The kernel's own selftest of an endpoint, run by a guest: its TAP, test by test, becomes ours.

Of the newest kernel's driver nothing is missing, so nothing is translated: the program's names, results and reasons are
handed on. What a target cannot do in the time that the program allows is left out of the call, and skipped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

from epbell_models.selftest.tap import Result, TapWriter, Verdict
from epbell_models.selftest.tests import SelfTest
from epbell_tb.guest.machine import WARNINGS
from epbell_tb.guest.pcitest import Plan

__all__ = [
    "Relay",
    "plan",
    "script",
]

_MARK = "@@"
_RESULT = re.compile(r"(not ok|ok) \d+ (\S+)(?: # (SKIP|XFAIL) (.*))?")
# What the program says about the whole, which is said again at our end.
_DOORBELL = "DOORBELL_TEST"
# What the ioctl of a doorbell that the endpoint refuses returns: -EINVAL.
_REFUSED = re.compile(rf":{_DOORBELL}:Expected 0 \(0\) == ret \(-22\)$")
# With fewer inbound windows not each BAR can be cut in halves.
_WINDOWS = 8
_TOTALS = re.compile(r"# (Totals|PASSED|FAILED|Starting|\d+ skipped)|TAP version|1\.\.\d+|# +(RUN|OK|FAIL|SKIP) ")


def plan(
    tests: Sequence[SelfTest],
    left_out: Mapping[str, str],
    *,
    bar_sizes: Sequence[int],
    msix: int,
    windows: int,
    reserved: int | None = None,
    no_doorbell: str = "",
) -> list[Plan]:
    """Say what the program is to do with each test.

    Parameters
    ----------
    tests
        The list.
    left_out
        Variants and tests that are not run, and why.
    bar_sizes, msix, reserved, no_doorbell
        As of `epbell_tb.guest.pcitest.plan`.
    windows
        How many inbound windows there are.
    """
    plans = []
    for test in tests:
        reason = left_out.get(test.variant) or left_out.get(test.test, "")
        bar = int(test.variant.removeprefix("BAR")) if test.fixture == "pci_ep_bar" else None
        skips = _skips(test.test, msix) if bar is None else _skips_of_bar(test.test, bar, bar_sizes, reserved, windows)
        expected = no_doorbell if test.test == _DOORBELL else ""
        plans.append(Plan(test.name, skip=reason, expected=expected, skips=skips))
    return plans


def _skips(test: str, msix: int) -> tuple[str, ...]:
    """Return how a test may end that is not of one BAR: those of vectors skip what is behind the last one."""
    # Without remapping of interrupts a PC has one MSI for a device; the program asks for 2048 MSI-X.
    last = {"MSI_TEST": "MSI2 is disabled", "MSIX_TEST": f"MSI-X{msix + 1} is disabled" if msix < 2048 else ""}
    return (last.get(test, ""),)


def _skips_of_bar(
    test: str, bar: int, bar_sizes: Sequence[int], reserved: int | None, windows: int
) -> tuple[str, ...]:
    if not bar_sizes[bar]:
        return ("BAR is disabled",)
    if bar == reserved:
        return ("BAR is reserved",)
    if test != "BAR_SUBRANGE_TEST":
        return ("",)
    if bar == 0:
        return ("BAR is test register space",)
    return ("",) if windows >= _WINDOWS else ("", "Not enough inbound windows")


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
{WARNINGS}
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
        self._refused = False

    def line(self, line: str) -> None:
        """Take a line of the console."""
        text = line.strip()
        found = _RESULT.fullmatch(text)
        if text.startswith(_MARK):
            self._mark(text.removeprefix(_MARK).strip())
        elif found is not None:
            self._result(found[1] == "ok", found[2], found[3] or "", found[4] or "")
            self._refused = False
        elif _REFUSED.search(text):
            self._refused = True
            self._tap.note(text.removeprefix("#").strip())
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

    def _result(self, good: bool, name: str, directive: str, reason: str) -> None:
        if not any(planned.name == name for planned in self._plans[len(self._tap.results) :]):
            self._tap.note(f"the selftest has a test more, or twice: {name}")
            return
        self._until(name)
        planned = self._plans[len(self._tap.results)]
        self._tap.run(name)
        if planned.expected:
            refused = not good and self._refused
            self._tap.end(Result(name, Verdict.XFAIL if refused else Verdict.FAIL, planned.expected))
            return
        foreseen = directive in ("", "SKIP") and reason in planned.skips
        if good and not foreseen:
            wanted = " or ".join(f"SKIP {skip}" if skip else "no SKIP" for skip in planned.skips)
            self._tap.note(f"{name}: {directive or 'no SKIP'} {reason}: {wanted} was foreseen")
        if not good or not foreseen:
            self._tap.end(Result(name, Verdict.FAIL))
        else:
            self._tap.end(Result(name, Verdict.SKIP if directive else Verdict.PASS, reason))

    def _until(self, name: str | None) -> None:
        """Write the tests before one, or all, that the program did not tell of: skipped if they were left out."""
        while len(self._tap.results) < len(self._plans):
            planned = self._plans[len(self._tap.results)]
            if planned.name == name:
                return
            self._tap.run(planned.name)
            self._tap.end(Result(planned.name, Verdict.SKIP if planned.skip else Verdict.FAIL, planned.skip))
