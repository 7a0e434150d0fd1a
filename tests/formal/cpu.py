"""Proofs of the CPU's way in: its AXI4-Lite port, which decodes the address map, and its turns at the RAM's port.

No input is restricted: whatever the CPU does, and whatever the RAM, the pages and the host's side answer, also where
nothing was asked.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In
from inside import Inside

from epbell import axil, registers
from epbell import ram as memory
from epbell.cpu import CpuPort
from epbell.ram_share import RamShare
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_RAM, _RAM_SIZE = 0x6000_0000, 4096
_PAGES = (0x5D27_0000, 0x5F31_0000)
_APERTURE, _APERTURE_SIZE = 0x7000_0000, 256 << 20
_OKAY, _DECERR = 0, 3
_IDLE, _DECODE, _WAIT, _ASK, _FETCH, _ANSWER = (1 << state for state in range(6))
_ALWAYS, _WITH_ONE = _PAGES[1] + 0x10, _PAGES[1] + 0x24  # registers that raise interrupts


class _Cpu(Bench):
    """The port, beside what the CPU has asked for and not yet got."""

    def __init__(self) -> None:
        members: dict[str, Any] = {"s": In(axil.Signature(32))}
        for way in ("w", "r"):
            members |= {f"{way}_{what}_ready": In(1) for what in ("ram", "page", "host")}
        members |= {"w_host_error": In(2), "r_ram_data": In(32), "r_page_data": In(32), "full": In(2)}
        self.driven = [name for name in members if name != "s"]
        members |= {"d_valid": In(1), "d_data": In(32), "d_error": In(2)}
        super().__init__(members)

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        dut: Any = CpuPort(
            ram_base=_RAM,
            ram_size=_RAM_SIZE,
            pages=_PAGES,
            aperture=_APERTURE,
            aperture_size=_APERTURE_SIZE,
            raises={_ALWAYS: 0, _WITH_ONE: 1 << 9},
        )
        self.dut, self.inside = dut, Inside(dut)
        m.submodules.dut = dut
        wiring.connect(m, wiring.flipped(self.s), dut.axil)
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in self.driven]
        for way in ("w", "r"):
            for what in ("ram", "page"):
                asked, ready = getattr(dut, f"{way}_{what}_valid"), getattr(self, f"{way}_{what}_ready")
                checks.assume(
                    "RAM and pages are ready for who asks, since axil.share and cpu.ram_turns say so", ~ready | asked
                )
        self.state(m, checks)

    def state(self, m: Any, checks: Checks) -> None:
        """State the properties."""
        raise NotImplementedError


def _where(address: Any) -> tuple[Any, Any, Any]:
    """RAM, pages and aperture: which of them an address is in."""
    ram = (address >= _RAM) & (address < _RAM + _RAM_SIZE)
    pages: Any = Cat((address >= base) & (address < base + 0x1_0000) for base in _PAGES)
    return ram, pages, (address >= _APERTURE) & (address < _APERTURE + _APERTURE_SIZE)


class _Writes(_Cpu):
    """Each write is done once, where it belongs, and answered once, afterwards."""

    def state(self, m: Any, checks: Checks) -> None:
        dut, port, inside = self.dut, self.s, self.inside
        taken, given = port.awvalid & port.awready, port.bvalid & port.bready
        decoding: Any = Signal(name="decoding")
        waiting: Any = Signal(name="waiting")
        asked: Any = Signal(name="asked")
        settling: Any = Signal(3, name="settling")  # done, and takes effect
        owed: Any = Signal(name="owed")  # done, not answered
        write: Any = Signal(68, name="write")
        wanted: Any = Signal(2, name="wanted_answer")
        ram, pages, host = _where(write[:32])
        nowhere = ~ram & ~host & ~pages.any()
        raises: Any = Signal(2, name="raises")
        goes: Any = Signal(name="goes")
        done: Any = Signal(name="done")
        read_first = inside.signal("_read_first")
        page_done, ram_done = dut.w_page_valid & self.w_page_ready, dut.w_ram_valid & self.w_ram_ready
        host_done = dut.w_host_valid & self.w_host_ready
        m.d.comb += [
            raises[0].eq(write[2:32] == _ALWAYS >> 2),
            raises[1].eq((write[2:32] == _WITH_ONE >> 2) & write[32 + 9] & write[64 + 1]),
            goes.eq(waiting & ~(raises & self.full).any() & ~(raises.any() & read_first)),
            done.eq(asked & Mux(ram, ram_done, page_done | host_done)),
        ]
        m.d.sync += [
            decoding.eq(taken),
            waiting.eq(decoding | (waiting & ~goes)),
            asked.eq((goes & ~nowhere) | (asked & ~done)),
            settling.eq(Mux(done & pages.any(), 4, settling >> 1)),
            owed.eq((goes & nowhere) | (done & ~pages.any()) | settling[0] | (owed & ~given)),
        ]
        with m.If(taken):
            m.d.sync += write.eq(Cat(port.awaddr, port.wdata, port.wstrb))
        with m.If(goes & nowhere):
            m.d.sync += wanted.eq(_DECERR)
        with m.If(done):
            m.d.sync += wanted.eq(Mux(host, self.w_host_error, _OKAY))
        places = Cat(decoding, waiting, asked, settling, owed)
        checks.invariant("it is in one place", (places & (places - 1)) == 0)
        fresh: Any = Signal(name="done_before")  # in the clock before, and owed
        m.d.sync += fresh.eq(done & ~pages.any())
        checks.invariant("what was done in the clock before is owed", ~fresh | owed & (ram | host))
        asking, fetching, answering = asked | settling[2] | fresh, settling[:2], owed & ~fresh
        states = ((decoding, _DECODE), (waiting, _WAIT), (asking, _ASK), (fetching.any(), _FETCH), (answering, _ANSWER))
        state = inside.signal("w_state")
        for place, name in states:
            checks.invariant("the state is its place", ~place | (state == name))
        checks.invariant("no state without a write", places.any() | (state == _IDLE))
        checks.invariant("it settles", ~fetching.any() | (inside.signal("w_settling") == fetching))
        decoded = Cat(inside.signal("w_ram"), dut.w_pages, inside.signal("w_host"), inside.signal("w_raises"))
        checks.invariant("decoded", ~places[1:].any() | (decoded == Cat(ram, pages, host, raises)))
        checks.invariant("what is asked for is somewhere", ~asked | ~nowhere)
        checks.invariant("the answer is OKAY, if not the host's side's", ~asked | host | (port.bresp == _OKAY))
        here = Mux(nowhere, _DECERR, _OKAY)
        checks.invariant("what is owed of what is not the host's side's", ~owed | host | (wanted == here))
        checks.invariant("what settles is of a page", ~settling.any() | pages.any() & (wanted == _OKAY))
        asks = Cat(dut.w_ram_valid, dut.w_page_valid, dut.w_host_valid)
        checks.forward(
            "a write is asked for in the clock after it may be, and until it is done",
            ~asked | (asks == Cat(ram, pages.any(), host)),
        )
        checks.backward("nothing else is asked for", asked | ~asks.any())
        checks.backward(
            "only what the address is in is asked",
            ~asked
            | (Cat(dut.w_ram_valid, dut.w_host_valid) == Cat(ram, host)) & (~dut.w_page_valid | (dut.w_pages == pages)),
        )
        checks.forward(
            "address, word and strobes go along", ~places.any() | (Cat(dut.w_addr, dut.w_data, dut.w_strb) == write)
        )
        checks.backward(
            "nothing is raised when there was no room in the clock before",
            ~checks.past(waiting & (raises & self.full).any(), "blocked") | ~asks.any(),
        )
        checks.forward(
            "a write is answered in the clock after it was done, one of a page four clocks after",
            ~owed | port.bvalid,
        )
        checks.backward("nothing else is answered, and nothing before it is done", ~port.bvalid | owed)
        checks.forward(
            "the answer: OKAY, DECERR where nothing is, what the host's side said",
            ~(owed | settling.any()) | (port.bresp == wanted),
        )
        checks.backward(
            "address and word are taken together", (port.awvalid & port.awready) == (port.wvalid & port.wready)
        )
        checks.backward("one write at a time", ~taken | ~places.any())
        checks.forward("a write is taken when there is no other", ~(port.awvalid & port.wvalid) | places.any() | taken)
        checks.cover("a write that lands nowhere is answered", given & (port.bresp == _DECERR))
        checks.cover(
            "a write of a page is answered while the next one waits", given & (write[:32] == _PAGES[1]) & port.awvalid
        )
        checks.cover("the host's side refuses", given & (port.bresp == 2))
        checks.cover("an interrupt is raised that had to wait", asked & raises.any() & checks.past(waiting, "waited"))
        raised = asked & checks.past(goes, "went") & raises.any()
        self._order(m, checks, taken, waiting, asked, raised)

    def _order(self, m: Any, checks: Checks, taken: Any, waits: Any, asks_write: Any, raised: Any) -> None:
        """State that no interrupt overtakes a read of the aperture, unless that is held up."""
        dut, port, inside = self.dut, self.s, self.inside
        read = port.arvalid & port.arready
        done = dut.r_host_valid & self.r_host_ready
        open_: Any = Signal(name="read_open")
        first: Any = Signal(name="read_came_first")  # not after the write that is under way
        age: Any = Signal(4, name="read_age")
        address: Any = Signal(32, name="read_address")
        m.d.sync += [
            open_.eq(read | (open_ & ~done)),
            age.eq(Mux(read, 1, age + ~age.all())),
            first.eq(Mux(taken, read | (open_ & ~done), first & ~read & ~done)),
        ]
        with m.If(read):
            m.d.sync += address.eq(port.araddr)
        held: Any = Signal(name="read_held")  # it is of the aperture
        m.d.comb += held.eq(open_ & _where(address)[2])
        state, young = inside.signal("r_state"), inside.signal("young")
        checks.invariant("a read is in one state", state.any() & ~(state & (state - 1)[: len(state)]).any())
        states = Mux(age == 1, _DECODE, Mux(age == 2, _WAIT, _ASK))
        checks.invariant("the state of the read", ~held | (state == states) & (age != 0))
        ram, pages, host = _where(dut.r_addr)
        decoded = Cat(inside.signal("r_ram"), dut.r_pages, inside.signal("r_host"))
        asks = Cat(dut.r_ram_valid, dut.r_page_valid, dut.r_host_valid)
        checks.invariant(
            "a read waits and asks where its address says",
            ~((state == _WAIT) | (state == _ASK)) | (decoded == Cat(ram, pages, host)),
        )
        checks.invariant("a read of the aperture asks", ~held | (asks[2] == (state == _ASK)))
        checks.invariant("nothing else of it does", ~asks[2] | host & (state == _ASK))
        checks.invariant("a read asks", asks & ~(Cat(ram, pages.any(), host) & (state == _ASK).replicate(3)) == 0)
        checks.invariant("its address", ~held | (dut.r_addr == address))
        checks.invariant("it is decoded", ~held | (age < 2) | inside.signal("r_host"))
        checks.invariant("it is asked for", ~held | (dut.r_host_valid == (age >= 3)))
        checks.invariant("its age", ~held | (age < 2) | (young == Mux(age <= 9, 9 - age, 0)))
        checks.invariant(
            "it goes first", ~held | (inside.signal("_read_first") == ((age >= 2) & (age <= 9))) | (age == 1)
        )
        checks.invariant("what came first is still open", ~first | open_)
        checks.invariant("and is as old as the write", ~(first & held) | (age >= Mux(waits, 2, Mux(asks_write, 3, 1))))
        checks.backward(
            "nothing is raised within ten clocks of a read of the aperture that came first and is not taken",
            ~(raised & first & held & (age <= 10)),
        )
        checks.cover("a read of the aperture is left behind", raised & first & held)


class _Reads(_Cpu):
    """Each read is done once, where it belongs; answers come once, in the order of the requests."""

    def state(self, m: Any, checks: Checks) -> None:
        dut, port, inside = self.dut, self.s, self.inside
        outstanding: Any = Signal(9, name="host_reads")
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in ("d_valid", "d_data", "d_error")]
        checks.assume(
            "the host's side answers reads that it has, since it is what was asked", ~self.d_valid | outstanding.any()
        )
        taken, given = port.arvalid & port.arready, port.rvalid & port.rready
        decoding: Any = Signal(name="decoding")
        waiting: Any = Signal(name="waiting")
        asked: Any = Signal(name="asked")
        due: Any = Signal(max(memory.READ_CLOCKS, registers.READ_CLOCKS), name="due_in")
        owed: Any = Signal(name="owed")
        address: Any = Signal(32, name="address")
        word: Any = Signal(32, name="word")
        ram, pages, host = _where(address)
        nowhere = ~ram & ~host & ~pages.any()
        page_done, ram_done = dut.r_page_valid & self.r_page_ready, dut.r_ram_valid & self.r_ram_ready
        host_done = dut.r_host_valid & self.r_host_ready
        checks.assume("it takes 256 at most, since it has no more tags", ~host_done | (outstanding < 256))
        checks.invariant("so it has 256 at most", outstanding <= 256)
        alone = ~outstanding.any()
        goes: Any = Signal(name="goes")
        nothing: Any = Signal(name="nothing")
        m.d.comb += [goes.eq(waiting & (host | alone)), nothing.eq(goes & nowhere)]
        done = ram_done | page_done | host_done
        local = given & owed
        clocks = Mux(ram_done, 1 << memory.READ_CLOCKS - 1, Mux(page_done, 1 << registers.READ_CLOCKS - 1, 0))
        m.d.sync += [
            decoding.eq(taken),
            waiting.eq(decoding | (waiting & ~goes)),
            asked.eq((goes & ~nowhere) | (asked & ~done)),
            due.eq(Mux(done, clocks, due >> 1)),
            owed.eq((owed & ~given) | nothing | due[0]),
            outstanding.eq(outstanding + host_done - (given & ~owed)),
        ]
        with m.If(taken):
            m.d.sync += address.eq(port.araddr)
        with m.If(nothing):
            m.d.sync += word.eq(0)
        with m.If(due[0]):
            m.d.sync += word.eq(Mux(ram, self.r_ram_data, self.r_page_data))
        places = Cat(decoding, waiting, asked, due, owed)
        checks.invariant("it is in one place", (places & (places - 1)) == 0)
        fresh: Any = Signal(name="done_before")  # in the clock before
        m.d.sync += fresh.eq(ram_done | page_done)
        asking, fetching = asked | fresh, due.any() & ~fresh
        states = ((decoding, _DECODE), (waiting, _WAIT), (asking, _ASK), (fetching, _FETCH), (owed, _ANSWER))
        state = inside.signal("r_state")
        for place, name in states:
            checks.invariant("the state is its place", ~place | (state == name))
        taken_before: Any = Signal(name="taken_before")  # by the host's side, in the clock before
        m.d.sync += taken_before.eq(host_done)
        checks.invariant("no state without a read", places.any() | (state == Mux(taken_before, _ASK, _IDLE)))
        checks.invariant("what was taken is of the aperture", ~taken_before | ~places.any() & inside.signal("r_host"))
        checks.invariant(
            "whether the aperture owes nothing",
            ~waiting | (inside.signal("answered_all") == ~outstanding.any()),
        )
        checks.invariant("it is due when it is there", ~fetching | (inside.signal("due") == due))
        clocks = Mux(ram, 1 << memory.READ_CLOCKS - 1, 1 << registers.READ_CLOCKS - 1)
        checks.invariant("what was done in the clock before is due", ~fresh | (due == clocks))
        decoded = Cat(inside.signal("r_ram"), dut.r_pages, inside.signal("r_host"))
        checks.invariant("decoded", ~places[1:].any() | (decoded == Cat(ram, pages, host)))
        counted = (inside.signal("outstanding") + taken_before)[:9]
        checks.invariant("the count of the reads of the aperture, a clock later", counted == outstanding)
        kept = data.View(data.StructLayout({"ram": 32, "page": 32}), inside.signal("word"))
        checks.invariant("the word is kept", ~owed | (kept.ram | kept.page == word))
        checks.invariant("what is asked for is somewhere", ~asked | ~nowhere)
        checks.invariant("what is due is somewhere", ~due.any() | ram | pages.any())
        checks.invariant(
            "what is owed is not of the aperture, and nothing of that is outstanding",
            ~(due.any() | owed) | ~host & ~outstanding.any(),
        )
        checks.invariant("nor beside what is asked for", ~asked | host | ~outstanding.any())
        asks = Cat(dut.r_ram_valid, dut.r_page_valid, dut.r_host_valid)
        checks.forward(
            "a read is asked for until it is done; of anything but the aperture, when that owes nothing",
            ~asked | (asks == Cat(ram, pages.any(), host)),
        )
        checks.backward("nothing else is asked for", asked | ~asks.any())
        checks.backward("only what the address is in is asked", ~dut.r_page_valid | (dut.r_pages == pages))
        checks.forward("the address goes along", ~places.any() | (dut.r_addr == address))
        checks.forward("a read that was done is answered, until the answer is taken", ~owed | port.rvalid)
        checks.forward(
            "with what was read, then; DECERR and 0 where nothing is",
            ~owed | (port.rdata == word) & (port.rresp == Mux(nowhere, _DECERR, _OKAY)),
        )
        checks.forward(
            "what the host's side says is passed on in its clock",
            ~dut.d_valid | port.rvalid & (Cat(port.rdata, port.rresp) == Cat(self.d_data, self.d_error)),
        )
        checks.backward(
            "the host's side is done with it when the CPU has taken it", (dut.d_valid & dut.d_ready) == (given & ~owed)
        )
        checks.backward("each answer is owed", ~port.rvalid | owed | outstanding.any())
        checks.backward("an answer of its own stands in no other's place", ~owed | ~outstanding.any())
        checks.backward("one read at a time, beside those of the aperture", ~taken | ~places.any())
        checks.forward("a read is taken when there is no other", ~port.arvalid | places.any() | taken)
        checks.cover("a read waits for two of the aperture", waiting & ram & (outstanding == 2))
        checks.cover("a read of the RAM is answered", local & ram & (port.rdata != 0))
        checks.cover("a read that lands nowhere is answered", local & (port.rresp == _DECERR))


class _RamTurns(Bench):
    """CPU and engine at the RAM's ports: one at a time, in turns."""

    _INPUTS = (
        "cpu_w_valid",
        "cpu_w_addr",
        "cpu_w_data",
        "cpu_w_strb",
        "cpu_r_valid",
        "cpu_r_addr",
        "mem_valid",
        "mem_write",
        "mem_addr",
        "mem_data",
        "mem_cancel",
        "w_ready",
        "r_ready",
    )

    def __init__(self) -> None:
        self.dut = RamShare(8)
        super().__init__({name: In(len(getattr(self.dut, name))) for name in self._INPUTS})

    def check(self, m: Any, checks: Checks) -> None:
        inside = Inside(self.dut)
        m.submodules.dut = dut = self.dut
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in self._INPUTS]
        request = Cat(self.mem_addr, self.mem_data, self.mem_write)
        waits = checks.past(self.mem_valid & ~dut.mem_ready & ~self.mem_cancel, "engine_waits")
        offered: Any = Signal(len(request), name="engine_offered")
        m.d.sync += offered.eq(request)
        checks.assume("the engine goes on with what it offers", ~waits | (self.mem_valid & (request == offered)))
        checks.assume(
            "it offers nothing after it has taken an access back",
            ~checks.past(self.mem_cancel, "engine_cancelled") | ~self.mem_valid,
        )
        wants = self.mem_valid & ~dut.mem_ready
        done = [
            self._port(m, checks, inside, way, wants & (self.mem_write == (way == "w")))
            for way in ("w", "r")
        ]
        written, chosen = done[0][1], done[1][0]
        asks = dut.w_valid & inside.signal("w_engine")
        kept = Cat(dut.w_addr, dut.w_data, Const(1, 1))
        checks.invariant("what is written is what is offered", ~asks | waits & ~dut.mem_ready & (kept == offered))
        ready = checks.past(written | chosen, "engine_ready")
        checks.forward("the engine is told when its write is done, and when its read is chosen", ~ready | dut.mem_ready)
        checks.backward("of nothing else", ~dut.mem_ready | ready)
        came: Any = Signal(memory.READ_CLOCKS, name="engine_reads")
        m.d.sync += came.eq(Cat(done[1][1], came))
        checks.invariant("its reads under way", inside.signal("under_way") == came)
        checks.forward(
            "the engine's data are announced as long after its read as the RAM takes", ~came[-1] | dut.mem_rvalid
        )
        checks.backward("no others are", ~dut.mem_rvalid | came[-1])

    def _port(self, m: Any, checks: Checks, inside: Inside, way: str, wants: Any) -> tuple[Any, Any]:
        """State it of one direction; return whether an access of the engine is chosen, and whether it is done."""
        dut = self.dut
        cpu, cpu_ready = getattr(self, f"cpu_{way}_valid"), getattr(dut, f"cpu_{way}_ready")
        words: Any = Cat(getattr(self, f"cpu_{way}_addr"), *([self.cpu_w_data, self.cpu_w_strb] if way == "w" else []))
        cpu_waits = checks.past(cpu & ~cpu_ready, f"{way}_cpu_waits")
        cpu_words: Any = Signal(len(words), name=f"{way}_cpu_offered")
        m.d.sync += cpu_words.eq(words)
        checks.assume(
            "the CPU goes on with what it has asked for, since cpu.writes and cpu.reads say so",
            ~cpu_waits | (cpu & (words == cpu_words)),
        )
        valid, ready = getattr(dut, f"{way}_valid"), getattr(self, f"{way}_ready")
        sent: Any = Cat(getattr(dut, f"{way}_addr"), *([dut.w_data, dut.w_strb] if way == "w" else []))
        engine = inside.signal(f"{way}_engine")
        has_cpu, has_engine = valid & ~engine, valid & engine
        free = checks.past(~valid, f"{way}_free")
        last: Any = Signal(2, name=f"{way}_last")  # who was served last, if anybody: 1 the CPU, 2 the engine
        chooses = ~valid & wants & ~(cpu & (last == 2)) & ~self.mem_cancel
        chosen: Any = Signal(name=f"{way}_chosen")  # an access of the engine, and neither done nor taken back since
        kept: Any = Signal(len(sent), name=f"{way}_kept")
        asked: Any = Cat(self.mem_addr, *([self.mem_data, Const(15, 4)] if way == "w" else []))
        cpu_done, mine = cpu & cpu_ready, chosen & ready
        taken_back = self.mem_cancel if way == "w" else 0
        m.d.sync += chosen.eq(Mux(chosen, ~ready & ~taken_back, chooses))
        with m.If(chooses):
            m.d.sync += kept.eq(asked)
        checks.invariant("what the CPU asks for is its own", ~has_cpu | cpu_waits & (sent == cpu_words))
        checks.invariant("the engine has what it was chosen for", (has_engine == chosen) & (~chosen | (sent == kept)))
        wanted = checks.past(cpu | (wants & ~self.mem_cancel), f"{way}_wanted")
        refused = checks.past(wants & self.mem_cancel, f"{way}_taken_back")  # when it was its turn
        checks.forward("who wants the port that is free asks in the next clock", ~(free & wanted) | refused | valid)
        checks.forward("the engine asks from the clock after it was chosen on", has_engine == chosen)
        checks.backward("nothing is done that nobody wants", ~valid | cpu | chosen)
        checks.forward("each access that the RAM does is somebody's", ~(valid & ready) | cpu_done | mine)
        checks.backward("and of one alone", ~(cpu_done & mine) & (~(cpu_done | mine) | valid & ready))
        checks.backward("the CPU is told so when it asked", ~cpu_ready | cpu)
        checks.forward("the CPU's access is as the CPU asked", ~cpu_done | (sent == words))
        checks.forward("the engine's is as the engine asked, whole dwords", ~mine | (sent == kept))
        with m.If(cpu_done | mine):
            m.d.sync += last.eq(Cat(cpu_done, mine))
        checks.invariant("who was served last is known", inside.signal(f"{way}_served") == (last == 2))
        engine_first = checks.past(wants & (last == 1), f"{way}_cpu_was")
        cpu_first = checks.past(cpu & (last == 2), f"{way}_engine_was")
        checks.backward(
            "neither is chosen twice while the other waits",
            ~(free & engine_first & has_cpu) & ~(free & cpu_first & has_engine),
        )
        checks.cover("in turns", cpu_done & wants & (last == 2))
        return chooses, mine


PROOFS = [
    Proof(
        "cpu.writes.ram4k",
        "each write of the CPU is done once, where its address is, and answered once, afterwards",
        _Writes,
        depth=1,
        cover_depth=14,
        mutant_depth=12,
    ),
    Proof(
        "cpu.reads.ram4k",
        "each read of the CPU is done once and answered once, in the order of the requests",
        _Reads,
        depth=1,
        cover_depth=16,
        mutant_depth=12,
    ),
    Proof("cpu.ram_turns.8", "CPU and MSI-X engine at the RAM's ports: one at a time, in turns", _RamTurns, depth=1),
]
