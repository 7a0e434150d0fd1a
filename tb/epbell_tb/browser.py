"""What looks at pages as a reader does: the machine's Chromium, and Playwright from the package index, which drives it.

Playwright is in an environment of its own, ``browser`` in that of the project, since it is large and nothing else needs
it; it is installed from ``requirements-browser.lock`` when it is first asked for. The browser itself is the machine's.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from epbell_tb.installation import Installation
from epbell_tb.toolchain import ToolError

__all__ = ["LOCK", "chromium", "python"]

LOCK = "requirements-browser.lock"
"""Name of the lock file of what drives the browser."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ENVIRONMENT = "browser"


def chromium() -> str:
    """Return the path of the machine's Chromium or Chrome.

    Raises
    ------
    ToolError
        If there is none.
    """
    for name in _BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    names = ", ".join(_BROWSERS)
    raise ToolError(f"none of {names} found; install one: `apt-get install chromium` (Debian, Ubuntu)")


def python() -> Path:
    """Return a Python that has Playwright, which is installed first if it is missing, or not what the lock file says.

    Raises
    ------
    ToolError
        If it cannot be installed.
    """
    installation = Installation(venv=Path(sys.prefix) / _ENVIRONMENT, lock=LOCK)
    installation.ensure_packages()
    return installation.python
