"""Comparison of numbers."""

from typing import Any

__all__ = ["less"]


def less(one: Any, other: Any) -> Any:
    """Return whether an unsigned number is less than another: the borrow of their difference, a carry chain alone.

    Of ``<`` and ``<=`` synthesis makes a carry chain and, for half of the cases, a tree of LUTs for "equal" behind it.
    """
    return (one - other)[-1]
