"""A Messaging Unit with two clocks of which one stops in the midst of traffic, and goes on later.

Meanwhile the other side never waits; afterwards each event has crossed exactly once. Parameters come through the
environment: ``EPBELL_SEED`` (default: cocotb's), ``EPBELL_MU_LAYOUT``. `epbell faults` runs it.
"""

import cocotb
from cocotb.triggers import Timer

from epbell_tb import figures
from epbell_tb.benches.mu_crossing import storm
from epbell_tb.benches.mu_env import FAR, NOTHING, RATIOS, Bench, EventCounts, now
from epbell_tb.mu_scoreboard import pack
from epbell_tb.mu_traffic import Access

_MIXTURE = (3, 1, 1, 1, 3, 2, 1, 1)
_STOPS = 12
_ALONE = 120
"""Clocks that the other side makes alone."""


async def _alone(bench, side):
    """Ring, ask and look at one side alone; each access is answered in its clock."""
    regs, rng = bench.regs, bench.random
    own, asks = bench.words[side.name], bench.requests[side.name]
    valid = getattr(bench.dut, f"{side.name}_axil_rvalid"), getattr(bench.dut, f"{side.name}_axil_bvalid")
    for _ in range(_ALONE):
        time, n = now() + side.period // 2, rng.randrange(4)
        kind = rng.choice(("ring", "request", "look"))
        if kind == "ring":
            await side.access(Access((regs.offset[f"TR{n}"], pack(own[n].written + 1), 0xF), None, ()))
            own[n].ring(time)
            assert valid[1].value, f"{side.name}: a write is not answered while the other clock stands"
        elif kind == "request":
            await side.access(Access((regs.home("GIR"), regs.mask("GIR", 1 << n), 0xF), None, ()))
            asks[n].request(time)
            assert valid[1].value, f"{side.name}: a write is not answered while the other clock stands"
        else:
            empty = regs.channels("TE", await side.read(regs.home("TE")))
            assert valid[0].value, f"{side.name}: a read is not answered while the other clock stands"
            for c in range(4):
                own[c].empty(bool(empty >> c & 1), just_rung=False)
    await side.access(NOTHING)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=list(RATIOS))
async def stopped_clock(dut, ratio):
    """Stop either clock, at any phase and at either level, a number of times."""
    bench = Bench(dut, ratio)
    rows = []
    try:
        await bench.start()
        events = EventCounts(bench)
        for number in range(_STOPS):
            name = "ab"[number % 2]
            row = {"fault": f"{name}_clk stops, {number // 2 + 1}", "survived": False, "lost": 0, "invented": 0}
            row |= {"recovery": None, "bound": 0, "why": "it hangs, or a check of the crossing failed"}
            rows.append(row)
            await bench.both(lambda side: storm(bench, side, 40, _MIXTURE))
            await bench.sides[name].stop(bench.random.randrange(1, 4 * bench.sides[name].period))
            await _alone(bench, bench.sides[FAR[name]])
            await bench.sides[name].go_on()
            began = now()
            await bench.settle()
            await bench.rested()  # from the last look, which is an event, too
            slower = max(side.period for side in bench.sides.values())
            row["recovery"] = (now() - began) // slower
            # Twice the time of docs/mu.md, Latency; looking is 16 accesses a side.
            row["bound"] = 2 * (bench.rest // slower + 1) + 40
            counts = [events.counts[event] for event in ("rung", "superseded", "merged", "delivered")]
            for words, rung, superseded, merged, delivered in zip(bench.words["b"], *counts, strict=True):
                for much, little in ((words.rung, rung), (rung, superseded + merged + delivered)):
                    row["lost"] += max(much - little, 0)
                    row["invented"] += max(little - much, 0)
            assert (row["lost"], row["invented"]) == (0, 0), f"events that crossed: {events.counts}"
            assert row["recovery"] <= row["bound"], f"it takes {row['recovery']} clocks, the bound is {row['bound']}"
            row |= {"survived": True, "why": ""}
            await Timer(1, unit="ps")
    finally:
        figures.append(name=ratio, faults=rows)
