"""Proofs of what crosses between two clocks of any ratio: each word once, none lost, whatever resets come when."""

from typing import Any

from amaranth.hdl import DomainRenamer, Mux, Signal
from amaranth.lib.wiring import In
from cdc import Link
from cdc_account import Account
from inside import Inside

from epbell.cdc import Receiver, Sender
from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

# Bits of a word; the Messaging Unit has 32, 3 and 0. Nothing depends on it.
_WIDTH = 4


class _Channel(Link):
    """A word from A to B."""

    def __init__(self) -> None:
        super().__init__({"write": In(1), "take": In(1), "word": In(_WIDTH)}, 8)

    def build(self, m: Any) -> None:
        self.sender, self.receiver = sender, receiver = Sender(_WIDTH), Receiver(_WIDTH)
        Inside(sender)
        m.submodules.sender = DomainRenamer("a")(sender)
        m.submodules.receiver = DomainRenamer("b")(receiver)
        for name, end in (("a", sender), ("b", receiver)):
            m.d.comb += [
                end.up.eq(self.ends[name].up),
                end.clear.eq(self.ends[name].clear),
                end.reset.eq(getattr(self, f"reset_{name}")),
            ]
        self.kept: Any = Signal(_WIDTH, name="kept", reset_less=True)
        with m.If(self.write):
            m.d.a += self.kept.eq(self.word)
        m.d.comb += [
            receiver.toggle.eq(sender.toggle),
            receiver.echo.eq(sender.echo),
            sender.seen.eq(receiver.seen),
            sender.taken.eq(receiver.taken),
            receiver.payload.eq(sender.payload),
            sender.write.eq(self.write),
            sender.word.eq(Mux(self.write, self.word, self.kept)),
            receiver.take.eq(self.take),
        ]

    def state_rest(self, checks: Checks) -> None:
        account = Account(self, self.ends, self.sender, self.receiver, stored=self.kept, near="a")
        account.state(checks)
        checks.cover("a word arrives", account.arrives & (self.receiver.payload == 5))
        checks.cover("a word is superseded", account.superseded & account.crossing)
        checks.cover("a word is lost by a reset of the reader", account.lost)
        counts, rung, gone = account.balance
        checks.cover("three rings: one superseded, two under way", counts & (rung == 3) & (gone == 1))


PROOFS = [
    Proof(
        f"cdc.channel.{_WIDTH}",
        "each word crosses once, as it was written, and is never counted as read before it was, whatever resets come",
        _Channel,
        cover_depth=21,
        mutant_depth=17,
    ),
]
