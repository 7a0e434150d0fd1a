"""The RAM behind the BARs, as the blocks of the endpoint see it."""

__all__ = [
    "Ram",
]


class Ram:
    """Bytes by offset, dwords by aligned address: the bits of an address beyond the size do not count.

    Parameters
    ----------
    size
        Bytes, a power of two.

    Attributes
    ----------
    data
        The bytes.
    """

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)

    def read32(self, address: int) -> int:
        """Read the dword at ``address``."""
        at = self._offset(address)
        return int.from_bytes(self.data[at : at + 4], "little")

    def write32(self, address: int, value: int) -> None:
        """Write the dword at ``address``."""
        at = self._offset(address)
        self.data[at : at + 4] = value.to_bytes(4, "little")

    def write(self, offset: int, data: bytes, enables: int) -> None:
        """Write the bytes of ``data`` that ``enables`` selects, bit n for byte n."""
        if enables == (1 << len(data)) - 1:
            self.data[offset : offset + len(data)] = data
            return
        for index, byte in enumerate(data):
            if enables >> index & 1:
                self.data[offset + index] = byte

    def _offset(self, address: int) -> int:
        return address % len(self.data)
