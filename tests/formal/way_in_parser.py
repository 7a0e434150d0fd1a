"""The parser, with the target behind it, beside an account of the packets on the CQ stream.

The account is kept from the pins alone: where in its packet a beat is, by counting dwords, what its header says (PG213,
completer request descriptor), and whether its beats and byte lanes are as many as that. It moves along beside the
beats, so that what is known of a beat is at hand where the beat is, and waits where it waits.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from inside import Inside

from epbell.address_map import HostPage
from epbell.pcie.request import RequestParser
from epbell.pcie.target import Target
from epbell_tb.formal_checks import Bench, Checks

__all__ = ["DOORBELLS", "EDMA", "RAM", "RAM_SIZE", "READ", "SIDE_B", "WRITE", "WayInParser"]

RAM, RAM_SIZE = 0x6000_0000, 4096
SIDE_B, EDMA, DOORBELLS = 0x5D30_0000, 0x5F09_0000, (0x4C, 0xA0)
READ, WRITE = 0, 1


def _carries(kind: Any) -> Any:
    """Whether a payload follows: writes of memory, I/O and configuration, and AtomicOps."""
    return (kind == WRITE) | ((kind >= 3) & (kind <= 6)) | (kind == 10) | (kind == 11)


class WayInParser(Bench):
    """Parser and target, with whatever the windows say in each clock; what is in the parser is that of the account.

    Subclasses implement :meth:`beyond`, which says what is in the target, and :meth:`state`, where ``self.seen`` is
    what the account says of the beat in the parser's last stage.
    """

    payload = False
    """Whether the account keeps the words of the beats."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lanes = width // 32
        members: dict[str, Any] = {
            "tdata": width, "tkeep": self.lanes, "tuser": 88, "tlast": 1, "tvalid": 1,
            "claimed": 1, "fits": 1, "local": 64, "max_payload": 2, "ready": 1, "read_ready": 1,
        }  # fmt: skip
        super().__init__({name: In(size) for name, size in members.items()})
        self.raw = data.StructLayout({"came": 1, "data": width, "keep": self.lanes, "user": 88, "last": 1})
        self.record = data.StructLayout({
            "came": 1,  # a beat
            "sop": 1,
            "last": 1,
            "gone": 1,  # withdrawn with this beat
            "withdrawn": 1,  # with this one, or one before
            "known": 1,  # there is a header
            "head": 1,  # it is complete with this beat
            "fresh": 1,  # no payload was in the beats before
            "torn": 1,  # the packet before has not ended
            "place": 12,  # dwords of the packet before this beat
            "after": 12,  # and with it; 0 if it was the last
            "header": 128,
            "enables": 8,
            "keep": self.lanes,
            "framed": 1,  # it ends the packet if it has to, and has the lanes that it has to
            "beyond": 1,  # by its header, the packet has ended before
            "wrong": 1,  # the packet is, up to here
            "words": width if self.payload else 0,
        })  # fmt: skip

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        parser: Any = RequestParser(self.width)
        pages = [HostPage(SIDE_B, None), HostPage(EDMA, DOORBELLS, waits=False)]
        target: Any = Target(self.lanes, ram_base=RAM, ram_size=RAM_SIZE, pages=pages)
        self.in_parser, self.in_target = Inside(parser), Inside(target)
        m.submodules.parser, m.submodules.target = parser, target
        self.parser, self.target = parser, target
        for name in ("tdata", "tkeep", "tuser", "tlast", "tvalid"):
            m.d.comb += getattr(parser.cq, name).eq(getattr(self, name))
        for name in ("claimed", "fits", "local", "max_payload", "ready", "read_ready"):
            m.d.comb += getattr(target, name).eq(getattr(self, name))
        m.d.comb += [
            target.valid.eq(parser.valid),
            target.segment.eq(parser.segment),
            target.begins.eq(parser.begins),
            parser.room.eq(target.room),
        ]
        pins: Any = Signal(self.raw, name="pins")
        m.d.comb += [
            pins.came.eq(self.tvalid & parser.cq.tready), pins.data.eq(self.tdata), pins.keep.eq(self.tkeep),
            pins.user.eq(self.tuser), pins.last.eq(self.tlast),
        ]  # fmt: skip
        beat = self.moved(pins, "beat")
        now = self._packet(beat)
        self.steps = [beat]
        for stage in range(1, 5):
            now = self.moved(now, f"step{stage}")
            self.steps.append(now)
        self.seen = now
        self._stages(checks)
        self.beyond(checks)
        self.state(m, checks)

    def moved(self, value: Any, name: str) -> Any:
        """Return what it was a clock ago."""
        after: Any = Signal.like(value, name=name)
        self.m.d.sync += after.eq(value)
        return after

    def beyond(self, checks: Checks) -> None:
        """State what is in the target."""
        raise NotImplementedError

    def state(self, m: Any, checks: Checks) -> None:
        """State the properties."""
        raise NotImplementedError

    def _packet(self, beat: Any) -> Any:
        """Keep the account of the packet on the stream, a stage behind the pins; return the record of the beat."""
        m, lanes, user = self.m, self.lanes, beat.user
        sop, withdrawn_now = user[40], user[41]
        taken = beat.came
        now: Any = Signal(self.record, name="record")
        self.at = at = Signal(12, name="at")  # dwords of the packet that have passed; 0: there is none in progress
        self.low, self.held = low, held = Signal(64, name="low_half"), Signal(64, name="high_half")
        self.enables = enables = Signal(8, name="enables")
        self.was_gone = gone = Signal(name="was_gone")
        self.headed = headed = Signal(name="headed")  # a header has passed
        self.after_head = after_head = Signal(name="after_head")  # it was in the beat before
        place, header = now.place, now.header
        m.d.comb += [place.eq(Mux(sop, 0, at)), now.enables.eq(Mux(sop, user[:8], enables))]
        if lanes == 2:
            half = place == 2
            m.d.comb += [
                header.eq(Cat(low, Mux(half, beat.data, held))), now.known.eq(place >= 2),
                now.head.eq(beat.came & half),
            ]  # fmt: skip
            with m.If(taken & sop):
                m.d.sync += low.eq(beat.data)
            with m.If(taken & half):
                m.d.sync += held.eq(beat.data)
        else:
            m.d.comb += [
                header.eq(Mux(sop, beat.data[:128], Cat(low, held))), now.known.eq(sop | (at != 0)),
                now.head.eq(beat.came & sop),
            ]  # fmt: skip
            with m.If(taken & sop):
                m.d.sync += Cat(low, held).eq(beat.data[:128])
        with m.If(taken & sop):
            m.d.sync += enables.eq(user[:8])
        with m.If(now.head):
            m.d.sync += headed.eq(1)
        kind, length = header[75:79], header[64:75]
        whole: Any = Signal(12, name="whole")
        rest: Any = Signal(12, name="rest")
        keep: Any = Signal(lanes, name="wanted_keep")
        m.d.comb += [
            whole.eq(4 + Mux(_carries(kind), length, 0)),
            rest.eq(Mux(whole > place, whole - place, 0)),
            keep.eq(Cat(n < rest for n in range(lanes))),
            now.came.eq(beat.came),
            now.sop.eq(sop),
            now.last.eq(beat.last),
            now.gone.eq(withdrawn_now),
            now.withdrawn.eq(withdrawn_now | (gone & ~sop)),
            now.keep.eq(beat.keep),
            now.fresh.eq(now.head | (after_head if lanes < 8 else 0)),
            now.torn.eq(beat.came & sop & (at != 0)),
            now.framed.eq((beat.last == (rest <= lanes)) & (beat.keep == keep) & (length != 0)),
            now.beyond.eq((rest == 0) & now.known),
            now.after.eq(Mux(beat.last | ~(sop | (at != 0)), 0, Mux(place > 4000, place, place + lanes))),
            now.words.eq(beat.data if self.payload else 0),
        ]
        self.was_wrong = wrong = Signal(name="was_wrong")
        m.d.comb += now.wrong.eq(now.known & (kind < 12) & (~now.framed | (wrong & ~now.head)))
        with m.If(taken):
            m.d.sync += [
                at.eq(now.after), gone.eq(now.withdrawn), wrong.eq(now.wrong), after_head.eq(now.head),
            ]  # fmt: skip
        return now

    # What the inside of the parser has to do with that.

    def _stages(self, checks: Checks) -> None:
        """Say that each of the parser's stages holds what the account says of the beat in it."""
        m, get = self.m, self.in_parser.signal
        came = get("came")
        checks.invariant("beats", came == Cat(step.came for step in self.steps))
        # Behind the beat that has entered a stage last: how far, and whether the packet is wrong.
        layout = data.StructLayout({
            "at": 12, "wrong": 1, "gone": 1, "after_head": 1, "upper": 64, "headed": 1
        })  # fmt: skip
        behind: Any = Signal(layout, name="behind1")
        m.d.comb += [
            behind.at.eq(self.at), behind.wrong.eq(self.was_wrong), behind.gone.eq(self.was_gone),
            behind.after_head.eq(self.after_head), behind.upper.eq(self.held), behind.headed.eq(self.headed),
        ]  # fmt: skip
        self.behind = [behind]
        for stage in range(2, 5):
            behind = self.moved(behind, f"behind{stage}")
            self.behind.append(behind)
        for stage in range(1, 4):
            self._chain(checks, self.steps[stage], self.behind[stage - 1], self.behind[stage])
        self._first_stages(checks)
        self._second_stage(checks)
        self._last_stages(checks)

    def _begun(self, at: Any) -> Any:
        return at >= (4 if self.lanes == 2 else 1)

    def _chain(self, checks: Checks, step: Any, here: Any, before: Any) -> None:
        """Say that a record follows from the one before it."""
        n = "each beat follows the one before it"
        for behind in (here, before):
            checks.invariant("a message is never wrong", ~behind.wrong | (behind.upper[11:15] < 12))
            checks.invariant("dwords come in beats", behind.at[: self.lanes.bit_length() - 1] == 0)
        checks.invariant(n, ~step.came | (step.place == Mux(step.sop, 0, before.at)))
        checks.invariant(n, ~step.came | (step.withdrawn == (step.gone | (before.gone & ~step.sop))))
        checks.invariant(n, step.came | (here.as_value() == before.as_value()))
        checks.invariant(
            n, ~step.came | (here.at == step.after) & (here.gone == step.withdrawn) & (here.wrong == step.wrong)
        )
        checks.invariant(n, ~step.came | (here.after_head == step.head))
        checks.invariant(n, ~step.came | (step.fresh == (step.head | (before.after_head if self.lanes < 8 else 0))))
        goes_on = step.came & step.known & ~step.head
        checks.invariant("its header stays", ~goes_on | (step.header[64:] == before.upper) & before.headed)
        checks.invariant("its header stays", ~(step.came & step.known) | (step.header[64:] == here.upper) & here.headed)
        kind = step.header[75:79]
        wrong = step.known & (kind < 12) & (~step.framed | (before.wrong & ~step.head))
        checks.invariant("wrong since", ~step.came | (step.wrong == wrong))
        half = (step.place == 2) if self.lanes == 2 else step.sop
        checks.invariant("its head", step.head == (step.came & half))
        known = (step.place >= 2) if self.lanes == 2 else (step.sop | (before.at != 0))
        checks.invariant("whether it has one", ~step.came | (step.known == known))
        checks.invariant("torn", step.torn == (step.came & step.sop & (before.at != 0)))
        checks.invariant(
            "a packet that is too long is wrong", ~(step.came & step.beyond) | before.wrong & ~step.head | (kind >= 12)
        )
        rest = self._rest(step)
        checks.invariant("what is to come", ~step.came | (step.beyond == (step.known & (rest == 0))))
        keep = Cat(n < rest for n in range(self.lanes))
        fits = (step.last == (rest <= self.lanes)) & (step.keep == keep) & (step.header[64:75] != 0)
        checks.invariant("whether it fits", ~(step.came & step.known) | (step.framed == fits))
        after = Mux(
            step.last | ~(step.sop | (before.at != 0)), 0, Mux(step.place > 4000, step.place, step.place + self.lanes)
        )
        checks.invariant("how far it goes", ~step.came | (step.after == after))

    def _rest(self, step: Any) -> Any:
        """Dwords of the packet from this beat on."""
        whole, rest = Signal(12), Signal(12)
        self.m.d.comb += [
            whole.eq(4 + Mux(_carries(step.header[75:79]), step.header[64:75], 0)),
            rest.eq(Mux(whole > step.place, whole - step.place, 0)),
        ]
        return rest

    def _first_stages(self, checks: Checks) -> None:
        """As it came; beside its header."""
        get, lanes = self.in_parser.signal, self.lanes
        beat, step = self.steps[0], self.steps[1]
        user = Cat(beat.user[:8], beat.user[42:53])
        checks.invariant(
            "as it came",
            ~beat.came
            | (get("words0") == beat.data)
            & (get("keep0") == beat.keep)
            & (Cat(get("sop0"), get("gone0"), get("last0")) == Cat(beat.user[40:42], beat.last))
            & (get("sideband0") == user),
        )
        at = self.at
        begun = self._begun(at)
        checks.invariant("dwords come in beats", at[: lanes.bit_length() - 1] == 0)
        descriptor, outside, sideband = ~get("inverted"), get("outside"), get("sideband")
        checks.invariant("the descriptor", ~begun | (descriptor == Cat(self.low, self.held)))
        same = (outside == descriptor) & (get("address") == descriptor[:64])
        checks.invariant("the same for the windows", ~begun | same)
        old = checks.past(Const(1), "old")  # this is not the first clock
        opens = beat.came & beat.user[40]
        checks.invariant("a packet begins", get("opens") == opens)
        checks.invariant("the same for the windows", get("opens_too") == (opens | ~old))
        checks.invariant("nothing has begun at first", old | ~(begun | self.headed | at.any()))
        checks.invariant("the byte enables", (at == 0) | (sideband[:8] == self.enables))
        if lanes == 2:
            checks.invariant("half a descriptor", get("early") == (at == 2))
            checks.invariant("the first half", (at != 2) | (descriptor[:64] == self.low))
            checks.invariant("the same for the windows", (at != 2) | (outside[:64] == self.low))
        checks.invariant("what goes on has a header", ~begun | self.headed)
        total: Any = Signal(12, name="old_whole")
        self.m.d.comb += total.eq(4 + Mux(_carries(self.held[11:15]), self.held[:11], 0))
        checks.invariant(
            "a packet that goes on beyond its end is wrong",
            ~begun | (at < total) | self.was_wrong | (self.held[11:15] >= 12),
        )
        checks.invariant("its upper half", ~self.headed | (descriptor[64:] == self.held))
        checks.invariant("the same for the windows", ~self.headed | (outside[64:] == self.held))
        self._foreseen(checks)
        flags = Cat(get(name) for name in ("sop1", "last1", "gone1"))
        checks.invariant("as it came", ~step.came | (flags == Cat(step.sop, step.last, step.gone)))
        checks.invariant("where the header ends", ~step.came | (get("head1") == step.head))
        if self.payload:
            checks.invariant("its words", ~step.came | (get("words1") == step.words))
        of_header = ~(step.came & step.known) | (descriptor == step.header) & (sideband[:8] == step.enables)
        checks.invariant("its header", of_header)
        self._same_header(checks, step, self.parser.header)
        half = step.torn & (self.behind[1].at == 2) if lanes == 2 else Const(0)
        checks.invariant("torn after half a descriptor", ~step.came | (get("torn1") == half))
        packed = Cat(step.keep == (1 << n) - 1 for n in range(lanes + 1)).any()
        checks.invariant("lanes in use", ~step.came | (get("gaps1") == ~packed))
        for n in range(lanes + 1):
            checks.invariant("how many", ~step.came | (step.keep != (1 << n) - 1) | (get("used1") == n))

    def _foreseen(self, checks: Checks) -> None:
        """What the header says of the beats to come."""
        get, lanes = self.in_parser.signal, self.lanes
        kind, length = self.held[11:15], self.held[:11]
        own = max(lanes - 4, 0)
        carries = _carries(kind)
        behind = (length - own - 1)[:11]
        more = carries & (length > own)
        foreseen = (
            (get("goes_on") == more)
            & (~more | (get("beats") == behind >> lanes.bit_length() - 1))
            & (~more | (get("one") == (behind < lanes)))
            & (~more | (get("rest") == behind[: lanes.bit_length() - 1] + 1))
            & (get("here") == (Mux(carries, Mux(length > own, own, length), 0) if own else 0))
        )
        said = Cat(get(name) for name in ("empty", "single", "writes", "message"))
        checks.invariant("how long it is", ~self.headed | foreseen)
        is_so = said == Cat(length == 0, length == 1, kind == WRITE, kind >= 12)
        checks.invariant("what it is", ~self.headed | is_so)

    def _number(self, step: Any) -> Any:
        """Dwords of payload in a beat."""
        rest = self._rest(step)
        lanes = self.lanes
        fits = Mux(step.head, max(lanes - 4, 0), lanes)
        pays = Mux(step.head, Mux(rest > 4, rest - 4, 0), rest)
        number: Any = Signal(range(lanes + 1))
        here: Any = Mux(pays > fits, fits, pays)
        self.m.d.comb += number.eq(here if lanes > 2 else Mux(step.head, 0, Mux(rest > 2, 2, rest)))
        return number

    def _second_stage(self, checks: Checks) -> None:
        """Its place in the packet."""
        get, lanes, behind, step = self.in_parser.signal, self.lanes, self.behind[1], self.steps[2]
        begun = self._begun(behind.at)
        total, rest = Signal(12, name="whole2"), Signal(12, name="rest2")
        self.m.d.comb += [
            total.eq(4 + Mux(_carries(behind.upper[11:15]), behind.upper[:11], 0)),
            rest.eq(Mux(total > behind.at, total - behind.at, 0)),
        ]
        checks.invariant("a packet goes on", get("active") == begun)
        checks.invariant("it was withdrawn", get("gone") == behind.gone)
        counts = (get("ending") == (rest <= lanes)) & (get("left") == (rest - 1) >> lanes.bit_length() - 1)
        checks.invariant("beats to come", ~begun | (rest == 0) | counts)
        if lanes < 8:
            checks.invariant("its header has passed", get("fresh") == behind.after_head)
        known = step.came & step.known
        sound = known & ~step.beyond
        rest = self._rest(step)
        flags = Cat(get(name) for name in ("head2", "last2", "known2", "gone2", "torn2"))
        checks.invariant(
            "what it is", ~step.came | (flags == Cat(step.head, step.last, step.known, step.withdrawn, step.torn))
        )
        checks.invariant("whether it is to be the last", ~sound | (get("tail2") == (rest <= lanes)))
        checks.invariant("its payload", ~sound | (get("count2") == self._number(step)))
        checks.invariant("the first of it", ~step.came | (get("first2") == step.fresh))
        fit = Mux(get("head2"), get("as_head2"), Mux(get("ending2"), get("as_last2"), get("as_others2")))
        keep = Cat(n < rest for n in range(lanes))
        checks.invariant("its lanes", ~sound | ((fit & ~get("gaps2")) == (step.keep == keep)))
        kind, length = step.header[75:79], step.header[64:75]
        said = Cat(get(name) for name in ("empty2", "single2", "writes2", "message2"))
        checks.invariant("its kind", ~known | (said == Cat(length == 0, length == 1, kind == WRITE, kind >= 12)))
        self._header(checks, step, "2")
        self._words(checks, step, get("words2"))

    def _header(self, checks: Checks, step: Any, stage: str) -> None:
        of_header: Any = self.target.segment.header.shape()
        header = data.View(of_header, self._as_value(self.in_parser.signal(f"header{stage}")))
        self._same_header(checks, step, header)

    def _same_header(self, checks: Checks, step: Any, header: Any) -> None:
        d = step.header
        said = Cat(
            header.at, header.address[2:], header.length, header.kind, header.spare[0], header.requester, header.tag,
            header.function, header.bar, header.aperture, header.tc, header.attr, header.spare[1],
        )  # fmt: skip
        enables = Cat(header.first_be, header.last_be)
        checks.invariant("its header", ~(step.came & step.known) | (said == d) & (enables == step.enables))

    @staticmethod
    def _as_value(signal: Any) -> Any:
        return signal.as_value() if hasattr(signal, "as_value") else signal

    def _words(self, checks: Checks, step: Any, words: Any) -> None:
        """Say that the payload is in lane 0."""
        if not self.payload:
            return
        shifted = Mux(step.head, step.words >> 128, step.words) if self.lanes >= 8 else step.words
        checks.invariant("its words", ~(step.came & step.known) | (words == shifted[: self.width]))

    def _last_stages(self, checks: Checks) -> None:
        """Whether it fits; whether all before it did."""
        get, step, last = self.in_parser.signal, self.steps[3], self.steps[4]
        known = step.came & step.known
        sound = known & ~step.beyond
        kind, number = step.header[75:79], self._number(step)
        flags = Cat(get(name) for name in ("head3", "last3", "known3", "gone3", "torn3"))
        checks.invariant(
            "what it is", ~step.came | (flags == Cat(step.head, step.last, step.known, step.withdrawn, step.torn))
        )
        rest = self._rest(step)
        checks.invariant("whether it is to be the last", ~sound | (get("tail3") == (rest <= self.lanes)))
        checks.invariant("its payload", ~sound | (get("count3") == number))
        checks.invariant("the first of it", ~step.came | (get("first3") == step.fresh))
        checks.invariant("a single dword", ~known | (get("single3") == (step.header[64:75] == 1)))
        checks.invariant("whether it fits", ~sound | (get("wrong3") == (~step.framed & (kind < 12))))
        checks.invariant("a message always does", ~(known & (kind >= 12)) | ~get("wrong3"))
        pays = sound & (kind == WRITE) & ~step.withdrawn & (number != 0)
        checks.invariant("whether it pays", ~step.came | (step.beyond & (kind == WRITE)) | (get("pays3") == pays))
        self._header(checks, step, "3")
        self._words(checks, step, get("words3"))
        behind = self.behind[3]
        checks.invariant("it was wrong", ~self._begun(behind.at) | (get("broken") == behind.wrong))
        self._segment(checks, last, self.parser.segment)

    def _segment(self, checks: Checks, step: Any, segment: Any) -> None:
        """Say what a segment is."""
        known, kind, number = step.came & step.known, step.header[75:79], self._number(step)
        writes = known & (kind == WRITE) & ~step.withdrawn & ~step.wrong & (number != 0)
        rest = self._rest(step)
        checks.invariant(
            "how it ends",
            ~step.came
            | (segment.final == step.last)
            & (segment.known == step.known)
            & (segment.discontinued == step.withdrawn)
            & (segment.malformed == ((step.wrong | ~step.known) & ~step.withdrawn))
            & (segment.torn == step.torn),
        )
        checks.invariant("what writes", ~step.came | (segment.write == writes))
        checks.invariant("the first of it", ~step.came | (segment.first == step.fresh))
        says = step.came & (step.last | writes | step.torn)
        checks.invariant("what there is to say", self.parser.valid == says)
        checks.invariant("a single dword", ~known | (segment.single == (step.header[64:75] == 1)))
        checks.invariant("its payload", ~writes | (segment.count == number) & (segment.tail == (rest <= self.lanes)))
        self._same_header(checks, step, segment.header)
        if self.payload:
            self._words(checks, step, segment.data.as_value())
