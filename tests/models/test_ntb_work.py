"""Works of the kernel's, the layout of a ring, jiffies."""

import pytest

from epbell_models.jiffies import delay
from epbell_models.ntb.ring import Ring
from epbell_models.ntb.work import Work
from epbell_models.platform import VirtualPlatform


def run(scenario):
    platform = VirtualPlatform()
    started = []

    async def main():
        async def body():
            started.append(platform.now())
            await platform.sleep(1.0)

        return await scenario(platform, Work(platform, body, "body"), started)

    return platform.run(main())


def test_a_work_runs_once_however_often_it_was_scheduled():
    async def scenario(platform, work, started):
        for _ in range(3):
            work.schedule()
        await platform.sleep(10)
        assert (started, work.runs) == ([0], 1)

    run(scenario)


def test_a_work_runs_at_the_earliest_time_that_was_said():
    async def scenario(platform, work, started):
        for seconds in (5, 3, 4):
            work.schedule(seconds)
        await platform.sleep(20)
        assert started == [3]

    run(scenario)


def test_a_work_that_is_scheduled_while_it_runs_runs_again_afterwards():
    async def scenario(platform, work, started):
        work.schedule()
        await platform.sleep(0.5)
        work.schedule()
        work.schedule(2)
        await platform.sleep(20)
        assert started == [0, 1]

    run(scenario)


def test_a_work_that_is_cancelled_does_not_run_but_may_later():
    async def scenario(platform, work, started):
        work.schedule(1)
        await work.cancel()
        await platform.sleep(5)
        assert started == []
        work.schedule(1)
        await platform.sleep(5)
        assert started == [6]

    run(scenario)


def test_cancelling_waits_for_a_run_and_forgets_what_was_scheduled_meanwhile():
    async def scenario(platform, work, started):
        work.schedule()
        await platform.sleep(0.25)
        work.schedule()
        await work.cancel()
        assert platform.now() == 1.0
        await platform.sleep(5)
        assert started == [0]

    run(scenario)


@pytest.mark.parametrize("seconds", [0, 0.1, 2])
def test_a_work_that_is_being_cancelled_is_not_scheduled(seconds):
    async def scenario(platform, work, started):
        async def again():
            await platform.sleep(0.5)
            work.schedule(seconds)

        work.schedule()
        platform.spawn(again(), "again")
        await platform.sleep(0.25)
        await work.cancel()
        await platform.sleep(5)
        assert started == [0]
        work.schedule()
        await platform.sleep(5)
        assert len(started) == 2

    run(scenario)


def test_a_stopped_work_never_runs_again():
    async def scenario(platform, work, started):
        work.schedule()
        await platform.sleep(0.25)
        await work.stop()
        assert platform.now() == 1.0
        work.schedule()
        await platform.sleep(5)
        assert started == [0]

    run(scenario)


@pytest.mark.parametrize(
    ("size", "mtu", "frame", "entries"),
    [
        (0x10_0000, 0x1_0000, 0x1_0000, 15),
        (0x4000, 0x1_0000, 8190, 2),
        (0x4000, 1024, 1024, 15),
        (1004, 100, 100, 10),
        (1003, 100, 100, 9),
    ],
)
def test_a_ring(size, mtu, frame, entries):
    ring = Ring(0x1000, size, mtu)
    assert (ring.frame, ring.entries, ring.payload) == (frame, entries, frame - 12)
    assert ring.taken == 0x1000 + size - 4
    for index in range(entries):
        end = 0x1000 + frame * (index + 1)
        assert ring.data(index) == end - frame
        assert (ring.version(index), ring.length(index), ring.flags(index)) == (end - 12, end - 8, end - 4)
        assert end <= ring.taken


@pytest.mark.parametrize(("size", "mtu"), [(29, 1024), (0x4000, 12)])
def test_a_ring_that_holds_nothing(size, mtu):
    with pytest.raises(ValueError, match=rf"do not fit {size} bytes: use a larger window or MTU"):
        Ring(0, size, mtu)


@pytest.mark.parametrize(
    ("milliseconds", "hz", "seconds"), [(10, None, 10e-3), (10, 250, 12e-3), (10, 1, 1), (0, 1, 0)]
)
def test_a_delay(milliseconds, hz, seconds):
    assert delay(milliseconds, hz) == seconds


def test_jiffies_that_make_no_sense():
    with pytest.raises(ValueError, match="one or more jiffies in a second, not 0"):
        delay(10, 0)
