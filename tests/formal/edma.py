"""Proofs of the eDMA page: emulated interrupt, interrupts of transfers, loss accounting, and the AXI4-Lite port.

No input is restricted: any access in any clock, with any strobes, beside any pulses of ``ring`` and of the channels.
All masks, enables and the legacy map's viewport are changed by such writes, and ``rst`` may come in any clock. Offsets
and bits are typed in from the public documents, see docs/edma.md.
"""

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from bus import state_responses
from inside import Inside

from epbell import axil, csr
from epbell.edma import Edma, EdmaAxil, EdmaShape
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_CHANNELS = 4
_BASES = {"unroll": 0, "legacy": 0x970, "hdma": 0}
# INT_STATUS, INT_MASK, INT_CLEAR.
_DIRECTIONS = {"wr": (0x4C, 0x54, 0x58), "rd": (0xA0, 0xA8, 0xAC)}
_VIEWPORT, _BANK = 0xFC, 0x100


class _Seen(Edma):
    """The page as it is; shows the latch, for the invariants."""

    def __init__(self, shape: EdmaShape, *, registered: bool) -> None:
        super().__init__(shape, registered=registered)
        self.latch: Any = Signal(name="latch_seen")

    def _emulation(self, m: Any) -> Any:
        latch = super()._emulation(m)
        m.d.comb += self.latch.eq(latch)
        return latch


class _Kind:
    """DONE (STOP) or ABORT of one direction: what has to be remembered, a bit for each channel."""

    def __init__(self, name: str) -> None:
        self.status: Any = Signal(_CHANNELS, name=f"{name}_status")
        self.masked: Any = Signal(_CHANNELS, name=f"{name}_masked")
        self.enabled: Any = Signal(_CHANNELS, name=f"{name}_enabled")
        self.cleared: Any = Signal(_CHANNELS, name=f"{name}_cleared")
        self.event: Any = Signal(_CHANNELS, name=f"{name}_event")

    @property
    def causes(self) -> Any:
        return self.status & ~self.masked & self.enabled


class _Made:
    """The accesses of a registered port, in the clock in which they are made."""

    def __init__(self, m: Any, checks: Checks, port: Any) -> None:
        for name in ("w_en", "w_addr", "w_data", "w_strb"):
            setattr(self, name, checks.past(getattr(port, name), f"{name}_before"))
        # As in the page, a reset forgets nothing of it.
        self.r_addr: Any = Signal(16, reset_less=True, name="r_addr_loaded")
        self.loaded: Any = Signal(reset_less=True, name="loaded")
        with m.If(port.r_load):
            m.d.sync += [self.r_addr.eq(port.r_addr), self.loaded.eq(1)]
        self.r_en: Any = port.r_en & self.loaded
        self.r_data: Any = port.r_data


class _Page(Bench):
    """The page and what it has to hold."""

    def __init__(self, personality: str, *, registered: bool) -> None:
        self.personality, self.registered = personality, registered
        pulses = {f"{way}_{kind}": In(_CHANNELS) for way in _DIRECTIONS for kind in ("done", "abort")}
        self.port = csr.PAGE if registered else csr.Signature(16)
        free = {name: In(member.shape) for name, member in self.port.members.items() if name != "r_data"}
        promise = {"promised": In(1)} if registered else {}
        super().__init__({**free, "ring": In(1), **promise, **pulses})

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        m.submodules.dut = self.dut = dut = _Seen(EdmaShape(self.personality), registered=self.registered)
        self.inside = Inside(dut)
        for name in self.port.members:
            # What is read is no port of the bench: where no property asks for it, storage need not be looked at.
            if name != "r_data":
                m.d.comb += getattr(dut.bus, name).eq(getattr(self, name))
        self.bus: Any = _Made(m, checks, dut.bus) if self.registered else dut.bus
        m.d.comb += dut.ring.eq(self.ring)
        self.kinds: dict[tuple[str, str], _Kind] = {}
        for way in _DIRECTIONS:
            for kind in ("done", "abort"):
                pulse = getattr(self, f"{way}_{kind}")
                m.d.comb += getattr(dut, f"{way}_{kind}").eq(pulse)
                spec = self.kinds[way, kind] = _Kind(f"{way}_{kind}")
                m.d.comb += spec.event.eq(pulse)
                m.d.sync += spec.status.eq(spec.status & ~spec.cleared | spec.event)
        doorbells, clears = (Cat(self.writes(one[at]) for one in _DIRECTIONS.values()).any() for at in (0, 2))
        emulates = Const(int(self.personality != "hdma"), 1)
        self.by_bus = self._named("by_bus", doorbells & emulates)
        self.acks = self._named("acks", clears & emulates)
        self.rings = self._named("rings", self.by_bus | self.ring & emulates)
        self.rang: Any = Signal(name="rang")
        m.d.sync += self.rang.eq(self.rang & ~self.acks | self.rings)
        if self.personality == "hdma":
            self._hdma()
        else:
            self._edma()
        # What a ring raises: where the port is registered in its own clock already, and before if it is promised.
        self.early: Any = Const(0)
        if self.registered:
            m.d.comb += dut.promised.eq(self.promised)
            self.early = self._named("early", self.rings | (self.promised & emulates))
        self.held = self._named("held", self.rang | self.early)
        self.causes = self._named("causes", Cat(kind.causes for kind in self.kinds.values()).any())
        self.hold(checks)
        self.state(checks)
        checks.cover(
            "both directions interrupt", self.kinds["wr", "done"].causes.any() & self.kinds["rd", "abort"].causes.any()
        )

    def state(self, checks: Checks) -> None:
        raise NotImplementedError

    def writes(self, offset: int, byte: int | None = None) -> Any:
        """Some byte, or this one, of the word at `offset` is being written."""
        strobes = self.bus.w_strb.any() if byte is None else self.bus.w_strb[byte]
        return self.bus.w_en & strobes & (self.bus.w_addr[2:] == (_BASES[self.personality] + offset) >> 2)

    def reads(self, offset: int) -> Any:
        """The word at `offset` is being read."""
        return self.bus.r_en & (self.bus.r_addr[2:] == (_BASES[self.personality] + offset) >> 2)

    def _named(self, name: str, value: Any) -> Any:
        signal: Any = Signal(name=name)
        self.m.d.comb += signal.eq(value)
        return signal

    def _edma(self) -> None:
        """DONE in byte 0 and ABORT in byte 2 of three words for each direction; LIE in each channel's CONTROL1."""
        m, data = self.m, self.bus.w_data
        channel, reads = Signal(3, name="viewport"), Signal(name="viewport_reads")
        self.viewport = Cat(channel, reads)
        with m.If(self.writes(_VIEWPORT, 0)):
            m.d.sync += channel.eq(data[:3])
        with m.If(self.writes(_VIEWPORT, 3)):
            m.d.sync += reads.eq(data[31])
        for way, (_, mask, clear) in _DIRECTIONS.items():
            lie: Any = Signal(_CHANNELS, name=f"{way}_lie")
            for n in range(_CHANNELS):
                if self.personality == "legacy":
                    here = self.writes(_BANK, 0) & (channel == n) & (reads == (way == "rd"))
                else:
                    here = self.writes((0x200 if way == "wr" else 0x300) + 0x200 * n, 0)
                with m.If(here):
                    m.d.sync += lie[n].eq(data[3])
            for kind, byte in (("done", 0), ("abort", 2)):
                spec = self.kinds[way, kind]
                bits = data[8 * byte : 8 * byte + _CHANNELS]
                # Masked after reset: kept inverted.
                open_: Any = Signal(_CHANNELS, name=f"{way}_{kind}_open")
                with m.If(self.writes(mask, byte)):
                    m.d.sync += open_.eq(~bits)
                m.d.comb += [
                    spec.masked.eq(~open_),
                    spec.enabled.eq(lie),
                    spec.cleared.eq(bits & self.writes(clear, byte).replicate(_CHANNELS)),
                ]

    def _hdma(self) -> None:
        """Three words for each channel: status, mask and enable, clear."""
        m, data = self.m, self.bus.w_data
        for way in _DIRECTIONS:
            for n in range(_CHANNELS):
                block = 0x200 * n + (0x100 if way == "rd" else 0)
                for kind, bit, enable in (("done", 0, 4), ("abort", 2, 6)):
                    spec = self.kinds[way, kind]
                    masked, enabled = Signal(name=f"{way}{n}_{kind}_mask"), Signal(name=f"{way}{n}_{kind}_en")
                    with m.If(self.writes(block + 0x88, 0)):
                        m.d.sync += [masked.eq(data[bit]), enabled.eq(data[enable])]
                    m.d.comb += [
                        spec.masked[n].eq(masked),
                        spec.enabled[n].eq(enabled),
                        spec.cleared[n].eq(self.writes(block + 0x8C, 0) & data[bit]),
                    ]

    def hold(self, checks: Checks) -> None:
        """State that the page's flip-flops are what they have to be."""
        field = self.dut._registers._block.field
        for way, name in (("wr", "WRITE"), ("rd", "READ")):
            for kind, bit in (("done", "DONE"), ("abort", "ABORT")):
                spec = self.kinds[way, kind]
                if self.personality == "hdma":
                    stop = "STOP" if kind == "done" else bit
                    inside = [
                        Cat(field(f"{name}_CH{n}_{register}", member).value for n in range(_CHANNELS))
                        for register, member in (
                            ("INT_STAT", stop),
                            ("INT_SETUP", f"{stop}_MASK"),
                            ("INT_SETUP", f"LOCAL_{stop}_EN"),
                        )
                    ]
                else:
                    inside = [
                        field(f"{name}_INT_STATUS", bit).value,
                        field(f"{name}_INT_MASK", bit).value,
                        Cat(field(f"{name}_CH{n}_CONTROL1", "LIE").value for n in range(_CHANNELS)),
                    ]
                wanted = (spec.status, spec.masked, spec.enabled)
                agree = Cat(one == two for one, two in zip(inside, wanted, strict=True)).all()
                checks.invariant("status, masks and enables are what they have to be", agree)
            if self.personality != "hdma":
                causes = self.kinds[way, "done"].causes | self.kinds[way, "abort"].causes
                interrupts = self.inside.within("registers").signal(f"{name.lower()}_interrupts")
                checks.invariant("the channels interrupt that have to", interrupts == causes)
        if self.personality == "legacy":
            view = Cat(field("VIEWPORT_SEL", "CHANNEL").value, field("VIEWPORT_SEL", "READ").value)
            checks.invariant("the viewport is what was written", view == self.viewport)
            if self.registered:
                inside = self.inside.within("registers")
                ahead = Cat(inside.signal("channel_ahead"), inside.signal("read_ahead"))
                data = self.bus.w_data
                now = Cat(
                    Mux(self.writes(_VIEWPORT, 0), data[:3], self.viewport[:3]),
                    Mux(self.writes(_VIEWPORT, 3), data[31], self.viewport[3]),
                )
                checks.invariant("an access at the port finds the viewport that is being written", ahead == now)
        if self.personality != "hdma":
            checks.invariant("the latch is a ring that no INT_CLEAR followed", self.dut.latch == self.rang)


class _Doorbell(_Page):
    """The line: what raises it, what lets it fall."""

    def state(self, checks: Checks) -> None:
        irq = self.dut.irq
        was = checks.past(irq, "irq_before")
        rang = checks.past(self.rings, "rings_ago")
        ended = Cat(kind.cleared for kind in self.kinds.values()).any() | self.acks
        muted = self.bus.w_en & ~self.rings
        started = Cat(kind.event for kind in self.kinds.values()).any() | self.rings
        checks.forward("a ring raises the line in the next clock, whatever is masked or cleared beside it", ~rang | irq)
        checks.forward("a ring holds the line until INT_CLEAR is written", ~self.held | irq)
        checks.forward("a transfer that may interrupt holds the line", ~self.causes | irq)
        checks.backward(
            "the line is up for a ring that no INT_CLEAR followed, or a transfer", ~irq | self.held | self.causes
        )
        masked = Cat(kind.masked | ~kind.enabled for kind in self.kinds.values()).all()
        checks.backward("with every transfer masked, the line is a ring", ~(irq & masked) | self.held)
        checks.backward(
            "the line falls only by a clear, a write that masks, or a promise's end",
            ~was | irq | checks.past(ended | muted | (self.early & ~self.rings), "ended"),
        )
        checks.backward(
            "the line rises only by an event, or a write that unmasks",
            was | ~irq | checks.past(started | self.bus.w_en, "started") | self.early,
        )
        if self.personality == "hdma":
            checks.backward("nothing rings an HDMA", ~self.rang)
            checks.backward("no access rings an HDMA, nor does the input", ~self.rings)
        else:
            checks.cover("a ring while all is masked", irq & masked & rang)
            checks.cover("ring and INT_CLEAR in one clock while latched", self.ring & self.acks & self.rang)
            checks.cover("the line falls by INT_CLEAR", was & ~irq & checks.past(self.acks, "acked"))
        checks.cover("the line rises for a transfer", ~was & irq & ~self.rang)


class _Transfers(_Page):
    """DONE and ABORT: set by the channels, cleared by software, shown by INT_STATUS, untouched by rings."""

    def state(self, checks: Checks) -> None:
        if self.registered:
            self._hold_reads(checks)
        for (way, kind), spec in self.kinds.items():
            came = checks.past(spec.event, f"{way}_{kind}_came")
            before = checks.past(spec.status, f"{way}_{kind}_before")
            cleared = checks.past(spec.cleared, f"{way}_{kind}_cleared_ago")
            if self.personality != "hdma":
                rung = checks.past(self.rings & ~self.acks, f"{way}_{kind}_rung")
                checks.backward("a ring sets and clears no status", ~rung | (spec.status == before | came))
            stays = before & ~cleared
            shown = self.shown(way, kind)
            for n in range(_CHANNELS):
                bit, read = shown[n]
                read_new, read_kept, read_none = (
                    self._told(checks, read & each, f"{way}_{kind}{n}_{what}")
                    for what, each in (("new", came[n]), ("kept", stays[n]), ("none", ~(came[n] | stays[n])))
                )
                checks.forward(
                    "an end of a transfer shows in the next clock, also in the clock of its clear", ~read_new | bit
                )
                checks.forward("a status stays until 1 is written to its clear", ~read_kept | bit)
                checks.backward("a status shows only what came and was not cleared", ~read_none | ~bit)
            bit, read = shown[0]
            read_cleared = self._told(checks, read & spec.cleared[0], f"{way}_{kind}_cleared")
            checks.cover("a status is read while its clear is written", read_cleared & bit)

    def _told(self, checks: Checks, value: Any, name: str) -> Any:
        """What is true of a read, in the clock in which its data are there."""
        for clock in range(self.port.read_clocks):
            value = checks.past(value, f"{name}_read{clock}")
        return value

    def _hold_reads(self, checks: Checks) -> None:
        """State that of the registers the one is selected of which the address is that was loaded last."""
        block = self.dut._registers._block
        loaded: Any = Signal(16, reset_less=True, name="block_r_addr_loaded")
        with self.m.If(self.dut.bus.r_load):
            self.m.d.sync += loaded.eq(block.bus.r_addr)
        for register in block._registers:
            select, here = block._decoder.selects[register.name], loaded[2:] == register.address >> 2
            checks.invariant("what is selected was loaded", select == (self.bus.loaded & here))
        words = (_DIRECTIONS[way][0] for way in _DIRECTIONS)
        if self.personality == "hdma":
            words = (0x200 * n + first + 0x84 for first in (0, 0x100) for n in range(_CHANNELS))
        for word in words:
            asked = self.bus.r_addr[2:] == (_BASES[self.personality] + word) >> 2
            checks.invariant(
                "a status is loaded where it is asked for", ~self.bus.loaded | ((loaded[2:] == word >> 2) == asked)
            )

    def shown(self, way: str, kind: str) -> list[tuple[Any, Any]]:
        """For each channel, the bit of what is being read that shows the status, and whether it is being read."""
        data = self.bus.r_data
        if self.personality == "hdma":
            first = 0x100 if way == "rd" else 0
            at = 0 if kind == "done" else 2
            return [(data[at], self.reads(0x200 * n + first + 0x84)) for n in range(_CHANNELS)]
        at = 0 if kind == "done" else 16
        return [(data[at + n], self.reads(_DIRECTIONS[way][0])) for n in range(_CHANNELS)]


class _Accounts(_Page):
    """Loss accounting of the rings."""

    def state(self, checks: Checks) -> None:
        dut = self.dut
        both = self.ring & self.by_bus
        left = self.rang & ~self.acks
        checks.forward("each ring is counted, also two in one clock", dut.rung == self.ring + self.by_bus)
        checks.forward("each ring that finds one before it is merged", dut.merged == Mux(self.rings, both + left, 0))
        checks.forward("INT_CLEAR delivers what is latched", ~(self.rang & self.acks) | dut.delivered)
        checks.backward("nothing else is counted as delivered", ~dut.delivered | self.rang & self.acks)
        since: Any = Signal(name="rung_since_delivery")
        self.m.d.sync += since.eq(since & ~dut.delivered | self.rings)
        checks.invariant("what is latched was rung after the last delivery", ~self.rang | since)
        checks.backward("at most one delivery for the rings before it", ~dut.delivered | since)
        rung, gone = Signal(8, name="rung"), Signal(8, name="gone")
        self.m.d.sync += [rung.eq(rung + dut.rung), gone.eq(gone + dut.merged + dut.delivered)]
        checks.forward("rung = merged + delivered + latch, in any clock", rung == (gone + self.rang)[:8])
        checks.cover("four rings: two merged, one delivered, one latched", (rung == 4) & (gone == 3) & self.rang)


class _Port(Bench):
    """The AXI4-Lite port answers each request once."""

    def __init__(self) -> None:
        super().__init__({"s": In(axil.Signature(16))})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = EdmaAxil()
        wiring.connect(m, wiring.flipped(self.s), dut.s_axil)
        state_responses(m, checks, self.s, "s")


_EMULATING = ("unroll", "legacy")
_SUBJECTS = {
    "doorbell": (
        _Doorbell,
        "a ring holds the line until INT_CLEAR, whatever is masked; nothing else does",
        tuple(_BASES),
    ),
    "transfers": (_Transfers, "DONE and ABORT: set wins over clear, and rings leave them alone", tuple(_BASES)),
    "accounts": (_Accounts, "rung = merged + delivered + latch in any clock, two rings in one clock too", _EMULATING),
}

PROOFS = [
    Proof(
        f"edma.{subject}.{personality}{suffix}",
        summary,
        partial(bench, personality, registered=registered),
        depth=depth,
    )
    for subject, (bench, summary, personalities) in _SUBJECTS.items()
    for personality in personalities
    for registered, suffix, depth in ((False, "", 2), (True, ".page", 3))
    # With the registers of an HDMA it takes the prover too long.
    if not registered or bench is not _Transfers or personality != "hdma"
]
PROOFS.append(Proof("edma.ports.unroll", "each AXI4-Lite request gets exactly one response; ready/valid rules", _Port))
