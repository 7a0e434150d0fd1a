"""A run of the regression that simulates nothing: it says that it passed, or does something to whoever runs it.

``--do`` is a word and, behind a colon, a file: ``pass``; ``die`` kills its worker, ``die-once`` if the file is not
there; ``wait`` writes its number to the file and takes a minute; ``lose`` kills the process whose number is in the file
and removes that.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil


def worker():
    """The process of the worker: behind that which keeps this one alive."""
    return psutil.Process().parent().parent()


def main(words):
    given = dict(zip(words[::2], words[1::2], strict=True))
    what, _, name = given["--do"].partition(":")
    file = Path(name)
    if int(given["--seed"]) == int(given["--at"]):
        if what == "wait":
            file.write_text(str(os.getpid()))
            time.sleep(60)
        if what == "die" or (what == "die-once" and not file.exists()):
            if name:
                file.touch()
            time.sleep(2)  # a nanny that is still busy with the start of a worker does not start another one
            worker().kill()
            time.sleep(60)
        if what == "lose" and file.exists():
            lost = int(file.read_text())
            file.unlink()
            os.kill(lost, signal.SIGKILL)
            time.sleep(60)
    print(json.dumps({"verdict": "pass", "cycles": 10, "seconds": 0.1, "reason": "", "replay": "stub"}))


if __name__ == "__main__":
    main(sys.argv[1:])
