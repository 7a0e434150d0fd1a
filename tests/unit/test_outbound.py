"""The way to host memory, at every width: windows, requests bit by bit, completions of every kind, order, stalls."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import requester_packets
from outbound_rig import (
    ABORT,
    BASE,
    BUS_MASTER_OFF,
    CTRL1,
    CTRL2,
    DECERR,
    ENABLE,
    INCREASE,
    LIMIT,
    LOWER_BASE,
    LOWER_TARGET,
    MALFORMED,
    NO_WINDOW,
    OKAY,
    POISONED,
    SIZE,
    SLVERR,
    TIMED_OUT,
    TIMEOUT,
    UNSUPPORTED,
    UPPER_TARGET,
    Interrupt,
    Rig,
    Write,
)
from requester_packets import CA, CRS, FUNCTION_RESET, UR, WIDTHS, Reply, Sent, bad, good, notice

from epbell.outbound import Outbound

TARGET = 0x12_3456_7000

every_width = pytest.mark.parametrize("width", WIDTHS)


async def everything(rig: Rig, target: int = TARGET) -> None:
    """One window over the whole aperture."""
    await rig.map(0, BASE, BASE + SIZE - 1, target)


def memory(rig: Rig) -> None:
    """A host that answers each read with its address."""
    rig.host = lambda sent: () if sent.write else (good(sent.tag, sent.address & 0xFFFF_FFFF),)


@every_width
@pytest.mark.parametrize("target", [0x8000_0000, 0xFFFF_F000, 0x1_0000_0000, TARGET, 0xFFFF_FFFF_0000_0000])
def test_every_strobe_pattern_below_and_above_4_gib(width: int, target: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig, target)
        for strobes in range(16):
            rig.writes.append(Write(BASE + 0x10 + 4 * strobes, 0xA5A5_0000 + strobes, strobes))
        await rig.drain()
        assert [sent for _, sent in rig.sent] == [
            Sent(True, target + 0x10 + 4 * strobes, strobes, 0xA5A5_0000 + strobes) for strobes in range(1, 16)
        ]
        assert rig.errors == [OKAY] * 16
        assert rig.failed == 0

    Rig(width).run(bench)


@every_width
def test_latencies(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        for queue, item in (
            (rig.writes, Write(BASE, 1)),
            (rig.interrupts, Interrupt(0xFEE0_0000, 2)),
            (rig.reads, BASE + 8),
        ):
            await rig.step(10)
            queue.append(item)
            await rig.step(10)
            assert rig.sent[-1][0] - rig.taken[-1][0] == 2
        assert len(rig.sent) == 3
        assert rig.answers[0].clock - rig.reply_ends[0] == 2
        rig.writes.append(Write(BASE - 4, 1))
        rig.reads.append(BASE - 8)
        await rig.step(10)
        assert rig.failures == [(NO_WINDOW, BASE - 4), (NO_WINDOW, BASE - 8)]
        assert rig.answers[-1].clock == rig.taken[-1][0] + 2

    Rig(width).run(bench)


@every_width
def test_back_to_back(width: int) -> None:
    """The stream is the only limit."""
    period = {64: 3, 128: 2, 256: 1, 512: 1}[width]

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(40))
        await rig.drain()
        clocks = [clock for clock, _ in rig.sent]
        assert [b - a for a, b in itertools.pairwise(clocks)] == [period] * 39

    Rig(width).run(bench)


@every_width
def test_reads_and_their_data(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        addresses = [BASE + 4 * n for n in range(20)] + [BASE + 0xFFC, BASE + 0x1000, BASE + SIZE - 4]
        rig.reads.extend(addresses)
        await rig.drain()
        assert [sent for _, sent in rig.sent] == [
            Sent(False, TARGET + address - BASE, 0xF, None, tag=n % 32) for n, address in enumerate(addresses)
        ]
        assert [a.data for a in rig.answers] == [TARGET + address - BASE & 0xFFFF_FFFF for address in addresses]
        assert {a.error for a in rig.answers} == {OKAY}
        assert rig.failed == rig.unexpected == 0

    Rig(width).run(bench)


@every_width
def test_window_edges(width: int) -> None:
    """One byte before the base and one behind the limit nothing is reached; no request crosses 4 KiB."""

    async def bench(rig: Rig) -> None:
        memory(rig)
        await rig.map(2, BASE + 0x3123, BASE + 0x5ABC, TARGET + 0xEEF)  # the low 12 bits are not there
        inside = [BASE + 0x3000, BASE + 0x3FFC, BASE + 0x4000, BASE + 0x5FFC]
        outside = [0, BASE, BASE + 0x2FFC, BASE + 0x6000, BASE + SIZE - 4, 0xFFFF_FFFC]
        rig.writes.extend(Write(address, 7) for address in inside + outside)
        rig.reads.extend(inside + outside)
        await rig.drain()
        assert rig.errors == [OKAY] * 4 + [DECERR] * 6
        assert [a.error for a in rig.answers] == [OKAY] * 4 + [DECERR] * 6
        assert [a.data for a in rig.answers[4:]] == [0] * 6
        expected = [TARGET - BASE - 0x3000 + address for address in inside]
        for write in (True, False):
            assert [sent.address for _, sent in rig.sent if sent.write == write] == expected
        assert rig.failed == 12
        assert set(rig.failures) == {(NO_WINDOW, address) for address in outside}

    Rig(width).run(bench)


def test_overlap_and_disabled_windows() -> None:
    async def bench(rig: Rig) -> None:
        async def targets(*addresses: int) -> list[int | None]:
            rig.sent.clear()
            found: list[int | None] = []
            for address in addresses:
                rig.writes.append(Write(address, 0))
                before = len(rig.sent)
                await rig.drain()
                found.append(rig.sent[-1][1].address if len(rig.sent) > before else None)
            return found

        await rig.map(3, BASE, BASE + 0xFFFF, 0x3000_0000)
        await rig.map(1, BASE + 0x4000, BASE + 0x7FFF, 0x1000_0000)
        await rig.map(5, BASE + 0xF000, BASE + 0x1FFFF, 0x5000_0000)
        assert await targets(BASE, BASE + 0x4000, BASE + 0x8000, BASE + 0xF000, BASE + 0x10000) == [
            0x3000_0000, 0x1000_0000, 0x3000_8000, 0x3000_F000, 0x5000_1000,
        ]  # fmt: skip
        await rig.register(0x200 + CTRL2, 0)
        await rig.step(2)
        assert await targets(BASE + 0x4000) == [0x3000_4000]
        await rig.register(0x600 + CTRL2, 0x7FFF_FFFF)
        await rig.step(2)
        assert await targets(BASE + 0x4000, BASE + 0xF000) == [None, 0x5000_0000]

    Rig(256).run(bench)


@pytest.mark.parametrize(
    ("ctrl1", "base", "limit", "claims"),
    [
        (0, BASE, BASE + 0xFFF, (True, False, False)),
        (0, BASE, BASE | 1 << 32, (True, False, False)),  # UPPER_LIMIT counts only for a large region
        (INCREASE, BASE, BASE + 0xFFF, (True, False, False)),
        (INCREASE, BASE, 1 << 32, (True, True, True)),
        (0, BASE | 1 << 32, BASE + 0xFFF, (False, False, False)),
        (0, BASE + 0x1000, BASE, (False, False, False)),
        (2, BASE, BASE + 0xFFF, (False, False, False)),
        (4, BASE, BASE + 0xFFF, (False, False, False)),
        (0x10, BASE, BASE + 0xFFF, (False, False, False)),
        (1 << 20, BASE, BASE + 0xFFF, (False, False, False)),
    ],
)
def test_what_takes_no_part(ctrl1: int, base: int, limit: int, claims: tuple[bool, ...]) -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, base, limit, 0x1000_0000, ctrl1=ctrl1)
        addresses = (BASE, BASE + 0x1000, 0xFFFF_FFFC)
        rig.writes.extend(Write(address, 0) for address in addresses)
        await rig.drain()
        expected = [0x1000_0000 + address - BASE for address, claimed in zip(addresses, claims, strict=True) if claimed]
        assert [sent.address for _, sent in rig.sent] == expected
        assert [error == OKAY for error in rig.errors] == list(claims)

    Rig(256).run(bench)


def test_traffic_class_attributes_and_digest() -> None:
    async def bench(rig: Rig) -> None:
        memory(rig)
        await rig.map(0, BASE, BASE + 0xFFF, 0, ctrl1=5 << 5 | 1 << 8 | 2 << 9)
        await rig.map(1, BASE + 0x1000, BASE + 0x1FFF, 0, ctrl1=2 << 5 | 1 << 9)
        for address in (BASE, BASE + 0x1000):
            rig.writes.append(Write(address, 0))
            rig.reads.append(address)
            await rig.drain()
        rig.interrupts.append(Interrupt(0xFEE0_0000, 0))
        await rig.drain()
        fields = [(sent.tc, sent.attr, sent.ecrc) for _, sent in rig.sent]
        assert fields == [(5, 2, 1), (5, 2, 1), (2, 1, 0), (2, 1, 0), (0, 0, 0)]

    Rig(64).run(bench)


def test_a_window_that_is_aimed_elsewhere_shows_its_old_or_its_new_target() -> None:
    async def bench(rig: Rig) -> None:
        await rig.map(0, BASE, BASE + 0xFFFF, 0x1_1111_0000)
        rig.writes.extend(Write(BASE + 4 * (n % 64), n) for n in range(120))
        await rig.step(10)
        values = {LOWER_BASE: BASE, LIMIT: BASE + 0x1FFFF, LOWER_TARGET: 0x2222_0000, UPPER_TARGET: 2, CTRL1: 0}
        for register, value in values.items():
            await rig.register(register, value)
            await rig.step(5)
        assert {sent.address >> 16 for _, sent in rig.sent} == {0x1_1111}
        written = rig.cycle
        await rig.register(CTRL2, ENABLE)
        await rig.drain()
        assert len(rig.sent) == 120
        for clock, sent in rig.sent:
            # In force two clocks after the write; two more to the stream.
            assert sent.address >> 16 == (0x2_2222 if clock >= written + 4 else 0x1_1111)

    Rig(512).run(bench)


def test_registers_read_back() -> None:
    async def bench(rig: Rig) -> None:
        async def peek(offset: int) -> int:
            rig.ctx.set(rig.dut.bus.r_en, 1)
            rig.ctx.set(rig.dut.bus.r_addr, offset)
            value = rig.ctx.get(rig.dut.bus.r_data)
            await rig.step()
            return value

        for window in range(3):
            for offset in (CTRL2, LOWER_BASE, LIMIT, LOWER_TARGET):
                await rig.register(0x200 * window + offset, 0xFFFF_FFFF)
        built = [0x9040_00FF, 0xFFFF_F000, 0xFFFF_FFFF, 0xFFFF_F000]
        for window, expected in ((0, built), (1, built), (2, [0] * 4)):
            assert [await peek(0x200 * window + o) for o in (CTRL2, LOWER_BASE, LIMIT, LOWER_TARGET)] == expected
        await rig.register(LIMIT, 0)
        assert await peek(LIMIT) == 0xFFF

    Rig(64, windows=2).run(bench)


@every_width
def test_completions_out_of_order(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.reads.extend(BASE + 4 * n for n in range(9))
        await rig.step(60)
        assert len(rig.sent) == 8, "eight at a time"
        order = list(range(8))
        rig.random.shuffle(order)
        rig.replies.extend(good(tag, 0xC0DE_0000 + tag) for tag in order)
        await rig.step(60)
        assert [a.data for a in rig.answers] == [0xC0DE_0000 + n for n in range(8)]
        assert len(rig.sent) == 9
        assert rig.sent[-1][1].tag == 8, "tags go round"

    Rig(width).run(bench)


FAILURES = [
    (lambda tag: bad(tag, UR), UNSUPPORTED),
    (lambda tag: bad(tag, CA), ABORT),
    (lambda tag: bad(tag, CRS), MALFORMED),
    (lambda tag: good(tag, 5, error=requester_packets.POISONED, poisoned=1), POISONED),
    (lambda tag: good(tag, 5, poisoned=1), POISONED),
    (lambda tag: notice(tag), TIMED_OUT),
    (lambda tag: notice(tag, FUNCTION_RESET), TIMED_OUT),
    (lambda tag: good(tag, 5, error=requester_packets.BAD_LENGTH), MALFORMED),
    (lambda tag: Reply(tag, (1, 2, 3)), MALFORMED),
    (lambda tag: Reply(tag), MALFORMED),
    (lambda tag: good(tag, 5, discontinue=0), MALFORMED),
]


@every_width
def test_completions_that_fail_and_the_next_one_works(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        for number, (reply, cause) in enumerate(FAILURES):
            address = BASE + 0x100 * number
            rig.host = lambda sent, reply=reply: (reply(sent.tag),)
            rig.reads.append(address)
            await rig.drain()
            assert (rig.answers[-1].data, rig.answers[-1].error) == (0, SLVERR)
            assert rig.failures[-1] == (cause, address)
            memory(rig)
            rig.reads.append(address)
            await rig.drain()
            assert (rig.answers[-1].data, rig.answers[-1].error) == (TARGET + 0x100 * number & 0xFFFF_FFFF, OKAY)
        assert rig.failed == len(FAILURES)
        assert rig.unexpected == 0
        assert (rig.ctx.get(rig.dut.cause).value, rig.ctx.get(rig.dut.cause_address)) == rig.failures[-1], "sticky"

    Rig(width).run(bench)


@pytest.mark.parametrize("gap", range(4))
def test_a_write_and_a_read_that_fail_about_the_same_time(gap: int) -> None:
    """A read is taken, and fails in the second clock from then; the write is taken around that."""

    async def bench(rig: Rig) -> None:
        rig.reads.append(BASE)
        await rig.step(1 + gap)
        rig.writes.append(Write(BASE + 4, 0))
        await rig.drain()
        assert rig.failed == 2
        both = [(NO_WINDOW, BASE), (NO_WINDOW, BASE + 4)]
        assert rig.failures == (both[:1] if gap == 0 else both), "the read's, where they fail in one clock"

    Rig(256).run(bench)


@every_width
def test_timeout_and_the_late_completion(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.reads.append(BASE + 0x40)
        await rig.drain()
        assert [(a.clock, a.data, a.error) for a in rig.answers] == [(rig.taken[0][0] + TIMEOUT + 1, 0, SLVERR)]
        assert rig.failures == [(TIMED_OUT, BASE + 0x40)]
        memory(rig)
        rig.reads.extend(BASE + 4 * n for n in range(70))
        await rig.drain()
        assert 0 not in {sent.tag for _, sent in rig.sent[1:]}
        rig.replies.append(good(0, 0xBAD))
        await rig.drain()
        assert rig.unexpected == 1
        rig.reads.extend(BASE + 4 * n for n in range(70))
        await rig.drain()
        assert 0 in {sent.tag for _, sent in rig.sent[1:]}
        assert [a.data for a in rig.answers[1:]] == [TARGET + 4 * n & 0xFFFF_FFFF for _ in range(2) for n in range(70)]

    Rig(width).run(bench)


@every_width
def test_completions_that_nobody_asked_for(width: int) -> None:
    strange = [
        good(0, 1),
        good(200, 1),
        bad(3, UR),
        good(0, 1, error=requester_packets.INVALID_TAG),
        Reply(9, tuple(range(30))),
        notice(7),
        good(1, 0, error=requester_packets.MISMATCH, completed=0),
    ]

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.replies.extend(strange)
        await rig.drain()
        assert rig.unexpected == len(strange)
        # The tag of a request that is open: what is no end of it does not end it.
        rig.reads.append(BASE)
        await rig.step(20)
        rig.replies += [
            good(0, 1, error=requester_packets.INVALID_TAG),
            good(0, 1, error=requester_packets.MISMATCH, completed=0),
            good(0, 1, completed=0),
            good(0, 2),
            good(0, 3),
        ]
        await rig.drain()
        assert [(a.data, a.error) for a in rig.answers] == [(2, OKAY)]
        assert rig.unexpected == len(strange) + 4
        assert rig.failed == 0

    Rig(width).run(bench)


@every_width
def test_bus_master_off(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        rig.ctx.set(rig.dut.bus_master, 0)
        rig.writes.extend([Write(BASE + 4, 1), Write(BASE - 4, 1)])
        rig.interrupts.append(Interrupt(0xFEE0_0000, 3))
        await rig.step(20)
        rig.reads.append(BASE + 8)
        await rig.step(20)
        assert rig.sent == []
        assert rig.errors == [SLVERR, DECERR]
        assert [(a.data, a.error) for a in rig.answers] == [(0, SLVERR)]
        assert rig.failures == [(BUS_MASTER_OFF, BASE + 4), (NO_WINDOW, BASE - 4), (BUS_MASTER_OFF, BASE + 8)]
        assert len(rig.interrupts) == 1, "it waits"
        rig.ctx.set(rig.dut.bus_master, 1)
        await rig.drain()
        assert [sent for _, sent in rig.sent] == [Sent(True, 0xFEE0_0000, 0xF, 3)]

    Rig(width).run(bench)


@every_width
def test_bus_master_off_while_requests_wait(width: int) -> None:
    """They leave in order when it is on again; the CPU does not wait for that."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        rig.rq_ready = lambda: False
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(3))
        await rig.step(10)
        rig.interrupts.append(Interrupt(0xFEE0_0000, 3))
        rig.reads.append(BASE + 0x40)
        await rig.step(10)
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(10))
        await rig.step(10)
        taken = len(rig.taken)
        assert rig.writes, "there is no more room"
        rig.ctx.set(rig.dut.bus_master, 0)
        rig.rq_ready = lambda: True
        left = len(rig.writes)
        await rig.step(TIMEOUT + 100)
        assert not rig.writes
        assert rig.errors[-left:] == [SLVERR] * left
        assert len(rig.sent) == 1, "what was on the stream already"
        assert [a.error for a in rig.answers] == [SLVERR], "the read's time is up"
        rig.ctx.set(rig.dut.bus_master, 1)
        await rig.drain()
        assert [sent.write for _, sent in rig.sent] == [not isinstance(item, int) for _, item in rig.taken[:taken]]
        assert [sent.data for _, sent in rig.sent if sent.write] == [
            item.data for _, item in rig.taken[:taken] if not isinstance(item, int)
        ]
        assert rig.unexpected == 1, "the read's completion is late"

    Rig(width).run(bench)


@every_width
def test_reads_of_a_stream_that_stands_still_fail_in_time(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.rq_ready = lambda: False
        rig.reads.extend(BASE + 4 * n for n in range(3))
        await rig.step(TIMEOUT + 50)
        assert [a.error for a in rig.answers] == [SLVERR] * 3
        rig.rq_ready = lambda: True
        memory(rig)
        rig.reads.append(BASE + 0x100)
        await rig.drain()
        assert rig.unexpected == 3
        assert (rig.answers[-1].data, rig.answers[-1].error) == (TARGET + 0x100 & 0xFFFF_FFFF, OKAY)

    Rig(width).run(bench)


@every_width
def test_nobody_starves(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        memory(rig)
        rig.rq_ready = lambda: rig.random.random() < 0.8
        for n in range(60):
            rig.writes.append(Write(BASE + 4 * n, n))
            rig.reads.append(BASE + 4 * n)
            rig.interrupts.append(Interrupt(0xFEE0_0000, n))
        await rig.step(60)
        kinds = [type(item) for _, item in rig.taken]
        for n in range(len(kinds) - 5):
            assert len(set(kinds[n : n + 3])) >= 2
            assert {Write, Interrupt} <= set(kinds[n : n + 4])
        await rig.drain()

    Rig(width).run(bench)


def wanted(item: Any, target: int) -> Sent | None:
    """What is to be sent for something that was taken, tags aside."""
    if isinstance(item, Interrupt):
        return Sent(True, item.address, 0xF, item.data)
    address = item.address if isinstance(item, Write) else item
    if not BASE <= address < BASE + 0x8000 or (isinstance(item, Write) and not item.strobes):
        return None
    address = (address & ~3) - BASE + target
    return Sent(True, address, item.strobes, item.data) if isinstance(item, Write) else Sent(False, address, 0xF, None)


@pytest.mark.parametrize("seed", [1, 2])
@every_width
def test_random_traffic(width: int, seed: int) -> None:
    """Against a plain model: a dictionary of bytes, and a list of what was taken."""
    rng = random.Random(seed * 7919 + width)
    host: dict[int, int] = {}
    expected: list[tuple[int, int]] = []  # of the reads, in the order in which they are sent: data, cause
    pending: list[Reply] = []
    extra = 0

    def answer(sent: Sent) -> tuple[Reply, ...]:
        nonlocal extra
        if sent.write:
            for byte in range(4):
                if sent.first_be >> byte & 1:
                    host[sent.address + byte] = (sent.data or 0) >> 8 * byte & 0xFF
            return ()
        value = sum(host.get(sent.address + byte, 0) << 8 * byte for byte in range(4))
        kind = rng.random()
        if kind < 0.65:
            pending.append(good(sent.tag, value, lower=sent.address & 0xFFC))
            expected.append((value, 0))
        elif kind < 0.96:
            reply, cause = rng.choice(FAILURES)
            pending.append(reply(sent.tag))
            expected.append((0, cause))
        else:
            expected.append((0, TIMED_OUT))
        if rng.random() < 0.1:
            pending.append(good(sent.tag, 0xDEAD_BEEF, error=requester_packets.INVALID_TAG))
            extra += 1
        return ()

    async def bench(rig: Rig) -> None:
        await rig.map(4, BASE, BASE + 0x7FFF, TARGET)
        rig.host = answer
        rig.cpu_pause = lambda: rng.random() < 0.3
        rig.rq_ready = lambda: rng.random() < 0.7
        rig.rc_pause = lambda: rng.random() < 0.3
        rig.d_ready = lambda: rng.random() < 0.6
        spots = [0x0, 0x4, 0xFFC, 0x1000, 0x7FFC, 0x8000, -4]
        for _ in range(600):
            address = BASE + rng.choice(spots) + rng.randrange(4)
            match rng.randrange(5):
                case 0 | 1:
                    rig.writes.append(Write(address, rng.getrandbits(32), rng.randrange(16)))
                case 2 | 3:
                    rig.reads.append(address)
                case _:
                    rig.interrupts.append(Interrupt(rng.getrandbits(64) & ~3, rng.getrandbits(32)))
        for _ in range(60000):
            asked = sum(isinstance(item, int) for _, item in rig.taken)
            if not (rig.writes or rig.reads or rig.interrupts or pending) and len(rig.answers) == asked:
                break
            if pending and rng.random() < 0.4:
                rig.replies.append(pending.pop(rng.randrange(len(pending))))
            await rig.step()
        await rig.drain()

        items = [item for _, item in rig.taken]
        sent = [request for _, request in rig.sent]
        assert len(items) == 600
        assert [Sent(s.write, s.address, s.first_be, s.data) for s in sent] == [
            request for request in (wanted(item, TARGET) for item in items) if request is not None
        ]
        assert {s.tag for s in sent if s.write} == {0}
        assert len({s.tag for s in sent if not s.write}) == 32
        reads = [item for item in items if isinstance(item, int)]
        results = iter(expected)
        outcome = [next(results) if wanted(address, TARGET) else (0, NO_WINDOW) for address in reads]
        assert [(a.data, a.error) for a in rig.answers] == [
            (data, DECERR if cause == NO_WINDOW else SLVERR if cause else OKAY) for data, cause in outcome
        ]
        writes = [item for item in items if isinstance(item, Write)]
        refused = [not BASE <= item.address < BASE + 0x8000 for item in writes]
        assert rig.errors == [DECERR if no else OKAY for no in refused]
        assert rig.failed == sum(refused) + sum(1 for _, cause in outcome if cause)
        assert rig.unexpected == extra
        assert len({cause for _, cause in outcome}) == 7

    Rig(width, seed=seed).run(bench)


@every_width
def test_bus_master_on_and_off_at_random(width: int) -> None:
    """What was taken is sent, once and in order, and nothing begins to leave while bus mastering is off."""
    rng = random.Random(width)
    levels = {}

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.rq_ready = lambda: rng.random() < 0.5
        rig.cpu_pause = lambda: rng.random() < 0.4
        for n in range(300):
            rig.writes.append(Write(BASE + 4 * n, n))
            rig.interrupts.append(Interrupt(0xFEE0_0000 + 4 * n, n))
        level = 1
        while rig.writes or rig.interrupts:
            level ^= rng.random() < 0.1
            rig.ctx.set(rig.dut.bus_master, level)
            levels[rig.cycle] = level
            await rig.step()
        rig.ctx.set(rig.dut.bus_master, 1)
        rig.rq_ready = lambda: True
        await rig.drain()
        responses = iter(rig.errors)
        accepted = [item for _, item in rig.taken if isinstance(item, Interrupt) or next(responses) == OKAY]
        assert [(sent.address, sent.data) for _, sent in rig.sent] == [
            (item.address if isinstance(item, Interrupt) else item.address - BASE + TARGET, item.data)
            for item in accepted
        ]
        assert all(levels.get(clock - 1, 1) for clock, _ in rig.sent)
        assert all(levels.get(clock, 1) for clock, item in rig.taken if isinstance(item, Interrupt))
        assert sum(isinstance(item, Interrupt) for item in accepted) == 300
        assert 30 < rig.errors.count(SLVERR) == rig.failed < 270

    Rig(width).run(bench)


@pytest.mark.parametrize(
    ("width", "parameters", "what"),
    [
        (32, {}, "64, 128, 256 or 512 bits, not 32"),
        (64, {"windows": 0}, "outbound windows must be 1 to 16, not 0"),
        (64, {"windows": 17}, "outbound windows must be 1 to 16, not 17"),
        (64, {"reads": 33}, "outstanding reads must be 1 to 32, not 33"),
        (64, {"tags": 300}, "tags must be 1 to 256, not 300"),
        (64, {"timeout": 0}, "1 clock or more, not 0"),
    ],
)
def test_parameters_out_of_range(width: int, parameters: dict[str, int], what: str) -> None:
    with pytest.raises(ValueError, match=f"{what}$"):
        Outbound(width, **parameters)
