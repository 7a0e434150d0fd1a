"""The faults of ``make faults``: which families there are, in which states each is tried, and what may take how long.

Needs no simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "FAMILIES",
    "FIGURES",
    "PROBE",
    "RATIOS",
    "STATES",
    "SWEEPS",
    "Family",
    "State",
]

PROBE = 600
"""Clocks within which a write, a read of it, and a ring of each doorbell one after the other are done at rest.

docs/endpoint.md, "Figures": 5 clocks each; the rest is the bench's host and its CPU's handlers, with pausing streams.
"""

FIGURES = "docs/endpoint.md, Figures"


@dataclass(frozen=True)
class State:
    """What is going on when a fault comes.

    Attributes
    ----------
    name, summary : str
        Name, and what it is.
    bound : int
        Clocks within which all of that has ended once nothing keeps it back any more.
    source : str
        Where the bound comes from.
    """

    name: str
    summary: str
    bound: int
    source: str


@dataclass(frozen=True)
class Family:
    """Faults of one kind.

    Attributes
    ----------
    name, summary : str
        Name, and what they are.
    bench : str
        Module of the bench below ``epbell_tb.benches``.
    fewest : int
        Faults that each state has to see, at least.
    bound : int
        Clocks that a fault of this family may take beyond what its state and the probe take.
    source : str
        Where the bound comes from.
    states : tuple of str
        Names of the states; those that sweep a reset through a transaction have one of their own.
    """

    name: str
    summary: str
    bench: str
    fewest: int
    bound: int
    source: str
    states: tuple[str, ...]


STATES: dict[str, State] = {
    state.name: state
    for state in (
        State("idle", "nothing is under way", 0, FIGURES),
        State("rings", "rings of every doorbell before it and behind it, back to back", 800, "24 rings and handlers"),
        State("reads", "the host reads RAM, the CPU reads the host", 800, "14 reads, answers after 400 ns"),
        State("full", "CC and RQ take nothing: queues are full, credits used up", 1200, "30 reads, 16 writes, 2 MSIs"),
        State("pending", "every doorbell waits for a CPU that stands still", 400, "a handler for each"),
        State("masked", "every vector waits masked, and is unmasked afterwards", 400, "a handler for each"),
    )
}
"""By name."""

_ALL = tuple(STATES)
SWEEPS = dict.fromkeys(("sweep", "msix", "windows"), 90)
"""States of what comes in each clock of accesses both ways, and in how many clocks: with MSIs, with MSI-X messages,
with a window that moves; so every state of every state machine that they go through sees one."""
RATIOS = ("1:1", "1:3", "3:1", "7:2", "2:7", "drifting", "drifting back")
"""Of the two clocks of a Messaging Unit (`mu_env.RATIOS`)."""
_REQUEST = 64
_BEHIND = "requests are done one behind the other (docs/endpoint.md, Order)"
_GIVEN_UP = f"the host gives a read that was dropped up after 2 us; {_BEHIND}"


def _requests(name: str, summary: str, fewest: int, bound: int = _REQUEST, source: str = _BEHIND) -> Family:
    return Family(name, summary, "endpoint_faults", fewest, bound, source, _ALL)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        _requests("lengths", "payload shorter or longer than the length, length 0 and 1024, on stream and link", 37),
        _requests("headers", "3 dwords of header for 64-bit addresses, 4 for 32-bit ones", 9),
        _requests("mismatch", "BAR number and address disagree, BARs that do not exist, other functions", 26),
        _requests("poisoned", "EP is set", 12),
        _requests("discontinued", "the hard block tells of ECRC or parity errors (discontinue)", 15),
        _requests("unsupported", "I/O, configuration, atomics, locked reads, messages, reserved kinds", 54),
        _requests("boundaries", "reads and writes across 4 KiB and across a BAR's end", 18, 564, _GIVEN_UP),
        _requests("enables", "byte enables that are none, have gaps, or are not allowed", 27),
        Family(
            "completions", "of the CPU's reads: never, late, twice, wrong tag, length, status, poisoned",
            "endpoint_faults_host", 13, 3600, "the hard block's completion timeout, 12.5 us",
            ("idle", "rings", "reads", "full", "masked"),
        ),
        Family(
            "credits", "CC, RQ or the link take nothing for 1500 clocks", "endpoint_faults_host", 6, 1200,
            "30 reads, 16 accesses of the CPU, one behind the other", ("idle", "rings", "pending", "masked"),
        ),
        Family(
            "cpu_stands", "the CPU takes no answers for 1500 clocks (bready, rready 0)", "endpoint_faults_host", 6, 300,
            "12 accesses of the CPU; the host waits `patience` clocks at most", ("idle", "rings"),
        ),
        Family(
            "rst", "rst in each clock of rings, reads and writes both ways; streams drop the packets that they are in",
            "endpoint_faults_resets", 60, 400, "everything is set up anew and tried", tuple(SWEEPS),
        ),
        Family(
            "flr", "a function-level reset in each clock of the same", "endpoint_faults_resets", 60, 2000,
            "cfg_flr_done within 100 clocks, 300 with MSI-X; reads given up after 1.5 us; the host restores it",
            tuple(SWEEPS),
        ),
        Family(
            "stopped_clock", "one clock of the two-clock Messaging Unit stops, and goes on", "mu_stopped_clock", 12, 0,
            "docs/mu.md, Latency", RATIOS,
        ),
    )
}
"""By name."""
