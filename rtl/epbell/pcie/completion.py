"""Beats of completions on their way to the hard block."""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from epbell.pcie import usp
from epbell.ram import READ_CLOCKS

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
    first, last : 1
        Which beat of its packet it is.
    count : range(lanes + 1)
        Valid dwords, 1 or more.
    from_ram : lanes
        Lanes of which the dword comes from the RAM in this very cycle, and not from ``words``.
    words : array of dwords
        Descriptor and data out of registers.
    """
    return data.StructLayout({
        "first": 1,
        "last": 1,
        "count": range(lanes + 1),
        "from_ram": lanes,
        "words": data.ArrayLayout(32, lanes),
    })


LARGEST = 1024 // 4
"""Dwords of the largest payload that the hard block can be set to."""

_DESCRIPTOR = 3

_ON_THE_WAY = READ_CLOCKS + 1
"""Beats that may still come when there is no room any more: those that were asked of the RAM before that was seen."""


class CompletionSender(wiring.Component):
    """Keeps the beats of each completion and sends it on the CC stream of the UltraScale+ hard block (PG213).

    The hard block wants ``tvalid`` to stay until the end of a packet, and nullifies one in which it falls: a packet
    begins when its last beat has come. Then a beat is on the stream in each clock that ``tready`` allows. There is room
    for a packet of the largest payload and for the beats that come while it leaves. A beat that comes in clock 0 is
    written into a memory at the end of it, comes out of that in clock 2, is in the head, a register, in clock 3, and on
    the stream, out of flip-flops, in clock 4 if its packet is whole and nothing is before it.

    Parameters
    ----------
    width : int
        Width of the stream in bits: 64, 128, 256 or 512.
    largest : int
        Dwords of the largest payload, 1 or more; by default the largest that the hard block can be set to.

    Attributes
    ----------
    valid, beat : In(1), In(beat_layout(width / 32))
        A beat; it is never refused, and comes only `epbell.ram.READ_CLOCKS` clocks after one with ``room`` (asserted).
    ram_data : In
        ``width / 32`` dwords from the RAM.
    room : Out(1)
        A beat may come `epbell.ram.READ_CLOCKS` clocks later.
    room_next : Out(1)
        ``room`` of the next clock.
    empty : Out(1)
        Nothing was left to send in the clock before, and nothing came.
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
    room_next: Any
    empty: Any
    cc: Any

    def __init__(self, width: int, largest: int = LARGEST) -> None:
        if largest < 1:
            raise ValueError(f"The largest payload must have 1 dword or more, not {largest!r}")
        self._width, self._largest = usp.check_width(width), largest
        self._lanes = width // 32
        self._layout = data.StructLayout({"tdata": width, "tkeep": self._lanes, "tlast": 1, "first": 1, "last_lane": 4})
        super().__init__({
            "valid": In(1),
            "beat": In(beat_layout(self._lanes)),
            "ram_data": In(data.ArrayLayout(32, self._lanes)),
            "room": Out(1, init=1),
            "room_next": Out(1),
            "empty": Out(1, init=1),
            "cc": Out(usp.CompleterCompletion(width)),
        })

    def elaborate(self, platform: object) -> Module:
        """Keep the beats until their packet is whole."""
        m: Any = Module()
        cc, layout = self.cc, self._layout
        # Of the largest packet, one of the next, and one that left in the clock before, which is still counted.
        beats = -(-(_DESCRIPTOR + self._largest) // self._lanes) + 2
        places = beats + _ON_THE_WAY
        come: Any = Signal(layout)
        shown: Any = Signal(layout, reset_less=True)
        may: Any = Signal()  # what is in the head may go
        goes: Any = Signal()  # out of the head to the stream
        level, waits, head = self._keep(m, places, come, may)
        free = ~cc.tvalid | cc.tready
        # The same for what decides, since that enables all of the beat.
        spare: Any = Signal(init=1)
        clear = spare | cc.tready
        m.d.comb += [
            may.eq(self._is_whole(m, places, come, goes & head.tlast) & clear),
            goes.eq(waits & may),
            self.room_next.eq(level < beats),
            *(getattr(cc, name).eq(shown[name]) for name in ("tdata", "tkeep", "tlast")),
            cc.tuser.eq(usp.completion_user(self._width, sop=shown.first, eop=shown.tlast, last_lane=shown.last_lane)),
        ]
        with m.If(free):
            m.d.sync += [shown.eq(head), cc.tvalid.eq(goes)]
        with m.If(clear):
            m.d.sync += spare.eq(~goes)
        m.d.sync += [
            self.room.eq(self.room_next),
            Assert(~self.valid | (level < places), "a completion's beat comes without room for it"),
        ]
        self._assemble(m, come)
        return m

    def _keep(self, m: Any, places: int, come: Any, may: Any) -> tuple[Any, Any, Any]:
        """Keep the beats in a memory behind which there are two registers, its own and the head.

        Returns
        -------
        tuple
            How many beats are in the memory with one that left it in the clock before, "there is one in the head", the
            head.
        """
        depth = 1 << ceil_log2(places)
        # No beat is read in the clock in which it is written.
        m.submodules.kept = kept = Memory(shape=come.shape().size, depth=depth, init=[], attrs={"no_rw_check": 1})
        write: Any = kept.write_port()
        read: Any = kept.read_port()
        level: Any = Signal(range(places + 1))  # in the memory, with one that left it in the clock before
        left: Any = Signal()  # one did
        stored: Any = Signal()  # there is one in the memory
        head: Any = Signal(come.shape(), reset_less=True)
        has_read: Any = Signal()
        has_head: Any = Signal()
        reads: Any = Signal()
        m.d.comb += [
            write.en.eq(self.valid),
            write.data.eq(come),
            read.en.eq(~has_read | ~has_head | may),
            reads.eq(read.en & stored),
        ]
        with m.If(self.valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(reads):
            m.d.sync += read.addr.eq(read.addr + 1)
        m.d.sync += [
            left.eq(reads),
            level.eq(level + self.valid - left),
            stored.eq(self.valid | Mux(reads, _another(level, left), stored)),
            self.empty.eq(~(self.valid | stored | has_read | has_head | (self.cc.tvalid & ~self.cc.tready))),
        ]
        with m.If(read.en):
            m.d.sync += has_read.eq(stored)
        with m.If(~has_head | may):
            m.d.sync += [head.as_value().eq(read.data), has_head.eq(has_read)]
        return level, has_head, head

    def _is_whole(self, m: Any, places: int, come: Any, ends: Any) -> Any:
        """Return "the oldest packet's beats are in the head, or follow without a gap", until the last of them goes."""
        number: Any = Signal(range(places + 4), name="whole")  # such packets, with one that ended in the clock before
        ended: Any = Signal(name="whole_ended")  # one did
        some: Any = Signal(name="some_whole")
        comes: Any = Signal()
        read: Any = Signal(name="last_is_read")  # and in the head in the next clock, if nothing is before it
        m.d.sync += [
            read.eq(self.valid & come.tlast),
            comes.eq(read),
            ended.eq(ends),
            number.eq(number + comes - ended),
            some.eq(comes | Mux(ends, _another(number, ended), some)),
        ]
        return some

    def _assemble(self, m: Any, come: Any) -> None:
        """Choose every dword's source, RAM or registers, and say how many they are."""
        beat = self.beat
        m.d.comb += [come.last_lane.eq(beat.count - 1), come.tlast.eq(beat.last), come.first.eq(beat.first)]
        for lane in range(self._lanes):
            word = Mux(beat.from_ram[lane], self.ram_data[lane], beat.words[lane])
            m.d.comb += [come.tdata.word_select(lane, 32).eq(word), come.tkeep[lane].eq(beat.count > lane)]


def _another(number: Any, gone: Any) -> Any:
    """Return "there is another one when one goes now", of a number that still has one if that is `gone`."""
    return number[2:].any() | (number[1] & (number[0] | ~gone))
