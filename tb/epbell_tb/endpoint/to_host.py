"""What must follow from the CPU's accesses to the host and from MSI-X: requests, their fields, answers, their order.

The expectation comes from the reference's outbound windows and from the MSI-X table as the host has written it.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.iatu import Refusal
from epbell_models.reference.outbound import Cause, Marks
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.latencies import MASTER
from epbell_tb.endpoint.packets import MEM_READ, MEM_WRITE, CpuAccess
from epbell_tb.endpoint.permissions import Permissions
from epbell_tb.endpoint.to_host_packets import Answer, SentRequest
from epbell_tb.endpoint.watch import Watch

__all__ = [
    "CAUSES",
    "ToHost",
]

CAUSES = {
    Cause.UNSUPPORTED: "Unsupported Request",
    Cause.ABORTED: "Completer Abort",
    Cause.POISONED: "poisoned data",
    Cause.TIMEOUT: "the hard block's notice of a timeout or a reset",
    Cause.UNEXPECTED: "something else that is no good",
}
"""How a read may end badly."""

_TAGS = 32
_OKAY, _SLVERR, _DECERR = 0, 2, 3
_UR = 1
_FUNCTION_RESET, _TIMEOUT = 8, 9
_ENTRY = 16
_DATA, _VECTOR_CONTROL = 8, 12


@dataclass(eq=False)
class _Access:
    """An access of the CPU to the aperture: where it must go, None for nowhere; what became of it."""

    address: int
    target: int | None
    strobes: int
    data: bytes
    marks: Marks = field(default_factory=Marks)
    sent: bool = False
    followed: bool = False  # what comes later need not wait for it
    answer: Answer | None = None
    cut: bool = False  # a reset of the function came meanwhile: it leaves if it had begun to
    early: bool = False  # it has failed by the descriptor of an answer that had not ended
    lost: bool = False  # the endpoint has given it up; its tag is in use until an answer comes
    since: int = 0  # the cycle


@dataclass(eq=False)
class _Raised:
    """An interrupt: its vector, and how many writes of the CPU had been answered before."""

    vector: int
    after: int
    answered: bool = False  # the write that raises it
    doubtful: bool = False  # a reset of the function may have forgotten or refused it
    since: int = 0  # the cycle


class ToHost:
    """Judges the RQ stream.

    Parameters
    ----------
    reference
        Windows and MSI-X table.
    is_master
        Tells whether the host has bus mastering enabled, as the hard block says it.
    counts
        Counts ``to_host_writes to_host_reads outbound_failed msix msix_since_reset``.
    permissions
        What the host allows of interrupts.
    now_or_later
        Runs a check when no request is under way: it may be done before its last beat.

    Attributes
    ----------
    msix
        How MSI-X messages leave: ``"rq"``, or ``"port"`` for the hard block's port.
    coming
        Tells which tag has an answer under way whose descriptor is there (None: none): it says whether the read fails
        (`epbell.pcie.requester`, `CompletionParser`).
    causes
        How often reads ended badly, and how.
    tags
        How often each tag, 0 to 31, was that of a read of the host that left.
    """

    def __init__(
        self,
        reference: ReferenceEndpoint,
        is_master: Callable[[], bool],
        counts: Counter[str],
        permissions: Permissions,
        now_or_later: Callable[[Callable[[], None]], None],
    ) -> None:
        self.msix = "rq"
        self.coming: Callable[[], int | None] = lambda: None
        self.watch = Watch()
        self._permissions = permissions
        self._now_or_later = now_or_later
        self._reference = reference
        self._is_master = is_master
        self._counts = counts
        self._changed = -MASTER
        self._patience: int | None = None
        self._every = _TAGS
        self.causes: Counter[Cause] = Counter()
        self.tags: Counter[int] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget everything that is under way."""
        self._writes: deque[_Access] = deque()
        self._answers: deque[_Access] = deque()
        self._reads: deque[_Access] = deque()
        self._read_answers: deque[_Access] = deque()
        self._tags: dict[int, _Access] = {}
        self._raised: list[_Raised] = []
        self._raised_cut = False  # some were taken away, and with them some that had been merged
        self._permissions.table_moved()
        self._written = 0
        self._answered = 0
        self._flr_since: int | None = None
        for name in ("outbound_failed", "msix_since_reset"):
            self._counts[name] = 0

    def master_changed(self) -> None:
        """Note that the host has changed Bus Master Enable, or the power state."""
        self._changed = cycle()

    def flr(self, begins: bool) -> int:
        """Note that a function-level reset begins, or has ended: then nothing is due any more but the CPU's answers.

        What it cuts off may have left or not, and may fail or not. What is on the stream leaves, failed or not, before
        it ends. Returns how many MSI-X vectors it has taken away; the endpoint may have counted them as sent.
        """
        self._flr_since = cycle() if begins else None
        for access in (*self._answers, *self._writes, *self._read_answers, *self._reads):
            access.cut = True
        if begins:
            return 0
        for access in self._writes:
            if access not in self._answers:
                self._follow(access)
        self._writes = deque(access for access in self._writes if access in self._answers)
        self._reads = deque(access for access in self._reads if access in self._read_answers)
        before = len(self._raised)
        self._raised_cut = True
        self._raised = [raised for raised in self._raised if not raised.answered]
        return before - len(self._raised)

    def _follow(self, access: _Access) -> None:
        """Count a write that has left, or never will: what comes later need not wait for it."""
        self._written += not access.followed
        access.followed = True

    def gives_up(self, timeout: int, tags: int) -> None:
        """Note that the endpoint gives a read up after so many clocks, and that it has so many tags."""
        self._patience, self._every = timeout, tags

    @property
    def answered(self) -> int:
        """How many writes to the host have been answered with success."""
        return self._answered

    @property
    def under_way(self) -> bool:
        """Whether the CPU waits for an answer from the host."""
        return bool(self._answers or self._read_answers)

    def follows(self, writes: int) -> bool:
        """Return whether so many writes have left."""
        return self._written >= writes

    # -- the CPU -------------------------------------------------------------------------------------------------------

    def write_started(self, address: int, data: int, strobes: int) -> None:
        """Take a write that the CPU handed over."""
        access = self._access(address, strobes, data.to_bytes(4, "little"))
        self._answers.append(access)
        if access.target is not None and strobes:
            self._writes.append(access)

    def write_ended(self, access: CpuAccess) -> None:
        """Take its answer."""
        expected = self._answers.popleft()
        if expected.target is not None and access.response == _OKAY:
            self._answered += bool(expected.strobes)
            if expected.strobes and expected.cut:
                self._follow(expected)
            return
        self._counts["outbound_failed"] += 1
        self._refused(expected, access)
        if expected in self._writes:
            self._writes.remove(expected)

    def read_started(self, address: int) -> None:
        """Take a read that the CPU handed over."""
        access = self._access(address, 0xF, b"")
        self._read_answers.append(access)
        if access.target is not None:
            self._reads.append(access)

    def read_ended(self, access: CpuAccess) -> None:
        """Take its answer."""
        expected = self._read_answers.popleft()
        if expected.answer is not None and not (expected.cut and access.response == _SLVERR):
            good = expected.answer.good
            assert access.response == (_OKAY if good else _SLVERR), f"response {access.response} to {expected.answer}"
            want = int.from_bytes(expected.answer.data, "little") if good else 0
            assert access.data == want, f"the CPU read {access.data:#010x} at {access.address:#x}, not {want:#010x}"
            self._counts["outbound_failed"] += not good
            return
        self._counts["outbound_failed"] += 1
        if self._given_up(expected, access):
            expected.lost = True
        elif (tag := self.coming()) is not None and self._tags.get(tag) is expected and not expected.cut:
            expected.early = True
            assert (access.response, access.data) == (_SLVERR, 0), f"a read whose answer has not ended: {access}"
        else:
            self._refused(expected, access)
        if expected in self._reads and not (expected.cut and self._flr_since is not None):
            self._reads.remove(expected)

    def _given_up(self, expected: _Access, access: CpuAccess) -> bool:
        """Return whether the endpoint has given a read up in its own time, or at once for want of a tag."""
        if self._patience is None or expected.target is None:
            return False
        late = access.ended - access.started > self._patience
        none_left = sum(read.lost for read in self._tags.values()) == self._every
        if not (late if expected.sent else none_left):
            return False
        assert (access.response, access.data) == (_SLVERR, 0), f"a read that was given up: {access}"
        return True

    def _access(self, address: int, strobes: int, data: bytes) -> _Access:
        windows, dword = self._reference.outbound, address & ~3
        target = windows.translate(dword)
        return _Access(address, None if isinstance(target, Refusal) else target, strobes, data, windows.marks(dword))

    def _refused(self, expected: _Access, access: CpuAccess) -> None:
        """Check an access that failed without having been sent, or in a reset of the function."""
        if expected.cut and expected.target is not None:
            assert access.response == _SLVERR, f"response {access.response} in a reset: {access}"
            return
        assert not expected.sent, f"{access} failed although it was sent, and nothing came back"
        if expected.target is None:
            assert access.response == _DECERR, f"response {access.response} without a window: {access}"
            return
        assert access.response == _SLVERR, f"response {access.response} to {access}"
        assert self._may_refuse(access.started), f"refused although the endpoint is a bus master: {access}"

    def _may_refuse(self, since: int) -> bool:
        """Return whether the endpoint may have been no bus master at some time since a cycle, for all that it knew."""
        return not self._is_master() or self._changed + MASTER > since

    # -- the streams ---------------------------------------------------------------------------------------------------

    def sent(self, request: SentRequest) -> None:
        """Take a request in the cycle of its last beat."""
        plain = (request.length, request.last_be, request.at, request.requester)
        assert plain == (1, 0, 0, 0), f"a request with fields that it must not have: {request}"
        flags = request.own_requester, request.poisoned, request.discontinued, bool(request.completer)
        assert not any(flags), f"a request with flags that it must not have: {request}"
        # On the stream in the second clock after the first one in which the hard block asks for the reset, or before.
        begun = self._flr_since is None or request.offered <= self._flr_since + 3
        assert begun, f"a request that begins in a reset of the function: {request}"
        allowed = self._permissions.request_allowed(request.offered)
        assert allowed, f"a request while the host allows none: {request}"
        if request.kind == MEM_READ:
            self._read(request)
        else:
            assert request.kind == MEM_WRITE, f"a request that is neither read nor write: {request}"
            self._write(request)
        self._permissions.left(request.behind, request.offered, cycle())

    def _read(self, request: SentRequest) -> None:
        assert self._reads, f"a read that the CPU did not ask for: {request}"
        access = self._reads.popleft()
        # One that is refused may have to wait for its answer, behind those of the reads before it.
        while request.address != access.target and self._reads and (access.cut or self._may_refuse(access.since)):
            access = self._reads.popleft()
        assert request.address == access.target, f"a read of {request.address:#x}, not of {access.target:#x}"
        assert (request.first_be, request.data) == (0xF, b""), f"a read of part of a dword: {request}"
        assert _marks(request) == access.marks, f"a request that its window marks with {access.marks}: {request}"
        assert request.tag < _TAGS, f"a tag that needs Extended Tags: {request}"
        assert request.tag not in self._tags, f"a tag that is still in use: {request}"
        access.sent = True
        self._tags[request.tag] = access
        self.tags[request.tag] += 1
        self._counts["to_host_reads"] += 1

    def _write(self, request: SentRequest) -> None:
        assert len(request.data) == 4, f"a write without its dword: {request}"
        access = self._next_write(request)
        if access is None:
            self._message(request, self._writes[0] if self._writes else None)
            return
        assert _marks(request) == access.marks, f"a request that its window marks with {access.marks}: {request}"
        while self._writes.popleft() is not access:
            pass
        access.sent = True
        self._follow(access)
        self._counts["to_host_writes"] += 1

    def _next_write(self, request: SentRequest) -> _Access | None:
        """Return the CPU's write that this is: the oldest, or the oldest that no reset has cut off."""
        for access in self._writes:
            if (request.address, request.first_be, request.data) == (access.target, access.strobes, access.data):
                return access
            if not access.cut:
                break
        return None

    def answer(self, answer: Answer) -> None:
        """Take a packet of the RC stream in the cycle of its last beat."""
        access = self._tags.get(answer.tag)
        if access is not None:
            oldest = next(iter(self._tags)) == answer.tag
            self.watch.answered(answer, oldest=oldest, late=access.lost)
        if access is not None and answer.ends:
            del self._tags[answer.tag]
            access.answer = answer
            assert not (access.early and answer.good), f"a read has failed, and its answer was good: {answer}"
            if not answer.good and not access.lost:
                self.causes[_cause(answer)] += 1

    # -- MSI-X ---------------------------------------------------------------------------------------------------------

    def raised(self, vector: int, since: int = 0) -> Callable[[bool | None], None]:
        """Note that the CPU raises an MSI-X vector in a cycle; return what to tell of its end, as `Msis.raised`."""
        raised = _Raised(vector, self._answered, since=since)
        self._raised.append(raised)

        def ended(late: bool | None) -> None:
            raised.answered = True
            raised.doubtful |= late is None
            if late:
                assert raised in self._raised, f"MSI-X {vector}, raised in a reset of the function, has been sent"
                self._raised.remove(raised)

        return ended

    @property
    def vectors_due(self) -> int:
        """How many MSI-X vectors were raised and have not been sent; some may have become one with others."""
        return sum(not raised.doubtful for raised in self._raised)

    def switched_off(self) -> None:
        """Note that the CPU takes the MSI-X table away: nothing is due any more."""
        self._raised_cut |= bool(self._raised)
        self._raised.clear()
        self._permissions.table_moved()

    def host_wrote(self, address: int, length: int, first: int, last: int) -> None:
        """Note the masks in the table that the host has written; in which cycles the request was on the stream."""
        msix = self._reference.controller.msix
        if not msix.on:
            return
        start = address - msix.table - _VECTOR_CONTROL
        for vector in range(max(0, -(-(start - 3) // _ENTRY)), min(msix.last, (start + length - 1) // _ENTRY) + 1):
            self._permissions.vector_masked(vector, self._masked(vector), first, last)

    def asked(self, address: int, data: bytes, now: int) -> Callable[[], None]:
        """Take a message that the hard block is asked for in a cycle; return what to call when it is sent."""
        what = f"a message that nobody asked for: {data.hex()} to {address:#x}"
        assert self.msix == "port", f"{what}, at the port"
        found = self._due(address, data, what, now)
        return lambda: self._left(found)

    def _message(self, request: SentRequest, access: _Access | None) -> None:
        """Take a write that none of the CPU's is: it must be the message of a vector that was raised."""
        what = f"a write that nobody asked for: {request}; the next of the CPU's is {access}"
        assert (request.first_be, _marks(request)) == (0xF, Marks()), what
        assert self.msix == "rq", what
        since = self._permissions.queued_since(request.behind, request.offered)
        self._left(self._due(request.address, request.data, what, request.offered, since))

    def _due(self, address: int, data: bytes, what: str, now: int, since: int | None = None) -> _Raised:
        found = next((one for one in self._raised if self._entry(one.vector) == (address, data)), None)
        assert found is not None, what
        assert self.follows(found.after), f"MSI-X {found.vector} has overtaken a write of the CPU: {what}"
        check, vector = self._permissions.check_msix, found.vector
        since = None if since is None else min(now, max(since, found.since))  # it was not there before it was raised
        self._now_or_later(lambda: check(vector, self._masked(vector), now, since))
        return found

    def _left(self, raised: _Raised) -> None:
        # Further raises of the same vector may have been merged with this one.
        self._raised.remove(raised)
        self.watch.msix(raised.vector, raised.since, self.msix)
        self._counts["msix"] += 1
        self._counts["msix_since_reset"] += 1

    def _row(self, vector: int) -> bytes:
        """Return the entry of a vector, from the table in RAM."""
        msix = self._reference.controller.msix
        start = msix.table - self._reference.map["ram"].base + _ENTRY * vector
        return bytes(self._reference.ram[start : start + _ENTRY])

    def _masked(self, vector: int) -> bool:
        return bool(self._row(vector)[_VECTOR_CONTROL] & 1)

    def _entry(self, vector: int) -> tuple[int, bytes]:
        """Return address and word of a vector."""
        entry = self._row(vector)
        return int.from_bytes(entry[:_DATA], "little") & ~3, entry[_DATA:_VECTOR_CONTROL]

    # -- the end -------------------------------------------------------------------------------------------------------

    def check_empty(self, *, merged: int) -> None:
        """Check that nothing is due any more; ``merged`` is how many raises became one with another, or are pending."""
        assert not self._writes, f"writes of the CPU that never left: {list(self._writes)}"
        assert not self._reads, f"reads of the CPU that never left: {list(self._reads)}"
        assert not self._answers, f"writes to the host that were never answered: {list(self._answers)}"
        assert not self._read_answers, f"reads of the host that were never answered: {list(self._read_answers)}"
        self.check_vectors(merged)

    def check_vectors(self, merged: int) -> None:
        """Check that each MSI-X vector was sent once, but for so many that became one with another, or are pending."""
        due = self.vectors_due
        assert due <= merged, f"MSI-X vectors that were never sent: {self._raised}; {merged} were merged"
        # What a reset of the function took away had been merged, too.
        assert due == merged or self._raised_cut, f"MSI-X vectors that were sent twice: {merged} merged, {due} not sent"


def _marks(request: SentRequest) -> Marks:
    return Marks(request.tc, request.attr, request.ecrc)


def _cause(answer: Answer) -> Cause:
    if answer.error in (_FUNCTION_RESET, _TIMEOUT):
        return Cause.TIMEOUT
    if answer.status:
        return Cause.UNSUPPORTED if answer.status == _UR else Cause.ABORTED
    return Cause.POISONED if answer.poisoned else Cause.UNEXPECTED
