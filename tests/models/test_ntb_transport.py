"""The transport's link: the handshake over scratchpads, one side late, sides that do not agree, up and down again."""

import errno
from dataclasses import replace

import pytest
from ntb_rig import ONE_WINDOW, run_transport
from vntb_rig import MX8, RK3588, RK3588_BARS

from epbell_models.ntb import Spad
from epbell_models.ntb.ping import Echo, Ping

TREES = ["imx8", "imx8-edma", "hdma"]
ROWS = 0x134
"""Where the host's row of scratchpads is in the config BAR; the endpoint's follows."""


async def rows(rig):
    """Return both rows of scratchpads, the host's and the endpoint's."""
    data = await rig.below.device.read(0, ROWS, 2 * 4 * 16)
    words = [int.from_bytes(data[start : start + 4], "little") for start in range(0, len(data), 4)]
    return words[:16], words[16:]


# -- the handshake -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", TREES)
def test_each_side_writes_what_it_has_into_the_peers_row(tree):
    async def scenario(rig):
        block = await rig.below.device.read(0, 0x20, ROWS - 0x20)
        await rig.ping()
        # VERSION, QP_LINKS, NUM_QPS, NUM_MWS, then the size of each window, upper half first.
        row = [4, 1, 1, 1, 0, 0x4000] + [0] * 10
        assert await rows(rig) == (row, row)
        assert await rig.below.device.read(0, 0x20, ROWS - 0x20) == block, "nothing leaks into the control block"
        assert (rig.ours.reason, rig.theirs.reason) == ("", "")

    run_transport(scenario, tree=tree)


def test_the_version_is_written_last_and_read_first():
    async def scenario(rig):
        written, asked = [], []
        write, read = rig.host.peer_spad_write, rig.host.spad_read

        async def note_write(pidx, index, value):
            written.append((index, value))
            return await write(pidx, index, value)

        async def note_read(index):
            asked.append(index)
            return await read(index)

        rig.host.peer_spad_write, rig.host.spad_read = note_write, note_read
        assert await rig.ours.start() == 0
        await rig.theirs.start()
        await rig.links(rig.theirs)
        assert written[:5] == [(4, 0), (5, 0x4000), (3, 1), (2, 1), (0, 4)]
        assert asked[-5:] == [0, 2, 3, 4, 5]
        assert set(asked[:-5]) <= {0}, "the others are not read before the version is there"

    run_transport(scenario, tree="hdma")


@pytest.mark.parametrize(("hz", "period"), [(None, 10e-3), (250, 12e-3), (1000, 10e-3)])
def test_the_peer_is_looked_for_every_10_ms(hz, period):
    async def scenario(rig):
        await rig.theirs.start()
        await rig.links(rig.ours, up=False)
        before = rig.theirs.looks
        await rig.platform.sleep(100 * period + period / 2)
        assert 99 <= rig.theirs.looks - before <= 101
        assert rig.theirs.reason == "The peer's version is 0, not 4"
        assert await rig.ours.start() == 0
        start = rig.platform.now()
        await rig.links(rig.ours, rig.theirs)
        assert rig.platform.now() - start < 3 * period

    options = {"hz": hz}
    run_transport(scenario, tree="hdma", ours=options, theirs=options, config=replace(ONE_WINDOW, hz=hz))


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma"])
def test_what_is_sent_to_a_queue_that_is_not_up_yet_waits_there(tree):
    async def scenario(rig):
        await rig.start()
        ping, echo = Ping(rig.platform, rig.theirs), Echo(rig.ours)
        assert await ping.up.wait(5)
        assert not echo.queue.link_is_up
        assert await ping.once() < 20e-3
        assert echo.queue.counts.received == 1

    run_transport(scenario, tree=tree)


def test_memory_behind_a_window_may_have_been_anything():
    async def scenario(rig):
        allocate, memory = rig.host.dma_alloc, rig.below.board.link.host_memory

        def dirty(size):
            address = allocate(size)
            memory.poke(address, b"\xff" * size)
            return address

        rig.host.dma_alloc = dirty
        ping, _ = await rig.ping()
        for _ in range(20):
            assert await ping.once() is not None
        assert (ping.queue.counts.versions, ping.queue.counts.overflows) == (0, 0)
        assert rig.theirs.log == ["ntb_transport: qp 0: Link Up"]

    run_transport(scenario, tree="hdma")


@pytest.mark.parametrize("late", ["ours", "theirs"])
@pytest.mark.parametrize("tree", TREES)
def test_up_and_down_again_with_one_side_late(tree, late):
    async def scenario(rig):
        assert await rig.ours.start() == 0
        echo = Echo(rig.ours)
        spent = set()
        for turn in range(4):
            if late == "theirs":
                await rig.platform.sleep(0.3)
            await rig.theirs.start()
            ping = Ping(rig.platform, rig.theirs)
            if late == "ours" and turn:
                # The endpoint's client closes its queue and opens it again while the host's waits for it.
                await rig.links(echo.queue)
                await echo.queue.link_down()
                await rig.platform.sleep(0.3)
                assert not ping.queue.link_is_up
                assert await ping.queue.send(b"nobody is there") == -errno.ENOTCONN
                echo.queue.link_up()
            await rig.links(ping.queue, echo.queue)
            for _ in range(3):
                assert await ping.once() is not None
            assert (ping.lost, ping.strangers) == (0, 0)
            mine, theirs = await rows(rig)
            assert mine[Spad.QP_LINKS] == theirs[Spad.QP_LINKS] == 1
            await rig.theirs.stop()
            await rig.links(rig.ours, echo.queue, up=False)
            await rig.platform.sleep(50e-3)
            assert await rows(rig) == ([0] * 16, [0] * 16), "they outlive the peer: everybody zeroes its own"
            assert not ping.up.is_set()
            spent.add((len(rig.below.board.link.host_memory.granted), len(rig.below.board.software.epc.pool._used)))
        assert len(spent) == 1, "nothing is left behind"
        assert echo.answered == 12

    run_transport(scenario, tree=tree)


def test_the_endpoint_is_late():
    async def scenario(rig):
        await rig.theirs.start()
        ping = Ping(rig.platform, rig.theirs)
        await rig.platform.sleep(0.5)
        assert not rig.theirs.link_is_up
        assert await rig.ours.start() == 0
        echo = Echo(rig.ours)
        await rig.links(ping.queue, echo.queue, limit=0.1)
        assert await ping.once() is not None

    run_transport(scenario, tree="hdma")


def test_a_host_that_says_again_that_its_link_is_up_starts_again():
    async def scenario(rig):
        ping, echo = await rig.ping()
        assert await ping.once() is not None
        events = []

        async def event(queue, up):
            events.append(up)

        async def set_trans(*_):
            raise AssertionError("the memory is there already")

        echo.event = event
        rig.ntb.mw_set_trans = rig.host.mw_set_trans = set_trans
        assert await rig.host.link_enable() == 0
        rig.host.link_event()
        await rig.platform.sleep(50e-3)
        await rig.links(ping.queue, echo.queue)
        assert events == [True]
        assert (rig.ours.looks, rig.theirs.looks) == (3, 2)
        for _ in range(3):
            assert await ping.once() is not None
        assert echo.queue.counts.versions == ping.queue.counts.versions == 0

    run_transport(scenario, tree="hdma")


def test_a_client_that_leaves_takes_its_queue_down_and_not_the_transport():
    async def scenario(rig):
        ping, echo = await rig.ping()
        await rig.platform.sleep(50e-3)
        for _ in range(3):
            assert await ping.once() is not None
            await ping.queue.link_down()
            await rig.links(echo.queue, up=False)
            await rig.platform.sleep(50e-3)
            assert rig.ours.link_is_up
            assert rig.theirs.link_is_up
            assert await ping.once() is None
            assert not echo.queue.link_is_up, "it is looked for, but is not there"
            mine, theirs = await rows(rig)
            assert (mine[Spad.QP_LINKS], theirs[Spad.QP_LINKS]) == (1, 0)
            ping.queue.link_up()
            await rig.links(ping.queue, echo.queue)
            await rig.platform.sleep(50e-3)
        assert (ping.sent, ping.refused, ping.lost, echo.answered) == (3, 3, 0, 3)

    run_transport(scenario, tree="hdma")


def test_an_endpoint_that_starts_again_waits_for_a_host_that_does():
    async def scenario(rig):
        ping, _ = await rig.ping()
        await rig.ours.stop()
        await rig.links(ping.queue, up=False)
        assert await rig.ours.start() == 0
        await rig.platform.sleep(0.5)
        assert (rig.ours.link_is_up, rig.theirs.link_is_up) == (False, True)
        assert rig.ours.reason == "The peer's version is 0, not 4", "the host has written it once, and not again"
        await rig.theirs.stop()
        await rig.platform.sleep(50e-3)
        assert await rig.theirs.start() == 0
        ping, echo = Ping(rig.platform, rig.theirs), Echo(rig.ours)
        await rig.links(ping.queue, echo.queue)
        assert await ping.once() is not None

    run_transport(scenario, tree="hdma")


def test_stopping_twice_is_stopping_once():
    async def scenario(rig):
        await rig.ping()
        for _ in range(2):
            await rig.theirs.stop()
        assert rig.host.client is None
        assert rig.theirs.queues == []

    run_transport(scenario, tree="hdma")


# -- sides that do not agree -------------------------------------------------------------------------------------------


async def never_up(rig, ours, theirs):
    """Both look on and on, say why, and nothing is harmed."""
    await rig.start()
    before = rig.ours.looks, rig.theirs.looks
    await rig.platform.sleep(3)
    assert not rig.ours.link_is_up
    assert not rig.theirs.link_is_up
    assert all(200 < now - then <= 301 for now, then in zip((rig.ours.looks, rig.theirs.looks), before, strict=True))
    assert (rig.ours.reason, rig.theirs.reason) == (ours, theirs)
    mine, row = await rows(rig)
    assert mine[Spad.QP_LINKS] == row[Spad.QP_LINKS] == 0


@pytest.mark.parametrize("tree", TREES)
def test_versions_differ(tree):
    async def scenario(rig):
        await never_up(rig, "The peer's version is 3, not 4", "The peer's version is 4, not 3")

    run_transport(scenario, tree=tree, theirs={"version": 3})


@pytest.mark.parametrize("tree", TREES)
def test_numbers_of_queues_differ(tree):
    async def scenario(rig):
        # Four slots have two doorbells, which are one queue; the host's 16 vectors have 14 and one queue per window.
        await never_up(rig, "The peer's number of queues is 2, not 1", "The peer's number of queues is 1, not 2")
        assert (rig.ours.window_count, rig.theirs.window_count) == (2, 2)

    run_transport(scenario, tree=tree, config=MX8)


def test_four_vectors_at_the_host_make_them_agree():
    async def scenario(rig):
        ping, _ = await rig.ping()
        assert (rig.theirs.queue_count, rig.theirs.window_count) == (1, 2)
        assert await ping.once() is not None

    run_transport(scenario, config=MX8, msi_limit=4)


@pytest.mark.parametrize("tree", TREES)
def test_numbers_of_windows_differ(tree):
    async def scenario(rig):
        rig.host.peer_mw_count = lambda: 1
        await never_up(
            rig, "The peer's number of memory windows is 1, not 2", "The peer's number of memory windows is 2, not 1"
        )

    run_transport(scenario, tree=tree, config=MX8, ours={"max_clients": 1}, theirs={"max_clients": 1}, msi_limit=4)


def test_they_agree_later():
    async def scenario(rig):
        await rig.start()
        await rig.platform.sleep(0.5)
        assert not rig.theirs.link_is_up
        await rig.theirs.stop()
        rig.theirs._version = 4
        assert await rig.theirs.start() == 0
        await rig.links(rig.ours, rig.theirs)

    run_transport(scenario, tree="hdma", theirs={"version": 3})


# -- what cannot be started --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spads", "windows", "outcome"), [(5, 0, -errno.EINVAL), (6, 1, 0), (7, 1, 0), (8, 2, 0)])
def test_scratchpads_limit_the_windows(spads, windows, outcome):
    async def scenario(rig):
        assert await rig.ours.start() == outcome
        assert rig.ours.window_count == windows
        said = ["ntb_transport: Not enough scratchpads: 5, not 6"] if outcome else []
        assert rig.ours.log == said

    run_transport(scenario, config=replace(MX8, spad_count=spads))


def test_a_bridge_has_one_client():
    async def scenario(rig):
        assert rig.host.set_ctx(rig.below.theirs) == 0
        assert await rig.theirs.start() == -errno.EINVAL
        await rig.theirs.stop()
        assert rig.host.client is rig.below.theirs

    run_transport(scenario)


def test_a_window_that_has_no_bar():
    async def scenario(rig):
        async def nowhere(widx):
            return -errno.EPERM

        rig.host.peer_mw_get_addr = nowhere
        assert await rig.theirs.start() == -errno.EPERM

    run_transport(scenario)


@pytest.mark.parametrize(("fault", "said"), [("alloc", "ENOMEM"), ("trans", "EIO"), ("align", "EPERM")])
def test_memory_that_cannot_be_put_behind_a_window(fault, said):
    async def scenario(rig):
        async def refuse(*_):
            return -errno.EINVAL

        used = len(rig.below.board.software.epc.pool._used)
        allocate, set_trans, get_align = rig.ntb.dma_alloc, rig.ntb.mw_set_trans, rig.ntb.mw_get_align
        if fault == "alloc":
            rig.ntb.dma_alloc = lambda size: None if size == 0x1_0000 else allocate(size)
        elif fault == "trans":
            rig.ntb.mw_set_trans = lambda pidx, widx, *rest: (refuse if widx else set_trans)(pidx, widx, *rest)
        else:
            rig.ntb.mw_get_align = lambda pidx, widx: -errno.EPERM if widx else get_align(pidx, widx)
        await rig.start()
        await rig.platform.sleep(0.2)
        looks = rig.ours.looks
        await rig.platform.sleep(0.2)
        assert rig.ours.looks == looks, "it is given up"
        assert not rig.ours.link_is_up
        assert rig.ours.reason == f"Memory window 1 of 0x10000 bytes: {said}"
        assert len(rig.below.board.software.epc.pool._used) == used, "nor is the first window's memory kept"

    run_transport(scenario, tree="hdma", config=MX8, msi_limit=4)


# -- identities and releases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["v7.1", "newest"])
@pytest.mark.parametrize(
    # The host's driver of 6.1 has no map for R-Car, which the fixed BARs of the RK3588 need.
    ("host", "tree"),
    [*((host, tree) for host in ("6.1", "newest") for tree in TREES), ("newest", "rk3588")],
)
def test_releases_and_bar_maps(tree, endpoint, host):
    options = {"config": ONE_WINDOW} if tree != "rk3588" else {"config": RK3588, "bars": RK3588_BARS}
    options["config"] = replace(options["config"], release=endpoint)

    async def scenario(rig):
        ping, echo = await rig.ping()
        for _ in range(5):
            assert await ping.once() is not None
        assert (ping.lost, ping.strangers, echo.refused) == (0, 0, 0)
        # v7.1 reports each doorbell one bit higher: the queue's own is never seen, and the one above never cleared.
        shared = tree in ("imx8-edma", "rk3588")
        later = {"newest": 0b10 if shared else 0, "v7.1": 0b110 if shared else 0b10}[endpoint]
        assert rig.ntb.db_read() == later

    run_transport(scenario, tree=tree, release=host, **options)
