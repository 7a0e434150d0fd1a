"""Scenarios of BARs that show two places: by Linux's own test, on every BAR, and without windows for it."""

import errno

import cocotb

from epbell_tb.endpoint.env import scenario

_ANOTHER = -1
_MOST = 128 << 10


def _bars(env):
    """Return the BARs to split: not the one with the test's registers, none that takes the CPU long to fill.

    The host waits one second of Linux, a millisecond here, in which the CPU stores some 100 KiB.
    """
    return [number for number, size in enumerate(env.bar_sizes) if 0 < size <= _MOST and number]


@cocotb.test(timeout_time=4000, timeout_unit="us")
@scenario()
async def subrange_on_every_bar(env):
    """Run Linux's BAR_SUBRANGE test on every BAR but the registers', with a window of another BAR's to spare."""
    await env.use_max_payload(512)
    bars, controller = env.software.function.epf.bars, env.software.controller
    first, *others, last = _bars(env)
    for spare, tested in ((last, (first, *others)), (first, (last,))):
        await controller.clear_bar(bars[spare])
        for number in tested:
            assert await env.host.bar_subrange_test(number) == 0, f"BAR {number}: {env.software.log}"
            assert await env.host.bar_test(number) == 0, f"BAR {number} is not as before"
        assert await controller.set_bar(bars[spare]) == 0
    assert await env.host.bar_subrange_test(0) == -errno.EBUSY
    assert await env.host.bars_test() == 0
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def inbound_windows_exhausted(env):
    """With every window in use no BAR can be split: -ENOSPC, and the BAR is whole."""
    await env.use_max_payload(512)
    controller = env.software.controller
    # What the BARs leave is another's.
    controller.bar_to_windows[_ANOTHER] = sorted(
        set(range(env.tree.endpoint.inbound_windows)) - set(controller.bar_to_window.values())
    )
    first, *_, last = _bars(env)
    for number in (first, last):
        assert await env.host.bar_subrange_test(number) == -errno.ENOSPC
        assert await env.host.bar_test(number) == 0
    assert await env.host.doorbell_test() == 0, env.software.log


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def subrange_on_the_doorbells_bar(env):
    """Split a BAR while the doorbell is behind it: refused or restored, the doorbell's window is never stuck."""
    await env.use_max_payload(512)
    bars, controller = env.software.function.epf.bars, env.software.controller
    bar = env.software.epc.features.next_free_bar(1)
    await controller.clear_bar(bars[_bars(env)[-1]])
    for _ in range(2):
        assert await env.host.doorbell_test() == 0, env.software.log
        assert await env.host.bar_subrange_test(bar) == 0, env.software.log
    assert await env.host.bar_test(bar) == 0
    assert await env.host.doorbell_test() == 0, env.software.log
