"""A poisoned request reaches the user as a good one.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``upstream_recv``: the EP bit of a request is dropped; the CQ descriptor
has none. What a receiver must not do is use the data as if they were good (PCI Express, 2.7.2.2); our hard block says
so with ``discontinue`` in ``tuser``, as it does of any request whose payload is no good (AMD PG213), and logs "Poisoned
TLP Received".

What we do: `to_user` makes the user's copy of a request. Gone when the stock model's copy has ``discontinue`` set.
"""

from cocotbext.pcie.core.tlp import Tlp
from cocotbext.pcie.xilinx.us.tlp import Tlp_us

__all__ = [
    "to_user",
]


def to_user(tlp: Tlp) -> Tlp_us:
    """Return the request as the user gets it."""
    request = Tlp_us(tlp)
    request.discontinue = tlp.ep
    return request
