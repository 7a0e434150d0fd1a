"""docs/tiers.md: its scenarios are those that there are. That its example runs is test_code_blocks.py's business."""

import re
from pathlib import Path

from epbell_tb.tier_scenarios import SCENARIOS

TEXT = (Path(__file__).parents[2] / "docs" / "tiers.md").read_text(encoding="utf-8")


def test_each_scenario_is_in_the_table():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| model, wire", TEXT, flags=re.MULTILINE))
    assert list(rows) == list(SCENARIOS)
    for name, intent in rows.items():
        assert (SCENARIOS[name].__doc__ or "").startswith(intent), name
