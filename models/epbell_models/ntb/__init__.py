"""A non-transparent bridge as its clients see it, and the clients: transport, ping, bulk transfer."""

from .costs import NtbCosts
from .device import MW_ALIGN, PEER, MwAddress, MwAlign, NtbClient, NtbDevice
from .listener import Listener
from .queue import TransportQueue
from .queue_client import QueueClient, QueueCounts, Trace
from .spads import Spad
from .transport import MTU, NtbTransport

__all__ = [
    "MTU",
    "MW_ALIGN",
    "PEER",
    "Listener",
    "MwAddress",
    "MwAlign",
    "NtbClient",
    "NtbCosts",
    "NtbDevice",
    "NtbTransport",
    "QueueClient",
    "QueueCounts",
    "Spad",
    "Trace",
    "TransportQueue",
]
