"""The CPU's port against a slave that is played by the bench: the module under it has pins only."""

from collections import deque
from random import Random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from epbell_tb.endpoint.axil_port import AxiLitePort

REFUSED = 0x80
"""Address of the word that is answered with SLVERR."""


class Slave:
    """A memory; it takes words and gives answers when `takes` and `answers` say so: one bool per clock and channel."""

    def __init__(self, dut):
        self.dut = dut
        self.memory = bytearray(256)
        self.takes = {"aw": lambda: True, "w": lambda: True, "ar": lambda: True}
        self.answers = lambda: True
        self.seen = {"aw": [], "w": [], "ar": []}
        self.answered = {"b": 0, "r": 0}
        self._due = {"b": deque(), "r": deque()}
        self._written = 0
        cocotb.start_soon(self._run())

    def pin(self, name):
        return getattr(self.dut, f"bus_{name}")

    async def _run(self):
        words = {"aw": ("awaddr",), "w": ("wdata", "wstrb"), "ar": ("araddr",)}
        for name in ("awready", "wready", "arready", "bvalid", "rvalid", "bresp", "rresp", "rdata"):
            self.pin(name).value = 0
        ready, valid = dict.fromkeys(words, False), dict.fromkeys(self._due, False)
        while True:
            await RisingEdge(self.dut.clk)
            for channel, pins in words.items():
                if ready[channel] and self.pin(f"{channel}valid").value:
                    self.seen[channel].append(tuple(int(self.pin(name).value) for name in pins))
                    if channel == "ar":
                        self._read(*self.seen["ar"][-1])
                ready[channel] = self.takes[channel]()
                self.pin(f"{channel}ready").value = ready[channel]
            while self._written < min(len(self.seen["aw"]), len(self.seen["w"])):
                self._write(*self.seen["aw"][self._written], *self.seen["w"][self._written])
                self._written += 1
            for channel, due in self._due.items():
                if valid[channel] and self.pin(f"{channel}ready").value:
                    self.answered[channel] += 1
                    valid[channel] = False
                if not valid[channel] and due and self.answers():
                    valid[channel] = True
                    for name, value in due.popleft().items():
                        self.pin(name).value = value
                self.pin(f"{channel}valid").value = valid[channel]

    def _write(self, address, data, strobes):
        for lane in range(4):
            if strobes >> lane & 1:
                self.memory[address // 4 * 4 + lane] = data >> 8 * lane & 0xFF
        self._due["b"].append({"bresp": 2 * (address == REFUSED)})

    def _read(self, address):
        word = self.memory[address // 4 * 4 :][:4]
        self._due["r"].append({"rdata": int.from_bytes(word, "little"), "rresp": 2 * (address == REFUSED)})


async def clocks(dut, count):
    for _ in range(count):
        await RisingEdge(dut.clk)


async def reset(dut):
    dut.rst.value = 1
    await clocks(dut, 2)
    dut.rst.value = 0
    await clocks(dut, 2)


async def begin(dut):
    Clock(dut.clk, 4, unit="ns").start()
    dut.rst.value = 1
    port, slave = AxiLitePort(dut, "bus"), Slave(dut)
    await reset(dut)
    return port, slave


@cocotb.test(timeout_time=10, timeout_unit="us")
async def words(dut):
    """An access is words with strobes, of which the first begins where the access does."""
    port, slave = await begin(dut)
    assert await port.write(0x13, bytes(range(1, 7))) == 0
    assert slave.seen["aw"] == [(0x13,), (0x14,), (0x18,)]
    assert slave.seen["w"] == [(0x01000000, 0b1000), (0x05040302, 0b1111), (0x00000006, 0b0001)]
    assert await port.read(0x13, 6) == (0, bytes(range(1, 7)))
    assert slave.seen["ar"] == [(0x13,), (0x14,), (0x18,)]
    assert await port.write(REFUSED - 4, bytes(12)) == 2
    assert await port.read(REFUSED - 4, 12) == (2, bytes(12))
    assert await port.read(REFUSED - 4, 4) == (0, bytes(4))
    for length in (0, -1):
        with pytest.raises(ValueError, match=f"An access must have 1 byte or more, not {length}"):
            await port.read(0, length)
    with pytest.raises(ValueError, match="An access must have 1 byte or more, not 0"):
        await port.write(0, b"")


@cocotb.test(timeout_time=200, timeout_unit="us")
async def random_accesses(dut):
    """Whatever the slave's pace, memory is what was written, and reads say so."""
    port, slave = await begin(dut)
    rng, kept = Random(1), bytearray(256)
    slave.answers = lambda: rng.random() < 0.5
    slave.takes = dict.fromkeys(slave.takes, lambda: rng.random() < 0.4)
    for _ in range(100):
        start, length = rng.randrange(REFUSED - 20), rng.randint(1, 20)
        data = rng.randbytes(length)
        kept[start : start + length] = data
        assert await port.write(start, data) == 0
        assert slave.memory == kept
        start, length = rng.randrange(REFUSED - 20), rng.randint(1, 20)
        assert await port.read(start, length) == (0, bytes(kept[start : start + length]))
        await clocks(dut, rng.choice([0, 0, 1, 5]))


@cocotb.test(timeout_time=10, timeout_unit="us")
async def many_at_a_time(dut):
    """An access that comes later is handed over while another waits for its answer; a channel waits for no other."""
    port, slave = await begin(dut)
    slave.answers = lambda: False
    tasks = []
    for number in range(3):
        tasks.append(cocotb.start_soon(port.write(4 * number, bytes([number + 1]))))
        tasks.append(cocotb.start_soon(port.read(0x40 + 4 * number, 4)))
        await clocks(dut, 10)
        assert {name: len(seen) for name, seen in slave.seen.items()} == dict.fromkeys(("aw", "w", "ar"), number + 1)
        assert slave.answered == {"b": 0, "r": 0}
    slave.answers = lambda: True
    assert [await task for task in tasks] == [0, (0, bytes(4))] * 3
    assert slave.answered == {"b": 3, "r": 3}
    assert slave.memory[:12] == bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])
    slave.takes["w"] = lambda: False
    await clocks(dut, 2)
    task = cocotb.start_soon(port.write(0, bytes(8)))
    await clocks(dut, 10)
    assert {name: len(seen) for name, seen in slave.seen.items()} == {"aw": 5, "w": 3, "ar": 3}
    slave.takes["w"] = lambda: True
    assert await task == 0


@cocotb.test(timeout_time=10, timeout_unit="us")
async def reset_in_flight(dut):
    """What a reset meets is cut off, handed over or not; what comes after it is not mixed up with that."""
    port, slave = await begin(dut)
    slave.takes["aw"] = lambda: False
    slave.takes["ar"] = lambda: False
    tasks = [cocotb.start_soon(port.write(0, bytes(8))), cocotb.start_soon(port.read(0, 8))]
    await clocks(dut, 5)
    dut.rst.value = 1
    await clocks(dut, 2)
    assert [await task for task in tasks] == [None, (None, b"")]
    assert not any(getattr(dut, f"bus_{name}").value for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"))
    slave.seen["w"].clear()  # the reset is the slave's as well
    slave.takes = dict.fromkeys(slave.takes, lambda: True)
    dut.rst.value = 0
    await clocks(dut, 2)
    assert await port.write(4, b"abcd") == 0
    assert await port.read(4, 4) == (0, b"abcd")
    assert (slave.seen["aw"], slave.seen["ar"]) == ([(4,)], [(4,)])


@cocotb.test(timeout_time=10, timeout_unit="us")
async def unasked(dut):
    """Planted: an answer to nothing, long after the last access."""
    port, slave = await begin(dut)
    assert await port.write(0, bytes(4)) == 0
    await clocks(dut, 20)
    slave._due["b"].append({"bresp": 0})
    await clocks(dut, 5)


@cocotb.test(timeout_time=10, timeout_unit="us")
async def answered_twice(dut):
    """Planted: two answers in a row, of which one is due."""
    port, slave = await begin(dut)
    slave.answers = lambda: False
    task = cocotb.start_soon(port.read(0, 4))
    await clocks(dut, 5)
    slave._due["r"].append({"rresp": 0, "rdata": 0})
    slave.answers = lambda: True
    assert await task == (0, bytes(4))
    await clocks(dut, 5)
