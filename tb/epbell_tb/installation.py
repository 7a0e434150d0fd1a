"""The project's own virtual environment: built from ``requirements.lock``, kept in step with it, and entered.

``python3 tb/epbell_tb/toolchain.py setup`` builds ``.venv`` beside ``pyproject.toml``; ``... run VERB`` does so when it
is missing or stale and then runs ``epbell VERB`` in it; ``... help`` prints the Makefile's targets. Only the standard
library is used, since this is what installs everything else.

A marker file in ``.venv`` tells the states apart. It is written as ``building`` before anything else and as ``ready``,
with what the folder was built from, after everything else: an interrupted set-up, a moved folder, another interpreter
and a changed lock file are seen and repaired. A complete ``.venv`` without a marker is somebody's own and is used as it
is; one that lacks packages gets them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from epbell_tb.toolchain import ToolError, check_build_tools, check_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "MAKE_VARIABLES",
    "PROJECT",
    "Installation",
    "main",
]

PROJECT = Path(__file__).resolve().parent.parent.parent
MAKE_VARIABLES = (
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"),
    *("ARGS", "BARS", "BAUD", "BLOCK", "BOARD", "DTS", "ONLY", "OUT", "PORT", "SCENARIO", "SEED", "SIM", "STALLS"),
    *("TARGET", "TEST", "TESTS", "TREE", "WAVES", "WIDTH"),
)
"""Variables by which a ``make`` hands its options, and what its user has set, to the programs that it starts."""

# Settings of the caller's Python must not lead the new environment's Python to other packages.
_PYTHON_VARIABLES = (*MAKE_VARIABLES, "PYTHONPATH", "PYTHONHOME", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER")
# What pip says before it comes to the point.
_NOT_TELLING = ("Ignoring ", "Looking in ", "WARNING: Location", "WARNING: Retrying", "Collecting ", "Processing ")
_MARKER = "epbell-setup.json"
_FOREIGN_NOTE = "using the .venv that is here, which `make setup` did not build; delete it to get the locked one"
# Settings of the linter, type checker and test runner are in pyproject.toml too, and change nothing that is installed.
_TOOL_SETTINGS = re.compile(r"^\[tool\.(?!hatch)[^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE)


class Installation:
    """The virtual environment of one source tree.

    Parameters
    ----------
    project : Path
        Folder that holds ``pyproject.toml`` and the lock file.
    venv : Path or None
        The environment; None: ``.venv`` beside ``pyproject.toml``.
    lock : str
        Name of the lock file.
    """

    def __init__(self, project: Path = PROJECT, *, venv: Path | None = None, lock: str = "requirements.lock") -> None:
        self.project = project
        self.venv = venv or project / ".venv"
        self.python = self.venv / "bin" / "python"
        self._lock_file = project / lock

    def state(self) -> str:
        """Judge the folder: ``ready``, ``project changed``, ``stale``, ``interrupted``, ``foreign`` or ``missing``."""
        marker = self._marker()
        if marker is None:
            return "foreign" if self.python.exists() and (self.venv / "pyvenv.cfg").exists() else "missing"
        if marker.get("state") != "ready":
            return "interrupted"
        if marker.get("environment") != self._environment_key() or not self.python.exists():
            return "stale"
        return "ready" if marker.get("project") == self._project_key() else "project changed"

    def ensure(self) -> bool:
        """Build or repair the environment where that is needed; safe to call from several processes at once.

        Returns
        -------
        bool
            Whether anything had to be done.

        Raises
        ------
        ToolError
            If Python is too old or lacks venv, a build tool is missing, or the packages cannot be installed.
        """
        return self._unless(("ready",), self._ensure)

    def ensure_packages(self) -> bool:
        """Build the environment where that is needed, of the lock file's packages alone: the project is not in it.

        Returns
        -------
        bool
            Whether anything had to be done.

        Raises
        ------
        ToolError
            If Python is too old or lacks venv, or the packages cannot be installed.
        """
        return self._unless(("ready", "project changed"), self._ensure_packages)

    def report(self) -> None:
        """Say which tools the environment will use; they are looked for in it, not here."""
        if subprocess.call([str(self.python), "-m", "epbell_tb.cli", "setup"], cwd=self.venv) != 0:
            raise ToolError("a tool is missing, see above")

    def enter(self, arguments: list[str]) -> None:
        """Replace this process by ``epbell`` with these arguments, inside the environment."""
        env = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
        # A command starts many Pythons. Who wants no bytecode beside the sources gets it, but not slow starts.
        if env.pop("PYTHONDONTWRITEBYTECODE", ""):
            env.setdefault("PYTHONPYCACHEPREFIX", str(self.venv / "pycache"))
        env["VIRTUAL_ENV"] = str(self.venv)
        env["PATH"] = os.pathsep.join([str(self.venv / "bin"), env.get("PATH", os.defpath)])
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(self.python, [str(self.python), "-m", "epbell_tb.cli", *arguments], env)

    def _unless(self, states: Sequence[str], build: Callable[[str], bool]) -> bool:
        """Build what is not in one of these states, one process at a time; return whether anything was done."""
        check_python()
        if self.state() in states:
            return False
        with self._exclusive():
            state = self.state()  # another process may have built it meanwhile
            return state not in states and build(state)

    def _ensure(self, state: str) -> bool:
        if state == "foreign" and not self._lacking():
            print(f"setup: {_FOREIGN_NOTE}", file=sys.stderr)
            return False
        check_build_tools()
        self._build(state)
        return True

    def _ensure_packages(self, state: str) -> bool:
        start = time.monotonic()
        self._create(state)
        self._install_packages()
        self._finish(start)
        return True

    def _build(self, state: str) -> None:
        start = time.monotonic()
        if state in ("interrupted", "stale", "missing"):
            self._create(state)
        else:
            self._check_ensurepip()
        self._write_marker({"state": "building"})
        if state != "project changed":
            self._install_packages()
        pip = [str(self.python), "-m", "pip", "install", "--no-input", "--no-deps", "--no-build-isolation"]
        self._run([*pip, "--editable", str(self.project)], "install the project")
        self._finish(start)

    def _create(self, state: str) -> None:
        """Build an environment with nothing in it, in place of what is there."""
        self._check_ensurepip()
        if self.venv.is_symlink():
            place = self.venv.resolve()
            raise ToolError(
                f"{self._shown()} is a link to {place}: building it would delete what is there; remove the link"
            )
        reason = {"interrupted": "an earlier set-up did not finish", "stale": "lock file, Python or folder changed"}
        print(f"setup: building {self._shown()} ({reason.get(state, 'first time')})", flush=True)
        self.venv.mkdir(parents=True, exist_ok=True)
        self._write_marker({"state": "building"})
        # The marker stays, so that a set-up which is killed while it deletes is known for what it is.
        for entry in self.venv.iterdir():
            if entry.name != _MARKER:
                _remove(entry)
        # Not sys.executable: that may be the very environment which was just removed.
        python = getattr(sys, "_base_executable", sys.executable)
        self._run([python, "-m", "venv", str(self.venv)], "create the virtual environment")

    def _shown(self) -> str:
        """Return the environment's folder, from the project's where that can be."""
        return os.path.relpath(self.venv, self.project) if self.project in self.venv.parents else str(self.venv)

    def _finish(self, start: float) -> None:
        self._write_marker({"state": "ready", "environment": self._environment_key(), "project": self._project_key()})
        print(f"setup: ready in {time.monotonic() - start:.0f} s", flush=True)

    def _install_packages(self) -> None:
        print(f"setup: installing the packages of {self._lock_file.name}", flush=True)
        command = [str(self.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        command += [
            "--progress-bar",
            "off",
            "--no-compile",
            "--retries",
            "2",
            "--require-hashes",
            "--requirement",
            str(self._lock_file),
        ]
        self._run(command, "install the packages", _Progress())

    def _run(self, command: list[str], purpose: str, progress: Callable[[str], None] | None = None) -> None:
        """Run one step, its output going to ``.venv/setup.log`` and line by line to `progress`."""
        log = self.venv / "setup.log"
        env = {name: value for name, value in os.environ.items() if name not in _PYTHON_VARIABLES}
        tail: list[str] = []
        with (
            log.open("a", encoding="utf-8") as record,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                env=env,
                cwd=self.venv,
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                record.write(line)
                if not line.startswith(_NOT_TELLING):
                    tail = [*tail[-9:], line.rstrip()]
                if progress is not None:
                    progress(line)
        if process.returncode != 0:
            raise ToolError(_explain(purpose, tail, log))

    def _lacking(self) -> list[str]:
        """Direct dependencies that a .venv of unknown origin does not have."""
        here = {_normal(path.name.split("-")[0]) for path in self.venv.glob("lib/python3*/site-packages/*.dist-info")}
        runtime = self._pyproject().partition("\ndependencies = [")[2].partition("\n]")[0]
        return [
            name for name in re.findall(r'^\s*"([A-Za-z0-9_.-]+)', runtime, re.MULTILINE) if _normal(name) not in here
        ]

    def _check_ensurepip(self) -> None:
        absent = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
        if absent:
            package = f"python3.{sys.version_info[1]}-venv"
            raise ToolError(
                f"{sys.executable} has no module {' or '.join(absent)}, which a virtual environment needs; "
                f"install it with `apt-get install python3-venv` (Debian, Ubuntu; or {package} for this very version), "
                "then run the command again"
            )

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the source folder itself as the lock, so that no file has to be left behind."""
        folder = os.open(self.project, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("setup: another set-up of this folder is running; waiting for it", file=sys.stderr, flush=True)
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _environment_key(self) -> str:
        interpreter = f"{sys.version}\n{os.path.realpath(sys.executable)}\n{self.venv}\n"
        return hashlib.sha256(interpreter.encode() + self._lock_file.read_bytes()).hexdigest()

    def _project_key(self) -> str:
        return hashlib.sha256(_TOOL_SETTINGS.sub("", self._pyproject()).encode()).hexdigest()

    def _pyproject(self) -> str:
        return (self.project / "pyproject.toml").read_text(encoding="utf-8")

    def _marker(self) -> dict[str, str] | None:
        try:
            return json.loads((self.venv / _MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}

    def _write_marker(self, content: dict[str, str]) -> None:
        fresh = self.venv / f"{_MARKER}.new"
        fresh.write_text(json.dumps(content), encoding="utf-8")
        fresh.replace(self.venv / _MARKER)


class _Progress:
    """Say every few seconds how many packages pip has fetched, and when it begins to unpack them."""

    _INTERVAL_S = 3.0

    def __init__(self) -> None:
        self._fetched = 0
        self._said = time.monotonic()

    def __call__(self, line: str) -> None:
        package = re.match(r"(?:Collecting|Processing) (?:\S*/)?([\w.-]+?)(?:==|-\d)", line)
        if package is not None:
            self._fetched += 1
            if time.monotonic() - self._said > self._INTERVAL_S:
                self._said = time.monotonic()
                print(f"setup:   {self._fetched} packages so far, now {package[1]}", flush=True)
        elif line.startswith("Installing collected packages"):
            print(f"setup:   {self._fetched} packages fetched, unpacking them (half a minute or less)", flush=True)


def main(arguments: list[str]) -> int:
    """Serve ``toolchain.py``: ``setup``, ``run VERB ...``, ``clean`` or ``help``.

    Returns
    -------
    int
        Exit status: 0, 1 if a tool is missing or the set-up failed, 2 if the verb is unknown.
    """
    verb, *rest = arguments or ["help"]
    installation = Installation()
    try:
        check_python()
        if verb == "setup":
            if not installation.ensure():
                print("setup: nothing to do", flush=True)
            installation.report()
        elif verb == "run":
            if installation.ensure():
                installation.report()
            installation.enter(rest)
        elif verb == "clean":
            _clean(installation.project)
        elif verb == "help":
            _print_targets(installation.project)
        else:
            print(f"toolchain.py knows setup, run, clean and help, not {verb!r}", file=sys.stderr)
            return 2
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output went away, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted; the next call repairs what is half done", file=sys.stderr)
        return 130
    return 0


def _print_targets(project: Path) -> None:
    for line in (project / "Makefile").read_text(encoding="utf-8").splitlines():
        match = re.match(r"([a-z]+):[^#]*## (.*)", line)
        if match is not None:
            print(f"  make {match[1]:8} {match[2]}", flush=True)


def _clean(project: Path) -> None:
    """Remove what the other commands make, except .venv."""
    for folder in ("build", "dist", ".pytest_cache", ".ruff_cache", ".hypothesis"):
        shutil.rmtree(project / folder, ignore_errors=True)
    for entry in (project / "sim_build").glob("*"):
        if entry.name != ".gitignore":
            _remove(entry)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _explain(purpose: str, tail: list[str], log: Path) -> str:
    text = "\n".join(f"    {line}" for line in tail)
    network = re.search(
        r"Connection|timed out|Temporary failure|Name or service|No matching distribution|Retrying|SSL|unreachable",
        text,
    )
    remedy = "the whole output is in " + str(log)
    if network is not None:
        remedy = (
            "the package index could not be reached or lacks the package: check the network, or name a mirror with "
            "PIP_INDEX_URL or a folder of wheels with PIP_FIND_LINKS, and run the command again; " + remedy
        )
    return f"could not {purpose}:\n{text}\n{remedy}"
