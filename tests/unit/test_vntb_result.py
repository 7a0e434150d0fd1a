"""What `epbell vntb` makes of the times that it is told: figures, goals, pictures, the table of costs."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest

from epbell_models.ntb.costs import NtbCosts
from epbell_tb.endpoint.ping_steps import STEPS
from epbell_tb.vntb_costs import COSTS, TABLE, per_ping_us
from epbell_tb.vntb_result import FEWEST, Pings, goals, of_lines

PERIOD_US = 5000.0
AT, HEARD = "doorbell's TLP at the endpoint", "endpoint's driver hears it"


def pings(backend, times, path=30.0):
    """Pings that are all path, but for what they wait at the endpoint."""
    steps = [{AT: 1.0, HEARD: 1.0 + time - path, "ping is over": time} for time in times]
    return Pings(backend, "tree", times, steps, {"period_us": PERIOD_US, "seconds": 1.0, "simulated": 1.0})


def evenly(low, high, count=FEWEST):
    return [low + (high - low) * number / (count - 1) for number in range(count)]


def test_figures():
    found = pings("mu", [float(number) for number in range(100, 0, -1)], path=0.5)
    assert found.median == 50.5
    assert found.p95 == 95
    assert found.path == pytest.approx(0.5)
    assert found.typical()["ping is over"] in (50, 51)
    entry = found.entry()
    assert (entry["min"], entry["max"], entry["median"], entry["p95"]) == (1, 100, 50.5, 95)
    assert entry["period_us"] == PERIOD_US


def test_lines_of_a_bench():
    lines = [{"ping": n, "us": 5.0 + n, "steps": {AT: 1.0, HEARD: 2.0}} for n in range(3)]
    found = of_lines("imx8", [*lines, {"backend": "mu", "period_us": PERIOD_US}])
    assert (found.backend, found.tree, found.times) == ("mu", "imx8", [5.0, 6.0, 7.0])
    assert found.summary == {"period_us": PERIOD_US}
    assert found.path == 5


@pytest.mark.parametrize(
    ("low", "high", "reached"),
    [(30, 5030, True), (30, 3000, False), (2000, 5030, True), (2100, 5100, False), (4000, 4200, False)],
)
def test_goal_of_polled(low, high, reached):
    (goal,) = goals([pings("polling", evenly(low, high))])
    assert goal.reached is reached
    assert "2530 us" in goal.text, "half a period and the path"


def test_goal_of_polled_needs_many():
    (goal,) = goals([pings("polling", evenly(30, 5030, FEWEST - 1))])
    assert goal.reached is None
    assert "not judged" in goal.text


@pytest.mark.parametrize("backend", ["mu", "edma"])
def test_goal_of_interrupts(backend):
    limit = 50 + per_ping_us()
    below, above = (goals([pings(backend, [limit + by] * 3)])[0] for by in (-0.1, 0.1))
    assert (below.reached, above.reached) == (True, False)


def test_table_of_costs_has_all():
    assert {cost.field for cost in TABLE} == {field.name for field in dataclasses.fields(NtbCosts)}
    assert pytest.approx({cost.field: cost.microseconds for cost in TABLE}) == {
        name: 1e6 * value for name, value in vars(COSTS).items()
    }
    assert all(cost.source for cost in TABLE)
    assert per_ping_us() == pytest.approx(2e6 * (COSTS.interrupt + COSTS.wakeup + COSTS.client))


def test_pictures(tmp_path):
    from epbell_tb import vntb_plots

    steps = [{name: 3.0 * row for row, name in enumerate(STEPS)}] * 2
    found = [Pings(name, "tree", [30.0, 31.0], steps, {"period_us": PERIOD_US}) for name in ("polling", "mu", "edma")]
    paths = vntb_plots.draw(found, tmp_path)
    assert [path.name for path in paths] == ["vntb-pings.svg", "vntb-timeline.svg"]
    texts = ["".join(ElementTree.parse(path).getroot().itertext()) for path in paths]
    for name in ("polled", "Messaging Unit", "eDMA"):
        assert all(name in text for text in texts)
    assert all(step in texts[1] for step in STEPS)
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in vntb_plots.draw(found, tmp_path)] == before, "same pings, same pictures"
