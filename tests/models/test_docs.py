"""The examples in docs/models.md run, and what it names exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import epbell_models

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.mark.parametrize(("number", "printed"), [(0, "0"), (1, "1"), (2, "10.5 us")])
def test_example_prints_what_it_says(number, printed):
    examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(examples) == 3
    # The third says that it has the second's board.
    before = examples[1].partition("async def")[0] if number == 2 else ""
    example = before + examples[number]
    assert example.rstrip().endswith(f"# {printed}")
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == f"{printed}\n"


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
