"""What a client of a non-transparent bridge needs of it: scratchpads, doorbells, memory windows, a link.

Follows include/linux/ntb.h and drivers/ntb/core.c. Two drivers offer it, the host's `ntb_hw_epf` and the endpoint's
`pci_epf_vntb`, so that one client runs on either end. There is one peer, number 0, called "pidx" as in the kernel.
Functions return a value, 0, or a negative errno.
"""

import errno
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "MW_ALIGN",
    "PEER",
    "MwAddress",
    "MwAlign",
    "NtbClient",
    "NtbDevice",
]

PEER = 0
"""Index of the only peer."""

MW_ALIGN = 0x1000
"""What both drivers say that the address behind a memory window must be a multiple of, in bytes."""


class NtbClient(Protocol):
    """Who is told of events. Both are called in interrupt context: they must not wait."""

    def link_event(self) -> None:
        """Take note that the link may have changed; `NtbDevice.link_is_up` says to what."""
        ...

    def db_event(self, vector: int) -> None:
        """Take note that the peer rang a doorbell of a vector; `NtbDevice.db_read` says which."""
        ...


@dataclass(frozen=True)
class MwAlign:
    """What a memory window wants of a buffer: multiples for its address and its size, and the greatest size."""

    address: int
    size: int
    most: int


@dataclass(frozen=True)
class MwAddress:
    """Where this side's processor reaches the peer's memory: first address, bytes."""

    base: int
    size: int


class NtbDevice(ABC):
    """A bridge as one side sees it.

    Attributes
    ----------
    client
        Who is told of events, None for nobody.
    rings_interrupt
        Whether the peer's rings interrupt this side's processor; if not, something looks for them that runs anyway.
    """

    client: NtbClient | None = None
    rings_interrupt: bool = True
    _rung = 0

    # -- events --------------------------------------------------------------------------------------------------------

    def set_ctx(self, client: NtbClient) -> int:
        """Let a client be told of events; -EINVAL when there is one."""
        if self.client is not None:
            return -errno.EINVAL
        self.client = client
        return 0

    def clear_ctx(self) -> None:
        """Let nobody be told of events."""
        self.client = None

    def link_event(self) -> None:
        """Tell the client that the link may have changed. Clients call it, too, to be told for the first time."""
        if self.client is not None:
            self.client.link_event()

    def db_event(self, vector: int, bits: int = 0) -> None:
        """Take note of the doorbell ``bits`` that the peer rang, and tell the client."""
        self._rung |= bits
        if self.client is not None:
            self.client.db_event(vector)

    # -- ports: a bridge without topology ------------------------------------------------------------------------------

    def port_number(self) -> int:
        """Return the number of this side's port."""
        return 0

    def peer_port_count(self) -> int:
        """Return the number of peers."""
        return 1

    def peer_port_number(self, pidx: int) -> int:
        """Return the number of a peer's port, -EINVAL without such a peer."""
        return 0 if pidx == PEER else -errno.EINVAL

    def peer_port_idx(self, port: int) -> int:
        """Return the index of the peer at a port, -EINVAL when nobody is there."""
        return PEER if port == self.peer_port_number(PEER) else -errno.EINVAL

    # -- link ----------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def link_is_up(self) -> int:
        """Return 1 while the link is up, else 0."""

    @abstractmethod
    async def link_enable(self) -> int:
        """Let the link come up; 0 or a negative errno."""

    @abstractmethod
    async def link_disable(self) -> int:
        """Let the link go down; 0 or a negative errno."""

    # -- memory windows ------------------------------------------------------------------------------------------------

    @abstractmethod
    def mw_count(self, pidx: int) -> int:
        """Return how many windows the peer has on this side's memory."""

    @abstractmethod
    def mw_get_align(self, pidx: int, widx: int) -> MwAlign | int:
        """Return what a window wants of a buffer, or a negative errno."""

    @abstractmethod
    async def mw_set_trans(self, pidx: int, widx: int, address: int, size: int) -> int:
        """Put ``size`` bytes of this side's memory, by bus address, behind a window of the peer's."""

    @abstractmethod
    async def mw_clear_trans(self, pidx: int, widx: int) -> int:
        """Take that memory away again."""

    @abstractmethod
    def peer_mw_count(self) -> int:
        """Return how many windows this side has on the peer's memory."""

    @abstractmethod
    async def peer_mw_get_addr(self, widx: int) -> MwAddress | int:
        """Return where this side has a window, or a negative errno."""

    @abstractmethod
    async def peer_mw_read(self, widx: int, offset: int, length: int) -> bytes:
        """Read through a window: what the processor does at an address of `peer_mw_get_addr`."""

    @abstractmethod
    async def peer_mw_write(self, widx: int, offset: int, data: bytes) -> None:
        """Write through a window."""

    # -- this side's own memory ----------------------------------------------------------------------------------------

    @abstractmethod
    def dma_alloc(self, size: int) -> int | None:
        """Allocate memory fit for `mw_set_trans`; return its bus address, None when there is none."""

    @abstractmethod
    def dma_free(self, address: int) -> None:
        """Return it."""

    @abstractmethod
    async def dma_read(self, address: int, length: int) -> bytes:
        """Read bytes of it, as this side's processor does."""

    @abstractmethod
    async def dma_write(self, address: int, data: bytes) -> None:
        """Write bytes of it."""

    # -- doorbells -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def db_valid_mask(self) -> int:
        """Return the doorbell bits that there are."""

    def db_vector_count(self) -> int:
        """Return how many vectors tell doorbells apart."""
        return 1

    def db_vector_mask(self, vector: int) -> int:
        """Return the doorbell bits that a vector may stand for."""
        return self.db_valid_mask()

    def db_read(self) -> int:
        """Return the doorbell bits that the peer rang and nobody cleared."""
        return self._rung

    def db_clear(self, bits: int) -> int:
        """Clear doorbell bits; return 0."""
        self._rung &= ~bits
        return 0

    def db_set_mask(self, bits: int) -> int:
        """Do nothing: neither driver can mask a doorbell."""
        return 0

    def db_clear_mask(self, bits: int) -> int:
        """Do nothing."""
        return 0

    @abstractmethod
    async def peer_db_set(self, bits: int) -> int:
        """Ring the peer; 0 or a negative errno."""

    # -- scratchpads ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def spad_count(self) -> int:
        """Return how many scratchpads either side has."""

    @abstractmethod
    async def spad_read(self, index: int) -> int:
        """Read one of this side's."""

    @abstractmethod
    async def spad_write(self, index: int, value: int) -> int:
        """Write one of this side's; 0 or a negative errno."""

    @abstractmethod
    async def peer_spad_read(self, pidx: int, index: int) -> int:
        """Read one of the peer's."""

    @abstractmethod
    async def peer_spad_write(self, pidx: int, index: int, value: int) -> int:
        """Write one of the peer's; 0 or a negative errno."""
