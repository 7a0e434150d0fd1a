"""Proofs of MSI-X as a whole: what becomes of each vector that is raised, and what stands in the pending bit array."""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, ResetSignal, Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.msix import Msix, _Job, _State
from epbell.msix_pending import LOOK
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS", "VECTORS", "Account"]

# The endpoint has 2048 vectors, 16 places of the queue, 2 to 16 lanes; 64 bytes hold a table of two and its bits.
VECTORS, _DEPTH, _LANES, _RAM = 2, 2, 2, 64
_ONE_BIT = (
    "set_up", "enabled", "masked", "bus_master", "raise_valid", "hold", "host_wrote", "mem_ready", "mem_rvalid",
    "i_ready", "i_sent", "i_failed",
)  # fmt: skip
_COUNT = 3
_CROSSES = 6
"""Clocks before a message is taken in which a write to its entry is not seen any more, and one."""
_LATE = 8
"""Clocks from the last read of an entry to a message, at least."""


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
        self.lets: Any = Signal(name="may_send")
        m.d.comb += self.lets.eq(self.set_up & self.enabled & ~self.masked & self.bus_master)
        self.was_open, self.up = checks.past(self.lets, "may_send_before"), checks.past(self.set_up, "set_up_before")
        self.most = Mux(self.last != 0, 1, 0)
        self._assume(checks)
        self._follow_reads(checks)
        self._follow_writes()
        self._follow_raises(checks)
        self._state_invariants(checks)

    def _assume(self, checks: Checks) -> None:
        self.owed: Any = Signal(range(5), name="owed")
        place = Cat(self.table, self.pba, self.last)
        before = checks.past(place, "place_before")
        checks.assume("table and PBA stay where they are: as their users are told", ~self.up | (place == before))
        checks.assume("data come for what was asked: that is the memory's promise", ~self.mem_rvalid | (self.owed != 0))
        # Zeroing alone takes ten clocks: a memory that is quick, and an engine that stays where it is.
        checks.search(self.set_up & (self.table == 0) & (self.pba == 8) & (self.last == 1) & ~ResetSignal("sync"))
        checks.search(self.mem_ready & (self.mem_rvalid == (self.owed != 0)) & ~self.mem_rdata[1:].any())

    def _follow_reads(self, checks: Checks) -> None:
        """Follow the entry that was asked for last: its dwords, and whether the host has written it since."""
        m, dut = self.m, self.dut
        self.reads = dut.mem_valid & self.mem_ready & ~dut.mem_write
        place: Any = Signal(4, name="place_in_table")
        self.entry, self.asked, self.came = Signal(2, name="entry"), Signal(3, name="asked"), Signal(3, name="came")
        self.got = [Signal(32, name=f"got{n}") for n in range(4)]
        self.since: Any = Signal(4, init=_LATE, name="since_read")  # in clocks, up to so many
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
            self.since.eq(Mux(self.reads, 1, self.since + (self.since != _LATE))),
        ]
        # Whether the host wrote to the entry one to five clocks ago, or earlier, in its first read's clock or later.
        self.touched = [checks.past(self.touches, "touched1")]
        for clock in range(2, _CROSSES):
            self.touched.append(checks.past(self.touched[-1] & ~begins, f"touched{clock}"))
        self.stale: Any = Signal(name="stale_kept")
        m.d.sync += self.stale.eq((self.stale | self.touched[-1]) & ~begins)
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
        with m.If(~self.up):
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
        raised = checks.past(self.raise_valid, "raised")
        known = checks.past(self.up & (self.raise_vector <= self.most), "known_raise") & self.up
        self.raised = checks.past(self.raise_vector, "raised_vector")
        self.enters = raised & known & (self.level != _DEPTH)
        self.goes = dut.i_valid & self.i_ready
        self.answers = (self.goes | self.out) & (self.i_sent | self.i_failed)
        checks.forward("a vector is queued where there is room, a clock after it was raised", ~self.enters | dut.queued)
        checks.backward("nothing else is queued", ~dut.queued | self.enters)
        full = checks.past(dut.full, "was_full")
        checks.forward("there is room where it is not full", ~(raised & known) | full | (self.level != _DEPTH))
        refused = checks.past(raised & ~self.enters, "refused_before")
        checks.forward("what is not queued is refused, two clocks after it was raised", ~refused | dut.refused)
        checks.backward("nothing else is refused", ~dut.refused | refused)
        free = checks.past(_DEPTH - self.level, "free_before")
        checks.backward("room is what was left", dut.room == free)
        there = checks.past((self.level != 0) & ~(self.hold & self.was_open), "could_be_taken")
        checks.backward("one leaves that was there, and was not held", ~dut.taken | (there & (self.level != 0)))
        self.ends = dut.merged | dut.held | dut.sent
        place = self.level - dut.taken
        m.d.sync += [
            self.level.eq(Mux(self.up, self.level + self.enters - dut.taken, 0)),
            self.hand.eq(self.up & ((self.hand & ~self.ends) | dut.taken | self.falls.any())),
            self.out.eq(self.up & (self.goes | self.out) & ~self.answers),
        ]
        self.looks = [dut.taken]  # at a vector that was taken, so many clocks ago
        for clock in range(1, LOOK + 2):
            self.looks.append(checks.past(self.looks[-1] & self.up, f"looks{clock}"))
        with m.If(dut.taken):
            m.d.sync += self.in_hand.eq(self.queue[0])
        with m.Elif(self.falls.any()):
            m.d.sync += self.in_hand.eq(self.falls[1])
        for n, one in enumerate(self.queue):
            moved = self.queue[n + 1] if n + 1 < _DEPTH else one
            m.d.sync += one.eq(Mux(self.enters & (place == n), self.raised, Mux(dut.taken, moved, one)))

    def _state_invariants(self, checks: Checks) -> None:
        dut, s = self.dut, _State
        reader, bits, raises, unmasked = (self.inside.within(name) for name in ("reader", "bits", "raises", "checks"))

        def among(*states: _State) -> Any:
            return Cat(*(dut._state[one.value] for one in states)).any()

        checks.invariant("states are those", dut._state.any() & ~(dut._state & (dut._state - 1)[: len(s)]).any())
        checks.invariant("it was set up a clock ago", dut._up == self.up)
        checks.invariant("it was open", dut._open == self.was_open)
        last = checks.past(self.most, "last_before")
        checks.invariant("the last one is known", ~self.up | (dut._last == last) & (last == self.most))
        checks.invariant("it is one of those", dut._last <= 1)
        self._state_zeroing(checks, among, bits)
        self._state_vectors(checks, among, unmasked)
        self._state_looks(checks, among, bits)
        self._state_work(checks, among)
        self._state_queue(checks, raises)
        self._state_reader(checks, among, reader)
        self._state_snoop(checks, among)

    def _state_zeroing(self, checks: Checks, among: Any, bits: Any) -> None:
        dut, s = self.dut, _State
        checks.invariant("zeroing has its turn", self.ready == ~among(s.WIPE))
        partly = (self.wiped[0] == dut._wiped) & ~self.wiped[1]
        checks.invariant("a word is zeroed after the other", ~among(s.WIPE) | partly)
        replaces, index = bits.signal("replaces"), bits.signal("index")
        for n in range(2):
            stored = Mux(replaces & (index == n), bits.signal("new"), bits.word(self.m, "memory", Const(n, 1)))
            checks.invariant("bits are as in the PBA", ~self.wiped[n] | (stored == self.pba_kept[n]))
        checks.invariant("those that there are", ~replaces | (index <= 1))
        checks.invariant("a look comes later", ~replaces | among(s.WIPE, s.IDLE, s.OFFER))
        known = Mux(self.ready, ~self.pba_kept[0][2:].any() & ~self.pba_kept[1].any(), 1)
        checks.invariant("no other bit is set", known)
        checks.invariant("while zeroing none is", ~(among(s.WIPE) & self.wiped[0]) | ~self.bits.any())
        number = (self.bits[0] + self.bits[1])[:2]
        checks.invariant("pending ones are counted", dut.pending == Mux(self.ready, number, 0))
        beside = (dut._one_more == (dut.pending + 1)[:12]) & (dut._one_less == (dut.pending - 1)[:12])
        beside &= dut._some_pending == dut.pending.any()
        checks.invariant("one more and one less are known ahead", among(s.WIPE, s.IDLE, s.OFFER) | beside)
        word = self.inside.signal("word")
        writes = among(s.WIPE, s.HOLD, s.RELEASE)
        checks.invariant("it writes where it has something to write", ~dut._sets | writes)
        zeroes = among(s.WIPE) & dut._sets
        checks.invariant("zeroing waits for its word", ~zeroes | dut._waited[1])
        checks.invariant("and for its data", ~zeroes | ~dut.mem_data.any())
        begins = among(s.WIPE, s.LOOK, s.SEARCH)
        row, wanted = self.inside.signal("row"), Mux(among(s.WIPE), dut._wiped, 0)
        for known, what, place in (
            (Mux(begins, dut._waited[0], ~among(s.IDLE, s.PICK)), row, wanted),
            (Mux(begins, dut._waited[1], ~among(s.IDLE, s.PICK)), word, self.pba + wanted),
        ):
            checks.invariant("its word is known", ~(self.up & known) | (what == place[:4]))
        checks.invariant("all are in the PBA", ~(among(s.WIPE) & dut._waited[0]) | dut._in_pba)

    def _state_vectors(self, checks: Checks, among: Any, unmasked: Any) -> None:
        dut, s = self.dut, _State
        vector, scan = dut._vector, Mux(dut._rewinds, 0, dut._scan)
        snoop = self.inside.within("snoop")
        for n in range(2):
            named = snoop.signal("hits")[n]
            checks.invariant("vector controls are those", ~named | (snoop.signal(f"control{n}") <= 1))
        checks.invariant("those that are named are", dut._snoop.control <= 1)
        level = unmasked.signal("level")
        checks.invariant("no more are looked at than there is room for", level <= 4)
        checks.invariant("one waits to be looked at", unmasked.signal("o_valid") == (level != 0))
        checks.invariant("it is known whether one more is looked at", unmasked.signal("free") == (level != 4))
        for n in range(4):
            checks.invariant("unmasked ones are those", unmasked.word(self.m, "entries", Const(n, 2)).vector <= 1)
        checks.invariant("vectors are those", (among(s.WIPE, s.IDLE, s.PICK) | (vector <= 1)) & (dut._unmasked <= 1))
        goes_on = among(s.PICK, s.SEARCH, s.FOUND, s.BEHIND)
        checks.invariant("where it begins anew is known when it does", ~dut._rewinds | ~goes_on)
        checks.invariant("the search is among those", (scan <= 1) & (~self.up | (scan <= self.most)))
        after = (dut._next == vector + 1) & (dut._is_last == (vector == dut._last))
        checks.invariant("the next one is", ~(among(s.BEHIND) & self.up) | after)
        here = among(s.LOOK, s.SEARCH) & dut._waited[0]
        checks.invariant("all are in one word", ~here | dut._in_last)
        checks.invariant("and in the last one", ~here | (dut._next_word == 1))

    def _state_looks(self, checks: Checks, among: Any, bits: Any) -> None:
        """State what is known of the pending bits, so many clocks after the vector."""
        dut, s = self.dut, _State
        waited, vector = dut._waited, dut._vector
        own, looks, searches = Const(1, 32) << vector[:1], among(s.LOOK), among(s.SEARCH)
        upwards = Const(0xFFFF_FFFF, 32) << vector[:1]
        mine = self.bits & upwards[:32]
        lowest = mine & ~(mine - 1)[:32]
        word = (dut._bits.word == self.bits) & (dut._bits.bit == own[:32])
        checks.invariant("waits are", Cat(*(~waited[n] | waited[n - 1] for n in range(1, 4))).all())
        checks.invariant("a look ends when it sees its bit", ~(looks & waited[LOOK]))
        checks.invariant("a look is at the bits", ~((looks | searches) & waited[0]) | word)
        checks.invariant("a look sees its bit", ~(looks & waited[1]) | (dut._bits.here == (own & self.bits).any()))
        for clock, name, what in (
            (0, "upwards", upwards[:32]),
            (1, "reached", mine),
            (2, "lowest", lowest),
            (2, "some", mine.any()),
        ):
            checks.invariant("a search goes upwards", ~(searches & waited[clock]) | (bits.signal(name) == what))
        found = (dut._bits.found == mine.any()) & (~mine.any() | (dut._bits.first == Mux(mine[0], 0, 1)))
        checks.invariant("a search finds the lowest", ~(searches & waited[3]) | found)
        searched = among(s.FOUND, s.BEHIND)
        checks.invariant("what is found is pending", ~searched | (own & self.bits).any() & dut._held)

    def _state_work(self, checks: Checks, among: Any) -> None:
        dut, s = self.dut, _State
        vector, word, held = dut._vector, dut._word, dut._held
        works = among(s.FETCH, s.HOLD, s.RELEASE, s.OFFER, s.ANSWER, s.RETRY)
        goes_on = works | among(s.FOUND, s.BEHIND)
        raised = among(s.LOOK) & dut._raised
        checks.invariant("what is worked on is", ~(self.up & (goes_on | raised)) | (vector <= self.most))
        checks.invariant("so is what is pending", ~(self.up & self.ready & self.bits[1]) | (self.most == 1))
        own = Const(1, 32) << vector[:1]
        checks.invariant("the word is remembered", ~goes_on | (word == self.bits))
        checks.invariant("so is its own bit", ~goes_on | (held == (self.bits & own).any()))
        checks.invariant("it is at hand", ~works | (dut._bits.bit == own[:32]))
        turned = self.inside.signal("turned")
        checks.invariant("it is turned", ~(among(s.HOLD, s.RELEASE) & dut._sets) | (turned == (word ^ own)[:32]))
        checks.invariant("what is held is not", ~among(s.HOLD, s.OFFER, s.ANSWER) | ~held)
        checks.invariant("what is released was", ~among(s.RELEASE) | held)
        ends = dut.merged | dut.held | (dut.sent & self.hand)
        checks.invariant("what is in hand is", self.hand == (raised | (works & ~held) | ends))
        checks.invariant("it ends idle", ~self.ends | among(s.IDLE, s.WIPE))
        checks.invariant("one way", (dut.merged + dut.held + dut.sent) <= 1)
        checks.invariant("it is this vector", ~self.hand | (self.in_hand == vector))
        for clock in range(1, LOOK + 2):
            wait = dut._waited[: LOOK + 1] == (1 << clock - 1) - 1
            checks.invariant("a raise is looked at first", self.looks[clock] == (raised & wait))
        checks.invariant("an answer is awaited", self.out == among(s.ANSWER))
        checks.invariant("an offer is one", ~dut._offered | among(s.OFFER))

    def _state_queue(self, checks: Checks, raises: Any) -> None:
        dut, queue = self.dut, raises.within("queue")
        level, oldest, newest = (queue.signal(name) for name in ("level", "oldest", "newest"))
        checks.invariant("entries are counted", (level == self.level) & (level <= _DEPTH))
        checks.invariant("one is there", queue.signal("o_valid") == (level != 0))
        checks.invariant("places are places", newest == (oldest + level)[0])
        checks.invariant("it knows whether there is a place", queue.signal("free") == (level != _DEPTH))
        raising = raises.signal("raising")
        checks.invariant("a place is left where it is not full", dut.full | ((level + raising) < _DEPTH))
        for n in range(_DEPTH):
            stored = queue.word(self.m, "entries", (oldest + n)[0]).vector
            checks.invariant("those that were queued are", (n >= level) | (stored <= 1))
            checks.invariant("entries are what was queued", (n >= level) | (stored == self.queue[n]))
            there = (n < level) & self.up
            checks.invariant("vectors are those that there are", ~there | (self.queue[n] <= self.most))
        raised, known = checks.past(self.raise_valid, "raised_now"), raises.signal("known")
        checks.invariant("what was raised is remembered", raising == raised)
        fits = checks.past(self.up & (self.raise_vector <= self.most), "fits_now")
        checks.invariant("so is whether there is such", known == fits)
        checks.invariant("it is the one", ~known | (raises.component("queue").i_data.vector == self.raised))
        checks.invariant("it is one of those", ~known | (self.raised <= 1) & (~self.up | (self.raised <= self.most)))
        picks = dut._state[_State.PICK.value]
        takes = picks & (dut._job == _Job.RAISE)
        checks.invariant("what is picked from the queue leaves it", dut._pops == takes)
        there = (self.level != 0) & (dut._queue.vector == self.queue[0])
        checks.invariant("what is taken is there", ~(takes & self.up) | there)
        free = checks.past((self.level != 0) & ~(self.hold & self.was_open), "could_be_picked")
        checks.invariant("and was not held", ~(takes & self.up) | free)

    def _state_reader(self, checks: Checks, among: Any, reader: Any) -> None:
        dut, s = self.dut, _State
        asked, missing, since = (reader.signal(name) for name in ("asked", "missing", "since"))
        run, fetches = dut._reader.run, among(s.FETCH)
        reads = self.inside.signal("reads")
        place = (self.table + (dut._vector << 2))[:4]
        knows = among(s.BEHIND, s.FETCH, s.RETRY, s.HOLD, s.RELEASE, s.OFFER, s.ANSWER)
        knows |= among(s.LOOK) & dut._waited[0]
        checks.invariant("where it is is known", ~(self.up & knows) | (self.inside.signal("in_table") == place))
        checks.invariant("data to come are counted", missing == self.owed)
        checks.invariant("whether there are", dut._reader.under_way == missing.any())
        checks.invariant("no more than four are", (missing <= 4) & (asked <= 4))
        checks.invariant("none are, but in a read", fetches | among(s.WIPE) | (missing == 0))
        checks.invariant("zeroing waits for them", ~(among(s.WIPE) & (dut._sets | self.wiped[0])) | (missing == 0))
        checks.invariant("a read is run", ~reads | fetches)
        checks.invariant("it is asked in a read", ~dut._reader.mem_valid | ~self.up | run & (asked != 4))
        checks.invariant("it is begun anew", run | ~self.up | ~fetches | (asked == 0) | dut._reader.done)
        done = dut._reader.done
        checks.invariant("four are asked for", ~(since.any() | done) | (asked == 4))
        checks.invariant("and no more", (asked != 4) | ~dut._reader.mem_valid)
        checks.invariant("it is over when all has come", ~done | (missing == 0))
        checks.invariant("it is run until then", ~(fetches & done & self.up) | run)
        begun = fetches & run & self.up
        checks.invariant("it goes on", ~(begun & (asked != 4) & (asked != 0)) | dut._reader.mem_valid)
        checks.invariant("a read begins with none", ~fetches | (asked != 0) | (missing == 0))
        checks.invariant("it is asked where it is", ~begun | (dut._reader.mem_addr == (place + asked)[:4]))
        goes_on = fetches & (asked != 0) & self.up
        checks.invariant("reads are counted", ~goes_on | (asked == self.asked) & (asked == (self.came + missing)))
        has = goes_on | among(s.RELEASE, s.OFFER)
        self.has = has
        checks.invariant("it is the entry of this vector", ~has | (self.entry == dut._vector))
        entry = dut._reader.entry.as_value()
        for count in range(1, 5):
            whole = entry[32 * (4 - count) :] == Cat(*self.got[:count])
            checks.invariant("what has come is in its order", ~goes_on | (self.came != count) | whole)
        over = among(s.RELEASE, s.OFFER)
        checks.invariant("an entry is whole", ~over | (entry == Cat(*self.got)) & (self.came == 4) & (self.asked == 4))
        checks.invariant("it is not masked", ~over | ~self.got[3][0])
        checks.invariant("clocks are counted up to there", (self.since != 0) & (self.since <= _LATE))
        for clock in range(len(since)):
            late = (asked == 4) & (self.since >= clock + 2)
            checks.invariant("clocks since the last read are counted", ~(goes_on & since[clock]) | late)
        checks.invariant("they are over", ~(goes_on & done) | (self.since >= _LATE - 2))
        checks.invariant("and more", ~over | (self.since >= _LATE - 1))
        checks.invariant("and the offer's", ~dut._offered | (self.since >= _LATE))

    def _state_snoop(self, checks: Checks, among: Any) -> None:
        """Follow a write to the entry in hand through the stages of the snoop."""
        dut, snoop = self.dut, self.inside.within("snoop")
        written, offset, dwords = (snoop.signal(name) for name in ("written", "offset", "dwords"))
        entry = dut._vector
        hits = Cat(
            *(written[lane] & ((offset + lane)[2:4] == entry) for lane in range(_LANES))
        ).any() & (entry <= dut._last)
        own = Cat(
            *(dwords.word_select(n, 4).any() & (snoop.signal(f"entry{n}") == entry) for n in range(len(dwords) // 4))
        ).any() & (entry <= dut._last)
        stages = (hits, own, snoop.signal("touched").any(), dut._snoop.touched)
        seen = self.has & self.up
        for kept, stage in zip(self.touched, stages, strict=False):
            checks.invariant("what the host writes goes through the snoop", ~(seen & kept) | stage)
        checks.invariant("and is seen", ~(seen & (self.stale | self.touched[-1])) | dut._stale)
        checks.invariant("what is offered was not", ~dut._offered | ~self.stale)


class _Table(Account):
    """The PBA and what is offered are exact, and nothing is lost."""

    def check(self, m: Any, checks: Checks) -> None:
        super().check(m, checks)
        # One vector, while MSI-X is off: nothing is read, so that all of it takes less than half of the clocks.
        checks.search(~self.enabled & ~self.masked & ~self.hold & (self.raise_vector == 0))
        checks.search((self.host_address == 3) & (self.host_written == 1))
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
        rose = checks.past(self.rises.any(), "rose")
        checks.forward("a bit that rises is counted as held", ~rose | dut.held)
        checks.backward("nothing else is", ~dut.held | rose)
        hand = (Const(1, 32) << self.in_hand[:1]) & self.hand.replicate(32)
        checks.backward("only what was raised becomes pending", ~(self.rises & ~hand).any())
        checks.backward("what is raised is not taken from the pending ones", ~(self.falls.any() & self.hand))
        read = Const(1, 32) << self.entry[:1]
        free = (self.came == 4) & ~self.got[3][0]
        checks.backward("only what the host has unmasked is taken", ~self.falls.any() | free & (self.falls == read))
        checks.forward("pending ones are counted", dut.pending == Mux(self.ready, (self.bits[0] + self.bits[1])[:2], 0))

    def _state_messages(self, checks: Checks) -> None:
        dut, got = self.dut, self.got
        opened = checks.past(self.was_open, "may_send_earlier")
        checks.backward("nothing is offered while it may not be sent, two clocks before", ~dut.i_valid | opened)
        checks.backward("each message is of a raise", ~dut.i_valid | self.hand & (self.in_hand == self.entry))
        checks.backward("its vector is not masked", ~dut.i_valid | (self.came == 4) & ~got[3][0])
        checks.backward("the host has not written its entry since it was read, till six clocks ago",
                        ~(dut.i_valid & self.stale))  # fmt: skip
        checks.backward("it was read before that", ~dut.i_valid | (self.since >= _CROSSES) & (self.asked == 4))
        checks.backward("its bit is not set in the PBA", ~dut.i_valid | ~self.bits.bit_select(self.in_hand[:5], 1))
        message = (dut.i_address == Cat(Const(0, 2), got[0][2:], got[1])) & (dut.i_data == got[2])
        checks.forward("it is what the table says", ~dut.i_valid | message)
        checks.backward("none is offered while an answer is awaited", ~(dut.i_valid & self.out))
        gone = checks.past((self.goes | self.out) & self.i_sent, "gone")
        checks.forward("one that has gone is counted as sent", ~gone | dut.sent)
        checks.backward("nothing else is", ~dut.sent | gone)
        here = self.looks[LOOK + 1] & self.bits.bit_select(self.in_hand[:5], 1) & self.up
        pending = checks.past(here, "was_pending")
        checks.forward("a raise of a pending vector is merged with it", ~pending | dut.merged)
        checks.backward("nothing else is merged", ~dut.merged | pending)
        checks.forward("vectors could be sent while the host let them", ~self.was_open | dut.open)
        checks.backward("and not otherwise", ~dut.open | self.was_open)
        at_work = (self.hand & ~self.ends) | (self.level != 0) | self.out | self.enters
        checks.forward("busy while a raise is not settled", ~(at_work & self.set_up) | dut.busy)

    def _state_sums(self, checks: Checks) -> None:
        """State for each vector that what was raised is sent, merged, pending, queued or in hand."""
        m, dut = self.m, self.dut
        for vector in range(VECTORS):
            came, gone = (Signal(_COUNT, name=f"{name}{vector}") for name in ("came", "gone"))
            mine = self.hand & ~dut.held & (self.in_hand == vector)
            ended = (dut.sent | dut.merged) & self.hand & (self.in_hand == vector)
            m.d.sync += [
                came.eq(Mux(self.up, came + (dut.queued & (self.raised == vector)), 0)),
                gone.eq(Mux(self.up, gone + ended, 0)),
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
        checks.cover("an entry is read", self.asked == 1)


PROOFS = [
    Proof(
        f"msix.table.{VECTORS}",
        "each raise is one message, merged or pending; nothing masked is offered; the PBA and what is sent are exact",
        _Table,
        depth=1,
        cover_depth=18,
        mutant_depth=23,
    )
]
