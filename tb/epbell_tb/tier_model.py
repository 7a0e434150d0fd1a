"""Scenarios of `epbell_tb.tier_scenarios` on the model tier: `epbell_tb.benches.tier_verdicts` runs them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from epbell_tb import figures, runner
from epbell_tb.tiers import Verdict, reason

__all__ = ["verdicts"]

_BENCH = "epbell_tb.benches.tier_verdicts"


def verdicts(
    names: Iterable[str], build: runner.Build, *, seed: int = 1, stalls: bool = False, windows: int | None = None
) -> dict[str, Verdict]:
    """Run scenarios on the model tier.

    Parameters
    ----------
    names : iterable of str
        Which ones.
    build : epbell_tb.runner.Build
        The endpoint.
    seed : int
        Of everything random.
    stalls : bool
        Whether the streams pause at random.
    windows : int, optional
        Inbound windows that the scoreboard believes in, instead of the device tree's.

    Raises
    ------
    epbell_tb.runner.SimulationError
        If the simulator died, or did not run each of them.
    """
    wanted = list(names)
    report = build.folder / f"tier-verdicts-{os.getpid()}.jsonl"
    report.unlink(missing_ok=True)
    env = {figures.VARIABLE: str(report), "EPBELL_STALLS": str(int(stalls))}
    if windows is not None:
        env["EPBELL_WINDOWS"] = str(windows)
    tests = rf"verdict/scenario=({'|'.join(wanted)})$"
    results = runner.run(build, _BENCH, tests=tests, seed=seed, env=env, expected=len(wanted))
    accounts = {line["scenario"]: line["account"] for line in figures.read(report)}
    report.unlink(missing_ok=True)
    found = {}
    for result in results:
        name = result.name.rpartition("=")[2]
        if result.passed:
            found[name] = Verdict(True, account=accounts[name])
        else:
            found[name] = Verdict(False, reason(result.message))
    return found
