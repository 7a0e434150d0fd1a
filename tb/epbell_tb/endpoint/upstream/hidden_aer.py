"""Advanced Error Reporting is not in configuration space.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``UltraScalePlusPcieFunction.__init__``: the extended capabilities (AER
at 0x100, Secondary PCI Express at 0x1c0) are put into the list of the first 256 bytes, which nobody asks for offsets
above: a host that looks for extended capabilities reads 0.

What we do: `show_extended_capabilities` moves them to where the function looks. Gone when offset 0x100 reads other than
0.
"""

from typing import Any

from epbell_tb.endpoint.upstream.short_error_pointer import WholeErrorPointer

__all__ = [
    "show_extended_capabilities",
]


def show_extended_capabilities(function: Any) -> None:
    """Move the extended capabilities of a function to their own list."""
    for capability in (function.aer_ext_cap, function.pcie_ext_cap):
        if capability in function.capabilities.list:
            function.deregister_capability(capability)
    function.aer_ext_cap = WholeErrorPointer()
    function.register_extended_capability(function.aer_ext_cap, offset=0x40)
    function.register_extended_capability(function.pcie_ext_cap, offset=0x70)
