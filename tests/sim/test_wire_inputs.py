"""The wire tier says in a sentence what no host, no CPU and no stream can do, before anything reaches the pins."""

import pytest

from epbell_tb import tier_scenarios, tier_wire
from epbell_tb.native.beats import Placed, request
from epbell_tb.native.wire import BEAT, Kind, Wire
from epbell_tb.wire_cpu import at_once
from epbell_tb.wire_env import WireEnv

pytestmark = [pytest.mark.simulation, pytest.mark.xdist_group("metal")]

MODULE = "epbell_endpoint_usp256"
RAM, SMALL = 5, 0
BAD = {
    "part of a dword": (lambda env: env.post(RAM, 0, bytes(6)), "whole dwords, up to 128 bytes, not 6 bytes"),
    "nothing": (lambda env: env.post(RAM, 0, b""), "whole dwords, up to 128 bytes, not 0 bytes"),
    "unaligned": (lambda env: env.post(RAM, 2, bytes(4)), "whole dwords, .* at offset 0x2"),
    "more than a payload": (lambda env: env.post(RAM, 0, bytes(132)), "up to 128 bytes, not 132 bytes"),
    "beyond the BAR": (lambda env: env.post(RAM, env.bar_sizes[RAM] - 4, bytes(8)), "must be within the .* of BAR 5"),
    "before the BAR": (lambda env: env.post(RAM, -4, bytes(4)), "must be within the .* of BAR 5"),
    "no such BAR": (lambda env: env.post(6, 0, bytes(4)), "There must be a BAR 6"),
    "a BAR before the first": (lambda env: env.ask(-1, 0, 4), "There must be a BAR -1"),
    "across 4 KiB": (lambda env: env.post(RAM, 0xFFC, bytes(8)), "must not cross 4 KiB: 8 bytes at offset 0xffc"),
    "enables of two": (lambda env: env.post(RAM, 0, bytes(8), enables=1), "for a single dword, not 0x1 for 8 bytes"),
    "five enables": (lambda env: env.post(RAM, 0, bytes(4), enables=0x1F), "must be 4 bits, .* not 0x1f"),
    "a read of nothing": (lambda env: env.ask(RAM, 0, 0), "1 byte or more, not 0"),
    "a read across 4 KiB": (lambda env: env.ask(RAM, 0xFFF, 2), "must not cross 4 KiB"),
    "a read beyond the BAR": (lambda env: env.ask(RAM, env.bar_sizes[RAM], 1), "must be within the .* of BAR 5"),
    "CPU: part of a word": (lambda env: at_once(env.cpu.write(0x5D27_0100, b"\0\0")), "whole dwords .* not 2 bytes"),
    "CPU: unaligned": (lambda env: at_once(env.cpu.read32(0x5D27_0102)), "whole dwords .* at 0x5d270102"),
    "CPU: unaligned write": (lambda env: at_once(env.cpu.write32(1, 0)), "whole dwords .* at 0x1"),
    "CPU: beyond 4 GiB": (lambda env: at_once(env.cpu.read(0xFFFF_FFFC, 8)), "below 4 GiB, not 8 bytes"),
    "CPU: 33 bits": (lambda env: at_once(env.cpu.write32(0, 1 << 32)), "32 bits, not 0x100000000"),
    "another stream": (lambda env: env.wire.send(Kind.CC, bytes(BEAT.size)), "Kind.CQ or Kind.RC, not 1"),
    "part of a beat": (lambda env: env.wire.send(Kind.CQ, bytes(BEAT.size + 1)), "100 bytes each, not 101 in all"),
    "clocks backwards": (lambda env: env.wire.run(-1), "0 or more, not -1 and 0"),
    "packets backwards": (lambda env: env.wire.run(1, completions=-1), "0 or more, not 1 and -1"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused(what):
    do, complaint = BAD[what]
    with WireEnv("refused", 256) as env:
        with pytest.raises(ValueError, match=complaint):
            do(env)
        before = env.wire.clock
        env.play()
        assert env.wire.clock - before < 20
        assert list(env.wire.events()) == []


def test_a_bar_that_is_off_is_refused():
    with WireEnv("off", 256) as env:
        env.bar_sizes = (*env.bar_sizes[:5], 0)
        with pytest.raises(ValueError, match="There must be a BAR 5"):
            env.post(RAM, 0, bytes(4))


def test_what_can_just_be_is_not():
    with WireEnv("limits", 256) as env:
        tier = tier_wire.WireTier("limits", 1, env)
        at_once(tier.start())
        size = env.bar_sizes[RAM]
        env.post(RAM, size - 128, bytes(range(128)))
        env.post(RAM, 0xF80, bytes(range(128)))
        assert env.ask(RAM, size - 128, 128) == (0, bytes(range(128)))
        assert env.ask(RAM, 0xFFF, 1) == (0, b"\x7f")
        status, data = env.ask(RAM, 0, 4096)
        assert (status, data[0xF80:]) == (0, bytes(range(128)))
        env.finish()


@pytest.mark.parametrize("length", [0, 1025])
def test_a_packet_has_1_to_1024_dwords(length):
    with pytest.raises(ValueError, match=f"1 to 1024 dwords, not {length}"):
        request(8, 0, Placed(RAM, 1 << 16, 0), length, 0xF, 0xF)


def test_an_endpoint_of_another_width_is_refused():
    with pytest.raises(ValueError, match="The streams of epbell_endpoint_usp256 have 256 bits, not 128"):
        WireEnv("width", 128, module=MODULE)


@pytest.mark.parametrize(
    "use",
    [
        lambda wire: wire.clock,
        lambda wire: wire.get("irq_mu"),
        lambda wire: wire.send(Kind.CQ, b""),
        lambda wire: wire.ask([]),
        lambda wire: wire.stall(1, 0),
        lambda wire: wire.run(1),
        lambda wire: wire.events(),
    ],
)
def test_what_is_closed_stays_so(use):
    with Wire(MODULE) as wire:
        pass
    with pytest.raises(ValueError, match="has been closed"):
        use(wire)
    wire.close()


def test_whatever_a_scenario_raises_is_its_verdict(monkeypatch):
    async def broken(tier, name):
        raise LookupError(f"{name} has no entry 17")

    monkeypatch.setattr(tier_scenarios, "run", broken)
    found = tier_wire.verdict("broken", 256)
    assert (found.passed, found.reason) == (False, "broken has no entry #")
