"""The processor's way to the host: bytes, strobes, and every way to fail."""

import pytest

from epbell_models.platform import BusError, VirtualPlatform
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.host_memory import HostMemory
from epbell_models.reference.link import ReferenceLink
from epbell_models.reference.outbound import Cause

SIZES = (0x4000, 0, 0, 0, 0, 0)
APERTURE, IATU, CONTROLLER, RAM = 0x7000_0000, 0x5F31_0000, 0x5F01_0000, 0x6000_0000
CAUSE, ADDRESS, FAILED = CONTROLLER + 0x060, CONTROLLER + 0x064, CONTROLLER + 0x068
HOST = 0x3_1234_5000


def run(scenario, *, window=True, master=True):
    """Run a scenario with 64 KiB of the host behind the aperture's first 64 KiB."""
    platform = VirtualPlatform()
    endpoint = ReferenceEndpoint(SIZES)
    link = ReferenceLink(platform, endpoint)
    values = ((0x08, APERTURE), (0x10, APERTURE + 0xFFFF), (0x14, HOST & 0xFFFF_FFFF), (0x18, HOST >> 32))
    for offset, value in (*values, (0x04, window << 31)):
        endpoint.cpu_write32(IATU + offset, value)
    link.host_memory.grant(HOST, 0x8000)

    async def main():
        link.start()
        await link.config_write32(0x04, 0x6 if master else 0x2)
        return await scenario(link)

    return platform.run(main())


def told(link):
    return tuple(link.endpoint.cpu_read32(register) for register in (CAUSE, ADDRESS, FAILED))


async def status(access):
    with pytest.raises(BusError) as caught:
        await access
    return caught.value.status, caught.value.address


def test_dwords_reach_the_host():
    async def scenario(link):
        await link.cpu.write32(APERTURE + 0x10, 0x1122_3344)
        link.host_memory.poke(HOST + 0x14, b"\x01\x02\x03\x04")
        reads = [await link.cpu.read32(APERTURE + at) for at in (0x10, 0x14)]
        return reads, link.host_memory.peek(HOST + 0x0F, 6), told(link)

    assert run(scenario) == ([0x1122_3344, 0x0403_0201], bytes.fromhex("00 44332211 01"), (0, 0, 0))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 1024, 1025, 9000])
@pytest.mark.parametrize("start", [0, 1, 2, 3, 0xFFE])
def test_any_byte_of_it(start, length):
    data = bytes(n * 7 + 1 & 0xFF for n in range(length))

    async def scenario(link):
        link.host_memory.poke(HOST, b"\xee" * 0x4000)
        await link.cpu.write(APERTURE + start, data)
        around = link.host_memory.peek(HOST, 0x4000)
        return around, await link.cpu.read(APERTURE + start, length)

    assert run(scenario) == ((b"\xee" * start + data).ljust(0x4000, b"\xee"), data)


def test_a_burst_takes_the_time_of_its_dwords():
    async def scenario(link):
        start = link.platform.now()
        await link.cpu.read(APERTURE, 4096)
        return link.platform.now() - start

    assert run(scenario) == pytest.approx(1024 * 100e-9 + 2 * 400e-9)


def test_no_window():
    async def scenario(link):
        failed = [await status(link.cpu.read32(APERTURE + 0x1_0004)), told(link)]
        failed += [await status(link.cpu.write32(APERTURE + 0x2_0000, 1)), told(link)]
        return failed

    first, second = APERTURE + 0x1_0004, APERTURE + 0x2_0000
    assert run(scenario) == [("UR", first), (1, first, 1), ("UR", second), (1, second, 2)]


def test_bus_mastering_off_and_on_again():
    async def scenario(link):
        failed = [await status(link.cpu.read32(APERTURE)), told(link)]
        failed += [await status(link.cpu.write(APERTURE + 5, b"x")), told(link)]
        await link.config_write32(0x04, 0x6)
        await link.cpu.write32(APERTURE, 7)
        return failed, link.host_memory.peek(HOST, 8), told(link)

    where = APERTURE + 5
    failed = [("CA", APERTURE), (2, APERTURE, 1), ("CA", where), (2, APERTURE + 4, 2)]
    assert run(scenario, master=False) == (failed, b"\x07" + bytes(7), (2, APERTURE + 4, 2))


def test_no_window_goes_before_bus_mastering():
    async def scenario(link):
        return await status(link.cpu.read32(APERTURE)), told(link)

    assert run(scenario, window=False, master=False) == (("UR", APERTURE), (1, APERTURE, 1))


@pytest.mark.parametrize(
    ("cause", "code", "name"),
    [(Cause.UNSUPPORTED, 3, "UR"), (Cause.ABORTED, 4, "CA"), (Cause.POISONED, 5, "CA"), (Cause.TIMEOUT, 6, "TIMEOUT")],
)
def test_completions_in_error(cause, code, name):
    async def scenario(link):
        link.host_memory.fail(HOST + 0x104, cause)
        start = link.platform.now()
        failed = await status(link.cpu.read32(APERTURE + 0x104))
        took, seen = link.platform.now() - start, told(link)
        burst = await status(link.cpu.read(APERTURE + 0xF8, 32)), told(link)
        await link.cpu.write32(APERTURE + 0x104, 9)
        good = await link.cpu.read32(APERTURE + 0x100), link.host_memory.peek(HOST + 0x104, 1)
        link.host_memory.heal()
        return failed, seen, took > 12.5e-3, burst, good, await link.cpu.read32(APERTURE + 0x104)

    where = APERTURE + 0x104
    burst = (name, where), (code, where, 2)
    assert run(scenario) == ((name, where), (code, where, 1), code == 6, burst, (0, b"\x09"), 9)


def test_beyond_what_was_granted():
    """A read is an Unsupported Request; a write is posted, and nobody is told."""

    async def scenario(link):
        link.host_memory.poke(HOST + 0x8000, b"same")
        failed = await status(link.cpu.read32(APERTURE + 0x8000)), told(link)
        await link.cpu.write32(APERTURE + 0x8000, 0)
        link.host_memory.revoke(HOST)
        return failed, await status(link.cpu.read32(APERTURE)), link.host_memory.dropped, told(link)[2]

    where = APERTURE + 0x8000
    assert run(scenario) == ((("UR", where), (3, where, 1)), ("UR", APERTURE), [HOST + 0x8000], 2)


def test_the_cause_stays_until_it_is_cleared():
    async def scenario(link):
        await status(link.cpu.read32(APERTURE + 0x8000))
        await link.cpu.read32(APERTURE)
        seen = [told(link)]
        for value, strobes in ((0, 0b1110), (5, 1), (0, 1)):
            link.endpoint.cpu_write32(CAUSE, value, strobes)
            seen.append(told(link))
        link.endpoint.cpu_write32(CONTROLLER + 0x40, 1)
        return [*seen, told(link)]

    where = APERTURE + 0x8000
    assert run(scenario) == [(3, where, 1)] * 3 + [(0, where, 1), (0, where, 0)]


def test_a_reset_forgets_windows_and_cause():
    async def scenario(link):
        await status(link.cpu.read32(APERTURE + 0x8000))
        link.endpoint.reset()
        return told(link), await status(link.cpu.read32(APERTURE)), told(link)

    assert run(scenario) == ((0, 0, 0), ("UR", APERTURE), (1, APERTURE, 1))


def test_the_hosts_requests_end_at_the_aperture():
    """It is the way out, not a place: the host reaches nothing of itself through the endpoint."""
    endpoint = ReferenceEndpoint(SIZES, guard=False)
    endpoint.cpu_write32(IATU + 0x114, APERTURE)
    endpoint.cpu_write32(IATU + 0x104, 0xC000_0000)
    assert not isinstance(endpoint.host_read(0, 0, 4), bytes)


def test_a_word_at_the_msi_address_is_an_msi():
    """As Linux's DesignWare driver raises one: a window on the host's MSI controller, and a store."""

    async def scenario(link):
        fired = []
        block = link.receiver.allocate(4, fired.append)
        link.endpoint.cpu_write32(IATU + 0x14, block.address & 0xFFFF_F000)
        link.endpoint.cpu_write32(IATU + 0x18, 0)
        link.endpoint.cpu_write32(IATU + 0x04, 1 << 31)
        await link.cpu.write32(APERTURE + (block.address & 0xFFF), block.data + 3)
        return fired

    assert run(scenario) == [3]


def test_partial_words_of_the_endpoint():
    async def scenario(link):
        await link.cpu.write(RAM + 1, b"abcdefghij")
        await link.cpu.write(IATU + 0x15, b"\x5d")
        return await link.cpu.read(RAM, 12), await link.cpu.read32(IATU + 0x14)

    assert run(scenario) == (b"\0abcdefghij\0", HOST & 0xFFFF_0000 | 0x5000)


def test_nothing_answers_elsewhere():
    async def scenario(link):
        return await status(link.cpu.read32(0x8000_0000)), await status(link.cpu.write32(0x6FFF_FFFC, 0)), told(link)

    assert run(scenario) == (("UR", 0x8000_0000), ("UR", 0x6FFF_FFFC), (0, 0, 0))


def test_codes_and_answers_on_the_bus():
    assert [int(cause) for cause in Cause] == list(range(8))
    assert [cause.response for cause in Cause] == [0, 3, 2, 2, 2, 2, 2, 2]


class TestHostMemory:
    def test_it_is_sparse_and_zero(self):
        memory = HostMemory()
        memory.grant(1 << 60, 1 << 40)
        assert memory.read((1 << 60) + 0xFFE, 4) == bytes(4)
        memory.write((1 << 60) + 0xFFE, b"abcd")
        assert memory.peek((1 << 60) + 0xFFD, 6) == b"\0abcd\0"

    def test_allocated_memory_is_granted_and_aligned(self):
        memory = HostMemory()
        first, second = memory.allocate(5), memory.allocate(0x1000, 0x1_0000)
        assert first + 5 <= second
        assert (first % 8, second % 0x1_0000) == (0, 0)
        assert memory.read(first, 5) == bytes(5)
        assert memory.read(first, 6) is memory.read(second - 1, 2) is Cause.UNSUPPORTED

    @pytest.mark.parametrize(("address", "size"), [(0x1000, 0), (0x1000, 1), (0xFFF, 2), (0x1FFF, 8)])
    def test_granted_once(self, address, size):
        memory = HostMemory()
        memory.grant(0x1000, 0x1000)
        with pytest.raises(ValueError, match=f"not {size} bytes at {address:#x}"):
            memory.grant(address, size)

    @pytest.mark.parametrize("cause", [Cause.NONE, Cause.NO_WINDOW, Cause.NOT_MASTER, Cause.UNEXPECTED])
    def test_a_host_makes_some_errors_only(self, cause):
        with pytest.raises(ValueError, match="not <Cause"):
            HostMemory().fail(0, cause)

    def test_a_doorbell_takes_whole_words(self):
        memory, rung = HostMemory(), []
        memory.doorbells[0xFEE0_0000] = rung.append
        memory.write(0xFEE0_0000, b"\x05\0\0\0")
        memory.write(0xFEE0_0000, b"\x05")
        assert (rung, memory.dropped) == ([5], [0xFEE0_0000])
