import pytest

from epbell_models.platform import BusError, DrivenIrqLine, VirtualPlatform


def test_time_jumps_and_is_exact():
    platform = VirtualPlatform()

    async def main():
        await platform.sleep(3600)
        return platform.now()

    assert platform.run(main(), limit=10_000) == pytest.approx(3600)


def test_event_wait_returns_whether_it_was_set():
    platform = VirtualPlatform()
    event = platform.event()

    async def later():
        await platform.sleep(0.5)
        event.set()

    async def main():
        platform.spawn(later(), "later")
        early = await event.wait(0.25)
        at = platform.now()
        return early, at, await event.wait(1.0), platform.now()

    early, at, late, end = platform.run(main())
    assert (early, late) == (False, True)
    assert (at, end) == (pytest.approx(0.25), pytest.approx(0.5))


def test_a_failing_task_fails_the_run():
    platform = VirtualPlatform()

    async def broken():
        await platform.sleep(0.1)
        raise ValueError("broken")

    async def main():
        platform.spawn(broken(), "broken")
        await platform.sleep(1)

    with pytest.raises(ValueError, match="broken"):
        platform.run(main())


def test_a_run_is_bounded_and_names_what_waits():
    platform = VirtualPlatform()

    async def stuck():
        await platform.event().wait()

    async def main():
        platform.spawn(stuck(), "stuck-one")
        await platform.event().wait()

    with pytest.raises(TimeoutError, match="stuck-one"):
        platform.run(main(), limit=5)


def test_cancelled_task_ends_quietly():
    platform = VirtualPlatform()
    seen: list[int] = []

    async def worker():
        await platform.sleep(1)
        seen.append(1)

    async def main():
        task = platform.spawn(worker(), "worker")
        await platform.sleep(0)
        task.cancel()
        await platform.sleep(2)
        return task.done()

    assert platform.run(main())
    assert seen == []


def test_irq_line_counts_rises_only():
    platform = VirtualPlatform()
    line = DrivenIrqLine(platform)
    for level in (False, True, True, False, True):
        line.drive(level)
    assert line.rises == 2
    assert line.level()


def test_bus_error_status_is_checked():
    with pytest.raises(ValueError, match="not 'OOPS'"):
        BusError("OOPS", 0)


def test_spawn_outside_a_run_is_refused():
    async def nothing():
        pass

    coroutine = nothing()
    with pytest.raises(RuntimeError, match="not 'early'"):
        VirtualPlatform().spawn(coroutine, "early")
    coroutine.close()
