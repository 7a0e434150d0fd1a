"""An endpoint that gives its reads up before the hard block does: its own timeout, which is short in no other build."""

from functools import partial

import pytest

from epbell.endpoint import Endpoint
from epbell_tb import runner

TIMEOUT, TAGS = 1000, 4


def simulate(width, *, stalls, seed=1):
    """Run the bench; return its only result."""
    builder = partial(Endpoint, width, timeout=TIMEOUT, tags=TAGS, outbound_reads=2)
    build = runner.build(f"epbell_endpoint_usp{width}_timeout", builder=builder)
    env = {"EPBELL_TIMEOUT": str(TIMEOUT), "EPBELL_TAGS": str(TAGS), "EPBELL_STALLS": str(int(stalls))}
    (result,) = runner.run(build, "epbell_tb.benches.endpoint_timeout", env=env, seed=seed, expected=1)
    return result


def test_silent_hosts():
    result = simulate(64, stalls=True)
    assert result.passed, result.message


@pytest.mark.long
@pytest.mark.parametrize("width", [64, 128, 256, 512])
@pytest.mark.parametrize("stalls", [False, True], ids=["flowing", "stalled"])
def test_silent_hosts_at_every_width(width, stalls):
    for seed in (1, 2, 3):
        result = simulate(width, stalls=stalls, seed=seed)
        assert result.passed, f"seed {seed}: {result.message}"
