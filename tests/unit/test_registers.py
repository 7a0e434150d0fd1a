"""The register pages between host and CPU: order, data, rings beside the port, and how long anybody waits."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from quick_engine import Simulator
from systemrdl import RDLCompiler

from epbell import csr
from epbell.registers import READ_CLOCKS, WRITE_CLOCKS, RegisterPages

if TYPE_CHECKING:
    from pathlib import Path

    from systemrdl.node import AddrmapNode

PAGES, HOST_PAGES, ASIDE = ("local", "shared", "bell"), ("shared", "bell"), ("bell",)
WORDS = 12  # more than are joined in one clock
PATIENCE = 3
CLOCKS = 4000
PAGE_RDL = f"""
addrmap page {{
    default regwidth = 32; default accesswidth = 8;
    reg {{ field {{ sw = rw; hw = na; reset = 0; }} DATA[31:0]; }} WORD[{WORDS}] @ 0x40 += 4;
}};
"""


class Dut(Elaboratable):
    """The pages, each with a few words of storage behind its port."""

    def __init__(self, tree: AddrmapNode) -> None:
        self.pages = RegisterPages(PAGES, HOST_PAGES, aside=ASIDE, patience=PATIENCE)
        self._blocks = {name: csr.Block(tree, decode="sync", read_clocks=csr.PAGE.read_clocks) for name in PAGES}

    def elaborate(self, platform: object) -> Module:
        m: Any = Module()
        m.submodules.pages = self.pages
        for name, block in self._blocks.items():
            m.submodules[name] = block
            wiring.connect(m, getattr(self.pages, name), block.bus)
        return m


class Way:
    """One master in one direction: what it asks for, until it may."""

    def __init__(self, rng: random.Random, ctx: Any, dut: RegisterPages, master: str, way: str) -> None:
        self.rng, self.ctx, self.master, self.way = rng, ctx, master, way
        self.port = {
            name: getattr(dut, f"{master}_{way}_{name}")
            for name in ("valid", "ready", "pages", "addr", *(("data", "strb") if way == "w" else ()))
        }
        self.names = HOST_PAGES if master == "host" else PAGES
        self.asked: tuple[str, int, int, int] | None = None
        self.waited = 0

    def offer(self, often: float) -> None:
        """Ask for something, if nothing is asked for."""
        rng, ctx, port = self.rng, self.ctx, self.port
        if self.asked is None and rng.random() < often:
            self.asked = rng.choice(self.names), rng.randrange(WORDS + 1), rng.getrandbits(32), rng.randrange(16)
        ctx.set(port["valid"], self.asked is not None)
        if self.asked is None:  # what is there without valid does not count
            ctx.set(port["pages"], 1 << rng.randrange(len(self.names)))
            return
        page, word, data, strobes = self.asked
        ctx.set(port["pages"], 1 << self.names.index(page))
        ctx.set(port["addr"], 0x40 + 4 * word)
        if self.way == "w":
            ctx.set(port["data"], data)
            ctx.set(port["strb"], strobes)

    def done(self) -> tuple[str, int, int, int] | None:
        """What has been granted in this clock."""
        always = self.asked and self.asked[0] in ASIDE and (self.master, self.way) == ("host", "w")
        if self.asked is None or not (always or self.ctx.get(self.port["ready"])):
            self.waited += self.asked is not None
            return None
        asked, self.asked, self.waited = self.asked, None, 0
        return asked


@pytest.mark.parametrize(("host", "cpu"), [(1.0, 1.0), (1.0, 0.3), (0.5, 0.5), (0.1, 0.9)])
def test_the_handshakes_are_the_order(tmp_path: Path, host: float, cpu: float) -> None:
    """A read finds what the writes of earlier clocks left; a ring beside the port is told in its turn."""
    (tmp_path / "page.rdl").write_text(PAGE_RDL)
    compiler = RDLCompiler()
    compiler.compile_file(str(tmp_path / "page.rdl"))
    dut = Dut(compiler.elaborate("page").top)
    pages, rng = dut.pages, random.Random(int(100 * host + cpu))

    async def bench(ctx: Any) -> None:
        ways = {(master, way): Way(rng, ctx, pages, master, way) for master in ("host", "cpu") for way in "rw"}
        words = {(page, word): 0 for page in PAGES for word in range(WORDS)}
        reads: dict[tuple[str, int], int] = {}
        made: dict[int, str] = {}
        counts = dict.fromkeys(ways, 0)
        held_up = met = hold = 0
        for clock in range(CLOCKS):
            # What holds the CPU up has gaps between, if only of a clock.
            was_held, hold = hold, hold - 1 if hold else rng.choice((0, 0, 0, 1, 9)) if clock % 16 == 0 else 0
            ctx.set(pages.hold, hold != 0)
            for (master, _), one in ways.items():
                one.offer(host if master == "host" else cpu)
            granted = {key: one.done() for key, one in ways.items()}
            for key, one in ways.items():
                counts[key] += granted[key] is not None
                held_up += one.waited == 1
                if hold and key[0] == "cpu":
                    assert granted[key] is None, (clock, key, "granted beside a promise")
                if (hold or was_held) and key[0] == "cpu":
                    continue  # its turn may be in the next clock
                assert one.waited <= (PATIENCE if key[0] == "cpu" else 1), (clock, key, "waits too long")
            for master in ("host", "cpu"):
                if read := granted[master, "r"]:
                    reads[master, clock + READ_CLOCKS] = words.get(read[:2], 0)
                if (master, clock) in reads:
                    assert ctx.get(getattr(pages, f"{master}_r_data")) == reads[master, clock], (clock, master)
            by_host, by_cpu = granted["host", "w"], granted["cpu", "w"]
            met += by_host is not None and by_cpu is not None and by_host[0] == by_cpu[0]
            for write, beside in ((by_host, ASIDE), (by_cpu, ())):
                if write and write[0] not in beside and write[1] < WORDS:
                    page, word, data, strobes = write
                    bits = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1)
                    words[page, word] = words[page, word] & ~bits | data & bits
            if by_host:
                made[clock + WRITE_CLOCKS] = by_host[0]
            page = made.get(clock)
            assert ctx.get(pages.host_made) == (1 << HOST_PAGES.index(page) if page else 0), clock
            assert ctx.get(pages.bell_aside) == (page == "bell"), clock
            await ctx.tick()
        assert min(counts.values()) > 100
        assert held_up > 10
        assert met > 10, "host and CPU write the page with a way aside in one clock"

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
