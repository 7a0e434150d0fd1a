"""The processor's bus: bursts to RAM are their bytes and their time, in one access per 4 KiB."""

import pytest

from epbell_models.platform import VirtualPlatform
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.link import ReferenceLink

SIZES = (0x4000, 0, 0, 0, 0, 0)
RAM = 0x6000_0000


def test_a_burst_of_the_processor_to_ram_is_its_dwords_in_less_accesses():
    platform = VirtualPlatform()
    link = ReferenceLink(platform, ReferenceEndpoint(SIZES))
    start, length = RAM + 0xFF2, 0x101B
    data = bytes(range(1, 252)) * (length // 251 + 1)

    async def main():
        await link.cpu.write(start, data[:length])
        wrote = platform.now()
        back = await link.cpu.read(start, length)
        ends = [await link.cpu.read32(address) for address in (RAM + 0xFF0, RAM + 0x200C)]
        return wrote, back, ends

    wrote, back, ends = platform.run(main())
    assert back == data[:length]
    first, last = data[:2], data[length - 1 : length]
    assert ends == [int.from_bytes(bytes(2) + first, "little"), int.from_bytes(last + bytes(3), "little")]
    assert [(access.kind, access.address, access.length) for access in link.cpu.trace[:3]] == [
        ("write", RAM + 0xFF2, 0xE), ("write", RAM + 0x1000, 0x1000), ("write", RAM + 0x2000, 0xD),
    ]  # fmt: skip
    assert wrote == pytest.approx((4 + 0x400 + 4) * 100e-9)


@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("length", range(1, 6))
def test_a_few_bytes_of_ram(offset, length):
    platform = VirtualPlatform()
    endpoint = ReferenceEndpoint(SIZES)
    link = ReferenceLink(platform, endpoint)
    endpoint.ram[:12] = b"............"

    async def main():
        await link.cpu.write(RAM + offset, b"abcde"[:length])
        return await link.cpu.read(RAM + offset, length)

    assert platform.run(main()) == b"abcde"[:length]
    assert bytes(endpoint.ram[:12]) == (b"." * offset + b"abcde"[:length]).ljust(12, b".")
