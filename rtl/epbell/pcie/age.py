"""How long ago a request began: a count of clocks that stays at its largest value."""

from typing import Any

from amaranth.hdl import Mux, unsigned

__all__ = [
    "AGE",
    "LATENCY_BITS",
    "moved",
    "older",
    "shown",
]

LATENCY_BITS = 16
"""Width of the ages as registers show them; they saturate."""

AGE = unsigned(LATENCY_BITS + 1)
"""An age: clocks, and in the highest bit that they are more than the others can hold."""


def older(age: Any) -> Any:
    """Add a clock. Beyond its range an age stands, which its highest bit says: no path has to look at all of them."""
    return (age + ~age[LATENCY_BITS])[: LATENCY_BITS + 1]


def shown(age: Any) -> Any:
    """Return the age in LATENCY_BITS bits, the largest value if it is more."""
    return age[:LATENCY_BITS] | age[LATENCY_BITS].replicate(LATENCY_BITS)


def moved(m: Any, ready: Any, before: Any, age: Any) -> None:
    """Let `age` be that of what stands in a stage, which takes over what is `before` it in clocks with `ready`."""
    m.d.sync += age.eq(older(Mux(ready, before, age)))
