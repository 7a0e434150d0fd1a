"""pci_endpoint_test's ioctls on a stub, access by access: irq types, interrupts, BARs, transfers, subranges."""

import errno
import zlib

import pytest
from host_stub import CHECKSUM, SIZE, run_stub

from epbell_models.host.pci_endpoint_test import AUTO, PciEndpointTest
from epbell_models.platform import VirtualPlatform

MSI, MSIX, INTX = 1, 2, 0
CAP_MSI, CAP_MSIX, CAP_INTX, CAP_SUBRANGE = 1 << 1, 1 << 2, 1 << 3, 1 << 4
READ, WRITE, COPY, SETUP, CLEAR = 1 << 3, 1 << 4, 1 << 5, 1 << 8, 1 << 9
SETUP_OK, SETUP_FAIL, CLEAR_OK, CLEAR_FAIL, NO_RESOURCE = (1 << bit for bit in (14, 15, 16, 17, 18))


def crc(data):
    return zlib.crc32(data) ^ 0xFFFF_FFFF


# -- interrupts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caps", "chosen"),
    [(CAP_MSI | CAP_MSIX | CAP_INTX, MSI), (CAP_MSIX | CAP_INTX, MSIX), (CAP_INTX, INTX), (0, MSI)],
)
def test_auto_takes_the_best(caps, chosen):
    async def scenario(device, host):
        return await host.get_irqtype(), await host.set_irqtype(AUTO), await host.get_irqtype()

    assert run_stub(scenario, caps=caps) == (-1, 0, chosen)


def test_same_type_again_touches_nothing():
    async def scenario(device, host):
        results = [await host.set_irqtype(irq_type) for irq_type in (MSI, MSI, AUTO, MSIX, 4, -1)]
        freed = device.freed
        return results, freed, await host.get_irqtype(), await host.clear_irq(), await host.get_irqtype()

    assert run_stub(scenario) == ([0, 0, 0, 0, -errno.EINVAL, -errno.EINVAL], 2, MSIX, 0, -1)


def test_a_type_that_is_not_to_be_had_leaves_none():
    async def scenario(device, host):
        return await host.set_irqtype(MSI), await host.set_irqtype(MSIX), host.irq_type, await host.write_test(4)

    assert run_stub(scenario, vectors=(1, 32, 0)) == (0, -errno.ENOSPC, -1, -errno.EINVAL)


def test_intx_step_by_step():
    async def scenario(device, host):
        assert await host.set_irqtype(INTX) == 0
        return await host.intx_test(), device.take_trace()

    assert run_stub(scenario) == (0, [("W", "IRQ_TYPE", 0), ("W", "IRQ_NUMBER", 0), ("W", "COMMAND", 1)])


def test_messages_step_by_step():
    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        msi = await host.msi_test(32), device.take_trace()
        assert await host.set_irqtype(MSIX) == 0
        return msi, (await host.msix_test(2048), device.take_trace())

    msi, msix = run_stub(scenario)
    assert msi == (0, [("W", "IRQ_TYPE", 1), ("W", "IRQ_NUMBER", 32), ("W", "COMMAND", 2)])
    assert msix == (0, [("W", "IRQ_TYPE", 2), ("W", "IRQ_NUMBER", 2048), ("W", "COMMAND", 4)])


def test_no_such_vector_is_no_access():
    async def scenario(device, host):
        assert await host.set_irqtype(MSIX) == 0
        return [await host.msix_test(number) for number in (0, 9)], device.take_trace()

    assert run_stub(scenario, vectors=(1, 32, 8)) == ([-errno.EINVAL] * 2, [])


def test_wrong_vector_and_none():
    async def scenario(device, host):
        assert await host.set_irqtype(MSIX) == 0
        device.wrong_vector = 1
        wrong = await host.msix_test(1)
        device.wrong_vector = 5000
        start = device.platform.now()
        return wrong, await host.msix_test(1), await host.intx_test(), device.platform.now() - start

    wrong, late, no_line, seconds = run_stub(scenario)
    assert (wrong, late, no_line) == (-errno.EIO, -errno.ETIMEDOUT, -errno.ETIMEDOUT)
    assert seconds == pytest.approx(2.0, abs=1e-3)


# -- BARs --------------------------------------------------------------------------------------------------------------


def test_bars_and_their_errors():
    async def scenario(device, host):
        results = [await host.bar_test(bar) for bar in (-1, 0, 1, 2, 5, 6)]
        return results, bytes(device.bars[0][:8]), set(device.bars[1])

    results, registers, filled = run_stub(scenario, caps=1 << 11)
    assert results == [-errno.EINVAL, 0, 0, -errno.ENODATA, -errno.ENOBUFS, -errno.EINVAL]
    assert registers == b"\xa0" * 4 + bytes(4)
    assert filled == {0xA1}


def swapped(stub, command):
    """The endpoint of a subrange: its signature in both halves, then the BAR as before."""
    bar = stub.register(SIZE)
    half = len(stub.bars[bar]) // 2
    if command == CLEAR:
        return CLEAR_OK
    stub.bars[bar][:] = b"".join(bytes([0x50 + 8 * bar + index]) * half for index in range(2))
    return SETUP_OK


def test_subrange_step_by_step():
    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        result = await host.bar_subrange_test(5)
        return result, device.take_trace(), bytes(device.bars[5])

    result, trace, bar = run_stub(scenario, swapped)
    steps = [("W", "STATUS", 0), ("W", "IRQ_TYPE", 1), ("W", "IRQ_NUMBER", 1), ("W", "SIZE", 5)]
    assert (result, trace) == (0, [*steps, ("W", "COMMAND", SETUP), *steps, ("W", "COMMAND", CLEAR)])
    assert bar == b"\xc8" * 0x800 + b"\xc9" * 0x800


@pytest.mark.parametrize(
    ("bar", "caps", "result"),
    [
        (1, 0, -errno.EOPNOTSUPP),
        (0, CAP_SUBRANGE, -errno.EBUSY),
        (2, CAP_SUBRANGE, -errno.ENODATA),
        (5, CAP_SUBRANGE | 1 << 11, -errno.ENOBUFS),
        (6, CAP_SUBRANGE, -errno.EINVAL),
        (-1, CAP_SUBRANGE, -errno.EINVAL),
    ],
)
def test_subrange_that_cannot_be_is_no_access(bar, caps, result):
    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        return await host.bar_subrange_test(bar), device.take_trace()

    assert run_stub(scenario, swapped, caps=caps) == (result, [])


@pytest.mark.parametrize(("bar", "size"), [(3, 0x1001), (4, 4)])
def test_subrange_of_an_impossible_size_is_cleared(bar, size):
    async def scenario(device, host):
        assert len(device.bars[bar]) == size
        assert await host.set_irqtype(MSI) == 0
        result = await host.bar_subrange_test(bar)
        return result, [value for _, name, value in device.take_trace() if name == "COMMAND"]

    assert run_stub(scenario, swapped) == (-errno.EINVAL, [SETUP, CLEAR])


@pytest.mark.parametrize(
    ("setup", "clear", "result", "commands"),
    [
        (SETUP_FAIL | NO_RESOURCE, 0, -errno.ENOSPC, 1),
        (SETUP_FAIL, 0, -errno.EIO, 1),
        (0, 0, -errno.EIO, 1),
        (None, 0, -errno.ETIMEDOUT, 1),
        (SETUP_OK, CLEAR_FAIL, -errno.EIO, 2),
        (SETUP_OK, None, -errno.ETIMEDOUT, 2),
        (SETUP_OK, CLEAR_FAIL | NO_RESOURCE, -errno.ENOSPC, 2),
    ],
)
def test_subrange_commands_that_fail(setup, clear, result, commands):
    def answer(stub, command):
        swapped(stub, command)
        return setup if command == SETUP else clear

    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        first = await host.bar_subrange_test(5)
        return first, sum(name == "COMMAND" for _, name, _ in device.take_trace())

    assert run_stub(scenario, answer) == (result, commands)


@pytest.mark.parametrize("offset", [0, 0x7FC, 0x800, 0xFFC])
def test_subrange_with_a_wrong_signature(offset):
    def answer(stub, command):
        status = swapped(stub, command)
        if command == SETUP:
            stub.bars[5][offset] ^= 1
        return status

    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        result = await host.bar_subrange_test(5)
        return result, [value for _, name, value in device.take_trace() if name == "COMMAND"]

    assert run_stub(scenario, answer) == (-errno.EIO, [SETUP, CLEAR])


def test_subrange_whose_halves_are_one():
    """Both halves show the same place: what was written last is in both."""

    async def scenario(device, host):
        store = device.write

        async def alias(bar, offset, data):
            await store(bar, offset % 0x800, data)
            await store(bar, 0x800 + offset % 0x800, data)

        device.write = alias
        assert await host.set_irqtype(MSI) == 0
        return await host.bar_subrange_test(5)

    assert run_stub(scenario, swapped) == -errno.EIO


def test_subrange_without_vectors():
    async def scenario(device, host):
        return await host.bar_subrange_test(5), device.take_trace()

    assert run_stub(scenario, swapped) == (-errno.EINVAL, [])


# -- transfers ---------------------------------------------------------------------------------------------------------


def addresses(stub):
    return (stub.register(0x10) << 32 | stub.register(0x0C), stub.register(0x18) << 32 | stub.register(0x14))


def transfer(stub, command):
    """An endpoint that does what it is told."""
    source, destination = addresses(stub)
    size = stub.register(SIZE)
    if command == READ:
        good = crc(stub.memory.read(source, size)) == stub.register(CHECKSUM)
        return 1 if good else 2
    data = stub.memory.read(source, size) if command == COPY else bytes(range(256)) * (size // 256) + bytes(size % 256)
    stub.memory.write(destination, data)
    if command == WRITE:
        stub.set_register(CHECKSUM, crc(data))
    return 1 << 2 if command == WRITE else 1 << 4


@pytest.mark.parametrize("size", [1, 1024, 1025, 100001])
def test_transfers(size):
    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        results = [await test(size) for test in (host.write_test, host.read_test, host.copy_test)]
        return results, device.memory.dropped

    assert run_stub(scenario, transfer) == ([0, 0, 0], [])


def test_transfers_step_by_step():
    async def scenario(device, host):
        assert await host.set_irqtype(MSIX) == 0
        traces = []
        for test in (host.write_test, host.read_test, host.copy_test):
            assert await test(8, dma=True) == 0
            traces.append([(kind + " " + name, value) for kind, name, value in device.take_trace()])
        return traces

    write, read, copy = run_stub(scenario, transfer)
    end = [("W SIZE", 8), ("W FLAGS", 1), ("W IRQ_TYPE", 2), ("W IRQ_NUMBER", 1)]
    assert [name for name, _ in write[:3]] == ["W CHECKSUM", "W SRC", "W SRC_HI"]
    assert write[2][1] == 1, "above 4 GiB"
    assert write[3:] == [*end, ("W COMMAND", READ)]
    assert [name for name, _ in read[:2]] == ["W DST", "W DST_HI"]
    assert read[2:-1] == [*end, ("W COMMAND", WRITE)]
    assert read[-1][0] == "R CHECKSUM"
    assert [name for name, _ in copy[:4]] == ["W SRC", "W SRC_HI", "W DST", "W DST_HI"]
    assert copy[4:] == [*end, ("W COMMAND", COPY)]


def test_flags_are_cleared_without_dma():
    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        assert [await host.copy_test(4, dma=True), await host.copy_test(4)] == [0, 0]
        return [value for _, name, value in device.take_trace() if name == "FLAGS"]

    assert run_stub(scenario, transfer) == [1, 0]


def test_wrong_data_is_noticed():
    def spoil(stub, command):
        status = transfer(stub, command)
        _, destination = addresses(stub)
        if command != READ:
            stub.memory.poke(destination + 3, bytes([stub.memory.peek(destination + 3, 1)[0] ^ 1]))
        return 2 if command == READ else status

    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        return [await test(1024) for test in (host.write_test, host.read_test, host.copy_test)]

    assert run_stub(scenario, spoil) == [-errno.EIO] * 3


def test_status_is_not_looked_at_but_by_write():
    """Only WRITE looks at STATUS; an endpoint that says nothing passes the other two with the right data."""

    def quiet(stub, command):
        transfer(stub, command)
        return 0

    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        return [await test(1024) for test in (host.write_test, host.read_test, host.copy_test)]

    assert run_stub(scenario, quiet) == [-errno.EIO, 0, 0]


def test_a_transfer_waits_for_ever():
    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        await host.read_test(4)

    with pytest.raises(TimeoutError, match="50"):
        run_stub(scenario, lambda stub, command: None, limit=50.0)


def test_a_buffer_is_the_endpoints_only_while_it_is_mapped():
    seen = []

    def remember(stub, command):
        seen.extend(address for address in addresses(stub) if address)
        return transfer(stub, command)

    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        assert await host.copy_test(64) == 0
        for address in seen:
            device.memory.write(address, b"late")
        return device.memory.dropped

    assert run_stub(scenario, remember) == seen
    assert len(seen) == 2


@pytest.mark.parametrize(("caps", "aligned"), [(0, True), (1, False)])
def test_buffers_are_aligned_unless_the_endpoint_does_not_mind(caps, aligned):
    seen = []

    def remember(stub, command):
        seen.extend(address for address in addresses(stub) if address)
        return transfer(stub, command)

    async def scenario(device, host):
        host = PciEndpointTest(device, memory=device.memory, alignment=0x1000)
        assert await host.probe() == 0
        device.memory.allocate(24)
        assert await host.set_irqtype(MSI) == 0
        return [await host.write_test(100), await host.copy_test(5000)]

    assert run_stub(scenario, remember, caps=caps) == [0, 0]
    assert all(address % 0x1000 == 0 for address in seen) == aligned


def test_arguments_and_memory():
    class Full:
        def __init__(self, memory, allowed):
            self.memory, self.allowed, self.revoked = memory, allowed, []

        def __getattr__(self, name):
            return getattr(self.memory, name)

        def allocate(self, size, alignment=8):
            self.allowed -= 1
            return self.memory.allocate(size, alignment) if self.allowed >= 0 else None

        def revoke(self, address):
            self.revoked.append(address)

    async def scenario(device, host):
        assert await host.set_irqtype(MSI) == 0
        empty = [await test(0) for test in (host.write_test, host.read_test, host.copy_test)]
        full = Full(device.memory, 1)
        poor = PciEndpointTest(device, memory=full)
        assert await poor.set_irqtype(MSI) == 0
        lacking = [await poor.copy_test(8), await poor.read_test(8), await poor.write_test(8)]
        none = PciEndpointTest(device)
        assert await none.set_irqtype(MSI) == 0
        commands = [name for _, name, _ in device.take_trace() if name == "COMMAND"]
        return empty, lacking, len(full.revoked), await none.write_test(8), commands

    expected = ([-errno.EINVAL] * 3, [-errno.ENOMEM] * 3, 1, -errno.ENOMEM, [])
    assert run_stub(scenario, transfer) == expected


@pytest.mark.parametrize("alignment", [-1, 3, 24])
def test_wrong_alignment(alignment):
    device = type("Device", (), {"platform": VirtualPlatform()})()
    with pytest.raises(ValueError, match=f"not {alignment}"):
        PciEndpointTest(device, alignment=alignment)
