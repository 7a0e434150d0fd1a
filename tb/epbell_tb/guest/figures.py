"""What the endpoint behind a guest tells at its end."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figures"]


@dataclass(frozen=True)
class Figures:
    """What the endpoint had to do.

    Attributes
    ----------
    config, reads, writes, resets : int
        The guest's accesses, and resets of its machine.
    seconds, clocks : float, int
        Wall-clock seconds from the endpoint's start to the guest's end, and simulated clocks (none in a model).
    interrupts : int
        Interrupts that the endpoint's Linux has raised.
    doorbell, reason : str or None, str
        Its latest doorbell, and why it was that one.
    log : list of str
        What the endpoint's Linux has said.
    function_resets : int
        Function-level resets by the guest.
    """

    config: int
    reads: int
    writes: int
    resets: int
    seconds: float
    clocks: int
    interrupts: int
    doorbell: str | None
    reason: str
    log: list[str]
    function_resets: int = 0
