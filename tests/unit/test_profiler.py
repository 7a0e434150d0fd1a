"""`epbell profile`: what counts of py-spy's samples, whose it is, and what the picture shows."""

import xml.etree.ElementTree as ElementTree

import pytest

from epbell_tb import cli, profiler, runner

_PYTHON = 'process 1:"python -c runner.run"'
_SIMULATOR = 'process 2:"/builds/epbell_endpoint_usp256/1f/epbell_endpoint_usp256"'
_LOOP = "EventLoop.run (/venv/site-packages/cocotb/_event_loop.py:53)"
_BENCH = "model_speed (/checkout/tb/epbell_tb/benches/tier_model.py:40)"
_PACK = "Tlp_us.pack_us_cq (/venv/site-packages/cocotbext/pcie/xilinx/us/tlp.py:130)"
_ENUM = "Enum.__hash__ (/python/enum.py:1230)"
_JUDGE = "Scoreboard.request (/checkout/tb/epbell_tb/endpoint/scoreboard.py:160)"


def raw(*lines):
    return [f"{_PYTHON};{';'.join(frames)} {count}" for *frames, count in lines]


def test_only_the_simulation_counts():
    found = profiler.stacks(
        raw(
            (_SIMULATOR, "load_entry (/pygpi/entry.py:42)", "import (/importlib.py:1)", 50),
            ("wait (/python/subprocess.py:1264)", 70),
            (_SIMULATOR, "start (/pygpi/entry.py:1)", _LOOP, _BENCH, 3),
            (_SIMULATOR, _LOOP, _BENCH.replace(":40)", ":41)"), 4),
            (_SIMULATOR, 5),
        )
    )
    assert dict(found) == {(_LOOP.replace(":53", ""), _BENCH.replace(":40", "")): 7, (): 5}


def test_a_sample_is_of_the_innermost_layer_and_the_standard_library_of_its_caller():
    found = profiler.stacks(
        raw(
            (_SIMULATOR, _LOOP, _BENCH, _PACK, _ENUM, 4),
            (_SIMULATOR, _LOOP, _BENCH, 1),
            (_SIMULATOR, _LOOP, _JUDGE, 2),
            (_SIMULATOR, _LOOP, 1),
            (_SIMULATOR, 8),
        )
    )
    assert profiler.shares(found) == {
        "simulator and RTL": 0.5,
        "cocotbext-pcie: packets, hard block, streams": 0.25,
        "monitors and scoreboard": 0.125,
        "host, hard block and bench": 1 / 16,
        "cocotb: event loop, triggers, pins": 1 / 16,
    }


def test_the_picture_has_a_box_for_each_function_as_wide_as_its_share():
    odd = "<a & b> (/x.py:1)"
    found = profiler.stacks(raw((_SIMULATOR, _LOOP, _BENCH, 3), (_SIMULATOR, _LOOP, odd, 1), (_SIMULATOR, 4)))
    drawn = ElementTree.fromstring(profiler.flame_graph(found, "<title>"))
    space = {"svg": "http://www.w3.org/2000/svg"}
    boxes = {
        group.findtext("svg:title", namespaces=space): float(group.find("svg:rect", space).get("width"))
        for group in drawn.findall("svg:g", space)
    }
    assert boxes == {
        "simulation": 1200, "EventLoop.run (_event_loop.py), 50.0%": 600,
        "model_speed (tier_model.py), 37.5%": 450, "<a & b> (x.py), 12.5%": 150,
    }  # fmt: skip
    assert "/checkout" not in profiler.flame_graph(found, "")


def test_what_is_no_sample_is_an_error():
    with pytest.raises(ValueError, match="ends with a number of samples; this one is 'frame;frame none'"):
        profiler.stacks(["frame;frame none"])


def test_a_missing_py_spy_is_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(profiler.sys, "executable", str(tmp_path / "python"))
    assert cli.main(["profile"]) == 1
    assert "py-spy not found; install it: `.venv/bin/python -m pip install py-spy`" in capsys.readouterr().err


def test_samples_of_a_run_are_printed_as_a_table(monkeypatch, capsys, tmp_path):
    spy = tmp_path / "py-spy"
    lines = " ".join(f"'{line}'" for line in raw((_SIMULATOR, _LOOP, _BENCH, 3), (_SIMULATOR, 1)))
    spy.write_text(f"#!/bin/sh\nwhile [ $1 != -o ]; do shift; done\nprintf '%s\\n' {lines} > $2\n")
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(profiler.sys, "executable", str(tmp_path / "python"))
    built = runner.Build("m", tmp_path / "sim_build" / "m" / "1f", False, 0.0)
    monkeypatch.setattr(runner, "build", lambda *_, **__: built)
    picture = tmp_path / "flames.svg"
    assert cli.main(["profile", "--picture", str(picture)]) == 0
    rows = "| host, hard block and bench | 75.0% |", "| simulator and RTL | 25.0% |"
    assert capsys.readouterr().out.splitlines() == ["| layer | share of 4 samples |", "|---|---|", *rows]
    assert "model_speed" in picture.read_text()
