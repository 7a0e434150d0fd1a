"""Bench of the two-clock Messaging Unit through resets: MUR from either side, either ``rst``, in the middle of traffic.

Parameters come through the environment: ``EPBELL_SEED`` (default: cocotb's), ``EPBELL_MU_LAYOUT``.
"""

from itertools import product

import cocotb
from cocotb.triggers import Timer

from epbell_tb.benches.mu_env import FAR, NOTHING, RATIOS, Bench, now
from epbell_tb.mu_scoreboard import pack, unpack
from epbell_tb.mu_traffic import Access

_MOST = 8
"""Clocks from one MUR to the next."""

# What each side does in the middle of the traffic.
EPISODES = [
    ("mur", ""),
    ("", "mur"),
    ("mur", "mur"),
    ("rst", ""),
    ("", "rst"),
    ("rst", "rst"),
    ("mur", "rst"),
    ("rst", "mur"),
]


class Story:
    """Words of one channel in one episode: the last one written in all, before and after the event, and read.

    They are numbered from ``first`` on; RR may still have older ones.
    """

    def __init__(self, first):
        self.written = self.before = self.after = self.delivered = first


async def turmoil(bench, side, stories, event):
    """Write and read words, set enables and flags at random; have the event happen somewhere in the middle."""
    regs, rng = bench.regs, bench.random
    own, far = stories[side.name], stories[FAR[side.name]]
    moment = rng.randrange(20, 40)
    await side.access(NOTHING)
    for clock in range(60):
        n, k = rng.randrange(4), rng.randrange(4)
        write = read = None
        if clock == moment and event:
            for story in own:
                story.before = story.written
            if event == "rst":
                side.reset.value = 1
                for _ in range(rng.randrange(1, 8)):
                    await side.falling
                side.reset.value = 0
                continue
            for story in far:
                story.before = story.written
            await side.write(regs.home("MUR"), regs.mask("MUR"))
            for story in own:
                story.after = story.written
            continue
        kind = rng.choice(("ring", "ring", "enable", "flags", "request", "acknowledge", ""))
        if kind == "ring":
            own[n].written += 1
            write = regs.offset[f"TR{n}"], pack(own[n].written), 0xF
        elif kind == "enable":
            write = regs.home("RIE"), regs.mask("RIE"), 0xF
        elif kind == "flags":
            write = regs.home("F"), rng.randrange(8), 0xF
        elif kind == "request":
            write = regs.home("GIR"), regs.mask("GIR", 1 << n), 0xF
        elif kind == "acknowledge":
            write = regs.home("GIP"), regs.mask("GIP", 1 << n), 0xF
        if rng.random() < 0.3:
            read = regs.offset[f"RR{k}"]
        value = await side.access(Access(write, read, ()))
        if read is not None:
            number = unpack(value)
            assert number <= far[k].written, f"{side.name}: word {number} was never written"
            far[k].delivered = max(far[k].delivered, number)


async def look(bench):
    """Read the state of both sides at rest; RR last, which changes it."""
    regs, seen = bench.regs, {}
    for name, side in bench.sides.items():
        for group in ("RF", "TE", "GIP", "GIR", "RIE"):
            seen[name, group] = regs.channels(group, await side.read(regs.home(group)))
        seen[name, "F"] = await side.read(regs.home("F")) & 7
        seen[name, "mirror"] = await side.read(regs.offset["SR" if regs.shared else "FSR"]) & 7
        seen[name, "MURIP"] = not regs.shared and bool(await side.read(regs.offset["SR"]) & 2)
    for name, side in bench.sides.items():
        seen[name, "RR"] = [unpack(await side.read(regs.offset[f"RR{n}"])) for n in range(4)]
    return seen


def judge(name, seen, stories, events):
    """Judge the direction from one side to the other at rest."""
    far = FAR[name]
    mine, theirs = events[name], events[far]
    assert seen[far, "mirror"] == seen[name, "F"], "the mirror does not show the flags"
    for n, story in enumerate(stories[name]):
        what = f"{name} TR{n}, {mine or 'nothing'} here, {theirs or 'nothing'} there, {vars(story)}"
        full, empty = (bool(seen[key] >> n & 1) for key in ((far, "RF"), (name, "TE")))
        word = seen[far, "RR"][n]
        pending, asked = (bool(seen[key] >> n & 1) for key in ((far, "GIP"), (name, "GIR")))
        assert empty or full, f"{what}: TE and RF are both 0, the word is lost"
        assert pending or not asked, f"{what}: GIR is 1 and GIP 0, the request is lost"
        if mine != "rst":
            assert full or empty, f"{what}: RF is 1 and TE too"
            assert asked or not pending, f"{what}: GIP is 1 and GIR 0"
            assert full != empty, f"{what}: TE and RF are both {full}"
        if not full:
            continue
        assert word <= story.written
        if theirs != "rst":
            assert word > story.delivered, f"{what}: word {word} is presented again"
        if "mur" in (mine, theirs):
            assert word > story.before or "rst" in (mine, theirs), f"{what}: word {word} has survived MUR"
    for n, story in enumerate(stories[name]):
        kept = (mine == "" and theirs == "rst") or (mine == "mur" and theirs == "" and story.written > story.after)
        kept = kept or (mine == "rst" and theirs == "" and story.written > story.before)
        if kept and story.delivered < story.written:
            full, word = seen[far, "RF"] >> n & 1, seen[far, "RR"][n]
            assert (full, word) == (1, story.written), f"{name} TR{n}: word {story.written} is lost, {vars(story)}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=list(RATIOS))
async def resets(dut, ratio):
    """Every combination of resets: what was written afterwards arrives, what was reset does not come back."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    for number, episode in enumerate(EPISODES * 4):
        events = dict(zip("ab", episode, strict=True))
        stories = {name: [Story(100 + 100 * number) for _ in range(4)] for name in "ab"}
        await bench.both(lambda side, s=stories, e=events: turmoil(bench, side, s, e[side.name]))
        await bench.link()
        await bench.idle()
        seen = await look(bench)
        for name in "ab":
            judge(name, seen, stories, events)
            if events == {name: "mur", FAR[name]: ""} and not regs.shared:
                assert (seen[name, "MURIP"], seen[FAR[name], "MURIP"]) == (False, True)
        await clean(bench)


async def clean(bench):
    """Start again with MUR, and see that everything is in its reset state and works."""
    regs = bench.regs
    side = bench.sides[bench.random.choice("ab")]
    await side.write(regs.home("MUR"), regs.mask("MUR"))
    assert await side.in_reset(), "MURS is 0 right after MUR"
    took = await bench.link()
    assert took < 5_000_000, f"MUR took {took} ps"
    await bench.idle()
    seen = await look(bench)
    for name in "ab":
        state = [seen[name, group] for group in ("RF", "TE", "GIP", "GIR", "RIE", "F", "mirror", "RR")]
        assert state == [0, 0xF, 0, 0, 0, 0, 0, [0] * 4], f"{name}: {seen}"
        if not regs.shared:
            await bench.sides[name].write(regs.offset["SR"], 2)
    for n in range(4):
        for name, side in bench.sides.items():
            await side.write(regs.offset[f"TR{n}"], pack(n + 1))
            await bench.idle()
            assert unpack(await bench.sides[FAR[name]].read(regs.offset[f"RR{n}"])) == n + 1
    await bench.idle()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=["1:1", "2:7", "drifting"])
async def far_side_off(dut, ratio):
    """While one side is held in reset the other reads RS or MURS, and what it writes arrives afterwards."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    for name, channels in product("ab", (0b0101, 0b1010)):
        side, far = bench.sides[name], bench.sides[FAR[name]]
        await far.access(NOTHING)
        far.reset.value = 1
        await Timer(4 * bench.bound, unit="ps")
        assert await side.in_reset(), "RS is 0 while the far side is in reset"
        start = now()
        for n in range(4):
            await side.write(regs.offset[f"TR{n}"], pack(7))
            await side.write(regs.offset[f"TR{n}"], pack(n + 1))
        await side.write(regs.home("GIR"), regs.mask("GIR", channels))
        assert regs.channels("TE", await side.read(regs.home("TE"))) == 0
        assert await side.in_reset()
        assert now() > start
        await far.access(NOTHING)
        far.reset.value = 0
        await bench.link()
        await bench.idle()
        assert regs.channels("RF", await far.read(regs.home("RF"))) == 0xF
        assert regs.channels("GIP", await far.read(regs.home("GIP"))) == channels
        assert [unpack(await far.read(regs.offset[f"RR{n}"])) for n in range(4)] == [1, 2, 3, 4]
        await far.write(regs.home("GIP"), regs.mask("GIP"))
        await bench.idle()
        assert regs.channels("TE", await side.read(regs.home("TE"))) == 0xF
        assert regs.channels("GIR", await side.read(regs.home("GIR"))) == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(ratio=["1:1", "7:2"])
async def mur_twice(dut, ratio):
    """MUR again while the one before is on its way: what the far side has written in between is gone as well."""
    bench = Bench(dut, ratio)
    await bench.start()
    regs = bench.regs
    again = Access((regs.home("MUR"), regs.mask("MUR"), 0xF), None, ())
    for (name, side), clocks in product(bench.sides.items(), range(_MOST)):
        far = bench.sides[FAR[name]]
        writes = [True]

        async def keep_writing(far=far, writes=writes):
            while writes:
                await far.write(regs.home("RIE"), regs.mask("RIE"))

        writing = cocotb.start_soon(keep_writing())
        await side.access(again)
        for _ in range(clocks):
            await side.access(NOTHING)
        await side.access(again)
        writes.clear()
        await writing
        await bench.link()
        await bench.idle()
        enables = regs.channels("RIE", await far.read(regs.home("RIE")))
        assert enables == 0, f"{far.name} has not been reset by MUR of {name}, again after {clocks} clocks"
