"""After a random run: everything at rest, then one good access of each kind, and every byte that is known."""

from __future__ import annotations

from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.host_vectors import TABLE
from epbell_tb.endpoint.windows import Window
from epbell_tb.traffic import operations as ops
from epbell_tb.traffic.ground import GRANULE, HOST_PAGES, VECTORS, Ground
from epbell_tb.traffic.player import Player

__all__ = ["check"]

_QUIET = 600
"""Clocks after which what was pending has been sent."""
_SOON = 400
"""Clocks within which a doorbell or an interrupt comes when nothing else goes on."""
_ENTRY, _PBA = 16, 8


async def check(env: EndpointEnv, player: Player, ground: Ground) -> None:
    """See that everything works, with the host allowing all of it; ends with nothing pending."""
    config, cpu = player.config, player.cpu
    env.block.set_max_payload(env.memory.max_payload)
    await _vectors(env, player, ground)
    await cpu.set_up()
    await config.set_up()
    await env.clocks(_QUIET)
    await cpu.quieten()
    await env.clocks(_QUIET)
    await _doorbells(env, player, ground)
    await _memory(env, ground)
    await _to_host(env, player)
    await _interrupts(env, player, ground)
    await _every_byte(env, ground)


async def _vectors(env: EndpointEnv, player: Player, ground: Ground) -> None:
    """See that every MSI-X vector that was raised arrives, now that nothing holds it back, and none is pending then."""
    await player.cpu.set_windows()
    await player.config.set_up()
    await player.config.switch_msix(ops.Msix(0, True, False))
    await env.clocks(2 * _QUIET)
    env.board.to_host.check_vectors(await env.counters.read("MSIX_MERGED"))
    await _check_pending(env, ground, 0)


async def _doorbells(env: EndpointEnv, player: Player, ground: Ground) -> None:
    bar, registers = ground.bell_bar, env.board.registers
    assert not env.irq_mu.level(), "irq_mu is high, and every word has been taken"
    for vector in range(4):
        word = env.random.getrandbits(32)
        await env.device.write32(bar, registers.offset[f"TR{vector}"], word)
        await env.until(env.irq_mu.level, f"vector {vector} interrupts", _SOON)
        got = await player.cpu.take(vector)
        assert got == word, f"vector {vector} brings {got:#x}, not {word:#x}"
        await env.until(lambda: not env.irq_mu.level(), "irq_mu falls", _SOON)
    for which, offset in enumerate(ground.words):
        line = env.irq_edma[0]
        assert not line.level(), "irq_edma is high, and everything has been cleared"
        assert ground.kick_bar is not None
        await env.device.write32(ground.kick_bar, offset, env.random.getrandbits(32))
        await env.until(line.level, f"word {which} of the eDMA interrupts", _SOON)
        await player.cpu.clear(which)
        await env.until(lambda line=line: not line.level(), "irq_edma falls", _SOON)


async def _memory(env: EndpointEnv, ground: Ground) -> None:
    for bar in ground.bars:
        if ground.filled(bar) is None:
            continue
        data = env.random.randbytes(96)
        await env.device.write(bar, GRANULE + 20, data)
        assert await env.device.read(bar, GRANULE + 20, len(data)) == data, f"BAR {bar} is no memory any more"


async def _to_host(env: EndpointEnv, player: Player) -> None:
    for slot, page in enumerate(HOST_PAGES[: env.tree.endpoint.outbound_windows]):
        data = env.random.randbytes(24)
        await env.cpu.write(player.cpu.aperture(slot, 0x40), data)
        assert await env.cpu.read(player.cpu.aperture(slot, 0x40), len(data)) == data
        assert env.to_host.memory.peek(page + 0x40, len(data)) == data


async def _interrupts(env: EndpointEnv, player: Player, ground: Ground) -> None:
    config, counters = player.config, env.counters
    merged = await counters.read("MSIX_MERGED")
    for vector in (0, env.random.randrange(1, 31), 31):
        before = config.msis[vector]
        await counters.write("MSI_RAISE", vector)
        await env.until(lambda v=vector, b=before: config.msis[v] == b + 1, f"MSI {vector} arrives", _SOON)
    await _pending(env, player, ground)
    for vector in (0, env.random.randrange(1, VECTORS - 1), VECTORS - 1):
        before = config.msix[vector]
        await counters.write("MSIX_RAISE", vector)
        await env.until(lambda v=vector, b=before: config.msix[v] == b + 1, f"MSI-X {vector} arrives", _SOON)
    await config.switch_msix(ops.Msix(0, False, False))
    await config.command(ops.Command(0, True, True, False))
    line = env.to_host.intx
    await env.clocks(_QUIET)
    for level in (True, False):
        await counters.write("INTX", int(level))
        await env.until(lambda level=level: line.level() == level, f"INTA is {level}", _SOON)
    env.board.counts["msix_merged"] = await counters.read("MSIX_MERGED") - merged


async def _pending(env: EndpointEnv, player: Player, ground: Ground) -> None:
    """Raise vectors while MSI-X is off: the host sees them pending, and no other one; on, all of them arrive."""
    config = player.config
    before, due = list(config.msix), env.random.sample(range(VECTORS), 5)
    for vector in due:
        await env.counters.write("MSIX_RAISE", vector)
    await env.cpu.write(ground.map["ram"].base + ground.areas[0], b"\x5a")  # its strobes are not the engine's
    await env.clocks(_QUIET)
    await _check_pending(env, ground, sum(1 << vector for vector in due))
    await config.switch_msix(ops.Msix(0, True, False))
    await env.clocks(_QUIET)
    await _check_pending(env, ground, 0)
    came = [after - earlier for after, earlier in zip(config.msix, before, strict=True)]
    assert came == [int(vector in due) for vector in range(VECTORS)], f"of {due}, MSI-X messages came {came}"


async def _check_pending(env: EndpointEnv, ground: Ground, want: int) -> None:
    """Read the pending bits as the host, and compare."""
    at = env.address(ground.table_bar, TABLE + _ENTRY * VECTORS)
    bits = int.from_bytes(await env.memory.read(at, _PBA), "little")
    assert bits == want, f"pending MSI-X vectors are {bits:#x}, not {want:#x}"


async def _every_byte(env: EndpointEnv, ground: Ground) -> None:
    """Read each page of the RAM of which something is known; the scoreboard compares."""
    bar = max((bar for bar in ground.bars if bar != ground.fixed_bar), key=lambda bar: ground.sizes[bar])
    size, ram = ground.sizes[bar], ground.map["ram"]
    window = Window(env, ground.start_window(bar) or 0)
    before = None
    for page in env.board.ram.known_pages(GRANULE):
        if page // size != before:
            before = page // size
            await window.bar(bar, ram.base + before * size)
        await env.memory.read(env.address(bar, page % size), GRANULE)
