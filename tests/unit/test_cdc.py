"""A channel between two clocks, with what simulation leaves out: a bit changing at the clock edge may be seen or not.

Both ends run in one domain with an enable each, so the bench decides when either clock has an edge. When the edge of
the source comes just before that of the destination, the two count as simultaneous, and each wire that changed is seen
new or old by chance.
"""

import random

import pytest
from amaranth.hdl import EnableInserter, Module, Signal
from quick_engine import Simulator

from epbell.cdc import Receiver, Restart, Sender
from epbell_tb.mu_scoreboard import WordScoreboard


class Wire:
    """One wire: what its destination sees."""

    def __init__(self, rng, source, destination):
        self.rng = rng
        self.source, self.destination = source, destination
        self.before = 0

    def carry(self, ctx, simultaneous):
        now = ctx.get(self.source)
        ctx.set(self.destination, self.rng.choice((self.before, now)) if simultaneous else now)

    def edge(self, ctx):
        """Remember the value before an edge of the source."""
        self.before = ctx.get(self.source)


@pytest.mark.parametrize("rates", [(1, 1), (1, 3), (7, 2), (1, 6)])
def test_words_cross_in_spite_of_metastability(rates):
    rng = random.Random(f"cdc {rates}")
    m = Module()
    sender, receiver = Sender(16), Receiver(16)
    write_clock, read_clock = Signal(), Signal()
    m.submodules.sender = EnableInserter(write_clock)(sender)
    m.submodules.receiver = EnableInserter(read_clock)(receiver)
    m.d.comb += [sender.up.eq(1), receiver.up.eq(1), receiver.payload.eq(sender.payload)]
    out = [Wire(rng, sender.toggle, receiver.toggle), Wire(rng, sender.echo, receiver.echo)]
    back = [Wire(rng, receiver.seen, sender.seen), Wire(rng, receiver.taken, sender.taken)]
    board = WordScoreboard("channel", bound=10**9)
    still = 0  # edges of the reader since the payload changed

    async def bench(ctx):
        nonlocal still
        last = None
        while board.rung < 400:
            side = rng.choices(("write", "read"), rates)[0]
            simultaneous = last not in (None, side) and rng.random() < 0.9
            last = side
            for wire in back if side == "write" else out:
                wire.carry(ctx, simultaneous)
            for wire in out if side == "write" else back:
                wire.edge(ctx)
            ctx.set(write_clock, side == "write")
            ctx.set(read_clock, side == "read")
            if side == "write":
                board.empty(not ctx.get(sender.full), just_rung=False)
                ring = rng.random() < 0.15
                ctx.set(sender.write, ring)
                ctx.set(sender.word, board.written + 1 if ring else board.written)
                before = ctx.get(sender.payload)
                await ctx.tick()
                still = 0 if ctx.get(sender.payload) != before else still
                if ring:
                    board.ring(0)
            else:
                full, take = bool(ctx.get(receiver.full)), rng.random() < 0.08
                board.full(full)
                assert not ctx.get(receiver.arrived) or still >= 2, "the word was not still for two clocks"
                ctx.set(receiver.take, take)
                if take:
                    board.take(0, ctx.get(receiver.word))
                await ctx.tick()
                still += 1
        assert board.deliveries > 40

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def test_restart_halts_both_ends_before_it_clears():
    rng = random.Random("restart")
    m = Module()
    ends = Restart(), Restart()
    clocks = Signal(2)
    for n, end in enumerate(ends):
        m.submodules += EnableInserter(clocks[n])(end)
    wires = [
        [Wire(rng, getattr(ends[1 - n], name), getattr(ends[n], f"far_{name}")) for name in ("down", "ack")]
        for n in (0, 1)
    ]

    async def bench(ctx):
        links, last = 0, None
        for step in range(3000):
            n = rng.choices((0, 1), (1, 1 + step // 1000 * 2))[0]
            for wire in wires[n]:
                wire.carry(ctx, last == 1 - n and rng.random() < 0.7)
            for wire in wires[1 - n]:
                wire.edge(ctx)
            last = n
            ctx.set(clocks, 1 << n)
            for end in ends:
                ctx.set(end.request, 0)
            ctx.set(ends[n].request, rng.random() < 0.01)
            up = [ctx.get(end.up) for end in ends]
            clear = [ctx.get(end.clear) for end in ends]
            for one in (0, 1):
                assert not (clear[one] and up[1 - one]), "one end clears while the other looks"
                assert not (clear[one] and up[one])
            links += all(up)
            await ctx.tick()
        assert links > 500

    simulator = Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
