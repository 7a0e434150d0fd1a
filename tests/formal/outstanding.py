"""Proof of the tags of reads of host memory: none is used for a new read while its old request may yet be answered.

The hard block is left free but for what it promises: it answers, or gives up, what it has got. Who takes the reads is
left free but for what a reset of the function demands: nothing that was taken before begins to leave any more.
"""

from typing import Any

from amaranth.hdl import Signal
from amaranth.lib.wiring import In
from inside import Inside

from epbell.pcie.outstanding import Outstanding
from epbell.pcie.requester import COMPLETION, Cause
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_TAGS = 2


class _Tags(Bench):
    """Two tags, beside the requests that the hard block has, or may yet get."""

    _INPUTS = ("valid", "address", "refusal", "begins", "begun", "flush", "c_valid", "completion", "d_ready")

    def __init__(self) -> None:
        self.dut = Outstanding(_TAGS, tags=_TAGS, timeout=1)
        super().__init__({
            **{name: In(1) for name in ("valid", "begins", "flush", "c_valid", "d_ready")},
            **{"address": In(32), "refusal": In(Cause), "begun": In(8), "completion": In(COMPLETION)},
        })

    def check(self, m: Any, checks: Checks) -> None:
        inside = Inside(self.dut)
        m.submodules.dut = dut = self.dut
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in self._INPUTS]
        asked: Any = Signal(_TAGS, name="asked")  # the request is on its way, and its end has not been told
        began: Any = Signal(_TAGS, name="began")
        dropped: Any = Signal(_TAGS, name="dropped")  # it will never begin
        takes = self.valid & (self.refusal == Cause.NONE) & dut.available
        flushed = inside.signal("flushed")
        ending = inside.signal("ending")
        checks.assume("a read is taken when there is room, since outbound.py looks", ~self.valid | dut.ready)
        checks.assume(
            "in the clock after one of a reset it is refused, since outbound.py looks",
            ~(self.valid & flushed[0]) | (self.refusal != Cause.NONE),
        )
        for tag in range(_TAGS):
            begins = self.begins & (self.begun == tag)
            ended = self.c_valid & self.completion.ends & (self.completion.tag == tag)
            taken = takes & (dut.tag == tag)
            checks.assume(
                "what begins has been asked for, since it comes out of the queue",
                ~begins | (asked[tag] & ~began[tag] & ~dropped[tag]),
            )
            checks.assume("what ends has begun, since the hard block knows", ~ended | (asked[tag] & began[tag]))
            m.d.sync += [
                asked[tag].eq(taken | (asked[tag] & ~ended)),
                began[tag].eq((began[tag] & ~taken) | begins),
                # In the first clock of a reset something may still begin.
                dropped[tag].eq(
                    (dropped[tag] & ~taken) | (self.flush & (taken | (asked[tag] & ~began[tag] & ~begins)))
                ),
            ]
        checks.assume("there are no other tags", ~self.begins | (self.begun < _TAGS))
        open_ = asked & ~dropped
        checks.backward(
            "a tag that is handed out is of no request that may yet be answered",
            ~(dut.available & (open_.bit_select(dut.tag[:1], 1))),
        )
        checks.forward("a read that may be sent has a tag, or all are lost", ~takes | (dut.tag < _TAGS))
        self._inside(checks, inside, asked, began, dropped, flushed, ending)
        lost = inside.signal("tags_lost")
        checks.cover("a tag is lost and comes back", checks.past(lost[0] & ~asked[0], "was_lost") & ~lost[0])
        checks.cover("every tag is lost", lost.all())
        checks.cover("a read fails in a reset, and leaves a tag behind", ending & lost.any() & dut.d_valid)
        checks.cover("another one does not", dropped[0] & dut.available & (dut.tag == 0) & ~self.flush)

    def _inside(
        self, checks: Checks, inside: Inside, asked: Any, began: Any, dropped: Any, flushed: Any, ending: Any
    ) -> None:
        of = {
            name: inside.signal(f"tags_{name}") for name in ("waiting", "done", "lost", "left", "next", "hit", "begun")
        }
        comes = of["next"] & inside.signal("took").replicate(_TAGS)  # a tag that is about to be waiting
        taken = of["waiting"] | of["done"] | of["lost"] | comes
        begins, begun = inside.signal("begins"), inside.signal("begun")
        looked, free = inside.signal("looked"), inside.signal("free")
        known = inside.signal("_stays") == ~inside.signal("_gives_up")
        checks.invariant("whether it is given up is known twice", known)
        checks.invariant("one is next", (of["next"] == 1) | (of["next"] == 2))
        checks.invariant(
            "its number is known when it is looked at",
            ~(looked | self.dut.available) | (self.dut.tag == of["next"][1]),
        )
        checks.invariant("what is available is free", ~self.dut.available | ~(taken & of["next"]).any())
        checks.invariant("what was found free is", ~(looked & free) | ~(taken & of["next"]).any())
        checks.invariant("it is looked at only while none is there", ~looked | ~self.dut.available)
        checks.invariant("one that comes was free", ~(comes & (of["waiting"] | of["done"] | of["lost"])).any())
        checks.invariant("while one comes none is available", ~comes.any() | ~(looked | self.dut.available))
        closed = flushed.any() | ending
        checks.invariant("no room between a reset and its end", ~(self.dut.ready & ~flushed[0]) | ~closed)
        for tag in range(_TAGS):
            held = of["waiting"][tag] | of["lost"][tag] | comes[tag]
            checks.invariant("a request has its tag", ~(asked[tag] & ~dropped[tag]) | held & ~of["hit"][tag])
            checks.invariant(
                "what waits and has not ended is asked for", ~of["waiting"][tag] | asked[tag] | of["hit"][tag]
            )
            fresh = asked[tag] & ~began[tag] & ~of["hit"][tag]
            checks.invariant("what comes has just been asked for", ~comes[tag] | fresh)
            checks.invariant("what ends has begun", ~of["hit"][tag] | began[tag])
            checks.invariant("in a reset nothing may begin", ~(closed & asked[tag]) | dropped[tag] | began[tag])
            known = of["left"][tag] | of["begun"][tag] | (begins & (begun == tag))
            checks.invariant("what has begun is known, or about to be", ~(began[tag] & asked[tag]) | known)
            checks.invariant("it has not begun twice", ~dropped[tag] | ~began[tag])
        checks.invariant("what begins is known before reads fail", ~(flushed[1:].any() | ending) | ~begins)
        checks.invariant("and a clock later", ~(flushed[-1] | ending) | ~of["begun"].any())


PROOFS = [
    Proof(
        "outstanding.tags.2",
        "no tag is used for a new read while its old request may yet be answered",
        _Tags,
        depth=1,
        cover_depth=28,
        mutant_depth=22,
    ),
]
