"""Scenarios of ntb_transport over the bridge: its link, frames in order, and doorbells that are lost."""

from contextlib import contextmanager, nullcontext

import cocotb

from epbell_models.host.ntb_hw_epf_regs import Register
from epbell_models.ntb import Spad
from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.packets import MEM_WRITE
from epbell_tb.endpoint.vntb_link import Ends, LinkBringUp
from epbell_tb.endpoint.vntb_slots import backend_of, store_of

_FRAMES = 40
_ROUNDS = 3
_HEADER = 12
"""Bytes at the end of a frame's place: version, length, flags."""

_PERIOD = 10e-3
_COMMAND = 0.5
_TICK = 5e-3
_ROW = (4, 1, 1, 1, 0)
"""Version, link of queue 0, queues, windows, upper half of the window's size: what either side tells the other."""


async def _rows(env):
    """Return the host's row of scratchpads and the endpoint's."""
    count = env.config().spad_count
    data = await env.device.read(env.map.config, 0x134, 8 * count)
    words = [int.from_bytes(data[start : start + 4], "little") for start in range(0, len(data), 4)]
    return words[:count], words[count:]


def _complaints(env):
    """Return what a queue or a client has against the frames that it received."""
    counts = [bulk.queue.counts for bulk in env.bulks]
    return [(bulk.gaps, one.versions, one.overflows) for bulk, one in zip(env.bulks, counts, strict=True)]


def _same(env):
    """Check that each end received what the other sent, all of it and in order."""
    assert _complaints(env) == [(0, 0, 0)] * 2, [transport.log for transport in env.transports]
    for source, target in ((env.bulks.host, env.bulks.endpoint), (env.bulks.endpoint, env.bulks.host)):
        assert target.received_frames == source.sent_frames
        assert target.received_checksum == source.sent_checksum


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(LinkBringUp())
async def vntb_frames_in_order(env):
    """Send frames both ways at full rate, the rings of frames several times over: each arrives, in order, no stall."""
    row = [*_ROW, env.bar_sizes[env.map.windows[0]]]
    row += [0] * (env.config().spad_count - len(row))
    assert await _rows(env) == (row, row)
    assert env.bulks.host.queue.entries < _FRAMES / 2
    # The host's command for the only window is still there, so is its buffer's address.
    buffer = int.from_bytes(await env.device.read(env.map.config, Register.LOWER_ADDR, 8), "little")
    with _versions(env, buffer) as versions:
        sending = [cocotb.start_soon(bulk.send(_FRAMES)) for bulk in env.bulks]
        await env.received(Ends(_FRAMES, _FRAMES), "at full rate", 1.0)
    for sent in versions:
        assert sent == list(range(_FRAMES)), "each frame says which it is, without a gap where the ring begins again"
    for task in sending:
        assert await task == 0
    _same(env)
    for bulk in env.bulks:
        assert bulk.queue.counts.rings == _FRAMES, "a doorbell for each frame"
    assert env.stores == [store_of(env, 2, backend_of(env))] * _FRAMES
    assert sum(env.device.fired) == env.device.fired[2] == env.vntb.irqs_raised


@contextmanager
def _versions(env, buffer):
    """Take down the version of each frame from its packet: of the host's at CQ, of the endpoint's at RQ."""
    versions, board, mtu = Ends([], []), env.board, env.place
    size = env.bar_sizes[env.map.windows[0]]
    judge, sent = board.request, board.to_host.sent

    def version(offset, data):
        return [int.from_bytes(data, "little")] if len(data) == 4 and offset % mtu == mtu - _HEADER else []

    def requested(request):
        judge(request)
        if request.kind == MEM_WRITE and request.bar == env.map.windows[0]:
            versions.host.extend(version(request.address & size - 1, request.payload))

    def left(request):
        sent(request)
        if request.kind == MEM_WRITE and 0 <= request.address - buffer < size:
            versions.endpoint.extend(version(request.address - buffer, request.data))

    board.request, board.to_host.sent = requested, left
    yield versions
    board.request, board.to_host.sent = judge, sent


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(LinkBringUp())
async def vntb_lost_ring(env):
    """Lose a doorbell on its way: its frame waits for the next one, which brings both. To the endpoint and the host."""
    host, endpoint = env.bulks
    for bulk in env.bulks:
        assert await bulk.send(1) == 0
    await env.received(Ends(1, 1), "before", 0.1)
    rings = len(env.stores)
    with _host_is_dumb(env):
        assert await host.send(1) == 0
        await env.platform.sleep(4 * _TICK)
    assert len(env.stores) == rings, "the ring is lost"
    assert endpoint.received_frames == 1, "nobody has told the endpoint"
    assert await host.send(1) == 0
    await env.received(Ends(1, 3), "after a lost ring of the host", 0.1)
    fired = list(env.device.fired)
    with _endpoint_is_dumb(env):
        assert await endpoint.send(1) == 0
        await env.platform.sleep(4 * _TICK)
    assert env.device.fired == fired, "the interrupt is lost"
    assert host.received_frames == 1, "nobody has told the host"
    assert await endpoint.send(1) == 0
    await env.received(Ends(3, 3), "after a lost ring of the endpoint", 0.1)
    await env.settle()
    _same(env)


@contextmanager
def _host_is_dumb(env):
    """Lose the host's stores to the doorbells before they come to the link."""
    post = env.memory.write32
    first = env.address(env.map.db)

    async def lossy(address, value):
        if not first <= address < first + env.bar_sizes[env.map.db]:
            await post(address, value)

    env.memory.write32 = lossy
    yield
    del env.memory.write32


@contextmanager
def _endpoint_is_dumb(env):
    """Lose the endpoint's interrupts before they come to the hardware."""
    epc = env.software.epc

    async def lost(kind, number):
        return 0

    epc.raise_irq = lost
    yield
    del epc.raise_irq


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(LinkBringUp(link=False))
async def vntb_link_up_and_down(env):
    """Take the link up and down again and again, one side late: both agree within a few looks, and frames pass."""
    ends = {"host": env.transports.host, "endpoint": env.transports.endpoint}
    polled = backend_of(env) == "polling"
    # Where doorbells interrupt, the host's command for its window takes up to half a second.
    limit = 6 * _PERIOD + (0 if polled else _COMMAND)
    patient = nullcontext if polled else env.flowing
    for number in range(_ROUNDS if polled else 1):
        first, second = ("host", "endpoint") if number % 2 else ("endpoint", "host")
        with patient():
            assert await ends[first].start() == 0
        setattr(env.bulks, first, env.client(ends[first]))
        await env.platform.sleep(env.random.uniform(3, 6) * _PERIOD)
        assert not any(transport.link_is_up for transport in env.transports)
        with patient():
            assert await ends[second].start() == 0
            setattr(env.bulks, second, env.client(ends[second]))
            start = env.platform.now()
            await env.links(up=True)
        assert env.platform.now() - start < limit, "it takes some looks"
        links = [await bridge.spad_read(Spad.QP_LINKS) for bridge in (env.driver, env.ntb)]
        assert links == [1, 1]
        for bulk in env.bulks:
            assert await bulk.send(2) == 0
        await env.received(Ends(2, 2), f"round {number}", 0.2)
        _same(env)
        goes, stays = env.random.sample(list(ends), 2)
        with patient():
            await ends[goes].stop()
        rows = await _rows(env)
        assert not rows[goes == "host"][Spad.QP_LINKS] & 1, "who goes down says so to the other"
        await env.platform.sleep(env.random.uniform(1, 3) * _PERIOD)
        assert not getattr(env.bulks, stays).queue.link_is_up, "who stays has heard of it"
        # It looks for the other again; if it goes down during a look, its bit stays, as in the kernel.
        with patient():
            await ends[stays].stop()
        assert await env.driver.link_is_up() == await env.ntb.link_is_up() == 0


@cocotb.test(timeout_time=8000, timeout_unit="us")
@after(LinkBringUp(link=False))
async def vntb_link_mismatch(env):
    """Let the two sides differ in version, queues and windows: never a link, both go on looking; then alike, a link."""
    both = {"max_clients": 0}
    await _never_up(env, {"version": 5}, both, "version is 5, not 4")
    # More doorbell bits at the host than at the endpoint, and clients that share a window.
    await _never_up(env, {"max_clients": 2}, {"max_clients": 2}, "number of queues is 1, not 2")
    env.driver.peer_mw_count = lambda: 2
    await _never_up(env, {"max_clients": 1}, both, "number of memory windows is 1, not 2")
    del env.driver.peer_mw_count
    env.transports = Ends(env.transport(host=True), env.transport(host=False))
    await env.link_up()
    for bulk in env.bulks:
        assert await bulk.send(1) == 0
    await env.received(Ends(1, 1), "alike", 0.2)
    _same(env)


async def _never_up(env, host, endpoint, reason):
    """Start transports that do not agree, and see that they never do; then stop them."""
    ends = Ends(env.transport(host=True, **host), env.transport(host=False, **endpoint))
    for transport in ends:
        assert await transport.start() == 0
    await env.platform.sleep(2 * _PERIOD)
    before = [transport.looks for transport in ends]
    await env.platform.sleep(5 * _PERIOD)
    for transport, looks in zip(ends, before, strict=True):
        assert not transport.link_is_up, "it must not come up"
        assert 3 <= transport.looks - looks <= 6, "it goes on looking, every 10 ms"
    assert reason in ends.host.reason or reason in ends.endpoint.reason, [one.reason for one in ends]
    for transport in ends:
        await transport.stop()
