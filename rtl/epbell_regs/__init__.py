"""Register maps: one SystemRDL file per block, and the functions that compile them.

The maps are the single source of the RTL's registers (``epbell.csr``), of the C headers and of the documentation
(:mod:`epbell_regs.generate`), and of the offsets that the models use. There is no Amaranth and no cocotb in here.
"""

from epbell_regs.tree import blocks, flat_name, load, offsets

__all__ = [
    "blocks",
    "flat_name",
    "load",
    "offsets",
]
