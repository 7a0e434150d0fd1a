"""Messages and what they are about: beats on the endpoint's streams, pins, the CPU's accesses, LEDs."""

from random import Random

import pytest
from simulate import simulate

from epbell.serial.collector import Collector
from epbell.serial.leds import EVENTS, Leds
from epbell.serial.manager import Manager
from epbell.serial.player import Player
from epbell_tb.endpoint.packets import MEM_READ, MEM_WRITE
from epbell_tb.native.beats import Placed, answer, request
from epbell_tb.native.wire import BEAT
from epbell_tb.serial.frames import Kind, dwords
from epbell_tb.serial.pins import FromBoard, ToBoard

PLACE = Placed(1, 16 << 10, 0x1_C000_0010)


def header(kind, words):
    return kind | len(words) << 16


async def give(ctx, dut, kind, words):
    """Hand a message to the player; it has taken it when this returns."""
    every = [header(kind, words), *words]
    for index, word in enumerate(every):
        ctx.set(dut.messages.word, word)
        ctx.set(dut.messages.first, index == 0)
        ctx.set(dut.messages.last, index == len(every) - 1)
        ctx.set(dut.messages.valid, 1)
        await ctx.tick().until(dut.messages.ready)
        ctx.set(dut.messages.valid, 0)
        await ctx.tick()


def packets(lanes, source):
    """Requests and completions as the wire tier makes them: kind, first dword, packet, payload."""
    for length in (1, 2, 3, 7, 32):
        data = source.randbytes(4 * length)
        last = 0xF if length > 1 else 0
        yield Kind.CQ_CC, 0xF | last << 4, request(lanes, MEM_WRITE, PLACE, length, 0xF, last, payload=True), data
    yield Kind.CQ_CC, 0x3C, request(lanes, MEM_READ, PLACE, 5, 0xC, 0x3, tag=9), b""
    bad = request(lanes, MEM_WRITE, PLACE, 3, 0xF, 0xF, payload=True, discontinue=True)
    yield Kind.CQ_CC, 0x1FF, bad, source.randbytes(12)
    yield Kind.RC_RQ, 0, answer(lanes, 7, address=0x1234), source.randbytes(4)


def seen_of(user, kind, wide):
    """The bits of ``tuser`` that the endpoint looks at (AMD PG213)."""
    if kind == Kind.RC_RQ:
        bits = (64, 96) if wide else (32, 42)
    elif wide:
        bits = (*range(4), *range(8, 12), 80, 96, *range(97, 111))
    else:
        bits = (*range(8), 40, 41, *range(42, 53))
    return [user >> bit & 1 for bit in bits]


@pytest.mark.parametrize("width", [64, 256, 512])
def test_packets_to_the_streams(width):
    """The same packets as the wire tier's, beat by beat, whenever the endpoint takes them."""
    dut, source, lanes = Player(width), Random(width), width // 32
    sent = list(packets(lanes, source))
    expected, found = [], []
    for kind, _, packet, data in sent:
        packed = packet.packed(data)
        for first in range(0, len(packed), BEAT.size):
            _, keep, last, user, beat = BEAT.unpack_from(packed, first)
            mask = sum(0xFFFF_FFFF << 32 * lane for lane in range(lanes) if keep >> lane & 1)
            line = int.from_bytes(beat[: width // 8], "little") & mask
            expected.append((kind, line, keep, last, seen_of(int.from_bytes(user, "little"), kind, width == 512)))

    async def look(ctx):
        while True:
            for stream in (dut.cq, dut.rc):
                ctx.set(stream.tready, source.random() < 0.6)
            names = "tdata", "tkeep", "tlast", "tuser", "tvalid", "tready"
            pins = [getattr(stream, name) for stream in (dut.cq, dut.rc) for name in names]
            values = (await ctx.tick().sample(*pins))[-len(pins) :]
            for kind, beat in ((Kind.CQ_CC, values[: len(names)]), (Kind.RC_RQ, values[len(names) :])):
                tdata, tkeep, tlast, tuser, tvalid, tready = beat
                if tvalid and tready:
                    mask = sum(0xFFFF_FFFF << 32 * lane for lane in range(lanes) if tkeep >> lane & 1)
                    found.append((kind, tdata & mask, tkeep, tlast, seen_of(tuser, kind, width == 512)))

    async def bench(ctx):
        for kind, side, packet, data in sent:
            await give(ctx, dut, kind, (side, *dwords(packet.descriptor + data)))
        await ctx.tick().repeat(20)

    run_with(dut, bench, look)
    assert found == expected


def run_with(dut, bench, look):
    from quick_engine import Simulator

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.add_testbench(look, background=True)
    simulator.run()


def test_pins_and_registers():
    dut = Player(64)

    async def bench(ctx):
        levels = ToBoard(function_status=6, power_state=1, msi_enable=1, msi_multiple=5, msi_mask=0x8000_0001)
        pulsed = levels.changed(msi_sent=1, intx_sent=1, rd_abort=0x80, wr_done=1)
        ctx.set(dut.messages.valid, 0)
        words = pulsed.words()
        for index, word in enumerate([header(Kind.PINS, words), *words]):
            ctx.set(dut.messages.word, word)
            ctx.set(dut.messages.first, index == 0)
            ctx.set(dut.messages.last, index == 3)
            ctx.set(dut.messages.valid, 1)
            await ctx.tick().until(dut.messages.ready)
        ctx.set(dut.messages.valid, 0)
        shown = []
        for _ in range(4):
            await ctx.tick()
            pins = ctx.get(dut.pins)
            shown.append(tuple(int(getattr(pins, name)) for name in ("msi_sent", "intx_sent", "rd_abort", "wr_done")))
            assert (pins.msi_mask, pins.msi_multiple, pins.function_status) in ((0x8000_0001, 5, 6), (0, 0, 0))
        assert shown.count((1, 1, 0x80, 1)) == 1
        assert shown.count((0, 0, 0, 0)) == 3
        assert pins.power_state == pins.msi_enable == 1
        assert not any((pins.msi_fail, pins.msix_enable, pins.flr_in_process))
        for number in range(6):
            await give(ctx, dut, Kind.CONFIG, (number, 0xC000_0000 + number))
        await ctx.tick().repeat(3)
        assert [ctx.get(bar) for bar in dut.bars] == [0xC000_0000 + number for number in range(6)]

    simulate(dut, bench)


def test_settle():
    """It is told after so many quiet clocks in a row, and not before."""
    dut = Player(64)

    async def bench(ctx):
        ctx.set(dut.quiet, 1)
        await give(ctx, dut, Kind.SETTLE, (30,))
        await ctx.tick().repeat(10)
        ctx.set(dut.quiet, 0)
        await ctx.tick().repeat(5)
        ctx.set(dut.quiet, 1)
        for _ in range(29):
            assert not ctx.get(dut.settled)
            await ctx.tick()
        await ctx.tick().repeat(3)
        assert ctx.get(dut.settled)
        assert not ctx.get(dut.messages.ready)
        ctx.set(dut.settled_taken, 1)
        await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.messages.ready)

    simulate(dut, bench)


def test_unknown_and_empty_messages():
    """They are nothing: what comes after them is done."""
    dut = Player(64)

    async def bench(ctx):
        ctx.set(dut.cq.tready, 1)
        for kind, words in ((15, (1, 2, 3, 4, 5)), (Kind.CQ_CC, ()), (Kind.CQ_CC, (1,)), (12, (7, 7)), (10, ())):
            await give(ctx, dut, kind, words)
            await ctx.tick().repeat(4)
            assert not ctx.get(dut.cq.tvalid)
            assert not ctx.get(dut.access_valid)
        await give(ctx, dut, Kind.CONFIG, (2, 0x55))
        await ctx.tick().repeat(3)
        assert ctx.get(dut.bars[2]) == 0x55

    simulate(dut, bench)


def test_an_access_waits_for_the_one_before():
    dut = Player(64)

    async def bench(ctx):
        await give(ctx, dut, Kind.CPU, (0x1F, 0x5F01_0040, 0x1234_5678))
        for _ in range(5):
            assert ctx.get(dut.access_valid)
            assert not ctx.get(dut.messages.ready)
            await ctx.tick()
        access = ctx.get(dut.access)
        assert (access.strobes, access.write, access.address, access.data) == (0xF, 1, 0x5F01_0040, 0x1234_5678)
        ctx.set(dut.access_ready, 1)
        await ctx.tick()
        assert not ctx.get(dut.access_valid)

    simulate(dut, bench)


class Post:
    """The outbox's other side: messages as they are written."""

    def __init__(self, dut):
        self.dut, self.found, self._words = dut, [], {}

    async def look(self, ctx):
        source = Random(1)
        while True:
            outbox = self.dut.outbox
            ctx.set(outbox.room, source.random() < 0.5)
            pins = outbox.write, outbox.place, outbox.word, outbox.done, outbox.kind, outbox.length
            *_, write, place, word, done, kind, length = await ctx.tick().sample(*pins)
            if write:
                self._words[place] = word
            if done:
                words = tuple(self._words.pop(place) for place in range(1, length + 1))
                assert not self._words
                self.found.append((kind.value, words))


@pytest.mark.parametrize("width", [64, 256, 512])
def test_packets_of_the_streams(width):
    dut, source, lanes = Collector(width), Random(width), width // 32
    post = Post(dut)
    expected = {Kind.CQ_CC: [], Kind.RC_RQ: []}

    async def play(ctx, stream, kind, count):
        for _ in range(count):
            words = [source.getrandbits(32) for _ in range(source.randrange(3, 36))]
            enables = source.getrandbits(8)
            side = (enables,) if kind == Kind.RC_RQ else ()
            user = enables & 0xF | (enables >> 4) << (8 if width == 512 else 4)
            expected[kind].append((*side, *words))
            for first in range(0, len(words), lanes):
                beat = words[first : first + lanes]
                ctx.set(stream.tdata, sum(word << 32 * lane for lane, word in enumerate(beat)))
                ctx.set(stream.tkeep, (1 << len(beat)) - 1)
                ctx.set(stream.tlast, first + lanes >= len(words))
                ctx.set(stream.tuser, user if side and not first else 0)
                ctx.set(stream.tvalid, 1)
                await ctx.tick().until(stream.tready)
            ctx.set(stream.tvalid, 0)
            await ctx.tick().repeat(source.randrange(1, 30))

    async def cc(ctx):
        await play(ctx, dut.cc, Kind.CQ_CC, 8)
        await ctx.tick().repeat(100)

    async def rq(ctx):
        await play(ctx, dut.rq, Kind.RC_RQ, 8)
        await ctx.tick().repeat(100)

    from quick_engine import Simulator

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    for testbench in (cc, rq):
        simulator.add_testbench(testbench)
    simulator.add_testbench(post.look, background=True)
    simulator.run()
    for kind, messages in expected.items():
        assert [words for found, words in post.found if found == kind] == messages
    assert len(post.found) == 16


def test_pins_of_the_endpoint():
    """Every MSI that is asked for is told, also one that comes while there is no place, and the last of the levels."""
    dut = Collector(64)
    post = Post(dut)

    async def bench(ctx):
        assert ctx.get(dut.quiet)
        ctx.set(dut.pins.irq_mu, 1)
        assert not ctx.get(dut.quiet)
        for vector in (0, 31, 5):
            ctx.set(dut.pins.msi, 1 << vector)
            await ctx.tick()
            ctx.set(dut.pins.msi, 0)
            await ctx.tick()
        await ctx.tick().repeat(60)
        ctx.set(dut.pins.irq_mu, 0)
        ctx.set(dut.pins.msi_pending, 0x10)
        ctx.set(dut.pins.intx, 1)
        await ctx.tick().repeat(60)
        assert ctx.get(dut.quiet)

    run_with(dut, bench, post.look)
    assert {kind for kind, _ in post.found} == {Kind.PINS}
    told = [FromBoard.of(words) for _, words in post.found]
    msi = 0
    for pins in told:
        assert not msi & pins.msi
        msi |= pins.msi
    assert msi == 1 | 1 << 31 | 1 << 5
    assert told[0].irq_mu
    assert told[-1] == FromBoard(False, False, True, False, False, 0, 0x10)


def test_the_cpu_makes_accesses():
    dut, source = Manager(), Random(4)
    bus, memory = dut.axil, {}

    async def endpoint(ctx):
        """Take address and data in any order, answer some clocks later."""
        while True:
            *_, write, read = await ctx.tick().sample(bus.awvalid, bus.arvalid)
            if write:
                channels = [(bus.awready, bus.awvalid), (bus.wready, bus.wvalid)]
                for ready, valid in source.sample(channels, 2):
                    assert ctx.get(valid)
                    address, word, strobes = ctx.get(bus.awaddr), ctx.get(bus.wdata), ctx.get(bus.wstrb)
                    ctx.set(ready, 1)
                    await ctx.tick()
                    ctx.set(ready, 0)
                memory[address] = (word, strobes)
                ctx.set(bus.bvalid, 1)
                ctx.set(bus.bresp, address >> 8 & 3)
                await ctx.tick()
                ctx.set(bus.bvalid, 0)
            elif read:
                ctx.set(bus.arready, 1)
                await ctx.tick()
                ctx.set(bus.arready, 0)
                await ctx.tick().repeat(3)
                ctx.set(bus.rvalid, 1)
                ctx.set(bus.rdata, ctx.get(bus.araddr) ^ 0xFFFF_FFFF)
                ctx.set(bus.rresp, 3)
                await ctx.tick()
                ctx.set(bus.rvalid, 0)

    async def bench(ctx):
        for number in range(12):
            write, address, word = number % 3 > 0, number << 8, source.getrandbits(32)
            ctx.set(dut.access.write, write)
            ctx.set(dut.access.strobes, 1 << number % 4)
            ctx.set(dut.access.address, address)
            ctx.set(dut.access.data, word)
            ctx.set(dut.valid, 1)
            await ctx.tick().until(dut.ready)
            ctx.set(dut.valid, 0)
            while not ctx.get(dut.answered):
                await ctx.tick()
            answered = ctx.get(dut.answer)
            assert answered.response == (number & 3 if write else 3)
            if write:
                assert memory[address] == (word, 1 << number % 4)
            else:
                assert answered.data == address ^ 0xFFFF_FFFF
            await ctx.tick().repeat(source.randrange(1, 4))
            assert ctx.get(dut.answered)
            assert not ctx.get(dut.ready)
            ctx.set(dut.taken, 1)
            await ctx.tick()
            ctx.set(dut.taken, 0)
            assert not ctx.get(dut.answered)

    run_with(dut, bench, endpoint)


@pytest.mark.parametrize("event", EVENTS)
def test_leds(event):
    """Its own LED is lit at once and for one to two periods, and no other one."""
    dut = Leds(bits=5)

    async def bench(ctx):
        await ctx.tick().repeat(9)
        ctx.set(getattr(dut, event), 1)
        await ctx.tick()
        ctx.set(getattr(dut, event), 0)
        lit = 0
        while ctx.get(dut.leds):
            assert ctx.get(dut.leds) == 1 << EVENTS.index(event)
            lit += 1
            await ctx.tick()
        assert 32 <= lit <= 64

    simulate(dut, bench)
