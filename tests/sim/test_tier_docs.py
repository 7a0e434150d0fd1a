"""docs/tiers.md: its scenarios are those that there are, and its example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from epbell_tb.tier_scenarios import SCENARIOS

TEXT = (Path(__file__).parents[2] / "docs" / "tiers.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.xdist_group("metal")


def test_each_scenario_is_in_the_table():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| model, wire", TEXT, flags=re.MULTILINE))
    assert list(rows) == list(SCENARIOS)
    for name, intent in rows.items():
        assert (SCENARIOS[name].__doc__ or "").startswith(intent), name


def test_the_example_prints_what_it_says():
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=300, check=True)
    assert run.stdout == "(0, b'\\x0b\\x00\\x00\\x00') 999\n999\n"
