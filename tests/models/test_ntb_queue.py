"""Frames through queues: order at full rate, a lost doorbell, what is refused, two queues over one doorbell."""

import errno
from dataclasses import replace

import pytest
from ntb_rig import ONE_WINDOW, run_transport

from epbell_models.ntb import NtbTransport
from epbell_models.ntb.bulk import Bulk, merged_doorbells
from epbell_models.ntb.ping import Echo, Ping

TREES = ["imx8", "imx8-edma", "hdma"]
SIX_SLOTS = replace(ONE_WINDOW, db_count=6)


async def lose(bits):
    """Ring nobody: what a bridge does whose doorbell is lost."""
    return 0


def noted_versions(sink, bridge):
    """Return a list to which the version of each frame is added, as it is in the ring when the frame is delivered."""
    versions, take, ring = [], sink.received, sink.queue._receive_ring

    async def note(queue, data):
        word = await bridge.dma_read(ring.version(len(versions) % ring.entries), 4)
        versions.append(int.from_bytes(word, "little"))
        await take(queue, data)

    sink.received = note
    return versions


# -- full rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("tree", TREES)
def test_full_rate_keeps_the_order(tree, down):
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=down, size=300)
        versions = noted_versions(sink, rig.ntb if down else rig.host)
        assert await bulk.send(400) == 0
        await rig.platform.sleep(20e-3)
        assert versions == list(range(400)), "no gap, and none where the ring begins again"
        assert bulk.queue.entries < 400 / 20
        assert (sink.received_frames, sink.received_bytes, sink.gaps) == (400, 400 * 300, 0)
        assert sink.received_checksum == bulk.sent_checksum
        sent, received = bulk.queue.counts, sink.queue.counts
        assert (sent.sent, sent.sent_bytes, sent.rings) == (400, 400 * 300, 400)
        assert (received.received, received.versions, received.overflows) == (400, 0, 0)
        # The host takes what comes at once; on the way down the ring fills up.
        assert (sent.full > 0) == down
        return merged_doorbells(bulk.queue, sink.queue)

    merged = run_transport(scenario, tree=tree)
    # A run of the command work takes a ring full of frames at once; interrupts are one a frame.
    assert merged > 300 if tree == "hdma" and down else merged == 0


@pytest.mark.parametrize("tree", TREES)
def test_both_ways_at_full_rate(tree):
    async def scenario(rig):
        await rig.start()
        ends = [Bulk(rig.platform, transport, size=200) for transport in (rig.ours, rig.theirs)]
        await rig.links(*(end.queue for end in ends))
        done = []

        async def send(end):
            done.append(await end.send(200))

        for end in ends:
            rig.platform.spawn(send(end), "bulk")
        await rig.platform.sleep(2)
        assert done == [0, 0]
        for end, other in (ends, reversed(ends)):
            assert (end.sent_frames, other.received_frames, other.gaps) == (200, 200, 0)
            assert end.sent_checksum == other.received_checksum
            assert other.queue.counts.versions == 0

    run_transport(scenario, tree=tree)


@pytest.mark.parametrize("down", [True, False])
def test_two_senders_of_one_queue_do_not_mix_their_frames(down):
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=down)
        await rig.platform.sleep(50e-3)
        frames = []

        async def received(queue, data):
            frames.append(data)

        async def send(letter):
            for _ in range(40):
                while await bulk.queue.send(100 * letter):
                    await rig.platform.sleep(1e-3)

        sink.received = received
        for letter in (b"a", b"b"):
            rig.platform.spawn(send(letter), "sender")
        await rig.platform.sleep(0.5)
        assert sorted(frames) == 40 * [100 * b"a"] + 40 * [100 * b"b"]
        assert sink.queue.counts.versions == 0

    run_transport(scenario, tree="hdma")


@pytest.mark.parametrize("mtu", [37, 1024, 0x10000])
def test_frames_of_every_size(mtu):
    async def scenario(rig):
        ping, echo = await rig.ping(size=4)
        most = ping.queue.max_size
        assert most == min(mtu, (0x4000 - 4) // 2) - 12
        assert ping.queue.entries == (0x4000 - 4) // (most + 12)
        answers = []

        async def received(queue, data):
            answers.append(data)

        ping.received = received
        sizes = sorted({1, 2, 3, 4, 5, 15, 16, most // 2, most - 1, most})
        for size in sizes:
            assert await ping.queue.send(bytes(n & 0xFF for n in range(size))) == 0
            await rig.platform.sleep(10e-3)
        assert answers == [bytes(n & 0xFF for n in range(size)) for size in sizes]
        assert echo.refused == 0

    run_transport(scenario, tree="hdma", mtu=mtu)


# -- lost doorbells ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("tree", TREES)
def test_a_lost_doorbell_stalls_until_the_next(tree, down):
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=down, size=64)
        await rig.platform.sleep(50e-3)
        ringer = rig.host if down else rig.ntb
        ring = ringer.peer_db_set

        ringer.peer_db_set = lose
        assert await bulk.send(2) == 0
        await rig.platform.sleep(1)
        assert sink.received_frames == 0, "nobody looks without a doorbell"
        ringer.peer_db_set = ring
        assert await bulk.send(1) == 0
        await rig.platform.sleep(10e-3)
        assert (sink.received_frames, sink.gaps, sink.queue.counts.versions) == (3, 0, 0)
        assert merged_doorbells(bulk.queue, sink.queue) == 2

    run_transport(scenario, tree=tree)


def test_a_ping_that_is_lost_is_counted_and_its_late_answer_too():
    async def scenario(rig):
        ping, echo = await rig.ping(timeout=0.1)
        await rig.platform.sleep(50e-3)
        ring = rig.ntb.peer_db_set

        rig.ntb.peer_db_set = lose
        assert await ping.once() is None
        assert (ping.sent, ping.lost, echo.answered) == (1, 1, 1)
        rig.ntb.peer_db_set = ring
        assert await ping.once() is not None
        assert (ping.sent, ping.lost, ping.strangers, len(ping.times)) == (2, 1, 1, 1)

    run_transport(scenario, tree="hdma")


def test_a_frame_that_comes_after_the_last_look_is_found_though_its_doorbell_is_merged():
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=True, size=64)
        await rig.platform.sleep(50e-3)
        read, flags = rig.ntb.dma_read, sink.queue._receive_ring.flags(1)
        looks = []

        async def read_just_before(address, length):
            data = await read(address, length)
            if address == flags and not looks:
                looks.append(data)
                rig.host.peer_db_set = lose
                assert await bulk.send(1) == 0
            return data

        rig.ntb.dma_read = read_just_before
        runs = sink.queue.runs
        assert await bulk.send(1) == 0
        await rig.platform.sleep(20e-3)
        assert looks == [bytes(4)], "the second frame was not there yet"
        assert (sink.received_frames, sink.queue.counts.interrupts) == (2, 1)
        assert sink.queue.runs == runs + 2, "once more after the bit was cleared"
        assert rig.ntb.db_read() == 0

    run_transport(scenario, tree="hdma")


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_what_cannot_be_sent():
    async def scenario(rig):
        await rig.start()
        ping = Ping(rig.platform, rig.theirs)
        assert await ping.queue.send(b"early") == -errno.ENOTCONN
        assert await ping.once() is None
        assert (ping.sent, ping.refused) == (0, 1)
        echo = Echo(rig.ours)
        await rig.links(ping.queue, echo.queue)
        assert await ping.queue.send(b"") == -errno.EINVAL
        assert await ping.queue.send(bytes(ping.queue.max_size + 1)) == -errno.EIO
        assert await ping.queue.send(bytes(ping.queue.max_size)) == 0
        assert ping.queue.counts.sent == 1

    run_transport(scenario, tree="hdma")


def test_one_place_of_the_ring_stays_free():
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=True, size=64)
        await rig.platform.sleep(50e-3)
        ring = rig.host.peer_db_set

        rig.host.peer_db_set = lose
        results = [await bulk.queue.send(bytes(64)) for _ in range(bulk.queue.entries)]
        assert results == [0] * (bulk.queue.entries - 1) + [-errno.EAGAIN]
        assert bulk.queue.counts.full == 1
        rig.host.peer_db_set = ring
        await rig.host.peer_db_set(1)
        await rig.platform.sleep(10e-3)
        assert sink.received_frames == bulk.queue.entries - 1
        assert await bulk.queue.send(bytes(64)) == 0

    run_transport(scenario, tree="hdma")


def test_a_run_takes_a_ring_full_and_another_one_what_is_left():
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=True, size=64)
        await rig.platform.sleep(50e-3)
        frames = 3 * bulk.queue.entries
        take = sink.received

        async def refill(queue, data):
            await take(queue, data)
            if bulk.sent_frames < frames:
                assert await bulk.send(1) == 0

        sink.received = refill
        assert await bulk.send(1) == 0
        rig.host.peer_db_set = lose
        runs = sink.queue.runs
        await rig.platform.sleep(20e-3)
        assert (sink.received_frames, sink.gaps, sink.queue.counts.interrupts) == (frames, 0, 1)
        assert sink.queue.runs - runs == 5, "three rings full, then none, then none after the bit was cleared"

    run_transport(scenario, tree="hdma")


@pytest.mark.parametrize(
    ("field", "value", "counter", "said"),
    [
        ("version", 9, "versions", "qp 0: version mismatch, expected 0 - got 9"),
        ("length", 0x7FFF_FFFF, "overflows", "qp 0: receive overflow: 2147483647 bytes"),
    ],
)
def test_a_frame_that_is_not_right_is_refused(field, value, counter, said):
    async def scenario(rig):
        bulk, sink = await rig.bulk(down=True, size=64)
        await rig.platform.sleep(50e-3)
        write = rig.host.peer_mw_write
        ring = bulk.queue._send_ring

        async def spoil(widx, offset, data):
            await write(widx, offset, value.to_bytes(4, "little") if offset == getattr(ring, field)(0) else data)

        rig.host.peer_mw_write = spoil
        assert await bulk.send(2) == 0
        await rig.platform.sleep(20e-3)
        assert getattr(sink.queue.counts, counter) >= 1
        # What was too long is dropped; a version that is not the next stops the queue for good.
        assert sink.received_frames == (1 if counter == "overflows" else 0)
        assert [line for line in rig.ours.log if said in line]

    run_transport(scenario, tree="hdma")


# -- several doorbells, one interrupt ----------------------------------------------------------------------------------


def pairs(rig):
    return [(Ping(rig.platform, rig.theirs), Echo(rig.ours)) for _ in range(2)]


@pytest.mark.parametrize(("tree", "shared"), [("imx8-edma", True), ("hdma", False)])
def test_two_queues_in_one_window(tree, shared):
    async def scenario(rig):
        await rig.start()
        assert (rig.theirs.queue_count, rig.ours.queue_count) == (2, 2)
        (ping, echo), (other, other_echo) = pairs(rig)
        await rig.links(ping.queue, echo.queue, other.queue, other_echo.queue)
        await rig.platform.sleep(50e-3)
        told = other_echo.queue.counts.interrupts
        empty = other_echo.queue.counts.empty
        for _ in range(20):
            assert await ping.once() is not None
        # One kick stands for every slot: the other queue's handler is told as well, looks, and finds nothing.
        assert other_echo.queue.counts.interrupts - told == (20 if shared else 0)
        assert (other_echo.queue.counts.empty - empty >= 20) == shared
        assert other_echo.queue.counts.received == 0
        for _ in range(20):
            assert await other.once() is not None
        for client in (ping, other):
            assert (client.sent, client.lost, client.strangers) == (20, 0, 0)
            assert client.queue.counts.interrupts == 20, "the host's vectors tell its queues apart"
        assert other_echo.queue.counts.versions == echo.queue.counts.versions == 0

    both = {"max_clients": 2}
    run_transport(scenario, tree=tree, config=SIX_SLOTS, ours=both, theirs=both)


def test_four_messages_are_two_doorbells_and_one_queue():
    async def scenario(rig):
        vntb = rig.below.vntb
        assert (vntb.backend, len(vntb.epf.doorbells)) == ("mu", 4)
        assert rig.ntb.db_valid_mask() == 0b11
        ping, echo = await rig.ping()
        assert (rig.theirs.queue_count, rig.ours.queue_count) == (1, 1)
        await rig.platform.sleep(50e-3)
        told = echo.queue.counts.interrupts
        assert await rig.host.peer_db_set(0b10) == 0
        await rig.platform.sleep(1e-3)
        assert echo.queue.counts.interrupts == told, "the other bit is nobody's"
        assert rig.ntb.db_read() == 0b10
        assert await ping.once() is not None

    run_transport(scenario)


@pytest.mark.parametrize("tree", TREES)
def test_a_slot_that_the_peer_does_not_have(tree):
    async def scenario(rig):
        ping, echo = await rig.ping()
        assert await ping.once() is not None
        told = echo.queue.counts.interrupts
        assert rig.host.strays == 0
        for bit in range(2, 14):
            assert await rig.host.peer_db_set(1 << bit) == 0
        await rig.platform.sleep(20e-3)
        assert rig.host.strays == 12
        assert echo.queue.counts.interrupts == told, "nobody heard it"
        assert rig.ntb.db_read() & ~0b11 == 0
        for _ in range(5):
            assert await ping.once() is not None, "no damage was done"
        assert rig.host.strays == 12

    run_transport(scenario, tree=tree)


def test_a_queue_begins_without_a_doorbell():
    async def scenario(rig):
        await rig.start()
        rig.ntb.db_event(0, 0b11)
        Echo(rig.ours)
        assert rig.ntb.db_read() == 0b10

    run_transport(scenario)


def test_there_are_no_more_queues_than_the_transport_has():
    async def scenario(rig):
        with pytest.raises(RuntimeError, match=r"none before start\(\): there is no queue 0"):
            Ping(rig.platform, rig.theirs)
        await rig.start()
        Ping(rig.platform, rig.theirs)
        with pytest.raises(RuntimeError, match=r"There are 1 queues.*there is no queue 1"):
            Ping(rig.platform, rig.theirs)

    run_transport(scenario)


def test_sizes_that_make_no_sense():
    async def scenario(rig):
        await rig.start()
        with pytest.raises(ValueError, match="at least 4 bytes, for its number, not 3"):
            Ping(rig.platform, rig.theirs, size=3)
        with pytest.raises(ValueError, match="at least 4 bytes, for its number, not 0"):
            Bulk(rig.platform, rig.theirs, size=0)
        for options in ({"mtu": 0}, {"max_clients": -1}):
            with pytest.raises(ValueError, match="Frames have 1 byte or more"):
                NtbTransport(rig.platform, rig.host, **options)

    run_transport(scenario)
