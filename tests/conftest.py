"""What holds for every test: no options of an outer make, the versions in the header, bounded random search.

Tests that are marked ``long`` or ``guest`` are left out unless ``-m`` speaks of them. At the end of a session the
verdict of each test goes to ``sim_build/report/verdicts.json``, which `epbell testplan` reads.
"""

import gc
import os
import re
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from epbell_tb import toolchain, verdicts
from epbell_tb.installation import MAKE_VARIABLES

SIMULATION = Path(__file__).parent / "sim"

# The tests start simulators' builds; options and variables of the make that started us are not for them.
for name in MAKE_VARIABLES:
    os.environ.pop(name, None)

# Designs are large and live long: looking through them for garbage as often as Python does takes a seventh of the time.
gc.set_threshold(50_000, 20, 20)

# A busy machine stalls now and then: a time limit for one example would fail at random, and every test has one anyway.
hypothesis.settings.register_profile("epbell", deadline=None, print_blob=True)
hypothesis.settings.load_profile("epbell")


def pytest_report_header() -> str:
    return "tools: " + ", ".join(f"{name} {version}" for name, version in toolchain.versions().items())


LEFT_OUT = pytest.StashKey[set[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if SIMULATION in item.path.parents:
            item.add_marker(pytest.mark.simulation)
    leave_out(config, items)


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is too long, or wants QEMU and Debian's packages, unless it is asked for."""
    spoken_of = config.option.markexpr or ""
    unasked = [marker for marker in ("long", "guest") if not re.search(rf"\b{marker}\b", spoken_of)]
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in unasked)]
    config.stash[LEFT_OUT] = {item.nodeid.partition("::")[0] for item in left_out}
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class Recorder:
    """The verdicts of a session, also of one that several workers run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.found: dict[str, str] = {}
        self.partly: set[str] = set()
        self.began = time.monotonic()
        self.spent = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.spent += report.duration
        name = dict(report.user_properties).get("id", report.nodeid)
        if report.failed:
            self.found[name] = verdicts.FAIL
        elif report.when == "call" or report.skipped:
            self.found.setdefault(name, verdicts.PASS if report.passed else verdicts.SKIP)

    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist says which files it did not run in full."""
        self.partly |= set(getattr(node, "workeroutput", {}).get("partly", ()))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if not self.found:
            return
        self.partly |= self.config.stash.get(LEFT_OUT, set())
        date = verdicts.now()
        found = {name: verdicts.Verdict(verdict, date) for name, verdict in self.found.items()}
        complete = {name.partition("::")[0] for name in found} - self.partly if self.is_whole(exitstatus) else ()
        root = self.config.rootpath
        verdicts.merge(verdicts.report_folder(root) / verdicts.TESTS, found, complete, root)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell how long the tests took and how long the session did: several workers must be worth it."""
        workers = getattr(self.config.option, "numprocesses", None)
        if workers:
            took = time.monotonic() - self.began
            terminalreporter.write_line(f"{self.spent:.0f} s of tests in {took:.0f} s on {workers} workers")

    def is_whole(self, exitstatus: int) -> bool:
        """Whether each file of which a test ran has run to its end, with all its tests."""
        option = self.config.option
        chosen = option.keyword or option.markexpr or option.deselect or option.maxfail or getattr(option, "lf", False)
        by_name = any("::" in argument for argument in self.config.args)
        return exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not chosen and not by_name


class Worker:
    """One worker of several: it tells the session which files it did not run in full."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def pytest_sessionfinish(self) -> None:
        self.config.workeroutput["partly"] = sorted(self.config.stash.get(LEFT_OUT, set()))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(config), "epbell-left-out")
    else:
        config.pluginmanager.register(Recorder(config), "epbell-verdicts")


@pytest.hookimpl(specname="pytest_collection_modifyitems", trylast=True)
def pytest_keep_groups_together(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell xdist which tests belong together: version 3.8 writes the group to a field that pytest 9.2 does not have."""
    for item in items:
        item.user_properties.append(("id", item.nodeid))
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")
