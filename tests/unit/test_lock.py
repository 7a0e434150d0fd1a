"""Declared, locked, shipped: every dependency pinned, hashed and explained; no machine's path in any file."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
PYPROJECT = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
LOCKS = {path.name: path.read_text(encoding="utf-8") for path in sorted(PROJECT.glob("requirements*.lock"))}
SETTINGS = tomli.loads(PYPROJECT)
EXTRAS = SETTINGS["project"]["optional-dependencies"]
DECLARED = {
    "requirements.lock": [*SETTINGS["project"]["dependencies"], *(name for extra in EXTRAS.values() for name in extra)],
    **{f"requirements-{name}.lock": lines for name, lines in SETTINGS["dependency-groups"].items()},
}


FEWEST = {
    "requirements.lock": 40,
    "requirements-formal.lock": 5,
    "requirements-browser.lock": 1,
    "requirements-docs.lock": 30,
    "requirements-fpga.lock": 5,
}


def entries(lock):
    text = re.sub(r"^#.*\n", "", LOCKS[lock], flags=re.MULTILINE)
    return [entry for entry in re.split(r"\n(?=\w)", text) if entry.strip()]


def pins(lock):
    return [Requirement(entry.partition(" \\\n")[0]) for entry in entries(lock)]


# The hosts by which a lock file or a log would give away where it was made.
REGISTRIES = re.compile(
    r"(?:pypi|pythonhosted|npmjs|crates|deb\.debian|devpi|artifactory|nexus)\.[a-z.]*(?:org|com|io|net)"
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|root|work|tmp|opt|Users|mnt|srv)/[\w.]")


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return [PROJECT / name for name in listing.stdout.split("\0") if name and (PROJECT / name).is_file()]


@pytest.mark.parametrize(("lock", "line"), [(lock, line) for lock in DECLARED for line in DECLARED[lock]])
def test_direct_dependency_is_locked_to_an_allowed_version(lock, line):
    declared = Requirement(line)
    found = [entry for entry in pins(lock) if canonicalize_name(entry.name) == canonicalize_name(declared.name)]
    assert found, f"{declared.name} is not in {lock}"
    for pin in found:
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert declared.specifier.contains(exact.version), f"{pin} does not satisfy {declared}"


@pytest.mark.parametrize(("lock", "fewest"), list(FEWEST.items()))
def test_every_entry_is_exact_and_hashed(lock, fewest):
    assert len(entries(lock)) > fewest
    for entry, pin in zip(entries(lock), pins(lock), strict=True):
        assert [specifier.operator for specifier in pin.specifier] == ["=="]
        assert pin.url is None
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), pin.name


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place(lock):
    assert "://" not in LOCKS[lock]
    assert not re.search(r"--(index|extra-index|find-links|trusted)", LOCKS[lock])


def test_build_backend_is_the_locked_one():
    assert {Requirement(line) for line in SETTINGS["build-system"]["requires"]} == {
        Requirement(line) for line in EXTRAS["build"]
    }


@pytest.mark.parametrize("name", [Requirement(line).name for lines in DECLARED.values() for line in lines])
def test_dependency_has_a_reason(name):
    line = next(line for line in PYPROJECT.splitlines() if re.match(rf'\s+"{re.escape(name)}\W', line))
    reason = line.rpartition('",')[2].strip()
    assert re.match(r"# \w", reason), f"{name} has no comment that says why it is there"
    assert len(reason.split()) >= 4


@pytest.mark.parametrize("path", committed(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_file_names_a_machine_or_a_registry(path):
    text = path.read_bytes().decode("utf-8", errors="replace")
    if path == Path(__file__):
        return
    assert not MACHINE_PATH.search(text), MACHINE_PATH.search(text)
    assert not REGISTRIES.search(text), REGISTRIES.search(text)


@pytest.mark.parametrize("text", ["see /home/me/x", "'/work/a'", "file:///tmp/b"[7:], "-I/opt/include"[2:]])
def test_machine_path_is_recognised(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["sim_build/tmp/x", "$HOME/work/x", "models/work/y", "https://host.example/tmp/"])
def test_relative_path_is_not_taken_for_one(text):
    assert not MACHINE_PATH.search(text)


def test_wheel_carries_the_data_and_the_command(tmp_path):
    """Register maps and device trees are not Python, and are what an installed package lacks first."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
        (entry_points,) = (archive.read(name).decode() for name in shipped if name.endswith("entry_points.txt"))
    assert "epbell = epbell_tb.cli:entry_point" in entry_points
    for root in ("rtl", "models", "tb"):
        sources = {path.relative_to(PROJECT / root) for path in committed() if PROJECT / root in path.parents}
        assert sources
        assert {str(path) for path in sources} <= shipped
    assert any(name.endswith(".rdl") for name in shipped)
    assert any(name.endswith(".dts") for name in shipped)
    assert not any(name.startswith("tests/") for name in shipped)
