"""The value of a pin as a plain integer, for those who look in every clock.

``pin.value`` makes an object for each bit or word that it returns, which takes some ten times as long as asking the
simulator. Verilator has two states only, so there is no X or Z to be told.
"""

from collections.abc import Callable
from typing import Any

from cocotb.handle import LogicArrayObject, LogicObject, PackedObject

__all__ = [
    "sampler",
]


def sampler(pin: Any) -> Callable[[], int]:
    """Return what returns ``int(pin.value)``.

    Parameters
    ----------
    pin
        Handle of a bit or of a packed array of bits.

    Raises
    ------
    TypeError
        If it has no bits.
    """
    if not isinstance(pin, LogicObject | LogicArrayObject | PackedObject):
        raise TypeError(f"The pin must be a handle of a bit or of an array of bits, not {pin!r}")
    bits = pin._handle.get_signal_val_binstr
    if isinstance(pin, LogicObject):
        return lambda: bits() == "1"
    return lambda: int(bits(), 2)
