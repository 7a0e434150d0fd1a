"""Which doorbell Linux takes on a device tree, why, and what the host sees of it: nothing but whether there is one."""

import errno

import cocotb

from epbell_tb.endpoint.bring_up import scenario

_ROUNDS = 3
_STATUS, _DB_BAR = 0x08, 0x34
_NO_BAR = 0xFFFF_FFFF
_IRQ_RAISED, _ENABLE_SUCCESS, _ENABLE_FAIL = 1 << 6, 1 << 10, 1 << 11

_NO_DOMAIN = "Can't find MSI domain for EPC"
_FELL_BACK = f"{_NO_DOMAIN}; Using embedded (DMA) doorbell fallback (-ENODEV)"

# Device tree: backend, all that Linux says about it, what the host's DOORBELL test returns.
_EXPECTED = {
    "imx8": ("mu", "", 0),
    "imx8-edma": ("edma", _FELL_BACK, 0),
    "rk3588": ("edma", _FELL_BACK, 0),
    "hdma": ("polling", f"{_NO_DOMAIN}; Failed to allocate doorbell: -19 (-ENODEV)", 0),
    "msi-enospc": (None, "Failed to allocate MSI (-ENOSPC)", -errno.EINVAL),
    "msi-enomem": (None, "Failed to allocate MSI (-ENOMEM)", -errno.EINVAL),
}


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def doorbell_test_on_each_backend(env):
    """Run Linux's DOORBELL test, whichever doorbell the tree leads to; or see that the enable fails, and how."""
    function = env.software.function
    bar = env.software.epc.features.next_free_bar(1)
    pattern = env.random.randbytes(256)
    await env.device.write(bar, 0x40, pattern)
    addresses = [await env.device.bar_register(number) for number in range(6)]
    results = set()
    for number in range(1, _ROUNDS + 1):
        fired = env.device.fired[0]
        results.add(await env.host.doorbell_test())
        env.outcome |= {"backend": function.backend, "reason": function.reason, "result": max(results, key=abs)}
        if function.backend is None:
            assert env.device.fired[0] == fired + 1, "a failed enable is one interrupt"
            assert await env.device.read32(0, _STATUS) == _IRQ_RAISED | _ENABLE_FAIL
        else:
            assert env.device.fired[0] == fired + 3, "one interrupt for each of enable, ring and disable"
        # An allocation that fails touches no register: DB_BAR is as after reset. A disable leaves NO_BAR.
        assert await env.device.read32(0, _DB_BAR) == (0 if function.backend is None else _NO_BAR)
        rung = {"mu": "rings", "edma": "kicks"}.get(function.backend or "")
        assert env.board.counts["rings"] + env.board.counts["kicks"] == (number if rung else 0)
        assert not rung or env.board.counts[rung] == number
    _judge(env, results)
    assert await env.device.read(bar, 0x40, len(pattern)) == pattern, "the RAM behind the doorbell is not restored"
    assert [await env.device.bar_register(number) for number in range(6)] == addresses
    assert await env.host.bar_test(0) == 0
    if function.backend is not None:
        await env.use_max_payload(512)
        assert await env.host.bar_test(bar) == 0
    fixed = env.tree.endpoint.fixed_bar
    if fixed is not None:
        assert await env.host.bar_test(fixed) == -errno.ENOBUFS


def _judge(env, results):
    """Compare with what has to come out; a tree of the user's own may lead anywhere, but consistently."""
    function = env.software.function
    backend, reason, result = _EXPECTED.get(env.tree.name, (function.backend, function.reason, None))
    assert function.backend == backend, f"the backend is {function.backend}: {function.reason}"
    assert function.reason == reason, f"the reason is {function.reason!r}, not {reason!r}"
    if result is None:
        result = -errno.EINVAL if backend is None else 0
    assert results == {result}, f"the DOORBELL test returned {results}: {env.software.log}"
    enables = [status for status in env.host.statuses if status & (_ENABLE_SUCCESS | _ENABLE_FAIL)]
    assert [bool(status & _ENABLE_SUCCESS) for status in enables] == [result == 0] * _ROUNDS
