"""Proofs of MSI-X as a whole: what becomes of each vector that is raised, and what stands in the pending bit array."""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.msix import Msix, _State
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS", "VECTORS", "Account"]

# The endpoint has 2048 vectors, 16 places of the queue, 2 to 16 lanes; 64 bytes hold a table of two and its bits.
VECTORS, _DEPTH, _LANES, _RAM = 2, 2, 2, 64
_ONE_BIT = (
    "set_up", "enabled", "masked", "bus_master", "raise_valid", "hold", "host_wrote", "mem_ready", "mem_rvalid",
    "i_ready", "i_sent", "i_failed",
)  # fmt: skip
_COUNT = 3


class Account(Bench):
    """What is queued, in hand, pending and on its way, from what the ports show.

    Parameters
    ----------
    more : dict of str to int
        Free inputs that a proof has beside those of the engine, and their widths.
    """

    def __init__(self, more: dict[str, int] | None = None) -> None:
        wide = {"table": 4, "pba": 4, "last": 11, "raise_vector": 11, "host_address": 4, "host_written": _LANES}
        self.engine = {**dict.fromkeys(_ONE_BIT, 1), **wide, "mem_rdata": 32}
        super().__init__({name: In(width) for name, width in (self.engine | (more or {})).items()})

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        m.submodules.dut = self.dut = dut = Msix(VECTORS, ram_size=_RAM, lanes=_LANES, queue=_DEPTH)
        self.inside = Inside(dut)
        for name in self.engine:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        self.open: Any = Signal(name="may_send")
        m.d.comb += self.open.eq(self.set_up & self.enabled & ~self.masked & self.bus_master)
        self.most = Mux(self.last != 0, 1, 0)
        self._assume(checks)
        self._follow_reads(checks)
        self._follow_writes()
        self._follow_raises(checks)
        self._state_invariants(checks)

    def _assume(self, checks: Checks) -> None:
        self.owed: Any = Signal(range(5), name="owed")
        place = Cat(self.table, self.pba, self.last)
        before: Any = Signal(len(place), name="place_before")
        was: Any = Signal(name="was_set_up")
        self.m.d.sync += [before.eq(place), was.eq(self.set_up)]
        checks.assume("table and PBA stay where they are: as their users are told",
                      ~(self.set_up & was) | (place == before))  # fmt: skip
        checks.assume("data come for what was asked: that is the memory's promise", ~self.mem_rvalid | (self.owed != 0))

    def _follow_reads(self, checks: Checks) -> None:
        """Follow the entry that was asked for last: its dwords, and whether the host has written it since."""
        m, dut = self.m, self.dut
        self.reads = dut.mem_valid & self.mem_ready & ~dut.mem_write
        place: Any = Signal(4, name="place_in_table")
        self.entry, self.asked, self.came = Signal(2, name="entry"), Signal(3, name="asked"), Signal(3, name="came")
        self.stale, self.got = Signal(name="stale_kept"), [Signal(32, name=f"got{n}") for n in range(4)]
        begins, entry = Signal(), Signal(2)
        m.d.comb += [
            place.eq(dut.mem_addr - self.table),
            begins.eq(self.reads & (place[:2] == 0)),
            entry.eq(Mux(begins, place[2:], self.entry)),
        ]
        touches: Any = Signal(_LANES)
        self.lanes: list[tuple[Any, Any]] = []  # whether the host writes to the table, and which of its dwords
        for lane in range(_LANES):
            dword, hit = Signal(4, name=f"host_dword{lane}"), Signal(name=f"host_hit{lane}")
            m.d.comb += [
                dword.eq(self.host_address + lane - self.table),
                hit.eq(self.host_wrote & self.host_written[lane] & (dword[2:] <= self.most)),
                touches[lane].eq(hit & (dword[2:] == entry)),
            ]
            self.lanes.append((hit, dword))
        self.touches = touches.any()
        m.d.sync += [
            self.owed.eq(self.owed + self.reads - self.mem_rvalid),
            self.entry.eq(entry),
            self.asked.eq(Mux(begins, 1, self.asked + self.reads)),
            self.came.eq(Mux(begins, 0, self.came + self.mem_rvalid)),
            self.stale.eq(touches.any() | (self.stale & ~begins)),
        ]
        for n, word in enumerate(self.got):
            with m.If(self.mem_rvalid & (self.came == n)):
                m.d.sync += word.eq(self.mem_rdata)
        in_turn = (place[:2] == self.asked) & (place[2:] == self.entry) & (self.asked != 4)
        checks.backward("an entry is read from its first dword on", ~self.reads | begins | in_turn)
        checks.backward("only an entry that there is", ~self.reads | (place[2:] <= self.most))

    def _follow_writes(self) -> None:
        """Follow the dwords of the PBA, as they are written in the RAM."""
        m, dut = self.m, self.dut
        self.writes = dut.mem_valid & self.mem_ready & dut.mem_write
        self.pba_kept = [Signal(32, name=f"pba{n}") for n in range(2)]
        self.wiped = [Signal(name=f"wiped{n}") for n in range(2)]
        self.place: Any = Signal(4, name="place_in_pba")
        m.d.comb += self.place.eq(dut.mem_addr - self.pba)
        for n in range(2):
            with m.If(self.writes & (self.place == n)):
                m.d.sync += [self.pba_kept[n].eq(dut.mem_data), self.wiped[n].eq(1)]
        with m.If(~self.set_up):
            m.d.sync += [one.eq(0) for one in self.wiped]
        self.ready = self.wiped[0] & self.wiped[1]
        self.bits = self.pba_kept[0]
        writes = self.writes & self.ready
        self.rises = (dut.mem_data & ~self.bits) & writes.replicate(32)
        self.falls = (self.bits & ~dut.mem_data) & writes.replicate(32)

    def _follow_raises(self, checks: Checks) -> None:
        """Follow what is queued, oldest first, what is in hand, and the message that has no answer yet."""
        m, dut = self.m, self.dut
        self.queue = [Signal(11, name=f"queued{n}") for n in range(_DEPTH)]
        self.level: Any = Signal(range(_DEPTH + 1), name="level_kept")
        self.hand, self.in_hand, self.out = Signal(name="hand"), Signal(11, name="in_hand"), Signal(name="out")
        self.looked: Any = Signal(name="looked")
        known = self.set_up & (self.raise_vector <= self.most)
        self.enters = self.raise_valid & known & (self.level != _DEPTH)
        self.goes = dut.i_valid & self.i_ready
        self.answers = (self.goes | self.out) & (self.i_sent | self.i_failed)
        checks.forward("a vector is queued where there is room", ~self.enters | dut.queued)
        checks.backward("nothing else is queued", ~dut.queued | self.enters)
        refused = self.raise_valid & ~known & (self.level != _DEPTH)
        checks.forward("a vector that does not exist is refused", ~refused | dut.refused)
        checks.backward("nothing else is refused", ~dut.refused | refused)
        checks.backward("room is what is left", dut.room == _DEPTH - self.level)
        checks.backward(
            "one leaves that is there, and is not held", ~dut.taken | (self.level != 0) & ~(self.hold & self.open)
        )
        ends = dut.merged | dut.held | dut.sent
        place = self.level - dut.taken
        m.d.sync += [
            self.level.eq(Mux(self.set_up, self.level + self.enters - dut.taken, 0)),
            self.looked.eq(self.set_up & dut.taken),
            self.hand.eq(self.set_up & ((self.hand & ~ends) | dut.taken | self.falls.any())),
            self.out.eq(self.set_up & (self.goes | self.out) & ~self.answers),
        ]
        with m.If(dut.taken):
            m.d.sync += self.in_hand.eq(self.queue[0])
        with m.Elif(self.falls.any()):
            m.d.sync += self.in_hand.eq(self.falls[1])
        for n, one in enumerate(self.queue):
            moved = self.queue[n + 1] if n + 1 < _DEPTH else one
            m.d.sync += one.eq(Mux(self.enters & (place == n), self.raise_vector, Mux(dut.taken, moved, one)))

    def _state_invariants(self, checks: Checks) -> None:
        dut, inside = self.dut, self.inside
        state, vector, word, held = dut._state, dut._vector, dut._word, dut._held
        reader, bits, queue, unmasked = (inside.within(name) for name in ("reader", "bits", "queue", "checks"))
        asked, missing = reader.signal("asked"), reader.signal("missing")
        scan = dut._scan

        def among(*states: _State) -> Any:
            return Cat(*(state == one for one in states)).any()

        s = _State
        works = among(s.FETCH, s.HOLD, s.RELEASE, s.OFFER, s.ANSWER, s.RETRY)
        checks.invariant("states are those", state <= s.RETRY.value)
        checks.invariant("zeroing has its turn", self.ready == ~among(s.WIPE))
        partly = (self.wiped[0] == dut._wiped) & ~self.wiped[1]
        checks.invariant("a word is zeroed after the other", ~among(s.WIPE) | partly)
        for n in range(2):
            stored = bits.word(self.m, "memory", Const(n, 1))
            checks.invariant("bits are as in the PBA", ~self.wiped[n] | (stored == self.pba_kept[n]))
        known = Mux(self.ready, ~self.pba_kept[0][2:].any() & ~self.pba_kept[1].any(), 1)
        checks.invariant("no other bit is set", known)
        checks.invariant("while zeroing none is", ~(among(s.WIPE) & self.wiped[0]) | ~self.bits.any())
        number = (self.bits[0] + self.bits[1])[:2]
        checks.invariant("pending ones are counted", dut.pending == Mux(self.ready, number, 0))
        checks.invariant("vectors are those", ~(works | among(s.LOOK)) | (vector <= 1))
        checks.invariant("the search is among those", ~self.set_up | (scan <= self.most))
        raised = among(s.LOOK) & dut._raised
        checks.invariant("what is worked on is", ~(self.set_up & (works | raised)) | (vector <= self.most))
        checks.invariant("so is what is pending", ~(self.set_up & self.ready & self.bits[1]) | (self.most == 1))
        for n in range(4):
            checks.invariant("so are unmasked ones", unmasked.word(self.m, "storage", Const(n, 2)) <= 1)
        look = dut._bits.word == self.bits
        checks.invariant("a look is at the bits", ~among(s.LOOK, s.SEARCH) | look)
        at = bits.signal("position")
        checks.invariant("a look is at its bit", ~among(s.LOOK) | (at == vector[:5]))
        checks.invariant("a search begins at its bit", ~among(s.SEARCH) | (at == scan[:5]))
        own = Const(1, 32) << vector[:1]
        checks.invariant("neighbours are remembered", ~works | ((word & ~own)[:32] == (self.bits & ~own)[:32]))
        checks.invariant("so is its own bit", ~works | (held == (self.bits & own).any()))
        checks.invariant("what is held is not", ~among(s.HOLD, s.OFFER, s.ANSWER) | ~held)
        checks.invariant("what is released was", ~among(s.RELEASE) | held)
        checks.invariant("what is in hand is", self.hand == (raised | (works & ~held)))
        checks.invariant("it is this vector", ~self.hand | (self.in_hand == vector))
        checks.invariant("a raise is looked at first", self.looked == raised)
        checks.invariant("an answer is awaited", self.out == among(s.ANSWER))
        level, consume, produce = (queue.signal(name) for name in ("level", "consume", "produce"))
        checks.invariant("entries are counted", (level == self.level) & (level <= _DEPTH))
        checks.invariant("places are places", produce == (consume + level)[0])
        for n in range(_DEPTH):
            stored = queue.word(self.m, "storage", (consume + n)[0])
            checks.invariant("entries are what was queued", (n >= level) | (stored == self.queue[n]))
            checks.invariant(
                "vectors are those that there are", ~self.set_up | (n >= level) | (self.queue[n] <= self.most)
            )
        self._state_reader(checks, among, asked, missing)

    def _state_reader(self, checks: Checks, among: Any, asked: Any, missing: Any) -> None:
        dut, s = self.dut, _State
        checks.invariant("data to come are counted", missing == self.owed)
        checks.invariant("no more than four are", (missing <= 4) & (asked <= 4))
        checks.invariant("none are, but in a read", among(s.FETCH, s.WIPE) | (missing == 0))
        goes_on = among(s.FETCH) & (asked != 0)
        checks.invariant("a read begins with none", ~among(s.FETCH) | (asked != 0) | (missing == 0))
        checks.invariant("reads are counted", ~goes_on | (asked == self.asked) & (asked == (self.came + missing)))
        has = goes_on | among(s.RELEASE, s.OFFER)
        checks.invariant("it is the entry of this vector", ~has | (self.entry == dut._vector))
        checks.invariant("what the host writes is seen", ~(has & self.set_up) | (self.stale == dut._stale))
        entry = dut._reader.entry.as_value()
        for count in range(1, 5):
            whole = entry[32 * (4 - count) :] == Cat(*self.got[:count])
            checks.invariant("what has come is in its order", ~goes_on | (self.came != count) | whole)
        done = among(s.RELEASE, s.OFFER)
        checks.invariant("an entry is whole", ~done | (entry == Cat(*self.got)) & (self.came == 4))
        checks.invariant("it is not masked", ~done | ~self.got[3][0])


class _Table(Account):
    """The PBA and what is offered are exact, and nothing is lost."""

    def check(self, m: Any, checks: Checks) -> None:
        super().check(m, checks)
        self._state_bits(checks)
        self._state_messages(checks)
        self._state_sums(checks)
        self._cover(checks)

    def _state_bits(self, checks: Checks) -> None:
        dut = self.dut
        checks.backward("only the PBA is written", ~self.writes | (self.place <= 1))
        checks.forward("it is zeroed first", ~self.writes | self.ready | ~dut.mem_data.any())
        begins = dut.i_valid | dut.held | dut.merged | dut.taken | self.reads
        checks.backward("nothing else is done before", self.ready | ~begins)
        changes = self.rises | self.falls
        one = changes.any() & ~(changes & (changes - 1)[:32]).any()
        checks.backward("one bit changes at a time", ~(self.writes & self.ready) | (one & (self.place == 0)))
        checks.forward("a bit that rises is counted as held", ~self.rises.any() | dut.held)
        checks.backward("nothing else is", ~dut.held | self.rises.any())
        hand = (Const(1, 32) << self.in_hand[:1]) & self.hand.replicate(32)
        checks.backward("only what was raised becomes pending", ~(self.rises & ~hand).any())
        checks.backward("what is raised is not taken from the pending ones", ~(self.falls.any() & self.hand))
        read = Const(1, 32) << self.entry[:1]
        free = (self.came == 4) & ~self.got[3][0]
        checks.backward("only what the host has unmasked is taken", ~self.falls.any() | free & (self.falls == read))
        checks.forward("pending ones are counted", dut.pending == Mux(self.ready, (self.bits[0] + self.bits[1])[:2], 0))

    def _state_messages(self, checks: Checks) -> None:
        dut, got = self.dut, self.got
        checks.backward("nothing is offered while it may not be sent", ~dut.i_valid | self.open)
        checks.backward("each message is of a raise", ~dut.i_valid | self.hand & (self.in_hand == self.entry))
        checks.backward("its vector is not masked", ~dut.i_valid | (self.came == 4) & ~got[3][0])
        checks.backward("the host has not written its entry since it was read", ~(dut.i_valid & self.stale))
        checks.backward("its bit is not set in the PBA", ~dut.i_valid | ~self.bits.bit_select(self.in_hand[:5], 1))
        message = (dut.i_address == Cat(Const(0, 2), got[0][2:], got[1])) & (dut.i_data == got[2])
        checks.forward("it is what the table says", ~dut.i_valid | message)
        checks.backward("none is offered while an answer is awaited", ~(dut.i_valid & self.out))
        gone = (self.goes | self.out) & self.i_sent
        checks.forward("one that has gone is counted as sent", ~gone | dut.sent)
        checks.backward("nothing else is", ~dut.sent | gone)
        pending = self.looked & self.bits.bit_select(self.in_hand[:5], 1) & self.set_up
        checks.forward("a raise of a pending vector is merged with it", ~pending | dut.merged)
        checks.backward("nothing else is merged", ~dut.merged | pending)
        checks.forward("vectors can be sent while the host lets them", ~self.open | dut.open)
        checks.backward("and not otherwise", ~dut.open | self.open)
        at_work = self.hand | (self.level != 0) | self.out
        checks.forward("busy while a raise is not settled", ~(at_work & self.set_up) | dut.busy)

    def _state_sums(self, checks: Checks) -> None:
        """State for each vector that what was raised is sent, merged, pending, queued or in hand."""
        m, dut = self.m, self.dut
        for vector in range(VECTORS):
            came, gone = (Signal(_COUNT, name=f"{name}{vector}") for name in ("came", "gone"))
            mine = self.hand & (self.in_hand == vector)
            m.d.sync += [
                came.eq(Mux(self.set_up, came + (dut.queued & (self.raise_vector == vector)), 0)),
                gone.eq(Mux(self.set_up, gone + ((dut.sent | dut.merged) & (self.in_hand == vector)), 0)),
            ]
            queued = [(n < self.level) & (one == vector) for n, one in enumerate(self.queue)]
            pending = self.bits[vector] & self.ready
            left = queued[0] + queued[1] + pending + mine
            checks.forward(
                "each raise is sent, merged, pending, queued or in hand, exactly once", came == (gone + left)[:_COUNT]
            )

    def _cover(self, checks: Checks) -> None:
        dut = self.dut
        checks.cover("a vector becomes pending", dut.held)
        checks.cover("a raise is merged", dut.merged)
        checks.cover("an entry is read", self.came == 3)


PROOFS = [
    Proof(
        f"msix.table.{VECTORS}",
        "each raise is one message, merged or pending; nothing masked is offered; the PBA and what is sent are exact",
        _Table,
        depth=1,
        cover_depth=10,
        mutant_depth=7,
    )
]
