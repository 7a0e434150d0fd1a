"""Benches of the exported modules with AXI4-Lite ports, against the models: with one clock, every output is compared.

Managers that hesitate, that leave answers waiting and take requests back, addresses of any alignment, and ``rst`` in
the middle of it all: what :mod:`mu_lockstep` and :mod:`edma_lockstep`, which go as fast as the ports can, leave out.
Parameters come through the environment: ``EPBELL_SEED`` (default: cocotb's), ``EPBELL_MU_LAYOUT``,
``EPBELL_AXIL_CLOCKS`` (default 4000).
"""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, RisingEdge

from epbell_models.reference.edma import EdmaPage
from epbell_models.reference.mu import MessagingUnit
from epbell_tb import edma_traffic, mu_traffic
from epbell_tb.axil_traffic import Port

_CLOCKS = "4000"
_RESETS = 300
"""Clocks from one reset to the next, on average."""

_REGISTERS = 0.5
"""How many of the eDMA's accesses are about registers that do nothing: most of them do nothing."""


_PERIODS = {"a": 4000, "b": 4036}
"""Of the clocks in ps: they drift through every phase."""

_WORDS, _ELSEWHERE = 0.7, 0.1
_WHOLE, _STROBES = 0xF, (0xF, 0xF, 0xF, 0x1, 0x6, 0x8, 0x0)


class Wires:
    """The pins of a port."""

    def __init__(self, dut, prefix, port):
        self.port = port
        self._inputs = {name: getattr(dut, f"{prefix}_{name}") for name in self._driven(port)}
        names = ("awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rresp", "rdata")
        self._outputs = {name: getattr(dut, f"{prefix}_{name}") for name in names}
        self._last = {}

    @staticmethod
    def _driven(port):
        port.drive(None, None)
        return port.inputs

    def drive(self):
        """Drive what the manager wants; values that stay as they are are not driven again."""
        for name, value in self.port.inputs.items():
            if self._last.get(name) != value:
                self._last[name] = value
                self._inputs[name].value = value

    def seen(self, names):
        """Return what the module shows."""
        return {name: int(self._outputs[name].value) for name in names}


class Lockstep:
    """Ports of a module beside those of its model."""

    def __init__(self, dut, prefixes, *, registered=False):
        self.seed = int(os.environ.get("EPBELL_SEED", cocotb.RANDOM_SEED))
        self.clocks = int(os.environ.get("EPBELL_AXIL_CLOCKS", _CLOCKS))
        self.random = random.Random(self.seed)
        self.dut = dut
        self.wires = [Wires(dut, prefix, Port(self.random, registered=registered)) for prefix in prefixes]
        self.clock = 0

    def anywhere(self, write, read):
        """Move a few accesses to where one bit of the address is another; its last two bits never matter."""
        rng = self.random
        if rng.random() < 0.1:
            bit = 1 << rng.randrange(16)
            write = write and (write[0] ^ bit, *write[1:])
            read = None if read is None else read ^ bit
        low = rng.getrandbits(2)
        return write and (write[0] & ~3 | low, *write[1:]), None if read is None else read & ~3 | low

    async def run(self, choose, step, lines):
        """Compare clock by clock.

        `choose` gives new accesses for each port; `step` makes the model's step with those that were accepted and
        returns what they read, or resets the model if it gets None; `lines` gives pairs of a pin and its value.
        """
        Clock(self.dut.clk, 4, unit="ns").start()
        for wires in self.wires:
            wires.drive()
        self.dut.rst.value = 1
        edge = RisingEdge(self.dut.clk)
        for _ in range(3):
            await edge
        self._reset(step)
        while self.clock < self.clocks:
            rst = int(self.random.random() < 1 / _RESETS)
            self.dut.rst.value = rst
            for wires, access in zip(self.wires, choose(), strict=True):
                wires.port.drive(*access)
                wires.drive()
            await edge  # at which everything is as it was in the clock that it ends
            for wires in self.wires:
                wanted = wires.port.outputs()
                assert wires.seen(wanted) == wanted, f"clock {self.clock}, EPBELL_SEED={self.seed}: {wires.port.inputs}"
            for pin, level in lines():
                assert int(pin.value) == level, f"clock {self.clock}, EPBELL_SEED={self.seed}: {pin._name}"
            if rst:
                self._reset(step)
            else:
                self._step(step)
            self.clock += 1

    def _reset(self, step):
        step(None)
        for wires in self.wires:
            wires.port.reset()

    def _step(self, step):
        accepted = [wires.port.accepted() for wires in self.wires]
        aligned = [
            (write and (write[0] & ~3, *write[1:]), None if read is None else read & ~3) for write, read in accepted
        ]
        for wires, data in zip(self.wires, step(aligned), strict=True):
            wires.port.step(data)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def messaging_unit(dut):
    """Compare both sides of a Messaging Unit."""
    layout = os.environ["EPBELL_MU_LAYOUT"]
    both = Lockstep(dut, ("a_axil", "b_axil"), registered=True)
    traffic, units = mu_traffic.Traffic(layout, both.random), [MessagingUnit(layout)]

    def choose():
        return [both.anywhere(access.write, access.read) for access in traffic.next()]

    def step(accepted):
        if accepted is None:
            units[0] = MessagingUnit(layout)
            return ()
        (a_write, a_read), (b_write, b_read) = accepted
        return units[0].step(a_write, a_read, b_write, b_read)

    def lines():
        writes = [wires.port.accepted()[0] for wires in both.wires]
        return [(pin, units[0].irq_meanwhile(side, *writes)) for side, pin in (("a", dut.a_irq), ("b", dut.b_irq))]

    await both.run(choose, step, lines)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def edma(dut):
    """Compare the eDMA page, with ends of transfers; half of the accesses write any register, or read it again."""
    one = Lockstep(dut, ("s_axil",))
    rng, last = one.random, [0]
    page = EdmaPage("unroll", 4, 4)
    traffic = edma_traffic.Traffic(page, one.random)
    pulses = dict.fromkeys(edma_traffic.PULSES, 0)

    def choose():
        stimulus = traffic.next()
        pulses.update({pulse: stimulus.pulses.get(pulse, 0) for pulse in pulses})
        for pulse, channels in pulses.items():
            getattr(dut, pulse).value = channels
        write, read = stimulus.write, stimulus.read
        if rng.random() < _REGISTERS:
            strobes = rng.choice((0xF, 0xF, rng.randrange(1, 16)))
            write = rng.choice(traffic.plain), rng.choice((0, 0xFFFF_FFFF, rng.getrandbits(32))), strobes
        if rng.random() < _REGISTERS:
            read = last[0]
        return [one.anywhere(write, read)]

    def step(accepted):
        if accepted is None:
            page.reset()
            return ()
        ((write, read),) = accepted
        last[0] = write[0] if write else last[0]
        return (page.step(write, read, **pulses),)

    await one.run(choose, step, lambda: ((dut.irq, page.irq),))


class OwnWords:
    """One side of a Messaging Unit with two clocks: what it shows at once, whatever the other one does."""

    def __init__(self, layout):
        registers = mu_traffic.Registers(layout)
        self._words = dict.fromkeys(registers.words("TR"), 0)
        self._there = set(registers.offset.values())
        self._mur = registers.home("MUR")
        self._others = sorted(self._there - {self._mur} - set(self._words))

    def choose(self, rng):
        """Return a write and a read; a reset of the unit would zero the words, and is left out."""
        words = list(self._words)
        write = rng.choice(words if rng.random() < _WORDS else self._others), rng.getrandbits(32), rng.choice(_STROBES)
        read = rng.choice(words if rng.random() < _WORDS else self._others)
        if rng.random() < _ELSEWHERE:
            line = 1 << rng.randrange(2, 16)
            write, read = (write[0] ^ line, *write[1:]), read ^ line
        write = (write[0] & ~3 | rng.getrandbits(2), *write[1:]) if write[0] != self._mur else None
        return write if rng.random() < _WORDS else None, read if rng.random() < _WORDS else None

    def step(self, write, read):
        """Take what was accepted; return what the read gives, None if that is the other side's business."""
        data = self._words.get(read, None if read in self._there else 0)
        if write is not None and write[0] & ~3 in self._words and write[2] == _WHOLE:
            self._words[write[0] & ~3] = write[1]
        return data


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def messaging_unit_with_two_clocks(dut):
    """Compare the handshakes of both ports, each in its clock, and the words that a side has written itself."""
    layout = os.environ["EPBELL_MU_LAYOUT"]
    clocks = int(os.environ.get("EPBELL_AXIL_CLOCKS", _CLOCKS))
    for name in "ab":
        Clock(getattr(dut, f"{name}_clk"), _PERIODS[name], unit="ps").start()
    await Combine(*(cocotb.start_soon(_one_side(dut, name, layout, clocks)) for name in "ab"))


async def _one_side(dut, name, layout, clocks):
    rng = random.Random(f"{os.environ.get('EPBELL_SEED', cocotb.RANDOM_SEED)} {name}")
    port, side, edge = Port(rng), OwnWords(layout), RisingEdge(getattr(dut, f"{name}_clk"))
    wires, reset, data = Wires(dut, f"{name}_axil", port), getattr(dut, f"{name}_rst"), None
    port.reset()
    wires.drive()
    reset.value = 1
    for _ in range(8):
        await edge
    reset.value = 0
    for clock in range(clocks):
        port.drive(*side.choose(rng))
        wires.drive()
        await edge
        wanted = port.outputs()
        seen = wires.seen(wanted)
        if "rdata" in wanted:
            # What the other side has done is judged elsewhere. Here: an answer that waits stays as it is.
            data = wanted["rdata"] = seen["rdata"] if data is None else data
        assert seen == wanted, f"clock {clock} of side {name}: {port.inputs}"
        write, read = port.accepted()
        given = side.step(write, read)
        data = data if read is None else given
        port.step(0)
