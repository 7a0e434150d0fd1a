"""Runs a guest's test of an endpoint, from packages to figures."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTree
from epbell_models.selftest.harness import Options, selected
from epbell_models.selftest.model import ModelTarget, heading
from epbell_models.selftest.tap import TapWriter
from epbell_models.selftest.tests import SelfTest
from epbell_tb.bar_sets import BAR_SETS, COMMON_SETS
from epbell_tb.guest import doorbells, initramfs, kselftest, newest, packages, pcitest, programs
from epbell_tb.guest.figures import Figures
from epbell_tb.guest.machine import Boot, Guest, new_log
from epbell_tb.guest.model_guest import ModelGuest, ModelSetup

__all__ = [
    "BARS",
    "ENDPOINTS",
    "PROGRAMS",
    "Device",
    "Setup",
    "device",
    "run",
]

ENDPOINTS = ("rtl", "model")
"""What can be behind the guest; the first is the default."""

PROGRAMS = ("pcitest", "selftest")
"""What a guest runs: ``pcitest`` of Debian 12's kernel and our ``ring``, or the selftest of the newest kernel."""

BARS = ("guest", "halves", *COMMON_SETS, "msix")
"""Sets of BARs with memory behind each; the first, the default, is small: the driver fills a BAR dword by dword."""

Out = Callable[[str], None]
_DRIVERS = ("pci_endpoint_test",)
_MSI = 1
_SUBRANGE = "BAR_SUBRANGE_TEST"


class Device(Protocol):
    """An endpoint that waits for a guest; ``with`` ends it."""

    def __enter__(self) -> Device:
        """Prepare nothing yet."""
        ...

    def __exit__(self, *_: object) -> None:
        """End it."""
        ...

    def start(self) -> None:
        """Bring it up, so that a guest can come."""
        ...

    def attach(self, link: socket.socket, qtest: Path) -> None:
        """Take a guest's device socket, which is no longer the caller's, and the path of QEMU's test socket."""
        ...

    def failed(self) -> bool:
        """Whether it has ended: no guest gets an answer any more."""
        ...

    def finish(self) -> Figures:
        """Wait until it has seen the guest go, and return its figures; RuntimeError when something is wrong."""
        ...


@dataclass(frozen=True)
class Setup:
    """What to run.

    Attributes
    ----------
    dts
        The device tree.
    endpoint
        One of `ENDPOINTS`.
    program
        One of `PROGRAMS`.
    sizes, only, rings
        Of pcitest: bytes of the transfers; patterns of tests' names, none for every test; how often the doorbell is
        rung with either kind of interrupt.
    bars
        Name of a set of BARs.
    msix
        How many MSI-X vectors the function offers.
    windows
        How many inbound windows there are; None for as many as the device tree says.
    width, stalls, seed, msix_way
        Of the RTL: width of the streams in bits, whether they pause at random, seed of everything random, and how MSI-X
        messages leave.
    limit
        Wall-clock seconds after which the guest is ended.
    slow
        See `Guest`; None for what the endpoint needs.
    """

    dts: Path
    endpoint: Literal["rtl", "model"] = "rtl"
    program: Literal["pcitest", "selftest"] = "pcitest"
    sizes: tuple[int, ...] = (1, 1024, 1025)
    only: tuple[str, ...] = ()
    rings: int = 10
    bars: str = "guest"
    msix: int = 32
    windows: int | None = None
    width: int = 256
    stalls: bool = False
    seed: int = 1
    msix_way: str = "rq"
    limit: float = 300.0
    slow: bool | None = None

    @property
    def wide_bars(self) -> tuple[int, ...]:
        """BARs that are the lower half of a 64-bit pair."""
        return tuple(number for number, bar in enumerate(BAR_SETS[self.bars]) if bar and bar.wide)

    @property
    def bar_sizes(self) -> tuple[int, ...]:
        """Bytes of each BAR, 0 for one that does not exist."""
        return tuple(bar.size if bar else 0 for bar in BAR_SETS[self.bars])


def device(setup: Setup, say: Out) -> Device:
    """Return the endpoint that is asked for; ``say`` takes a sentence when something takes long."""
    if setup.endpoint == "model":
        return ModelGuest(ModelSetup(setup.dts, setup.bar_sizes, setup.wide_bars, setup.msix, setup.windows))
    from epbell_tb.guest.rtl_sim import RtlGuest, RtlSetup  # not at the top: it loads Amaranth

    return RtlGuest(
        RtlSetup(
            setup.dts, width=setup.width, stalls=setup.stalls, seed=setup.seed, bars=setup.bars, msix=setup.msix,
            windows=setup.windows, msix_way=setup.msix_way, limit=2 * setup.limit,
        ),
        say,
    )  # fmt: skip


def run(setup: Setup, out: Out, endpoint: Device | None = None) -> bool:
    """Run the selftest's list in a guest; return whether nothing has failed.

    Parameters
    ----------
    setup
        What to run.
    out
        Takes every line of the report, which is TAP.
    endpoint
        What to test instead of what the setup says.

    Raises
    ------
    MissingError
        When something that a guest needs is not to be had.
    RuntimeError
        When the endpoint does not come up.
    """
    tests = selected(Options(setup.sizes, setup.only))
    tree = devicetree.load(setup.dts)
    notes: list[str] = []
    stock = _selftest if setup.program == "selftest" else _pcitest
    with tempfile.TemporaryDirectory(prefix="epbell-run-") as own, contextlib.ExitStack() as stack:
        release, boot, plans, listen = stock(setup, tests, tree, Path(own) / "initrd.gz", lambda text: out(f"# {text}"))
        log = new_log(packages.folder() / "log", f"{setup.program}-{setup.endpoint}-{setup.dts.stem}")
        served = stack.enter_context(endpoint or device(setup, lambda text: out(f"# {text}")))
        served.start()
        tap = TapWriter(out)
        tap.begin(len(plans), len({test.case for test in tests}))
        tap.note(heading(f"Linux {release} on {_what(setup)}", tree, setup.windows, setup.msix))
        listener = listen(plans, tap)
        began = time.monotonic()
        slow = setup.endpoint == "rtl" if setup.slow is None else setup.slow
        with Guest(boot, log, setup.limit, slow=slow) as guest:
            served.attach(guest.link, guest.qtest)
            for line in guest.lines(lambda: not served.failed()):
                listener.line(line)
            gone = served.failed()
        for line in guest.lines(lambda: False):  # what it said while it was ended
            listener.line(line)
        complaints = _complaints(guest, listener, gone, setup, log)
        try:
            figures = served.finish()
            notes += _notes(figures, listener, began)
            complaints += _wrong_doorbell(setup, plans, listener, figures)
        except RuntimeError as error:
            complaints.append(str(error))
    if listener.ended is None:
        listener.give_up("the guest did not come to its end")
    for note in [*notes, *complaints, f"the guest's log: {log}"]:
        tap.note(note)
    tap.finish()
    return tap.good and not complaints and listener.ended is not None


_Listener = pcitest.Listener | kselftest.Relay
_Stock = tuple[str, Boot, list[pcitest.Plan], Callable[[Sequence[pcitest.Plan], TapWriter], _Listener]]


def _pcitest(setup: Setup, tests: Sequence[SelfTest], tree: DeviceTree, initrd: Path, say: Out) -> _Stock:
    """Return what Debian 12's kernel runs: its release, what to boot, what that does, and who listens."""
    have = packages.provide(say)
    plans = pcitest.plan(
        tests,
        sizes=setup.sizes,
        bar_sizes=setup.bar_sizes,
        reserved=tree.endpoint.fixed_bar,
        no_doorbell=_no_doorbell(setup, tree),
        rings=setup.rings,
        msix=setup.msix,
    )
    ring = programs.compiled("ring", packages.folder() / "programs")
    modules = [have.modules / f"{name}.ko" for name in _DRIVERS]
    script = pcitest.script(plans)
    initramfs.write(initrd, busybox=have.busybox, modules=modules, programs=[have.pcitest, ring], script=script)
    return have.release, Boot(have.qemu, have.kernel, initrd), plans, pcitest.Listener


def _selftest(setup: Setup, tests: Sequence[SelfTest], tree: DeviceTree, initrd: Path, say: Out) -> _Stock:
    """Return the same of the newest kernel and its selftest."""
    have, kernel = packages.provide(say), newest.provide(say)
    left_out = {"dma": "no DMA engine: the endpoint's function never answers"}
    too_slow: dict[str, str] = {}
    if setup.endpoint == "rtl":
        left_out["memcpy"] = "a megabyte by the endpoint's CPU takes the RTL longer than the selftest waits"
        too_slow[_SUBRANGE] = "the endpoint's CPU fills both halves, which takes the RTL as long as the kernel waits"
    plans = kselftest.plan(
        tests,
        {**left_out, **too_slow},
        bar_sizes=setup.bar_sizes,
        msix=setup.msix,
        windows=setup.windows or tree.endpoint.inbound_windows,
        reserved=tree.endpoint.fixed_bar,
        no_doorbell=_no_doorbell(setup, tree),
    )
    script = kselftest.script(tuple(left_out), tuple(too_slow))
    modules, own = [kernel.module], [kernel.selftest]
    initramfs.write(initrd, busybox=have.busybox, modules=modules, programs=own, script=script)
    return kernel.release, Boot(have.qemu, kernel.kernel, initrd), plans, kselftest.Relay


def _no_doorbell(setup: Setup, tree: DeviceTree) -> str:
    """Return why there is no doorbell on a device tree, empty if there is one; of yours the models of both ends say."""
    known = doorbells.foreseen(setup.dts, setup.windows)
    if known is not None:
        return known.refusal
    target = ModelTarget(tree, bar_sizes=setup.bar_sizes, windows=setup.windows, msix_vectors=setup.msix)

    async def ring() -> str:
        driver = await target.bring_up()
        await driver.set_irqtype(_MSI)
        return target.software.function.reason if await driver.doorbell_test() else ""

    return target.platform.run(ring())


def _wrong_doorbell(
    setup: Setup, plans: Sequence[pcitest.Plan], listener: _Listener, figures: Figures
) -> list[str]:
    """Return what is wrong with the endpoint's doorbell, if the guest has tested it."""
    known = doorbells.foreseen(setup.dts, setup.windows)
    tested = listener.ended is not None and any(plan.name.endswith("DOORBELL_TEST") for plan in plans)
    wrong = known.complaint(figures.doorbell, figures.reason) if known is not None and tested else ""
    return [wrong] if wrong else []


def _what(setup: Setup) -> str:
    if setup.endpoint == "model":
        return "the models"
    return f"the RTL, {setup.width} bits {'with' if setup.stalls else 'without'} stalls"


def _complaints(guest: Guest, listener: _Listener, gone: bool, setup: Setup, log: Path) -> list[str]:
    """Return what is wrong apart from the tests' results."""
    found = [f"the guest's kernel complains: {line}" for line in guest.complaints]
    if guest.timed_out:
        found.append(f"the guest was ended after {setup.limit:.0f} s: it waits for something, or --limit is too short")
    elif listener.ended is None and gone:
        found.append("the endpoint has ended before the guest")
    elif listener.booted is None:
        found.append(f"the guest did not boot: see {log}")
    elif listener.bound is None:
        found.append("the guest's driver did not bind to the endpoint")
    return found


def _notes(figures: Figures, listener: _Listener, began: float) -> list[str]:
    """Return what is worth telling at the end."""
    why = f" ({figures.reason})" if figures.reason else ""
    notes = [f"doorbell {figures.doorbell or 'none'}{why}"]
    if listener.booted is not None and listener.ended is not None:
        boot, tests = listener.booted - began, listener.ended - listener.booted
        notes.append(f"boot {boot:.1f} s, tests {tests:.1f} s")
    memory = figures.reads + figures.writes
    accesses = f"{memory} accesses of BARs, {figures.config} of configuration space, {figures.interrupts} interrupts"
    notes.append(f"{accesses}, {figures.clocks} clocks" if figures.clocks else accesses)
    if listener.seconds:
        rate = listener.accesses / listener.seconds
        whole = f"{listener.accesses} accesses by the driver's tests of whole BARs in {listener.seconds:.1f} s"
        notes.append(f"{whole}, the program's start included: {rate:.0f}/s")
    return notes
