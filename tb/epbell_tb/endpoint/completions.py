"""What every completion of the endpoint must say: PCI Express Base Specification, 2.2.9 and 2.3.1.1; AMD PG213.

Each function complains by itself, and knows nothing but the request and the completion.
"""

from epbell_tb.endpoint.packets import MEM_READ, Request, SentCompletion

__all__ = [
    "RCB",
    "byte_count",
    "check_echo",
    "check_piece",
    "check_refusal",
    "first_offset",
]

RCB = 128
"""Read completion boundary of everything but a root complex, in bytes (2.3.1.1)."""

_LOWER = 0x7F
_DWORD = 4
_READ_LOCKED = 7
_NOT_A_READ = 4
"""Byte count of the answer to anything but a memory read, locked or not (2.2.9)."""


def check_echo(request: Request, completion: SentCompletion, status: int) -> None:
    """Check what does not depend on the data: whose request it answers, and flags."""
    for name in ("requester", "tc", "attr", "at"):
        got, want = getattr(completion, name), getattr(request, name)
        assert got == want, f"{name} of the completion is {got:#x}, of the request {want:#x}"
    own = completion.own_completer, completion.completer
    assert own == (False, request.function), f"completer ID {own} instead of the hard block's: {completion}"
    flags = completion.discontinued, completion.poisoned, completion.ecrc, bool(completion.reserved)
    assert not any(flags), f"a completion with flags that it must not have: {completion}"
    locked = request.kind == _READ_LOCKED
    assert completion.locked == locked, f"locked is {completion.locked}, not {locked}: {completion}"
    assert completion.status == status, f"status {completion.status}, not {status}: {request}"


def check_refusal(request: Request, completion: SentCompletion) -> None:
    """Check one that ends a request without data, and says whose header the hard block is to log."""
    assert completion.length == 0, f"a refusal with data: {completion}"
    _check_header(request, completion.data)
    reads = request.kind in (MEM_READ, _READ_LOCKED)
    want = byte_count(request) if reads else _NOT_A_READ
    assert completion.byte_count == want, f"byte count {completion.byte_count} of a refusal, not {want}"
    want = request.address + first_offset(request) & _LOWER if reads else 0
    assert completion.lower_address == want, f"lower address {completion.lower_address:#x} of a refusal, not {want:#x}"


def _check_header(request: Request, dwords: bytes) -> None:
    """Check what follows the descriptor of a refusal (AMD PG213, "Completions with Error Status (UR and CA)").

    One dword with byte enables in bits 3:0 and 7:4, TPH present in 8, its type in 10:9, the steering tag in 23:16; then
    the descriptor of the request.
    """
    size = _DWORD + len(request.descriptor)
    assert len(dwords) == size, f"{len(dwords)} bytes behind the descriptor of a refusal, not {size}"
    hint = request.hint
    want = request.first_be | request.last_be << 4 | (hint & 1) << 8 | (hint >> 1 & 3) << 9 | (hint >> 3) << 16
    got = int.from_bytes(dwords[:_DWORD], "little")
    assert got == want, f"byte enables and hint {got:#010x} of the refused request, not {want:#010x}"
    got, want = dwords[_DWORD:].hex(), request.descriptor.hex()
    assert got == want, f"a refusal of the request {got}, not of {want}"


def check_piece(request: Request, done: int, completion: SentCompletion, max_payload: int) -> None:
    """Check one with data: what it says it is, and where it was cut; ``done`` bytes have come before."""
    offset = first_offset(request)
    first = request.address + (done or offset)
    left = byte_count(request) - max(done - offset, 0)
    assert completion.lower_address == first & _LOWER, f"lower address {completion.lower_address:#x} at {first:#x}"
    assert completion.byte_count == left, f"byte count {completion.byte_count}, not {left}"
    size = len(completion.data)
    assert _DWORD * completion.length == size, f"length {completion.length} with {size} bytes of data"
    assert 0 < size <= max_payload, f"{size} bytes of data with a maximum payload of {max_payload}"
    total = _DWORD * request.length
    assert done + size <= total, f"{done + size} bytes of {total} that were asked for"
    end = request.address + done + size
    assert done + size == total or end % RCB == 0, f"a completion ends at {end:#x}, which is no multiple of the RCB"


def first_offset(request: Request) -> int:
    """Return the offset of the first enabled byte in the first dword; 0 for a read of nothing."""
    return next((n for n in range(_DWORD) if request.first_be >> n & 1), 0)


def byte_count(request: Request) -> int:
    """Return the byte count of the first completion (table 2-39)."""
    if request.length == 1 and not request.first_be:
        return 1
    last = request.last_be if request.length > 1 else request.first_be
    tail = next((n for n in range(_DWORD) if last >> (3 - n) & 1), 0)
    return _DWORD * request.length - first_offset(request) - tail
