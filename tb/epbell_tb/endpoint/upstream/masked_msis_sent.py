"""An MSI is sent although the host has masked its vector.

cocotbext-pcie 0.2.16, ``core.caps.msi``: ``issue_msi_interrupt`` does not look at the Mask Bits. Nor does the hard
block of AMD PG213, which sends what it is asked for: masking is the user's.

What we do: the endpoint looks at the mask, and `epbell_tb.endpoint.permissions` does at each request for an MSI, in
every scenario. The test keeps in mind that the model would not stop it.
"""

__all__: list[str] = []
