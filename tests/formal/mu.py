"""Proofs of the Messaging Unit in one clock, in each layout, through its AXI4-Lite ports, registered and not.

No input is restricted: both managers write and read what they like, when they like, with any strobes; they may even
break the bus's rules. All enables, GIR, flags and MUR are changed by such writes, and ``rst`` may come in any clock.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from bus import state_responses
from mu_spec import Side, join

from epbell import axil
from epbell.mu import LAYOUTS, MuAxil
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

# Clocks for which MURS reads 1; docs/mu.md.
_MUR_CLOCKS = 4


class _Unit(Bench):
    """The unit and what it has to hold."""

    def __init__(self, layout: str, *, registered: bool) -> None:
        self.layout, self.registered = layout, registered
        super().__init__({"a": In(axil.Signature(16)), "b": In(axil.Signature(16))})

    def check(self, m: Any, checks: Checks) -> None:
        self.m, self.checks = m, checks
        m.submodules.dut = self.dut = dut = MuAxil(self.layout, registered=self.registered)
        wiring.connect(m, wiring.flipped(self.a), dut.a_axil)
        wiring.connect(m, wiring.flipped(self.b), dut.b_axil)
        ports = {"a": self.a, "b": self.b}
        self.sides = tuple(Side(m, name, port, self.layout, registered=self.registered) for name, port in ports.items())
        a, b = self.sides
        self.left = join(m, a, b, _MUR_CLOCKS)
        self.busy = self.left != 0
        self.mur = a.mur | b.mur
        self.unit = dut._unit
        self.insides = dict(zip(self.sides, (self.unit._side_a, self.unit._side_b), strict=True))
        if self.registered:
            self.hold_reads(checks)
        self.state(checks)

    def state(self, checks: Checks) -> None:
        raise NotImplementedError

    def both(self) -> tuple[tuple[Side, Side, Any], ...]:
        """Near side, far side and near interrupt line, for each side."""
        a, b = self.sides
        return (a, b, self.dut.a_irq), (b, a, self.dut.b_irq)

    def hold_reads(self, checks: Checks) -> None:
        """State that a read that waits to be made is the one that was asked for."""
        for side in self.sides:
            waits, registers = side.access.waits, self.insides[side]._registers
            checks.invariant("a read waits that was asked for", self.dut._bridges[side.name]._asked == waits)
            for register in registers._registers:
                here = side.access.araddr[2:] == register.address >> 2
                select = registers._decoder.selects[register.name]
                checks.invariant("a read that waits is of what was asked for", ~waits | (select == here))

    def hold_bits(self, checks: Checks) -> None:
        """State that the unit's flags and enables are what they have to be."""
        for near, far, _ in self.both():
            inside = self.insides[near]
            checks.invariant(
                "RFn is what the far side wrote and this one has not read", inside.receive_full == far.unread
            )
            checks.invariant("GIPn is what the far side asked", inside._vector("GIP") == far.asked)
            checks.invariant("GIRn is what this side asked", inside._vector("GIR") == near.asked)
            for kind, enable in near.enables.items():
                checks.invariant("enables are what was written", inside._vector(kind) == enable)
            checks.invariant("MUR does not stay", ~inside._field("MUR").value)
            if near.map.split:
                field = inside._registers.field
                checks.invariant("MURIP comes a clock after the far side's MUR", inside.mur_by_far == near.mur_by_far)
                checks.invariant("MURIP is what the far side did", field("SR", "MURIP").value == near.murip)
                checks.invariant("MURIE is what was written", field("CR", "MURIE").value == near.murie)

    def cover_traffic(self, checks: Checks) -> None:
        """Show that the free inputs can do what the properties are about."""
        a, b = self.sides
        checks.cover(
            "a doorbell raises A's line", self.dut.a_irq & b.unread[0] & a.enables["RIE"][0] & ~a.enables["TIE"].any()
        )
        checks.cover("all four words are unread", b.unread.all())
        checks.cover("ring and read in one clock", b.ring[2] & a.take[2] & b.unread[2])
        checks.cover("ring and MUR in one clock", b.ring[1] & a.mur)
        checks.cover("an unread word is thrown away", a.unread[3] & b.mur)


class _Doorbell(_Unit):
    """Interrupt lines: what raises them, what lets them fall."""

    def state(self, checks: Checks) -> None:
        self.hold_bits(checks)
        for near, far, irq in self.both():
            causes, comes = near.causes(far), Const(0, 4)
            if self.registered:  # a word that is being written holds the line already
                comes = far.ring & ~self.mur.replicate(4)
                causes["RF"] |= comes & near.enables["RIE"]
            enables = [*near.enables.values(), near.murie]
            before = checks.past(Cat(*enables), f"{near.name}_enables_before")
            # A ring whose clock is not MUR's, and has not been followed by a read or a MUR since.
            rang = checks.past(far.ring & ~self.mur.replicate(4), f"{far.name}_rang")
            checks.forward("no doorbell is lost", ~causes["RF"].any() | irq)
            checks.forward("a ring raises the line in the next clock", ~(rang & near.enables["RIE"]).any() | irq)
            checks.forward("the line shows each other cause", ~Cat(*causes.values()).any() | irq)
            unmasked = checks.past(
                near.written("RIE").replicate(4) & near.data("RIE") & ~self.mur.replicate(4), f"{near.name}_unmasked"
            )
            waited = checks.past(far.unread & ~near.take, f"{near.name}_waited")
            checks.forward("a doorbell that rang while masked fires at the unmask", ~(unmasked & waited).any() | irq)
            checks.backward("no doorbell is invented", ~irq | Cat(*causes.values()).any())
            only_words = ~Cat(near.enables["TIE"], near.enables["GIE"], near.murie).any()
            checks.backward(
                "where only RIE is set, the line is a word that was written and not read",
                ~(irq & only_words) | causes["RF"].any(),
            )
            checks.backward("masked, the line never rises", ~irq | Cat(*enables).any())
            was = checks.past(irq, f"{near.name}_irq_before")
            ended = (
                near.take.any()
                | near.ring.any()
                | near.answers.any()
                | self.mur
                | Cat(near.written(kind) for kind in near.enables).any()
            )
            if near.map.split:
                ended |= near.written("MURIP") | near.written("MURIE")
            checks.backward(
                "the line falls only by an access that may end a cause",
                ~was | irq | checks.past(ended, f"{near.name}_ended"),
            )
            started = (
                far.ring.any()
                | far.take.any()
                | far.asks.any()
                | Cat(near.written(kind) for kind in near.enables).any()
            )
            if near.map.split:
                started |= checks.past(far.mur, f"{near.name}_mur_ago") | near.written("MURIE")
            checks.backward(
                "the line rises only by an access that may be a cause",
                was | ~irq | checks.past(started, f"{near.name}_started") | comes.any(),
            )
            whole = far.access.port.wstrb.all()
            sent = Cat(far.accepted(far.map.tr + 4 * n) & whole for n in range(4))
            mur = self.mur if self.registered else checks.past(self.mur, f"{near.name}_mur_then")
            rings = (checks.past(sent, f"{far.name}_sent") & near.enables["RIE"]).any()
            checks.forward("a doorbell raises the line in the clock after its handshake", ~rings | mur | irq)
            checks.cover("a masked doorbell fires at the unmask", (unmasked & waited).any() & ~was & (before == 0))
        self.cover_traffic(checks)


class _Accounts(_Unit):
    """Loss accounting of the words from B to A."""

    def state(self, checks: Checks) -> None:
        a, b = self.sides
        events, mur = self.unit.b_to_a, self.mur.replicate(4)
        full = self.insides[a].receive_full
        checks.invariant("RFn is what the far side wrote and this one has not read", full == b.unread)
        checks.forward("each ring is counted", ~(b.ring & ~mur & ~events.rung).any())
        checks.backward("nothing else is counted as a ring", ~(events.rung & ~(b.ring & ~mur)).any())
        checks.forward(
            "each word that is lost is counted as merged", ~(b.unread & ~a.take & (b.ring | mur) & ~events.merged).any()
        )
        checks.backward(
            "nothing else is counted as merged", ~(events.merged & ~(b.unread & ~a.take & (b.ring | mur))).any()
        )
        checks.forward(
            "each read of an unread word is counted as delivered", ~(b.unread & a.take & ~events.delivered).any()
        )
        checks.backward("nothing else is counted as delivered", ~(events.delivered & ~(b.unread & a.take)).any())
        checks.backward("with one clock nothing is superseded", events.superseded == 0)
        since: Any = Signal(4, name="rung_since_delivery")
        self.m.d.sync += since.eq(since & ~events.delivered | b.ring & ~mur)
        checks.invariant("an unread word was rung after the last delivery", ~(b.unread & ~since).any())
        checks.backward("at most one delivery for each ring", ~(events.delivered & ~since).any())
        for n in range(4):
            rung, gone = Signal(8, name=f"rung{n}"), Signal(8, name=f"gone{n}")
            self.m.d.sync += [rung.eq(rung + events.rung[n]), gone.eq(gone + events.merged[n] + events.delivered[n])]
            checks.forward("rung = merged + delivered + RF, in any clock", rung == (gone + full[n])[:8])
            checks.cover("three rings: one merged, one delivered, one unread", (rung == 3) & (gone == 2) & b.unread[n])
        self.cover_traffic(checks)


class _Registers(_Unit):
    """Every read has the value that the accesses before it left; what is refused changes nothing.

    Where MURS is to be read, the unit's own is taken: what it has to be is another proof's matter, of more clocks.
    """

    def state(self, checks: Checks) -> None:
        self.hold_bits(checks)
        self.hold_words(checks)
        self.hold_order(checks)
        unchanged = self.unchanged(checks)
        ago = checks.past(self.mur, "mur_ago")
        for near, far, _ in self.both():
            port = near.access.port
            wanted: Any = Signal(32, name=f"{near.name}_wanted")
            with self.m.If(near.access.read):
                self.m.d.sync += wanted.eq(near.reading(far, self.insides[near].in_reset))
            answered: Any = Signal(name=f"{near.name}_answered")
            self.m.d.sync += answered.eq(near.access.read | answered & ~port.rready)
            checks.forward(
                "each read gives what the accesses before it left", ~answered | port.rvalid & (port.rdata == wanted)
            )
            checks.invariant("nothing is answered that was not asked", port.rvalid == answered)
            for n in range(4):
                # The plainest form of read after write, beside the one above: a word, then its read, clock by clock.
                word = checks.past(Mux(far.ring[n], far.access.wdata, 0), f"{far.name}_sent{n}")
                wrote = checks.past(far.ring[n] & ~self.mur, f"{far.name}_wrote{n}")
                reads = checks.past(wrote & near.take[n], f"{near.name}_reads{n}")
                checks.forward(
                    "a word is there for a read in the next clock",
                    ~reads | (port.rdata == checks.past(word, f"{far.name}_word_ago{n}")),
                )
            refused = near.access.write & ~near.writable()
            alone = ~(far.access.write | far.access.read | near.access.read | ago)
            checks.backward(
                "a refused write changes nothing", ~checks.past(refused & alone, f"{near.name}_refused") | unchanged
            )
            checks.cover("a refused write while words wait", refused & far.unread.all())
            checks.cover("a word that is not zero is read", answered & (port.rdata == 0x1234_5678))
        self.cover_traffic(checks)

    def hold_words(self, checks: Checks) -> None:
        """State that the words and the rest of the registers are what they have to be."""
        for near, _, _ in self.both():
            inside = self.insides[near]
            for n in range(4):
                checks.invariant("TRn is the word written last", getattr(inside, f"stored_word{n}") == near.words[n])
            checks.invariant("flags are what was written", inside.flags == near.flags)

    def hold_order(self, checks: Checks) -> None:
        """State that a read of a word that is accepted when a write has its answer, at whichever port, comes behind it.

        Only where nobody writes the word from there on until the read is made: what is made first of two accesses that
        are open at once is not said here. Nothing here but the moment of the answer knows when an access is made.
        """
        a, b = self.sides
        reset: Any = self._accepted_mur()
        words: dict[Side, list[Any]] = {
            side: [Signal(32, name=f"{side.name}_accepted{n}") for n in range(4)] for side in (a, b)
        }
        writes = {
            side: [side.accepted(side.map.tr + 4 * n) & side.access.port.wstrb.all() for n in range(4)]
            for side in (a, b)
        }
        for side in (a, b):
            for n, word in enumerate(words[side]):
                # When this has a word, its write is being answered, or was.
                with self.m.If(reset | writes[side][n]):
                    self.m.d.sync += word.eq(Mux(reset, 0, side.access.port.wdata))
                held = Mux(self.mur, 0, Mux(side.ring[n], side.access.wdata, side.words[n]))
                checks.invariant(
                    "what was accepted is there, or about to be",
                    word == (held if self.registered else side.words[n]),
                )
        for near, far, _ in self.both():
            access = near.access
            asked = self._asked_word(near, far, words, writes, access.port.araddr)
            if self.registered:
                wanted, sure = Signal(32, name=f"{near.name}_wanted_word"), Signal(name=f"{near.name}_sure")
                with self.m.If(access.accepts_read):
                    self.m.d.sync += [wanted.eq(asked[0]), sure.eq(asked[1] & ~(asked[2] | reset))]
                waiting = self._asked_word(near, far, words, writes, access.araddr)
                with self.m.Elif(waiting[2] | reset):
                    self.m.d.sync += sure.eq(0)
                checks.invariant("what is asked for stays as it is", ~(sure & access.waits) | (wanted == waiting[0]))
                pending = self._asked_word(near, far, words, {one: one.ring for one in (a, b)}, access.araddr)
                checks.invariant(
                    "nothing is about to change it", ~(sure & access.waits) | waiting[1] & ~(self.mur | pending[2])
                )
            else:
                wanted, sure = asked[0], asked[1]
            due = checks.past(access.read & sure, f"{near.name}_word_due")
            then = checks.past(wanted, f"{near.name}_word_then")
            checks.forward(
                "a word read after the answer of its write is what was written",
                ~due | near.access.port.rvalid & (near.access.port.rdata == then),
            )
            checks.cover("a word is read after the answer of its write", due & (then == 0x5EED_5EED))

    @staticmethod
    def _asked_word(near: Side, far: Side, words: Any, writes: Any, address: Any) -> tuple[Any, Any, Any]:
        """Return the word at an address of TRn or RRn, whether it is one, and whether it is being written."""
        word, found, written = Const(0, 32), Const(0, 1), Const(0, 1)
        for source, base in ((near, near.map.tr), (far, near.map.rr)):
            for n in range(4):
                here = address[2:] == base // 4 + n
                word, found = Mux(here, words[source][n], word), found | here
                written |= here & writes[source][n]
        return word, found, written

    def _accepted_mur(self) -> Any:
        """Whether a MUR is being accepted."""
        found: Any = Const(0, 1)
        for side in self.sides:
            offset, bits = side.map.fields["MUR"]
            found |= side.accepted(offset) & side.access.port.wstrb[bits[0] // 8] & side.access.port.wdata[bits[0]]
        return found

    def unchanged(self, checks: Checks) -> Any:
        """Whether all that both sides hold is what it was a clock ago."""
        parts: list[Any] = []
        for near, _, _ in self.both():
            inside = self.insides[near]
            parts += [inside.receive_full, inside.flags, *(getattr(inside, f"stored_word{n}") for n in range(4))]
            parts += [inside._vector(group) for group in ("GIP", "GIR", "RIE", "TIE", "GIE")]
            if near.map.split:
                parts += [inside._registers.field("SR", "MURIP").value, inside._registers.field("CR", "MURIE").value]
        state: Any = Cat(*parts)
        return state == checks.past(state, "state_before")


class _Reset(_Unit):
    """MUR: whichever side writes it, both sides are as after reset, and it wins over all else."""

    def state(self, checks: Checks) -> None:
        checks.invariant("MURS lasts four clocks at most", self.left <= _MUR_CLOCKS)
        mur = checks.past(self.mur, "mur_ago")
        for near, far, irq in self.both():
            inside = self.insides[near]
            kept = Cat(
                inside.receive_full,
                inside.flags,
                *(inside._vector(kind) for kind in ("GIP", "GIR", "RIE", "TIE", "GIE")),
            )
            words = Cat(getattr(inside, f"stored_word{n}") for n in range(4))
            checks.forward(
                "MUR clears words, flags, requests and enables of both sides, whatever else is written",
                ~mur | ~Cat(kept, words).any(),
            )
            checks.forward("MUR drops both lines", ~mur | ~irq)
            checks.forward("MURS reads 1 for four clocks after a MUR", ~self.busy | inside.in_reset)
            checks.backward("MURS reads 1 at no other time", self.busy | ~inside.in_reset)
            if near.map.split:
                murip = inside._registers.field("SR", "MURIP").value
                soon = checks.past(far.mur, f"{far.name}_mur_ago")
                checks.invariant("MURIP comes a clock after the far side's MUR", inside.mur_by_far == soon)
                rises = checks.past(soon & ~self.mur, f"{near.name}_murip_due")
                before = checks.past(murip, f"{near.name}_murip_before")
                cleared = checks.past(
                    (near.written("MURIP") & near.data("MURIP")) | self.mur, f"{near.name}_murip_cleared"
                )
                checks.forward("the far side's MUR sets MURIP, also in the clock of its clear", ~rises | murip)
                checks.forward("MURIP stays until 1 is written to it, or MUR", ~before | cleared | murip)
                checks.backward("MURIP rises only for the far side's MUR", ~murip | before | rises)
                checks.cover("MURIP is set in the clock of its clear", rises & cleared)
        a, b = self.sides
        checks.cover("both sides write MUR in one clock", a.mur & b.mur)
        checks.cover("a doorbell is rung while MURS reads 1", b.ring.any() & self.busy)
        self.cover_traffic(checks)


class _Ports(_Unit):
    """Both ports answer each request once."""

    def state(self, checks: Checks) -> None:
        for side in self.sides:
            waits = side.access.waits if self.registered else None
            state_responses(self.m, checks, side.access.port, side.name, waits=waits)
        a, b = self.sides
        checks.cover(
            "both sides read and write in one clock", a.access.write & a.access.read & b.access.write & b.access.read
        )


_SUBJECTS = {
    "doorbell": (_Doorbell, "no doorbell lost, none invented; masks; what raises and drops each line"),
    "accounts": (_Accounts, "rung = merged + delivered + RF in any clock; one delivery for each ring"),
    "registers": (_Registers, "each read gives what the accesses before it left; a refused write changes nothing"),
    "reset": (_Reset, "MUR clears both sides and wins over everything; MURS for four clocks; MURIP at the far side"),
    "ports": (_Ports, "each AXI4-Lite request gets exactly one response; ready/valid rules"),
}

# MURS comes from a counter that the bench does not see: it agrees with the bench's own only after some clocks.
_DEPTHS = {"reset": 6}

PROOFS = [
    Proof(
        f"mu.{subject}.{layout}{'' if registered else '.direct'}",
        summary,
        partial(bench, layout, registered=registered),
        depth=_DEPTHS.get(subject, 2),
    )
    for registered in (True, False)
    for subject, (bench, summary) in _SUBJECTS.items()
    for layout in LAYOUTS
]
