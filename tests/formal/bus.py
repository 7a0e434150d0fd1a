"""What every AXI4-Lite subordinate port has to keep: AMBA AXI, ARM IHI 0022, chapters A3 and B1."""

from typing import Any

from amaranth.hdl import Cat, Signal

from epbell_tb.formal_checks import Checks

__all__ = ["state_responses"]


def state_responses(m: Any, checks: Checks, port: Any, name: str, *, waits: Any = None) -> None:
    """State that each request has exactly one response, on its clock, and the ready/valid rules of responses.

    A write is answered in the next clock, a read too. Behind a port that decodes ahead a read is answered in the next
    clock but one, and another one may be accepted while an answer waits.

    Parameters
    ----------
    m, checks : Module, Checks
        Of the bench.
    port : axil.Signature
        The subordinate's port, its manager's side free.
    name : str
        Prefix of the memory's names.
    waits : Value(1), optional
        Behind a port that decodes ahead, whether a read has been accepted and not made; for the induction only.
    """
    address, data, read = (
        port.awvalid & port.awready,
        port.wvalid & port.wready,
        port.arvalid & port.arready,
    )
    written, taken = port.bvalid & port.bready, port.rvalid & port.rready
    addresses, words, reads = (_open(m, f"{name}_{what}") for what in ("addresses", "words", "reads"))
    m.d.sync += [
        addresses.eq(addresses + address - written),
        words.eq(words + data - written),
        reads.eq(reads + read - taken),
    ]
    checks.backward(
        "a write's response has an address and a word of its own", ~port.bvalid | (addresses != 0) & (words != 0)
    )
    checks.backward("a read's response has a request of its own", ~port.rvalid | (reads != 0))
    checks.forward(
        "a write that is complete is answered in the next clock", (addresses == 0) | (words == 0) | port.bvalid
    )
    if waits is not None:
        # Those of which neither the request nor the end of the response was in the clock before.
        due = checks.past(reads - taken, f"{name}_due") != 0
        checks.forward(
            "a read is answered two clocks after its request, or when the one before is taken", ~due | port.rvalid
        )
        checks.backward("no read is answered earlier", ~port.rvalid | due)
    else:
        checks.forward("a read is answered in the clock after its request", (reads == 0) | port.rvalid)
    checks.forward(
        "a write is accepted when the response before is taken",
        ~(port.awvalid & port.wvalid & port.bready) | port.awready & port.wready,
    )
    checks.forward("a read is accepted when the response before is taken", ~(port.arvalid & port.rready) | port.arready)
    checks.backward("one write is open at a time", (addresses <= 1) & (words <= 1) & (addresses == words))
    if waits is not None:
        checks.invariant("a read that is open waits, or is being answered", reads == waits + port.rvalid)
        checks.forward("a read is accepted beside one that is open", (reads > 1) | port.arready)
        checks.backward("two reads are open at a time", reads <= 2)
    else:
        checks.backward("one read is open at a time", reads <= 1)
    for channel, valid, ready, payload in (
        ("b", port.bvalid, port.bready, port.bresp),
        ("r", port.rvalid, port.rready, Cat(port.rdata, port.rresp)),
    ):
        held = checks.past(valid & ~ready, f"{name}_{channel}_held")
        before = checks.past(payload, f"{name}_{channel}_before")
        checks.forward("a response stays, unchanged, until it is taken", ~held | valid & (payload == before))
    checks.backward("every response is OKAY", ~port.bvalid | (port.bresp == 0))
    checks.backward("every response is OKAY", ~port.rvalid | (port.rresp == 0))
    checks.cover(
        "a response waits while the next request waits",
        checks.past(port.bvalid & ~port.bready & port.awvalid & port.wvalid, f"{name}_b_full"),
    )
    checks.cover("a read in each of two clocks", checks.past(read, f"{name}_read_before") & read & taken)
    checks.cover("a write in each of two clocks", checks.past(address, f"{name}_write_before") & address & written)


def _open(m: Any, name: str) -> Any:
    return Signal(3, name=name)
