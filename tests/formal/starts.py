"""Proof of the numbers with which the target begins a read: what `reads.series` takes for granted of its requests.

Parser and target as in `completer.packets`, with whatever the windows say. The account keeps the header of the packet
that ended last, and where the window sent it.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from completer import Front
from reads import HEAD, REQUEST, bytes_left, first_dwords, lower_address

from epbell_tb.formal_checks import Checks, Proof

__all__ = ["PROOFS"]

_READ, _LOCKED = 0, 7


class _Starts(Front):
    """Parser and target, beside the request that is offered to the reads."""

    def state(self, m: Any, checks: Checks) -> None:
        """State what is offered with a request."""
        target, header = self.target, self.header
        ends = self.taken & self.tlast
        was: Any = Signal(REQUEST, name="was")
        where: Any = Signal(64, name="where")
        kind: Any = Signal(4, name="was_kind")
        sound: Any = Signal(name="was_sound")
        over: Any = Signal(name="packet_over")
        with m.If(self.ready):
            m.d.sync += over.eq(ends)
        with m.If(ends):
            m.d.sync += [
                was.dwords.eq(self.length),
                was.first_be.eq(self.byte_enables[:4]),
                was.last_be.eq(self.byte_enables[4:]),
                was.address.eq(header[2:64]),
                where.eq(self.local),
                kind.eq(self.kind),
                sound.eq(self.known & ~self.withdrawn & ~self.wrong),
            ]
        # The request as it stands: its place from the window, the maximum payload that is in force now.
        asked: Any = Signal(REQUEST, name="asked")
        m.d.comb += [asked.eq(was), asked.dword.eq(where[2:16]), asked.payload.eq(self.max_payload), asked.to.eq(1)]
        stage: Any = Signal(target.segment.shape(), name="stage_segment")
        inside = self.in_target.signal("stage")
        m.d.comb += stage.eq(inside[: len(stage.as_value())])
        place: Any = inside[len(stage.as_value()) :][:64]
        full, h = self.in_target.signal("full"), stage.header
        checks.invariant("what ended is in the stage", over == (full & stage.final))
        reads = over & sound & (kind == _READ)
        told = Cat(h.length, h.first_be, h.last_be, h.address[2:], h.kind)
        wanted = Cat(was.dwords, was.first_be, was.last_be, was.address, kind)
        plain = stage.known & ~stage.discontinued & ~stage.malformed
        checks.invariant("as it ended", ~over | (plain == sound))
        more = (self.kept_kind >= 12) | self.in_parser.signal("left").any()
        checks.invariant("a packet that goes on, sound so far, has more of it", (self.at < 4) | self.was_wrong | more)
        checks.invariant("with its header", ~(over & sound) | (told == wanted))
        checks.invariant("where the window sent it", ~reads | (place == where))
        read = target.read
        fetches = target.read_valid & (read.ram | read.pages.any())
        fetch, refused = read.either.fetch, read.either.refused
        one = Const(1, 1)
        checks.backward("only a sound read is begun", ~fetches | reads)
        checks.forward(
            "a read begins three dwords, the descriptor, before its first dword",
            ~fetches | (fetch.origin == (where[2:16] - HEAD)[:14]),
        )
        first = first_dwords(asked)
        checks.forward(
            "its first completion ends at a multiple of the maximum payload, or with it",
            ~fetches | (fetch.chunk == first),
        )
        checks.forward("what is left is for the others", ~fetches | (fetch.rest == (was.dwords - first)[:11]))
        checks.forward("its byte count", ~fetches | (read.byte_count == bytes_left(asked, one, was.dwords)))
        checks.forward("its lower address", ~fetches | (read.lower == lower_address(asked, one, where[2:16])))
        checks.forward(
            "its byte enables", ~fetches | (Cat(read.first_be, read.last_be) == Cat(was.first_be, was.last_be))
        )
        refusals = target.read_valid & ~fetches & sound
        memory = (kind == _READ) | (kind == _LOCKED)
        checks.forward(
            "a refusal says how many bytes were asked, or 4 of what is no memory read",
            ~refusals | (read.byte_count == Mux(memory, bytes_left(asked, one, was.dwords), 4)),
        )
        checks.forward(
            "and its address and length",
            ~refusals | (Cat(refused.address, refused.length) == Cat(was.address, was.dwords)),
        )
        checks.cover("a read in more than one completion", fetches & (fetch.rest != 0) & (read.lower[:2] == 3))
        checks.cover("a read of nothing", fetches & (was.first_be == 0) & (was.dwords == 1))


PROOFS = [
    Proof(
        f"completer.starts.{width}",
        "the numbers with which a read begins: first completion, byte count, lower address",
        partial(_Starts, width),
        depth=1,
        wide=True,
    )
    for width in (64,)
]
