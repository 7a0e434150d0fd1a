"""The bridge's other side as a guest's device, the memory behind it, and what the guests' consoles mean."""

import asyncio
import errno

import pytest

from epbell_models.ntb import NtbClient
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.outbound import Cause
from epbell_models.selftest.tap import TapWriter
from epbell_tb import linux
from epbell_tb.guest.bell_times import BellTimes
from epbell_tb.guest.host_side import HostSideMemory
from epbell_tb.guest.ntb_test import TESTS, NtbListener, script
from epbell_tb.guest.peer_block import FIRST_SLOT, TABLE, VECTORS
from epbell_tb.guest.peer_endpoint import PeerEndpoint
from epbell_tb.guest.peer_memory import PeerMemory, Place, WatchedEndpoint
from epbell_tb.guest.plain_ntb import PlainNtb
from epbell_tb.guest.port import HostFault
from epbell_tb.guest.two_guests import Survivor

WINDOW = 0x1_0000
BASES = {0: 0x1000_0000, 2: 0x1001_0000, 4: 0x1002_0000}
MESSAGE = 0xFEE0_0000
OK, ERROR = 1, 2


class Memory:
    """A guest's memory, and the interrupt messages that it got."""

    def __init__(self):
        self.bytes = bytearray(0x4_0000)
        self.messages = []

    def read(self, address, length):
        return bytes(self.bytes[address : address + length])

    def write(self, address, data):
        if address == MESSAGE:
            self.messages.append(int.from_bytes(data, "little"))
        else:
            self.bytes[address : address + len(data)] = data

    def intx(self, pin, asserted):
        raise AssertionError("the device has no INTx")


class Side:
    """One guest with its device, BARs placed and every vector set up with its number as data."""

    def __init__(self):
        self.memory = Memory()
        self.bridge = PlainNtb(self.memory, (WINDOW,))
        self.device = PeerEndpoint(self.bridge, self.memory, (WINDOW,))
        self.bridge.set_ctx(self.device)

    async def set_up(self):
        device = self.device
        for bar, base in BASES.items():
            await device.config_write(0x10 + 4 * bar, 4, base)
        await device.config_write(0x04, 2, 0x6)
        for vector in range(VECTORS):
            for at, word in enumerate((MESSAGE, 0, vector, 0)):
                await self.write(0, TABLE + 16 * vector + 4 * at, word)
        place = await device.config_read(0x34, 1)
        while await device.config_read(place, 1) != 0x11:
            place = await device.config_read(place + 1, 1)
        await device.config_write(place + 2, 2, 0x8000)

    async def read(self, bar, offset, length=4):
        return int.from_bytes(await self.device.memory_read(BASES[bar] + offset, length), "little")

    async def write(self, bar, offset, value, length=4):
        await self.device.memory_write(BASES[bar] + offset, value.to_bytes(length, "little"))

    async def command(self, number, argument=0):
        await self.write(0, 0x04, argument)
        await self.write(0, 0x00, number)
        status = await self.read(0, 0x08, 2)
        await self.write(0, 0x08, 0, 2)
        return status


def run(test):
    """Run a test on two joined sides."""

    async def both():
        near, far = Side(), Side()
        near.bridge.join(far.bridge)
        await near.set_up()
        await far.set_up()
        await test(near, far)

    asyncio.run(both())


def test_the_block_says_what_there_is():
    async def test(near, far):
        assert await near.device.config_read(0x00, 4) == 0x0809_1957
        assert await near.device.config_read(0x0A, 2) == 0x0500
        assert await near.read(0, 0x20) == 1
        assert await near.read(0, 0x28) == 0x134
        assert await near.read(0, 0x2C) == 64
        assert await near.read(0, 0x30) == 4

    run(test)


def test_scratchpads_cross():
    async def test(near, far):
        await near.write(0, 0x134 + 4 * 64 + 4 * 3, 0x1234_5678)
        await far.write(0, 0x134 + 4 * 5, 0x9ABC_DEF0)
        assert await far.read(0, 0x134 + 4 * 3) == 0x1234_5678
        assert await near.read(0, 0x134 + 4 * 64 + 4 * 5) == 0x9ABC_DEF0
        assert await near.read(0, 0x134 + 4 * 3) == 0

    run(test)


def test_the_link_is_up_when_both_want_it():
    async def test(near, far):
        assert await near.command(5) == OK
        assert await near.read(0, 0x0A, 2) == 0
        assert await far.command(5) == OK
        assert await near.read(0, 0x0A, 2) == await far.read(0, 0x0A, 2) == 1
        assert near.memory.messages == [0, 0]
        assert await far.command(6) == OK
        assert await near.read(0, 0x0A, 2) == 0

    run(test)


def test_a_ring_is_one_message_of_its_vector():
    async def test(near, far):
        await near.write(2, 4 * (FIRST_SLOT + 3), 1)
        assert far.memory.messages == [FIRST_SLOT + 3]
        assert near.memory.messages == []
        assert far.bridge.db_read() == 0
        for slot in (0, 1, VECTORS):
            await near.write(2, 4 * slot, 1)
        assert far.memory.messages == [FIRST_SLOT + 3]

    run(test)


def test_a_masked_ring_waits():
    async def test(near, far):
        control = TABLE + 16 * FIRST_SLOT + 12
        await far.write(0, control, 1)
        await near.write(2, 4 * FIRST_SLOT, 1)
        assert far.memory.messages == []
        await far.write(0, control, 0)
        assert far.memory.messages == [FIRST_SLOT]

    run(test)


def test_a_window_leads_to_the_peers_memory():
    async def test(near, far):
        await near.write(4, 8, 1)
        assert await near.read(4, 8) == 0xFFFF_FFFF
        await far.write(0, 0x10, 0x2_0000)
        await far.write(0, 0x18, WINDOW)
        assert await far.command(3, 0) == OK
        await near.write(4, 8, 0x1122_3344_5566_7788, 8)
        assert far.memory.read(0x2_0008, 8) == bytes.fromhex("8877665544332211")
        assert await near.read(4, 12) == 0x1122_3344
        assert await far.command(4, 0) == OK
        assert await near.read(4, 8) == 0xFFFF_FFFF

    run(test)


def test_commands_that_fail_and_that_are_unknown():
    async def test(near, far):
        await near.write(0, 0x18, 2 * WINDOW)
        assert await near.command(3, 0) == ERROR
        assert await near.command(7) == 0
        assert near.device.block.log == [f"command 3 of 0x0 failed: {-errno.EINVAL}", "unknown command 7"]

    run(test)


def test_nothing_answers_where_no_bar_is():
    async def test(near, far):
        assert await near.device.memory_read(0x2000_0000, 4) == b"\xff" * 4

    run(test)


@pytest.mark.parametrize("windows", [(), (WINDOW,) * 3])
def test_a_device_has_one_or_two_windows(windows):
    with pytest.raises(ValueError, match="one or two memory windows, not"):
        PeerEndpoint(PlainNtb(Memory(), windows), Memory(), windows)


def test_a_device_tree_whose_fixed_bar_is_in_the_way(capsys):
    for endpoint in ("model", "rtl"):
        assert linux.main(["ntb", "--tree", "rk3588", "--endpoint", endpoint]) == 1
        assert "rk3588: BAR 4 always shows the eDMA" in capsys.readouterr().err


def test_what_comes_after_a_guest_has_gone_is_no_error():
    guest = Survivor(Memory())
    memory = HostSideMemory(guest)
    memory.write(0x1000, b"data")
    assert memory.read(0x1000, 4) == b"data"
    guest.gone = True
    memory.write(0x1000, b"late")
    assert memory.read(0x1000, 4) is Cause.UNSUPPORTED
    assert not memory.dropped


def test_what_reaches_nothing_of_a_guest_is_kept():
    class Nowhere(Memory):
        def write(self, address, data):
            raise HostFault(address, len(data))

    memory = HostSideMemory(Survivor(Nowhere()))
    memory.write(0x1000, b"data")
    assert memory.dropped == [0x1000]


# -- memory behind the endpoint's windows ------------------------------------------------------------------------------


class Local(PlainNtb):
    """A bridge with RAM of its own, which is its host's memory from 0 on."""

    def dma_alloc(self, size):
        return 0


class Client(NtbClient):
    def __init__(self, guest):
        self.seen = []
        self._guest = guest

    def link_event(self):
        self.seen.append("link")

    def db_event(self, vector):
        self.seen.append((vector, self._guest.read(0x2_0000, 8)))


@pytest.mark.parametrize("rings", [True, False])
def test_what_the_host_writes_is_there_before_the_doorbell(rings):
    ram, guest, platform = Memory(), Memory(), VirtualPlatform()

    class Window:
        """An endpoint whose RAM is behind its only BAR."""

        config_read = config_write = memory_read = reset = None

        async def memory_write(self, address, data):
            ram.write(address - 0x1000_0000, data)

    async def test():
        bells = BellTimes(platform.now)
        memory = PeerMemory(platform, Local(ram, (WINDOW,)), guest, bells)
        memory.client = client = Client(guest)
        memory.start()
        assert memory.show(0x2_0000, WINDOW) == 0
        window, doorbells = Place(lambda: 0x1000_0000, WINDOW), Place(lambda: 0x2000_0000, 4)
        endpoint = WatchedEndpoint(Window(), memory, window, bells, doorbells)
        await endpoint.memory_write(0x1000_0000, b"\1\2\3")
        await endpoint.memory_write(0x1000_0003, b"\4\5\6\7\x08")
        await endpoint.memory_write(0x1000_0000 + WINDOW, b"beyond")
        memory.link_event()
        if rings:
            await endpoint.memory_write(0x2000_0000, bytes(4))
            await platform.sleep(20e-6)
            await endpoint.memory_write(0x2000_0000, bytes(4))
            await platform.sleep(10e-6)
            memory.db_event(3)
        await platform.sleep(1e-3)
        copied = guest.read(0x2_0000, 8)
        assert copied == (bytes(range(1, 9)) if rings else bytes(8))
        await platform.sleep(10e-3)
        assert guest.read(0x2_0000, 8) == bytes(range(1, 9))
        assert memory.copied == 8
        heard = "rings 2 of the host, 1 of them merged: 30.00/30.00/30.00 us (min/median/max)"
        assert bells.note().startswith(heard if rings else "rings 0 of the host, none of which")
        assert client.seen == (["link", (3, copied)] if rings else ["link"])

    platform.run(test())


# -- the consoles ------------------------------------------------------------------------------------------------------

GOOD = [
    ("host", "@@ booted Linux 6.1"),
    ("host", "@@ link"),
    ("peer", "@@ link"),
    ("host", "5 packets transmitted, 5 packets received, 0% packet loss"),
    ("host", "round-trip min/avg/max = 1.0/2.0/3.0 ms"),
    ("host", "@@ pinged"),
    ("host", "@@ sent abc -"),
    ("peer", "@@ taken 100 abc -"),
    ("peer", "5 packets transmitted, 5 packets received, 0% packet loss"),
    ("peer", "@@ pinged"),
    ("peer", "@@ sent def -"),
    ("peer", "@@ ended"),
    ("host", "@@ taken 100 def -"),
    ("host", "@@ ended"),
]


def listened(lines):
    out = []
    tap = TapWriter(out.append)
    tap.begin(len(TESTS), 1)
    listener = NtbListener(tap, 100)
    for side, line in lines:
        listener.line(side, line)
    over = listener.over
    listener.give_up()
    return tap, over, listener


def test_everything_passes():
    tap, over, listener = listened(GOOD)
    assert tap.good
    assert over
    assert [result.name for result in tap.results] == list(TESTS)
    assert listener.pings() == {"host": "1.0/2.0/3.0", "peer": ""}


@pytest.mark.parametrize(
    ("number", "line", "fails"),
    [
        (7, "@@ taken 99 abc -", "ntb.host_to_peer.FILE"),
        (7, "@@ taken 100 abd -", "ntb.host_to_peer.FILE"),
        (3, "5 packets transmitted, 4 packets received, 20% packet loss", "ntb.host.PING"),
        (2, "nothing", "ntb.peer.LINK_UP"),
        (12, "@@ taken 0", "ntb.peer_to_host.FILE"),
    ],
)
def test_one_thing_fails(number, line, fails):
    lines = [*GOOD]
    lines[number] = lines[number][0], line
    tap, _, _ = listened(lines)
    assert [result.name for result in tap.results if not result.good] == [fails]


def test_a_guest_gives_up():
    tap, over, listener = listened([*GOOD[:3], ("peer", "@@ failed no file comes")])
    assert over
    assert listener.failed == "the peer: no file comes"
    assert [result.name for result in tap.results if result.good] == list(TESTS[:2])
    assert len(tap.results) == len(TESTS)


def test_the_guests_name_each_other():
    host, peer = (script(side, size=7, pings=3, seconds=5) for side in ("host", "peer"))
    assert "ip addr add 10.9.8.1/24" in host
    assert "ip addr add 10.9.8.2/24" in peer
    assert "ping -c 3 -i 0.02 -W 5 10.9.8.2" in host
    assert host.index("\nsend_file\n") < host.index("\ntake_file\n")
    assert peer.index("\ntake_file\n") < peer.index("\nsend_file\n")
