"""Resets in each clock of rings, reads and writes both ways, so that every state that these go through sees one.

`rst` comes without warning, in the middle of packets; the hard block's streams drop what they are in, as with a link
that is lost. `epbell faults` runs them.
"""

from contextlib import suppress
from dataclasses import asdict

import cocotb
from cocotb.triggers import Timer

from epbell_models.linux.pci_epc import EpfBar
from epbell_models.platform import BusError
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.doorbells import VECTORS
from epbell_tb.endpoint.edma import BareEdma
from epbell_tb.endpoint.fault_rig import BELLS, EDMA, IMAGE, KICK, RAM, Rig, Row
from epbell_tb.endpoint.streams import forget_packet
from epbell_tb.faults_plan import FAMILIES, PROBE

_CLOCKS = 90
_READ = 64
_GIVEN_UP_NS = 1500
_ANSWER_NS = 80
_HOST = 0x100
_FLR_DONE = 100
"""Clocks until `cfg_flr_done` with RQ and CC ready (docs/endpoint.md, "Resets and power"): the streams may pause."""


def _states(env):
    """Return what the pins show to be under way."""
    dut = env.dut
    seen = {
        "a request half in": env.requests.open_since is not None,
        "a completion half out": env.completions.open_since is not None,
        "the host's read": any(env.root.tag_active),
        "the CPU's write": any(int(getattr(dut, f"cpu_axil_{name}valid").value) for name in ("aw", "w", "b")),
        "the CPU's read": any(int(getattr(dut, f"cpu_axil_{name}valid").value) for name in ("ar", "r")),
        "a read of the host's memory": any(one is not None for one in env.block.active_request),
        "irq_mu": env.irq_mu.level(),
        "irq_edma": env.irq_edma[0].level(),
    }
    return [name for name, now in seen.items() if now]


def _lines(env):
    return env.irq_mu.level(), env.irq_edma[0].level()


async def _tolerant(access):
    """Do an access that a reset may cut off, or that is not answered because of it."""
    with suppress(BusError):
        await access


async def _sweep(env, family, once):
    """Do `once` in each clock; keep a row for each, and see that every state that the pins show was hit."""
    rows = env.outcome.setdefault("faults", [])
    hit = set()
    for clocks in range(_CLOCKS):
        row = Row(f"clock {clocks}", bound=FAMILIES[family].bound + PROBE)
        try:
            states = await once(clocks, row)
            hit.update(states)
            row.fault += f": {', '.join(states) or 'nothing'}"
            assert not row.lost, f"{row.lost} rings are lost"
            assert not row.invented, f"{row.invented} rings are invented"
            assert (row.recovery or 0) <= row.bound, f"it takes {row.recovery} clocks, the bound is {row.bound}"
            row.survived = True
        except Exception as error:
            row.why = str(error) or type(error).__name__
            raise
        finally:
            rows.append(asdict(row))
    wanted = {"a request half in", "the host's read", "the CPU's write", "the CPU's read"}
    wanted |= {"irq_mu", "irq_edma"} | ({"a read of the host's memory"} if family == "rst" else set())
    if env.width == 64:
        wanted.add("a completion half out")
    missed = wanted - hit
    assert not missed, f"no reset came with {', '.join(sorted(missed))} under way"


def _accesses(env, ring, window, read_from):
    """Begin rings, reads and writes both ways, the CPU's reads from an address; return the tasks."""
    memory, word, ram = env.memory, env.random.randbytes(_READ), env.board.map["ram"].base

    async def host():
        await ring(1)
        await memory.write(env.address(RAM, IMAGE), word)
        await ring(KICK)
        await ring(2)

    async def cpu():
        await env.cpu.write(window, word[:8])
        await env.cpu.read(read_from, 8)
        await env.cpu.write(ram, word[:12])

    async def reads(offset):
        await memory.read(env.address(RAM, IMAGE + offset), _READ)

    tasks = [host(), cpu(), *(reads(_READ * number) for number in range(3)), memory.read(env.address(BELLS, 0x200), 4)]
    return [cocotb.start_soon(_tolerant(task)) for task in tasks]


class _Bare:
    """The endpoint without Linux: windows and enables by hand, acknowledged by hand."""

    def __init__(self, env):
        self.env = env
        self.edma = BareEdma(env, EDMA)
        registers = env.board.registers
        self._enables = env.board.map["mu_a"].base + registers.home("RIE")
        self._all = registers.mask("RIE")
        self._rr = [env.board.map["mu_a"].base + registers.offset[f"RR{n}"] for n in range(VECTORS)]
        self._tr = [registers.offset[f"TR{n}"] for n in range(VECTORS)]
        self.window = env.board.map.outbound.base
        self.host = env.to_host.memory.allocate(0x1000, 0x1000)

    async def set_up(self):
        """Set everything up, as after power-up."""
        env = self.env
        env.software = env.new_software()
        controller = env.software.controller
        await controller.probe()
        for bar, page in ((BELLS, "mu_b"), (EDMA, "edma"), (RAM, "ram")):
            assert await controller.set_bar(EpfBar(bar, env.board.map[page].base, env.bar_sizes[bar])) == 0
        assert await controller.map_addr(self.window, self.host, 0x1000) == 0
        await env.cpu.write32(self._enables, self._all)

    async def ring(self, number, word=0x55):
        """Ring a doorbell."""
        if number == KICK:
            await self.edma.kick(data=word)
        else:
            await self.env.device.write32(BELLS, self._tr[number], word)

    async def probe(self):
        """Write and read both ways; ring each doorbell, and acknowledge it."""
        env, source = self.env, self.env.random
        words = [source.getrandbits(32) for _ in range(3)]
        await env.memory.write32(env.address(RAM, 8), words[0])
        assert await env.memory.read32(env.address(RAM, 8)) == words[0], "the host's write or read does not work"
        await env.cpu.write32(self.window, words[1])
        assert await env.cpu.read32(self.window) == words[1], "the CPU's write or read does not work"
        for number in range(VECTORS):
            assert not env.irq_mu.level(), "irq_mu must be low"
            await self.ring(number, words[2])
            await env.until(env.irq_mu.level, "a good ring interrupts", 100)
            assert await env.cpu.read32(self._rr[number]) == words[2], "the doorbell's word must arrive"
        assert not env.irq_edma[0].level(), "irq_edma must be low"
        await self.ring(KICK)
        await env.until(env.irq_edma[0].level, "a good kick interrupts", 100)
        await self.edma.clear()
        await env.clocks(4)
        assert not any(_lines(env)), "an acknowledged doorbell must not interrupt"


@cocotb.test(timeout_time=20_000, timeout_unit="us")
@scenario(linux=False)
async def rst_sweep(env):
    """Assert rst in each clock: what was rung before is gone, and all works when it is set up again."""
    bare = _Bare(env)
    env.memory.completion_timeout = _GIVEN_UP_NS
    env.to_host.delay = lambda: _ANSWER_NS
    streams = env.block.cq_source, env.block.cc_sink, env.block.rq_sink, env.block.rc_source
    await bare.set_up()

    async def once(clocks, row):
        tasks = _accesses(env, bare.ring, bare.window, bare.window)
        await env.clocks(clocks + 1)
        await Timer(1, unit="ns")  # what this clock edge has done is seen before the reset is on
        states = _states(env)
        env.begin_reset()
        await env.clocks(3)
        for stream in streams:
            forget_packet(stream)
        env.block.drop_everything()
        await env.clocks(3)
        for task in tasks:
            await task
        env.dut.rst.value = 0
        await env.clocks(2)
        began = cycle()
        assert not any(_lines(env)), "a line is high after the reset"
        await bare.set_up()
        rows = [await env.counters.read(f"{name}_RUNG") for name in ("BELL0", "BELL1", "BELL2", "BELL3", "EDMA")]
        row.invented = sum(rows) + (await env.pending()).bit_count()
        await bare.probe()
        row.recovery = cycle() - began
        for name in ("BELL0", "BELL1", "BELL2", "BELL3", "EDMA"):
            rung, merged, delivered = [
                await env.counters.read(f"{name}_{event}") for event in ("RUNG", "MERGED", "DELIVERED")
            ]
            row.lost += max(1 - rung, 0) + max(rung - merged - delivered, 0)
            row.invented += max(rung - 1, 0) + max(merged + delivered - rung, 0)
        await env.counters.check(env.board)
        return states

    await _sweep(env, "rst", once)


@cocotb.test(timeout_time=40_000, timeout_unit="us")
@scenario()
async def flr_sweep(env):
    """Reset the function in each clock: doorbells stay the CPU's, and all works when the host has restored it."""
    rig = await Rig.open(env)
    mapping = await env.software.epc.mem_map(env.to_host.memory.allocate(_HOST, 8), _HOST)
    assert not isinstance(mapping, int), f"no mapping: {mapping}"
    resets, function = env.device.resets, env.block.functions[0]
    await resets.save_and_disable()
    await resets.restore()
    env.memory.completion_timeout = _GIVEN_UP_NS
    env.to_host.delay = lambda: _ANSWER_NS

    async def once(clocks, row):
        flrs = await env.counters.read("FLRS")
        tasks = _accesses(env, rig.ring, mapping.address, mapping.address)
        tasks.append(cocotb.start_soon(_tolerant(env.counters.write("MSI_RAISE", 3))))
        await env.clocks(clocks + 1)
        states = _states(env)
        began = cycle()
        await function.pcie_cap.initiate_function_level_reset()
        await env.until(lambda: not env.block.in_flr, "cfg_flr_done", _FLR_DONE)
        for task in tasks:
            await task
        await resets.restore()
        await rig.drained()
        await rig.probe()
        row.recovery = cycle() - began
        # What the hard block dropped was not rung: the pins tell.
        rig.sent.update({n: len(env.board.bells[n].rings) - rig.sent[n] for n in range(VECTORS)})
        rig.sent[KICK] = len(env.board.latch.kicks)
        row.lost, row.invented = await rig.accounts()
        assert await env.counters.read("FLRS") == flrs + 1, "a function-level reset is counted once"
        await env.counters.write("FUNCTION", 1)
        await env.counters.check(env.board)
        return states

    await _sweep(env, "flr", once)
    await env.software.epc.mem_unmap(mapping)
