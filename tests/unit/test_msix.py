"""MSI-X: every raise becomes one message or is merged with a pending one; no message that the host does not want."""

import random
from collections import Counter
from typing import Any

import pytest
from msix_rig import CROSSES, TABLE, Manners, Rig, entry

from epbell.msix import Msix

CLOSINGS = [("enabled", 0), ("masked", 1), ("bus_master", 0)]
SLOW = Manners(ram=0.5, latency=(1, 4), taker=0.4, answer=(0, 4), failing=0.2)


def test_a_message_for_each_raise() -> None:
    """Twenty clocks from the raise to the message, and nineteen from message to message."""
    rig = Rig()

    async def bench() -> None:
        await rig.settle()
        start = rig.now
        for vector in (5, 5, 0, 32, 31):
            assert await rig.clock(vector=vector)
        await rig.settle()
        assert [(clock - start, vector) for clock, vector in rig.messages] == [
            (20, 5), (39, 5), (58, 0), (77, 32), (96, 31),
        ]  # fmt: skip
        rig.check()
        assert rig.counts == Counter(sent=5)

    rig.run(bench)


@pytest.mark.parametrize(("gate", "closed"), CLOSINGS)
def test_raised_while_closed(gate: str, closed: int) -> None:
    """Pending, shown in the PBA and sent once when the way is open, whatever else there is."""
    rig = Rig()

    async def bench() -> None:
        await rig.settle()
        await rig.clock(**{gate: closed})
        for vector in (3, 32, 3, 31, 3):
            await rig.clock(vector=vector)
        await rig.settle()
        assert rig.pending() == {3, 31, 32}
        assert rig.messages == []
        assert rig.counts == Counter(held=3, merged=2)
        await rig.clock(**{gate: 1 - closed})
        await rig.settle()
        assert [vector for _, vector in rig.messages] == [3, 31, 32]
        assert rig.pending() == set()
        await rig.clock(**{gate: closed})
        await rig.clock(**{gate: 1 - closed})
        await rig.settle()
        assert len(rig.messages) == 3
        rig.check()

    rig.run(bench)


def test_raised_while_masked() -> None:
    """Other vectors go on; each of the masked ones is sent when it is unmasked itself."""
    rig = Rig()

    async def bench() -> None:
        await rig.settle()
        await rig.clock(write=rig.unmask(7, 1))
        await rig.clock(write=rig.unmask(8, 0xFFFF_FFFF))
        for vector in (7, 8, 9, 7):
            await rig.clock(vector=vector)
        await rig.settle()
        assert [vector for _, vector in rig.messages] == [9]
        assert rig.pending() == {7, 8}
        await rig.clock(write=rig.unmask(9))
        await rig.clock(write=rig.unmask(7, 1))
        await rig.settle()
        assert len(rig.messages) == 1
        await rig.clock(write=rig.unmask(8, 0xFFFF_FFFE))
        await rig.settle()
        assert [vector for _, vector in rig.messages] == [9, 8]
        await rig.clock(write=rig.unmask(7))
        await rig.settle()
        assert [vector for _, vector in rig.messages] == [9, 8, 7]
        rig.check()

    rig.run(bench)


def test_unmasked_while_closed() -> None:
    """The opening sends it; unmasking alone does not."""
    rig = Rig()

    async def bench() -> None:
        await rig.settle()
        await rig.clock(write=rig.unmask(7, 1))
        await rig.clock(vector=7)
        await rig.settle()
        await rig.clock(masked=1, write=rig.unmask(7))
        await rig.settle()
        assert rig.messages == []
        await rig.clock(masked=0)
        await rig.settle()
        assert [vector for _, vector in rig.messages] == [7]
        rig.check()

    rig.run(bench)


def test_no_such_vector() -> None:
    rig = Rig(vectors=40, last=36)

    async def bench() -> None:
        await rig.settle()
        for vector in (37, 40, 2047):
            assert await rig.clock(vector=vector)
        await rig.clocks(3)
        assert rig.counts["refused"] == 3
        rig.ctx.set(rig.dut.last, 47)
        await rig.clock()
        await rig.clock(vector=39)
        await rig.clock(vector=40)
        await rig.clocks(3)
        assert rig.counts["refused"] == 4, "more than the hardware has"

    rig.run(bench)


def test_busy_from_the_clock_after_a_raise() -> None:
    """Whoever waits for an idle one sees a raise before the queue shows it; also of a vector that is not there."""
    rig = Rig()

    async def bench() -> None:
        for vector in (5, 2047):
            await rig.settle()
            assert rig.ctx.get(rig.dut.busy) == 0
            await rig.clock(vector=vector)
            assert rig.ctx.get(rig.dut.busy) == 1
        await rig.settle()
        assert rig.counts == Counter(sent=1, refused=1)

    rig.run(bench)


def test_queue() -> None:
    """Raises wait while the taker does not take; none is lost, and `room` says how many more can wait."""
    rig = Rig(queue=5)

    async def bench() -> None:
        await rig.settle()
        rig.manners.taker = 0.0
        assert rig.ctx.get(rig.dut.room) == 5
        took = [await rig.clock(vector=vector) for vector in range(20)]
        assert sum(took) == 6, "five wait and one is in hand"
        assert rig.ctx.get(rig.dut.room) == 0
        rig.manners.taker = 1.0
        await rig.settle()
        assert [vector for _, vector in rig.messages] == [vector for _, vector in rig.raised]
        rig.check()

    rig.run(bench)


def test_setting_up_zeroes_the_pba() -> None:
    """Only the words that there are, whatever was there before; raises wait for it."""
    rig = Rig(last=2)

    async def bench() -> None:
        behind = rig.ram[rig.pba + 2]
        await rig.clock(set_up=0)
        await rig.clock(vector=1)
        await rig.clock(set_up=1)
        await rig.clock(vector=2)
        await rig.clock()
        assert rig.counts["refused"] == 1
        await rig.settle()
        assert rig.ram[rig.pba : rig.pba + 3] == [0, 0, behind]
        assert [vector for _, vector in rig.messages] == [2]

    rig.run(bench)


@pytest.mark.parametrize("pending", [False, True])
def test_forgotten_at_any_time(pending: bool) -> None:
    """Whatever it does, no message follows the end of `set_up`, and nothing is pending after it."""
    rig = Rig(manners=Manners(latency=(2, 5), ram=0.7, answer=(2, 2)))
    seen = set()

    async def bench() -> None:
        for when in range(90):
            await rig.settle()
            rig.fresh()
            await rig.clock(masked=int(pending))
            await rig.clock(vector=4)
            await rig.clock(vector=32)
            if pending:
                await rig.settle()
                await rig.clock(masked=0)
            await rig.clocks(when)
            await rig.clock(set_up=0)
            before = len(rig.messages)
            seen.add(before)
            await rig.clocks(when % 3)
            assert rig.ctx.get(rig.dut.busy) == 0
            await rig.clock(set_up=1)
            await rig.settle()
            assert rig.pending() == set()
            await rig.clocks(60)
            assert len(rig.messages) == before
            await rig.clock(vector=9)
            await rig.settle()
            assert [vector for _, vector in rig.messages[before:]] == [9]

    rig.run(bench)
    assert seen == {0, 1, 2}


def test_forgotten_while_reads_are_under_way() -> None:
    """What they bring is not taken for the next entry."""
    rig = Rig(manners=Manners(latency=(12, 12)))

    async def bench() -> None:
        for when in range(26):
            await rig.settle()
            rig.fresh()
            await rig.clock(vector=4)
            await rig.clocks(when)
            await rig.clock(set_up=0)
            await rig.clock(set_up=1)
            await rig.clock(vector=9)
            await rig.settle()
            assert [vector for _, vector in rig.messages] == [9]

    rig.run(bench)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("gate", ["enabled", "masked", "bus_master", "vector"])
def test_opened_around_the_raise(gate: str, slow: bool) -> None:
    """In whichever clock the host opens the way, before, while or after the vector is found in its way: one message."""
    rig = Rig(manners=SLOW if slow else Manners())

    async def bench() -> None:
        for offset in range(50):
            await rig.settle()
            rig.fresh()
            closed = {} if gate == "vector" else {gate: int(gate == "masked")}
            await rig.clock(write=rig.unmask(7, int(gate == "vector")), **closed)
            for clock in range(60):
                opens = {} if gate == "vector" or clock != offset else {gate: int(gate != "masked")}
                write = rig.unmask(7) if gate == "vector" and clock == offset else None
                await rig.clock(vector=7 if clock == 10 else None, write=write, **opens)
            await rig.settle()
            assert [vector for _, vector in rig.sent] == [7]
            rig.check()

    rig.run(bench)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("gate", ["enabled", "masked", "bus_master", "vector"])
def test_closed_around_the_raise(gate: str, slow: bool) -> None:
    """Taken before the next clock after the closing, or not at all until the way is open: one message."""
    rig = Rig(manners=SLOW if slow else Manners())
    outcomes = set()

    async def bench() -> None:
        for offset in range(60 if slow else 36):
            await rig.settle()
            rig.fresh()
            closed = {} if gate == "vector" else {gate: int(gate == "masked")}
            for clock in range(90):
                write = rig.unmask(7, 1) if gate == "vector" and clock == offset else None
                closes = closed if clock == offset else {}
                await rig.clock(vector=7 if clock == 2 else None, write=write, **closes)
            await rig.settle()
            # One that was still offered, or that failed after the closing, is pending.
            assert (rig.pending() == {7}) == (not rig.sent)
            outcomes.add(len(rig.sent))
            opens = {name: 1 - value for name, value in closed.items()}
            await rig.clock(write=rig.unmask(7), **opens)
            await rig.settle()
            assert [vector for _, vector in rig.sent] == [7]
            rig.check()

    rig.run(bench)
    assert outcomes == {0, 1}


def test_offer_ends_with_the_closing() -> None:
    """Exactly: taken as long as it crosses the host's write, yes; in the next clock, no."""
    for late in (0, 1):
        rig = Rig()

        async def bench(rig: Rig = rig, late: int = late) -> None:
            await rig.settle()
            rig.manners.taker = 0.0
            await rig.clock(vector=7)
            await rig.clocks(30)
            assert rig.ctx.get(rig.dut.i_valid) == 1
            await rig.clock(write=rig.unmask(7, 1))
            await rig.clocks(CROSSES - 1 + late)
            rig.manners.taker = 1.0
            await rig.clocks(30)
            assert len(rig.messages) == 1 - late
            assert rig.pending() == ({7} if late else set())
            rig.check()

        rig.run(bench)


def test_entry_rewritten_around_the_raise() -> None:
    """Masked, rewritten dword by dword and unmasked: the message is the old one or the new one, in any clock."""
    rig = Rig(manners=Manners(taker=0.3))
    versions = set()

    async def bench() -> None:
        for offset in range(40):
            await rig.settle()
            rig.fresh()
            new = entry(7, version=offset + 1)
            writes = [(3, 1), (0, new[0]), (1, new[1]), (2, new[2]), (3, 0)]
            for clock in range(60):
                step = clock - offset
                write = (TABLE + 28 + writes[step][0], [writes[step][1]]) if 0 <= step < 5 else None
                await rig.clock(vector=7 if clock == 15 else None, write=write)
            await rig.settle()
            assert [vector for _, vector in rig.sent] == [7]
            versions.add(offset + 1 - (rig.ctx.get(rig.dut.i_data) >> 16))
            rig.check()

    rig.run(bench)
    assert versions == {0, 1}, "the new one, or the one before"


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_whole_table_unmasked_at_once(lanes: int) -> None:
    """A write in every clock, each as wide as it can be: more at a time than can be followed one by one."""
    rig = Rig(lanes=lanes)

    async def bench() -> None:
        await rig.settle()
        for vector in range(33):
            await rig.clock(write=rig.unmask(vector, 1))
        for vector in range(33):
            while not await rig.clock(vector=vector):
                pass
        await rig.settle()
        assert rig.pending() == set(range(33))
        table = [word for vector in range(33) for word in entry(vector)]
        for first in range(-min(lanes - 1, 3), len(table), lanes):
            words = [table[i] if 0 <= i < len(table) else None for i in range(first, first + lanes)]
            await rig.clock(write=(TABLE + first, words))
        await rig.settle()
        assert sorted(vector for _, vector in rig.sent) == list(range(33))
        assert rig.pending() == set()
        rig.check()

    rig.run(bench)


def test_unmasked_behind_a_scan() -> None:
    """More vectors than can be followed one by one, that a scan has passed while they were masked."""
    rig = Rig()

    async def bench() -> None:
        await rig.settle()
        await rig.clock(masked=1)
        for vector in range(33):
            await rig.clock(write=rig.unmask(vector, 1))
            await rig.clock(vector=vector)
            await rig.settle()
        await rig.clock(masked=0)
        await rig.clocks(300)
        for vector in reversed(range(10)):
            await rig.clock(write=rig.unmask(vector))
        await rig.settle()
        assert sorted(vector for _, vector in rig.sent) == list(range(10))
        assert rig.pending() == set(range(10, 33))
        rig.check()

    rig.run(bench)


def test_raises_go_on_during_a_scan() -> None:
    """A raise does not wait until all that was pending has gone."""
    rig = Rig()

    async def bench() -> None:
        await rig.settle()
        await rig.clock(masked=1)
        for vector in range(20):
            while not await rig.clock(vector=vector):
                pass
        await rig.settle()
        await rig.clock(masked=0)
        await rig.clock(vector=30)
        await rig.settle()
        assert 30 in [vector for _, vector in rig.sent[:3]]
        rig.check()

    rig.run(bench)


def test_all_vectors() -> None:
    """The largest table: pending bits in every word, in order."""
    rig = Rig(vectors=2048, last=2047, ram_size=1 << 16, lanes=16)
    some = sorted({0, 31, 32, 63, 64, 2047, *range(5, 2048, 61)})

    async def bench() -> None:
        await rig.settle()
        assert rig.pending() == set()
        await rig.clock(enabled=0)
        for vector in some:
            while not await rig.clock(vector=vector):
                pass
        await rig.settle()
        assert rig.pending() == set(some)
        await rig.clock(enabled=1)
        await rig.settle()
        assert [vector for _, vector in rig.sent] == some
        rig.check()

    rig.run(bench)


@pytest.mark.parametrize("manners", [Manners(), SLOW], ids=["prompt", "slow"])
@pytest.mark.parametrize(("lanes", "last"), [(1, 0), (2, 5), (8, 32), (16, 12)])
def test_random_traffic(lanes: int, last: int, manners: Manners) -> None:
    rng = random.Random(lanes)
    rig = Rig(lanes=lanes, last=last, manners=manners, rng=rng)

    async def bench() -> None:
        for cycle in range(5000):
            vector = rng.randint(0, last) if rng.random() < 0.08 else None
            if vector is not None and rng.random() < 0.1:
                vector = last + 1
            write = None
            if rng.random() < 0.15:
                each = rng.randint(0, last)
                write = rig.unmask(each, int(rng.random() < 0.5))
                if rng.random() < 0.3:
                    words = entry(each, masked=rng.randrange(2), version=rng.randrange(1 << 15))
                    lane = rng.randrange(4)
                    write = TABLE + 4 * each + lane, [
                        word if rng.random() < 0.8 else None for word in words[lane : lane + lanes]
                    ]
            gates = {}
            if rng.random() < 0.02:
                gate = rng.choice(CLOSINGS)
                gates[gate[0]] = rng.choice([gate[1], 1 - gate[1], 1 - gate[1]])
            await rig.clock(vector=vector, write=write, **gates)
            if cycle % 500 == 499:
                await rig.settle()
                rig.check()
        await rig.clock(enabled=1, masked=0, bus_master=1)
        for each in range(last + 1):
            await rig.clock(write=rig.unmask(each))
        await rig.settle()
        assert rig.pending() == set()
        rig.check()

    rig.run(bench)
    assert all(rig.counts[name] > 5 for name in ("sent", "held", "merged", "refused")), rig.counts


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"vectors": 0}, "vectors must be 1 to 2048, not 0"),
        ({"vectors": 2049}, "vectors must be 1 to 2048, not 2049"),
        ({"vectors": "8"}, "vectors must be 1 to 2048, not '8'"),
        ({"vectors": 2048, "ram_size": 1 << 15}, "at least 33024 bytes for 2048 MSI-X vectors, not 32768"),
        ({"ram_size": 3 << 16}, "power of two .* not 196608"),
        ({"lanes": 3}, "lanes .* must be 1, 2, 4, 8 or 16, not 3"),
        ({"queue": 0}, "queue must be 1 to 63, not 0"),
        ({"queue": 64}, "queue must be 1 to 63, not 64"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Msix(**parameters)
