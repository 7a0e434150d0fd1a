"""Where the endpoint's blocks are, as its CPU and its inbound windows see them."""

from dataclasses import dataclass, fields

__all__ = [
    "PAGE_BITS",
    "AddressMap",
    "HostPage",
]

PAGE_BITS = 16
"""Every register block has a page of 64 KiB."""

_HOST_ONLY = ("mu_b",)
_RANGES = ("ram", "outbound")


@dataclass(frozen=True)
class AddressMap:
    """Endpoint-local base addresses.

    The pages may be anywhere on a multiple of 64 KiB, the RAM and the aperture on multiples of their sizes. The CPU has
    32 address bits, the inbound windows 64: what only the host needs may be above 4 GiB.

    Parameters
    ----------
    mu_a, mu_b : int
        Messaging Unit, side of the endpoint's CPU and side of the doorbells; the latter may be above 4 GiB.
    controller : int
        Controller page.
    edma : int
        eDMA.
    iatu : int
        Registers of the inbound and outbound windows.
    ram : int
        RAM behind the BARs.
    outbound : int
        Aperture: the CPU's addresses for host memory.

    Raises
    ------
    ValueError
        If a base address is misaligned, out of range or used twice.
    """

    mu_a: int = 0x5D27_0000
    mu_b: int = 0x5D30_0000
    controller: int = 0x5F01_0000
    edma: int = 0x5F09_0000
    iatu: int = 0x5F31_0000
    ram: int = 0x6000_0000
    outbound: int = 0x7000_0000

    def __post_init__(self) -> None:
        seen: dict[int, str] = {}
        for item in fields(self):
            base = getattr(self, item.name)
            bits = 64 if item.name in _HOST_ONLY else 32
            if not isinstance(base, int) or base not in range(0, 1 << bits, 1 << PAGE_BITS):
                shown = f"{base:#x}" if isinstance(base, int) else repr(base)
                raise ValueError(
                    f"The base address of {item.name!r} must be a multiple of 64 KiB below 2**{bits}, not {shown}"
                )
            if base in seen:
                raise ValueError(f"{item.name!r} and {seen[base]!r} must have different base addresses, not {base:#x}")
            seen[base] = item.name

    def check_ram(self, size: int) -> None:
        """Refuse a RAM size which the map has no room for.

        Raises
        ------
        ValueError
            If `size` is not a power of two from 4 KiB to 1 GiB, the base is not a multiple of it, or a page is inside.
        """
        self._check_range("ram", "RAM", size, 4096, "4 KiB")

    def check_aperture(self, size: int, ram_size: int) -> None:
        """Refuse an aperture which the map has no room for.

        Raises
        ------
        ValueError
            If `size` is not a power of two from 64 KiB to 1 GiB, the base is not a multiple of it, or a page or the RAM
            is inside.
        """
        self._check_range("outbound", "aperture", size, 1 << PAGE_BITS, "64 KiB")
        if self.ram < self.outbound + size and self.outbound < self.ram + ram_size:
            raise ValueError(f"The RAM must be outside the aperture at {self.outbound:#x}, not at {self.ram:#x}")

    def _check_range(self, name: str, what: str, size: int, least: int, unit: str) -> None:
        first = getattr(self, name)
        if not isinstance(size, int) or not least <= size <= 1 << 30 or size & (size - 1):
            raise ValueError(f"The size of the {what} must be a power of two from {unit} to 1 GiB, not {size!r}")
        if first % size:
            raise ValueError(f"The base address of the {what} must be a multiple of its size {size:#x}, not {first:#x}")
        for item in fields(self):
            base = getattr(self, item.name)
            if item.name not in _RANGES and first < base + (1 << PAGE_BITS) and base < first + size:
                raise ValueError(f"The page {item.name!r} must be outside the {what} at {first:#x}, not at {base:#x}")


@dataclass(frozen=True)
class HostPage:
    """A register page as the host may reach it.

    Parameters
    ----------
    base : int
        Local address.
    words : tuple of int, optional
        Offsets of the only words that it may reach: a request must be for exactly one of them. None: the whole page.
    waits : bool
        Whether a write there may have to wait, or is always taken.

    Raises
    ------
    ValueError
        If a word is no offset of a word in a page.
    """

    base: int
    words: tuple[int, ...] | None = None
    waits: bool = True

    def __post_init__(self) -> None:
        for word in self.words or ():
            if word not in range(0, 1 << PAGE_BITS, 4):
                raise ValueError(f"A word must be at a multiple of 4 within its page of 64 KiB, not at {word!r}")
