"""Beats of completions on their way to the hard block."""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from epbell.pcie import usp

__all__ = [
    "LARGEST",
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


LARGEST = 1024 // 4
"""Dwords of the largest payload that the hard block can be set to."""

_DESCRIPTOR = 3
_SPARE = 3  # beats that come while the first of a packet leaves


class CompletionSender(wiring.Component):
    """Lays the descriptor over a beat's data and sends it on the CC stream of the UltraScale+ hard block (PG213).

    The hard block wants ``tvalid`` to stay until the end of a packet, and nullifies one in which it falls: a packet
    begins when its last beat comes. Then a beat is on the stream in each clock that ``tready`` allows; a packet of one
    beat in the clock after it came, a longer one in the clock of its last beat. There is room for a packet of the
    largest payload and for the beats that come while it leaves.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.
    largest : int
        Dwords of the largest payload, 1 or more; by default the largest that the hard block can be set to.

    Attributes
    ----------
    valid, beat : In(1), In(beat_layout(width / 32))
        A beat; it is never refused, and comes only after a clock with ``room`` (asserted).
    ram_data : In
        ``width / 32`` dwords from the RAM.
    room : Out(1)
        A beat may come in the next cycle.
    empty : Out(1)
        Nothing is left to send.
    cc : Out(usp.CompleterCompletion(width))
        The stream.

    Raises
    ------
    ValueError
        If `width` is none of those, or there is no payload.
    """

    valid: Any
    beat: Any
    ram_data: Any
    room: Any
    empty: Any
    cc: Any

    def __init__(self, width: int, largest: int = LARGEST) -> None:
        if largest < 1:
            raise ValueError(f"The largest payload must have 1 dword or more, not {largest!r}")
        self._width, self._largest = usp.check_width(width), largest
        self._lanes = width // 32
        super().__init__({
            "valid": In(1),
            "beat": In(beat_layout(self._lanes)),
            "ram_data": In(data.ArrayLayout(32, self._lanes)),
            "room": Out(1),
            "empty": Out(1),
            "cc": Out(usp.CompleterCompletion(width)),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the beats until their packet is whole."""
        m: Any = Module()
        cc = self.cc
        layout = data.StructLayout(
            {"tdata": self._width, "count": range(self._lanes + 1), "first": 1, "last": 1}
        )
        depth = -(-(_DESCRIPTOR + self._largest) // self._lanes) + _SPARE
        m.submodules.kept = kept = SyncFIFO(width=layout.size, depth=depth)
        come: Any = Signal(layout)
        shown: Any = Signal(layout)
        whole: Any = Signal(range(depth + 1))  # packets of which the last beat is kept
        comes_whole = self.valid & come.last
        sent = cc.tvalid & cc.tready
        m.d.comb += [
            kept.w_en.eq(self.valid),
            kept.w_data.eq(come.as_value()),
            kept.r_en.eq(sent),
            shown.as_value().eq(kept.r_data),
            self.room.eq(kept.level < depth - 1),
            self.empty.eq(~kept.r_rdy & ~self.valid),
            cc.tvalid.eq(kept.r_rdy & (whole.any() | comes_whole)),
        ]
        m.d.sync += whole.eq(whole + comes_whole - (sent & shown.last))
        m.d.sync += Assert(~self.valid | kept.w_rdy, "a completion's beat comes without room for it")
        self._assemble(m, come)
        self._show(m, shown)
        return m

    def _show(self, m: Any, shown: Any) -> None:
        """Put a beat on the stream."""
        cc = self.cc
        last_lane: Any = Signal(4)
        m.d.comb += [
            cc.tdata.eq(shown.tdata),
            cc.tlast.eq(shown.last),
            last_lane.eq(shown.count - 1),
            cc.tuser.eq(usp.completion_user(self._width, sop=shown.first, eop=shown.last, last_lane=last_lane)),
        ]
        for lane in range(self._lanes):
            m.d.comb += cc.tkeep[lane].eq(lane < shown.count)

    def _assemble(self, m: Any, come: Any) -> None:
        """Choose every dword's source: descriptor, RAM or registers."""
        beat = self.beat
        m.d.comb += [come.count.eq(beat.count), come.first.eq(beat.first), come.last.eq(beat.last)]
        for lane in range(self._lanes):
            word = Mux(beat.from_ram, self.ram_data[lane], beat.words[lane])
            for position, flag in ((lane, beat.first), (lane + self._lanes, beat.second)):
                if position < _DESCRIPTOR:
                    word = Mux(flag, beat.descriptor.word_select(position, 32), word)
            m.d.comb += come.tdata.word_select(lane, 32).eq(word)
