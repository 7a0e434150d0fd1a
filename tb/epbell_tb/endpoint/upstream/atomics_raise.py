"""Atomics and locked reads end the simulation.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``upstream_recv``: memory requests other than plain reads and writes
fall through to ``raise Exception("TODO")``; and ``_run_cq_logic`` would send them without a credit, as if they were
posted. The hard block passes them on like every memory request (AMD PG213, completer request descriptor, table of
request types).

What we do: whatever is in `MEMORY_REQUESTS` is a memory request, and all but `POSTED` need a credit. Gone when the
stock ``upstream_recv`` takes a FetchAdd.
"""

from cocotbext.pcie.core.tlp import TlpType

__all__ = [
    "MEMORY_REQUESTS",
    "POSTED",
]

POSTED = {TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
MEMORY_REQUESTS = {
    *POSTED,
    TlpType.MEM_READ,
    TlpType.MEM_READ_64,
    TlpType.MEM_READ_LOCKED,
    TlpType.MEM_READ_LOCKED_64,
    TlpType.FETCH_ADD,
    TlpType.FETCH_ADD_64,
    TlpType.SWAP,
    TlpType.SWAP_64,
    TlpType.CAS,
    TlpType.CAS_64,
}
