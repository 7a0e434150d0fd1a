"""Proof of the host's writes: which dword goes where with which strobes, and which ones write nothing.

Parser and target as in `completer.packets`, with whatever the windows say. The account keeps the payload of each beat
beyond the parser, which dwords of its packet that is, and where the window sends the packet.
"""

from functools import partial
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Array, Cat, Const, Mux, Signal
from amaranth.lib import data
from way_in import DOORBELLS, EDMA, RAM, RAM_SIZE, SIDE_B, WRITE, WayIn

from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

_LONGEST = 4


class _Writes(WayIn):
    """Parser and target, beside the payload that is on its way."""

    payload = True

    def state(self, m: Any, checks: Checks) -> None:
        """State where each dword of a write goes, and when."""
        lanes = self.lanes
        layout = data.StructLayout({
            "there": 1,
            "pays": 1,  # payload of a write that was sound so far
            "ended": 1,
            "sound": 1,  # with this, the packet is a write that ends well
            "begins": 1,  # it is the first of the payload
            "whole": 1,  # it has the last dword of the payload
            "count": range(lanes + 1),
            "length": 11,
            "enables": 8,
            "words": self.width,
            "where": 64,  # of the packet's first dword
            "spot": 10,  # of the first dword that is held, within 4 KiB
            "hit": 1,
        })  # fmt: skip
        said: Any = Signal(layout, name="said")
        self._say(m, checks, said)
        account = self.follow(said, "said")
        self._found(checks, account)
        for one, action in self.entries(account):
            self._hold(checks, one, self._spec(one), action)
        self._done(m, checks, account)

    def _say(self, m: Any, checks: Checks, said: Any) -> None:
        """Say what the beat in the parser's last stage is; what follows of a payload goes where it began."""
        seen, lanes = self.seen, self.lanes
        kind = seen.header[75:79]
        good = seen.came & seen.known & ~seen.withdrawn & ~seen.wrong & (kind == WRITE)
        rest = self._rest(seen)
        where, spot = Signal(64, name="where"), Signal(10, name="next_spot")
        hit, running = Signal(name="hit"), Signal(name="running")
        m.d.comb += [
            said.there.eq(self.parser.valid),
            said.pays.eq(good & (said.count != 0)),
            said.ended.eq(seen.last),
            said.sound.eq(good & seen.last),
            said.begins.eq(seen.fresh),
            said.whole.eq(rest <= lanes),
            said.count.eq(self._number(seen)),
            said.length.eq(seen.header[64:75]),
            said.enables.eq(seen.enables),
            said.words.eq(seen.words),
            said.where.eq(Mux(seen.fresh, self.local, where)),
            said.spot.eq(Mux(seen.fresh, self.local[2:12], spot)),
            said.hit.eq(Mux(seen.fresh, self.claimed & self.fits & (seen.header[104:112] == 0), hit)),
        ]
        with m.If(said.pays):
            m.d.sync += [where.eq(said.where), spot.eq(said.spot + said.count), hit.eq(said.hit)]
        with m.If(seen.came):
            m.d.sync += running.eq(said.pays & ~seen.last)
        self.running = SimpleNamespace(where=where, spot=spot, hit=hit, on=running)
        behind = self.moved(self.behind[3], "behind5")
        self._chain(checks, seen, self.behind[3], behind)
        goes_on = (behind.at > 4) & ~behind.wrong & ~behind.gone & (behind.upper[11:15] == WRITE)
        checks.invariant("a payload goes on", running == goes_on)
        checks.invariant("what goes on has begun", ~(said.pays & ~seen.fresh) | running)
        checks.invariant("its length", ~running | behind.headed & (behind.upper[:11] != 0))
        self.length = behind.upper[:11]
        number = self._number(seen)
        for one in (*self.behind, behind):
            checks.invariant("its header has passed", (one.at < 4) | (one.after_head == (one.at == 4)))
        paid = seen.came & seen.known & (number != 0)
        checks.invariant("the first of a payload", ~paid | ((seen.place == 4) == seen.fresh))
        checks.invariant("a sound write pays", ~said.sound | said.pays)

    def _found(self, checks: Checks, account: Any) -> None:
        """Say what the decoder keeps for the rest of a payload."""
        run, get = self.running, self.in_target.within("decoder").signal
        found: Any = Signal.like(account.decoded, name="found")
        self.m.d.comb += [found.where.eq(run.where), found.hit.eq(run.hit), found.length.eq(self.length)]
        spec = self._spec(found)
        here = (get("ram") == spec.ram) & (get("pages") == Cat(spec.side_b, spec.edma))
        checks.invariant("where it goes", ~run.on | here)
        there = (get("place")[10:] == run.where[12:16]) & (get("behind") == run.spot)
        checks.invariant("where it goes", ~run.on | there)

    def _spec(self, said: Any) -> Any:
        """Where something goes, with which strobes."""
        hit, where, length = said.hit, said.where, said.length
        doorbell = (where[2:16] == DOORBELLS[0] >> 2) | (where[2:16] == DOORBELLS[1] >> 2)
        spec = SimpleNamespace(
            ram=hit & (where >= RAM) & (where < RAM + RAM_SIZE),
            side_b=hit & (where[16:] == SIDE_B >> 16),
            edma=hit & (where[16:] == EDMA >> 16) & doorbell & (length == 1),
        )
        spec.page = (spec.side_b | spec.edma) & (length <= _LONGEST)
        ends = said.whole & (length != 1)
        spec.strobes = [
            Mux(
                n < said.count,
                Mux(said.begins & (n == 0), said.enables[:4], 15)
                & Mux(ends & (n + 1 == said.count), said.enables[4:], 15),
                0,
            )[:4]
            for n in range(self.lanes)
        ]
        return spec

    def _hold(self, checks: Checks, said: Any, spec: Any, action: Any) -> None:
        """Say what is decoded, or waits."""
        there, pays = said.there, said.there & said.pays
        checks.invariant("what writes", ~there | (action.ram == (said.pays & spec.ram)))
        checks.invariant("what writes", ~there | (action.page == (said.pays & spec.page)))
        checks.invariant("its end", ~there | (action.final == said.ended))
        checks.invariant("a good end", ~there | (action.ends_well == (said.pays & said.ended & ~said.begins)))
        checks.invariant("which page", ~pays | (action.pages == Cat(spec.side_b, spec.edma)))
        checks.invariant("where", ~pays | (action.place == Cat(said.spot, said.where[12:16])))
        words = [(n >= said.count) | (action.data[n] == said.words.word_select(n, 32)) for n in range(self.lanes)]
        checks.invariant("its words", ~pays | Cat(words).all())
        checks.invariant("its strobes", ~pays | (action.strobes.as_value() == Cat(spec.strobes)))
        checks.invariant("which have some", ~pays | (action.bytes == Cat(strobe.any() for strobe in spec.strobes)))
        page = said.pays & spec.page
        checks.invariant("there are more", ~there | (action.more == (page & (said.count > 1))))
        checks.invariant("it waits for its end", ~there | (action.waits == (page & ~said.ended)))
        begins = page & said.ended & (spec.strobes[0] != 0)
        checks.invariant("it is written at once", ~there | (action.begins == begins))
        checks.invariant("an answer is no write", ~(there & action.read) | ~said.pays)
        checks.invariant("how many", ~pays | (action.steps == (said.count - 1)[:2]) & (said.count != 0))
        refused = said.sound & ~(spec.ram | spec.page)
        checks.invariant("what is refused", ~there | (action.events.write_refused == (said.ended & refused)))
        checks.invariant("in its range", ~pays | (said.count <= self.lanes))
        self._shape(checks, said)

    def _shape(self, checks: Checks, said: Any) -> None:
        """Say what any payload is like."""
        pays = said.there & said.pays
        checks.invariant("an end of a sound write", ~(said.there & said.sound) | said.pays & said.ended)
        checks.invariant("a good end", ~(pays & said.ended) | said.sound)
        checks.invariant("first and last are all", ~(pays & said.begins & said.whole) | (said.count == said.length))
        checks.invariant("a single dword is the first", ~pays | (said.length != 1) | said.begins & (said.count == 1))
        checks.invariant("what goes on is full", ~pays | said.whole | (said.count == self.lanes))
        checks.invariant("what has its last dword ends", ~pays | (said.whole == said.ended))

    def _done(self, m: Any, checks: Checks, account: Any) -> None:
        """State what is done of the payload, a dword a clock where it is for a page."""
        target, lanes, now = self.target, self.lanes, account.now
        spec = self._spec(now)
        holds = now.there & now.pays
        ram, page = holds & spec.ram, Signal(name="page")
        following = account.following
        m.d.comb += page.eq(holds & spec.page)
        checks.forward("what is of the RAM goes there", ~ram | target.ram_valid)
        checks.backward("nothing else does", ~target.ram_valid | ram)
        checks.forward(
            "to its address, with its words and strobes",
            ~ram
            | (target.ram_addr == now.spot)
            & Cat((n >= now.count) | (target.ram_data[n] == now.words.word_select(n, 32)) for n in range(lanes)).all()
            & (target.ram_strb.as_value() == Cat(spec.strobes)),
        )
        # A page takes a dword a clock, when the packet has ended well.
        lane: Any = Signal(range(lanes + 1), name="lane")
        well, badly = Signal(name="ends_well"), Signal(name="ends_badly")
        ending = following.there & following.pays & following.ended & ~following.begins
        may_go = now.ended | well
        strobe: Any = Array(spec.strobes)[lane[: (lanes - 1).bit_length()]]
        due, steps, leaves = Signal(name="due"), Signal(name="steps"), Signal(name="leaves")
        m.d.comb += [
            due.eq(page & may_go & ~badly & (strobe != 0)),
            steps.eq(page & may_go & ~badly & ((strobe == 0) | spec.edma | self.ready)),
            leaves.eq(
                Mux(page, badly | (steps & (lane + 1 == now.count)), Mux(ram, self.ready, 1))
                & (~target.read_valid | self.read_ready)
            ),
        ]
        with m.If(leaves):
            m.d.sync += [lane.eq(0), well.eq(0), badly.eq(0)]
        with m.Elif(page & ~may_go):
            m.d.sync += [well.eq(ending), badly.eq(following.there & ~ending)]
        with m.Elif(steps):
            m.d.sync += lane.eq(lane + 1)
        checks.forward(
            "a dword for a page is written in its turn, when its packet has ended well", ~due | target.bus_valid
        )
        checks.backward("nothing else rings: not what is refused, and not what is bad", ~target.bus_valid | due)
        checks.backward("a beat goes when it has been done, or its packet has failed", self.takes == leaves)
        word: Any = Array(now.words.word_select(n, 32) for n in range(lanes))[lane[: (lanes - 1).bit_length()]]
        low: Any = now.spot + lane  # 10: beyond 4 KiB, which inbound.ends excludes
        checks.forward(
            "to its page and address, with its word and strobes",
            ~due
            | low[10]
            | (target.bus_pages == Cat(spec.side_b, spec.edma))
            & (target.bus_addr == Cat(Const(0, 2), low[:10], now.where[12:16]))
            & (target.bus_data == word)
            & (target.bus_strb == strobe),
        )
        wrote: Any = Signal(name="page_written")  # and its packet goes on
        with m.If(self.takes):
            m.d.sync += wrote.eq(now.there & well & ~now.ended)
        checks.backward(
            "a packet of which something was written to a page ends well",
            ~wrote | now.there & now.pays & now.ended & ~now.begins,
        )
        checks.backward("nothing is written before its end has come", ~(target.bus_valid & ~now.ended) | ending & well)
        self._reported(m, checks, now, spec)
        self._inside(checks, account, spec, lane, well, badly)
        checks.cover("a doorbell of one dword", target.bus_valid & self.ready & now.ended & (now.length == 1))
        checks.cover("two dwords of one write", (lane == 1) & target.bus_valid & (strobe == 3))
        checks.cover("a write of two beats waits for its end", page & well & (lane == 1) & ~now.ended)

    def _reported(self, m: Any, checks: Checks, now: Any, spec: Any) -> None:
        """State which writes are reported as refused."""
        target = self.target
        refused = now.there & now.ended & now.sound & ~(spec.ram | spec.page)
        left = checks.past(refused & self.takes, "refused_left")
        checks.forward(
            "a sound write that writes nothing is reported as refused, when it has left", ~left | target.write_refused
        )
        checks.backward("no other is", ~target.write_refused | left)
        checks.backward("what is refused is not written", ~refused | ~(target.bus_valid | target.ram_valid))

    def _inside(self, checks: Checks, account: Any, spec: Any, lane: Any, well: Any, badly: Any) -> None:
        """What is in the last stage is what the account says."""
        target, lanes, now, action = self.target, self.lanes, account.now, self.now
        following = account.following
        get = self.in_target.signal
        holds, page = now.there & now.pays, now.there & now.pays & spec.page
        checks.invariant("something is being done", get("holds") == now.there)
        checks.invariant("what is decoded", self.decoder_valid == account.decoded.there)
        checks.invariant("a write of RAM", target.ram_valid == (holds & spec.ram))
        alive = page & ~badly
        checks.invariant("waits", get("waits") == (page & ~now.ended & ~well & ~badly))
        checks.invariant("more", get("more") == (alive & (lane + 1 != now.count)))
        strobe: Any = Array(spec.strobes)[lane[: (lanes - 1).bit_length()]]
        checks.invariant("a write of a page", target.bus_valid == (alive & (now.ended | well) & (strobe != 0)))
        checks.invariant("one thing", ~target.read_valid | now.there & ~now.pays)
        checks.invariant("lanes are in range", (lane == 0) | page & (lane < now.count) & (now.ended | well))
        checks.invariant("one outlook", ~((well | badly) & (~page | now.ended)) & ~(well & badly))
        checks.invariant("its end is there", ~(well | badly) | following.there)
        checks.invariant("and good", ~well | following.pays & following.ended & ~following.begins)
        place = Cat((now.spot + lane)[:10], now.where[12:16])
        over = (now.spot + lane)[10]
        checks.invariant("where", ~holds | over | (action.place == place))
        checks.invariant("which page", ~holds | (action.pages == Cat(spec.side_b, spec.edma)))
        strobes, words, some = Cat(spec.strobes), now.words, Cat(value.any() for value in spec.strobes)
        for n in range(lanes):
            here = holds & (lane == n)
            checks.invariant("its strobes", ~here | (action.strobes.as_value()[: 4 * (lanes - n)] == strobes[4 * n :]))
            checks.invariant("which have some", ~here | (action.bytes[: lanes - n] == some[n:]))
            checks.invariant("steps", ~(here & spec.page) | (action.steps == (now.count - 1 - n)[:2]))
            for k in range(lanes - n):
                same = action.data[k] == words.word_select(n + k, 32)
                checks.invariant("its words", ~here | (n + k >= now.count) | same)
        reports = data.View(action.events.shape(), get("reports")[: action.events.shape().size])
        refused = now.there & now.ended & now.sound & ~(spec.ram | spec.page)
        checks.invariant("what is refused", reports.write_refused == refused)
        self._shape(checks, now)
        checks.invariant("in its range", ~(now.there & now.pays) | (now.count <= lanes) & (now.count != 0))


PROOFS = [
    Proof(
        f"writes.places.{width}",
        "each dword of a write goes where the window says, with its strobes; what is refused or bad rings nothing",
        partial(_Writes, width),
        depth=1,
        cover_depth=16,
        mutant_depth=14,
        wide=True,
    )
    for width in (64,)
]
