"""Bench of the two-clock Messaging Unit: nothing lost, nothing invented, at every ratio of the clocks.

Parameters come through the environment: ``EPBELL_SEED`` (default: cocotb's), ``EPBELL_MU_LAYOUT``.
"""

import cocotb
from cocotb.triggers import RisingEdge

from epbell_models.reference.mu import MessagingUnit
from epbell_tb import bins_seen
from epbell_tb.benches.mu_env import FAR, NOTHING, RATIOS, Bench, EventCounts, now
from epbell_tb.mu_scoreboard import pack, unpack
from epbell_tb.mu_traffic import Access, Traffic


async def storm(bench, side, clocks, weights):
    """Ring, take, request, acknowledge and look, at random, one clock after the other, and judge what is seen."""
    regs, rng = bench.regs, bench.random
    own, far = bench.words[side.name], bench.words[FAR[side.name]]
    asks, asked = bench.requests[side.name], bench.requests[FAR[side.name]]
    status = {regs.home(group) for group in ("RF", "TE", "GIP")}
    gir = regs.home("GIR")
    rung, requested = set(), set()
    looked = bins_seen.wanted()
    await side.access(NOTHING)
    for _ in range(clocks):
        # The clock edge comes half a period from now; until then, nobody but this side knows of the access.
        time = now() + side.period // 2
        write = read = None
        kind = rng.choices(("ring", "request", "acknowledge", ""), weights[:4])[0]
        look = rng.choices(("take", "status", "control", ""), weights[4:])[0]
        n, k = rng.randrange(4), rng.randrange(4)
        was_rung, was_requested, rung, requested = rung, requested, set(), set()
        if kind == "ring":
            write = regs.offset[f"TR{n}"], pack(own[n].written + 1), 0xF
        elif kind == "request":
            write = gir, regs.mask("GIR", 1 << n), 0xF
        elif kind == "acknowledge":
            write = regs.home("GIP"), regs.mask("GIP", 1 << n), 0xF
        if look == "take":
            read = regs.offset[f"RR{k}"]
        elif look == "status":
            read = rng.choice(sorted(status))
        elif look == "control":
            read = gir
        value = await side.access(Access(write, read, ()))
        if looked and kind in ("request", "acknowledge"):
            bins_seen.see("crossing.request", bench.ratio, side.name, kind, n)
        if looked and kind == "ring":
            bins_seen.see("crossing.word", bench.ratio, side.name, kind, n, int(own[n].written > own[n].delivered))
        if looked and look == "take":
            bins_seen.see("crossing.word", bench.ratio, side.name, look, k, int(far[k].written > far[k].delivered))
        if look == "take":
            far[k].take(time, unpack(value))
        elif look == "status":
            for c in range(4):
                if read == regs.home("RF"):
                    far[c].full(bool(value & regs.mask("RF", 1 << c)))
                if read == regs.home("TE"):
                    own[c].empty(bool(value & regs.mask("TE", 1 << c)), c in was_rung)
                if read == regs.home("GIP"):
                    asked[c].pending(time, bool(value & regs.mask("GIP", 1 << c)))
        elif look == "control":
            for c in range(4):
                asks[c].asked(bool(value & regs.mask("GIR", 1 << c)), c in was_requested)
        # The reads showed the state before the writes.
        if kind == "ring":
            own[n].ring(time)
            rung = {n}
        elif kind == "request":
            asks[n].request(time)
            requested = {n}
        elif kind == "acknowledge":
            asked[n].acknowledge(time)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=list(RATIOS))
async def nothing_lost_nothing_invented(dut, ratio):
    """Storms of different mixtures on both sides, each followed by a look at the state at rest and at the accounts."""
    bench = Bench(dut, ratio)
    await bench.start()
    events = EventCounts(bench) if hasattr(dut, "events_rung") else None  # a port of epbell_tb.mu_probe.MuProbe
    mixtures = [(40, 10, 10, 40, 40, 30, 10, 20), (90, 5, 5, 0, 20, 40, 10, 30), (5, 40, 40, 15, 60, 30, 10, 0)]
    for mixture in (*mixtures, *mixtures):
        await bench.both(lambda side, weights=mixture: storm(bench, side, 250, weights))
        await bench.settle()
        await bench.idle()
        if events:
            events.check(bench.words["b"])
    if events:
        assert min(events.counts["superseded"]) > 0
        assert min(events.counts["merged"]) > 0
    assert all(words.deliveries > 20 and words.rung > words.deliveries for words in bench.words["b"])


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=["1:1", "7:2", "drifting"])
async def equals_the_model_when_spaced(dut, ratio):
    """One random access after the other, each given time to arrive: every read is the single-clock model's."""
    bench = Bench(dut, ratio)
    await bench.start()
    unit, traffic = MessagingUnit(bench.layout), Traffic(bench.layout, bench.random)
    for _ in range(250):
        for name, access in zip("ab", traffic.next(), strict=True):
            seen = await bench.sides[name].access(access)
            step = (access.write, access.read, None, None) if name == "a" else (None, None, access.write, access.read)
            expected = unit.step(*step)[name == "b"]
            for _ in range(8):
                unit.step()
            assert access.read is None or seen == expected, f"{name}: {access} read {seen:#x}, not {expected:#x}"
            await bench.idle()
            assert (bench.dut.a_irq.value == 1, bench.dut.b_irq.value == 1) == (unit.a_irq, unit.b_irq)
            if "MUR" in access.kinds:
                await bench.link()
    for name, side in bench.sides.items():
        for offset in sorted(bench.regs.offset.values()):
            await bench.idle()  # a read of RRn is an event, which EP shows
            assert await side.read(offset) == unit.read32(name, offset), f"{name}: register {offset:#x} at the end"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=list(RATIOS))
async def latency(dut, ratio):
    """RF and its interrupt come at the third clock edge of the reader, TE at the third clock edge of the writer."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    for name, side in bench.sides.items():
        far = bench.sides[FAR[name]]
        for n in range(4):
            await side.write(regs.home("RIE"), 0)
            await far.write(regs.home("RIE"), regs.mask("RIE"))
            await far.write(regs.home("TIE"), regs.mask("RIE") if regs.shared else 0)
            for channel in range(4):
                await far.read(regs.offset[f"RR{channel}"])
            await bench.idle()
            assert far.irq.value == 0
            await side.write(regs.offset[f"TR{n}"], n)
            wrote = now() - side.period // 2
            await RisingEdge(far.irq)
            took = now() - wrote
            assert 2 * far.period <= took <= 3 * far.period, f"RF {took} ps after the write"
            assert await far.read(regs.offset[f"RR{n}"]) == n
            assert far.irq.value == 0, "the level did not drop at once"
            tie = regs.mask("TIE", 1 << n)
            await far.write(regs.home("RIE"), 0)
            await side.write(regs.offset[f"TR{n}"], n)
            await side.write(regs.home("TIE"), tie)
            await bench.idle()
            assert side.irq.value == 0
            await far.read(regs.offset[f"RR{n}"])
            read = now() - far.period // 2
            await RisingEdge(side.irq)
            took = now() - read
            assert 2 * side.period <= took <= 3 * side.period, f"TE {took} ps after the read"
            await side.write(regs.home("TIE"), 0)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=list(RATIOS))
async def nothing_is_under_way_in_time(dut, ratio):
    """EP is 0 at both sides in the time that the documentation gives it, whatever it was that X had to wait for."""
    bench = Bench(dut, ratio)
    await bench.start()
    status, pending = bench.regs.offset["SR"], bench.regs.bit("SR", "EP")
    for name, side in bench.sides.items():
        far = bench.sides[FAR[name]]
        limit = 5 * side.period + 9 * far.period  # docs/mu.md, Latency
        for number in range(60):
            for channel in range(4):
                await far.read(bench.regs.offset[f"RR{channel}"])
            await bench.rested()
            # A word that stays unread, one that comes upon it some clocks later, and one that has to wait for that one.
            await side.write(bench.regs.offset["TR0"], number)
            for _ in range(bench.random.randrange(8)):
                await side.access(NOTHING)
            for _ in range(2):
                await side.write(bench.regs.offset["TR0"], number)
            wrote = now() - side.period // 2

            async def look(here, until=wrote + limit):
                while await here.read(status) & pending:
                    late = now() - here.period // 2 - until
                    assert late < 0, f"EP of {here.name} is 1, {late} ps after it had to be 0"

            await bench.both(look)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=list(RATIOS))
async def flags(dut, ratio):
    """Every value of the flags crosses when FUP is awaited; FUP rises at once; without waiting, the last value wins."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    fup, status = regs.bit("SR", "FUP"), regs.offset["SR"]
    mirror = status if regs.shared else regs.offset["FSR"]
    for name, side in bench.sides.items():
        far, value = bench.sides[FAR[name]], 0
        for _ in range(12):
            value ^= bench.random.randrange(1, 8)
            await side.write(regs.home("F"), value)
            assert await side.read(status) & fup, "FUP did not rise at once"
            while await side.read(status) & fup:
                pass
            assert await far.read(mirror) & 7 == value
        for _ in range(12):
            for _ in range(bench.random.randrange(1, 6)):
                value = bench.random.randrange(8)
                await side.write(regs.home("F"), value)
            await bench.idle()
            assert not await side.read(status) & fup
            assert await far.read(mirror) & 7 == value


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=["1:1", "7:2"])
async def every_register_is_written(dut, ratio):
    """Write all ones to each register and beside it, but not MUR, then zeros: reads of both sides are the model's."""
    bench = Bench(dut, ratio)
    await bench.start()
    unit, regs = MessagingUnit(bench.layout), bench.regs
    everywhere = sorted({*regs.offset.values(), *(1 << bit for bit in range(2, 16)), 0xFFFC})
    for name, side in bench.sides.items():
        for data in (0xFFFFFFFF, 0):
            for offset in everywhere:
                word = data & ~regs.mask("MUR") if offset == regs.home("MUR") else data
                await side.write(offset, word)
                unit.write32(name, offset, word)
                await bench.idle()
                for _ in range(8):
                    unit.step()
                for other, reader in bench.sides.items():
                    seen, expected = await reader.read(offset), unit.read32(other, offset)
                    assert seen == expected, f"{other}: {offset:#x} after {word:#x} by {name}: {seen:#x}"
                    await bench.idle()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=["1:1", "7:2"])
async def answers_wait(dut, ratio):
    """Leave answers waiting: each stays as it is, holds the next request back, and happens once."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    for name, side in bench.sides.items():

        def pin(text, name=name):
            return getattr(dut, f"{name}_axil_{text}")

        for clocks in range(1, 5):
            for n in range(4):
                pin("bready").value = pin("rready").value = 0
                word = bench.random.getrandbits(32)
                write = regs.offset[f"TR{n}"], word, 0xF
                await side.access(Access(write, regs.offset["SR"], ()))
                # Offered at once, and not taken before there is room.
                side.port.drive(Access((write[0], ~word & 0xFFFFFFFF, 0xF), regs.offset["CR"], ()))
                held = side.port.data()
                for _ in range(clocks):
                    await side.falling
                    assert (pin("bvalid").value, pin("rvalid").value) == (1, 1)
                    assert (pin("awready").value, pin("wready").value, pin("arready").value) == (0, 0, 0)
                    assert side.port.data() == held
                side.port.drive(NOTHING)
                pin("bready").value = pin("rready").value = 1
                await side.falling
                assert (pin("bvalid").value, pin("rvalid").value) == (0, 0)
                await bench.idle()
                assert await bench.sides[FAR[name]].read(regs.offset[f"RR{n}"]) == word
                await bench.idle()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=["1:1", "2:7", "7:2"])
async def event_pending(dut, ratio):
    """EP rises at once at the side that writes a word, asks, or answers either, on any channel; at rest it is 0."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    status, pending, shared = regs.offset["SR"], regs.bit("SR", "EP"), regs.shared
    for name, side in bench.sides.items():
        far = bench.sides[FAR[name]]
        for n in range(4):
            word = Access((regs.offset[f"TR{n}"], bench.random.getrandbits(32), 0xF), None, ())
            request = Access((regs.home("GIR"), regs.mask("GIR", 1 << n), 0xF), None, ())
            take = Access(None, regs.offset[f"RR{n}"], ())
            clear = Access((regs.home("GIP"), regs.mask("GIP", 1 << n), 0xF), None, ())
            for who, access in ((side, word), (far, take), (side, request), (far, clear)):
                await bench.rested()
                seen = {one: await one.read(status) for one in bench.sides.values()}
                assert not any(value & pending for value in seen.values()), "EP is 1 at rest"
                # The summaries in V2's SR, at the side that is to answer.
                for answer, summary in ((take, "RFP"), (clear, "GIRP")) if not shared else ():
                    shown = bool(seen[far] & regs.bit("SR", summary))
                    assert shown == (access is answer), f"{summary} of {far.name} is {shown}, channel {n}"
                await who.access(access)
                assert await who.read(status) & pending, f"EP of {who.name} did not rise at once: {access}"
            if not shared:
                # The summary in V2's SR: a transmit register is empty that may interrupt.
                await bench.rested()
                await side.write(regs.home("TIE"), regs.mask("TIE", 1 << n))
                assert await side.read(status) & regs.bit("SR", "TEP"), f"TEP is 0, and TE{n} may interrupt"
                await side.write(regs.home("TIE"), 0)
                assert not await side.read(status) & regs.bit("SR", "TEP"), "TEP is 1, and nothing may interrupt"
