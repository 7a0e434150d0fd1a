"""Runs two guests on both sides of a non-transparent bridge, from packages to figures."""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from epbell_models.selftest.tap import TapWriter
from epbell_tb.guest import initramfs, ntb_test, packages
from epbell_tb.guest.machine import Boot, Guest, new_log
from epbell_tb.guest.ntb_test import SIDES, NtbListener
from epbell_tb.guest.two_guests import Socket

__all__ = [
    "Bridge",
    "NtbSetup",
    "run",
]

Out = Callable[[str], None]
_LOOK_S = 0.2


class Bridge(Protocol):
    """What is between the guests; ``with`` ends it."""

    def __enter__(self) -> Bridge:
        """Prepare nothing yet."""
        ...

    def __exit__(self, *_: object) -> None:
        """End it."""
        ...

    def start(self) -> None:
        """Bring it up, so that guests can come."""
        ...

    def attach(self, host: Socket, peer: Socket) -> None:
        """Take both guests; the sockets are no longer the caller's."""
        ...

    def failed(self) -> bool:
        """Whether it has ended: no guest gets an answer any more."""
        ...

    def finish(self) -> list[str]:
        """Wait until both guests have gone; return what is worth telling, RuntimeError when something is wrong."""
        ...


@dataclass(frozen=True)
class NtbSetup:
    """What the guests do.

    Attributes
    ----------
    name
        Of the logs.
    title
        What is between the guests, for the report.
    size
        Bytes of each file.
    pings
        How often each guest pings.
    patience
        Seconds that a guest waits for anything.
    limit
        Wall-clock seconds after which the guests are ended.
    slow
        See `Guest`.
    """

    name: str
    title: str
    size: int = 256 << 10
    pings: int = 20
    patience: int = 30
    limit: float = 300.0
    slow: bool = False


def run(setup: NtbSetup, bridge: Bridge, out: Out) -> bool:
    """Run both guests; return whether nothing has failed.

    Parameters
    ----------
    setup
        What they do.
    bridge
        What is between them.
    out
        Takes every line of the report, which is TAP.

    Raises
    ------
    MissingError
        When something that a guest needs is not to be had.
    RuntimeError
        When the endpoint does not come up.
    """
    have = packages.provide(lambda text: out(f"# {text}"))
    logs = {side: new_log(packages.folder() / "log", f"{setup.name}-{side}") for side in SIDES}
    complaints: list[str] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="epbell-run-") as own, bridge:
        boots = {side: Boot(have.qemu, have.kernel, _initrd(Path(own), setup, side, have)) for side in SIDES}
        bridge.start()
        tap = TapWriter(out)
        tap.begin(len(ntb_test.TESTS), 1)
        tap.note(f"Linux {have.release} twice, on both sides of {setup.title}")
        listener = NtbListener(tap, setup.size)
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            guests = {
                side: stack.enter_context(Guest(boots[side], logs[side], setup.limit, slow=setup.slow))
                for side in SIDES
            }
            bridge.attach(*((guest.link, guest.qtest) for guest in guests.values()))
            for side, line in _lines(guests, lambda: not (listener.over or bridge.failed())):
                listener.line(side, line)
            complaints += _complaints(guests, listener, setup)
        try:
            notes += bridge.finish()
        except RuntimeError as error:
            complaints.append(str(error))
    notes.append(f"{time.monotonic() - began:.1f} s in all")
    listener.give_up()
    for note in [*notes, *complaints, *(f"the {side}'s log: {log}" for side, log in logs.items())]:
        tap.note(note)
    tap.finish()
    return tap.good and not complaints


def _initrd(folder: Path, setup: NtbSetup, side: str, have: packages.Packages) -> Path:
    initrd = folder / f"{side}.gz"
    initramfs.write(
        initrd,
        busybox=have.busybox,
        modules=[have.modules / f"{name}.ko" for name in ntb_test.MODULES],
        programs=[],
        script=ntb_test.script(side, size=setup.size, pings=setup.pings, seconds=setup.patience),
        options=ntb_test.options(),
    )
    return initrd


def _lines(guests: dict[str, Guest], alive: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    """Yield what the guests print, as it comes, until both have ended or there is no point in going on."""
    said: queue.Queue[tuple[str, str | None]] = queue.Queue()
    stop = threading.Event()

    def listen(side: str, guest: Guest) -> None:
        for line in guest.lines(lambda: not stop.is_set()):
            said.put((side, line))
        said.put((side, None))

    threads = [threading.Thread(target=listen, args=one, daemon=True) for one in guests.items()]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running and alive():
            try:
                side, line = said.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if line is None:
                running -= 1
            else:
                yield side, line
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _complaints(guests: dict[str, Guest], listener: NtbListener, setup: NtbSetup) -> list[str]:
    """Return what is wrong apart from the tests' results."""
    found = [f"the {side}'s kernel complains: {line}" for side, guest in guests.items() for line in guest.complaints]
    if any(guest.timed_out for guest in guests.values()):
        found.append(f"the guests were ended after {setup.limit:.0f} s: one waits, or --limit is too short")
    if listener.failed:
        found.append(listener.failed)
    elif not listener.over:
        found.append("the guests did not come to their end")
    return found
