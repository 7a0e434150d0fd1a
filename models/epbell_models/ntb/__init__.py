"""A non-transparent bridge as its clients see it, and the clients: transport, ping, bulk transfer."""

from .device import MW_ALIGN, PEER, MwAddress, MwAlign, NtbClient, NtbDevice

__all__ = [
    "MW_ALIGN",
    "PEER",
    "MwAddress",
    "MwAlign",
    "NtbClient",
    "NtbDevice",
]
