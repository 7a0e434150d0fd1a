"""Tests that run the same design stay in one worker of xdist, which keeps what it has compiled."""

from pathlib import Path
from typing import Any

import pytest

UNIT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        module: Any = getattr(item, "module", None)
        rig = getattr(module, "Rig", None)
        if rig is not None and UNIT in item.path.parents and item.get_closest_marker("xdist_group") is None:
            width = getattr(item, "callspec", None) and item.callspec.params.get("width")
            item.add_marker(pytest.mark.xdist_group(f"{rig.__module__}-{width or module.__name__}"))
