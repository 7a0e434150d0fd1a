"""Faults of what the endpoint's own requests and answers meet: completions, credits, a CPU that takes no answers."""

import cocotb
import pytest
from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import CplStatus, TlpTc

from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bad_completions import changed, without_data
from epbell_tb.endpoint.clock import cycle
from epbell_tb.endpoint.doorbells import VECTORS
from epbell_tb.endpoint.fault_cases import tried
from epbell_tb.endpoint.fault_rig import KICK, Fault
from epbell_tb.endpoint.link_credits import LinkCredits

_LONG = 1500
"""Clocks that something stands still."""

_LATE_NS = 14_000
"""Nanoseconds after which the hard block has given a read up (`no_completion_timeout`)."""

_FREE_TAG = 31
_SIZE = 0x40


@tried(globals())
def completions(rig):
    """Completions that are missing, late, doubled, of another tag, length or status."""
    env = rig.env
    word = b"\x5a\xc3\x96\x0f"
    other = word[::-1]

    def reading(name, cause, spoil):
        async def inject():
            base = env.to_host.memory.allocate(_SIZE, 8)
            env.to_host.memory.poke(base, word + other)
            mapping = await env.software.epc.mem_map(base, _SIZE)
            assert not isinstance(mapping, int), f"no mapping: {mapping}"
            # Only the read that is about this word meets anything wrong.
            env.to_host.spoil = lambda one: spoil(one) if bytes(one.get_data()) == word else [one]
            status = ""
            try:
                assert await env.cpu.read(mapping.address, 4) == word, "a read brings something else"
            except BusError as error:
                status = error.status
            wanted = "" if cause is Cause.NONE else "CA"
            assert status == wanted, f"the CPU got {status or 'no error'}, not {wanted or 'a good answer'}"
            assert await env.counters.read("OUTBOUND_CAUSE") == cause
            if cause is not Cause.NONE:
                assert await env.counters.read("OUTBOUND_ADDRESS") == mapping.address
                await env.counters.write("OUTBOUND_CAUSE", 0)
            assert await env.cpu.read(mapping.address + 4, 4) == other, "the next read brings something else"
            env.to_host.spoil = None
            await env.software.epc.mem_unmap(mapping)

        return Fault(name, inject, {} if cause is Cause.NONE else {"OUTBOUND_FAILED": 1})

    def late(completion):
        async def send():
            await env.clocks(_LATE_NS // 4)
            await env.root.send(completion)

        cocotb.start_soon(send())
        return []

    yield reading("never", Cause.TIMEOUT, lambda one: [])
    yield reading("after the timeout", Cause.TIMEOUT, late)
    yield reading("twice", Cause.NONE, lambda one: [one, changed()(one)])
    yield reading("twice, then other data", Cause.NONE, lambda one: [one, changed(data=bytearray(4))(one)])
    yield reading("with a tag that is free", Cause.TIMEOUT, lambda one: [changed(tag=_FREE_TAG)(one)])
    yield reading("with a free tag, then its own", Cause.NONE, lambda one: [changed(tag=_FREE_TAG)(one), one])
    double = changed(data=bytearray(8), length=2, byte_count=8)
    yield reading("two dwords", Cause.UNEXPECTED, lambda one: [double(one)])
    yield reading("no data", Cause.UNEXPECTED, lambda one: [without_data()(one)])
    for status, cause in (
        (CplStatus.UR, Cause.UNSUPPORTED), (CplStatus.CA, Cause.ABORTED), (CplStatus.CRS, Cause.UNEXPECTED)
    ):  # fmt: skip
        yield reading(status.name, cause, lambda one, status=status: [without_data(status)(one)])
    yield reading("poisoned", Cause.POISONED, lambda one: [changed(ep=True)(one)])
    yield reading("of another traffic class", Cause.TIMEOUT, lambda one: [changed(tc=TlpTc.TC3)(one)])


async def _traffic(rig):
    """Let both ends read and write, and the host be interrupted; return the tasks."""
    env = rig.env
    data = env.random.randbytes(_SIZE)
    base = env.to_host.memory.allocate(2 * _SIZE, 8)
    env.to_host.memory.poke(base, data)
    mapping = await env.software.epc.mem_map(base, 2 * _SIZE)
    assert not isinstance(mapping, int), f"no mapping: {mapping}"
    msis = env.board.counts["msis"]

    async def goes_out():
        for number in range(8):
            await env.cpu.write(mapping.address + _SIZE + number, bytes([number + 1]))
        await env.counters.write("MSI_RAISE", 3)
        assert await env.cpu.read(mapping.address, _SIZE) == data, "a read brings something else"

    async def over():
        for task in tasks:
            await task
        await env.until(lambda: env.board.counts["msis"] == msis + 1, "the MSI arrives")
        assert env.to_host.memory.peek(base + _SIZE, 8) == bytes(range(1, 9)), "a write to the host is lost"
        await env.software.epc.mem_unmap(mapping)

    tasks = [cocotb.start_soon(rig.look(60 * number, 60)) for number in range(28)]
    tasks.append(cocotb.start_soon(goes_out()))
    return over


@tried(globals())
def credits(rig):
    """Nobody takes what the endpoint sends, for long."""
    env = rig.env
    link = LinkCredits(env.block.upstream_port)
    cc, rq = env.block.cc_sink, env.block.rq_sink
    sinks = {"CC": (cc,), "RQ": (rq,), "CC and RQ": (cc, rq)}

    def starved(name, begin, end):
        async def inject():
            begin()
            over = await _traffic(rig)
            await env.clocks(_LONG // 2)
            for number in range(VECTORS + 1):
                await rig.ring(number)
            await env.clocks(_LONG // 2)
            end()
            rig.released = cycle()
            await over()

        return Fault(name, inject)

    for name, streams in sinks.items():

        def begin(streams=streams):
            for stream in streams:
                stream.set_pause_generator(None)
                stream.pause = True

        def end(streams=streams):
            for stream in streams:
                stream.pause = False
                if env.stalls:
                    stream.set_pause_generator(env.pauses())

        yield starved(f"{name} is not ready", begin, end)
    for kind in (FcType.CPL, FcType.P, FcType.NP):
        yield starved(f"no credits of the link, {kind.name}", lambda kind=kind: link.limit(kind, 0), link.lift)


@tried(globals())
def cpu_stands(rig):
    """Let the CPU take no answers."""
    env = rig.env
    ram, mu = env.board.map["ram"].base + 0x8000, env.board.map["mu_a"].base + env.board.registers.offset["RR0"]

    def stands(name, *accesses):
        async def inject():
            env.cpu.take_answers(False)
            tasks = [cocotb.start_soon(access()) for access in accesses]
            await env.clocks(60)
            began = cycle()
            await rig.look(env.random.randrange(0x400), 0x40)
            await env.memory.write32(env.address(4, 0x2000), 0x600D)
            assert await env.memory.read32(env.address(4, 0x2000)) == 0x600D
            word = env.random.getrandbits(32)
            rig.sent[3] += 1
            await rig.doorbells.ring(3, word)
            assert await env.memory.read32(rig.address(3)) == word, "the doorbell's word must be there"
            await rig.ring(KICK)
            await env.until(rig.line, "the doorbells interrupt the CPU")
            took = cycle() - began
            assert took < _LONG, f"the host waits for a CPU that stands still, {took} clocks"
            await env.clocks(_LONG)
            env.cpu.take_answers(True)
            rig.released = cycle()
            for task in tasks:
                await task

        return Fault(name, inject)

    def read(address):
        return lambda: env.cpu.read32(address)

    def write(address):
        return lambda: env.cpu.write32(address, 0x5A5A)

    yield stands("of reads of the RAM", read(ram), read(ram + 4), read(ram + 8))
    yield stands("of writes of the RAM", write(ram), write(ram + 4), write(ram + 8))
    yield stands("of both", *(access(ram + 4 * number) for number in range(6) for access in (read, write)))
    yield stands("of the eDMA's page and the RAM", read(env.board.map["edma"].base + 0xA0), write(ram))
    yield stands("of reads where nothing is", _refused(env), read(ram))
    yield stands("of a word that is then rung", read(mu), write(ram))


def _refused(env):
    async def access():
        with pytest.raises(BusError, match="UR"):
            await env.cpu.read32(0x1000)

    return access
