"""What a Messaging Unit has to hold, computed from the accesses at its AXI4-Lite ports alone: see docs/mu.md.

All of it is the prover's own memory; nothing here reads the unit. The tie rules are those of docs/mu.md: what is set
wins over what is cleared in the same clock, and MUR wins over both.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from mu_map import MAPS

__all__ = ["Access", "Side", "join"]


class Access:
    """The accesses through one AXI4-Lite port that are made in this clock.

    A unit that is not registered makes each in the clock in which the port accepts it. A registered one makes a write
    in the clock after that, and a read in the first clock after it in which no answer waits. ``write`` and ``read`` say
    that there is one; ``awaddr``, ``wdata``, ``wstrb`` and ``araddr`` are its.
    """

    def __init__(self, m: Any, name: str, port: Any, *, registered: bool) -> None:
        self.port = port
        self.accepts_write = port.awvalid & port.awready & port.wvalid & port.wready
        self.accepts_read = port.arvalid & port.arready
        # Whether a read has been accepted and not made.
        self.waits: Any = Signal(name=f"{name}_waits")
        if not registered:
            self.write, self.read = self.accepts_write, self.accepts_read
            self.awaddr, self.wdata, self.wstrb, self.araddr = port.awaddr, port.wdata, port.wstrb, port.araddr
            return
        self.write: Any = Signal(name=f"{name}_write")
        self.awaddr: Any = Signal(16, name=f"{name}_awaddr_before")
        self.wdata: Any = Signal(32, name=f"{name}_wdata_before")
        self.wstrb: Any = Signal(4, name=f"{name}_wstrb_before")
        self.araddr: Any = Signal(16, name=f"{name}_araddr_asked")
        self.read = self.waits & (~port.rvalid | port.rready)
        m.d.sync += [
            self.write.eq(self.accepts_write),
            *(getattr(self, f"{line}").eq(getattr(port, line)) for line in ("awaddr", "wdata", "wstrb")),
            self.waits.eq(self.accepts_read | (self.waits & ~self.read)),
        ]
        with m.If(self.accepts_read):
            m.d.sync += self.araddr.eq(port.araddr)

    def writes(self, offset: int) -> Any:
        """A write to the word at `offset` is made, with whatever strobes."""
        return self.write & (self.awaddr[2:] == offset >> 2)

    def reads(self, offset: int) -> Any:
        """A read of the word at `offset` is made."""
        return self.read & (self.araddr[2:] == offset >> 2)


class Side:
    """One side: what it writes in this clock, and what it holds.

    Vectors are in channel order. ``ring`` and ``take`` are the writes of TRn and the reads of RRn in this clock;
    ``words`` and ``unread`` are what this side sent: RRn and RFn of the far side.
    """

    def __init__(self, m: Any, name: str, port: Any, layout: str, *, registered: bool = False) -> None:
        self.name, self.map, self.access = name, MAPS[layout], Access(m, name, port, registered=registered)
        whole = self.access.wstrb == 0xF
        self.ring = self._vector(m, "ring", (self.access.writes(self.map.tr + 4 * n) & whole for n in range(4)))
        self.take = self._vector(m, "take", (self.access.reads(self.map.rr + 4 * n) for n in range(4)))
        self.mur = self._vector(m, "mur", (self._ones("MUR"),))
        self.asks = self._vector(m, "asks", (self._ones("GIR"),))
        self.answers = self._vector(m, "answers", (self._ones("GIP"),))
        self.words = [Signal(32, name=f"{name}_word{n}") for n in range(4)]
        self.unread: Any = Signal(4, name=f"{name}_unread")
        self.asked: Any = Signal(4, name=f"{name}_asked")
        self.enables = {kind: Signal(4, name=f"{name}_{kind.lower()}") for kind in ("RIE", "TIE", "GIE")}
        self.flags: Any = Signal(3, name=f"{name}_flags")
        self.murie: Any = Signal(name=f"{name}_murie")
        self.murip: Any = Signal(name=f"{name}_murip")
        self.mur_by_far: Any = Signal(name=f"{name}_mur_by_far")

    def written(self, kind: str) -> Any:
        """Whether the byte that holds these bits is being written."""
        offset, bits = self.map.fields[kind]
        return self.access.writes(offset) & self.access.wstrb[bits[0] // 8]

    def data(self, kind: str) -> Any:
        """Return these bits of what is being written."""
        return Cat(self.access.wdata[bit] for bit in self.map.fields[kind][1])

    def accepted(self, offset: int) -> Any:
        """Whether the port accepts a write to the word at `offset`, with whatever strobes."""
        return self.access.accepts_write & (self.access.port.awaddr[2:] == offset >> 2)

    def _ones(self, kind: str) -> Any:
        return self.data(kind) & self.written(kind).replicate(len(self.map.fields[kind][1]))

    def _vector(self, m: Any, what: str, parts: Any) -> Any:
        value: Any = Cat(*parts)
        named: Any = Signal(len(value), name=f"{self.name}_{what}")
        m.d.comb += named.eq(value)
        return named

    def causes(self, far: "Side") -> dict[str, Any]:
        """Return what may hold this side's interrupt line, each with its enable: one bit, or one for each channel."""
        found = {
            "RF": far.unread & self.enables["RIE"],
            "TE": ~self.unread & self.enables["TIE"],
            "GIP": far.asked & self.enables["GIE"],
        }
        return found | {"MURIP": self.murip & self.murie}

    def status(self, far: "Side", busy: Any) -> dict[str, Any]:
        """Return what each kind of bit reads as, in channel order."""
        values = {
            "GIP": far.asked,
            "RF": far.unread,
            "TE": ~self.unread,
            "MURS": busy,
            "F in": far.flags,
            "GIR": self.asked,
            "MUR": Const(0, 1),
            "F out": self.flags,
            **self.enables,
        }
        if self.map.split:
            values |= {
                "MURIE": self.murie,
                "MURIP": self.murip,
                "GIRP": far.asked.any(),
                "TEP": self.causes(far)["TE"].any() if "TE" in self.map.fields else Const(0, 1),
                "RFP": far.unread.any(),
            }
        return values

    def reading(self, far: "Side", busy: Any) -> Any:
        """Return what a read at the address of the read has to give."""
        offsets: dict[int, Any] = {offset: Const(ones, 32) for offset, ones in self.map.constants.items()}
        for kind, value in self.status(far, busy).items():
            offset, bits = self.map.fields[kind]
            for channel, bit in enumerate(bits):
                offsets[offset] = offsets.get(offset, Const(0, 32)) | (value[channel] << bit)
        for n in range(4):
            offsets[self.map.tr + 4 * n] = self.words[n]
            offsets[self.map.rr + 4 * n] = far.words[n]
        result: Any = Const(0, 32)
        for offset, word in offsets.items():
            result = Mux(self.access.araddr[2:] == offset >> 2, word[:32], result)
        return result

    def writable(self) -> Any:
        """Whether the write may change anything, by its address and its strobes."""
        strobes, changed = self.access.wstrb, Const(0, 1)
        for kind in ("GIE", "RIE", "TIE", "GIR", "GIP", "MUR", "F out", "MURIE", "MURIP"):
            if kind in self.map.fields:
                offset, bits = self.map.fields[kind]
                changed |= self._here(offset) & strobes[bits[0] // 8]
        for n in range(4):
            changed |= self._here(self.map.tr + 4 * n) & strobes.all()
        return changed

    def _here(self, offset: int) -> Any:
        return self.access.awaddr[2:] == offset >> 2


def join(m: Any, a: Side, b: Side, mur_clocks: int) -> Any:
    """Let both sides remember; return for how many clocks MURS still reads 1."""
    mur: Any = Signal(name="mur")
    left: Any = Signal(range(mur_clocks + 1), name="mur_left")
    m.d.comb += mur.eq(a.mur | b.mur)
    m.d.sync += left.eq(Mux(mur, mur_clocks, Mux(left == 0, 0, left - 1)))
    for near, far in ((a, b), (b, a)):
        reset = ~mur.replicate(4)
        m.d.sync += [
            near.unread.eq((near.unread & ~far.take | near.ring) & reset),
            near.asked.eq((near.asked & ~far.answers | near.asks) & reset),
        ]
        for n in range(4):
            with m.If(mur | near.ring[n]):
                m.d.sync += near.words[n].eq(Mux(mur, 0, near.access.wdata))
        stores = {**near.enables, "F out": near.flags} | ({"MURIE": near.murie} if near.map.split else {})
        for kind, store in stores.items():
            with m.If(mur | near.written(kind)):
                m.d.sync += store.eq(Mux(mur, 0, near.data(kind)))
        if near.map.split:
            kept = near.murip & ~(near.written("MURIP") & near.data("MURIP"))
            m.d.sync += [near.mur_by_far.eq(far.mur), near.murip.eq((kept | near.mur_by_far) & ~mur)]
    return left
