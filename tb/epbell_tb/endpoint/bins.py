"""Bins of the endpoint, from what its pins show and what the models make of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from epbell_models.reference.inbound import Refusal
from epbell_models.reference.outcome import Kick, Outcome, RamWrite, Refused, RegisterWrite, Ring
from epbell_tb.bins_seen import see
from epbell_tb.endpoint.bins_requests import enables, kind_of, landing, size
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.packets import MEM_WRITE, CpuAccess, Request, SentCompletion
from epbell_tb.endpoint.to_host_packets import Answer
from epbell_tb.endpoint.watch import Watch

if TYPE_CHECKING:
    from epbell_tb.endpoint.scoreboard import Scoreboard

__all__ = ["EndpointBins"]

_REACH = 4
"""Clocks from the last beat of a ring to the interrupt (docs/endpoint.md, "Figures"): as long it is under way."""
_KEPT = 8
_RAW = {"malformed", "message"}
"""What no bin is about: hosts do not send it through the hard block, and `make faults` does."""
_NOTICES = {8: "reset", 9: "timeout"}
_FIXED = "fixed BAR"
_STATUS = {0: "good", 1: "UR", 4: "CA"}


class _Span(NamedTuple):
    """Something that was under way from a clock to another: which doorbell, or what the CPU did."""

    first: int
    last: int
    what: str
    vector: int = -1


class EndpointBins(Watch):
    """Counts bins.

    Parameters
    ----------
    board
        The scoreboard that judges, with its models.
    """

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        regs = board.registers
        self._rie, self._gir = regs.home("RIE"), regs.home("GIR")
        self._mur, self._mur_bit = regs.home("MUR"), regs.mask("MUR")
        self._gir_bits = [regs.mask("GIR", 1 << n) for n in range(4)]
        mu_a = board.map["mu_a"].base
        self._rr = {mu_a + regs.offset[f"RR{n}"]: n for n in range(4)}
        self._crossed = 0
        self._enabled = 0
        self._forget()

    def _forget(self) -> None:
        self._rings: deque[_Span] = deque(maxlen=_KEPT)
        self._acts: deque[_Span] = deque(maxlen=_KEPT)
        self._kicks: deque[_Span] = deque(maxlen=_KEPT)
        self._doing: dict[int, tuple[str, int]] = {}

    # -- the host's requests -------------------------------------------------------------------------------------------

    def written(self, request: Request, outcomes: Sequence[Outcome]) -> None:
        """Take a write of the host, and what must follow from it."""
        refused = next((one.reason for one in outcomes if isinstance(one, Refused)), "")
        self._memory(request, refused)
        rings = [one for one in outcomes if isinstance(one, Ring)]
        for one in rings:
            self._ring(request, one.vector, len(rings))
        for one in outcomes:
            if isinstance(one, Kick):
                self._kick(request, one.offset)
            elif isinstance(one, RegisterWrite) and one.place == "mu_b" and one.offset == self._gir:
                self._requests(one.data)
        if outcomes and not refused:
            what = outcomes[0]
            self._hit(request, "write", "ram" if isinstance(what, RamWrite) else _place(what))

    def asked(self, request: Request, refused: Refusal | None) -> None:
        """Take a read of memory, and why it lands nowhere, None if it does."""
        self._memory(request, "" if refused is None else refused.reason)
        if refused is None:
            place = self._place_of(request)
            if place:
                self._hit(request, "read", place)

    def _memory(self, request: Request, refused: str) -> None:
        kind = "write" if request.kind == MEM_WRITE else "read"
        see(f"tlp.{kind}", size(request), enables(request), "refused" if refused else "taken")
        see("tlp.header", kind, "4DW" if request.address >> 32 else "3DW", "refused" if refused else "taken")
        see("tlp.marks", kind, "TC0" if not request.tc else "other TC", request.attr)
        why = landing(refused)
        match = self._match(request)
        if why and match == _FIXED:
            see("window.fixed", kind, why)
        elif why:
            see("window.refused", match, kind, why)
        crossed, self._crossed = self._crossed, self._board.aims.crossed
        if crossed != self._crossed:
            see("window.moved", kind)

    def _hit(self, request: Request, kind: str, place: str) -> None:
        match = self._match(request)
        if match == _FIXED:
            see("window.fixed", kind, place)
        else:
            see("window.hit", match, kind, place)

    def _match(self, request: Request) -> str:
        board = self._board
        if request.bar == board.reference.fixed_bar:
            return _FIXED
        if request.bar > 5:
            return "none"
        return board.reference.windows.match(request.bar, request.function, request.address) or "none"

    def _place_of(self, request: Request) -> str:
        local = self._board.local(request)
        place = self._board.map.find(local)
        return "" if place is None else {"mu_b": "doorbells"}.get(place.name, place.name)

    def _ring(self, request: Request, vector: int, count: int) -> None:
        bell = self._board.bells[vector]
        pending = len(bell.rings) > 1 and bell.rings[-2].first > bell.reads[1]
        mask = "unmasked" if self._enabled >> vector & 1 else "masked"
        see("bell.ring", vector, mask, "unread" if pending else "read")
        see("bell.source", vector, "several" if count > 1 else "one")
        span = _Span(request.first, request.last + _REACH, "ring", vector)
        for act in self._acts:
            self._meet(span, act)
        for other in self._rings:
            if other.vector != vector and other.last >= span.first:
                see("bell.met", "another ring")
            elif other.vector == vector and other.last >= span.first:
                see("bell.met", "the same ring")
        self._rings.append(span)

    def _requests(self, data: int) -> None:
        enabled = self._board.reference.mu.enabled("a")[1]
        for vector, bit in enumerate(self._gir_bits):
            if data & bit:
                see("bell.request", vector, "unmasked" if enabled >> vector & 1 else "masked")

    def _kick(self, request: Request, offset: int) -> None:
        board = self._board
        which = board.reference.edma.doorbells.index(offset)
        latch = board.latch
        settled = "high" if latch.level else "low"
        see("kick.word", which, settled)
        span = _Span(request.first, request.last + _REACH, "kick")
        for act in self._acts:
            if act.what in ("clear", "pulse") and act.last >= span.first and act.first <= span.last:
                see("kick.met", act.what)
        for other in self._kicks:
            if other.last >= span.first:
                see("kick.met", "another kick")
        self._kicks.append(span)

    def bad(self, request: Request) -> None:
        """Take a request that is damaged, or of a kind that the endpoint does not serve."""
        kind = kind_of(request)
        if kind not in _RAW:
            see("tlp.bad", kind)

    def completed(self, request: Request, completion: SentCompletion, pieces: int) -> None:
        """Take the last completion of a request."""
        see("tlp.answer", "UR" if completion.status else "one" if pieces == 1 else "several")

    # -- the CPU -------------------------------------------------------------------------------------------------------

    def cpu_wrote(self, place: str, offset: int, data: int, strobes: int) -> None:
        """Take a write that the CPU handed over, as soon as the model has it."""
        what = "CPU write" if place == "mu_a" else ""
        if place == "mu_a":
            before, self._enabled = self._enabled, self._board.reference.mu.enabled("a")[0]
            if offset == self._mur and data & self._mur_bit and strobes & 1:
                what = "reset of the unit"
            elif before & ~self._enabled:
                what = "mask"
            elif self._enabled & ~before:
                what = "unmask"
        elif place == "edma" and strobes and offset in self._board.latch.clears:
            what = "clear"
        if what:
            self._doing[self._board.map[place].base + offset] = what, cycle()

    def cpu_ended(self, access: CpuAccess) -> None:
        """Take an access of the CPU that was answered."""
        vector = self._rr.get(access.address, -1)
        if vector >= 0 and not access.strobes:
            self._did(_Span(access.started, access.ended, "ack", vector))
        elif access.strobes and access.address & ~3 in self._doing:
            what, _ = self._doing.pop(access.address & ~3)
            self._did(_Span(access.started, access.ended, what))

    def pulsed(self, bits: dict[str, int]) -> None:
        """Take inputs of the DMA."""
        now = cycle()
        self._did(_Span(now, now, "pulse"))
        level = "high" if self._board.latch.level else "low"
        for name in bits:
            if bits[name]:
                see("dma.pulse", name, level)

    def _did(self, act: _Span) -> None:
        self._acts.append(act)
        for ring in self._rings:
            self._meet(ring, act)
        if act.what in ("clear", "pulse"):
            for kick in self._kicks:
                if act.last >= kick.first and act.first <= kick.last:
                    see("kick.met", act.what)

    def _meet(self, ring: _Span, act: _Span) -> None:
        if act.last < ring.first or act.first > ring.last or act.what in ("clear", "pulse"):
            return
        if act.what == "ack":
            see("bell.met", "ack" if act.vector == ring.vector else "another's ack")
        elif act.what != "reset of the unit":
            see("bell.met", act.what)

    # -- to the host ---------------------------------------------------------------------------------------------------

    def msi(self, vector: int, since: int, *, several: bool) -> None:
        """Take an MSI, when it was raised, and whether several were due that go as this one."""
        for why in self._board.permissions.why_msi(vector, since) or ("nothing",):
            see("msi", min(vector, 4), why)
        see("msi.merge", "several due" if several else "one due")

    def msix(self, vector: int, since: int, way: str) -> None:
        """Take an MSI-X message, when it was raised, and the way it went."""
        for why in self._board.permissions.why_msix(vector, since) or ("nothing",):
            see("msix", min(vector, 4), why, way)

    def answered(self, answer: Answer, *, oldest: bool, late: bool) -> None:
        """Take an answer of the host: whether the oldest read is the one, and whether that was given up before."""
        if answer.error in _NOTICES:
            status = _NOTICES[answer.error]
        elif answer.poisoned:
            status = "poisoned"
        elif answer.good or answer.status:
            status = _STATUS.get(answer.status, "wrong")
        else:
            status = "wrong"
        if not late:
            see("answer", status, "in order" if oldest else "out of order")

    # -- resets --------------------------------------------------------------------------------------------------------

    def reset(self, what: str) -> None:
        """Take a reset, before what is under way is forgotten."""
        if what != "rst":  # with the link up no host does that, and `make faults` does
            for state in self._states() or ("nothing",):
                see("reset", what, state)
        if what in ("rst", "hot"):
            self._forget()
            self._enabled = 0

    def _states(self) -> list[str]:
        """Return what a reset of now meets."""
        board = self._board
        begun = board.under_way()
        states = {
            "a ring is pending": any(bell.must_be_pending() for bell in board.bells),
            "irq_edma is high": board.latch.level,
            "a read of the host": begun["read"],
            "a request on CQ": begun["request"],
            "a write of the CPU": begun["write"],
            "an access of the CPU to the host": board.to_host.under_way,
            "an MSI is due": board.msis.under_way,
        }
        return [state for state, holds in states.items() if holds]


def _place(outcome: Outcome) -> str:
    return "edma" if isinstance(outcome, Kick) else "doorbells"
