"""Proofs of the Messaging Unit with two clocks as a whole, in each layout, through its AXI4-Lite ports.

Both managers write and read what they like, either clock ticks when it likes, and both resets come when they like. The
accounts are those of `cdc.channel` and `cdc.mur`, of the channels that are in the unit, and are proven anew with it:
what each channel is told to write, read and forget is what the ports, MUR and resets say, and the interrupt lines are
what arrives by them.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib.wiring import In
from cdc_account import Account, other, state_shakes
from cdc_mur import Way
from clocks import Clocks
from inside import Inside
from mu_spec import Side

from epbell.mu import LAYOUTS, MuAxilAsync
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

# Four synchronisers in each of 18 channels, in the restart of the link, and in the crossing of MUR.
_SYNCHRONISERS = 4 * 20
_CHANNELS = range(4)
# Of each port; what it answers is not looked at here, and left out so that the prover need not.
_INPUTS = {
    "awaddr": 16, "awvalid": 1, "wdata": 32, "wstrb": 4, "wvalid": 1, "bready": 1, "araddr": 16, "arvalid": 1,
    "rready": 1,
}  # fmt: skip
# Clocks of the writer in which it knows that it may send, and sends; of the reader in which a word then arrives.
_TOLD, _THERE = 4, 5


class _Unit(Clocks):
    """The unit, and the accounts of some of its channels."""

    def __init__(self, layout: str, kinds: tuple[str, ...]) -> None:
        self.layout, self.kinds = layout, kinds
        free = {f"{name}_{member}": In(width) for name in "ab" for member, width in _INPUTS.items()}
        super().__init__(free, _SYNCHRONISERS)

    def state(self, checks: Checks) -> None:
        m, dut = self.m, MuAxilAsync(self.layout)
        self.dut, unit = dut, Inside(dut).within("unit")
        self.crossing = crossing = unit.within("crossing")
        self.unit = dut._unit
        self.ends = {domain: crossing.component(f"restart_{domain}") for domain in "ab"}
        self.murs = {domain: crossing.component(f"mur_{domain}") for domain in "ab"}
        self.insides = {"a": self.unit._side_a, "b": self.unit._side_b}
        for end in (*self.ends.values(), *self.murs.values()):
            Inside(end)
        names = [f"{kind}_{domain}{n}" for kind in ("word", "request") for domain in "ab" for n in _CHANNELS]
        self.pairs = {
            name: (crossing.component(f"{name}_sender"), crossing.component(f"{name}_receiver")) for name in names
        }
        for sender, _ in self.pairs.values():
            Inside(sender)
        self.place(dut)
        ports: dict[str, Any] = {"a": dut.a_axil, "b": dut.b_axil}
        for name, port in ports.items():
            m.d.comb += [getattr(port, member).eq(getattr(self, f"{name}_{member}")) for member in _INPUTS]
        self.sides = {name: Side(m, name, port, self.layout) for name, port in ports.items()}
        self.irqs = {"a": dut.a_irq, "b": dut.b_irq}
        self.murs_done = {domain: Way(self, self.murs, domain) for domain in "ab"}
        state_shakes(self, checks, self.ends)
        for domain, way in self.murs_done.items():
            way.state(checks)
            halted = Inside(self.ends[domain]).signal
            checks.invariant(
                "the link is down until a MUR is done", ~(way.crossing | way.newer) | halted("needed") | halted("down")
            )
        for domain in "ab":
            self._remember(checks, domain)
        self.accounts = {
            name: Account(
                self, self.ends, *pair, stored=self._stored(name), near=name.split("_")[1][0], name=f"{name}_"
            )
            for name, pair in self.pairs.items()
            if name.rstrip("0123") in self.kinds
        }
        self.has = {name: self._state_channel(checks, name, account) for name, account in self.accounts.items()}
        self.state_rest(checks)

    def state_rest(self, checks: Checks) -> None:
        """State more."""

    def _stored(self, name: str) -> Any:
        domain, n = name.split("_")[1]
        return getattr(self.insides[domain], f"stored_word{n}") if name.startswith("word") else Cat()

    def _remember(self, checks: Checks, domain: str) -> None:
        """Remember what a side's manager has enabled; MUR, of either side, and reset forget it."""
        m, side, inside, tick = self.m, self.sides[domain], self.insides[domain], self.ticks[domain]
        reset: Any = Signal(name=f"{domain}_clears")
        m.d.comb += reset.eq(self.resets[domain] | (tick & (side.mur | self.murs[domain].by_far)))
        side.reset = reset
        checks.forward("MUR sets out in its own clock", self.murs[domain].request == side.mur)
        stores = {**side.enables, **({"MURIE": side.murie} if side.map.split else {})}
        for kind, store in stores.items():
            with m.If(reset):
                m.d.sync += store.eq(0)
            with m.Elif(tick & side.written(kind)):
                m.d.sync += store.eq(side.data(kind))
        for kind, enable in side.enables.items():
            checks.invariant("enables are what was written", inside._vector(kind) == enable)
        if side.map.split:
            field = inside._registers.field
            with m.If(tick):
                kept = side.murip & ~(side.written("MURIP") & side.data("MURIP"))
                m.d.sync += side.mur_by_far.eq(~self.resets[domain] & self.murs[domain].by_far)
                m.d.sync += side.murip.eq((kept | side.mur_by_far) & ~reset)
            checks.invariant("MURIE is what was written", field("CR", "MURIE").value == side.murie)
            checks.invariant("MURIP comes a clock after its reset", inside.mur_by_far == side.mur_by_far)
            checks.invariant("MURIP is what the far side did", field("SR", "MURIP").value == side.murip)

    def _state_channel(self, checks: Checks, name: str, account: Account) -> Any:
        """State that what the ports say is what the channel does; return what the reader has."""
        m, n = self.m, int(name[-1])
        near, far = self.sides[account.near], self.sides[account.far]
        sender, receiver = account.sender, account.receiver
        words = name.startswith("word")
        writes, takes = (near.ring, far.take) if words else (near.asks, far.answers)
        account.state(checks)
        checks.forward("what is written at the port is sent, and nothing else", sender.write == writes[n])
        checks.forward("what is read at the port is taken, and nothing else", receiver.take == takes[n])
        checks.forward("what MUR and reset forget is forgotten", account.resets == near.reset)
        checks.forward("at both sides", account.far_resets == far.reset)
        has: Any = Signal(name=f"{name}_has")
        taken = account.far_tick & takes[n]
        m.d.sync += has.eq(~far.reset & (account.arrives | (has & ~taken)))
        flags = self.insides[account.far]
        shown = flags.receive_full[n] if words else flags._vector("GIP")[n]
        checks.backward("what the reader is shown has arrived, and has not been read since", ~shown | has)
        checks.forward("what has arrived is shown until it is read", ~has | shown)
        checks.invariant("it is with the reader", receiver.full == has)
        if words:
            checks.forward("the reader has the word", flags_word(flags, n) == receiver.word)
        self._state_age(checks, name, account, has)
        old: Any = Signal(name=f"{name}_old")
        m.d.sync += old.eq(account.crossing & ~(account.arrives | account.clears) & (far.reset | old))
        halted = Inside(self.ends[account.far]).signal
        checks.invariant(
            "then it crosses, and the reader is halted", ~old | account.crossing & (halted("needed") | halted("down"))
        )
        checks.backward("nothing arrives that had set out before MUR or reset of the reader", ~(account.arrives & old))
        for domain, way in self.murs_done.items():
            checks.backward(
                f"nothing arrives at, or leaves, a side whose MUR is not done at the other ({domain})",
                ~((way.crossing | way.newer) & (account.arrives if domain == account.far else account.sends)),
            )
        return has

    def _state_age(self, checks: Checks, name: str, account: Account, has: Any) -> None:
        """State how long it takes until the reader has something."""
        m = self.m
        told, there = Signal(range(_TOLD + 1), name=f"{name}_told"), Signal(range(_THERE + 1), name=f"{name}_came")
        runs = account.fresh & account.up & account.far_up & ~(account.reads | account.resets | account.far_resets)
        with m.If(~runs):
            m.d.sync += [told.eq(0), there.eq(0)]
        with m.Elif(told != _TOLD):
            m.d.sync += told.eq(told + account.tick)
        with m.Elif(there != _THERE):
            m.d.sync += there.eq(there + account.far_tick)
        late = told == _TOLD
        works = account.fresh & account.up & account.far_up & ~has
        checks.invariant("first the one, then the other", late | (there == 0))
        checks.invariant("what waits is told", ~works | account.crossing | late | (account.ticks_back >= told))
        checks.invariant("in four clocks it is under way", ~(works & late) | account.crossing)
        checks.invariant("and then it comes", ~(works & late) | (account.ticks_there >= there))
        checks.forward(
            "a word that is written and not read is there within four clocks of the writer and five of the reader",
            ~(works & late & (there == _THERE)),
        )


def flags_word(side: Any, n: int) -> Any:
    """Return what RRn reads."""
    return getattr(side, f"receive_word{n}")


class _Channels(_Unit):
    """What is written at one side, and what the other one has of it."""

    def state_rest(self, checks: Checks) -> None:
        name = next(reversed(self.accounts))
        account = self.accounts[name]
        checks.cover("something is there", self.has[name])
        checks.cover(
            "MUR of the reader while something is under way",
            account.crossing & account.far_up & self.ticks[account.far] & self.sides[account.far].mur,
        )
        for name, account in self.accounts.items():
            if name.startswith("word_b"):
                self._state_events(checks, account, self.has[name], int(name[-1]))

    def _state_events(self, checks: Checks, account: Account, has: Any, n: int) -> None:
        """State what is counted of the words from B to A, and that it is right."""
        m, a, b, events = self.m, self.sides["a"], self.sides["b"], self.unit.b_to_a
        mur = {name: self.sides[name].mur | self.murs[name].by_far for name in "ab"}
        rung, superseded, merged, delivered = (
            getattr(events, name)[n] for name in ("rung", "superseded", "merged", "delivered")
        )
        checks.forward("each ring is counted, and nothing else as one", rung == (b.ring[n] & ~mur["b"]))
        checks.forward("each read of an unread word is counted as delivered", delivered == (has & a.take[n]))
        lost = has & ~a.take[n] & (account.receiver.arrived | mur["a"])
        checks.forward("each word that is lost at the reader is counted as merged", merged == lost)
        begun: Any = Signal(name=f"begun{n}")
        came, gone = Signal(8, name=f"rung{n}"), Signal(8, name=f"gone{n}")
        under_way = account.waiting + account.crossing
        works = account.up & account.far_up & ~(account.resets | account.far_resets)
        counts = works & (begun | ~(under_way.any() | has))
        here, there = self.ticks["a"], self.ticks["b"]
        m.d.sync += [
            begun.eq(counts),
            came.eq(Mux(counts, came + (there & rung), 0)),
            gone.eq(Mux(counts, gone + (there & superseded) + (here & merged) + (here & delivered), 0)),
        ]
        checks.invariant("the count begins with nothing", begun | ((came == 0) & (gone == 0)))
        checks.forward(
            "rung = superseded + merged + delivered + RF + under way, while the link works",
            ~begun | (came == (gone + has + under_way)[:8]),
        )


class _Lines(_Unit):
    """Interrupt lines, from what the registers show: what raises them, what lets them fall; and MUR."""

    def state_rest(self, checks: Checks) -> None:
        m = self.m
        for domain, irq in self.irqs.items():
            near, far, inside = self.sides[domain], other(domain), self.insides[domain]
            way = self.murs_done[far]
            enables = near.enables
            shown = {"RF": inside.receive_full, "TE": inside.transmit_empty, "GIP": inside._vector("GIP")}
            pairs = (("RF", "RIE"), ("TE", "TIE"), ("GIP", "GIE"))
            causes = {name: shown[name] & enables[enable] for name, enable in pairs}
            for name, cause in causes.items():
                checks.forward(f"{name} raises the line", ~cause.any() | irq)
            checks.forward("and MUR of the far side", ~(near.murip & near.murie) | irq)
            checks.backward(
                "the line is up only for a cause that is enabled",
                ~irq | Cat(*causes.values()).any() | (near.murip & near.murie),
            )
            masks = Cat(*enables.values(), near.murie)
            checks.backward("masked, the line never rises", ~irq | masks.any())
            waits: Any = Signal(name=f"{domain}_waits")
            written = self.ticks[domain] & near.written("RIE") & ~near.reset
            m.d.sync += waits.eq((written.replicate(4) & near.data("RIE") & shown["RF"] & ~near.take).any())
            checks.forward("a doorbell that came while masked fires at the unmask", ~waits | irq)
            cleared: Any = Signal(name=f"{domain}_cleared")
            m.d.sync += cleared.eq(near.reset)
            kinds = ("GIP", "GIR", "RIE", "TIE", "GIE")
            kept = Cat(inside.receive_full, inside.flags, *(inside._vector(kind) for kind in kinds))
            stored = Cat(getattr(inside, f"stored_word{n}") for n in _CHANNELS)
            checks.forward("MUR of either side, and reset, clear a side", ~cleared | ~Cat(kept, stored).any())
            checks.forward("and drop its line", ~cleared | ~irq)
            checks.cover("the far side's MUR clears a side that has enabled something", way.done & masks.any())
            checks.cover("TE raises the line", irq & ~near.murie)


_ALL = {
    "words": (
        _Channels,
        ("word_a", "word_b"),
        "a word written and not read is with the reader, once, and nothing else is",
    ),
    "requests": (_Channels, ("request_a", "request_b"), "the same of general purpose requests"),
    "lines": (_Lines, (), "what raises each line and lets it fall; masks; MUR clears both sides"),
}

PROOFS = [
    Proof(
        f"mu_async.{subject}.{layout}",
        f"two clocks: {summary}",
        partial(bench, layout, kinds),
        cover_depth=8 if subject == "lines" else 20,
        mutant_depth=8,
    )
    for subject, (bench, kinds, summary) in _ALL.items()
    for layout in LAYOUTS
]
