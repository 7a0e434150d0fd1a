"""What every packet must be like, on its way to the host and on its way to the endpoint (PCI Express, 2.2).

What the endpoint sends is checked behind the hard block, which puts bus numbers in and chooses the header's size; what
is wrong with a packet for the endpoint makes it a malformed one, which the hard block drops.
"""

from collections import Counter
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpFmt, TlpType

__all__ = [
    "LinkChecks",
    "malformed",
]

_READS = {TlpType.MEM_READ, TlpType.MEM_READ_64}
_MEMORY = {*_READS, TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
_FOUR = {TlpFmt.FOUR_DW, TlpFmt.FOUR_DW_DATA}
_DATA = {TlpFmt.THREE_DW_DATA, TlpFmt.FOUR_DW_DATA}
_DWORD = 4
_PAGE = 0x1000
_MOST = 4096
_PLAIN_TAGS = 32
_WHOLE = 0xF
_RELAXED, _NO_SNOOP, _ID_BASED = 2, 1, 4


def malformed(tlp: Tlp, max_payload: int) -> str | None:
    """Return what makes a packet malformed to its receiver, None if nothing does; ``max_payload`` in bytes."""
    size = len(tlp.get_data())
    carries = tlp.fmt in _DATA
    if size != (_DWORD * tlp.length if carries else 0):
        return f"{size} bytes of data with length {tlp.length}"
    if carries and size > max_payload:
        return f"{size} bytes of data with a maximum payload of {max_payload}"
    if tlp.fmt_type in _MEMORY and tlp.address % _PAGE + _DWORD * tlp.length > _PAGE:
        return f"{_DWORD * tlp.length} bytes at {tlp.address:#x} cross a multiple of 4 KiB"
    return None


class LinkChecks:
    """Judges what a function sends, as it is on the link.

    Parameters
    ----------
    function
        The hard block's function: its ID and what the host has set.

    Attributes
    ----------
    kinds
        How many packets of each kind there were; the header's size is part of the kind.
    functions
        Numbers of functions that requests have been for, besides the function's own.
    """

    def __init__(self, function: Any) -> None:
        self.kinds: Counter[TlpType] = Counter()
        self.functions: set[int] = set()
        self._function = function

    def check(self, tlp: Tlp) -> None:
        """Check one packet."""
        self.kinds[tlp.fmt_type] += 1
        control = self._function.pcie_cap
        what = malformed(tlp, 128 << control.max_payload_size)
        assert what is None, f"the endpoint sends a malformed packet, {what}: {tlp!r}"
        assert not tlp.ep, f"the endpoint sends a poisoned packet: {tlp!r}"
        if tlp.is_completion():
            self._completion(tlp)
            return
        own = self._function.pcie_id
        assert tlp.requester_id == own, f"requester ID {tlp.requester_id}, not {own}: {tlp!r}"
        if tlp.fmt_type in _MEMORY:
            self._attributes(tlp)
            self._memory(tlp)

    def _completion(self, tlp: Tlp) -> None:
        own = self._function.pcie_id
        own = own._replace(function=tlp.completer_id.function) if tlp.completer_id.function in self.functions else own
        assert tlp.completer_id == own, f"completer ID {tlp.completer_id}, not {own}: {tlp!r}"
        carries = tlp.fmt in _DATA
        assert not (carries and tlp.status != CplStatus.SC), f"data with status {tlp.status}: {tlp!r}"
        assert tlp.byte_count <= _MOST, f"byte count {tlp.byte_count}: {tlp!r}"

    def _attributes(self, tlp: Tlp) -> None:
        control = self._function.pcie_cap
        allowed = _RELAXED * bool(control.enable_relaxed_ordering) | _NO_SNOOP * bool(control.enable_no_snoop)
        allowed |= _ID_BASED * bool(control.ido_request_enable)
        assert not tlp.attr & ~allowed, f"attributes {tlp.attr:#x} although the host allows {allowed:#x}: {tlp!r}"

    def _memory(self, tlp: Tlp) -> None:
        wide = tlp.address >> 32 != 0
        assert (tlp.fmt in _FOUR) == wide, f"an address {'above' if wide else 'below'} 4 GiB with {tlp.fmt}: {tlp!r}"
        assert not tlp.address % _DWORD, f"an address within a dword: {tlp!r}"
        first, last = tlp.first_be, tlp.last_be
        if tlp.length == 1:
            assert not last, f"last byte enables of a single dword: {tlp!r}"
        else:
            assert first, f"no first byte enables with several dwords: {tlp!r}"
            assert last, f"no last byte enables with several dwords: {tlp!r}"
        if tlp.length > 2 or (tlp.length == 2 and tlp.address % 8):
            holes = first & -first != (_WHOLE + 1) - first or last & last + 1
            assert not holes, f"byte enables with gaps in a long request: {tlp!r}"
        if tlp.fmt_type in _READS:
            control = self._function.pcie_cap
            most = 128 << control.max_read_request_size
            assert _DWORD * tlp.length <= most, f"a read of more than {most} bytes: {tlp!r}"
            tags = tlp.tag < _PLAIN_TAGS or control.extended_tag_field_enable
            assert tags, f"tag {tlp.tag} without Extended Tags: {tlp!r}"
