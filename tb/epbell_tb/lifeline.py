"""A command that ends when the process that started it does, whatever ended that, and all that the command started.

``python -m epbell_tb.lifeline COMMAND...`` runs a command until it ends, or until standard input is closed: a starter
that is killed closes it too. The command is then interrupted, as by Ctrl-C; what is still there after some seconds is
killed, in whichever session it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["TimeLimitError", "UnwantedError", "call", "main"]

_POLL_S = 0.2
_GRACE_S = 5.0
_SIGNALLED = 128  # and the signal's number: the exit status of a command that one ended, as a shell gives it


class UnwantedError(Exception):
    """Nobody waits for the command any longer; it was ended."""


class TimeLimitError(Exception):
    """The command took longer than it may; it was ended."""


def call(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    out: Path,
    limit: float,
    wanted: Callable[[], bool] = lambda: True,
) -> int:
    """Run a command; it ends with this process at the latest.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    cwd : Path
        Folder in which it runs.
    env : mapping
        Its environment.
    out : Path
        File of its standard output; that of its errors has ``.err`` behind its name.
    limit : float
        Seconds that it may take.
    wanted : callable
        Asked several times a second whether somebody still waits for it.

    Returns
    -------
    int
        Exit status; 128 and the number of the signal that ended it.

    Raises
    ------
    UnwantedError, TimeLimitError
        If it was ended for that.
    """
    start = time.monotonic()
    whole = [sys.executable, "-m", "epbell_tb.lifeline", *command]
    errors = out.with_name(f"{out.name}.err")
    with (
        out.open("wb") as stdout,
        errors.open("wb") as stderr,
        subprocess.Popen(
            whole, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, start_new_session=True
        ) as process,
    ):
        # Leaving the context closes standard input, and waits.
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_S)
            if not wanted():
                raise UnwantedError
            if time.monotonic() - start > limit:
                raise TimeLimitError(f"not ended after {limit:.0f} s")


def main(command: Sequence[str]) -> int:
    """Run a command until it ends or standard input does; return its exit status."""
    # Who was started in the background ignores Ctrl-C, and so would the command.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        watch = _Watch(process)
        watch.start()
        code = process.wait()
        if watch.ending:
            watch.join()
    return code if code >= 0 else _SIGNALLED - code


class _Watch(threading.Thread):
    """Ends a process, and what it has started, when standard input ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.ending = False
        self._process = process

    def run(self) -> None:
        """Wait for that."""
        while os.read(0, 4096):
            pass
        self.ending = True
        import psutil  # here alone: a command that is not interrupted need not wait for it

        process = psutil.Process(self._process.pid)
        below: set[psutil.Process] = set()
        deadline = time.monotonic() + _GRACE_S
        with contextlib.suppress(psutil.NoSuchProcess):
            below |= set(process.children(recursive=True))
            process.send_signal(signal.SIGINT)
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                below |= set(process.children(recursive=True))
                time.sleep(_POLL_S / 4)
            process.kill()
        for one in below:
            with contextlib.suppress(psutil.NoSuchProcess):  # it knows a number that was given anew
                one.kill()


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # the thread that reads standard input does not end
