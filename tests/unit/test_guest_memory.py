"""The guest's memory by address: regions of shared files, as QEMU hands them over."""

import os

import pytest

from epbell_tb.guest.memory import GuestMemory
from epbell_tb.guest.port import HostFault
from epbell_tb.guest.proxy import Mapping

PAGE = 0x1000


@pytest.fixture
def file():
    descriptor = os.memfd_create("guest")
    os.ftruncate(descriptor, 8 * PAGE)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def memory():
    memory = GuestMemory()
    yield memory
    memory.close()


def mapping(file, address, size, offset=0):
    return Mapping(address, size, os.dup(file), offset)


def test_both_see_the_same_bytes(memory, file):
    memory.map([mapping(file, 0x10_0000, 2 * PAGE, PAGE)])
    os.pwrite(file, b"guest", PAGE + 0x123)
    assert memory.read(0x10_0123, 5) == b"guest"
    memory.write(0x10_1FFD, b"end")
    assert os.pread(file, 4, 3 * PAGE - 3) == b"end\0"


def test_a_region_that_begins_within_a_page(memory, file):
    memory.map([mapping(file, 0x4000, 0x800, 0x1400)])
    memory.write(0x4000, b"first")
    memory.write(0x47FE, b"ta")
    assert os.pread(file, 5, 0x1400) == b"first"
    assert os.pread(file, 3, 0x1BFE) == b"ta\0"


def test_across_regions(memory, file):
    memory.map([mapping(file, 0x3000, PAGE, 4 * PAGE), mapping(file, 0x2000, PAGE, 0)])
    memory.write(0x2FFE, b"abcd")
    assert memory.read(0x2FFE, 4) == b"abcd"
    assert (os.pread(file, 2, PAGE - 2), os.pread(file, 2, 4 * PAGE)) == (b"ab", b"cd")


@pytest.mark.parametrize(("address", "length"), [(0, 1), (0x1FFF, 1), (0x1FFE, 4), (0x2FFE, 4), (0x3000, 1)])
def test_where_nothing_is(memory, file, address, length):
    memory.map([mapping(file, 0x2000, PAGE)])
    with pytest.raises(HostFault, match=f"{length} bytes were asked for") as read:
        memory.read(address, length)
    assert (read.value.address, read.value.length) == (address, length)
    with pytest.raises(HostFault):
        memory.write(address, b"\xff" * length)
    assert os.pread(file, 8 * PAGE, 0) == bytes(8 * PAGE), "a write that fails writes nothing"


def test_mapped_anew(memory, file):
    memory.map([mapping(file, 0x2000, PAGE)])
    memory.map([mapping(file, 0x8000, PAGE)])
    with pytest.raises(HostFault):
        memory.read(0x2000, 1)
    assert memory.read(0x8000, 4) == bytes(4)


def test_descriptors_do_not_pile_up(memory, file):
    memory.map([mapping(file, 0x2000, PAGE)])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        memory.map([mapping(file, 0x2000, PAGE), mapping(file, 0x5000, 0), mapping(file, 0x3000, PAGE)])
    # A mapping holds a descriptor of its own.
    assert len(os.listdir("/proc/self/fd")) == before + 1


def test_what_cannot_be_mapped(memory):
    reader, writer = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"Errno|mmap"):
        memory.map([Mapping(0, PAGE, os.dup(reader), 0), Mapping(PAGE, PAGE, os.dup(writer), 0)])
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(reader)
    os.close(writer)
