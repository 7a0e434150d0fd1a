"""`make bench`: the goals of the project, and that one that is missed or not measured is told."""

import json
import re
from pathlib import Path

import pytest

from epbell_tb import bench, bench_tiers, figures, runner

GOALS = {
    ("host_write_to_irq", "64"): 4,
    ("host_write_to_irq", "128"): 3,
    ("host_write_to_irq", "256"): 2,
    ("host_write_to_irq", "512"): 2,
    **{("first_" + name, width): goal for name in ("host_write_to_irq", "host_write_to_irq_edma")
       for width, goal in {"64": 12, "128": 11, "256": 10, "512": 10}.items()},
    ("doorbells_sustained", "64"): 3,
    ("doorbells_sustained", "128"): 2,
    ("doorbells_sustained", "256"): 1,
    ("doorbells_sustained", "512"): 1,
    ("host_write_to_irq_edma", "64"): 4,
    ("host_write_to_irq_edma", "128"): 3,
    ("host_write_to_irq_edma", "256"): 2,
    ("host_write_to_irq_edma", "512"): 2,
    ("edma_doorbells_sustained", "64"): 3,
    ("edma_doorbells_sustained", "128"): 2,
    ("edma_doorbells_sustained", "256"): 1,
    ("edma_doorbells_sustained", "512"): 1,
    ("edma_write_to_irq", "edma"): 1,
    ("edma_writes_sustained", "edma"): 1,
    **{(name, layout): 1 for layout in ("imx6sx", "imx7ulp", "imx8ulp")
       for name in ("mu_write_to_irq", "mu_doorbells_sustained")},
}  # fmt: skip


def test_goals():
    assert {(figure.name, subject): goal for figure in bench.FIGURES for subject, goal in figure.goals.items()} == GOALS


@pytest.mark.parametrize(
    ("value", "goal", "verdict"), [(2, 2, "pass"), (2.004, 2, "MISSED"), (1, 2, "pass"), (9, None, "")]
)
def test_judge(value, goal, verdict):
    assert bench.judge(value, goal) == verdict


REPORTED = (
    *("read_round_trip", "read_256", "read_4096", "read_bytes_per_clock", "raise_to_rq", "raise_to_msi_port"),
    *("cycles_per_second", "doorbells_per_second"),
)
MEASURED = {**GOALS, **{(name, str(width)): 7 for name in REPORTED for width in bench.WIDTHS}}


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Benches that report what the test wants, without a simulator; changes by (figure, subject)."""
    changes = {}
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(runner, "build", lambda module, **_: runner.Build(module, Path("nowhere"), False, 0.0))

    def run(build, name, *, env, expected):
        monkeypatch.setenv(figures.VARIABLE, env[figures.VARIABLE])
        subject = build.module.removeprefix("epbell_endpoint_usp").removeprefix("epbell_mu_").removeprefix("epbell_")
        for figure, about in MEASURED:
            if about == subject:
                values = changes.get((figure, subject), [MEASURED[figure, subject]])
                if values:
                    figures.append(figure=figure, values=values)
        return [runner.Result(f"test{n}", True, 0, 0, "") for n in range(expected)]

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr(bench_tiers, "measure", lambda repeats, say: [])
    return changes


def verdict(tmp_path, figure, subject):
    entries = json.loads((tmp_path / "report" / "bench.json").read_text())["figures"]
    return next(entry for entry in entries if (entry["figure"], entry["subject"]) == (figure, subject))


def test_everything_at_its_goal(measured, tmp_path, capsys):
    assert bench.main([]) == 0
    out = capsys.readouterr().out
    assert "4 / 3 / 2 / 2" in out
    assert "MISSED" not in out
    assert len(json.loads((tmp_path / "report" / "bench.json").read_text())["figures"]) == len(MEASURED)
    for title in (
        "read, first CQ to first CC beat",
        "256 bytes read, first CQ to last CC",
        "4 KiB read, first CQ to last CC",
        "reads of 4 KiB back to back",
        "MSIX_RAISE written to first RQ beat",
        "MSI_RAISE written to MSI port",
    ):
        assert re.search(rf"│ {title} +│ +7 │ +7 │ +7 │ +7 │", out)


def test_one_slow_ring_misses_the_goal(measured, tmp_path, capsys):
    measured["host_write_to_irq", "256"] = [2, 2, 3, 2]
    assert bench.main([]) == 1
    assert "MISSED" in capsys.readouterr().out
    entry = verdict(tmp_path, "host_write_to_irq", "256")
    assert (entry["verdict"], entry["value"], entry["minimum"]) == ("MISSED", 3, 2)


@pytest.mark.parametrize(
    ("figure", "subject"), [("mu_write_to_irq", "imx6sx"), ("read_round_trip", "512"), ("raise_to_rq", "64")]
)
def test_what_was_not_measured_is_no_success(figure, subject, measured, capsys):
    measured[figure, subject] = []
    assert bench.main([]) == 1
    assert f"{figure} was not measured for {subject}" in capsys.readouterr().err


def test_bench_that_fails(measured, monkeypatch, capsys):
    monkeypatch.setattr(runner, "run", lambda *_, **__: [runner.Result("it", False, 0, 0, "planted")])
    assert bench.main(["--width", "64"]) == 1
    assert "epbell_endpoint_usp64: it failed: planted" in capsys.readouterr().err


@pytest.mark.xdist_group("256-flowing")
def test_real_figures_at_256_bits(capsys):
    """The benches themselves, on the RTL."""
    assert bench.main(["--what", "clocks", "--width", "256", "--repeats", "1", "--json"]) == 0
    found = {(entry["figure"], entry["subject"]): entry for entry in json.loads(capsys.readouterr().out)["figures"]}
    for key, goal in GOALS.items():
        if key in found:
            assert found[key]["value"] <= goal
    assert found["host_write_to_irq", "256"]["samples"] == 16
    assert found["host_write_to_irq_edma", "256"]["samples"] == 16
    assert [found[f"first_host_write_to_irq{line}", "256"]["samples"] for line in ("", "_edma")] == [4, 4]
    assert found["edma_write_to_irq", "edma"]["samples"] == 16
    assert found["read_round_trip", "256"]["value"] >= 2
    # Of 256 bits there are 32 bytes in a clock at the most, and three dwords before every 256 of them.
    assert 9 + 2 <= found["read_256", "256"]["value"] <= 9 + 31
    assert 16 * 9 + 2 <= found["read_4096", "256"]["value"] <= 16 * 9 + 31
    assert 25 <= found["read_bytes_per_clock", "256"]["value"] <= 32 * 256 / (256 + 12)
    for name, most in (("raise_to_rq", 37), ("raise_to_msi_port", 11)):
        entry = found[name, "256"]
        assert entry["samples"] == 16
        assert 1 <= entry["minimum"] <= entry["maximum"] <= most
    assert found["cycles_per_second", "256"]["value"] > 1000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--width", "32"], "not '32'"), (["--repeats", "0"], "not '0'"), (["--what", "all"], "not 'all'")],
)
def test_wrong_argument(arguments, text, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def tier_values(**changes):
    values = {
        (tier, figure): [1000.0 * factor] * 3
        for tier, factor in (("reference", 1), ("model", 8), ("metal", 300), ("limit", 600))
        for figure in ("writes", "reads", "idle")
        if (tier, figure) != ("limit", "reads")
    }
    return {**values, **{tuple(name.split("_")): value for name, value in changes.items()}}


@pytest.fixture
def tiers(measured, monkeypatch):
    """Tiers that are as fast as the test wants."""

    def become(values):
        found = [bench_tiers._figure(values, tier, figure) for tier, figure in values]
        monkeypatch.setattr(bench_tiers, "measure", lambda repeats, say: found)

    return become


def test_the_tiers_are_multiples_of_the_reference(tiers, tmp_path, capsys):
    tiers(tier_values())
    assert bench.main(["--what", "tiers"]) == 0
    out = capsys.readouterr().out
    assert "300.0x" in out
    assert "MISSED" not in out
    entries = json.loads((tmp_path / "report" / "bench.json").read_text())["tiers"]
    metal = next(entry for entry in entries if (entry["tier"], entry["figure"]) == ("metal", "writes"))
    assert (metal["ratio"], metal["of_limit"], metal["goal"], metal["verdict"]) == (300, 0.5, 250, "pass")


@pytest.mark.parametrize(
    ("slow", "value"),
    [("model_reads", 2499), ("model_idle", 5900), ("metal_writes", 249_000)],
)
def test_a_slow_tier_misses_its_goal(slow, value, tiers, capsys):
    tiers(tier_values(**{slow: [1e9, value, 0.0]}))  # its median counts
    assert bench.main(["--what", "tiers"]) == 1
    assert "MISSED" in capsys.readouterr().out


def test_a_tier_that_fails_is_told(measured, monkeypatch, capsys):
    def fail(repeats, say):
        raise runner.SimulationError("planted")

    monkeypatch.setattr(bench_tiers, "measure", fail)
    assert bench.main(["--what", "tiers"]) == 1
    assert "epbell: planted" in capsys.readouterr().err


def test_figures_file(tmp_path, monkeypatch):
    path = tmp_path / "figures.jsonl"
    assert figures.read(path) == []
    assert figures.count(path) == 0
    monkeypatch.setenv(figures.VARIABLE, str(path))
    figures.append(figure="it", values=[1])
    with path.open("a") as out:
        out.write('{"half a li')
    assert figures.count(path) == 1
    with pytest.raises(ValueError, match=r"Line 2 of .* must be a JSON object, not '{\"half a li'"):
        figures.read(path)
    assert figures.read(path, cut=True) == [{"figure": "it", "values": [1]}]
    path.write_text('{"half a li\n')
    with pytest.raises(ValueError, match=r"Line 1 of .* must be a JSON object"):
        figures.read(path, cut=True)
