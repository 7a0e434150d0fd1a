"""What the host has to find in the control block of pci-epf-vntb to ring a slot, from the maps of the doorbells."""

from epbell_tb import vntb_trees
from epbell_tb.endpoint.edma import READ_STATUS
from epbell_tb.endpoint.vntb_env import VntbEnv
from epbell_tb.sim_trees import kind_of

__all__ = [
    "ENTRY",
    "SLOTS",
    "backend_of",
    "published",
    "store_of",
]

SLOTS = 32
"""Slots that the control block has room for."""

ENTRY = {"polling": 4, "mu": 0, "edma": 0}
"""Bytes from one slot to the next in the doorbells' BAR, by backend."""


def backend_of(env: VntbEnv) -> str:
    """Return the backend to which the device tree leads four slots."""
    return vntb_trees.backend_of(kind_of(env.tree))


def published(env: VntbEnv, slot: int, backend: str) -> tuple[int, int]:
    """Return the word of a slot that there is, and where it has to be stored behind the slot's entry.

    Polled: one more than the slot's number, in the entry itself. Messaging Unit: the number of the channel, in its
    transmit register of side B. eDMA: 0, in INT_STATUS of the read channels, for all slots.
    """
    if backend == "polling":
        return slot + 1, 0
    inside = env.bar_sizes[env.map.db] - 1
    if backend == "edma":
        node = env.tree.endpoint.edma
        return 0, (node.region.address + node.offset + READ_STATUS) & inside
    return slot, (env.board.map["mu_b"].base + env.board.registers.offset[f"TR{slot}"]) & inside


def store_of(env: VntbEnv, slot: int, backend: str) -> tuple[int, int]:
    """Return the one store that rings a slot: its offset in the doorbells' BAR, and the word."""
    word, offset = published(env, slot, backend)
    return slot * ENTRY[backend] + offset, word
