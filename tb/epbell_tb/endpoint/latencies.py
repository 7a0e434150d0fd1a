"""How many clocks the endpoint takes, as docs/endpoint.md has it: what its checks allow, and what scenarios count on.

One place for all of them, and no look into the RTL. "Made" is an access in the clock that decides what it meets: what
it writes can be read from the next one on, and a line that it raises is up in this one.
"""

__all__ = [
    "AIMED",
    "ANSWERED",
    "FALLEN",
    "HOST_READ",
    "HOST_READS",
    "MADE",
    "MASTER",
    "MSI",
    "MSIX_SEARCHED",
    "MSIX_SENT",
    "PAGE_READ",
    "PAGE_WRITE",
    "PATIENCE",
    "PROMISED",
    "RAM_READ",
    "RAM_WRITE",
    "READ_ANSWERED",
    "RING",
    "SETTLE",
]

# -- the CPU's accesses ------------------------------------------------------------------------------------------------

PAGE_WRITE, RAM_WRITE = 7, 5
"""Clocks from the handshake of the CPU's write to its answer, if nobody else wants the port."""

PAGE_READ, RAM_READ = 8, 11
"""Likewise of a read."""

HOST_READS = 12
"""Clocks of a read of host memory by the CPU, of several in a row, at most: streams may pause."""

ANSWERED = 2
"""Clocks from the one in which the CPU's write of a page is made to its answer."""

MADE = PAGE_WRITE - ANSWERED
"""Clocks from the handshake of the CPU's access of a page to the one in which it is made, if nobody else wants it."""

READ_ANSWERED = PAGE_READ - MADE
"""Clocks from the one in which the CPU's read of a page is made to its answer."""

PATIENCE = 8
"""Clocks that the CPU waits at most at a port that the host keeps busy."""

AIMED = MADE
"""Clocks from the handshake of the CPU's write of CTRL2 to the first one in which a beat is taken that meets what the
window says then: it is in force two clocks after it is made, and a beat looks two clocks after it was taken."""

# -- the host's requests, if nothing is in their way ------------------------------------------------------------------

RING = 10
"""Clocks from the last beat of a doorbell write to the one in which it is made."""

PROMISED = 2
"""Clocks from the last beat of a doorbell write to the line that the express lane raises ahead of it."""

HOST_READ = 24
"""Clocks from the last beat of a read of one dword to that of its completion, at most."""

# -- doorbells ---------------------------------------------------------------------------------------------------------

SETTLE = 48
"""Clocks within which a ring that was taken from the stream has reached its page, whatever else goes on."""

FALLEN = 2
"""Clocks after its cause within which the eDMA's line has fallen."""

# -- interrupts of the host --------------------------------------------------------------------------------------------

MSI = MADE + 8
"""Clocks from the handshake of the CPU's write of MSI_RAISE to the MSI at the port, if nothing is before it."""

MSIX_SEARCHED = 7
"""Clocks for which 32 pending bits of MSI-X are searched, when the host opens the way or unmasks several vectors."""

MSIX_SENT = 32
"""Clocks from one pending vector of MSI-X to the next, if nobody else wants the RAM and RQ is ready."""

MASTER = 64
"""Clocks after which the CPU's accesses meet a change of Bus Master Enable for sure."""
