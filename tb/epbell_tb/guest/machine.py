"""A guest: QEMU's process, a PC without disks whose one PCI device is ours.

Nothing of QEMU is left behind: the process is ended by its number, at the latest by a watchdog, since a kernel whose
interrupt was lost waits for ever. All that the guest prints is kept.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from epbell_tb.guest.attachment import SLOT

__all__ = [
    "WARNINGS",
    "Boot",
    "Guest",
    "complaint",
    "new_log",
]

WARNINGS = "dmesg -r | grep '^<[0-4]>'"
"""What a guest's shell does at its end: print the kernel's warnings, which do not come to the console by themselves."""

_MEMORY = "256M"
_ARGUMENTS = "console=ttyS0 panic=-1 nokaslr quiet no_timer_check mitigations=off iomem=relaxed"
_COMPLAINT = re.compile(
    r"Kernel panic|Oops:|BUG:|WARNING:|UBSAN:|Call Trace:|general protection fault"
    r"|(divide error|invalid opcode|stack segment|double fault|int3|bounds|segment not present): [0-9a-f]{4}\b"
    r"|rcu.*detected stall|kthread starved|soft lockup|blocked for more than|Out of memory|invoked oom-killer"
    r"|irq \d+: nobody cared|Disabling IRQ #\d+"
)
_SECONDS_TO_DIE = 10.0
_LOOK_S = 0.2
_LOGS = 50


def _arguments(slow: bool) -> str:
    return f"{_ARGUMENTS} idle=poll" if slow else _ARGUMENTS


def complaint(line: str) -> bool:
    """Return whether a line of a kernel's log tells of a crash, a stall or a hang."""
    return _COMPLAINT.search(line) is not None


def new_log(folder: Path, name: str) -> Path:
    """Return a file for a guest's log that no other run writes to, and forget all but the last runs' logs."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.log"), key=os.path.getmtime)[:-_LOGS]:
        old.unlink(missing_ok=True)
    descriptor, path = tempfile.mkstemp(".log", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-", folder)
    os.close(descriptor)
    return Path(path)


@dataclass(frozen=True)
class Boot:
    """What a guest boots: QEMU's program, an uncompressed kernel with a PVH entry, and an initial RAM disk."""

    qemu: Path
    kernel: Path
    initrd: Path


class Guest:
    """One QEMU, a context manager.

    Parameters
    ----------
    boot
        What to boot.
    log
        File for all that the guest prints.
    limit
        Wall-clock seconds after which it is ended.
    slow
        Whether the device may be slower than a kernel tolerates: the guest's time then is that of its instructions, a
        nanosecond each, and it never halts. So it stands still while the device is asked.

    Attributes
    ----------
    link
        Our end of the device's socket, from the start on.
    qtest
        Path of QEMU's test socket.
    timed_out
        Whether the watchdog ended it.
    complaints
        Lines in which the kernel tells of a crash.
    """

    def __init__(self, boot: Boot, log: Path, limit: float, *, slow: bool = False) -> None:
        self.timed_out = False
        self.complaints: list[str] = []
        self._boot = boot
        self._log = log
        self._limit = limit
        self._slow = slow
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Guest:
        with self._cleanup as cleanup:
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="epbell-guest-")))
            self.qtest = folder / "qtest"
            self.link, theirs = socket.socketpair()
            cleanup.callback(self.link.close)
            with theirs:
                self._process = subprocess.Popen(
                    self._command(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                )
            cleanup.callback(self._end)
            watchdog = threading.Timer(self._limit, self._time_out)
            watchdog.daemon = True
            watchdog.start()
            cleanup.callback(watchdog.cancel)
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def lines(self, alive: Callable[[], bool] = lambda: True) -> Iterator[str]:
        """Yield the lines that the guest prints, as they come, until it has ended.

        Parameters
        ----------
        alive
            Whether there is any point in waiting; asked some times a second. If not, what is there is still yielded.
        """
        while True:
            waits = alive()
            try:
                line = self._lines.get(waits, _LOOK_S)
            except queue.Empty:
                if waits:
                    continue
                return
            if line is None:
                return
            yield line

    def _command(self, descriptor: int) -> list[str]:
        boot = self._boot
        # Also where we are killed, no guest goes on without us.
        setpriv = shutil.which("setpriv")
        return [
            *((setpriv, "--pdeathsig", "KILL") if setpriv else ()),
            *(str(boot.qemu), "-M", "q35,memory-backend=mem", "-accel", "tcg", "-m", _MEMORY, "-smp", "1"),
            *("-cpu", "qemu64", "-object", f"memory-backend-memfd,id=mem,size={_MEMORY},share=on"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none"),
            *("-serial", "stdio", "-kernel", str(boot.kernel), "-initrd", str(boot.initrd)),
            *("-append", _arguments(self._slow)),
            *("-qtest", f"unix:{self.qtest},server=on,wait=off", "-qtest-log", "none"),
            *("-device", f"x-pci-proxy-dev,id=ep0,fd={descriptor},addr={SLOT:02x}.0"),
            *(("-icount", "shift=0,sleep=on") if self._slow else ()),
        ]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._log.open("wb") as log, self._process.stdout as said:
            for raw in said:
                log.write(raw)
                log.flush()
                line = raw.decode(errors="replace").rstrip("\r\n")
                if complaint(line):
                    self.complaints.append(line)
                self._lines.put(line)
        self._lines.put(None)

    def _time_out(self) -> None:
        self.timed_out = True
        self._process.kill()

    def _end(self) -> None:
        """End the process, if it has not ended."""
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_DIE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_SECONDS_TO_DIE)
