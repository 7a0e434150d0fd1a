"""`make sim`: what it prints and writes, how it ends, and that nothing but success looks like success."""

import json
import os
import re
from pathlib import Path

import pytest

from epbell_models import devicetree
from epbell_tb import cli, records, runner, sim, sim_options
from epbell_tb.installation import PROJECT
from epbell_tb.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).parent
KEYS = ["name", "tree", "width", "stalls", "verdict", "rings", "irqs", "merged"]
KEYS += ["cycles_to_irq_min", "cycles_to_irq_max"]
TREE = ("--tree", "imx8")
PLANTED = ("planted_pass", "planted_failure", "planted_silence", "planted_nowhere")


@pytest.fixture
def planted(monkeypatch):
    """Scenarios that pass, fail, do nothing and do not exist, beside a real one."""
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    real = next(scenario for scenario in SCENARIOS if scenario.name == "ring_each_vector")
    fakes = tuple(Scenario(name, "planted_bench", "") for name in PLANTED)
    monkeypatch.setattr(sim_options, "SCENARIOS", (real, *fakes))


@pytest.fixture
def no_build(monkeypatch):
    """Nothing may be built."""

    def refuse(*_, **__):
        raise AssertionError("something was built")

    monkeypatch.setattr(runner, "build", refuse)


@pytest.mark.xdist_group("256-flowing-imx8")
def test_verdicts(planted, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(PROJECT)
    status = sim.main(["--width", "256", "--stalls", "off", "--seed", "5", "--report", str(tmp_path)])
    out = capfd.readouterr().out
    content = json.loads((tmp_path / "summary.json").read_text())
    rows = {row["name"]: row for row in content["scenarios"]}
    assert status == 1
    assert content.keys() == {"date", "scenarios", "trees", "versions"}
    assert content["versions"].keys() >= {"epbell", "cocotb", "amaranth"}
    assert all(list(row) == [*KEYS, "seed"] for row in content["scenarios"])
    assert list(rows) == ["ring_each_vector", *PLANTED]
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "ring_each_vector": "pass",
        "planted_pass": "pass",
        "planted_failure": "fail",
        "planted_silence": "fail",
        "planted_nowhere": "missing",
    }
    real = rows["ring_each_vector"]
    assert (real["width"], real["stalls"], real["seed"]) == (256, False, 5)
    assert real["rings"] >= 4
    assert real["irqs"] >= 4
    assert real["cycles_to_irq_min"] == 2
    assert rows["planted_pass"]["merged"] == 1
    assert rows["planted_failure"]["rings"] is None
    assert "planted_failure, imx8, 256 bits, stalls off: fail: planted on purpose" in out
    assert "    replay: make sim SEED=5 WIDTH=256 SCENARIO=planted_failure STALLS=off TREE=imx8\n" in out
    assert "planted_silence, imx8, 256 bits, stalls off: fail: it passed without saying what happened" in out
    assert "planted_nowhere, imx8, 256 bits, stalls off: missing: it did not run" in out
    assert "2 pass, 2 fail, 1 missing in" in out
    assert "2 - 5" in out, "cycles to irq"
    assert f"to look at: {tmp_path / 'index.html'}" in out
    check_report(tmp_path, real)


def check_report(folder, real):
    """Compare the pages, and the record of the real scenario, with what the summary says of it."""
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert all(f'data-name="{name}"' in page for name in ("ring_each_vector", *PLANTED))
    failing = page.partition("How long interrupts take")[0]
    assert "planted on purpose" in failing
    assert "make sim SEED=5 WIDTH=256 SCENARIO=planted_failure STALLS=off TREE=imx8" in failing
    run = folder / "imx8-usp256-stalls-off"
    assert [path.name for path in run.glob("*.record.js")] == ["ring_each_vector.record.js"]
    found = records.read(records.file_of(run, "ring_each_vector"))
    assert (found["name"], found["seed"], found["left_out"]["number"]) == ("ring_each_vector", 5, 0)
    names = {kind: ("kind", *columns) for kind, columns in found["columns"].items()}
    entries = [dict(zip(names[entry[0]], entry, strict=True)) for entry in found["entries"]]
    rings = [entry for entry in entries if "rings vector" in entry.get("meaning", "")]
    rises = [entry for entry in entries if entry["kind"] == "line" and entry["level"]]
    assert len(rings) == real["rings"]
    assert len(rises) == real["irqs"]
    latencies = [rise["first"] - ring["first"] for ring, rise in zip(rings, rises, strict=True)]
    assert min(latencies) == real["cycles_to_irq_min"]
    assert {entry["kind"] for entry in entries} >= {"request", "write", "read", "line"}


@pytest.mark.xdist_group("256-flowing-imx8")
def test_no_record(planted, tmp_path, capfd):
    arguments = ["--width", "256", "--stalls", "off", "--scenario", "ring_each_vector", "--report", str(tmp_path)]
    assert sim.main([*arguments, "--no-record"]) == 0, capfd.readouterr()
    assert not list(tmp_path.rglob("*.record.js"))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'data-name="ring_each_vector"' in page
    assert "ladder.html#" not in page


@pytest.mark.xdist_group("256-flowing-imx8")
def test_json_alone_on_stdout(planted, tmp_path, capfd):
    arguments = ["--width", "256", "--stalls", "off", "--scenario", "planted_pass", "--json", "--report", str(tmp_path)]
    assert sim.main(arguments) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out) == json.loads((tmp_path / "summary.json").read_text())
    assert "1 pass in" in captured.err


@pytest.fixture
def dead(monkeypatch):
    """A simulator that ends before it has any results, and a build that takes no time."""
    build = runner.Build("epbell_endpoint_usp64", Path("nowhere"), False, 0.0)
    monkeypatch.setattr(sim, "build_variant", lambda *_, **__: build)

    def die(*_, **__):
        raise runner.SimulationError("exit status 1; see nowhere/run.log\nthe end of the log")

    monkeypatch.setattr(runner, "run", die)


def test_simulator_that_dies(dead, tmp_path, capfd):
    name = SCENARIOS[0].name
    assert sim.main(["--width", "64", "--scenario", name, *TREE, "--waves", "--report", str(tmp_path)]) == 1
    out = capfd.readouterr().out
    rows = json.loads((tmp_path / "summary.json").read_text())["scenarios"]
    assert [(row["stalls"], row["verdict"]) for row in rows] == [(False, "missing"), (True, "missing")]
    assert "exit status 1; see nowhere/run.log\nthe end of the log" in out
    assert f"waves: {tmp_path / 'imx8-usp64-stalls-on' / 'dump.vcd'}" in out


def test_replay_of_everything_that_was_given(dead, tmp_path, capfd, monkeypatch):
    mine = tmp_path / "my tree.dts"
    mine.write_text(devicetree.builtin().read_text())
    monkeypatch.chdir(tmp_path)
    arguments = ["--width", "64", "--scenario", "bar_test", "--stalls", "on", "--dts", "my tree.dts", "--bars", "wide"]
    arguments += ["--msix", "port"]
    assert sim.main([*arguments, "--thorough", "--report", str(tmp_path)]) == 1
    wanted = f"epbell sim --seed 1 --width 64 --scenario bar_test --stalls on --dts '{mine}'"
    assert f"    replay: {wanted} --bars wide --msix port --thorough\n" in capfd.readouterr().out


def test_without_icarus_the_remedy_is_named_before_anything_is_built(no_build, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(runner, "source", None)
    assert cli.main(["sim", "--sim", "icarus", "--report", str(tmp_path / "report")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("epbell: iverilog and vvp not found on PATH; install Icarus Verilog 11 or newer with ")
    assert "`apt-get install iverilog`" in line
    assert "or use Verilator" in line
    assert not (tmp_path / "report").exists()


def test_replay_names_the_simulator(dead, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sim.toolchain.Icarus(Path("iverilog"), "11.0")
    monkeypatch.setattr(sim.toolchain, "find_icarus", lambda: found)
    kept = []
    monkeypatch.setattr(sim.verdicts, "merge", lambda *found: kept.append(found))
    arguments = ["--sim", "icarus", "--width", "64", "--stalls", "on", "--scenario", "bar_test", *TREE, "--waves"]
    assert sim.main([*arguments, "--report", str(tmp_path)]) == 1
    out = capfd.readouterr().out
    wanted = "epbell sim --sim icarus --seed 1 --width 64 --scenario bar_test --stalls on --tree imx8"
    assert f"    replay: {wanted}\n" in out
    assert f"waves: {tmp_path / 'imx8-usp64-stalls-on-icarus' / 'dump.fst'}" in out
    assert not kept, "a verdict of Icarus was taken for one of Verilator"


def test_list_says_what_each_scenario_shows(no_build, capsys):
    assert cli.main(["sim", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    widths = {scenario.name: "" if len(scenario.widths) == 4 else "; 64 and 256 bits" for scenario in SCENARIOS}
    assert "; 64 and 256 bits" in widths.values()
    assert lines[::2] == [f"{one.name} ({', '.join(one.trees)}{widths[one.name]})" for one in SCENARIOS]
    assert lines[1::2] == [f"    {scenario.intent}" for scenario in SCENARIOS]
    assert all(re.fullmatch(r"    [A-Z].{20,}[.]", line) for line in lines[1::2])
    assert cli.main(["sim", "--list", "--scenario", "bar_test", "--tree", "hdma"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "value", "remedy"),
    [
        (["--width", "65"], "65", "a width must be one of 64, 128, 256, 512"),
        (["--width", ""], "''", "a width must be one of 64, 128, 256, 512"),
        (["--seed", "many"], "many", "a number from 0 to"),
        (["--seed", "-1"], "-1", "a number from 0 to"),
        (["--jobs", "0"], "0", "a number from 1 to 64"),
        (["--stalls", "perhaps"], "perhaps", "on, off or both"),
        (["--scenario", "ring_each_vectr"], "ring_each_vectr", "did you mean 'ring_each_vector'?"),
        (["--scenario", "xyzzy"], "xyzzy", "(a part of) one of enumerate_and_size_bars, "),
        (["--scenario", ""], "''", "(a part of) one of"),
        (["--bars", "many"], "many", "everyday, linux, wide"),
        (["--tree", "imx9"], "imx9", "it must be one of imx8, imx8-edma, rk3588, hdma, msi-enospc, msi-enomem"),
        (["--tree", ""], "''", "a file of your own goes to --dts"),
        (["--tree", "msi-enomem", "--scenario", "bar_test"], "msi-enomem", "they run on imx8"),
        (["--tree", "imx8", "--dts", __file__], "--dts", "not allowed with argument --tree"),
        (["--dts", "no/such.dts"], "no/such.dts", "a device tree file that can be read"),
        (["--colour"], "--colour", "usage: epbell sim"),
        (["--sim", "ghdl"], "ghdl", "choose from"),
        (["--sim", "icarus", "--coverage"], "--coverage", "needs --sim verilator"),
    ],
)
def test_wrong_argument(arguments, value, remedy, no_build, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["sim", *arguments])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert value in said
    assert remedy in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("options", "value"), [((), "0"), (("--thorough",), "1")])
def test_benches_are_told_to_be_thorough(options, value, dead, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(runner, "run", lambda *_, env, **__: seen.append(env["EPBELL_THOROUGH"]) or [])
    where = ("--width", "64", "--stalls", "off", *TREE, "--scenario", "bar_test", "--report", str(tmp_path))
    assert sim.main([*where, *options]) == 1
    assert seen == [value]


def test_parts_of_names():
    chosen = sim_options.parse(["--scenario", "bar_test,masked_then"]).scenarios
    # bar_test is a name, and not a part of consecutive_bar_test then.
    assert [scenario.name for scenario in chosen] == ["bar_test", "ring_masked_then_unmask"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("\t\tmsi-controller;\n", "mailbox@5d270000: 'msi-controller' is a required property"),
        ("\t\tnum-ib-windows = <6>;\n", "pcie_ep@5f010000: 'num-ib-windows' is a required property"),
        ('\t\treg-names = "processor-a-side", "processor-b-side";\n', "'reg-names' is a required property"),
        ("\t#address-cells = <1>;\n", None),
    ],
)
def test_device_tree_complaint(line, complaint, no_build, tmp_path, capfd):
    text = devicetree.builtin().read_text()
    assert line in text
    mine = tmp_path / "mine.dts"
    mine.write_text(text.replace(line, "" if complaint else "\t#address-cells = <1>\n", 1))
    assert sim.main(["--dts", str(mine), "--report", str(tmp_path)]) == 1
    said = capfd.readouterr().err
    assert f"{mine}:" in said
    assert complaint is None or complaint in said
    assert "Traceback" not in said


def test_device_tree_that_no_endpoint_can_have(no_build, tmp_path, capfd):
    mine = tmp_path / "mine.dts"
    mine.write_text(devicetree.builtin().read_text().replace("0x5d300000 0x10000", "0x5d308000 0x10000"))
    assert sim.main(["--dts", str(mine), "--report", str(tmp_path)]) == 1
    said = capfd.readouterr().err
    assert f"{mine}: The base address of 'mu_b' must be a multiple of 64 KiB below 2**64, not 0x5d308000" in said


@pytest.mark.xdist_group("own tree")
def test_own_device_tree(tmp_path, capfd):
    """Another layout of the Messaging Unit, other addresses, another number of windows: the RTL is built for it."""
    text = devicetree.builtin().read_text()
    for old, new in (
        ("fsl,imx8ulp-mu-msi", "fsl,imx7ulp-mu-msi"),
        ("0x5d270000", "0x4a270000"),
        ("0x5d300000", "0x4a300000"),
        ("num-ib-windows = <6>", "num-ib-windows = <8>"),
    ):
        assert old in text
        text = text.replace(old, new)
    mine = tmp_path / "mine.dts"
    mine.write_text(text)
    arguments = ["--dts", str(mine), "--width", "256", "--stalls", "off", "--report", str(tmp_path)]
    status = sim.main([*arguments, "--scenario", "ring_each_vector,doorbell_test_ten_times"])
    assert status == 0, capfd.readouterr()
    rows = json.loads((tmp_path / "summary.json").read_text())["scenarios"]
    assert [row["verdict"] for row in rows] == ["pass", "pass"]
