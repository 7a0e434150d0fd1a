"""The CPU's AXI4-Lite port alone, with slow targets and a master that takes its time on every channel."""

import random
from typing import Any

import pytest
from quick_engine import Simulator

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

    def target_clock(ctx: Any, way: str, ram_data: list[int]) -> None:
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
                if kind == "ram":
                    ram_data.append(data)
                else:
                    ctx.set(dut.r_page_data, data)

    async def bench(ctx: Any) -> None:
        bus = dut.axil
        for _ in range(3500):
            ctx.set(dut.r_page_data, rng.getrandbits(32))
            ram_data: list[int] = []
            for way in ("w", "r"):
                target_clock(ctx, way, ram_data)
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
            ctx.set(dut.r_ram_data, ram_data[0] if ram_data else rng.getrandbits(32))

    sim = Simulator(dut)
    sim.add_clock(1e-9)
    sim.add_testbench(bench)
    sim.run()
    assert done_writes == [(where(a), a, d, s) for a, d, s in writes if where(a) is not None]
    assert responses == [0 if where(a) is not None else 3 for a, _, _ in writes]
    assert [(t, a) for t, a, _ in done_reads] == [(where(a), a) for a in reads if where(a) is not None]
    data = iter([d for _, _, d in done_reads])
    assert answers == [(next(data), 0) if where(a) is not None else (0, 3) for a in reads]


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
