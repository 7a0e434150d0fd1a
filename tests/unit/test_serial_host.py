"""The host's end of a board: Linux's selftest over the link, with the reference endpoint as the board."""

import pytest
from serial_reference import ReferenceBoard

from epbell_models.platform import BusError
from epbell_models.selftest.harness import Options
from epbell_tb.serial.host import SerialHost
from epbell_tb.serial.link import SerialError
from epbell_tb.serial.shapes import LARGE, SMALL, Found
from epbell_tb.serial.target import selftest

SKIPPED = {
    "pci_ep_bar.BAR0.BAR_SUBRANGE_TEST", "pci_ep_basic.MSIX_TEST",
    *(f"pci_ep_data_transfer.dma.{name}_TEST" for name in ("READ", "WRITE", "COPY")),
}  # fmt: skip


@pytest.mark.parametrize(("shape", "lose"), [(LARGE, 0), (LARGE, 17), (SMALL, 0)])
def test_selftest(shape, lose):
    """All 23 are ok; of 16 vectors of MSI-X Linux's test finds the end, which is its own skip; windows are missing."""
    lines = []
    board = ReferenceBoard(shape, lose=lose)
    assert selftest(board, Options((1, 1024, 1025)), lines.append, msix_vectors=16)
    ended = [line for line in lines if line.startswith(("ok", "not ok"))]
    assert len(ended) == 23
    unsplit = {f"pci_ep_bar.BAR{bar}.BAR_SUBRANGE_TEST" for bar in range(6)} if shape == SMALL else set()
    assert {line.split()[2] for line in ended if "# SKIP" in line} == SKIPPED | unsplit
    assert f"# a board, 64 bits, device tree imx8, {shape.windows} inbound windows, 16 MSI-X vectors" in lines


def host_on(board, msix=None):
    host = SerialHost(board, patience=0.01)
    host.open(msix)
    return host


def ran(host, coroutine):
    return host.platform.run(coroutine, 100)


def test_what_a_board_says():
    found = host_on(ReferenceBoard(SMALL)).found
    assert (found.width, found.reads, found.windows, found.outbound_windows) == (64, 8, 6, 2)
    assert found.tree.endpoint.outbound_windows == 2
    assert found.bars == SMALL.bars
    assert found.ram_size == found.tree.endpoint.memory.size == SMALL.ram_size


@pytest.mark.parametrize(("shape", "vectors"), [(SMALL, 448), (LARGE, 2048)])
def test_as_many_msix_vectors_as_bar_0_has_room_for(shape, vectors):
    host = host_on(ReferenceBoard(shape))
    assert host.msix_vectors == vectors
    assert 0x80 + 16 * vectors + vectors // 8 <= shape.bars[0]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((1, 2, 3, 4), "must say 0x45504253 and three dwords of itself"),
        ((0x4550_4253, 1, 2), "must say 0x45504253 and three dwords of itself"),
        ((0x4550_4253, 0x0202, 3, 4), "must speak version 1 of the link, not 2"),
    ],
)
def test_another_board(words, why):
    with pytest.raises(ValueError, match=why):
        Found(words)
    board = ReferenceBoard()
    board.hello = words
    with pytest.raises(SerialError, match=why):
        SerialHost(board).open()


def test_accesses_of_the_host():
    """Bytes anywhere, beyond what one request or one message has room for; nothing is there without a BAR."""
    host = host_on(ReferenceBoard())
    ram = host.found.tree.endpoint.memory.address
    atu = host.found.tree.endpoint.atu.address

    async def body():
        from epbell_tb.window_writes import bar_window

        for bar in range(2):
            await host.config_write32(0x10 + 4 * bar, 0x8000_0000 + bar * 0x1_0000)
        await host.config_write32(4, 6)
        for address, value in bar_window(atu, 0, 1, ram):
            await host.cpu.write32(address, value)
        data = bytes(number * 7 & 0xFF for number in range(6000))
        await host.memory.write(0x8001_0003, data)
        assert await host.memory.read(0x8001_0003, len(data)) == data
        assert await host.memory.read(0x8001_0005, 1) == data[2:3]
        assert await host.cpu.read(ram + 3, 50) == data[:50]
        await host.cpu.write(ram + 7, b"abcdef")
        assert await host.memory.read(0x8001_0003, 12) == data[:4] + b"abcdef" + data[10:12]
        with pytest.raises(BusError, match="UR at 0x80000000"):
            await host.memory.read(0x8000_0000, 4)  # no window
        with pytest.raises(BusError, match="UR at 0x90000000"):
            await host.memory.read(0x9000_0000, 4)  # no BAR
        await host.memory.write(0x9000_0000, b"1234")
        assert host.memory.dropped == [0x9000_0000]

    ran(host, body())


def test_a_board_that_falls_silent():
    board = ReferenceBoard()
    host = host_on(board)

    async def body():
        await host.cpu.read32(host.found.tree.endpoint.regs.address)
        board.deaf = True
        await host.cpu.read32(host.found.tree.endpoint.regs.address)

    with pytest.raises(SerialError, match=r"has acknowledged nothing for 0\.2 s: was it unplugged"):
        ran(host, body())


def test_a_board_that_is_reset():
    board = ReferenceBoard()
    host = host_on(board)

    async def body():
        board._epoch = 0
        await host.cpu.read32(host.found.tree.endpoint.regs.address)

    with pytest.raises(SerialError, match="has been reset in the middle of a session"):
        ran(host, body())
