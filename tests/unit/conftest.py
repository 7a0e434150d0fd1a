"""Tests of a design of one width stay in one worker of xdist, which keeps what it has compiled."""

from pathlib import Path
from typing import Any

import pytest

UNIT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        module: Any = getattr(item, "module", None)
        rig = getattr(module, "Rig", None)
        if rig is None or UNIT not in item.path.parents or item.get_closest_marker("xdist_group") is not None:
            continue
        width = getattr(item, "callspec", None) and item.callspec.params.get("width")
        if width:
            item.add_marker(pytest.mark.xdist_group(f"{rig.__module__}-{width}"))
