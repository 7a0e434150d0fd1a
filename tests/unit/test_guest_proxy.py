"""QEMU's multi-process protocol, over a socket pair, without QEMU: every message, and what is none."""

import asyncio
import os
import select
import socket
import struct

import pytest

from epbell_tb.guest.port import serve
from epbell_tb.guest.proxy import Command, ProtocolError, ProxyServer


class Recorder:
    """An endpoint that notes what it is asked and answers with what it was told."""

    def __init__(self, *answers):
        self.asked = []
        self.answers = list(answers)

    async def config_read(self, offset, length):
        self.asked.append(("config_read", offset, length))
        return self.answers.pop(0)

    async def config_write(self, offset, length, value):
        self.asked.append(("config_write", offset, length, value))

    async def memory_read(self, address, length):
        self.asked.append(("memory_read", address, length))
        return self.answers.pop(0)

    async def memory_write(self, address, data):
        self.asked.append(("memory_write", address, data))

    async def reset(self):
        self.asked.append(("reset",))


class Rig:
    """QEMU's end in the hands of a test."""

    def __init__(self):
        self.qemu, ours = socket.socketpair()
        self.qemu.settimeout(5)
        self.ours = ours
        self.memory = []
        self.server = ProxyServer(ours, self.memory.append)

    def send(self, command, payload=b"", descriptors=(), size=None):
        head = struct.pack("=i4xQ", command, len(payload) if size is None else size)
        socket.send_fds(self.qemu, [head, payload], list(descriptors))

    def send_config(self, command, offset, value, length):
        self.send(command, struct.pack("=IIi", offset, value, length))

    def send_access(self, command, address, value, length, memory=True):
        self.send(command, struct.pack("=QQI?3x", address, value, length, memory))

    def ask(self, endpoint):
        """Let the endpoint answer what was sent; return the number that QEMU gets."""
        request = self.server.receive()
        assert request is not None
        asyncio.run(request.answer(endpoint))
        command, size, value = struct.unpack("=i4xQQ", self.qemu.recv(24, socket.MSG_WAITALL))
        assert (command, size) == (Command.RET, 8)
        return value

    def answers(self):
        """Whether QEMU has been sent anything."""
        return bool(select.select([self.qemu], [], [], 0)[0])

    def close(self):
        self.qemu.close()
        self.ours.close()


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.close()


def test_nothing_waits(rig):
    assert rig.server.receive() is None
    assert rig.server.wait(0) is False


@pytest.mark.parametrize(("offset", "length", "value"), [(0, 4, 0x08081957), (2, 2, 0x0808), (0xFF, 1, 0xA5)])
def test_config_read(rig, offset, length, value):
    rig.send_config(Command.PCI_CFGREAD, offset, 0xDEADBEEF, length)
    assert rig.server.wait(0) is True
    endpoint = Recorder(value)
    assert rig.ask(endpoint) == value
    assert endpoint.asked == [("config_read", offset, length)]


@pytest.mark.parametrize(("offset", "length", "value"), [(0x10, 4, 0xFFFF_FFFF), (4, 2, 0x0006), (0x3C, 1, 0x0B)])
def test_config_write_of_the_bytes_that_are_meant(rig, offset, length, value):
    rig.send_config(Command.PCI_CFGWRITE, offset, 0xAA55_0000 | value if length < 4 else value, length)
    endpoint = Recorder()
    assert rig.ask(endpoint) == 0
    assert endpoint.asked == [("config_write", offset, length, value)]


@pytest.mark.parametrize("data", [b"\x80", b"\x01\x80", b"\x01\x02\x03\x80", bytes(range(1, 8)) + b"\x80"])
def test_bar_read_is_little_endian(rig, data):
    rig.send_access(Command.BAR_READ, 0xFEBE_0004, 0, len(data))
    endpoint = Recorder(data)
    assert rig.ask(endpoint) == int.from_bytes(data, "little")
    assert endpoint.asked == [("memory_read", 0xFEBE_0004, len(data))]


@pytest.mark.parametrize("length", [1, 2, 4, 8])
def test_bar_write_of_the_bytes_that_are_meant(rig, length):
    rig.send_access(Command.BAR_WRITE, 0xFEBE_0008, 0x8877_6655_4433_2211, length)
    endpoint = Recorder()
    assert rig.ask(endpoint) == 0
    assert endpoint.asked == [("memory_write", 0xFEBE_0008, bytes.fromhex("1122334455667788")[:length])]


def test_reset(rig):
    rig.send(Command.DEVICE_RESET)
    endpoint = Recorder()
    assert rig.ask(endpoint) == 0
    assert endpoint.asked == [("reset",)]


def test_memory_is_handed_on_and_not_answered(rig, tmp_path):
    files = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(2)]
    numbers = [0, 0x10_0000, *[0] * 6, 0xA_0000, 0xFF0_0000, *[0] * 6, 0, 0x20_0000, *[0] * 6]
    rig.send(Command.SYNC_SYSMEM, struct.pack("=24Q", *numbers), files)
    assert rig.server.receive() is None
    (mappings,) = rig.memory
    assert [(mapping.address, mapping.size, mapping.offset) for mapping in mappings] == [
        (0, 0xA_0000, 0),
        (0x10_0000, 0xFF0_0000, 0x20_0000),
    ]
    assert [os.fstat(mapping.descriptor).st_ino for mapping in mappings] == [os.fstat(file).st_ino for file in files]
    assert not rig.answers()
    for descriptor in [*files, *(mapping.descriptor for mapping in mappings)]:
        os.close(descriptor)


def test_interrupt_descriptors_are_closed_and_not_answered(rig):
    before = os.listdir("/proc/self/fd")
    reader, writer = os.pipe()
    rig.send(Command.SET_IRQFD, struct.pack("=Q", 0), [reader, writer])
    os.close(reader)
    os.close(writer)
    assert rig.server.receive() is None
    assert os.listdir("/proc/self/fd") == before
    assert not rig.answers()


def mine(before):
    return len(os.listdir("/proc/self/fd")) - before


@pytest.mark.parametrize("count", [1, 3])
def test_each_region_has_its_descriptor(rig, tmp_path, count):
    file = os.open(tmp_path / "memory", os.O_RDWR | os.O_CREAT)
    before = len(os.listdir("/proc/self/fd"))
    numbers = [0, 0x10_0000, *[0] * 6, 0xA_0000, 0xFF0_0000, *[0] * 6, *[0] * 8]
    rig.send(Command.SYNC_SYSMEM, struct.pack("=24Q", *numbers), [file] * count)
    with pytest.raises(ProtocolError, match=f"2 regions and {count} descriptors"):
        rig.server.receive()
    assert mine(before) == 0
    assert rig.memory == []
    os.close(file)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ((8, 0), "from 0 to 7, not 8"),
        ((Command.BAR_READ, 1 << 40), "at most 192 bytes"),
        ((Command.RET, 0), "RET is an answer"),
    ],
)
def test_no_descriptor_of_a_bad_message_stays(rig, head, said):
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(rig.qemu, [struct.pack("=i4xQ", *head)], [0, 0])
    with pytest.raises(ProtocolError, match=said):
        rig.server.receive()
    assert mine(before) == 0


def test_too_many_descriptors(rig):
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(rig.qemu, [struct.pack("=i4xQ", Command.SET_IRQFD, 0)], [0] * 20)
    with pytest.raises(ProtocolError, match="at most 8 descriptors"):
        rig.server.receive()
    assert mine(before) == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sent", [10, 16, 20])
def test_nobody_waits_for_ever_within_a_message(rig, sent):
    rig.ours.settimeout(0.1)
    rig.qemu.sendall((struct.pack("=i4xQ", Command.BAR_READ, 24) + bytes(24))[:sent])
    with pytest.raises(ProtocolError, match="has stopped within a message"):
        rig.server.receive()


def test_the_sockets_patience_is_finite(rig):
    assert 0 < rig.ours.gettimeout() <= 30


def test_messages_are_counted(rig):
    rig.send_config(Command.PCI_CFGREAD, 0, 0, 4)
    rig.ask(Recorder(0))
    rig.send_config(Command.PCI_CFGREAD, 4, 0, 4)
    rig.ask(Recorder(0))
    assert {command: count for command, count in rig.server.counts.items() if count} == {Command.PCI_CFGREAD: 2}


def test_a_message_in_pieces(rig):
    message = struct.pack("=i4xQ", Command.BAR_READ, 24) + struct.pack("=QQI?3x", 0xFEBE_0000, 0, 4, True)
    rig.qemu.sendall(message[:5])
    endpoint = Recorder(b"\1\2\3\4")

    async def late():
        loop = asyncio.get_running_loop()
        taken = loop.run_in_executor(None, rig.server.receive)
        for at in range(5, len(message), 7):
            await asyncio.sleep(0.005)
            rig.qemu.sendall(message[at : at + 7])
        await (await taken).answer(endpoint)

    asyncio.run(late())
    assert endpoint.asked == [("memory_read", 0xFEBE_0000, 4)]


def test_the_guest_goes(rig):
    rig.qemu.close()
    assert rig.server.wait(0) is True
    with pytest.raises(EOFError, match="has gone"):
        rig.server.receive()


def test_the_guest_goes_while_it_waits(rig):
    rig.send_config(Command.PCI_CFGREAD, 0, 0, 4)
    request = rig.server.receive()
    rig.qemu.close()
    asyncio.run(request.answer(Recorder(0)))
    with pytest.raises(EOFError, match="has gone"):
        rig.server.receive()


@pytest.mark.parametrize("sent", [10, 16, 20])
def test_the_guest_goes_within_a_message(rig, sent):
    rig.qemu.sendall((struct.pack("=i4xQ", Command.BAR_READ, 24) + bytes(24))[:sent])
    rig.qemu.close()
    with pytest.raises(ProtocolError, match="within a message"):
        rig.server.receive()


@pytest.mark.parametrize("command", [-1, 8, 0x7FFF_FFFF])
def test_unknown_command(rig, command):
    rig.send(command)
    with pytest.raises(ProtocolError, match=rf"from 0 to 7, not {command}: is this QEMU 7.2"):
        rig.server.receive()


def test_an_answer_to_nothing(rig):
    rig.send(Command.RET, bytes(8))
    with pytest.raises(ProtocolError, match="RET is an answer"):
        rig.server.receive()


def test_a_size_that_no_message_has(rig):
    rig.send(Command.BAR_READ, size=1 << 40)
    with pytest.raises(ProtocolError, match="BAR_READ has at most 192 bytes, not 1099511627776"):
        rig.server.receive()


@pytest.mark.parametrize(
    ("command", "size", "wanted"),
    [
        (Command.PCI_CFGREAD, 8, 12),
        (Command.PCI_CFGWRITE, 16, 12),
        (Command.BAR_READ, 12, 24),
        (Command.BAR_WRITE, 0, 24),
        (Command.SYNC_SYSMEM, 24, 192),
    ],
)
def test_wrong_size(rig, command, size, wanted):
    rig.send(command, bytes(size))
    with pytest.raises(ProtocolError, match=f"{command.name} has {wanted} bytes, not {size}"):
        rig.server.receive()


@pytest.mark.parametrize(("offset", "length"), [(0, 3), (0, 8), (0x100, 4), (2, 4), (3, 2), (0xFFFF_FFFF, 1)])
def test_no_such_place_in_configuration_space(rig, offset, length):
    rig.send_config(Command.PCI_CFGREAD, offset, 0, length)
    with pytest.raises(ProtocolError, match=f"not {length} at {offset:#x}"):
        rig.server.receive()


@pytest.mark.parametrize(("length", "memory", "said"), [(3, True, "not 3 bytes of memory"), (4, False, "an I/O BAR")])
def test_no_such_access(rig, length, memory, said):
    rig.send_access(Command.BAR_WRITE, 0xFEBE_0000, 0, length, memory)
    with pytest.raises(ProtocolError, match=said):
        rig.server.receive()


def test_serve_rests_until_the_guest_has_gone(rig):
    rests = []

    async def rest():
        rests.append(len(rests))
        if len(rests) == 3:
            rig.send_config(Command.PCI_CFGREAD, 8, 0, 4)
        elif len(rests) == 5:
            rig.qemu.close()

    endpoint = Recorder(0xFF00_0000)
    assert asyncio.run(serve(rig.server, endpoint, rest)) == 1
    assert endpoint.asked == [("config_read", 8, 4)]
    assert len(rests) == 5
