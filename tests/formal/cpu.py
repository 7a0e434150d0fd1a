"""Proofs of the CPU's way in: its AXI4-Lite port, which decodes the address map, and its turns at the RAM's port.

No input is restricted: whatever the CPU does, and whatever the RAM, the pages and the host's side answer, also where
nothing was asked.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from inside import Inside

from epbell import axil
from epbell.cpu import CpuPort
from epbell.ram_share import RamShare
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]

_RAM, _RAM_SIZE = 0x6000_0000, 4096
_PAGES = (0x5D27_0000, 0x5F31_0000)
_APERTURE, _APERTURE_SIZE = 0x7000_0000, 256 << 20
_OKAY, _DECERR = 0, 3
_IDLE, _ASK, _FETCH, _ANSWER = range(4)


class _Cpu(Bench):
    """The port, beside what the CPU has asked for and not yet got."""

    def __init__(self) -> None:
        members: dict[str, Any] = {"s": In(axil.Signature(32))}
        for way in ("w", "r"):
            members |= {f"{way}_{what}_ready": In(1) for what in ("ram", "page", "host")}
        members |= {"w_host_error": In(2), "r_ram_data": In(32), "r_page_data": In(32)}
        self.driven = [name for name in members if name != "s"]
        members |= {"d_valid": In(1), "d_data": In(32), "d_error": In(2)}
        super().__init__(members)

    def check(self, m: Any, checks: Checks) -> None:
        self.m = m
        dut: Any = CpuPort(
            ram_base=_RAM, ram_size=_RAM_SIZE, pages=_PAGES, aperture=_APERTURE, aperture_size=_APERTURE_SIZE
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
        asked: Any = Signal(name="asked")  # taken, not done
        owed: Any = Signal(name="owed")  # done, not answered
        write: Any = Signal(68, name="write")
        wanted: Any = Signal(2, name="wanted_answer")
        ram, pages, host = _where(write[:32])
        nowhere = ~ram & ~host & ~pages.any()
        page_done, ram_done = dut.w_page_valid & self.w_page_ready, dut.w_ram_valid & self.w_ram_ready
        host_done = dut.w_host_valid & self.w_host_ready
        done: Any = Signal(name="done")
        m.d.comb += done.eq(asked & (Mux(ram, ram_done, page_done | host_done) | nowhere))
        m.d.sync += [asked.eq(asked & ~done | taken), owed.eq(owed & ~given | done)]
        with m.If(taken):
            m.d.sync += write.eq(Cat(port.awaddr, port.wdata, port.wstrb))
        with m.If(done):
            m.d.sync += wanted.eq(Mux(nowhere, _DECERR, Mux(host, self.w_host_error, _OKAY)))
        state = inside.signal("w_state")
        checks.invariant(
            "the state is what is owed", (state == Mux(asked, _ASK, Mux(owed, _ANSWER, _IDLE))) & ~(asked & owed)
        )
        decoded = Cat(inside.signal("w_ram"), dut.w_pages, inside.signal("w_host"))
        checks.invariant("decoded", ~asked | (decoded == Cat(ram, pages, host)))
        checks.forward(
            "a write is asked for in the clock after it was taken, and until it is done",
            ~asked | (Cat(dut.w_ram_valid, dut.w_page_valid, dut.w_host_valid) == Cat(ram, pages.any(), host)),
        )
        checks.backward("nothing else is asked for", asked | ~(dut.w_ram_valid | dut.w_page_valid | dut.w_host_valid))
        checks.backward(
            "only what the address is in is asked",
            ~asked
            | (Cat(dut.w_ram_valid, dut.w_host_valid) == Cat(ram, host)) & (~dut.w_page_valid | (dut.w_pages == pages)),
        )
        checks.forward(
            "address, word and strobes go along", ~asked | (Cat(dut.w_addr, dut.w_data, dut.w_strb) == write)
        )
        checks.forward(
            "a write is answered in the clock after it was done, until the answer is taken", ~owed | port.bvalid
        )
        checks.backward("nothing else is answered, and nothing before it is done", ~port.bvalid | owed)
        checks.forward(
            "the answer: OKAY, DECERR where nothing is, what the host's side said", ~owed | (port.bresp == wanted)
        )
        checks.backward(
            "address and word are taken together", (port.awvalid & port.awready) == (port.wvalid & port.wready)
        )
        checks.backward("one write at a time", ~taken | ~(asked | owed))
        checks.forward("a write is taken when there is no other", ~(port.awvalid & port.wvalid) | asked | owed | taken)
        checks.cover("a write that lands nowhere is answered", given & (port.bresp == _DECERR))
        checks.cover(
            "a write of a page is answered while the next one waits", given & (write[:32] == _PAGES[1]) & port.awvalid
        )
        checks.cover("the host's side refuses", given & (port.bresp == 2))


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
        asked: Any = Signal(name="asked")
        fetch: Any = Signal(name="fetching")
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
        nothing = asked & nowhere & alone
        done: Any = Signal(name="done")
        m.d.comb += done.eq(ram_done | page_done | host_done | nothing)
        local = given & owed
        m.d.sync += [
            asked.eq(asked & ~done | taken),
            fetch.eq(ram_done),
            owed.eq(owed & ~given | page_done | nothing | fetch),
            outstanding.eq(outstanding + host_done - (given & ~owed)),
        ]
        with m.If(taken):
            m.d.sync += address.eq(port.araddr)
        with m.If(fetch | page_done | nothing):
            m.d.sync += word.eq(Mux(fetch, self.r_ram_data, Mux(page_done, self.r_page_data, 0)))
        state = inside.signal("r_state")
        checks.invariant(
            "the state is what is owed",
            (state == Mux(asked, _ASK, Mux(fetch, _FETCH, Mux(owed, _ANSWER, _IDLE)))) & (asked + fetch + owed <= 1),
        )
        decoded = Cat(inside.signal("r_ram"), dut.r_pages, inside.signal("r_host"))
        checks.invariant("decoded", ~(asked | fetch | owed) | (decoded == Cat(ram, pages, host)))
        checks.invariant("the count of the reads of the aperture", inside.signal("outstanding") == outstanding)
        checks.invariant("the word is kept", ~owed | (inside.signal("data") == word))
        checks.invariant("what is fetched is of the RAM", ~fetch | ram)
        checks.invariant(
            "what is owed is not of the aperture, and nothing of that is outstanding",
            ~(fetch | owed) | ~host & ~outstanding.any(),
        )
        asks = Cat(dut.r_ram_valid, dut.r_page_valid, dut.r_host_valid)
        due = Cat(ram & alone, pages.any() & alone, host)
        checks.forward(
            "a read is asked for until it is done; of anything but the aperture, when that owes nothing",
            ~asked | (asks == due),
        )
        checks.backward("nothing else is asked for", asked | ~asks.any())
        checks.backward(
            "only what the address is in is asked",
            ~asks.any()
            | asked & ((asks & ~Cat(ram, pages.any(), host)) == 0) & (~dut.r_page_valid | (dut.r_pages == pages)),
        )
        checks.forward("the address goes along", ~asked | (dut.r_addr == address))
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
        checks.backward("one read at a time, beside those of the aperture", ~taken | ~(asked | fetch | owed))
        checks.forward("a read is taken when there is no other", ~port.arvalid | asked | fetch | owed | taken)
        checks.cover("a read waits for two of the aperture", asked & ram & (outstanding == 2))
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
        engine_done: Any = Const(0, 1)
        for way, wants in (("w", self.mem_valid & self.mem_write), ("r", self.mem_valid & ~self.mem_write)):
            cpu = getattr(self, f"cpu_{way}_valid")
            valid, ready = getattr(dut, f"{way}_valid"), getattr(self, f"{way}_ready")
            cpu_done = cpu & getattr(dut, f"cpu_{way}_ready")
            mine = wants & dut.mem_ready
            engine_done |= mine
            sent = [getattr(dut, f"{way}_addr")] + ([dut.w_data, dut.w_strb] if way == "w" else [])
            of_cpu = [getattr(self, f"cpu_{way}_addr")] + ([self.cpu_w_data, self.cpu_w_strb] if way == "w" else [])
            of_engine = [self.mem_addr] + ([self.mem_data, Const(15, 4)] if way == "w" else [])
            checks.forward("who wants the port makes it busy", ~(cpu | wants) | valid)
            checks.backward("nothing is done that nobody wants", ~valid | cpu | wants)
            checks.forward("each access that the RAM does is somebody's", ~(valid & ready) | cpu_done | mine)
            checks.backward("and of one alone", ~(cpu_done & mine) & (~(cpu_done | mine) | valid & ready))
            checks.backward("the CPU is told so when it asked", ~getattr(dut, f"cpu_{way}_ready") | cpu)
            checks.forward("the CPU's access is as the CPU asked", ~cpu_done | (Cat(sent) == Cat(of_cpu)))
            checks.forward("the engine's is as the engine asked, whole dwords", ~mine | (Cat(sent) == Cat(of_engine)))
            last: Any = Signal(2, name=f"{way}_last")  # who was served last, if anybody: 1 the CPU, 2 the engine
            with m.If(cpu_done | mine):
                m.d.sync += last.eq(Cat(cpu_done, mine))
            checks.invariant("who was served last is known", inside.signal(f"{way}_served") == (last == 2))
            checks.backward(
                "neither is served twice while the other waits",
                ~(cpu_done & wants & (last == 1)) & ~(mine & cpu & (last == 2)),
            )
            checks.cover("in turns", cpu_done & wants & (last == 2))
        read = checks.past(self.mem_valid & ~self.mem_write & dut.mem_ready, "engine_read")
        checks.forward("the engine's data are announced a clock after its read", ~read | dut.mem_rvalid)
        checks.backward("no others are", ~dut.mem_rvalid | read)
        checks.backward("the engine is served when it wants", ~(self.mem_valid & dut.mem_ready) | engine_done)


PROOFS = [
    Proof(
        "cpu.writes.ram4k",
        "each write of the CPU is done once, where its address is, and answered once, afterwards",
        _Writes,
        depth=1,
    ),
    Proof(
        "cpu.reads.ram4k",
        "each read of the CPU is done once and answered once, in the order of the requests",
        _Reads,
        depth=1,
        cover_depth=10,
    ),
    Proof("cpu.ram_turns.8", "CPU and MSI-X engine at the RAM's ports: one at a time, in turns", _RamTurns, depth=1),
]
