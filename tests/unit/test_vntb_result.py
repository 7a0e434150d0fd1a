"""What `epbell vntb` makes of the times that it is told: figures, goals, pictures, the table of costs."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
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
    assert (entry["path"], entry["software"]) == (0.5, 38)
    assert entry["hardware"] == pytest.approx(0.5 - 38)


def test_lines_of_a_bench():
    lines = [{"ping": n, "us": 5.0 + n, "steps": {AT: 1.0, HEARD: 2.0}} for n in range(3)]
    found = of_lines("imx8", [*lines, {"backend": "mu", "period_us": PERIOD_US}])
    assert (found.backend, found.tree, found.times) == ("mu", "imx8", [5.0, 6.0, 7.0])
    assert found.summary == {"period_us": PERIOD_US}
    assert found.path == 5


@pytest.mark.parametrize(
    ("low", "high", "reached"),
    [
        (30, 5030, [True, True, True]),
        (30, 3000, [False, True, True]),
        (2000, 5030, [True, True, True]),
        (2100, 5100, [False, True, False]),
        (4000, 4200, [False, True, True]),
    ],
)
def test_goals_of_polled(low, high, reached):
    judged = goals([pings("polling", evenly(low, high))], None)
    assert [goal.reached for goal in judged] == reached
    assert "2530 us" in judged[0].text, "half a period and the path"


def test_goals_of_polled_need_many_for_the_median():
    judged = goals([pings("polling", evenly(30, 5030, FEWEST - 1))], None)
    assert [goal.reached for goal in judged] == [None, True, True]
    assert "not judged" in judged[0].text


def test_polled_path_that_is_slow_is_missed():
    """All interrupts of the host 3 ms late: the median is where half a period and that path say."""
    judged = goals([pings("polling", evenly(3030, 8030), path=3030.0)], None)
    assert [goal.reached for goal in judged] == [True, False, False]
    limit = 50 + per_ping_us("polling")
    for by, reached in ((-0.1, True), (0.1, False)):
        assert goals([pings("polling", evenly(90, 5030), path=limit + by)], None)[1].reached is reached


@pytest.mark.parametrize(("hz", "period"), [(None, 5000), (250, 8000), (1000, 5000), (100, 10_000)])
def test_polled_period_is_linux_own(hz, period):
    """Whatever period the bench tells of, and though the median of one that is 1.9 ms longer is within 1 ms."""
    for longer, reached in ((0, True), (1900, False)):
        judged = goals([pings("polling", evenly(30, 30 + period + longer))], hz)
        assert [goal.reached for goal in judged] == [True, True, reached]
        assert f"a period, {period} us" in judged[2].text


@pytest.mark.parametrize("backend", ["mu", "edma"])
def test_goal_of_interrupts(backend):
    limit = 50 + per_ping_us(backend)
    below, above = (goals([pings(backend, [limit + by] * 3)], None)[0] for by in (-0.1, 0.1))
    assert (below.reached, above.reached) == (True, False)


def test_table_of_costs_has_all():
    assert {cost.field for cost in TABLE} == {field.name for field in dataclasses.fields(NtbCosts)}
    assert pytest.approx({cost.field: cost.microseconds for cost in TABLE}) == {
        name: 1e6 * value for name, value in vars(COSTS).items()
    }
    assert all(cost.source for cost in TABLE)
    polled = COSTS.interrupt + 2 * COSTS.wakeup + COSTS.work + 2 * COSTS.client
    assert per_ping_us("polling") == pytest.approx(1e6 * polled)
    assert per_ping_us("mu") == per_ping_us("edma") == pytest.approx(1e6 * (polled + COSTS.interrupt))


def test_pictures(tmp_path):
    from epbell_tb import vntb_plots

    settings = dict(mpl.rcParams)
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
    assert dict(mpl.rcParams) == settings, "other pictures of the process look as they did"
