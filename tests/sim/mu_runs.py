"""Run a bench of the Messaging Unit; replay with EPBELL_SEED=."""

import os

from epbell_tb import runner


def run(module, layout, bench, *, builder=None, expected=None, tests=None):
    """Build, run, and show what failed; the seed is in every complaint."""
    seed = int(os.environ.get("EPBELL_SEED", "1"))
    build = runner.build(module, builder=builder)
    results = runner.run(
        build,
        f"epbell_tb.benches.{bench}",
        tests=tests,
        seed=seed,
        env={"EPBELL_MU_LAYOUT": layout},
        expected=expected,
        results=build.folder / f"run-{bench}-pytest",
    )
    for result in results:
        print(f"{module} {result.name}: EPBELL_SEED={seed}, {result.sim_ns:.0f} ns in {result.seconds:.1f} s")
    failed = [f"{result.name} with EPBELL_SEED={seed}: {result.message}" for result in results if not result.passed]
    assert not failed, "\n".join(failed)
