"""The packets of a read: one completion after the other, each known before the one before it is over."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.csr_register import any_of
from epbell.pcie.read_layout import payload_dwords, read_request_layout

__all__ = ["ReadPlan"]


class ReadPlan(wiring.Component):
    """Holds a request and shows its next completion; all of it comes out of flip-flops.

    The first completion is there in the clock after the request has been taken, a later one two clocks after the one
    before it has begun: meanwhile its numbers are computed.

    Parameters
    ----------
    address_width, pages : int
        As of :func:`read_request_layout`.
    one_beat : int
        Data dwords of a completion's first beat.

    Attributes
    ----------
    max_payload : In(2)
        ``cfg_max_payload``.
    i_valid, i_ready, i_data : In(1), Out(1), In(read_request_layout(address_width, pages))
        Requests. ``i_ready`` is a flip-flop: there is none in hand.
    valid : Out(1)
        A completion can begin.
    shown : Out(read_request_layout(address_width, pages))
        The request, ``fetch``, ``byte_count`` and ``lower`` of the completion that can begin. It stays while a refusal
        is being sent.
    refused, opens, final : Out(1)
        It is a refusal; the request's first completion; the last one.
    single, short, wanted : Out(1)
        Of what is no refusal: it has one dword; it has one beat; of its first dword a byte is wanted.
    begins : In(1)
        The completion that is shown begins, in a clock with ``valid``.
    refusal_ends : In(1)
        The last beat of a refusal has been made up.
    """

    max_payload: Any
    i_valid: Any
    i_ready: Any
    i_data: Any
    valid: Any
    shown: Any
    refused: Any
    opens: Any
    final: Any
    single: Any
    short: Any
    wanted: Any
    begins: Any
    refusal_ends: Any

    def __init__(self, address_width: int, pages: int, one_beat: int) -> None:
        self._one_beat = one_beat
        layout = read_request_layout(address_width, pages)
        super().__init__({
            "max_payload": In(2),
            "i_valid": In(1),
            "i_ready": Out(1),
            "i_data": In(layout),
            "valid": Out(1),
            "shown": Out(layout),
            "refused": Out(1),
            "opens": Out(1),
            "final": Out(1),
            "single": Out(1),
            "short": Out(1),
            "wanted": Out(1),
            "begins": In(1),
            "refusal_ends": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the request, and whether it is the queue's turn."""
        m: Any = Module()
        planned: Any = Signal()  # there is a request in hand
        free: Any = Signal(init=1)  # there is none: for the queue, which is far from what that enables here
        settled: Any = Signal()  # what follows has been computed
        shown: Any = Signal(self.i_data.shape(), name="request")
        following: Any = Signal(self.i_data.shape())
        more: Any = self._following(m, shown, following)
        goes_on: Any = planned & ~self.valid & settled & ~self.final
        m.d.comb += [
            self.shown.eq(shown),
            self.i_ready.eq(free),
        ]
        m.d.sync += settled.eq(planned & ~goes_on)
        with m.If(~planned | goes_on):
            given = self.i_data
            refused = ~(given.ram | given.pages.any())
            chunks = following.either.fetch.chunk, given.either.fetch.chunk
            # Of a later completion, all dwords but the request's last one are wanted.
            later = (following.either.fetch.chunk != 1) | more | shown.last_be.any()
            m.d.sync += [
                shown.eq(Mux(planned, following.as_value(), given.as_value())),
                self.opens.eq(~planned),
                self.refused.eq(~planned & refused),
                self.single.eq(Mux(planned, *(chunk == 1 for chunk in chunks))),
                self.short.eq(Mux(planned, *(self._is_short(chunk) for chunk in chunks))),
                self.wanted.eq(Mux(planned, later, given.first_be.any())),
                self.final.eq(Mux(planned, ~more, refused | ~given.either.fetch.rest.any())),
            ]
        with m.If(~planned):
            m.d.sync += [planned.eq(self.i_valid), free.eq(~self.i_valid), self.valid.eq(self.i_valid)]
        with m.Elif(goes_on):
            m.d.sync += self.valid.eq(1)
        with m.Elif(self.begins):
            m.d.sync += [planned.eq(self.refused | ~self.final), free.eq(~self.refused & self.final), self.valid.eq(0)]
        with m.Elif(self.refusal_ends):
            m.d.sync += [planned.eq(0), free.eq(1)]
        return m

    def _is_short(self, chunk: Any) -> Any:
        """Whether so many dwords are one beat: one of a few numbers, which takes no carry."""
        return any_of([chunk == number for number in range(self._one_beat + 1)])

    def _following(self, m: Any, shown: Any, following: Any) -> Any:
        """Compute the rest of the request after this completion, a clock ahead; return "it does not end it".

        It begins on a multiple of the maximum payload.
        """
        limit: Any = Signal(9, name="payload_dwords")
        old, new = shown.either.fetch, following.either.fetch
        limit_then: Any = Signal(9, name="payload_dwords_then")
        origin: Any = Signal(len(old.origin), name="next_origin")
        beyond: Any = Signal(len(old.rest), name="rest_beyond")
        byte_count: Any = Signal(13, name="next_byte_count")
        more: Any = Signal(name="rest_is_long")
        m.d.sync += [
            limit.eq(payload_dwords(self.max_payload)),
            limit_then.eq(limit),
            more.eq(old.rest > limit),
            beyond.eq(old.rest - limit),
            origin.eq(old.origin + old.chunk),
            byte_count.eq(shown.byte_count - (old.chunk << 2) + shown.lower[:2]),
        ]
        m.d.comb += [
            following.eq(shown),
            new.origin.eq(origin),
            new.chunk.eq(Mux(more, limit_then, old.rest)),
            new.rest.eq(Mux(more, beyond, 0)),
            following.byte_count.eq(byte_count),
            following.lower.eq(0),
        ]
        return more
