"""The library of the wire and metal tiers: what is compiled again when something changes, and what is kept."""

import pytest

from epbell_tb import runner
from epbell_tb.native import build

MODULE = "epbell_endpoint_usp64"


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Nothing is compiled: return the list of what would have been."""
    done = []

    def verilate(folder, *_):
        done.append(f"RTL in {folder.parent.name}")

    def link(*arguments):
        done.append("C++")
        arguments[3].touch()

    text = runner.source(MODULE)
    monkeypatch.setattr(runner, "source", lambda *_: text)
    monkeypatch.setattr(runner, "sim_build", lambda: tmp_path)
    monkeypatch.setattr(build, "_verilate", verilate)
    monkeypatch.setattr(build, "_runtime", lambda *_: tmp_path)
    monkeypatch.setattr(build, "_link", link)
    return done


def edited(monkeypatch, tmp_path, text):
    """Let the C++ around the endpoint have another text."""
    folder = tmp_path / "sources"
    folder.mkdir(exist_ok=True)
    for name in build._SOURCES:
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(build, "_HERE", folder)


def test_the_same_library_is_compiled_once(compiled):
    assert build.library(MODULE) == build.library(MODULE)
    assert compiled == [f"RTL in native-{MODULE}", "C++"]


def test_slow_and_fast_ones_leave_each_other_alone(compiled):
    fast, slow = build.library(MODULE), build.library(MODULE, quick=True)
    assert compiled == [f"RTL in native-{MODULE}", "C++", f"RTL in native-{MODULE}-quick", "C++"]
    assert build.library(MODULE) == fast
    assert build.library(MODULE, quick=True) == slow
    assert len(compiled) == 4
    assert fast.exists()


def test_a_planted_defect_and_another_text_of_the_c_compile_no_rtl(compiled, monkeypatch, tmp_path):
    whole = build.library(MODULE)
    assert build.library(MODULE, lose=3).parent == whole.parent
    edited(monkeypatch, tmp_path, "// another one\n")
    assert build.library(MODULE) != whole
    assert compiled == [f"RTL in native-{MODULE}", "C++", "C++", "C++"]
    assert whole.exists()


def test_the_newest_two_are_kept(compiled, monkeypatch, tmp_path):
    found = []
    for number in range(4):
        edited(monkeypatch, tmp_path, f"// {number}\n")
        found.append(build.library(MODULE))
    assert [path.exists() for path in found] == [False, False, True, True]
    assert compiled == [f"RTL in native-{MODULE}", *["C++"] * 4]
    (root,) = {path.parents[2] for path in found}
    text = runner.source(MODULE)
    for number in range(3):
        monkeypatch.setattr(runner, "source", lambda *_, number=number: f"{text}// {number}\n")
        build.library(MODULE)
    folders = [path for path in root.iterdir() if path.is_dir()]
    assert len(folders) == 2
    assert not found[-1].exists()


def test_what_was_not_verilated_to_its_end_is_begun_anew(compiled):
    made = build.library(MODULE)
    (made.parents[1] / "done").unlink()
    build.library(MODULE)
    assert compiled == [f"RTL in native-{MODULE}", "C++"] * 2
