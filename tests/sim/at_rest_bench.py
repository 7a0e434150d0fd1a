"""Shows that a design's output ``at_rest`` is 1 when the clock changes nothing, and only then; its state is at pins."""

import os
from random import Random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

STATE = ("count", "word", "counted")
INPUTS = ("go", "limit", "read", "write", "store", "address")
CLOCKS = 5000


def look(dut, names):
    return {name: int(getattr(dut, name).value) for name in names}


@cocotb.test()
async def rests(dut):
    """Drive inputs at random, for some clocks each, and compare what the output says with what changes."""
    random = Random(os.environ["EPBELL_SEED"])
    for name in INPUTS:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, 4, unit="ns").start()
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    said = {"rests": 0, "moves": 0}
    rested, before, still, wrote = 0, look(dut, STATE), 0, None
    for _ in range(CLOCKS):
        if random.randrange(4) == 0:
            name = random.choice(INPUTS)
            getattr(dut, name).value = random.randrange(1 << len(getattr(dut, name)))
            rested = still = 0
        await Timer(1, "ns")
        rest = int(dut.at_rest.value)
        await RisingEdge(dut.clk)
        write = look(dut, ("write", "address")) | {"word": before["count"]}
        await Timer(1, "ns")
        after = look(dut, STATE)
        # What is exported as it is counts as written whatever the word; the other memory, if the word was another one.
        written = int(dut.store.value) or (write["write"] and write != wrote)
        wrote = write
        assert not (rest and written), "at rest, and a memory is written"
        rested = rested + 1 if rest else 0
        still = still + 1 if after == before and not written else 0
        assert rested < 2 or after == before, f"at rest, and {before} becomes {after}"
        assert still < 3 or rest, f"{before} stays as it is, and is said to move"
        said["rests" if rested > 1 else "moves"] += 1
        before = after
    assert min(said.values()) > CLOCKS // 20, said
