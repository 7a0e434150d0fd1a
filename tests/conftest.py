"""What holds for every test: no options of an outer make, the versions in the header, bounded random search."""

import os
from pathlib import Path

import hypothesis
import pytest

from epbell_tb import toolchain
from epbell_tb.installation import MAKE_VARIABLES

SIMULATION = Path(__file__).parent / "sim"

# The tests start simulators' builds; options and variables of the make that started us are not for them.
for name in MAKE_VARIABLES:
    os.environ.pop(name, None)

# A busy machine stalls now and then: a time limit for one example would fail at random, and every test has one anyway.
hypothesis.settings.register_profile("epbell", deadline=None, print_blob=True)
hypothesis.settings.load_profile("epbell")


def pytest_report_header() -> str:
    return "tools: " + ", ".join(f"{name} {version}" for name, version in toolchain.versions().items())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SIMULATION in item.path.parents:
            item.add_marker(pytest.mark.simulation)


@pytest.hookimpl(specname="pytest_collection_modifyitems", trylast=True)
def pytest_keep_groups_together(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell xdist which tests belong together: version 3.8 writes the group to a field that pytest 9.2 does not have."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")
