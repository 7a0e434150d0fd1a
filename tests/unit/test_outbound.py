"""The way to host memory, at every width: requests bit by bit, completions of every kind, order, stalls."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import requester_packets
from outbound_rig import (
    ABORT,
    BASE,
    DECERR,
    MALFORMED,
    NO_WINDOW,
    OKAY,
    POISONED,
    SIZE,
    SLVERR,
    TARGET,
    TIMED_OUT,
    TIMEOUT,
    UNSUPPORTED,
    Interrupt,
    Rig,
    Write,
    every_width,
    everything,
    memory,
)
from requester_packets import CA, CRS, FUNCTION_RESET, UR, Reply, Sent, bad, good, notice

from epbell.outbound import Outbound


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
            await rig.step(20)
            queue.append(item)
            offered = rig.cycle
            await rig.step(20)
            assert rig.taken[-1][0] - offered == (1 if isinstance(item, Interrupt) else 3)
            assert rig.sent[-1][0] - rig.taken[-1][0] == 5
        assert len(rig.sent) == 3
        assert rig.answers[0].clock - rig.reply_ends[0] == 5
        rig.writes.append(Write(BASE - 4, 1))
        rig.reads.append(BASE - 8)
        await rig.step(20)
        assert rig.failures == [(NO_WINDOW, BASE - 4), (NO_WINDOW, BASE - 8)]
        assert rig.answers[-1].clock == rig.taken[-1][0] + 5

    Rig(width).run(bench)


@every_width
def test_back_to_back(width: int) -> None:
    """One takes six clocks from being offered to the next one; an interrupt, which needs no window, four."""

    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.writes.extend(Write(BASE + 4 * n, n) for n in range(40))
        await rig.drain()
        clocks = [clock for clock, _ in rig.sent]
        assert [b - a for a, b in itertools.pairwise(clocks)] == [6] * 39
        rig.interrupts.extend(Interrupt(0xFEE0_0000, n) for n in range(40))
        await rig.drain()
        clocks = [clock for clock, _ in rig.sent[40:]]
        assert [b - a for a, b in itertools.pairwise(clocks)] == [4] * 39

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
def test_completions_out_of_order(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.reads.extend(BASE + 4 * n for n in range(9))
        await rig.step(90)
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
    """A read is taken, and fails in the fifth clock from then; the write is taken around that."""

    async def bench(rig: Rig) -> None:
        await rig.step(10)
        rig.reads.append(BASE)
        await rig.step(4 + gap)
        rig.writes.append(Write(BASE + 4, 0))
        await rig.drain()
        assert rig.failed == 2
        both = [(NO_WINDOW, BASE), (NO_WINDOW, BASE + 4)]
        assert rig.taken[1][0] - rig.taken[0][0] == gap + 4
        both = both[:1] if gap == 1 else both if gap > 1 else both[::-1]
        assert rig.failures == both, "the read's, where they fail in one clock"

    Rig(256).run(bench)


@every_width
def test_timeout_and_the_late_completion(width: int) -> None:
    async def bench(rig: Rig) -> None:
        await everything(rig)
        rig.reads.append(BASE + 0x40)
        await rig.drain()
        assert [(a.clock, a.data, a.error) for a in rig.answers] == [(rig.taken[0][0] + TIMEOUT + 4, 0, SLVERR)]
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
        await rig.step(300)
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
