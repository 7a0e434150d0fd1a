"""The scenarios that run on two tiers: see `epbell_tb.tiers`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.tiers import EDMA_BAR, MU_BAR, RAM_BAR, VECTORS, Tier

__all__ = ["PLANTED", "SCENARIOS", "each_doorbell_alone", "run"]

Scenario = Callable[[Tier], Coroutine[Any, Any, None]]

_SC, _UR = 0, 1
_WAYS = ("WRITE", "READ")
_ALONE, _ROUNDS, _BURST, _MEMORY = 24, 12, 8, 256
_TR0, _STATUS, _WRITE_STATUS, _READ_STATUS = 0x200, 0x124, 0x04C, 0x0A0
_NOTHING = 0x5F02_0000
"""A local address with nothing behind it."""


async def rings_of_each_vector(tier: Tier) -> None:
    """Each ring raises the line, its word arrives, and the line falls when it is read."""
    for vector in tier.random.sample(range(VECTORS), VECTORS):
        word = tier.random.getrandbits(32)
        await tier.ring(vector, word)
        await tier.lines(mu=True)
        assert await tier.take() == [(vector, word)], f"vector {vector} must bring its word and nothing else"
        await tier.lines()


async def vectors_at_once(tier: Tier) -> None:
    """Vectors that ring together are taken together, in the order of their numbers."""
    words = [tier.random.getrandbits(32) for _ in range(VECTORS)]
    for vector in tier.random.sample(range(VECTORS), VECTORS):
        await tier.ring(vector, words[vector])
    await tier.lines(mu=True)
    assert await tier.take() == list(enumerate(words)), "every vector must bring its own word"
    await tier.lines()


async def merged_rings(tier: Tier) -> None:
    """Of rings that nobody takes in between the last word stays, and the others are counted as merged."""
    for count in (2, 3, 17):
        words = [tier.random.getrandbits(32) for _ in range(count)]
        for word in words:
            await tier.ring(count % VECTORS, word)
        await tier.lines(mu=True)
        assert await tier.take() == [(count % VECTORS, words[-1])], "the last word must win"
    await tier.lines()


async def masked_vectors(tier: Tier) -> None:
    """Masked vectors keep their words and stay silent until they may interrupt."""
    await tier.enable(0b0101)
    await tier.ring(1, 0x1111)
    await tier.lines()
    await tier.ring(2, 0x2222)
    await tier.lines(mu=True)
    assert await tier.take() == [(1, 0x1111), (2, 0x2222)], "masked or not, the words must be there"
    await tier.ring(3, 0x3333)
    await tier.lines()
    await tier.enable(0b1000)
    await tier.lines(mu=True)
    assert await tier.take() == [(3, 0x3333)], "the word must have waited"


async def kicks(tier: Tier) -> None:
    """Each store to an INT_STATUS raises the eDMA's line, whatever the data; several are one interrupt."""
    for way in _WAYS:
        await tier.kick(way, tier.random.getrandbits(32))
        await tier.lines(edma=True)
        await tier.acknowledge()
        await tier.lines()
    for _ in range(5):
        await tier.kick(tier.random.choice(_WAYS))
    await tier.lines(edma=True)
    await tier.acknowledge()
    await tier.lines()


async def kicks_past_masks(tier: Tier) -> None:
    """Kicks are not gated by INT_MASK, need some byte enable, and end with either INT_CLEAR."""
    for way in _WAYS:
        await tier.write_edma(f"{way}_INT_MASK", 0x00FF_00FF)
    await tier.kick("WRITE", enables=0)
    await tier.lines()
    for way, enables in zip(_WAYS, (0b0001, 0b1000), strict=True):
        await tier.kick(way, enables=enables)
        await tier.lines(edma=True)
        await tier.write_edma(f"{way}_INT_CLEAR", 0)
        await tier.lines()


async def retargets(tier: Tier) -> None:
    """Each BAR shows what its window says: memory instead of doorbells, nothing, and doorbells again."""
    places = tier.board.map
    await tier.ring(0, 1)
    await tier.settle()
    await tier.aim(MU_BAR, places["ram"].base)
    await tier.ring(1, 2)
    assert (await tier.read(RAM_BAR, _TR0 + 4))[1] == (2).to_bytes(4, "little"), "the word must be in memory"
    await tier.shut(MU_BAR)
    await tier.ring(2, 3)
    assert (await tier.read(MU_BAR, 0))[0] == _UR, "nobody claims it"
    await tier.aim(MU_BAR, places["mu_b"].base)
    await tier.ring(3, 4)
    await tier.lines(mu=True)
    assert await tier.take() == [(0, 1), (3, 4)], "only what met the Messaging Unit rings"


async def doorbells_in_one_bar(tier: Tier) -> None:
    """One and the same BAR shows the doorbells of one block, then of the other."""
    places = tier.board.map
    for place, offset in (("edma", _WRITE_STATUS), ("mu_b", _TR0), ("edma", _READ_STATUS)):
        await tier.aim(RAM_BAR, places[place].base)
        await tier.write(RAM_BAR, offset, bytes(4))
        await tier.lines(mu=place == "mu_b", edma=place == "edma")
        await tier.take()
        await tier.acknowledge()
        await tier.lines()


async def parts_of_words(tier: Tier) -> None:
    """Less than a word rings nothing; in memory exactly the enabled bytes change."""
    await tier.write(RAM_BAR, 0x40, bytes(range(0x80, 0xC0)))
    for enables in range(16):
        await tier.write(MU_BAR, _TR0 + 4 * (enables % VECTORS), b"\x5a\x5a\x5a\x5a", enables=enables)
        await tier.write(RAM_BAR, 0x40 + 4 * enables, b"\x11\x22\x33\x44", enables=enables)
    await tier.lines(mu=True)
    assert await tier.take() == [(3, 0x5A5A5A5A)], "only the whole word rings"
    await tier.lines()
    _, data = await tier.read(RAM_BAR, 0x40, 64)
    for index, byte in enumerate(data):
        enables, lane = divmod(index, 4)
        assert byte == (0x11 * (lane + 1) if enables >> lane & 1 else 0x80 + index), f"byte {index} is {byte:#x}"


async def payloads(tier: Tier) -> None:
    """Payloads of every size up to the maximum, reads of any start and length: what was written is read."""
    known = bytearray(1024)
    await tier.aim(RAM_BAR, tier.board.map["ram"].base)
    for start in range(0, len(known), 128):
        await tier.write(RAM_BAR, start, bytes(128))
    for dwords in tier.random.sample(range(1, 33), 10):
        start = 4 * tier.random.randrange(0, 33 - dwords) + 128 * tier.random.randrange(8)
        data = tier.random.randbytes(4 * dwords)
        known[start : start + len(data)] = data
        await tier.write(RAM_BAR, start, data)
    for _ in range(12):
        start = tier.random.randrange(len(known) - 300)
        length = tier.random.randrange(1, 300)
        found = await tier.read(RAM_BAR, start, length)
        assert found == (_SC, bytes(known[start : start + length])), f"{length} bytes at {start:#x}"


async def refusals(tier: Tier) -> None:
    """Where the host may not go reads get Unsupported Request and writes are dropped; the next good ring rings."""
    places = tier.board.map
    for local in (places["mu_a"].base, places["controller"].base, places["iatu"].base, _NOTHING):
        await tier.aim(RAM_BAR, local)
        await tier.write(RAM_BAR, 0x10, b"\xff\xff\xff\xff")
        assert (await tier.read(RAM_BAR, 0x10))[0] == _UR, f"the host must be kept out of {local:#x}"
    assert (await tier.read(EDMA_BAR, 0x58))[0] == _UR, "only the doorbell words are shown"
    assert (await tier.read(0, 0))[0] == _UR, "no window is aimed"
    await tier.write(MU_BAR, _TR0, bytes(20))
    await tier.lines()
    await tier.ring(1, 7)
    await tier.lines(mu=True)
    assert await tier.take() == [(1, 7)], "a good ring must ring after all this"


async def poisoned_writes(tier: Tier) -> None:
    """Poisoned stores ring nothing and are counted; the good ones after them ring."""
    await tier.write(MU_BAR, _TR0, bytes(4), poisoned=True)
    await tier.write(EDMA_BAR, _WRITE_STATUS, bytes(4), poisoned=True)
    await tier.lines()
    await tier.ring(0, 5)
    await tier.kick("READ")
    await tier.lines(mu=True, edma=True)
    await tier.take()
    await tier.acknowledge()
    await tier.lines()


async def way_to_the_host(tier: Tier) -> None:
    """Through its window the CPU reaches the host's memory; what was not granted is refused, and the CPU is told."""
    target = tier.memory.allocate(0x1000, alignment=0x1000)
    local = await tier.reach(target, 0x2000)
    words = [tier.random.getrandbits(32) for _ in range(6)]
    for number, word in enumerate(words):
        await tier.cpu.write32(local + 4 * number, word)
    await tier.settle()
    found = tier.memory.peek(target, 4 * len(words))
    assert found == b"".join(word.to_bytes(4, "little") for word in words), "what the CPU wrote must be there"
    tier.memory.poke(target + 0x80, b"\xaa\xbb\xcc\xdd")
    assert await tier.cpu.read32(local + 0x80) == 0xDDCCBBAA, "the CPU must read the host's memory"
    for number, cause in enumerate((Cause.UNSUPPORTED, Cause.ABORTED, Cause.POISONED)):
        tier.memory.fail(target + 0x100 + 4 * number, cause)
    for offset in (0x100, 0x104, 0x108, 0x1000, 0x2000):
        try:
            await tier.cpu.read32(local + offset)
        except BusError as error:
            tier.saw.append(["refused", offset, error.status])
    assert len(tier.saw) == 5, "every one of these reads must fail"
    assert await tier.cpu.read32(local + 0x80) == 0xDDCCBBAA, "a good read must succeed after them"
    await tier.ring(2, 1)
    await tier.lines(mu=True)
    await tier.take()


async def random_traffic(tier: Tier) -> None:
    """Bursts of whatever the host can do, then the handlers: each burst is taken whole."""
    for start in range(0, _MEMORY, 128):
        await tier.write(RAM_BAR, start, bytes(128))
    for _ in range(_ROUNDS):
        last: dict[int, int] = {}
        kicked = False
        for _ in range(tier.random.randrange(1, _BURST)):
            choice = tier.random.randrange(6)
            vector, word = tier.random.randrange(VECTORS), tier.random.getrandbits(32)
            if choice < 3:
                await tier.ring(vector, word)
                last[vector] = word
            elif choice == 3:
                await tier.kick(tier.random.choice(_WAYS), word)
                kicked = True
            elif choice == 4:
                await tier.write(RAM_BAR, 4 * tier.random.randrange(_MEMORY // 4), word.to_bytes(4, "little"))
            else:
                await tier.read(RAM_BAR, 4 * vector, 4)
        await tier.lines(mu=bool(last), edma=kicked)
        if last:
            assert await tier.take() == sorted(last.items()), "the last word of each vector must be there"
        await tier.acknowledge()
        await tier.lines()
    await tier.read(RAM_BAR, 0, _MEMORY)


async def each_doorbell_alone(tier: Tier) -> None:
    """Rings of both kinds, each taken before the next: none is merged. The metal tier has this scenario, too."""
    for number in range(_ALONE):
        if number % 2:
            await tier.kick(_WAYS[number // 2 % 2])
            await tier.lines(edma=True)
            await tier.acknowledge()
        else:
            await tier.ring(number // 2 % VECTORS, number)
            await tier.lines(mu=True)
            await tier.take()
        await tier.lines()


async def a_word_that_nobody_sent(tier: Tier) -> None:
    """Planted: the scenario expects another word than it rings."""
    await tier.ring(1, 0x1234)
    await tier.lines(mu=True)
    assert await tier.take() == [(1, 0x1235)], "the planted word must be missed"


async def a_line_that_nobody_raised(tier: Tier) -> None:
    """Planted: the scenario expects an interrupt of a masked vector."""
    await tier.enable(0)
    await tier.ring(0, 1)
    await tier.lines(mu=True)


async def an_end_without_reads(tier: Tier) -> None:
    """Planted: the host never reads, so that no completion has been checked."""
    await tier.ring(0, 1)
    await tier.lines(mu=True)
    await tier.take()


def _by_name(*scenarios: Scenario) -> dict[str, Scenario]:
    return {scenario.__name__: scenario for scenario in scenarios}


SCENARIOS: dict[str, Scenario] = _by_name(
    rings_of_each_vector, vectors_at_once, merged_rings, masked_vectors, kicks, kicks_past_masks, retargets,
    doorbells_in_one_bar, parts_of_words, payloads, refusals, poisoned_writes, way_to_the_host, random_traffic,
    each_doorbell_alone,
)  # fmt: skip
"""Those that must pass, by name."""

PLANTED: dict[str, Scenario] = _by_name(a_word_that_nobody_sent, a_line_that_nobody_raised, an_end_without_reads)
"""Those that must fail, on each tier for the same reason."""


async def run(tier: Tier, name: str) -> None:
    """Run a scenario. The good ones end with a read of the host, since one that checks no completion has failed."""
    await tier.start()
    await {**SCENARIOS, **PLANTED}[name](tier)
    if name in SCENARIOS:
        await tier.settle()
        await tier.read(MU_BAR, _STATUS)
