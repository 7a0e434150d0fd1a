"""The eDMA page against the reference model, 200,000 random accesses for each personality."""

import os

import pytest

from epbell.edma import PERSONALITIES, Edma, EdmaShape
from epbell_tb import runner

SHAPES = {personality: EdmaShape(personality) for personality in PERSONALITIES}
# As the RK3588 has it, and one that is full to the last channel.
SHAPES |= {"few": EdmaShape("unroll", 2, 2, lines=4), "many": EdmaShape("legacy", 8, 8)}
# Without transfers: the same traffic, most of which has to come to nothing.
SHAPES |= {
    "doorbell": EdmaShape(doorbell_only=True),
    "doorbell_legacy": EdmaShape("legacy", 1, 8, lines=2, doorbell_only=True),
}


def test_every_personality_is_here():
    assert {shape.personality for shape in SHAPES.values()} == set(PERSONALITIES)


@pytest.mark.parametrize("name", SHAPES)
def test_lockstep(name):
    shape = SHAPES[name]
    seed = int(os.environ.get("EPBELL_SEED", "1"))
    build = runner.build(f"edma_{name}", builder=lambda: Edma(shape))
    results = runner.run(
        build,
        "epbell_tb.benches.edma_lockstep",
        seed=seed,
        env={
            "EPBELL_EDMA_PERSONALITY": shape.personality,
            "EPBELL_EDMA_CHANNELS": f"{shape.write_channels},{shape.read_channels}",
            "EPBELL_EDMA_DOORBELL_ONLY": str(int(shape.doorbell_only)),
        },
        expected=1,
        results=build.folder / "run-edma_lockstep-pytest",
    )
    for result in results:
        print(f"edma_{name} {result.name}: EPBELL_SEED={seed}, {result.sim_ns:.0f} ns in {result.seconds:.1f} s")
    failed = [f"{result.name} with EPBELL_SEED={seed}: {result.message}" for result in results if not result.passed]
    assert not failed, "\n".join(failed)
