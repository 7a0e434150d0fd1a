"""What is to be done about a segment: a write of RAM, writes of a register page, an answer, or nothing but a report."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from epbell.address_map import PAGE_BITS, HostPage
from epbell.csr_register import any_of
from epbell.pcie import tlp
from epbell.pcie.read_layout import DESCRIPTOR, REPEATED, fetch_layout, read_request_layout
from epbell.pcie.request import segment_layout
from epbell.pcie.tlp import RequestType

__all__ = [
    "DECIDES",
    "EVENTS",
    "MAX_REGISTER_WRITE",
    "Decoder",
    "action_layout",
]

MAX_REGISTER_WRITE = 4
"""Dwords of the longest write that may go to a register page."""

EVENTS = ("write_refused", "read_refused", "unsupported", "discontinued", "malformed")
"""What can become of a request besides being done."""

_SENT = ("first_be", "last_be", "at", "tc", "attr", "tag", "requester", "function")
"""What every completion needs of the header."""


def action_layout(lanes: int, place_bits: int, pages: int) -> data.StructLayout:
    """Layout of what is to be done about a segment.

    Parameters
    ----------
    lanes : int
        Dwords in one beat.
    place_bits : int
        Width of ``place``, 14 or more.
    pages : int
        Number of register pages that the host may reach.

    Attributes
    ----------
    ram, page, read : 1
        Write ``data`` to the RAM, or dword after dword to a register page, or answer ``request``. One of them, or none.
    begins, more : 1
        Of what is for a page: write the first dword now; there are dwords behind it.
    waits : 1
        Write none of them until it is known how the request ends.
    pages : pages
        One-hot: the page.
    place : place_bits
        Dword address of the first dword.
    data, strobes : arrays
        What to write; no byte beyond the payload has a strobe.
    bytes : min(lanes, 4)
        Whether a dword has any strobe.
    steps : range(4)
        Dwords for a page, less one.
    final, ends_well : 1
        The request is over with this; it is one of which a payload came before, and good to its end.
    request : read_request_layout(place_bits, pages)
        For the read engine; but for ``fetch``, which is to take its place in it if ``fetches``.
    fetches, fetch : 1, fetch_layout(place_bits)
        The request is to be done, and what is to be read. On its way beside the other, the choice is not late.
    events : EVENTS
        What is to be reported when this is done.
    torn : 1
        One more packet is malformed.
    """
    return data.StructLayout({
        "ram": 1,
        "page": 1,
        "read": 1,
        "begins": 1,
        "more": 1,
        "waits": 1,
        "pages": pages,
        "place": place_bits,
        "data": data.ArrayLayout(32, lanes),
        "strobes": data.ArrayLayout(4, lanes),
        "bytes": min(lanes, MAX_REGISTER_WRITE),
        "steps": range(MAX_REGISTER_WRITE),
        "final": 1,
        "ends_well": 1,
        "request": read_request_layout(place_bits, pages),
        "fetches": 1,
        "fetch": fetch_layout(place_bits),
        "events": data.StructLayout(dict.fromkeys(EVENTS, 1)),
        "torn": 1,
    })


DECIDES = data.StructLayout(dict.fromkeys(("ram", "read", "begins", "more", "waits", "ends_well", "may_wait"), 1))
"""What of an action decides what is done next, and that its page may have to wait."""


class Decoder(wiring.Component):
    """One stage, in each clock: decides by the local address and the header what is to be done about a segment.

    RAM takes writes and reads; a register page takes reads, and writes of at most four dwords. Of a page with
    ``words``, a request for exactly one of them is done and every other one is refused as a whole. Where a request
    goes is decided with the segment that is ``first``; what follows of a write goes behind it.

    Parameters
    ----------
    lanes : int
        Dwords per beat: 2, 4, 8 or 16.
    ram_base, ram_size : int
        Local address and size of the RAM in bytes.
    pages : sequence of HostPage
        Register pages that the host may reach.
    functions : int
        Number of functions; requests for others are refused.

    Attributes
    ----------
    valid, segment : In(1), In(segment_layout(lanes))
        Segments.
    claimed, fits, local : In(1), In(1), In(64)
        What the inbound windows say about the segment's header.
    max_payload : In(2)
        ``cfg_max_payload``. A read is cut by what it was two clocks before its action is there.
    o_valid, action : Out(1), Out(action_layout(...))
        Something is to be done, or to be reported.
    decides : Out(DECIDES)
        What of it decides what is done next: the same once more, out of flip-flops of its own where it comes late.
    """

    valid: Any
    segment: Any
    claimed: Any
    fits: Any
    local: Any
    max_payload: Any
    o_valid: Any
    action: Any
    decides: Any

    def __init__(self, lanes: int, *, ram_base: int, ram_size: int, pages: Sequence[HostPage], functions: int) -> None:
        self._lanes, self._ram_base, self._pages, self._functions = lanes, ram_base, tuple(pages), functions
        self._ram_bits = exact_log2(ram_size)
        self._waiting = sum(page.waits << index for index, page in enumerate(pages))
        super().__init__({
            "valid": In(1),
            "segment": In(segment_layout(lanes)),
            "claimed": In(1),
            "fits": In(1),
            "local": In(64),
            "max_payload": In(2),
            "o_valid": Out(1),
            "decides": Out(DECIDES),
            "action": Out(action_layout(lanes, max(self._ram_bits, PAGE_BITS) - 2, len(self._pages))),
        })

    def elaborate(self, platform: object) -> Module:
        """Decode into flip-flops; what is to be done starts from these."""
        m: Any = Module()
        segment, action = self.segment, self.action
        m.d.sync += self.o_valid.eq(self.valid)
        ram, pages = self._find(m)
        self._walk(m)
        self._strobe(m)
        at_page: Any = Signal()
        write = self._held("write", m, self.valid & segment.write)
        is_long = segment.header.length > MAX_REGISTER_WRITE
        long = self._held("long", m, is_long)
        is_short = self.valid & segment.write & ~is_long
        short = self._held("short_write", m, is_short)
        several = self._held("several", m, is_short & (segment.count > 1))
        m.d.comb += [
            at_page.eq(pages.any()),
            action.pages.eq(pages),
            action.ram.eq(write & ram),
            action.page.eq(short & at_page),
            action.more.eq(several & at_page),
            action.waits.eq(action.page & ~action.final & (self._lanes < MAX_REGISTER_WRITE)),
            action.begins.eq(action.page & action.bytes[0] & ~action.waits),
            action.data.as_value().eq(self._held("words", m, segment.data.as_value())),
            action.steps.eq(self._held("steps", m, (segment.count - 1)[:2])),
            action.final.eq(self._held("final", m, self.valid & segment.final)),
            action.ends_well.eq(self._held("well", m, self.valid & segment.write & segment.final & ~segment.first)),
            action.torn.eq(self._held("torn", m, self.valid & segment.torn)),
        ]
        self._decide(m, write, short, several)
        good = self._report(m, ram, at_page, long)
        self._answer(m, good, ram, pages, at_page)
        return m

    def _decide(self, m: Any, write: Any, short: Any, several: Any) -> None:
        """Say once more what decides, from where the request goes on: the rest is known early, or not far away."""
        action, decides = self.action, self.decides
        ram, pages = self._find(m, "_inverted")
        page = short & pages.any()
        waits = page & ~action.final & (self._lanes < MAX_REGISTER_WRITE)
        m.d.comb += [
            decides.ram.eq(write & ram),
            decides.read.eq(action.read),
            decides.begins.eq(page & action.bytes[0] & ~waits),
            decides.more.eq(several & pages.any()),
            decides.waits.eq(waits),
            decides.ends_well.eq(action.ends_well),
            decides.may_wait.eq((pages & self._waiting).any()),
        ]

    def _held(self, name: str, m: Any, value: Any) -> Any:
        """Return flip-flops of this stage, which take a value of the segment."""
        held: Any = Signal(len(value), name=name, reset_less=True)
        m.d.sync += held.eq(value)
        return held

    def _found(self, name: str, m: Any, value: Any) -> Any:
        """Return a flip-flop of this stage, which takes a value of the segment that is first, or its opposite."""
        inverted = name.endswith("_inverted")
        found: Any = Signal(name=name, reset_less=True, init=inverted)
        with m.If(self.valid & self.segment.first):
            m.d.sync += found.eq(~value if inverted else value)
        return ~found if inverted else found

    def _at(self, m: Any, name: str, bits: int, base: int, here: Any, suffix: str) -> Any:
        """Return "it is here, in what begins at this base and is so many bits wide", out of two flip-flops."""
        lower, upper = (self.local[low:high] == (base & (1 << high) - 1) >> low for low, high in ((bits, 32), (32, 64)))
        return self._found(f"{name}_lower{suffix}", m, here & lower) & self._found(f"{name}_upper{suffix}", m, upper)

    def _find(self, m: Any, suffix: str = "") -> tuple[Any, Any]:
        """Find the RAM, or which page (one-hot); neither when no window claims the request.

        Of an address, halves are compared, and a page's words beside them; this is joined behind the flip-flops, whose
        names have the suffix.
        """
        segment, local = self.segment, self.local
        function, known = segment.header.function, ceil_log2(self._functions)
        here: Any = self.claimed & self.fits & ~function[known:].any() & (function[:known] < self._functions)
        ram: Any = Signal(name=f"ram{suffix}")
        pages: Any = Signal(len(self._pages), name=f"pages{suffix}")
        m.d.comb += ram.eq(self._at(m, "ram", self._ram_bits, self._ram_base, here, suffix))
        for index, page in enumerate(self._pages):
            at = self._at(m, f"page{index}", PAGE_BITS, page.base, here, suffix)
            if page.words is not None:
                word = any_of([local[2:PAGE_BITS] == word >> 2 for word in page.words])
                at &= self._found(f"page{index}_word{suffix}", m, segment.single & word)
            m.d.comb += pages[index].eq(at)
        return ram, pages

    def _walk(self, m: Any) -> None:
        """Keep the place of each segment; it moves on with the payload, within 4 KiB."""
        segment, low = self.segment, slice(0, 10)
        place: Any = Signal(len(self.action.place), reset_less=True)
        behind: Any = Signal(10, reset_less=True)  # place of what follows
        now: Any = Signal(10)
        m.d.comb += [now.eq(Mux(segment.first, self.local[2:12], behind)), self.action.place.eq(place)]
        m.d.sync += place[low].eq(now)
        with m.If(self.valid & segment.first):
            m.d.sync += place[10:].eq(self.local[12 : 2 + len(place)])
        with m.If(self.valid & segment.write):
            m.d.sync += behind.eq(now + segment.count)

    def _strobe(self, m: Any) -> None:
        """Byte strobes of every lane: first and last byte enables at the ends of the payload, none beyond."""
        segment, header = self.segment, self.segment.header
        strobes: list[Any] = []
        for lane in range(self._lanes):
            ends = segment.tail & ~segment.single & (segment.count == lane + 1)
            upper: Any = header.last_be | (~ends).replicate(4)
            lower: Any = header.first_be | (~segment.first).replicate(4) if lane == 0 else Const(15, 4)
            strobes.append(upper & lower & (segment.count > lane).replicate(4))
        some = Cat(strobe.any() for strobe in strobes[:MAX_REGISTER_WRITE])
        m.d.comb += [
            self.action.strobes.as_value().eq(self._held("enables", m, Cat(*strobes))),
            self.action.bytes.eq(self._held("some", m, some)),
        ]

    def _report(self, m: Any, ram: Any, at_page: Any, long: Any) -> Any:
        """Say what becomes of the request that is over; return "it is a sound read of memory"."""
        segment, events = self.segment, self.action.events
        kind = segment.header.kind
        over: Any = self.valid & segment.final
        sound: Any = over & segment.known & ~segment.discontinued & ~segment.malformed
        reads, writes = kind == RequestType.MEM_READ, kind == RequestType.MEM_WRITE
        good, written = self._held("sound_read", m, sound & reads), self._held("sound_write", m, sound & writes)
        m.d.comb += [
            events.discontinued.eq(self._held("discontinued", m, over & segment.discontinued)),
            events.malformed.eq(self._held("malformed", m, over & segment.malformed)),
            events.unsupported.eq(self._held("unsupported", m, sound & ~reads & ~writes)),
            events.read_refused.eq(good & ~ram & ~at_page),
            events.write_refused.eq(written & ~ram & (long | ~at_page)),
        ]
        return good

    def _answer(self, m: Any, good: Any, ram: Any, pages: Any, at_page: Any) -> None:
        """Put together what the read engine is to do about a non-posted request."""
        segment, action, local = self.segment, self.action, self.local
        request, kind = action.request, segment.header.kind
        fetch, refused = action.fetch, request.either.refused
        posted = (kind == RequestType.MEM_WRITE) | kind.as_value()[2:].all()
        answers = self._held("answers", m, self.valid & segment.final & segment.known & ~posted)
        header: Any = Signal(tlp.HEADER, reset_less=True)
        m.d.sync += header.eq(segment.header)
        # Dwords up to the next multiple of the maximum payload (32 to 256): the first completion has no more.
        limit: Any = Signal(3)
        m.d.sync += limit.eq(Cat(self.max_payload != 0, self.max_payload[1], self.max_payload.all()))
        to_end = self._held("to_end", m, ((~local[2:10] & Cat(Const(31, 5), limit)) + 1)[:9])
        origin = self._held("origin", m, (local[2:] - DESCRIPTOR)[: len(action.place)])
        beyond: Any = Signal(12)
        memory: Any = (kind == RequestType.MEM_READ) | (kind == RequestType.MEM_READ_LOCKED)
        beside = tlp.bytes_beside(segment.header, segment.single)
        dwords = self._held("dwords", m, Mux(memory, segment.header.length, 1)[:11])
        aside = self._held("aside", m, beside) & self._held("memory", m, memory).replicate(3)
        lower = Cat(tlp.first_offset(segment.header.first_be), segment.header.address[2:7])
        m.d.comb += [
            action.read.eq(answers),
            request.ram.eq(good & ram),
            request.pages.eq(pages & good.replicate(len(pages))),
            request.byte_count.eq((dwords << 2) - aside),
            request.lower.eq(self._held("lower", m, lower & memory.replicate(7))),
            *(request[name].eq(header[name]) for name in _SENT),
            refused.address.eq(header.address[2:]),
            *(refused[name].eq(header[name]) for name in REPEATED),
            action.fetches.eq(good & (ram | at_page)),
            beyond.eq(header.length - to_end),
            fetch.origin.eq(origin),
            fetch.chunk.eq(Mux(beyond[11], header.length, to_end)),
            fetch.rest.eq(Mux(beyond[11], 0, beyond)),
        ]
