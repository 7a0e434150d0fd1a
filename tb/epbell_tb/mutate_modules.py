"""The tests that the mutants of each exported module meet: the fast ones that drive its pins, sharpest first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from epbell.export import MODULES
from epbell_models import devicetree
from epbell_tb.mutate_plan import Stage
from epbell_tb.random_place import Drawn
from epbell_tb.random_places import Place
from epbell_tb.runner import sim_build
from epbell_tb.scenarios import SCENARIOS

__all__ = ["clocks_of", "deepest_of", "limit_of", "prepare", "stages_of"]

_BENCHES = "epbell_tb.benches"
_SHARP = (
    *("reads_of_every_alignment", "ring_in_every_cycle_around_ack", "every_interrupt_type", "errors_are_told"),
    *("completions_around_boundaries", "failing_completions", "windows_at_their_edges", "completions_that_are_no_good"),
)
"""Scenarios that come before the proofs: they take a second or so each. The others come after them."""

_FIRST = (
    ("endpoint_pages", "every_register"),
    ("endpoint_window_bits", "inbound_windows_anywhere"),
    ("endpoint_window_bits", "outbound_windows_anywhere"),
    ("endpoint_presets", "counters_anywhere"),
    ("endpoint_pages", "messaging_unit_registers"),
)
"""Scenarios that notice most for what they take; one of them is for mutants only."""

_RANDOM = (("imx8", 1, True), ("imx8-edma", 2, False))
"""Runs of random traffic on an endpoint, which come first of all: device tree, seed, stalls."""

_OPERATIONS = 500
_ENDPOINT = "epbell_endpoint_usp"
_RATIOS = 7
_SPACED = 3


def stages_of(module: str) -> tuple[Stage, ...]:
    """Return the tests of a module.

    Parameters
    ----------
    module : str
        A key of `epbell.export.MODULES`.

    Raises
    ------
    ValueError
        If there is no such module.
    """
    if module not in MODULES:
        raise ValueError(f"The module must be one of {', '.join(MODULES)}, not {module!r}")
    if module == "epbell_edma":
        short = Stage(f"{_BENCHES}.axil_lockstep", "edma", environment={"EPBELL_AXIL_CLOCKS": "6000"})
        return short, replace(short, label="edma, longer", environment={"EPBELL_AXIL_CLOCKS": "60000"}, late=True)
    if module.startswith(_ENDPOINT):
        return _endpoint(int(module.removeprefix(_ENDPOINT)))
    layout = {"EPBELL_MU_LAYOUT": module.removeprefix("epbell_mu_").removesuffix("_async")}
    if clocks_of(module) > 1:
        return tuple(replace(stage, environment={**layout, "EPBELL_AXIL_CLOCKS": "4000"}) for stage in _two_clocks())
    ports = Stage(f"{_BENCHES}.axil_lockstep", "messaging_unit", environment={**layout, "EPBELL_AXIL_CLOCKS": "4000"})
    fast = Stage(f"{_BENCHES}.mu_lockstep", "lockstep", environment={**layout, "EPBELL_MU_OPERATIONS": "20000"})
    return ports, fast


def prepare(module: str) -> None:
    """Draw the random traffic of a module's tests, if it has any."""
    if not module.startswith(_ENDPOINT):
        return
    for place, seed in _places(int(module.removeprefix(_ENDPOINT))):
        path = _operations(place, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        Drawn.of(place, seed, _OPERATIONS).save(path)


def clocks_of(module: str) -> int:
    """Return how many clocks a module has."""
    return 2 if module.endswith("_async") else 1


def limit_of(module: str) -> float:
    """Return the seconds of processor time that a test of a module may take: several times what the slowest does."""
    return 60.0 if module.startswith(_ENDPOINT) else 30.0


def deepest_of(module: str) -> int:
    """Return how many modules to compare, from the mutant's own outwards; a whole endpoint is too large to."""
    return 2 if module.startswith(_ENDPOINT) else 9


def _two_clocks() -> list[Stage]:
    tests = [
        ("mu_crossing", "equals_the_model_when_spaced", _SPACED),
        ("mu_crossing", "nothing_lost_nothing_invented", _RATIOS),
        ("mu_resets", "resets", _RATIOS),
        ("mu_crossing", "latency", _RATIOS),
        ("mu_crossing", "flags", _RATIOS),
        ("mu_resets", "far_side_off", _SPACED),
    ]
    ports = Stage(f"{_BENCHES}.axil_lockstep", "messaging_unit_with_two_clocks")
    # One ratio of each first, then all others.
    return [
        ports,
        *(
            Stage(f"{_BENCHES}.{bench}", f"{test}/ratio={ratio}", late=ratio > 0)
            for ratio in range(_RATIOS)
            for bench, test, ratios in tests
            if ratio < ratios
        ),
    ]


def _places(width: int) -> list[tuple[Place, int]]:
    return [(Place(tree, width, stalls), seed) for tree, seed, stalls in _RANDOM]


def _operations(place: Place, seed: int) -> Path:
    """Return the file of what a run of random traffic does."""
    return sim_build() / "mutate" / "random" / f"{place.name}-{seed}.json"


def _environment(tree: str, *, stalls: bool) -> dict[str, str]:
    return {
        "EPBELL_BARS": "everyday",
        "EPBELL_MSIX": "rq",
        "EPBELL_THOROUGH": "0",
        "EPBELL_DTS": str(devicetree.builtin(tree)),
        "EPBELL_STALLS": str(int(stalls)),
    }


def _endpoint(width: int) -> tuple[Stage, ...]:
    """Random traffic; scenarios of the Messaging Unit's device tree; those of the eDMA's; those of the bridge."""
    traffic = [
        Stage(
            f"{_BENCHES}.endpoint_random",
            "endpoint_random",
            f"{place.name}/{seed}",
            _environment(place.tree, stalls=place.stalls) | {"EPBELL_RANDOM": str(_operations(place, seed))},
        )
        for place, seed in _places(width)
    ]
    plain = _environment("imx8", stalls=False)
    first = [Stage(f"{_BENCHES}.{bench}", test, environment=plain) for bench, test in _FIRST]
    found: list[Stage] = []
    for tree in ("imx8", "imx8-edma"):
        environment = _environment(tree, stalls=True)
        for scenario in SCENARIOS:
            here = tree in scenario.trees and width in scenario.widths
            if here and not any(scenario.name == stage.test for stage in (*first, *found)):
                late = scenario.name not in _SHARP
                found.append(Stage(scenario.bench, scenario.name, environment=environment, late=late))
    # The drivers' scenarios are long.
    found.sort(key=lambda stage: (stage.late, stage.test.startswith("vntb_")))
    return (*first, *traffic, *found)
