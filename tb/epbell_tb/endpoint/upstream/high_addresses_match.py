"""A 32-bit BAR claims addresses above 4 GiB.

cocotbext-pcie 0.2.16, ``core.function``, ``match_bar``: of a 32-bit BAR only the bits of its mask are compared, so that
a request whose address has other upper bits is for it. A function compares every bit that is not an offset (PCI
Express, 7.5.1.2.1).

What we do: `match_bar` asks the stock model only where its answer counts. Gone when ``match_bar`` of a 32-bit BAR's
address plus 4 GiB finds nothing.
"""

from typing import Any

__all__ = [
    "match_bar",
]

_HIGH = 32
_WIDE = 4


def match_bar(function: Any, address: int) -> tuple[int, int] | None:
    """Return number and offset of the BAR that claims an address, None if none does."""
    found = function.match_bar(address)
    if found and address >> _HIGH and not function.bar[found[0]] & _WIDE:
        return None
    return found or None
