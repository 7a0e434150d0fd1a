"""A trace of pins, a value for each clock: what a bench records for a timing diagram."""

from __future__ import annotations

from epbell_tb import figures, pins
from epbell_tb.docs.diagrams import DIAGRAMS
from epbell_tb.endpoint.sampling import sampler

__all__ = ["Trace"]


class Trace:
    """Recording of the pins of a diagram; it begins at once.

    Parameters
    ----------
    clocked : pins.Clocked
        The clock of the module.
    name : str
        Name of the diagram.
    """

    def __init__(self, clocked: pins.Clocked, name: str) -> None:
        self._clocked = clocked
        self._name = name
        self._look = {pin: sampler(getattr(clocked.dut, pin)) for pin in DIAGRAMS[name].pins}
        self._values: dict[str, list[int]] = {pin: [] for pin in self._look}
        clocked.parts.append(self._clock)

    def end(self) -> None:
        """Hand the trace on, by `epbell_tb.figures`."""
        self._clocked.parts.remove(self._clock)
        figures.append(diagram=self._name, trace=self._values)

    def _clock(self) -> None:
        for pin, look in self._look.items():
            self._values[pin].append(int(look()))
