"""How many clocks the endpoint takes, as docs/endpoint.md has it: what its checks allow, and what scenarios count on.

One place for all of them, and no look into the RTL. "Made" is an access in the clock that decides what it meets: what
it writes can be read from the next one on, and a line that it raises is up in this one.
"""

__all__ = [
    "AFTER",
    "AIMED",
    "ANSWERED",
    "BEGUN",
    "BEHIND",
    "CROSSED",
    "DECIDED",
    "FALLEN",
    "HOST_READ",
    "HOST_READS",
    "MADE",
    "MASKED",
    "MASTER",
    "MSI",
    "MSIX_SEARCHED",
    "MSIX_SENT",
    "NEXT",
    "ON_RQ",
    "PAGE_READ",
    "PAGE_WRITE",
    "PATIENCE",
    "PROMISED",
    "RAM_READ",
    "RAM_WRITE",
    "READ_ANSWERED",
    "RESUMED",
    "RING",
    "SETTLE",
    "UNMASKED",
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

BEHIND = 18 * 3 + 8
"""Clocks for which a request waits in the way in, at most: a beat to registers takes a clock for each of its dwords, up
to four, where it came in one, and up to eighteen of them are in the FIFO and on the way to it (`epbell.pcie.target`);
and the CPU has one clock in nine (`epbell.registers`)."""

SETTLE = RING + BEHIND
"""Clocks within which a ring that was taken from the stream has reached its page, whatever else goes on."""

FALLEN = 2
"""Clocks after its cause within which the eDMA's line has fallen."""

# -- interrupts of the host --------------------------------------------------------------------------------------------

MSI = MADE + 8
"""Clocks from the handshake of the CPU's write of MSI_RAISE to the MSI at the port, if nothing is before it."""

DECIDED = 3
"""Clocks from the one in which a pin begins to show an enable or a grant of the host to the last in which an interrupt
may be seen at a port of the hard block that it forbids. What counts is the pin of the third clock before an MSI
(`epbell.msi`), and of the second one before a message is taken (`epbell.msix`), which is at the port of MSI-X in the
next clock (`epbell.msix_sender`); both are seen at the clock edge behind it."""

UNMASKED = 4
"""Likewise of the masks of MSI: what counts is the pin of the fourth clock before it (`epbell.msi`)."""

ON_RQ = 7
"""Likewise of the enables of MSI-X and a message on RQ, if nothing is in its way there: two clocks to its taking, and
five from there to the stream (`epbell.outbound`)."""

BEGUN = 2
"""Likewise of bus mastering or the power state and any request: it begins to leave when these were on two clocks before
its first beat (`epbell.outbound`)."""

RESUMED = 3
"""Clocks from the one in which pins show that requests are allowed again to the last in which the first beat may be
seen of one that has waited for it."""

NEXT = 2
"""Clocks from the last beat of a request on RQ to the last in which the first beat may be seen of one that has waited
behind it: the place at the door of the stream is filled anew every second clock."""

AFTER = 4
"""Clocks from the taking of a request to that of a message behind it, at least."""

CROSSED = 15
"""Clocks from the last beat of a write to the MSI-X table to the last in which a message may be seen at the port that
it masks, if nothing is before the write: eight to the RAM, six in which a message is still taken (`epbell.msix`), and
one from its taking to the port. On RQ it is seen as much later as `ON_RQ` is above `DECIDED`."""

MASKED = CROSSED + BEHIND
"""Likewise, whatever is before the write."""

MSIX_SEARCHED = 7
"""Clocks for which 32 pending bits of MSI-X are searched, when the host opens the way or unmasks several vectors."""

MSIX_SENT = 32
"""Clocks from one pending vector of MSI-X to the next, if nobody else wants the RAM and RQ is ready."""

MASTER = 64
"""Clocks after which the CPU's accesses meet a change of Bus Master Enable for sure."""
