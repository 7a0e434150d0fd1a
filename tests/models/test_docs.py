"""What docs/models.md names exists; that its examples run is the business of tests/sim/test_code_blocks.py."""

import re
from pathlib import Path

import epbell_models

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def test_modules_of_the_table_exist():
    root = Path(epbell_models.__file__).parent
    packages = ("linux", "host", "ntb")
    rows = re.findall(rf"^\| `({'|'.join(packages)})/([\w ]+)`", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {f"{package}/{name}" for package, names in rows for name in names.split()}
    found = {f"{p.parent.name}/{p.stem}" for package in packages for p in (root / package).glob("[a-z]*.py")}
    assert found - named == {"linux/boot"}
    assert named <= found


def test_every_row_of_the_table_has_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_doorbell_abi*.py"))
    rows = {int(number) for number in re.findall(r"def test_row(\d+)_", tests)}
    assert rows == set(range(1, 32))
