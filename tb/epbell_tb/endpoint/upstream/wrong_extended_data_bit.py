"""Extended Message Data Enable is taken from the wrong bit.

cocotbext-pcie 0.2.16, ``core.caps.msi``: a write of the MSI capability's first register takes it from bit 16, which is
MSI Enable, instead of bit 26.

What we do: nothing; the function has no extended message data, so the bit means nothing. The test tells when a function
could have it.
"""

__all__: list[str] = []
