"""Proof of the read engine: each request becomes one series of completions, cut as PCI Express allows.

Requests are free, but say of themselves what `completer.packets` shows that they say. The account keeps the request in
hand, how much of it has been answered, and where in its packet the next beat is; what the completions have to say is in
`read_spec`.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside
from read_spec import (
    ADDRESS,
    HEAD,
    LOGGED,
    RAM,
    REFUSED,
    REPEATED,
    REQUEST,
    WHO,
    bytes_left,
    completion_head,
    first_dwords,
    limit_of,
    lower_address,
    refused_head,
)

from epbell.pcie.read import ReadEngine
from epbell.ram import READ_CLOCKS
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]


class _Engine(Bench):
    """The engine, beside the request in hand and how much of it has been answered.

    There are two accounts: of the request that is planned, with the completion that comes next, and of the completion
    in progress, which may be of the request before.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.dut: Any = ReadEngine(lanes, ADDRESS, 2)
        super().__init__(
            {
                "asked": In(REQUEST),
                **{name: In(1) for name in ("i_valid", "ram_ready", "bus_ready", "room")},
                "max_payload": In(2),
                "bus_data": In(32),
            }
        )

    def check(self, m: Any, checks: Checks) -> None:
        dut = self.dut
        self.inside = Inside(dut)
        self.plan, self.beats = self.inside.within("plan"), self.inside.within("beats")
        self.port: Any = self.inside.component("plan")
        self.step, self.clear = (getattr(self.inside.component("beats"), name) for name in ("step", "clear"))
        m.submodules.dut = dut
        for name in ("i_valid", "ram_ready", "bus_ready", "room", "max_payload", "bus_data"):
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        m.d.comb += dut.room_again.eq(self.room)
        self._ask(m, checks)
        self._account(m, checks)
        self._hand(checks)
        self._beats(checks)
        self._refusals(m, checks)
        self._pages(m, checks)
        self._planned(checks)
        self._walked(checks)
        self._covers(checks)

    def _ask(self, m: Module, checks: Checks) -> None:
        """Put the request as the queue has it."""
        asked, given = self.asked, self.dut.i_data
        checks.assume(
            "a request is for 1 to 1024 dwords, since completer.writes and inbound.ends say so of what is not refused",
            (asked.dwords >= 1) & (asked.dwords <= 1024),
        )
        m.d.comb += [
            given.ram.eq(asked.to == RAM),
            given.pages.eq(Cat(asked.to == 2, asked.to == 3)),
            given.byte_count.eq(bytes_left(asked, Const(1, 1), asked.dwords)),
            given.lower.eq(lower_address(asked, Const(1, 1), asked.dword)),
            *(given[name].eq(asked[name]) for name in ("first_be", "last_be", *WHO)),
        ]
        fetch, refused = given.either.fetch, given.either.refused
        with m.If(asked.to == REFUSED):
            m.d.comb += [refused[name].eq(asked[name]) for name in ("address", *REPEATED)]
        with m.Else():
            m.d.comb += [
                fetch.origin.eq(asked.dword - HEAD),
                fetch.chunk.eq(first_dwords(asked)),
                fetch.rest.eq(asked.dwords - first_dwords(asked)),
            ]

    def _account(self, m: Any, checks: Checks) -> None:
        """Follow the series, completion by completion and beat by beat."""
        dut, plan, step = self.dut, self.plan, self.step
        taken = dut.i_valid & dut.i_ready
        begins = self.begins = self.port.begins
        # Of a completion: is it the first, where its data begin, dwords of the request from there on, and its own.
        shape = data.StructLayout({"first": 1, "where": ADDRESS, "rest": 11, "chunk": 9})
        self.hand: Any = Signal(REQUEST, name="hand")
        self.sent: Any = Signal(REQUEST, name="sent")
        self.coming: Any = Signal(shape, name="coming")
        self.now: Any = Signal(shape, name="now")
        # Of the beat that is due: dwords of the completion from there on, which one it is (2: none of the first two),
        # and the address of what is in lane 0.
        self.left: Any = Signal(9, name="left_now")
        self.nth: Any = Signal(2, name="nth")
        self.spot: Any = Signal(ADDRESS, name="spot")
        self.holds: Any = Signal(name="holds")  # a request is planned
        self.awaits: Any = Signal(name="awaits")  # and its next completion has not begun
        self.busy: Any = Signal(name="busy")  # a completion is in progress
        hand, coming, now = self.hand, self.coming, self.now
        turn: Any = Signal(name="turn")  # the plan goes on to the next completion
        m.d.comb += turn.eq(self.holds & ~self.awaits & plan.signal("settled") & ~self.port.final)
        self.turn = turn
        ago = checks.past(self.max_payload, "payload_1_ago")
        self.payload = [ago, checks.past(ago, "payload_2_ago")]
        over = (hand.to == REFUSED) | (coming.chunk == coming.rest)
        self.final: Any = (self.sent.to == REFUSED) | (now.chunk == now.rest)
        self.last: Any = Signal(name="is_last")
        self.refusal_ends: Any = Signal(name="refusal_is_over")
        after: Any = Signal(11, name="after")
        limit: Any = Signal(9, name="limit")
        m.d.comb += [
            self.last.eq(self.left <= self.lanes),
            self.refusal_ends.eq(step.beat & self.last & (self.sent.to == REFUSED)),
            after.eq(coming.rest - coming.chunk),
            limit.eq(limit_of(self.payload[1])),
        ]
        with m.If(taken):
            m.d.sync += [
                hand.eq(self.asked),
                self.holds.eq(1),
                self.awaits.eq(1),
                coming.first.eq(1),
                coming.where.eq(self.asked.dword),
                coming.rest.eq(self.asked.dwords),
                coming.chunk.eq(first_dwords(self.asked)),
            ]
        with m.Elif(begins):
            m.d.sync += [self.awaits.eq(0), self.holds.eq((hand.to == REFUSED) | ~over)]
        with m.Elif(turn):
            m.d.sync += [
                self.awaits.eq(1),
                coming.first.eq(0),
                coming.where.eq(coming.where + coming.chunk),
                coming.rest.eq(after),
                coming.chunk.eq(Mux(after > limit, limit, after)),
            ]
        with m.Elif(self.refusal_ends):
            m.d.sync += self.holds.eq(0)
        with m.If(begins):
            m.d.sync += [
                self.busy.eq(1),
                self.sent.eq(hand),
                now.eq(coming),
                self.left.eq(HEAD + Mux(hand.to == REFUSED, LOGGED, coming.chunk)),
                self.nth.eq(0),
                self.spot.eq(coming.where - HEAD),
            ]
        with m.Elif(step.beat):
            m.d.sync += [
                self.busy.eq(~self.last),
                self.left.eq(self.left - self.lanes),
                self.nth.eq(Mux(self.nth == 2, 2, self.nth + 1)),
                self.spot.eq(self.spot + self.lanes),
            ]
        self.bare: Any = (self.nth == 0) if self.lanes == 2 else Const(0)  # nothing but a descriptor is due

    def _hand(self, checks: Checks) -> None:
        """State when a request is taken, when its completions begin, and when it is over."""
        dut, step, begins = self.dut, self.step, self.begins
        checks.forward("a request is taken in its own clock when there is none in hand", self.holds | dut.i_ready)
        checks.backward("none before the completions of the one in hand have begun", ~dut.i_ready | ~self.holds)
        free = ~self.busy | (step.beat & self.last & (self.sent.to != 2) & (self.sent.to != 3))
        checks.forward(
            "a completion begins in the clock in which the one before it ends, after a page's in the next one",
            ~(self.awaits & free) | begins,
        )
        checks.backward("none begins that has not been planned, and one at a time", ~begins | self.awaits & free)
        waits = checks.past(self.holds & ~self.awaits & (self.hand.to != REFUSED), "between")
        checks.forward("the next one is planned within two clocks", ~waits | ~self.holds | self.awaits | self.turn)
        checks.backward("no beat without a completion", ~step.beat | self.busy)
        checks.forward("the end of an answer is announced", ~(step.beat & self.last & self.final) | step.final)
        checks.backward("nothing else is", ~(step.beat & step.final) | self.last & self.final)
        owing = self.i_valid | self.holds | self.busy | ~self.clear
        owed = checks.past(owing, "owed")
        checks.backward("idle: a clock ago there was nothing, and nothing came", dut.idle == ~owed)
        checks.backward("idle: there is nothing", ~dut.idle | ~(self.holds | self.busy))

    def _beats(self, checks: Checks) -> None:
        """State what is said of a beat when it is complete."""
        dut, step, lanes, sent, now = self.dut, self.step, self.lanes, self.sent, self.now
        shown, happens = step.beat, step.beat | step.word
        checks.backward("there is room", ~happens | self.room)
        checks.backward("the first beat of a completion is marked", step.first == (happens & (self.nth == 0)))
        checks.backward("and the second", step.second == (happens & (self.nth == 1)))
        checks.backward("and the last, after as many dwords as it has", ~shown | (step.last == self.last))
        checks.backward("each beat but the last is full", ~shown | (step.count == Mux(self.last, self.left, lanes)))
        head = happens & ((self.nth < 2) if lanes == 2 else (self.nth == 0))
        checks.forward(
            "the descriptor: status, length, byte count and lower address of what is left, and who asked",
            ~head | (step.descriptor == completion_head(sent, now.first, now.where, now.rest, now.chunk)),
        )
        checks.backward(
            "a completion ends on a read completion boundary, or is the last",
            ~shown | self.final | ((now.where + now.chunk)[:5] == 0),
        )
        some = (now.chunk != 0) & (now.chunk <= now.rest)
        checks.backward("it has at least a dword and no more than is left", ~shown | (sent.to == REFUSED) | some)
        ram = self.busy & (sent.to == RAM)
        read = dut.ram_valid & self.ram_ready
        checks.forward("the RAM is read when there is room", ~(ram & self.room & ~self.bare) | dut.ram_valid)
        checks.backward("and not else", ~dut.ram_valid | ram & self.room & ~self.bare)
        checks.forward("where the beat belongs, which is complete with it", ~read | shown & (dut.ram_addr == self.spot))
        checks.backward("a beat of the RAM is read", ~(shown & ram & ~self.bare) | read)
        checks.backward("nothing else is of the RAM", ~shown | (step.ram == (sent.to == RAM)))
        bare = self.busy & self.bare & self.room & (sent.to != REFUSED)
        checks.forward("a beat without data is complete at once", ~bare | shown & ~step.word)

    def _refusals(self, m: Any, checks: Checks) -> None:
        """State that a refusal's beats go alone, and what they repeat."""
        step, sent = self.step, self.sent
        port = self.inside.component("beats")
        due = self.busy & (sent.to == REFUSED)
        waited = checks.past(due & self.clear & ~step.beat, "alone_ago")
        checks.forward("a refusal's beat goes when nothing is under way", ~(waited & due & self.room) | step.beat)
        checks.backward("and not before", ~(step.beat & due) | self.clear)
        checks.backward("with what it repeats, and nothing else has that", port.repeats == (step.beat & due))
        logged = refused_head(sent)
        for dword in range(HEAD, HEAD + LOGGED):
            word = port.repeated[dword % self.lanes]
            here = port.repeats & (self.left == HEAD + LOGGED - dword // self.lanes * self.lanes)
            checks.forward(
                "a refusal repeats the request for the log", ~here | (word == logged.word_select(dword - HEAD, 32))
            )
        lines = [self.beats.signal(f"flags_{n}") for n in range(1, READ_CLOCKS)]
        for line in lines:  # beat, word, first, second
            checks.invariant("marks are those of steps", ~Value.cast(line)[2:].any() | Value.cast(line)[:2].any())
        checks.invariant("clear of all steps", ~self.clear | ~Cat(*lines).any())
        alone = self.inside.signal("alone")
        checks.invariant("alone", alone == (waited & due))
        checks.invariant("as it was", ~waited | due)
        checks.invariant("clear when alone", ~alone | self.clear)

    def _pages(self, m: Any, checks: Checks) -> None:
        """State which dwords of a page are read, and when a beat is complete."""
        dut, lanes, sent, now, step = self.dut, self.lanes, self.sent, self.now, self.step
        seen: Any = Signal(9, name="seen")  # dwords of the completion that were read or passed over
        paged = self.busy & (sent.to > RAM)
        turn: Any = Signal(name="page_turn")
        enabled: Any = Signal(name="enabled")
        steps: Any = Signal(name="steps")
        at_end: Any = Signal(name="at_end")
        lane: Any = Signal(range(lanes), name="lane_due")
        opens = now.first & (seen == 0)
        m.d.comb += [
            turn.eq(paged & self.room & ~self.bare),
            enabled.eq(Mux(opens, sent.first_be.any(), Mux(seen + 1 == now.rest, sent.last_be.any(), 1))),
            steps.eq(turn & (~enabled | self.bus_ready)),
            lane.eq(HEAD + seen),
            at_end.eq((lane == lanes - 1) | (seen + 1 == now.chunk)),
        ]
        with m.If(self.begins):
            m.d.sync += seen.eq(0)
        with m.Elif(steps):
            m.d.sync += seen.eq(seen + 1)
        asks = turn & enabled
        checks.forward("a dword of a page is read in its turn, if a byte of it is enabled", ~asks | dut.bus_valid)
        checks.backward("nothing else of a page is read", ~dut.bus_valid | turn & enabled)
        checks.backward(
            "it is where it belongs",
            ~dut.bus_valid
            | (dut.bus_addr == Cat(Const(0, 2), (now.where + seen)[:14]))
            & (dut.bus_pages == Cat(sent.to == 2, sent.to == 3)),
        )
        checks.forward("and goes into its lane", ~steps | step.word & (step.lane == lane))
        checks.backward("nothing else does", ~step.word | steps)
        checks.forward("a beat is complete with the last of its dwords", ~(steps & at_end) | step.beat)
        checks.backward("and not before", ~(step.beat & paged & ~self.bare) | steps & at_end)
        inside = self.inside
        word: Any = data.View(
            data.StructLayout({"lane": range(lanes), "closes": 1, "ends": 1, "enabled": 1}), inside.signal("word")
        )
        counts = (now.chunk != now.rest) | sent.last_be.any()
        checks.invariant("whose turn it is", ~paged | (word.lane == lane) & (word.enabled == enabled))
        checks.invariant("how it ends", ~paged | (word.closes == (seen + 1 == now.chunk)) & (word.ends == at_end))
        checks.invariant("how many dwords are to go", ~paged | (inside.signal("page_dwords") == now.chunk - seen))
        checks.invariant("where they are", ~paged | (inside.signal("page_dword") == (now.where + seen)[:14]))
        checks.invariant("whether the last one counts", ~paged | (inside.signal("last_counts") == counts))
        checks.invariant("the page", ~paged | (dut.bus_pages == Cat(sent.to == 2, sent.to == 3)))
        checks.invariant("dwords of pages are read for this completion", ~paged | (seen < now.chunk))
        checks.invariant("none before the beat without", ~(paged & self.bare) | (seen == 0))
        place = Mux(self.bare, HEAD, lane)
        checks.invariant("and for this beat", ~paged | (seen + self.left == now.chunk + place))
        due = paged & ~self.bare
        checks.invariant("what to do: read", inside.signal("asks_bus") == (due & enabled))
        checks.invariant("what to do: go on", inside.signal("pages_on") == due)
        checks.cover("a read of no byte reads nothing", step.beat & paged & self.final & ~dut.bus_valid & ~self.bare)
        checks.cover("a read of a page waits for it", dut.bus_valid & ~self.bus_ready)

    def _same(self, request: Any, hand: Any, now: Any) -> list[tuple[str, Any]]:
        """What the engine holds of a request and a completion, as the account says."""
        fetch, refused = request.either.fetch, request.either.refused
        is_refused = hand.to == REFUSED
        same, names = ("first_be", "last_be", *WHO), ("address", *REPEATED)
        return [
            (
                "as it was asked",
                (Cat(request.ram, request.pages) == Cat(hand.to == RAM, hand.to == 2, hand.to == 3))
                & (Cat(request[name] for name in same) == Cat(hand[name] for name in same)),
            ),
            (
                "what a refusal repeats",
                ~is_refused | (Cat(refused[name] for name in names) == Cat(hand[name] for name in names)),
            ),
            ("where its data begin", is_refused | (fetch.origin == (now.where - HEAD)[:ADDRESS])),
            ("how many they are", is_refused | (fetch.chunk == now.chunk)),
            ("how many come later", is_refused | (fetch.rest == (now.rest - now.chunk)[:11])),
            ("what it says", request.byte_count == bytes_left(hand, now.first, now.rest)),
            ("where it begins", request.lower == lower_address(hand, now.first, now.where)),
        ]

    def _sizes(self, checks: Checks, valid: Any, hand: Any, now: Any) -> None:
        """Completions are cut as they may be."""
        reads = valid & (hand.to != REFUSED)
        checks.invariant("at first, all", ~(reads & now.first) | (now.rest == hand.dwords) & (now.where == hand.dword))
        checks.invariant("cut at boundaries", ~reads | now.first | (now.where[:5] == 0))
        checks.invariant("and to be cut", ~reads | (now.chunk == now.rest) | ((now.where + now.chunk)[:5] == 0))
        checks.invariant("a size", ~reads | (now.chunk != 0) & (now.chunk <= 256) & (now.chunk <= now.rest))
        checks.invariant("later ones are for more than a dword", ~reads | now.first | (hand.dwords > 1))
        checks.invariant("a refusal is one", ~valid | reads | now.first)
        checks.invariant("of 1 to 1024", ~valid | (hand.dwords >= 1) & (now.rest <= 1024))

    def _planned(self, checks: Checks) -> None:
        """What is in the plan is what the account says."""
        plan, hand, coming, holds = self.plan, self.hand, self.coming, self.holds
        request: Any = data.View(self.dut.i_data.shape(), plan.signal("request"))
        refused, opens, final = (getattr(self.port, name) for name in ("refused", "opens", "final"))
        for name, holding in self._same(request, hand, coming):
            checks.invariant(name, ~holds | holding)
        self._sizes(checks, holds, hand, coming)
        settled = plan.signal("settled") & holds
        is_refused = hand.to == REFUSED
        checks.invariant("in hand", plan.signal("planned") == holds)
        checks.invariant("known twice", plan.signal("free") == ~holds)
        checks.invariant("to begin", self.port.valid == self.awaits)
        checks.invariant("of what is in hand", holds | ~self.awaits)
        checks.invariant("settled when it has begun", ~holds | self.awaits | settled)
        checks.invariant("refused", ~holds | (refused == is_refused))
        checks.invariant("the first", ~holds | (opens == coming.first))
        checks.invariant("the last", ~holds | (final == (is_refused | (coming.chunk == coming.rest))))
        chunk = coming.chunk
        sizes = (self.port.single == (chunk == 1)) & (self.port.short == (chunk <= max(0, self.lanes - HEAD)))
        first_wanted = Mux(coming.first, hand.first_be.any(), (coming.rest != 1) | hand.last_be.any())
        checks.invariant("its size", ~holds | is_refused | sizes)
        checks.invariant("its first dword", ~holds | is_refused | (self.port.wanted == first_wanted))
        checks.invariant("to be held on to", ~holds | self.awaits | ~final | is_refused)
        checks.invariant("while it is sent", ~(holds & ~self.awaits & is_refused) | self.busy & (self.sent == hand))
        checks.invariant("one refusal", ~(self.busy & (self.sent.to == REFUSED)) | holds & ~self.awaits & is_refused)
        signal = plan.signal
        limit, then, rest = signal("payload_dwords"), signal("payload_dwords_then"), request.either.fetch.rest
        checks.invariant("the limit", ~holds | (limit == limit_of(self.payload[0])))
        checks.invariant("the limit before", ~settled | (then == limit_of(self.payload[1])))
        reads = settled & ~is_refused
        checks.invariant("more than one", ~reads | (signal("rest_is_long") == (rest > then)))
        checks.invariant("how much more", ~reads | (signal("rest_beyond") == (rest - then)[:11]))
        checks.invariant(
            "where the next begins", ~reads | (signal("next_origin") == (coming.where + coming.chunk - HEAD)[:ADDRESS])
        )
        left = bytes_left(hand, Const(0, 1), (coming.rest - coming.chunk)[:11])
        checks.invariant(
            "what is left then", ~reads | (coming.rest == coming.chunk) | (signal("next_byte_count") == left)
        )

    def _walked(self, checks: Checks) -> None:
        """What is in the engine of the completion in progress is what the account says."""
        inside, sent, now, busy = self.inside, self.sent, self.now, self.busy
        self._sizes(checks, busy, sent, now)
        is_refused = sent.to == REFUSED
        reads = busy & ~is_refused
        checks.invariant("in progress", inside.signal("active") == busy)
        checks.invariant("its kind", ~busy | (inside.signal("from_ram") == (sent.to == RAM)))
        checks.invariant("or the other", ~busy | (inside.signal("paged") == (sent.to > RAM)))
        checks.invariant("the beat's address", ~reads | (inside.signal("origin") == self.spot))
        checks.invariant(
            "as far from its end", ~reads | ((self.spot + self.left)[:ADDRESS] == (now.where + now.chunk)[:ADDRESS])
        )
        whole = HEAD + Mux(is_refused, LOGGED, now.chunk)
        checks.invariant(
            "what is to come of the packet",
            ~busy | (inside.signal("left") == self.left) & (self.left != 0) & (self.left <= whole),
        )
        first, second = inside.signal("first"), inside.signal("second")
        checks.invariant("the first beat", ~busy | (first == (self.nth == 0)) & (second == (self.nth == 1)))
        checks.invariant("the last beat", ~busy | (inside.signal("last") == self.last))
        checks.invariant("the last completion", ~busy | (inside.signal("final") == self.final))
        checks.invariant("all of it", ~busy | ((self.nth == 0) == (self.left == whole)))
        checks.invariant("beats are counted", ~busy | (self.nth != 3))
        checks.invariant("beats are full", ~busy | ((whole - self.left)[: self.lanes.bit_length() - 1] == 0))
        checks.invariant(
            "the descriptor",
            ~busy | (inside.signal("descriptor") == completion_head(sent, now.first, now.where, now.rest, now.chunk)),
        )
        ram = busy & (sent.to == RAM) & ~self.bare
        checks.invariant("what to do: read the RAM", inside.signal("asks_ram") == ram)
        checks.invariant("what to do: nothing", inside.signal("bare") == (reads & self.bare))
        at_once = (reads & self.bare) | ram
        checks.invariant("what to do: at once", inside.signal("plain") == at_once)
        works = inside.signal("plain") | inside.signal("pages_on")
        checks.invariant("what that makes of it", inside.signal("works") == works)
        last_plain = inside.signal("plain") & inside.signal("last")
        checks.invariant("and of the last one", inside.signal("ends") == last_plain)
        last_alone = inside.signal("alone") & inside.signal("last")
        checks.invariant("and of a refusal's", inside.signal("alone_ends") == last_alone)
        checks.invariant("what to do: refuse", inside.signal("refuses") == (busy & is_refused))

    def _covers(self, checks: Checks) -> None:
        """Say what can happen."""
        shown, sent, now = self.step.beat, self.sent, self.now
        later = shown & ~now.first
        checks.cover("the second completion of a read of the RAM ends it", later & self.last & self.final)
        checks.cover("the second of a page", later & (sent.to == 3) & (self.nth != 0))
        if self.lanes < HEAD + LOGGED:
            checks.cover("a refusal's second beat", shown & (self.nth == 1) & (sent.to == REFUSED))
        checks.cover("there is no room", self.busy & ~self.room)


PROOFS = [
    Proof(
        f"reads.series.{32 * lanes}",
        "each request becomes one series of completions, cut at boundaries, that say what is left",
        partial(_Engine, lanes),
        depth=1,
        cover_depth=14,
        mutant_depth=7,
        wide=True,
    )
    for lanes in (2, 8)
]
