"""Defects of cocotbext-pcie 0.2.16, one file each: what is wrong, what we do, and how to see that it is gone.

A file is a mixin for `HardBlock`, in front of the stock model; when a new version has mended what it is about, the file
and its test in ``tests/unit/test_upstream_defects.py`` go. That test fails as soon as the stock package does it right.

Some defects need no mending because what has them is not used; their tests are there so that nobody uses it unaware:

- ``core.msi.MsiRegion`` and ``RootComplex.msi_alloc_vectors`` (two MSIs look like one; a second base is misaligned;
  every vector that is advertised is granted): the host's interrupts are `epbell_models.host.msi`, through the host's
  memory;
- ``issue_msi_interrupt`` does not look at the mask, ``issue_msix_interrupt`` not at the function mask: the endpoint
  does, and one that arrives all the same is an error of the scoreboard;
- Extended Message Data Enable is taken from the wrong bit: the function has no extended message data;
- a function-level reset resets nothing, a hot reset only sets a bit: `epbell_tb.endpoint.function_state` and
  `epbell_tb.endpoint.resets` do them;
- ``Tlp.get_lower_address`` is wrong by the precedence of ``&`` and ``+``, and the copy of a ``Tlp_us`` forgets
  ``request_completed``: the benches compute and copy these themselves.
"""
