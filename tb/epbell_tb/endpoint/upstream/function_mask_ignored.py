"""An MSI-X message is sent although the host has set Function Mask.

cocotbext-pcie 0.2.16, ``core.caps.msix``: ``issue_msix_interrupt`` does not look at ``msix_function_mask``, nor at the
mask of the vector in the table, which is the user's memory.

What we do: the endpoint looks at both, and `epbell_tb.endpoint.permissions` does at each message, in every scenario,
whichever way it leaves. The test keeps in mind that the model would not stop it.
"""

__all__: list[str] = []
