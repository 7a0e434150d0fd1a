"""Read engine and sender on their own: every request becomes its completions, whatever RAM, pages and host do."""

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from quick_engine import Simulator

from epbell import ram, registers
from epbell.pcie.completion import CompletionSender
from epbell.pcie.read import ReadEngine
from epbell.pcie.read_layout import DESCRIPTOR

BITS = 14
WORDS = 1 << BITS


def contents(space: int, dword: int) -> int:
    """What is in a dword of the RAM (0) or of a page (1, 2)."""
    return (dword % WORDS * 0x9E3779B1 ^ space * 0x85EBCA6B) & 0xFFFFFFFF


class Request:
    """A random request; the completions that it has to become."""

    def __init__(self, rng: random.Random, payload: int, *, space: int | None = None, dwords: int = 0) -> None:
        self.space = rng.choice((0, 0, 1, 2, 3)) if space is None else space  # 3: refused
        most = (1, 2, 3, 4, 5, 9, 17, 40, 130, 300) if self.space == 0 else (1, 1, 2, 3, 4, 9, 40)
        self.dwords = dwords or rng.choice(most)
        self.dword = rng.randrange(WORDS - 1024)
        self.first_be = rng.choice((15, 15, 14, 12, 8, 1, 0 if self.dwords == 1 else 15))
        self.last_be = 0 if self.dwords == 1 else rng.choice((15, 15, 7, 3, 1))
        self.tag, self.requester, self.attr, self.tc = (rng.getrandbits(n) for n in (8, 16, 3, 3))
        self.payload, self.log = payload, rng.getrandbits(62)

    def sizes(self) -> list[int]:
        """Dwords of each completion."""
        found, left, at = [], self.dwords, self.dword
        while left:
            found.append(min(left, self.payload - at % self.payload))
            left, at = left - found[-1], at + found[-1]
        return found

    def entry(self) -> dict[str, Any]:
        """What the queue has."""
        offset = (self.first_be & -self.first_be).bit_length() - 1 if self.first_be else 0
        names = ("first_be", "last_be", "tag", "requester", "attr", "tc")
        found = {name: getattr(self, name) for name in names} | {"at": 0, "function": 0}
        if self.space == 3:
            asked = {"address": self.log, "length": 1, "kind": 0, "bar": 2, "aperture": 0, "spare": 0, "tph": 0}
            return found | {"ram": 0, "pages": 0, "either": {"refused": asked}, "byte_count": 4, "lower": 0}
        chunk = self.sizes()[0]
        fetch = {"origin": (self.dword - DESCRIPTOR) % WORDS, "chunk": chunk, "rest": self.dwords - chunk}
        return found | {
            "ram": int(self.space == 0),
            "pages": 1 << self.space >> 1,
            "either": {"fetch": fetch},
            "byte_count": self.bytes(),
            "lower": self.dword % 32 * 4 + offset,
        }

    def bytes(self) -> int:
        """Bytes from the first one that is enabled to the last one."""
        if self.dwords == 1 and not self.first_be:
            return 1
        last = self.last_be if self.dwords > 1 else self.first_be
        return 4 * self.dwords - ((self.first_be & -self.first_be).bit_length() - 1) - (4 - last.bit_length())

    def packets(self) -> list[list[int | None]]:
        """Dwords of every completion; None for what nobody wants to know."""
        who = self.requester << 16
        third = self.tag | self.tc << 25 | self.attr << 28
        if self.space == 3:
            log = self.log << 2
            return [[4 << 16, 1 << 11 | who, third, self.first_be | self.last_be << 4,
                     log & 0xFFFFFFFF, log >> 32, 1 | self.requester << 16,
                     self.tag | 2 << 16 | self.tc << 25 | self.attr << 28]]  # fmt: skip
        found: list[list[int | None]] = []
        at, left, lower = self.dword, self.bytes(), self.entry()["lower"]
        for size in self.sizes():
            words: list[int | None] = [contents(self.space, at + n) for n in range(size)]
            for n in range(size):
                enabled = {0: self.first_be, self.dwords - 1: self.last_be}.get(at + n - self.dword, 15)
                if self.dwords == 1:
                    enabled = self.first_be
                if self.space and not enabled:
                    words[n] = None
            found.append([lower | left << 16, size | who, third, *words])
            left -= 4 * size - lower % 4
            at, lower = at + size, 0
        return found


def serve(lanes: int, requests: list[Request], chance: float, seed: int) -> tuple[list[list[int]], list[int], int]:
    """Serve requests; return the packets, the clocks of their beats, and how many dwords of pages were read."""
    rng = random.Random(seed)
    engine, sender = ReadEngine(lanes, BITS, 2), CompletionSender(32 * lanes)
    came: list[list[int]] = []
    clocks: list[int] = []
    reads = 0

    m: Any = Module()
    m.submodules.engine, m.submodules.sender = engine, sender
    m.d.comb += [*(room.eq(sender.room) for room in (engine.room, engine.room_again))]
    m.d.comb += [sender.valid.eq(engine.beat_valid), sender.beat.eq(engine.beat)]

    def happens() -> int:
        return int(chance == 1 or rng.random() < chance)

    async def bench(ctx: Any) -> None:
        nonlocal reads
        queue, packet, clock, answered = list(requests), [], 0, 0
        from_ram: list[int | None] = [None] * ram.READ_CLOCKS
        from_page: list[int] = [0] * registers.READ_CLOCKS
        ctx.set(engine.max_payload, {32: 0, 64: 1, 128: 2}[requests[0].payload])
        await ctx.tick()
        expected = sum(len(one.packets()) for one in requests)
        while len(came) < expected or answered < len(requests):
            offered = bool(queue) and happens()
            ctx.set(engine.i_valid, offered)
            if offered:
                ctx.set(engine.i_data, queue[0].entry())
            ctx.set(engine.ram_ready, happens())
            ctx.set(engine.bus_ready, happens())
            ctx.set(sender.cc.tready, happens())
            if (address := from_ram.pop(0)) is not None:
                ctx.set(sender.ram_data, [contents(0, address + lane) for lane in range(lanes)])
            else:
                ctx.set(sender.ram_data, [rng.getrandbits(32)] * lanes)
            ctx.set(engine.bus_data, from_page.pop(0))
            read = ctx.get(engine.ram_valid) and ctx.get(engine.ram_ready)
            from_ram.append(ctx.get(engine.ram_addr) if read else None)
            page = rng.getrandbits(32)
            if ctx.get(engine.bus_valid) and ctx.get(engine.bus_ready):
                page = contents(ctx.get(engine.bus_pages), ctx.get(engine.bus_addr) >> 2)
                reads += 1
            from_page.append(page)
            answered += ctx.get(engine.answered)
            if ctx.get(sender.cc.tvalid):
                assert not ctx.get(sender.empty)
                if ctx.get(sender.cc.tready):
                    clocks.append(clock)
                    keep, words = ctx.get(sender.cc.tkeep), ctx.get(sender.cc.tdata)
                    packet += [words >> 32 * lane & 0xFFFFFFFF for lane in range(lanes) if keep >> lane & 1]
                    if ctx.get(sender.cc.tlast):
                        came.append(packet)
                        packet = []
            if offered and ctx.get(engine.i_ready):
                queue.pop(0)
            clock += 1
            assert clock < 200_000, "stuck"
            await ctx.tick()
        assert ctx.get(engine.idle)
        assert ctx.get(sender.empty)

    simulator = Simulator(m)
    simulator.add_clock(4e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return came, clocks, reads


def same(came: list[list[int]], requests: list[Request]) -> None:
    wanted = [packet for one in requests for packet in one.packets()]
    assert len(came) == len(wanted)
    for got, due in zip(came, wanted, strict=True):
        assert len(got) == len(due)
        assert [None if want is None else word for word, want in zip(got, due, strict=True)] == due


@pytest.mark.parametrize("payload", [32, 64])
@pytest.mark.parametrize("chance", [1, 0.6])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_random_requests(lanes: int, chance: float, payload: int) -> None:
    rng = random.Random(lanes + payload)
    requests = [Request(rng, payload) for _ in range(60)]
    came, _, reads = serve(lanes, requests, chance, lanes)
    same(came, requests)
    paged = [packet for one in requests if one.space in (1, 2) for packet in one.packets()]
    assert reads == sum(word is not None for packet in paged for word in packet[3:])


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_a_beat_per_clock(lanes: int) -> None:
    """Completions of one read, and reads of several beats, follow each other without a gap."""
    rng = random.Random(lanes)
    requests = [Request(rng, 32, space=0, dwords=96) for _ in range(4)]
    for one in requests:
        one.dword = one.dword // 32 * 32
    came, clocks, _ = serve(lanes, requests, 1, 0)
    same(came, requests)
    assert clocks[-1] - clocks[0] + 1 == len(clocks)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("space", [0, 1])
def test_single_dwords_follow_closely(lanes: int, space: int) -> None:
    rng = random.Random(lanes)
    requests = [Request(rng, 32, space=space, dwords=1) for _ in range(8)]
    came, clocks, _ = serve(lanes, requests, 1, 0)
    same(came, requests)
    assert clocks == list(range(clocks[0], clocks[0] + 16, 2))
