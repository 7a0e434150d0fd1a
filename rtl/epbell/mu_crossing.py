"""What the two sides of a Messaging Unit tell each other when each has its own clock.

Every event crosses exactly once; own flags clear at once and only the far *set* lags; the word in RRn is stable before
RFn is 1. The hand-shakes are those of :mod:`epbell.cdc`: a channel for each word, each general purpose request, and the
flags.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from epbell.cdc import Receiver, Restart, Sender
from epbell.mu_side import MuSide

__all__ = [
    "Crossing",
    "ResetRequest",
]


class ResetRequest(wiring.Component):
    """One end of the crossing of MUR, in the domain ``sync``; the other end is the same.

    It has no reset itself: a request that was made is carried out, whatever happens to either ``rst``.

    Attributes
    ----------
    request : In(1)
        MUR is being written.
    pending : Out(1)
        The other end has not carried out a request of this one; combinational from ``request``.
    by_far : Out(1)
        One clock: the other end asks.
    toggle, seen, far_toggle, far_seen : Out(1), Out(1), In(1), In(1)
        Between the ends; what comes in is synchronised here.
    """

    request: Any
    pending: Any
    by_far: Any
    toggle: Any
    seen: Any
    far_toggle: Any
    far_seen: Any

    def __init__(self) -> None:
        inputs = dict.fromkeys(("request", "far_toggle", "far_seen"), In(1))
        super().__init__({**inputs, **dict.fromkeys(("pending", "by_far", "toggle", "seen"), Out(1))})

    def elaborate(self, platform: object) -> Module:
        """Build one end."""
        m: Any = Module()
        far_toggle, far_seen = Signal(), Signal()
        m.submodules.far_toggle = FFSynchronizer(self.far_toggle, far_toggle)
        m.submodules.far_seen = FFSynchronizer(self.far_seen, far_seen)
        toggle, seen, again = Signal(reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        under_way = Signal()
        m.d.comb += [
            under_way.eq(toggle != far_seen),
            self.pending.eq(self.request | under_way | again),
            self.by_far.eq(far_toggle != seen),
            self.toggle.eq(toggle),
            self.seen.eq(seen),
        ]
        # A request during another one must reach what the far side has written since: it crosses as well.
        with m.If((self.request | again) & ~under_way):
            m.d.sync += [toggle.eq(~toggle), again.eq(0)]
        with m.Elif(self.request):
            m.d.sync += again.eq(1)
        m.d.sync += seen.eq(far_toggle)
        return m


class Crossing(wiring.Component):
    """All that crosses between side A, in the domain ``a``, and side B, in ``b``.

    Parameters
    ----------
    a, b : MuSide
        The sides. They become submodules of this component, each in its domain, and their inputs are driven here.

    Attributes
    ----------
    rung, superseded : Out(4)
        Events of the words from B to A, in ``b``: see ``epbell.mu.BellEvents``.
    merged, delivered : Out(4)
        The same, in ``a``.
    """

    rung: Any
    superseded: Any
    merged: Any
    delivered: Any

    def __init__(self, a: MuSide, b: MuSide) -> None:
        self._sides = {"a": a, "b": b}
        super().__init__(dict.fromkeys(("rung", "superseded", "merged", "delivered"), Out(4)))

    def elaborate(self, platform: object) -> Module:
        """Build both directions, the restart of the link, and the crossing of MUR."""
        m: Any = Module()
        for domain, side in self._sides.items():
            m.submodules[f"side_{domain}"] = DomainRenamer(domain)(side)
        resets = self._pair(m, "mur", ResetRequest)
        restarts = self._pair(m, "restart", Restart)
        _connect(m, restarts, "far_down", "down")
        _connect(m, restarts, "far_ack", "ack")
        _connect(m, resets, "far_toggle", "toggle")
        _connect(m, resets, "far_seen", "seen")
        for domain, side in self._sides.items():
            self._connect_resets(m, domain, side, resets[domain], restarts[domain])
        a_busy, b_unanswered = self._connect_direction(m, "a", "b", restarts)
        b_busy, a_unanswered = self._connect_direction(m, "b", "a", restarts)
        m.d.comb += [
            self._sides["a"].event_pending.eq(a_busy | a_unanswered),
            self._sides["b"].event_pending.eq(b_busy | b_unanswered),
        ]
        return m

    def _connect_resets(self, m: Any, domain: str, side: MuSide, mur: ResetRequest, restart: Restart) -> None:
        by_far_before = Signal()
        m.d[domain] += by_far_before.eq(mur.by_far)
        m.d.comb += [
            mur.request.eq(side.mur),
            side.reset.eq(side.mur | mur.by_far),
            # After the reset that comes with it, which clears MURIP.
            side.mur_by_far.eq(by_far_before),
            # MUR throws words away on both sides, so nothing may arrive until both have done it.
            restart.request.eq(side.reset),
            restart.hold.eq(mur.pending),
            side.in_reset.eq(~restart.up),
        ]

    def _connect_direction(self, m: Any, source: str, target: str, restarts: dict[str, Restart]) -> tuple[Any, Any]:
        """Build the channels of one direction.

        Return whether an event of ``source`` is under way, and whether an answer of ``target`` is.
        """
        near, far = self._sides[source], self._sides[target]
        channels = [
            self._channel(m, f"{kind}_{source}{n}", 32 if kind == "word" else 0, source, target, restarts)
            for kind in ("word", "request")
            for n in range(4)
        ]
        for n, (sender, receiver) in enumerate(channels[:4]):
            m.d.comb += [
                sender.write.eq(near.ring[n]),
                sender.word.eq(getattr(near, f"ring_word{n}")),
                near.transmit_empty[n].eq(~sender.full),
                getattr(far, f"receive_word{n}").eq(receiver.word),
                far.receive_full[n].eq(receiver.full),
                receiver.take.eq(far.take[n]),
            ]
            if source == "b":
                self._connect_events(m, n, sender, receiver)
        for n, (sender, receiver) in enumerate(channels[4:]):
            m.d.comb += [
                sender.write.eq(near.request[n]),
                near.request_done[n].eq(sender.emptied),
                far.pending_set[n].eq(receiver.arrived),
                receiver.take.eq(far.acknowledge[n]),
            ]
        flags = self._connect_flags(m, source, target, restarts)
        busy: Any = Cat(*(sender.busy for sender, _ in channels), flags)
        unanswered: Any = Cat(*(receiver.busy for _, receiver in channels))
        return busy.any(), unanswered.any()

    def _connect_flags(self, m: Any, source: str, target: str, restarts: dict[str, Restart]) -> Any:
        near, far = self._sides[source], self._sides[target]
        sender, receiver = self._channel(m, f"flags_{source}", 3, source, target, restarts)
        sent = Signal(3, name=f"flags_{source}_sent")
        m.d[source] += sent.eq(near.flags)
        m.d.comb += [
            # Nobody takes the flags: they stay unread, and so cross again after a restart, which the clear is for when
            # they are new.
            sender.write.eq((near.flags != sent) | restarts[source].clear),
            sender.word.eq(near.flags),
            far.far_flags.eq(receiver.word),
            near.flags_pending.eq(sender.busy | (near.flags != sent)),
        ]
        return near.flags_pending

    def _connect_events(self, m: Any, n: int, sender: Sender, receiver: Receiver) -> None:
        m.d.comb += [
            self.rung[n].eq(sender.write & ~sender.reset),
            self.superseded[n].eq(sender.superseded),
            self.merged[n].eq(receiver.full & ~receiver.take & (receiver.arrived | receiver.reset)),
            self.delivered[n].eq(receiver.full & receiver.take),
        ]

    def _channel(
        self, m: Any, name: str, width: int, source: str, target: str, restarts: dict[str, Restart]
    ) -> tuple[Sender, Receiver]:
        sender, receiver = Sender(width), Receiver(width)
        m.submodules[f"{name}_sender"] = DomainRenamer(source)(sender)
        m.submodules[f"{name}_receiver"] = DomainRenamer(target)(receiver)
        for end, domain in ((sender, source), (receiver, target)):
            m.d.comb += [
                end.reset.eq(self._sides[domain].reset),
                end.up.eq(restarts[domain].up),
                end.clear.eq(restarts[domain].clear),
            ]
        m.d.comb += [receiver.toggle.eq(sender.toggle), receiver.echo.eq(sender.echo)]
        m.d.comb += [sender.seen.eq(receiver.seen), sender.taken.eq(receiver.taken)]
        if width:
            m.d.comb += receiver.payload.eq(sender.payload)
        return sender, receiver

    @staticmethod
    def _pair(m: Any, name: str, kind: Any) -> dict[str, Any]:
        ends = {domain: kind() for domain in "ab"}
        for domain, end in ends.items():
            m.submodules[f"{name}_{domain}"] = DomainRenamer(domain)(end)
        return ends


def _connect(m: Any, ends: dict[str, Any], into: str, out: str) -> None:
    """Drive one port of each end of a pair from a port of the other."""
    m.d.comb += [
        getattr(ends["a"], into).eq(getattr(ends["b"], out)),
        getattr(ends["b"], into).eq(getattr(ends["a"], out)),
    ]
