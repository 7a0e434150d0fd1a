"""The CPU's AXI4-Lite port alone, with slow targets and a master that takes its time on every channel."""

import random
from typing import Any

import pytest
from quick_engine import Simulator

from epbell import ram, registers
from epbell.cpu import CpuPort

RAM, RAM_SIZE = 0x60000000, 0x10000
APERTURE = 0x70000000
PAGES = (0x5D270000, 0x5F010000)


class Channel:
    """Something that is offered after a random time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.queue: list[Any] = []
        self.wait = 0

    def offer(self) -> Any | None:
        if not self.queue:
            return None
        if self.wait:
            self.wait -= 1
            return None
        return self.queue[0]

    def taken(self) -> None:
        self.queue.pop(0)
        self.wait = self.rng.choice((0, 0, 1, 4))


def where(address: int) -> int | str | None:
    if RAM <= address < RAM + RAM_SIZE:
        return "ram"
    for index, base in enumerate(PAGES):
        if base <= address < base + 0x10000:
            return index
    return None


@pytest.mark.parametrize("seed", range(3))
def test_random_accesses(seed: int) -> None:
    """Every access happens once, at the right target, in order, and is answered with its own data."""
    rng = random.Random(seed)
    dut = CpuPort(ram_base=RAM, ram_size=RAM_SIZE, pages=PAGES)

    def some_address() -> int:
        base = rng.choice((RAM, *PAGES, 0x10000000, RAM + RAM_SIZE, RAM - 4))
        return base + (4 * rng.randrange(16) if base != RAM - 4 else 0)

    writes = [(some_address(), rng.getrandbits(32), rng.randrange(16)) for _ in range(120)]
    reads = [some_address() for _ in range(120)]
    aw, w, ar = Channel(rng), Channel(rng), Channel(rng)
    aw.queue, w.queue, ar.queue = [a for a, _, _ in writes], [(d, s) for _, d, s in writes], list(reads)
    done_writes: list[tuple[Any, ...]] = []
    done_reads: list[tuple[Any, int, int]] = []
    responses: list[int] = []
    answers: list[tuple[int, int]] = []

    due: dict[tuple[str, int], int] = {}  # data of the RAM, of a page, and the clock in which they are there

    def target_clock(ctx: Any, way: str, clock: int) -> None:
        for kind in ("ram", "page"):
            valid = ctx.get(getattr(dut, f"{way}_{kind}_valid"))
            ready = int(valid and rng.random() < 0.4)
            ctx.set(getattr(dut, f"{way}_{kind}_ready"), ready)
            if not ready:
                continue
            pages = ctx.get(getattr(dut, f"{way}_pages"))
            target = "ram" if kind == "ram" else pages.bit_length() - 1
            assert kind == "ram" or pages.bit_count() == 1
            address = ctx.get(getattr(dut, f"{way}_addr"))
            if way == "w":
                done_writes.append((target, address, ctx.get(dut.w_data), ctx.get(dut.w_strb)))
            else:
                data = rng.getrandbits(32)
                done_reads.append((target, address, data))
                due[kind, clock + (ram if kind == "ram" else registers).READ_CLOCKS] = data

    async def bench(ctx: Any) -> None:
        bus = dut.axil
        for clock in range(5000):
            ctx.set(dut.r_page_data, due.get(("page", clock), rng.getrandbits(32)))
            ctx.set(dut.r_ram_data, due.get(("ram", clock), rng.getrandbits(32)))
            for way in ("w", "r"):
                target_clock(ctx, way, clock)
            for channel, valid in ((aw, bus.awvalid), (w, bus.wvalid), (ar, bus.arvalid)):
                ctx.set(valid, int(channel.offer() is not None))
            if aw.queue:
                ctx.set(bus.awaddr, aw.queue[0])
            if w.queue:
                ctx.set(bus.wdata, w.queue[0][0])
                ctx.set(bus.wstrb, w.queue[0][1])
            if ar.queue:
                ctx.set(bus.araddr, ar.queue[0])
            ctx.set(bus.bready, int(rng.random() < 0.5))
            ctx.set(bus.rready, int(rng.random() < 0.5))
            for channel, valid, ready in (
                (aw, bus.awvalid, bus.awready),
                (w, bus.wvalid, bus.wready),
                (ar, bus.arvalid, bus.arready),
            ):
                if ctx.get(valid) and ctx.get(ready):
                    channel.taken()
            if ctx.get(bus.bvalid) and ctx.get(bus.bready):
                responses.append(ctx.get(bus.bresp))
            if ctx.get(bus.rvalid) and ctx.get(bus.rready):
                answers.append((ctx.get(bus.rdata), ctx.get(bus.rresp)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
    assert done_writes == [(where(a), a, d, s) for a, d, s in writes if where(a) is not None]
    assert responses == [0 if where(a) is not None else 3 for a, _, _ in writes]
    assert [(t, a) for t, a, _ in done_reads] == [(where(a), a) for a in reads if where(a) is not None]
    data = iter([d for _, _, d in done_reads])
    assert answers == [(next(data), 0) if where(a) is not None else (0, 3) for a in reads]


def run(dut: CpuPort, bench: Any) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize(("kind", "asked", "answered"), [("ram", 3, 4), ("page", 3, 7), ("nowhere", None, 3)])
def test_clocks_of_a_write(kind: str, asked: int | None, answered: int) -> None:
    """From its handshake to the clock in which it is asked for, and answered where nobody is in the way."""
    dut = CpuPort(ram_base=RAM, ram_size=RAM_SIZE, pages=PAGES)
    seen: dict[str, int] = {}

    async def bench(ctx: Any) -> None:
        bus = dut.axil
        for port, value in ((dut.w_ram_ready, 1), (dut.w_page_ready, 1), (bus.bready, 1)):
            ctx.set(port, value)
        ctx.set(bus.awaddr, {"ram": RAM, "page": PAGES[1], "nowhere": 0}[kind])
        for clock in range(30):
            ctx.set(bus.awvalid, clock == 0)
            ctx.set(bus.wvalid, clock == 0)
            assert ctx.get(bus.awready) == (clock == 0)
            if ctx.get(dut.w_ram_valid) | ctx.get(dut.w_page_valid):
                assert "asked" not in seen
                seen["asked"] = clock
            if ctx.get(bus.bvalid):
                assert "answered" not in seen
                seen["answered"] = clock
            await ctx.tick()

    run(dut, bench)
    assert (seen.get("asked"), seen.get("answered")) == (asked, answered)


@pytest.mark.parametrize("read_at", range(-8, 4))
@pytest.mark.parametrize(("address", "waits"), [(0x10, True), (0x14, True), (0x18, False)])
def test_a_write_that_raises(address: int, waits: bool, read_at: int) -> None:
    """It waits while there is no room; and for a read of the aperture that was there first, while that is young."""
    dut = CpuPort(ram_base=RAM, ram_size=RAM_SIZE, pages=PAGES, raises={PAGES[0] + 0x10: 0, PAGES[0] + 0x14: 2})
    asked: list[int] = []
    read: list[int] = []

    async def bench(ctx: Any) -> None:
        bus = dut.axil
        for port, value in ((bus.bready, 1), (bus.awaddr, PAGES[0] + address), (bus.wdata, 2), (bus.wstrb, 15)):
            ctx.set(port, value)
        ctx.set(bus.araddr, APERTURE)
        ctx.set(dut.full, 3)
        for clock in range(-10, 60):
            ctx.set(bus.awvalid, clock == 0)
            ctx.set(bus.wvalid, clock == 0)
            ctx.set(bus.arvalid, clock == read_at)
            if clock == 2 + 20 * waits:
                ctx.set(dut.full, 0 if waits else 3)
            if ctx.get(dut.w_page_valid):
                asked.append(clock)
            ctx.set(dut.w_page_ready, ctx.get(dut.w_page_valid))
            if ctx.get(dut.r_host_valid):
                read.append(clock)
            await ctx.tick()

    run(dut, bench)
    assert read[0] == read_at + 3
    assert asked == [23 if waits else 3]


@pytest.mark.parametrize("read_at", range(-12, 4))
@pytest.mark.parametrize("taken_after", [0, 3, 30])
def test_a_write_that_raises_behind_a_read_of_the_aperture(read_at: int, taken_after: int) -> None:
    """The read is taken first if nothing is in its way; if it waits for long, it is not waited for."""
    dut = CpuPort(ram_base=RAM, ram_size=RAM_SIZE, pages=PAGES, raises={PAGES[0] + 0x10: 0})
    asked: list[int] = []

    async def bench(ctx: Any) -> None:
        bus = dut.axil
        for port, value in ((bus.bready, 1), (bus.awaddr, PAGES[0] + 0x10), (bus.araddr, APERTURE)):
            ctx.set(port, value)
        for clock in range(-14, 40):
            ctx.set(bus.awvalid, clock == 0)
            ctx.set(bus.wvalid, clock == 0)
            ctx.set(bus.arvalid, clock == read_at)
            ctx.set(dut.r_host_ready, clock >= read_at + 3 + taken_after)
            if ctx.get(dut.w_page_valid):
                asked.append(clock)
            ctx.set(dut.w_page_ready, ctx.get(dut.w_page_valid))
            await ctx.tick()

    run(dut, bench)
    until = read_at + {0: 6, 3: 9, 30: 11}[taken_after]
    assert asked == [max(3, until) if read_at <= 0 else 3]


@pytest.mark.parametrize("kind", ["ram", "page", "nowhere"])
def test_read_behind_reads_of_the_aperture(kind: str) -> None:
    """It is neither done nor answered before the reads of host memory that were asked for first."""
    dut = CpuPort(ram_base=RAM, ram_size=RAM_SIZE, pages=PAGES)
    address = {"ram": RAM + 8, "page": PAGES[1] + 8, "nowhere": 0x10000000}[kind]
    reads = [APERTURE, APERTURE + 4, address]
    answers: list[tuple[int, int]] = []
    done: list[int] = []  # answers of the host before the access of the target

    async def bench(ctx: Any) -> None:
        bus, host = dut.axil, [0x11, 0x22]
        for port in (dut.r_host_ready, bus.rready):
            ctx.set(port, 1)
        for port in (dut.r_ram_data, dut.r_page_data):
            ctx.set(port, 0x33)
        for clock in range(60):
            ctx.set(bus.arvalid, int(bool(reads)))
            ctx.set(bus.araddr, reads[0] if reads else 0)
            ctx.set(dut.d_valid, int(clock in {20, 40}))
            ctx.set(dut.d_data, host[clock >= 40])
            for valid, ready in ((dut.r_ram_valid, dut.r_ram_ready), (dut.r_page_valid, dut.r_page_ready)):
                asked = ctx.get(valid)
                ctx.set(ready, asked)
                if asked:
                    done.append(len(answers))
            if ctx.get(bus.arvalid) and ctx.get(bus.arready):
                reads.pop(0)
            if ctx.get(bus.rvalid):
                answers.append((ctx.get(bus.rdata), ctx.get(bus.rresp)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
    assert answers == [(0x11, 0), (0x22, 0), (0, 3) if kind == "nowhere" else (0x33, 0)]
    assert done == ([] if kind == "nowhere" else [2])
