"""Proof of the numbers with which the target begins a read: what `reads.series` takes for granted of its requests.

Parser and target as in `completer.packets`, with whatever the windows say. The account keeps the header of each packet
that has ended, where the window sent it, and the maximum payload of the clock before that.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from read_spec import HEAD, REQUEST, bytes_left, first_dwords, lower_address
from way_in import READ, WayIn

from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

_LOCKED = 7


class _Starts(WayIn):
    """Parser and target, beside the request that is offered to the reads."""

    def state(self, m: Any, checks: Checks) -> None:
        """State what is offered with a request."""
        seen = self.seen
        layout = data.StructLayout({"there": 1, "ended": 1, "sound": 1, "kind": 4, "was": REQUEST, "where": 64})
        said: Any = Signal(layout, name="said")
        was = said.was
        m.d.comb += [
            said.there.eq(self.parser.valid),
            said.ended.eq(seen.last),
            said.sound.eq(seen.known & ~seen.withdrawn & ~seen.wrong),
            said.kind.eq(seen.header[75:79]),
            was.dwords.eq(seen.header[64:75]),
            was.first_be.eq(seen.enables[:4]),
            was.last_be.eq(seen.enables[4:]),
            was.address.eq(seen.header[2:64]),
            was.dword.eq(self.local[2:16]),
            was.payload.eq(checks.past(self.max_payload, "payload_ago")),
            was.to.eq(1),
            said.where.eq(self.local),
        ]
        checks.invariant("the payload", self.in_target.within("decoder").signal("limit") == _reach(was.payload))
        account = self.follow(said, "said")
        for one, action in self.entries(account):
            asked: Any = Signal.like(action.request, name="asked")
            m.d.comb += asked.eq(action.request)
            with m.If(action.fetches):
                m.d.comb += asked.either.fetch.eq(action.fetch)
            self._numbers(checks, one, asked, checks.invariant)
            checks.invariant("what is offered", ~(one.there & action.read) | one.ended)
            checks.invariant("a read is no write", ~one.there | ~(action.read & (action.ram | action.page)))
            checks.invariant("of a page", ~one.there | action.page | ~(action.begins | action.more | action.waits))
        now, target = account.now, self.target
        inside = self.in_target
        checks.invariant("something is being done", inside.signal("holds") == now.there)
        checks.invariant("what is decoded", self.decoder_valid == account.decoded.there)
        checks.invariant("what is offered", ~target.read_valid | now.there & now.ended)
        writes = target.ram_valid | target.bus_valid | inside.signal("more") | inside.signal("waits")
        checks.invariant("no write stands beside it", ~(target.read_valid & writes))
        shown: Any = Signal(layout, name="shown")
        m.d.comb += shown.eq(now)
        with m.If(~target.read_valid):
            m.d.comb += shown.there.eq(0)
        read = target.read
        fetches = target.read_valid & (read.ram | read.pages.any())
        checks.backward("only a sound read is begun", ~fetches | now.there & now.ended & now.sound & (now.kind == READ))
        self._numbers(checks, shown, read, checks.forward)
        fetch = read.either.fetch
        checks.cover("a read in more than one completion", fetches & (fetch.rest != 0) & (read.lower[:2] == 3))
        checks.cover("a read of nothing", fetches & (now.was.first_be == 0) & (now.was.dwords == 1))

    def _numbers(self, checks: Checks, said: Any, read: Any, state: Any) -> None:
        """State the numbers of a request, as properties or as invariants."""
        was, kind = said.was, said.kind
        over = said.there & said.ended
        fetches = over & (read.ram | read.pages.any())
        fetch, refused = read.either.fetch, read.either.refused
        one = Const(1, 1)
        state("only a sound read is begun", ~fetches | said.sound & (kind == READ))
        state(
            "a read begins three dwords, the descriptor, before its first dword",
            ~fetches | (fetch.origin == (said.where[2:16] - HEAD)[:14]),
        )
        first = first_dwords(was)
        state(
            "its first completion ends at a multiple of the maximum payload, or with it",
            ~fetches | (fetch.chunk == first),
        )
        state("what is left is for the others", ~fetches | (fetch.rest == (was.dwords - first)[:11]))
        state("its byte count", ~fetches | (read.byte_count == bytes_left(was, one, was.dwords)))
        state("its lower address", ~fetches | (read.lower == lower_address(was, one, was.address)))
        state("its byte enables", ~fetches | (Cat(read.first_be, read.last_be) == Cat(was.first_be, was.last_be)))
        refusals = over & ~(read.ram | read.pages.any()) & said.sound
        memory = (kind == READ) | (kind == _LOCKED)
        state(
            "a refusal says how many bytes were asked, or 4 of what is no memory read",
            ~refusals | (read.byte_count == Mux(memory, bytes_left(was, one, was.dwords), 4)),
        )
        state(
            "and its address and length",
            ~refusals | (Cat(refused.address, refused.length) == Cat(was.address, was.dwords)),
        )


def _reach(code: Any) -> Any:
    """Bits 7:5 of the last dword of a completion: all ones up to the maximum payload."""
    return Cat(code >= 1, code >= 2, code >= 3)


PROOFS = [
    Proof(
        f"completer.starts.{width}",
        "the numbers with which a read begins: first completion, byte count, lower address",
        partial(_Starts, width),
        depth=1,
        cover_depth=13,
        mutant_depth=12,
        wide=True,
    )
    for width in (64,)
]
