"""Scenarios of the BARs: found, sized, tested as Linux does, read in every way."""

import errno
from itertools import pairwise

import cocotb
from cocotb.triggers import Timer
from cocotbext.pcie.core.tlp import CplStatus

from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.drivers import memory_request

_MSI_CAPABILITY = 0x05


@cocotb.test(timeout_time=400, timeout_unit="us")
@scenario()
async def enumerate_and_size_bars(env):
    """Find every BAR, and memory behind all of it."""
    found = env.device.resources
    assert [bar.size if bar else 0 for bar in found] == list(env.bar_sizes)
    present = [(number, bar) for number, bar in enumerate(found) if bar]
    for number, bar in present:
        assert bar.address % bar.size == 0
        assert bar.wide == env.bars[number].wide
        register = await env.device.bar_register(number)
        assert register & ~0xF == bar.address & 0xFFFF_FFF0, f"BAR {number} does not hold the address that it was given"
    spans = sorted((bar.address, bar.address + bar.size) for _, bar in present)
    assert all(left[1] <= right[0] for left, right in pairwise(spans)), "BARs overlap"
    assert await env.device.find_capability(_MSI_CAPABILITY)
    # Every BAR is memory of its own, from its first to its last dword.
    words = {}
    for number, bar in present:
        for offset in (0x80, bar.size - 4):
            words[number, offset] = env.random.getrandbits(32)
            await env.device.write32(number, offset, words[number, offset])
    for (number, offset), word in words.items():
        assert await env.device.read32(number, offset) == word, f"BAR {number} at {offset:#x}"
    assert not env.device.refused_reads


@cocotb.test(timeout_time=20, timeout_unit="ms")
@scenario()
async def bar_test(env):
    """Run Linux's BAR test on every BAR."""
    await env.use_max_payload(512)
    for number, bar in enumerate(env.bars):
        # The upper half of a 64-bit BAR is none; the endpoint may say so before the host looks.
        wanted = (0,) if bar else (-errno.ENODATA, -errno.ENOBUFS)
        assert await env.host.bar_test(number) in wanted, f"BAR {number}"
    assert await env.host.bar_test(6) == -errno.EINVAL
    assert env.board.ram.compared >= sum(env.bar_sizes[1:])


@cocotb.test(timeout_time=20, timeout_unit="ms")
@scenario()
async def consecutive_bar_test(env):
    """Run Linux's consecutive BAR test."""
    await env.use_max_payload(512)
    assert await env.host.bars_test() == 0, [hex(address) for address in env.device.refused_reads]
    assert env.board.ram.compared >= sum(env.bar_sizes[1:])


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def reads_of_every_alignment(env):
    """Read 0 to 4096 bytes at every alignment, several under way, while the host writes elsewhere."""
    await env.use_max_payload(env.random.choice((128, 256, 512, 1024)))
    image = env.random.randbytes(0x1000)
    bar = 4
    await env.memory.write(env.address(bar), image)
    reads = [(start, length) for start in range(4) for length in range(1, 10)]
    reads += [(env.random.randrange(0x1000), env.random.randrange(1, 0x400)) for _ in range(12)]
    reads += [(0x3C, 4), (0x3F, 130), (0x7D, 0x105), (0, 0x1000), (0x1000 - 5, 5)]
    env.random.shuffle(reads)
    tasks = []
    for start, length in reads:
        length = min(length, 0x1000 - start)
        request = memory_request(env.address(bar, start), None, length)
        tasks.append((start, length, cocotb.start_soon(env.memory.ask(request))))
        await Timer(4 * env.random.randrange(1, 12), unit="ns")
        await env.device.write32(bar, 0x2000 + 4 * env.random.randrange(64), env.random.getrandbits(32))
    for start, length, task in tasks:
        assert (await task).data == image[start : start + length], f"{length} bytes at {start:#x}"
    await _odd_enables(env, bar, image)


async def _odd_enables(env, bar, image):
    """Byte enables with gaps, which one and two dwords may have, and none at all: a read of length zero."""
    for first_be in range(16):
        request = memory_request(env.address(bar, 0x44), None, 4, first_be=first_be)
        answer = await env.memory.complete(request)
        assert answer.status == CplStatus.SC
        if first_be & 1:
            assert answer.data[0] == image[0x44]
    for first_be, last_be in ((0b0101, 0b1010), (0b1001, 0b0001), (0b1000, 0b0001), (0b0010, 0b0100)):
        request = memory_request(env.address(bar, 0x48), None, 8, first_be=first_be, last_be=last_be)
        answer = await env.memory.complete(request)
        assert answer.status == CplStatus.SC
        assert answer.completions == 1


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def both_ends_store_to_the_same_words(env):
    """Let the host and the CPU store to the same words at the same time: one of the two stays, at both ends."""
    bar, size = 4, 0x200
    behind = env.software.function.epf.bars[bar]
    for turn in range(6):
        words = [env.random.randbytes(size) for _ in range(2)]
        # The CPU stores dword by dword, and the host, which begins later, comes past it.
        storing = cocotb.start_soon(env.cpu.write(behind.phys_addr, words[0]))
        for offset in range(0, size, 64):
            await env.clocks(env.random.randrange(1, 8 << turn))
            await env.device.write(bar, offset, words[1][offset : offset + 64])
        await storing
        await env.block.settle()
        found = await env.device.read(bar, 0, size)
        for offset in range(0, size, 4):
            stored = [word[offset : offset + 4] for word in words]
            assert found[offset : offset + 4] in stored, f"neither end's word at {offset:#x}"
        assert await env.cpu.read(behind.phys_addr, size) == found, "the two ends read different words"
