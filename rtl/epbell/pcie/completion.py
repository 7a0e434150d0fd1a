"""Beats of completions on their way to the hard block."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from epbell.pcie import usp

__all__ = [
    "CompletionSender",
    "beat_layout",
]


def beat_layout(lanes: int) -> data.StructLayout:
    """Layout of a beat that has yet to be put together.

    Parameters
    ----------
    lanes : int
        Dwords in one beat.

    Attributes
    ----------
    first, second, last : 1
        Which beat of its packet it is.
    count : range(lanes + 1)
        Valid dwords.
    from_ram : 1
        The data come from the RAM in this very cycle, and not from ``words``.
    descriptor : 96
        The packet's descriptor.
    words : array of dwords
        Data out of registers.
    """
    return data.StructLayout({
        "first": 1,
        "second": 1,
        "last": 1,
        "count": range(lanes + 1),
        "from_ram": 1,
        "descriptor": 96,
        "words": data.ArrayLayout(32, lanes),
    })


class CompletionSender(wiring.Component):
    """Lays the descriptor over a beat's data and sends it on the CC stream of the UltraScale+ hard block (PG213).

    A beat is on the stream in the clock after it came. Two beats fit in, so that neither the reader of the RAM nor the
    stream has to wait for the other in steady flow; ``room`` looks at ``tready`` within the cycle.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.

    Attributes
    ----------
    valid, beat : In(1), In(beat_layout(width / 32))
        A beat; it is never refused.
    ram_data : In
        ``width / 32`` dwords from the RAM.
    room : Out(1)
        A beat may come in the next cycle.
    cc : Out(usp.CompleterCompletion(width))
        The stream.

    Raises
    ------
    ValueError
        If `width` is none of those.
    """

    valid: Any
    beat: Any
    ram_data: Any
    room: Any
    cc: Any

    def __init__(self, width: int) -> None:
        self._width = usp.check_width(width)
        self._lanes = width // 32
        super().__init__({
            "valid": In(1),
            "beat": In(beat_layout(self._lanes)),
            "ram_data": In(data.ArrayLayout(32, self._lanes)),
            "room": Out(1),
            "cc": Out(usp.CompleterCompletion(width)),
        })

    def elaborate(self, platform: object) -> Module:
        """Two registers in a row; the second is the stream's."""
        m: Any = Module()
        cc = self.cc
        layout = data.StructLayout({"tdata": self._width, "tkeep": self._lanes, "tuser": len(cc.tuser), "tlast": 1})
        come: Any = Signal(layout)
        shown: Any = Signal(layout)
        spare: Any = Signal(layout)
        spare_valid: Any = Signal()
        sent = cc.tvalid & cc.tready
        m.d.comb += [
            self.room.eq(~Mux(spare_valid, ~sent | self.valid, cc.tvalid & self.valid & ~sent)),
            cc.tdata.eq(shown.tdata),
            cc.tkeep.eq(shown.tkeep),
            cc.tuser.eq(shown.tuser),
            cc.tlast.eq(shown.tlast),
        ]
        self._assemble(m, come)
        with m.If(sent | ~cc.tvalid):
            m.d.sync += [
                shown.eq(Mux(spare_valid, spare, come)),
                cc.tvalid.eq(spare_valid | self.valid),
                spare.eq(come),
                spare_valid.eq(spare_valid & self.valid),
            ]
        with m.Elif(self.valid):
            m.d.sync += [spare.eq(come), spare_valid.eq(1)]
        return m

    def _assemble(self, m: Any, come: Any) -> None:
        """Choose every dword's source: descriptor, RAM or registers."""
        beat = self.beat
        for lane in range(self._lanes):
            word = Mux(beat.from_ram, self.ram_data[lane], beat.words[lane])
            for position, flag in ((lane, beat.first), (lane + self._lanes, beat.second)):
                if position < 3:
                    word = Mux(flag, beat.descriptor.word_select(position, 32), word)
            m.d.comb += [
                come.tdata.word_select(lane, 32).eq(word),
                come.tkeep[lane].eq(lane < beat.count),
            ]
        last_lane: Any = Signal(4)
        m.d.comb += [
            last_lane.eq(beat.count - 1),
            come.tlast.eq(beat.last),
            come.tuser.eq(usp.completion_user(self._width, sop=beat.first, eop=beat.last, last_lane=last_lane)),
        ]
