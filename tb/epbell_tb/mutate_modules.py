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

__all__ = ["clocks_of", "deepest_of", "like", "limit_of", "prepare", "proof_of", "stages_of"]

_BENCHES = "epbell_tb.benches"
_FIRST = (
    ("endpoint_pages", "every_register"),
    ("endpoint_window_bits", "inbound_windows_anywhere"),
    ("endpoint_window_bits", "outbound_windows_anywhere"),
    ("endpoint_presets", "counters_anywhere"),
    ("endpoint_pages", "messaging_unit_registers"),
)
"""Scenarios that notice most for what they take; one of them is for mutants only. Random traffic follows."""

_THOROUGH = *_FIRST[:3], ("endpoint_window_bits", "targets_beside_the_ram")
"""Those of them that see more the longer they take: they come again, thoroughly, after the proofs."""

_LATER = (
    *("msix_anywhere", "msi_masked_one_by_one", "msix_pending_words", "every_interrupt_type", "errors_are_told"),
    *("completions_around_boundaries", "completions_of_every_size_and_offset", "reads_of_every_alignment"),
    *("completions_that_are_no_good", "failing_completions", "reads_answered_in_any_order", "transfers_of_every_size"),
    *("msi_raised_while_disabled", "msi_held_back", "msix_held_back", "intx_follows_its_level", "interrupts_queue_up"),
    *("raises_wait_for_room", "disabled_before_the_answer", "intx_disabled_before_the_answer"),
    *("interrupts_follow_their_writes", "flr_while_reading", "flr_with_interrupts_due", "hot_reset_while_reading"),
    *("hot_reset_with_interrupts_due", "d3hot_with_interrupts_due", "requesters_interleaved", "streams_stand_still"),
    *("link_credits_exhausted", "both_ends_store_to_the_same_words", "malformed_and_poisoned_requests"),
    *("retarget_in_flight", "ring_in_every_cycle_around_ack", "bar_sizes_by_hand"),
    *("page_requests_of_every_kind", "reads_with_every_tag", "resets_of_other_functions", "msi_grants"),
    *("edma_dma_traffic", "edma_done_in_the_cycle_of_the_ack", "edma_rest_of_the_page", "edma_clear_by_the_host"),
    *("accesses_take_their_clocks", "targets_beside_the_ram", "vector_controls_by_any_write", "masks_anywhere"),
    *("bars_anywhere", "requesters_anywhere", "msix_entries_anywhere", "windows_at_their_edges", "flr_with_every_tag"),
    *("reads_of_a_cpu_that_hesitates", "cpu_waits_for_its_turn", "bars_are_asked_for_at_their_pace"),
    *("failures_anywhere", "msix_pending_anywhere", "msix_entry_written_while_offered"),
    *("d3hot_while_pending", "atomics_and_io_refused", "target_error", "reset_while_pending", "flr_while_pending"),
)
"""Scenarios that come after the proofs. The others repeat what these do, with the software of both ends around it."""

_PRESETS = ("clocks_anywhere", "answers_anywhere")
"""Tests for mutants only, which set flip-flops."""

_BEATS = (64, 128)
"""Widths at which a ring has several beats, between which it can be held: there also `latencies_anywhere`."""

_RANDOM = (("imx8", 1, True, "all"), ("imx8-edma", 2, False, "all"), ("imx8", 3, False, "interrupts"))
"""Runs of random traffic on an endpoint, which come first of all: device tree, seed, stalls, what it is about."""

_TREES = ("imx8", "imx8-edma")
"""Device trees that the exported endpoints are for."""

_OPERATIONS = 500
_ENDPOINT = "epbell_endpoint_usp"
_NARROWEST = f"{_ENDPOINT}64"
_RATIOS = 7
_SPACED = 3
_TWICE = 2


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


def like(module: str) -> str | None:
    """Return the module of which another has most parts: of an endpoint the narrowest, whose mutants stand for them."""
    return _NARROWEST if module.startswith(_ENDPOINT) and module != _NARROWEST else None


def clocks_of(module: str) -> int:
    """Return how many clocks a module has."""
    return 2 if module.endswith("_async") else 1


def limit_of(module: str) -> float:
    """Return the seconds of processor time that a test of a module may take: several times what the slowest does."""
    return 60.0 if module.startswith(_ENDPOINT) else 30.0


def proof_of(module: str) -> tuple[int, bool]:
    """Return the seconds of processor time that a question about a mutant may take, and whether to try induction.

    Of an endpoint a module shows in a second that a mutant changes nothing, if it does; what takes longer never did.
    """
    return (10, False) if module.startswith(_ENDPOINT) else (40, True)


def deepest_of(module: str) -> int:
    """Return how many modules to compare, from the mutant's own outwards; a whole endpoint is too large to."""
    return 2 if module.startswith(_ENDPOINT) else 9


def _two_clocks() -> list[Stage]:
    tests = [
        ("mu_crossing", "equals_the_model_when_spaced", _SPACED),
        ("mu_crossing", "event_pending", _SPACED),
        ("mu_crossing", "every_register_is_written", _TWICE),
        ("mu_crossing", "nothing_lost_nothing_invented", _RATIOS),
        ("mu_resets", "resets", _RATIOS),
        ("mu_crossing", "latency", _RATIOS),
        ("mu_crossing", "flags", _RATIOS),
        ("mu_resets", "far_side_off", _SPACED),
        ("mu_resets", "mur_twice", _TWICE),
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
    return [(Place(tree, width, stalls, about=about), seed) for tree, seed, stalls, about in _RANDOM]


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
    """Scenarios that see most, random traffic; after the proofs more scenarios, in the tree that they are for."""
    traffic = [
        Stage(
            f"{_BENCHES}.endpoint_random",
            "endpoint_random",
            f"{place.name}/{seed}",
            _environment(place.tree, stalls=place.stalls)
            | {"EPBELL_RANDOM": str(_operations(place, seed)), "EPBELL_PRESETS": "1"},
        )
        for place, seed in _places(width)
    ]
    plain = _environment("imx8", stalls=False)
    first = [Stage(f"{_BENCHES}.{bench}", test, environment=plain) for bench, test in _FIRST]
    scenarios = {scenario.name: scenario for scenario in SCENARIOS if width in scenario.widths}
    later = [
        Stage(scenario.bench, scenario.name, environment=_environment(tree, stalls=True), late=True)
        for scenario in map(scenarios.__getitem__, _LATER)
        for tree in (next(tree for tree in _TREES if tree in scenario.trees),)
    ]
    presets = _PRESETS + ("latencies_anywhere",) * (width in _BEATS)
    clocks = [Stage(f"{_BENCHES}.endpoint_presets", test, environment=plain, late=True) for test in presets]
    thorough = [
        Stage(f"{_BENCHES}.{bench}", test, f"{test}, thorough", {**plain, "EPBELL_THOROUGH": "1"}, late=True)
        for bench, test in _THOROUGH
    ]
    return (*first, *traffic, *clocks, *later, *thorough)
