"""What must follow from what the monitors saw: rings, kicks, RAM, refusals, completions, MSIs; checked as it happens.

The expectation comes from `epbell_models.reference`, fed with the observed requests and CPU accesses.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from epbell_models.reference import outcome
from epbell_models.reference.edma import EdmaPage
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.inbound import Refusal
from epbell_tb.endpoint.aims import Aims
from epbell_tb.endpoint.bells import Bell, Ring
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.completions import byte_count, check_echo, check_piece, check_refusal, first_offset
from epbell_tb.endpoint.expected import Expected, Raise
from epbell_tb.endpoint.latch import Latch, PageWrite
from epbell_tb.endpoint.latencies import SETTLE
from epbell_tb.endpoint.msis import Msis, Pulses
from epbell_tb.endpoint.packets import MEM_READ, MEM_WRITE, CpuAccess, Request, SentCompletion
from epbell_tb.endpoint.permissions import History, Permissions
from epbell_tb.endpoint.shadow import FOREVER, Overwritten, ShadowRam
from epbell_tb.endpoint.to_host import ToHost
from epbell_tb.endpoint.watch import Watch
from epbell_tb.mu_traffic import Registers

__all__ = ["Scoreboard"]

_VECTORS = 4
_SC, _UR = 0, 1
_MSI_RAISE, _INTX = 0x010, 0x044
_MSIX_RAISE, _MSIX_SIZE = 0x048, 0x058
_LONE = SETTLE
"""Clocks around a ring in which nothing else may have moved the line, for its latency to be known."""


class Scoreboard:
    """Judges everything that the endpoint does.

    Parameters
    ----------
    bar_sizes
        Sizes of the six BARs in bytes, 0 for none.
    tree
        The device tree: address map, layout, number of windows.
    busy_since
        Tells since when a request is on the CQ stream that has not ended yet, None if there is none.
    is_master
        Tells whether the host has bus mastering enabled.

    Attributes
    ----------
    bells, latch
        The doorbells of the Messaging Unit, and the eDMA's.
    to_host
        What the endpoint sends to the host.
    aims
        The inbound windows, cycle by cycle.
    permissions, msis, pulses
        What the host allows of interrupts, the MSIs that are due, the pulses of INTx.
    counts
        What was seen: ``requests completions refused_writes refused_reads unsupported discontinued msis rings irqs
        kicks edma_irqs writes_iatu ...``.
    doubts
        How much more the endpoint may have counted than was seen: what came at the edges of a reset of the function.
    latencies
        Clocks from the first beat of a ring to the interrupt, where nothing else was going on.
    latencies_before, irqs_before
        How many latencies and interrupts of the Messaging Unit there had been at the latest reset.
    """

    def __init__(
        self,
        bar_sizes: tuple[int, ...],
        tree: Any,
        busy_since: Callable[[], int | None],
        is_master: Callable[[], bool],
    ) -> None:
        self.reference = ReferenceEndpoint.of(tree, bar_sizes)
        self.map = self.reference.map
        self.aims = Aims(self.reference.windows)
        self.registers = Registers(self.reference.mu.layout)
        self.max_payload = 128
        ram = self.map["ram"]
        self.ram = ShadowRam(ram.base, ram.size)
        self.bells = [Bell(f"vector {n}") for n in range(_VECTORS)]
        self.counts: Counter[str] = Counter()
        self.doubts: Counter[str] = Counter()
        self.latencies: list[int] = []
        self.latencies_before = self.irqs_before = 0
        self.permissions = Permissions()
        self.to_host = ToHost(self.reference, is_master, self.counts, self.permissions, self._now_or_later)
        self.msis = Msis(self.permissions, self.to_host.follows, self.counts)
        self.pulses = Pulses(self.permissions)
        self._sizes = bar_sizes
        self._edma = tree.endpoint.edma
        self._fixed_bar = tree.endpoint.fixed_bar
        self.latch = self._new_latch()
        self._busy_since = busy_since
        self._rr = {self.map["mu_a"].base + self.registers.offset[f"RR{n}"]: n for n in range(_VECTORS)}
        self._reads: dict[tuple[int, int], Expected] = {}
        self._later: list[Callable[[], None]] = []
        self._held: deque[Request] = deque()
        self._cpu_writes: deque[Overwritten | PageWrite | Raise | None] = deque()
        self._mu_touched = self._flr_ended = -FOREVER
        self._in_flr = History(False)
        self.watch = Watch()

    def look_on(self, watch: Watch) -> None:
        """Let somebody see what is judged."""
        self.watch = self.msis.watch = self.to_host.watch = watch

    def reset(self, what: str = "rst") -> None:
        """Forget what a reset of the endpoint forgets; the RAM keeps its contents."""
        self.watch.reset(what)
        self.reference.reset()
        self.aims.reset()
        self.bells = [Bell(bell.name) for bell in self.bells]
        self.latch = self._new_latch()
        self.latencies_before, self.irqs_before = len(self.latencies), self.counts["irqs"]
        for name in ("refused_writes", "refused_reads", "unsupported", "discontinued", "malformed", "flrs"):
            self.counts[name] = 0
        for name in ("msis_refused", "msix_raised", "msix_refused"):
            self.counts[name] = 0
        self.doubts.clear()
        self._in_flr = History(False)
        for queue in (self._reads, self._later, self._held, self._cpu_writes):
            queue.clear()
        self.to_host.reset()
        self.msis.reset()
        self.pulses.reset()
        self.ram.volatile = range(0)

    def flr(self, begins: bool) -> None:
        """Take the begin or the end of a function-level reset: then nothing for the host is due any more.

        Meanwhile what was due may come or not.
        """
        self.doubts["msix_since_reset"] += self.to_host.flr(begins)
        # From the second clock on; it ends three clocks after the hard block has taken its request back (`Function`).
        self._in_flr.change(cycle() + (2 if begins else 3), begins)
        if begins:
            self.watch.reset("flr")
            self.counts["flrs"] += 1
            self.reference.flr()
            return
        self._flr_ended = cycle()
        self._reads.clear()
        self.msis.flr()
        self.pulses.flr()

    def power(self, d3hot: bool) -> None:
        """Take a change of the function's power state."""
        if d3hot:
            self.watch.reset("D3hot")
        self.reference.power(d3hot)

    def under_way(self) -> dict[str, bool]:
        """Return what has begun and not ended."""
        reading, writing, now = bool(self._reads), bool(self._cpu_writes), cycle()
        return {"read": reading, "write": writing, "request": (self._busy_since() or now) < now}

    def _new_latch(self) -> Latch:
        node = self._edma
        alone = EdmaPage(node.personality, node.write_channels, node.read_channels, node.offset)
        return Latch(self.reference.edma, alone, since=cycle())

    # -- the host ------------------------------------------------------------------------------------------------------

    def request(self, request: Request) -> None:
        """Take a request of the host in the cycle of its last beat; it is judged when it is known where it goes."""
        self.counts["requests"] += 1
        self._held.append(request)
        self._judge_held()

    def _judge_held(self) -> None:
        """Judge the requests of which it is known by now which windows they met, and what had to wait for them."""
        while self._held and self.aims.known(self._held[0].decided, cycle()):
            request = self._held.popleft()
            if self.aims.settled(request.decided):
                self._take(request)
            else:
                with self.aims.at(request.decided, request.last):
                    self._take(request)
        if self._busy_since() is None and not self._held:
            later, self._later = self._later, []
            for check in later:
                check()

    def _take(self, request: Request) -> None:
        if request.discontinued or request.malformed:
            self._spoiled(request)
        elif request.kind == MEM_WRITE:
            self._write(request)
        elif not request.posted:
            self._ask(request)
        else:
            self.counts["unsupported"] += 1
        if request.discontinued or request.malformed or request.kind not in (MEM_READ, MEM_WRITE):
            self.watch.bad(request)

    def _spoiled(self, request: Request) -> None:
        """Take a request that is discontinued or malformed: no register is written, and RAM may be.

        It is refused if it asks for an answer, and counted as what comes first.
        """
        self.counts["discontinued" if request.discontinued else "malformed"] += 1
        if not request.posted:
            self._reads[self._key(request)] = Expected(request, _UR)
        elif request.kind == MEM_WRITE and request.bar in range(len(self._sizes)):
            for result in self.reference.predict_write(*self._where(request)):
                if isinstance(result, outcome.RamWrite):
                    self.ram.forget(result.address, len(result.data), request.last + SETTLE)

    def _key(self, request: Request) -> tuple[int, int]:
        """Return requester and tag of a request, which no other one may have."""
        key = request.requester, request.tag
        assert key not in self._reads, f"tag {request.tag} of {request.requester:#x} is still in use"
        return key

    def _where(self, request: Request) -> tuple[int, int, bytes, int, int, int]:
        """Return what the reference asks of a write."""
        offset = self._offset(request)
        return request.bar, offset, request.payload, request.enables, request.function, request.address

    def _offset(self, request: Request) -> int:
        return request.address & (self._sizes[request.bar] - 1)

    def _write(self, request: Request) -> None:
        if request.bar not in range(len(self._sizes)):
            self.counts["refused_writes"] += 1
            return
        results = self.reference.host_write(*self._where(request))
        for result in results:
            if isinstance(result, outcome.Ring):
                self.counts["rings"] += 1
                self.bells[result.vector].rings.append(Ring(request.first, request.last, result.data))
            elif isinstance(result, outcome.Kick):
                self.counts["kicks"] += 1
                self.latch.kick(request.first, request.last, result.data, result.strobes)
            elif isinstance(result, outcome.RamWrite):
                until = {"host_until": request.last, "cpu_until": request.last + SETTLE}
                where = result.address, result.data, result.enables
                self.ram.write(*where, by_host=True, since=request.first, **until)
                self.to_host.host_wrote(result.address, len(result.data), request.first, request.last)
            elif isinstance(result, outcome.Refused):
                self.counts["refused_writes"] += 1
        self.watch.written(request, results)

    def _ask(self, request: Request) -> None:
        key = self._key(request)
        if request.kind != MEM_READ:
            self.counts["unsupported"] += 1
            self._reads[key] = Expected(request, _UR)
            return
        if request.bar not in range(len(self._sizes)):
            self.counts["refused_reads"] += 1
            self._reads[key] = Expected(request, _UR)
            return
        offset, length = self._offset(request), 4 * request.length
        where = request.function, request.address, request.enables
        answer = self.reference.host_read(request.bar, offset, length, *where)
        self.watch.asked(request, answer if isinstance(answer, Refusal) else None)
        if isinstance(answer, Refusal):
            self.counts["refused_reads"] += 1
            self._reads[key] = Expected(request, _UR)
            return
        expected = Expected(request, _SC)
        local = self.local(request)
        place = self.map.find(local)
        if place is not None and place.name == "ram":
            expected.ram = local
        elif place is not None and place.name == "edma":
            expected.words, expected.edma = answer, True
        elif place is not None and place.name == "mu_b" and request.length == 1:
            expected.words = answer
        self._reads[key] = expected

    def local(self, request: Request) -> int:
        """Return the local address of a request that lands somewhere."""
        offset = self._offset(request)
        if request.bar == self._fixed_bar:
            return self.map["edma"].base + offset
        local = self.reference.windows.translate(request.bar, request.function, offset, request.address)
        assert isinstance(local, int)
        return local

    def completion(self, completion: SentCompletion) -> None:
        """Take a completion in the cycle of its last beat."""
        self.counts["completions"] += 1
        self._judge_held()
        key = completion.requester, completion.tag
        expected = self._reads.get(key)
        if expected is None and completion.first <= self._flr_ended:
            return
        assert expected is not None, f"a completion that nobody waits for: {completion}"
        request, data = expected.request, expected.data
        check_echo(request, completion, expected.status)
        expected.pieces += 1
        if completion.status != _SC:
            check_refusal(request, completion)
        else:
            check_piece(request, len(data), completion, self.max_payload)
            data += completion.data
            if len(data) < 4 * request.length:
                return
            self._compare(expected)
        del self._reads[key]
        self.watch.completed(request, completion, expected.pieces)

    def _compare(self, expected: Expected) -> None:
        request, data = expected.request, bytes(expected.data)
        if expected.words is not None and request.enables:  # else the data may be anything
            self.counts["register_reads"] += 1
            if self.latch.settled(request.first) if expected.edma else self._quiet(request.first):
                assert data == expected.words, f"a register read {data.hex()}, not {expected.words.hex()}"
        if expected.ram is None or not request.enables:
            return
        start = first_offset(request)
        stop = start + byte_count(request)
        address, what = expected.ram + start, f"read of {4 * request.length} bytes at {request.address:#x}"
        self._now_or_later(lambda: self.ram.check(address, data[start:stop], request.last, host=True, what=what))

    def _now_or_later(self, check: Callable[[], None]) -> None:
        """Run a check when no request is under way: it may be done before its last beat, once that is on the stream."""
        if self._busy_since() is None and not self._held:
            check()
        else:
            self._later.append(check)

    # -- the CPU -------------------------------------------------------------------------------------------------------

    def cpu_write_started(self, address: int, data: int, strobes: int) -> None:
        """Take a write that the CPU handed over."""
        self._judge_held()
        place = self.map.find(address)
        if address in self.map.outbound:
            self.to_host.write_started(address, data, strobes)
        address &= ~3
        entry: Overwritten | PageWrite | Raise | None = None
        if place is not None:
            self.counts[f"writes_{place.name}"] += 1
        if place is not None and place.name == "ram":
            word, now = data.to_bytes(4, "little"), cycle()
            until = {"host_until": FOREVER, "cpu_until": FOREVER}
            entry = self.ram.write(address, word, strobes, by_host=False, since=now, **until)
        elif place is not None and place.name == "edma":
            entry = self.latch.write_started(cycle(), address - place.base, data, strobes)
        elif place is not None:
            self.reference.cpu_write32(address, data, strobes)
            if place.name == "iatu":
                self.aims.written(cycle())
            if place.name == "controller":
                entry = self._raise(address - place.base, data, strobes)
            if place.name == "mu_a":
                self._mu_touched = cycle()
        if place is not None:
            self.watch.cpu_wrote(place.name, address - place.base, data, strobes)
        self._cpu_writes.append(entry)

    def cpu_write_ended(self, access: CpuAccess) -> None:
        """Take the answer to the CPU's oldest write."""
        entry = self._cpu_writes.popleft()
        self.watch.cpu_ended(access)
        self.aims.answered(access.ended)
        self._judge_held()
        if isinstance(entry, PageWrite):
            self.latch.write_ended(entry, access.ended)
        elif isinstance(entry, Raise):
            self._raised(entry, access.ended)
        elif entry is not None:
            entry.host_until = entry.cpu_until = access.ended
        if access.address in self.map.outbound:
            self.to_host.write_ended(access)
        else:
            self._check_response(access)

    def cpu_read_started(self, address: int) -> None:
        """Take a read that the CPU handed over."""
        self._judge_held()
        if address in self.map.outbound:
            self.to_host.read_started(address)

    def cpu_read_ended(self, access: CpuAccess) -> None:
        """Take the answer to a read of the CPU."""
        self._judge_held()
        if access.address in self.map.outbound:
            self.to_host.read_ended(access)
            return
        self._check_response(access)
        if access.address in self._rr:
            self._mu_touched = access.ended
            self.reference.cpu_read32(access.address)
            bell, read = self.bells[self._rr[access.address]], (access.started, access.ended, access.data)
            bell.ack(*read)
            self.watch.cpu_ended(access)
            self._now_or_later(lambda: bell.check_word(*read))
            return
        place = self.map.find(access.address)
        if place is not None and place.name == "ram":
            data, what = access.data.to_bytes(4, "little"), f"the CPU's read at {access.address:#x}"
            check, word = self.ram.check, access.address & ~3
            self._now_or_later(lambda: check(word, data, access.started, host=False, what=what))
        elif place is not None and place.name == "edma" and self.latch.settled(access.started):
            self.counts["register_reads"] += 1
            want = self.reference.cpu_read32(access.address)
            assert access.data == want, f"the CPU read {access.data:#010x} at {access.address:#x}, not {want:#010x}"

    def _check_response(self, access: CpuAccess) -> None:
        answers = self.map.find(access.address) is not None
        assert bool(access.response) != answers, f"response {access.response} to {access}"

    # -- interrupts ----------------------------------------------------------------------------------------------------

    def irq(self, level: bool, now: int) -> None:
        """Take an edge of the interrupt line."""
        self._judge_held()
        if not level:
            self._mu_touched = now
            return
        self.counts["irqs"] += 1
        reads = [bell.reads[0] for bell in self.bells]  # those that come before the check must not count
        self._now_or_later(lambda: self._check_irq(now, reads))

    def irq_edma(self, level: bool, now: int) -> None:
        """Take an edge of the eDMA's lines."""
        self._judge_held()
        self.counts["edma_irqs"] += level
        self.latch.edge(level, now)

    def _check_irq(self, now: int, reads: Sequence[int]) -> None:
        rung = any(bell.may_be_pending(now, read) for bell, read in zip(self.bells, reads, strict=True))
        assert rung, f"an interrupt in cycle {now} that nobody rang"
        recent = [ring for bell in self.bells for ring in bell.rings[-2:] if now - _LONE < ring.first < now]
        if len(recent) == 1 and self._quiet(recent[0].first):
            self.latencies.append(now - recent[0].first)

    def _quiet(self, since: int) -> bool:
        return self._mu_touched < since - _LONE

    def _raise(self, register: int, data: int, strobes: int) -> Raise | None:
        """Follow the registers of the controller page that interrupt the host; return what was raised, if it may be."""
        msix = self.reference.controller.msix
        if register == _MSI_RAISE and strobes & 1:
            return Raise(cycle(), "msis_refused", self.msis.raised(data & 0x1F, self.to_host.answered))
        elif register == _MSIX_RAISE and strobes & 3:
            if msix.on and data & 0x7FF <= msix.last:
                self.counts["msix_raised"] += 1
                return Raise(cycle(), "msix_refused", self.to_host.raised(data & 0x7FF, cycle()))
            self.counts["msix_refused"] += 1
        elif register == _INTX and strobes & 1:
            self.pulses.written(data)
        elif register == _MSIX_SIZE:
            self.to_host.switched_off()
            size = (msix.last // 64 + 1) * 8 if msix.on else 0
            self.ram.volatile = range(msix.pba, msix.pba + size)
        return None

    def _raised(self, entry: Raise, ended: int) -> None:
        """Find out whether what was raised came in a reset of the function: then it is refused.

        At its edges nobody can tell by the pins.
        """
        inside, outside = [
            self._in_flr.ever(lambda at, want=want: at is want, entry.since, ended) for want in (True, False)
        ]
        self.counts[entry.refused] += not outside
        self.doubts[entry.refused] += inside and outside
        entry.ended(None if inside and outside else inside)

    # -- the end -------------------------------------------------------------------------------------------------------

    def check_empty(self) -> None:
        """Check that nothing is due any more."""
        self._judge_held()
        assert not self._held, f"requests that were never judged: {list(self._held)}"
        assert not self._reads, f"reads without completion: {[e.request for e in self._reads.values()]}"
        self.msis.check_empty()
        self.to_host.check_empty(merged=self.counts["msix_merged"])
        assert not self._later, "checks that were never made"
        assert not self._cpu_writes, "writes of the CPU that were never answered"
