"""What a scenario's pins showed, kept for the run report: packets, accesses of the CPU, interrupts, resets, by clock.

What the monitors have decoded anyway is kept as it is, and written down when the scenario has ended. The file is a call
of the function that the report's ladder page defines, with one JSON object on the lines in between: a page that was
opened as a file may load scripts and nothing else. `COLUMNS` says what is in it.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from epbell_models.reference import outcome
from epbell_models.reference.inbound import Refusal
from epbell_tb.endpoint.clock import PERIOD_NS, cycle
from epbell_tb.endpoint.packets import CpuAccess, Request, SentCompletion
from epbell_tb.endpoint.to_host_packets import Answer, SentRequest
from epbell_tb.endpoint.watch import Watch
from epbell_tb.records import COLUMNS, HEAD, TAIL, file_of

__all__ = [
    "MOST",
    "Record",
]

MOST = 16_000
"""Entries that are kept: half of them from the begin, half of them from the end."""

_SHOWN = 32
"""Bytes of a payload that are kept."""

Seen = TypeVar("Seen")


class _Entry:
    """Something that was seen: its kind, what it is, and what those who judge say that it means."""

    __slots__ = ("kind", "meaning", "seen")

    def __init__(self, kind: str, seen: Any) -> None:
        self.kind = kind
        self.seen = seen
        self.meaning = ""


class Record(Watch):
    """What is seen in a scenario; it looks on while the scoreboard judges, and takes what the monitors tell it.

    Attributes
    ----------
    latencies
        Of interrupts to the host, by kind: how often it took how many clocks from the CPU's write.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what came before the scenario."""
        self._first: list[_Entry] = []
        self._rest: deque[_Entry] = deque(maxlen=MOST // 2)
        self._left_out = 0
        self._latest: dict[str, _Entry] = {}
        self._under_way: dict[str, deque[CpuAccess]] = {"write": deque(), "read": deque()}
        self.latencies: dict[str, Counter[int]] = {}

    # -- what the monitors see -----------------------------------------------------------------------------------------

    def tee(self, kind: str, judge: Callable[[Seen], None]) -> Callable[[Seen], None]:
        """Return what keeps a packet and then has it judged, which may end the scenario."""

        def both(seen: Seen) -> None:
            self._latest[kind] = self._keep(kind, seen)
            judge(seen)

        return both

    def write_started(self, judge: Callable[[int, int, int], None]) -> Callable[[int, int, int], None]:
        """Return likewise what takes a write that the CPU hands over."""

        def both(address: int, data: int, strobes: int) -> None:
            self._under_way["write"].append(CpuAccess(cycle(), -1, address, data, strobes, 0))
            judge(address, data, strobes)

        return both

    def read_started(self, judge: Callable[[int], None]) -> Callable[[int], None]:
        """Return likewise what takes a read that the CPU hands over."""

        def both(address: int) -> None:
            self._under_way["read"].append(CpuAccess(cycle(), -1, address, 0, 0, 0))
            judge(address)

        return both

    def ended(self, kind: str, judge: Callable[[CpuAccess], None]) -> Callable[[CpuAccess], None]:
        """Return likewise what takes the answer to a ``write`` or a ``read`` of the CPU."""

        def both(access: CpuAccess) -> None:
            if self._under_way[kind]:
                self._under_way[kind].popleft()
            self._keep(kind, access)
            judge(access)

        return both

    def line(self, name: str, judge: Callable[[bool, int], None]) -> Callable[[bool, int], None]:
        """Return likewise what takes the edges of an interrupt line."""

        def both(level: bool, now: int) -> None:
            self._keep("line", (now, name, int(level)))
            judge(level, now)

        return both

    def intx(self, level: bool) -> None:
        """Take a message with an edge of INTA, as it arrives at the host."""
        self._keep("intx", (cycle(), int(level)))

    # -- what those who judge say of it --------------------------------------------------------------------------------

    def written(self, request: Request, outcomes: Sequence[outcome.Outcome]) -> None:
        """Take a write of the host, and what must follow from it."""
        self._mean("request", "; ".join(dict.fromkeys(map(_meaning, outcomes))))

    def asked(self, request: Request, refused: Refusal | None) -> None:
        """Take a read of memory, and why it lands nowhere, None if it does."""
        if refused is not None:
            self._mean("request", f"refused: {refused.reason}")

    def bad(self, request: Request) -> None:
        """Take a request that is damaged, or of a kind that the endpoint does not serve."""
        damage = "discontinued" if request.discontinued else "malformed" if request.malformed else "unsupported"
        self._mean("request", damage)

    def msi(self, vector: int, since: int, *, several: bool) -> None:
        """Take an MSI that has arrived, and when it was raised."""
        self._interrupt("msi", vector, since)

    def msix(self, vector: int, since: int, way: str) -> None:
        """Take an MSI-X message, when it was raised, and the way it went: on RQ it was seen there."""
        self._interrupt("msix", vector, since)
        if way == "rq":
            self._mean("sent", f"MSI-X {vector}")

    def reset(self, what: str) -> None:
        """Take a reset: one of everything cuts off what the CPU waits for."""
        self._keep("reset", (cycle(), what))
        if what in ("rst", "hot"):
            for waiting in self._under_way.values():
                waiting.clear()

    def _interrupt(self, kind: str, vector: int, since: int) -> None:
        self._keep(kind, (since, cycle(), vector))
        self.latencies.setdefault(kind, Counter())[cycle() - since] += 1

    def _mean(self, kind: str, meaning: str) -> None:
        if kind in self._latest:
            self._latest[kind].meaning = meaning

    def _keep(self, kind: str, seen: Any) -> _Entry:
        entry = _Entry(kind, seen)
        if len(self._first) < MOST // 2:
            self._first.append(entry)
        else:
            self._left_out += len(self._rest) == self._rest.maxlen
            self._rest.append(entry)
        return entry

    # -- the end -------------------------------------------------------------------------------------------------------

    def write(self, folder: Path, name: str, **about: Any) -> None:
        """Write the record of a scenario.

        Parameters
        ----------
        folder
            Where the file goes, called after the scenario.
        name
            The scenario.
        about
            What else the file is to say.
        """
        entries = [_row(entry) for entry in (*self._first, *self._rest)]
        for kind, waiting in self._under_way.items():
            entries += [_row(_Entry(kind, access)) for access in waiting]
        record = {
            "name": name, **about, "period_ns": PERIOD_NS, "columns": COLUMNS,
            "left_out": {"number": self._left_out, "behind": len(self._first)}, "entries": entries,
        }  # fmt: skip
        path = file_of(folder, name)
        path.write_text(f"{HEAD}{json.dumps(record, separators=(',', ':'))}{TAIL}", encoding="utf-8")


def _meaning(result: outcome.Outcome) -> str:
    match result:
        case outcome.Ring():
            return f"rings vector {result.vector} with {result.data:#x}"
        case outcome.Kick():
            return f"kicks the eDMA at +{result.offset:#x}"
        case outcome.RamWrite():
            return f"RAM {result.address:#x}"
        case outcome.RegisterWrite():
            return f"{result.place} +{result.offset:#x}"
        case outcome.Ignored():
            return f"part of TR{result.vector}: no ring"
        case _:
            return f"refused: {result.reason}"


def _row(entry: _Entry) -> list[Any]:
    """Return an entry as `COLUMNS` says."""
    seen, kind = entry.seen, entry.kind
    if isinstance(seen, tuple) and not isinstance(seen, Request | SentCompletion | CpuAccess):
        return [kind, *seen]
    if isinstance(seen, CpuAccess):
        last = seen.ended if seen.ended >= 0 else None
        strobes = [seen.strobes] if kind == "write" else []
        return [kind, seen.started, last, seen.address, seen.data, *strobes, seen.response]
    row: list[Any] = [kind, seen.first, seen.last]
    if isinstance(seen, Request):
        row += [seen.kind, seen.bar, f"{seen.address:x}", seen.length, seen.first_be, seen.last_be, seen.tag]
        return [*row, *_payload(seen.payload), entry.meaning]
    if isinstance(seen, SentCompletion):
        row += [seen.status, seen.tag, seen.byte_count, seen.length, seen.lower_address]
        return [*row, *_payload(b"" if seen.status else seen.data)]
    if isinstance(seen, SentRequest):
        row += [seen.kind, f"{seen.address:x}", seen.length, seen.first_be, seen.last_be, seen.tag]
        return [*row, *_payload(seen.data), entry.meaning]
    assert isinstance(seen, Answer), f"an entry of an unknown kind: {seen!r}"
    row += [seen.status, seen.error, seen.tag, seen.length, int(seen.poisoned)]
    return [*row, *_payload(seen.data)]


def _payload(data: bytes) -> tuple[str, int]:
    return data[:_SHOWN].hex(), len(data)
