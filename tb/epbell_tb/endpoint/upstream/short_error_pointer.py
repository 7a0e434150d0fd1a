"""First Error Pointer has four bits instead of five.

cocotbext-pcie 0.2.16, ``core.caps.aer``, ``AerExtendedCapability._read_register``: the pointer is cut with 0xf, so an
Unsupported Request, bit 20, reads as 4, a data link protocol error (PCI Express, 7.8.4.7: bits 4:0).

What we do: `WholeErrorPointer` is the capability of the benches. Gone when the stock capability reads 20.
"""

from cocotbext.pcie.core.caps import AerExtendedCapability

__all__ = [
    "WholeErrorPointer",
]

_CONTROL = 6
_POINTER = 0x1F


class WholeErrorPointer(AerExtendedCapability):
    """Advanced Error Reporting with a whole First Error Pointer."""

    async def _read_register(self, reg: int) -> int:
        value = await super()._read_register(reg)
        return value & ~_POINTER | self.first_error_pointer & _POINTER if reg == _CONTROL else value
