"""The host's memory as an endpoint reaches it: what was granted, and nothing else."""

from collections.abc import Callable

from .outbound import Cause

__all__ = [
    "HostMemory",
]

_PAGE = 0x1000


class HostMemory:
    """Sparse bytes by PCI address.

    A request that is not wholly within what was granted is an Unsupported Request, as behind an IOMMU. The host itself
    uses `peek` and `poke`.

    Parameters
    ----------
    base
        Where `allocate` starts.

    Attributes
    ----------
    dropped
        Addresses of the endpoint's writes that reached nothing.
    doorbells
        Addresses that are no memory: a store of a dword to one calls with the word.
    free
        From where on `allocate` looks.
    """

    def __init__(self, base: int = 0x1_0000_0000) -> None:
        self.dropped: list[int] = []
        self.doorbells: dict[int, Callable[[int], None]] = {}
        self.free = base
        self._granted: list[range] = []
        self._pages: dict[int, bytearray] = {}
        self._faults: list[tuple[range, Cause]] = []

    # -- what the endpoint may reach -----------------------------------------------------------------------------------

    def grant(self, address: int, size: int) -> None:
        """Let the endpoint reach ``size`` bytes."""
        wanted = range(address, address + size)
        if size < 1 or any(wanted.start < other.stop and other.start < wanted.stop for other in self._granted):
            raise ValueError(f"Memory is granted once and not empty, not {size!r} bytes at {address:#x}")
        self._granted.append(wanted)

    def revoke(self, address: int) -> None:
        """Take back what was granted from ``address`` on; the bytes stay."""
        self._granted = [granted for granted in self._granted if granted.start != address]

    def allocate(self, size: int, alignment: int = 8) -> int:
        """Grant memory that nobody has yet; return its address."""
        address = -(-self.free // alignment) * alignment
        self.grant(address, size)
        self.free = address + size
        return address

    @property
    def granted(self) -> list[range]:
        """Addresses that the endpoint may reach."""
        return list(self._granted)

    def fail(self, address: int, cause: Cause, length: int = 4) -> None:
        """From now on, end reads of any of these bytes with `Cause` UNSUPPORTED, ABORTED, POISONED or TIMEOUT."""
        if cause not in (Cause.UNSUPPORTED, Cause.ABORTED, Cause.POISONED, Cause.TIMEOUT):
            raise ValueError(f"A completion ends in an error that a host makes, not {cause!r}")
        self._faults.append((range(address, address + length), cause))

    def heal(self) -> None:
        """Forget every `fail`."""
        self._faults.clear()

    # -- the endpoint's requests ---------------------------------------------------------------------------------------

    def read(self, address: int, length: int) -> bytes | Cause:
        """Do one read request."""
        for place, cause in self._faults:
            if place.start < address + length and address < place.stop:
                return cause
        if not self._reaches(address, length):
            return Cause.UNSUPPORTED
        return self.peek(address, length)

    def write(self, address: int, data: bytes) -> None:
        """Do one write request; posted, so nobody is told if it reaches nothing."""
        if address in self.doorbells and len(data) == 4:
            self.doorbells[address](int.from_bytes(data, "little"))
        elif self._reaches(address, len(data)):
            self.poke(address, data)
        else:
            self.dropped.append(address)

    # -- the host itself -----------------------------------------------------------------------------------------------

    def peek(self, address: int, length: int) -> bytes:
        """Look at bytes; what was never written is zero."""
        return b"".join(bytes(page[start:stop]) for page, start, stop in self._pieces(address, length))

    def poke(self, address: int, data: bytes) -> None:
        """Set bytes."""
        done = 0
        for page, start, stop in self._pieces(address, len(data)):
            page[start:stop] = data[done : done + stop - start]
            done += stop - start

    def _reaches(self, address: int, length: int) -> bool:
        return any(granted.start <= address and address + length <= granted.stop for granted in self._granted)

    def _pieces(self, address: int, length: int) -> list[tuple[bytearray, int, int]]:
        pieces: list[tuple[bytearray, int, int]] = []
        end = address + length
        while address < end:
            number, start = divmod(address, _PAGE)
            stop = min(_PAGE, start + end - address)
            pieces.append((self._pages.setdefault(number, bytearray(_PAGE)), start, stop))
            address += stop - start
        return pieces
