"""The selftest's list as a guest runs it: with the kernel's own driver and its own ``pcitest``.

A test is a few commands of the guest's shell between two marks on its console, and passes when each of them does. What
the driver of Linux 6.1 has no test for is skipped, and says so; the doorbell is rung from user space
(tests/linux/ring.c).
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from epbell_models.selftest.tap import Result, TapWriter, Verdict
from epbell_models.selftest.tests import SelfTest
from epbell_tb.guest.attachment import SLOT
from epbell_tb.guest.machine import WARNINGS

__all__ = [
    "REFUSED",
    "Listener",
    "Plan",
    "plan",
    "script",
]

REFUSED = 200
"""Exit status of ``ring`` when the endpoint has refused the doorbell, and has told so by its interrupt."""

_DEVICE = f"/sys/bus/pci/devices/0000:00:{SLOT:02x}.0"
_DRIVER = "/sys/bus/pci/drivers/pci-endpoint-test"
_IDENTITY = "1957 0808"
_MARK = "@@"
_OLD = "Linux 6.1's driver has no such test"
_NO_DMA = "no DMA engine: the endpoint's function never answers"
_MSI, _MSIX = 1, 2
_DRIVERS_WORDS = re.compile(r"\bOKAY\b")
_COMPLAINTS = re.compile(r"\b(NOT OKAY|FAILED)\b|^not ok\b")

# What comes before the first test; a guest without a bound driver says why.
_BEGIN = f"""
echo "{_MARK} booted"
dmesg -n 4
echo "# $(uname -sr) on $(cat {_DEVICE}/vendor):$(cat {_DEVICE}/device)"
echo "{_IDENTITY}" > {_DRIVER}/new_id
[ -c /dev/pci-endpoint-test.0 ] && echo "{_MARK} bound"
"""
_END = f"""
{WARNINGS}
echo "{_MARK} ended"
"""
_RUN = f"""
try() {{ "$@"; status=$?; [ $status = 0 ] || echo "{_MARK} status $status"; }}
vectors() {{
  found=$(ls {_DEVICE}/msi_irqs | wc -l)
  if [ $found = $1 ]; then echo "ok - $found vectors"; else echo "not ok - $found vectors, not $1"; return 1; fi
}}
"""


@dataclass(frozen=True)
class Plan:
    """One test of the list.

    Attributes
    ----------
    name
        Its name.
    commands
        What the guest's shell does.
    skip
        Why the guest does not run it; empty if it does.
    expected
        Why it must fail; empty if it must not.
    accesses
        How many reads and writes of BARs the driver makes in it, as far as that is known.
    says
        How lines begin that the guest must print, each as often as it is here, unless the test must fail.
    skips
        The reasons for which the guest may skip it; the empty one stands for a test that is not skipped.
    """

    name: str
    commands: tuple[str, ...] = ()
    skip: str = ""
    expected: str = ""
    accesses: int = 0
    says: tuple[str, ...] = ()
    skips: tuple[str, ...] = ("",)


def plan(
    tests: Sequence[SelfTest],
    *,
    sizes: Sequence[int],
    bar_sizes: Sequence[int],
    reserved: int | None = None,
    no_doorbell: str = "",
    rings: int = 10,
    msix: int = 32,
) -> list[Plan]:
    """Say how a guest runs the tests.

    Parameters
    ----------
    tests
        Those of the selftest that are wanted.
    sizes
        Bytes of the transfers.
    bar_sizes
        Bytes of each BAR, 0 for one that does not exist.
    reserved
        The BAR that is no memory, None when all are: the driver of Linux 6.1 does not know such.
    no_doorbell
        Why the endpoint's Linux gets no doorbell, empty if it does: the test must fail then.
    rings
        How often the doorbell is rung with either kind of interrupt.
    msix
        How many MSI-X vectors the function offers: the guest must get them all.
    """
    found: dict[str, Plan] = {}
    for test in tests:
        bar = int(test.variant.removeprefix("BAR")) if test.fixture == "pci_ep_bar" else None
        found[test.name] = _plan(test, bar, sizes, bar_sizes, reserved, no_doorbell, rings, msix)
    return list(found.values())


def _plan(
    test: SelfTest,
    bar: int | None,
    sizes: Sequence[int],
    bar_sizes: Sequence[int],
    reserved: int | None,
    no_doorbell: str,
    rings: int,
    msix: int,
) -> Plan:
    name = test.name
    if test.test in ("BAR_SUBRANGE_TEST", "CONSECUTIVE_BAR_TEST"):
        return Plan(name, skip=_OLD)
    if test.dma:
        return Plan(name, skip=_NO_DMA)
    if bar is not None:
        if not bar_sizes[bar]:
            return Plan(name, skip="BAR is disabled")
        if bar == reserved:
            return Plan(name, skip="BAR is reserved, which Linux 6.1's driver does not know")
        # Of the BAR with the registers it tests four bytes; of the others it writes each dword, then reads each.
        dwords = 1 if bar == 0 else bar_sizes[bar] // 4
        return Plan(name, (f"pcitest -b {bar}",), accesses=2 * dwords)
    if test.test == "DOORBELL_TEST":
        rung = [(f"pcitest -i {kind}", f"ring {_DEVICE} {kind} {rings}") for kind in (_MSI, _MSIX)]
        commands = tuple(command for pair in rung for command in pair)
        return Plan(name, commands, expected=no_doorbell, says=(f"ok 3 - {rings} of {rings} rings",) * len(rung))
    letter = {"READ_TEST": "r", "WRITE_TEST": "w", "COPY_TEST": "c"}.get(test.test)
    if letter is not None:
        return Plan(name, (f"pcitest -i {_MSI}", *(f"pcitest -{letter} -s {size}" for size in sizes)))
    # Without remapping of interrupts a PC has one MSI for a device.
    commands = {
        "LEGACY_IRQ_TEST": ("pcitest -i 0", "pcitest -l"),
        "MSI_TEST": (f"pcitest -i {_MSI}", "vectors 1", "pcitest -m 1"),
        "MSIX_TEST": (f"pcitest -i {_MSIX}", f"vectors {msix}", *(f"pcitest -x {one + 1}" for one in range(msix))),
    }[test.test]
    return Plan(name, commands)


def script(plans: Sequence[Plan]) -> str:
    """Return the guest's part, for its shell."""
    parts = [_BEGIN, _RUN]
    for number, planned in enumerate(plans):
        if not planned.skip:
            commands = "\n".join(f"try {command}" for command in planned.commands)
            parts.append(f'echo "{_MARK} begin {number}"\n{commands}\necho "{_MARK} end {number}"\n')
    return "".join([*parts, _END])


@dataclass
class _Running:
    number: int
    since: float
    bad: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)


class Listener:
    """Listens to the guest's console and writes the selftest's TAP.

    Parameters
    ----------
    plans
        What the guest runs.
    tap
        Where the results go; its plan is written here.
    clock
        Seconds.

    Attributes
    ----------
    booted, bound, ended
        When the guest's script began, when the driver had bound to the endpoint, and when the last test was over; None
        for what has not been.
    accesses, seconds
        Accesses of BARs in the tests of whole BARs, and how long those took.
    """

    def __init__(
        self, plans: Sequence[Plan], tap: TapWriter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.booted: float | None = None
        self.bound: float | None = None
        self.ended: float | None = None
        self.accesses = 0
        self.seconds = 0.0
        self._plans = plans
        self._tap = tap
        self._clock = clock
        self._running: _Running | None = None

    def line(self, line: str) -> None:
        """Take a line of the console."""
        if not line.startswith(_MARK):
            self._hear(line)
            return
        word, *arguments = line.removeprefix(_MARK).split() or [""]
        now = self._clock()
        if word == "booted":
            self.booted = now
        elif word == "bound":
            self.bound = now
        elif word == "begin":
            self._begin(int(arguments[0]), now)
        elif word == "status" and self._running is not None:
            self._running.bad.append(f"exit status {_named(int(arguments[0]))}")
        elif word == "end" and self._running is not None:
            self._end(self._running, now)
        elif word == "ended":
            self.ended = now
            self._skip_until(len(self._plans))

    def give_up(self, why: str) -> None:
        """Write that the guest has gone before its end: the test that ran has failed, and those behind it did."""
        self._tap.note(why)
        for planned in self._plans[len(self._tap.results) :]:
            self._tap.end(Result(planned.name, Verdict.FAIL))

    def _hear(self, line: str) -> None:
        text = line.strip()
        if not text:
            return
        self._tap.note(" ".join(text.removeprefix("#").split()))
        if self._running is None:
            return
        if _COMPLAINTS.search(text):
            self._running.bad.append(" ".join(text.split()))
        elif _DRIVERS_WORDS.search(text) or text.startswith("ok "):
            self._running.good.append(" ".join(text.split()))

    def _begin(self, number: int, now: float) -> None:
        self._skip_until(number)
        self._tap.run(self._plans[number].name)
        self._running = _Running(number, now)

    def _end(self, running: _Running, now: float) -> None:
        planned = self._plans[running.number]
        self._running = None
        if planned.accesses > 2:
            self.accesses += planned.accesses
            self.seconds += now - running.since
        for bad in running.bad:
            self._tap.note(f"{planned.name}: {bad}")
        if planned.expected:
            verdict = Verdict.XFAIL if _refused(planned, running) else Verdict.FAIL
            self._tap.end(Result(planned.name, verdict, planned.expected))
            return
        unsaid = _unsaid(planned, running)
        for what in unsaid:
            self._tap.note(f"{planned.name}: {what}")
        self._tap.end(Result(planned.name, Verdict.FAIL if running.bad or unsaid else Verdict.PASS))

    def _skip_until(self, number: int) -> None:
        """Write the tests that the guest did not run."""
        while len(self._tap.results) < number:
            planned = self._plans[len(self._tap.results)]
            self._tap.run(planned.name)
            self._tap.end(Result(planned.name, Verdict.SKIP if planned.skip else Verdict.FAIL, planned.skip))


def _refused(planned: Plan, running: _Running) -> bool:
    """Whether every ring was refused, each with its interrupt, and nothing else was wrong."""
    rings = sum(command.startswith("ring ") for command in planned.commands)
    others = len(planned.commands) - rings
    return rings > 0 and running.bad == [f"exit status {_named(REFUSED)}"] * rings and len(running.good) == others


def _unsaid(planned: Plan, running: _Running) -> list[str]:
    """Return what is missing on the console: a command that says nothing has not run."""
    said = running.good
    missing = [
        f"{wanted!r} was not said {planned.says.count(wanted)} times"
        for wanted in dict.fromkeys(planned.says)
        if sum(re.match(rf"{re.escape(wanted)}\b", line) is not None for line in said) != planned.says.count(wanted)
    ]
    if len(said) < len(planned.commands):
        missing.append(f"{len(planned.commands)} commands, but {len(said)} good words")
    return missing


def _named(status: int) -> str:
    return f"{status} ({errno.errorcode[status]})" if status in errno.errorcode else str(status)
