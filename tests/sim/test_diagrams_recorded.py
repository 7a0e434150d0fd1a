"""The timing diagrams are those of the RTL as it is, and show what the documents say."""

import re
from pathlib import Path

import pytest

from epbell_tb import runner
from epbell_tb.docs import record
from epbell_tb.docs.diagrams import DIAGRAMS, spans, wavejson

PROJECT = Path(__file__).parents[2]
#: Arrow -> the row of a table in the README whose column for 256 bits has the same figure.
ROWS = {
    "first CQ beat to irq_mu": "first CQ beat of a doorbell write to `irq_mu`",
    "first CQ beat to irq_edma": "first CQ beat of a doorbell write to `irq_edma`",
    "first beat of the first ring to irq_mu":
        "likewise of the first one after an inbound window was written, either line",
    "first CQ beat to first CC beat": "round trip of a read of one dword, first CQ beat to first CC beat",
    "MSIX_RAISE to first RQ beat":
        "CPU's write of MSIX_RAISE accepted to first RQ beat, the vector's table entry read from RAM",
    "MSI_RAISE to cfg_interrupt_msi_int": "CPU's write of MSI_RAISE accepted to `cfg_interrupt_msi_int`",
}  # fmt: skip

pytestmark = pytest.mark.xdist_group("readme")


@pytest.fixture(scope="module")
def traces():
    return record.record()


def test_every_diagram_is_recorded(traces):
    assert set(traces) == set(DIAGRAMS)
    for name, diagram in DIAGRAMS.items():
        drawn = wavejson(diagram, traces[name])
        assert 5 <= len(drawn["signal"][0]["wave"]) <= 24, f"{name} is too wide, or nothing happens in it"
        assert all(set(line["wave"]) != {"0"} for line in drawn["signal"])


def test_counts_are_those_of_the_readme(traces):
    text = (PROJECT / "README.md").read_text()
    counted = {name: count for key, trace in traces.items() for name, count in spans(DIAGRAMS[key], trace).items()}
    for arrow, row in ROWS.items():
        cells = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", text, flags=re.MULTILINE)[1].split("|")
        assert counted[arrow] == int(cells[2]), arrow
    assert "write handshake on side B's AXI4-Lite port to `a_irq` 1 clock" in text
    assert counted["write handshake to a_irq"] == 1


def test_same_rtl_same_trace(traces):
    """What a reader sees does not depend on the run."""
    assert record.record() == traces


def test_trace_that_is_missing_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "build", lambda module, **_: runner.Build(module, tmp_path, False, 0.0))
    monkeypatch.setattr(runner, "run", lambda *_, **__: [])
    with pytest.raises(runner.SimulationError, match=f"nothing recorded {', '.join(sorted(DIAGRAMS))}"):
        record.record()


def test_bench_that_fails_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "build", lambda module, **_: runner.Build(module, tmp_path, False, 0.0))
    monkeypatch.setattr(runner, "run", lambda *_, **__: [runner.Result("ring_mu", False, 0, 0, "no ring")])
    with pytest.raises(runner.SimulationError, match="has no diagrams: ring_mu: no ring"):
        record.record()
