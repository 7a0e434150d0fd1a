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
LOCK = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
SETTINGS = tomli.loads(PYPROJECT)
EXTRAS = SETTINGS["project"]["optional-dependencies"]
DECLARED = [*SETTINGS["project"]["dependencies"], *(name for extra in EXTRAS.values() for name in extra)]
ENTRIES = [entry for entry in re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", LOCK, flags=re.MULTILINE)) if entry.strip()]
LOCKED = [Requirement(entry.partition(" \\\n")[0]) for entry in ENTRIES]
# The hosts by which a lock file or a log would give away where it was made.
REGISTRIES = re.compile(
    r"(?:pypi|pythonhosted|npmjs|crates|deb\.debian|devpi|artifactory|nexus)\.[a-z.]*(?:org|com|io|net)"
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|root|work|tmp|opt|Users|mnt|srv)/[\w.]")


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return [PROJECT / name for name in listing.stdout.split("\0") if name and (PROJECT / name).is_file()]


@pytest.mark.parametrize("line", DECLARED)
def test_direct_dependency_is_locked_to_an_allowed_version(line):
    declared = Requirement(line)
    pins = [entry for entry in LOCKED if canonicalize_name(entry.name) == canonicalize_name(declared.name)]
    assert pins, f"{declared.name} is not in requirements.lock"
    for pin in pins:
        (exact,) = pin.specifier
        assert exact.operator == "=="
        assert declared.specifier.contains(exact.version), f"{pin} does not satisfy {declared}"


def test_every_entry_is_exact_and_hashed():
    assert len(ENTRIES) > 40
    for entry, pin in zip(ENTRIES, LOCKED, strict=True):
        assert [specifier.operator for specifier in pin.specifier] == ["=="]
        assert pin.url is None
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), pin.name


def test_lock_names_no_place():
    assert "://" not in LOCK
    assert not re.search(r"--(index|extra-index|find-links|trusted)", LOCK)


def test_build_backend_is_the_locked_one():
    assert {Requirement(line) for line in SETTINGS["build-system"]["requires"]} == {
        Requirement(line) for line in EXTRAS["build"]
    }


@pytest.mark.parametrize("name", [Requirement(line).name for line in DECLARED])
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
