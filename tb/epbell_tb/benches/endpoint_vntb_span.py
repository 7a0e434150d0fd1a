"""Scenarios of the window that has to cover the messages of all slots of the bridge."""

from unittest.mock import patch

import cocotb

from epbell_models.linux import pci_epf_vntb_doorbell
from epbell_models.linux.msi import MsiMessage
from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.vntb_env import VntbBringUp
from epbell_tb.endpoint.vntb_slots import backend_of, published

_ALLOC = "pci_epf_alloc_doorbell"
_CONFIG, _DB_OFFSET = 0, 0xB4
_PAGE = 0x1_0000
"""Bytes of side B of the Messaging Unit."""


def _spread(addresses):
    """Let slots 0, 1 and so on have their messages elsewhere than at the channels: at these addresses."""
    alloc = pci_epf_vntb_doorbell.pci_epf_alloc_doorbell

    async def moved(epf, count, said):
        error = await alloc(epf, count, said)
        for doorbell, address in zip(epf.doorbells, addresses, strict=False):
            doorbell.message = MsiMessage(address, doorbell.message.data)
        return error

    return patch.object(pci_epf_vntb_doorbell, _ALLOC, moved)


async def _boots_with(env, addresses, bar):
    """Boot with the messages of the first slots at these addresses, and the doorbells in a BAR."""
    with _spread(addresses):
        await env.boot(env.config(db_bar=bar, mw_bars=(), mw_sizes=(env.bar_sizes[4],)))
    env.near.take()


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(linux=False))
async def vntb_window_of_all_messages(env):
    """Spread the messages over 4 bytes to 64 KiB: the window covers all, or words are polled; bits 0 and 1 ring."""
    unit = env.board.map["mu_b"].base
    for bar in (number for number in (2, 5) if env.bar_sizes[number]):
        size = env.bar_sizes[bar]
        cases = [((unit,) * 2, True), ((unit + 0x20C, unit + 0x208), True)]
        cases += [((unit + last - 4, unit), last <= size) for last in (0x400, 0x1000, 0x4000, 0x8000, _PAGE)]
        # Across a power of two, from an address that is no multiple of one: what fits begins below both.
        cases += [((unit + edge, unit + 0x1FC), edge < size) for edge in (0x400, 0x1000, 0x4000, 0x8000)]
        # One word beyond the channels' own part of the BAR's size, which begins at a multiple of it.
        cases += [((unit + size, unit), False), ((unit - 4, unit), False)]
        for addresses, fits in cases:
            await _boots_with(env, addresses, bar)
            await _check(env, bar, addresses, fits)
            await env.software.stop()


async def _check(env, bar, addresses, fits):
    """See where the window is, what the host is told, and what each slot's store does: bits 0 and 1 ring by it."""
    what = f"BAR {bar}, {[hex(address) for address in addresses]}"
    assert env.vntb.backend == ("mu" if fits else "polling"), f"{what}: {env.vntb.reason}"
    size, unit = env.bar_sizes[bar], env.board.map["mu_b"].base
    told = [await env.device.read32(_CONFIG, _DB_OFFSET + 4 * slot) for slot in range(4)]
    if fits:
        channels = [unit + env.board.registers.offset[f"TR{slot}"] for slot in (2, 3)]
        assert told == [address - unit & size - 1 for address in (*addresses, *channels)], what
    else:
        assert env.vntb.reason.startswith("Doorbell BAR assign space failed"), env.vntb.reason
        assert told == [0] * 4, what
    # What was moved leads to nobody, or to a channel that is another slot's.
    bells = {unit + env.board.registers.offset[f"TR{slot}"]: slot - 2 for slot in (2, 3)}
    places = (*addresses, *bells)
    for slot in range(4):
        bit = bells.get(places[slot]) if fits else [None, None, 0, 1][slot]
        place = told[slot] if fits else 4 * slot
        await env.device.write32(bar, place, slot if fits else slot + 1)
        await (env.settle() if fits else env.tick())
        assert env.near.take() == ([] if bit is None else [bit]), f"{what}: slot {slot}"


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_messages_of_all_slots(env):
    """Four slots are four messages of the Messaging Unit, two of which ring; of the eDMA one kick, which is for all."""
    doorbells, backend = env.vntb.epf.doorbells, backend_of(env)
    assert len(doorbells) == 4
    assert len({doorbell.virq for doorbell in doorbells}) == (4 if backend == "mu" else 1)
    assert {published(env, slot, backend) for slot in range(4)} == {
        (await env.device.read32(_CONFIG, 0x34 + 4 * slot), await env.device.read32(_CONFIG, _DB_OFFSET + 4 * slot))
        for slot in range(4)
    }
    lines = {"mu": "irqs", "edma": "edma_irqs"}[backend]
    for bit in range(2):
        before = env.board.counts[lines]
        assert await env.driver.peer_db_set(1 << bit) == 0
        await env.settle()
        assert env.board.counts[lines] == before + 1, "one interrupt"
        heard = env.near.take()
        assert heard == ([bit] if backend == "mu" else [0, 1])
        env.outcome[f"bits that ringing bit {bit} tells of"] = heard
        assert env.ntb.db_read() == sum(1 << one for one in heard)
        env.ntb.db_clear(0b11)
    # Both at once: of the Messaging Unit two interrupts of one line, of the eDMA a kick or two.
    assert await env.driver.peer_db_set(0b01) == 0
    assert await env.driver.peer_db_set(0b10) == 0
    await env.settle()
    assert env.ntb.db_read() == 0b11
    assert set(env.near.take()) == {0, 1}
