"""What a TLP says of itself is wrong in two places.

cocotbext-pcie 0.2.16: ``core.tlp``, ``Tlp.get_lower_address`` is wrong by the precedence of ``&`` and ``+``;
``xilinx.us.tlp``, the copy of a ``Tlp_us`` forgets ``request_completed``.

What we do: nothing; the benches compute lower addresses themselves, and set ``request_completed`` after copying.
"""

__all__: list[str] = []
