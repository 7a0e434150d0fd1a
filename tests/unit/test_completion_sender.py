"""Completions on the CC stream: once begun, a packet goes on to its end; nothing is lost, and no clock is wasted."""

import random

import pytest
from quick_engine import Simulator
from simulate import simulate
from torn_memory import TornMemory

from epbell.pcie.completion import CompletionSender
from epbell.pcie.usp import WIDTHS
from epbell.ram import READ_CLOCKS

LARGEST = 3 + 256


def packets(rng, count):
    sizes = [3, 4, LARGEST, 5, LARGEST, LARGEST, *(rng.choice((3, 4, 5, 11, 19, 35, LARGEST)) for _ in range(count))]
    return [[rng.getrandbits(32) for _ in range(size)] for size in sizes]


def beats(packet, lanes):
    """How the reader hands a packet over: descriptor and data in their lanes, and which come from the RAM: any."""
    found = []
    for start in range(0, len(packet), lanes):
        words = packet[start : start + lanes]
        found.append((start == 0, start + lanes >= len(packet), len(words), words[-1] % (1 << lanes), words))
    return found


def run(width, wanted, comes, takes):
    """Send packets; return those that came out, the clocks of their beats, and those of their last beats' arrival."""
    lanes = width // 32
    dut = CompletionSender(width)
    came, seen, arrived = [], [], []

    async def testbench(ctx):
        queue = [beat for packet in wanted for beat in beats(packet, lanes)]
        allowed, packet, clock = [True] * READ_CLOCKS, [], 0
        while len(came) < len(wanted):
            give = bool(queue) and allowed.pop(0) and comes()
            ctx.set(dut.valid, give)
            if give:
                first, last, count, from_ram, words = queue.pop(0)
                mine = [0 if from_ram >> lane & 1 else word for lane, word in enumerate(words)]
                ram = [word if from_ram >> lane & 1 else 0 for lane, word in enumerate(words)]
                beat = {"first": first, "last": last, "count": count, "from_ram": from_ram}
                ctx.set(dut.beat, {**beat, "words": [*mine, *[0] * (lanes - count)]})
                ctx.set(dut.ram_data, [*ram, *[0] * (lanes - count)])
                if last:
                    arrived.append(clock)
            ctx.set(dut.cc.tready, takes())
            allowed = [*allowed, ctx.get(dut.room)][-READ_CLOCKS:]
            if ctx.get(dut.cc.tvalid):
                assert not ctx.get(dut.empty)
                user = ctx.get(dut.cc.tuser)
                if ctx.get(dut.cc.tready):
                    seen.append(clock)
                    keep, data = ctx.get(dut.cc.tkeep), ctx.get(dut.cc.tdata)
                    if width == 512:
                        begins, ends = user & 1, user >> 6 & 1
                        assert (begins, ends) == (not packet, ctx.get(dut.cc.tlast))
                        assert user >> 8 == (keep.bit_length() - 1 if ends else 0)
                    packet += [data >> 32 * lane & 0xFFFFFFFF for lane in range(lanes) if keep >> lane & 1]
                    if ctx.get(dut.cc.tlast):
                        came.append(packet)
                        packet = []
            else:
                assert not packet, "tvalid fell within a packet"
            clock += 1
            assert clock < 100_000, "stuck"
            await ctx.tick()
        assert ctx.get(dut.empty)

    simulator = Simulator(dut)
    simulator.add_clock(4e-9)
    simulator.add_testbench(testbench)
    simulator.run()
    return came, seen, arrived


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("comes", "takes"), [(1, 1), (0.3, 1), (1, 0.3), (0.5, 0.5)])
def test_packets_are_whole(width, comes, takes, monkeypatch):
    """Of a memory, too, that gives anything for what is being written: no beat is read in the clock of its write."""
    monkeypatch.setattr("epbell.pcie.completion.Memory", TornMemory)
    rng = random.Random(width)
    wanted = packets(rng, 20)
    came, _, _ = run(width, wanted, lambda: rng.random() < comes, lambda: rng.random() < takes)
    assert came == wanted


@pytest.mark.parametrize("width", WIDTHS)
def test_a_clock_for_each_beat(width):
    """A packet begins four clocks after its last beat has come; large ones follow unbroken."""
    rng = random.Random(width)
    lanes = width // 32
    single = packets(rng, 0)[0][: min(3, lanes)] if lanes > 2 else None
    long = [[rng.getrandbits(32) for _ in range(LARGEST)] for _ in range(4)]
    for wanted in ([single] if single else [], [long[0]], long):
        if not wanted:
            continue
        came, seen, arrived = run(width, wanted, lambda: True, lambda: True)
        assert came == wanted
        assert seen[0] == arrived[0] + 4
        assert seen == list(range(seen[0], seen[0] + sum(len(beats(packet, lanes)) for packet in wanted)))


def test_a_beat_without_room_is_seen():
    """The reader's promise is asserted in the RTL: a beat that there is no room for ends the simulation."""
    dut = CompletionSender(512)

    async def bench(ctx):
        ctx.set(dut.valid, 1)
        while ctx.get(dut.room):
            await ctx.tick()
        for _ in range(READ_CLOCKS + 2):
            await ctx.tick()

    with pytest.raises(AssertionError, match="without room"):
        simulate(dut, bench)


def test_a_payload_has_a_dword():
    with pytest.raises(ValueError, match="1 dword or more, not 0"):
        CompletionSender(64, 0)
