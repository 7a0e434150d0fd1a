"""Doorbell writes to the eDMA page of the endpoint, and what must come of them."""

from __future__ import annotations

from usp_packets import Request, expected_completions, write
from usp_rig import EDMA, Rig

WRITE_STATUS, READ_STATUS, WRITE_MASK, WRITE_CLEAR, READ_CLEAR = 0x4C, 0xA0, 0x54, 0x58, 0xAC
DMA_CTRL, CONTROL1 = 0x008, 0x200
LIE = 1 << 3
FINE = {"writes": 0, "reads": 0, "unsupported": 0, "discontinued": 0, "malformed": 0}


async def acknowledge(rig: Rig) -> None:
    """Clear both directions as dw_edma does, and see the line low."""
    await rig.cpu_write(EDMA + WRITE_CLEAR, 0)
    await rig.cpu_write(EDMA + READ_CLEAR, 0)
    await rig.step(6)
    assert rig.edma == 0


async def rings(rig: Rig, bar: int, offset: int, level: int = 1) -> None:
    """A write there raises the line and is accounted for."""
    rung, merged, delivered = await rig.edma_bell()
    rig.send(write(bar, offset, rig.random.getrandbits(32)))
    await rig.drain()
    assert rig.edma == level
    assert await rig.edma_bell() == (rung + 1, merged, delivered)
    await acknowledge(rig)
    assert await rig.edma_bell() == (rung + 1, merged, delivered + 1)


async def refused(rig: Rig, *requests: Request) -> None:
    """Each is refused and counted, a read answered with UR, and nothing rings."""
    before, bell, line = await rig.counters(), await rig.edma_bell(), rig.edma
    rig.send(*requests)
    reads = [request for request in requests if not request.payload]
    assert await rig.answers(len(reads)) == [expected_completions(request, None, 128)[0] for request in reads]
    await rig.drain()
    after = await rig.counters()
    assert after == before | {"writes": before["writes"] + len(requests) - len(reads),
                              "reads": before["reads"] + len(reads)}  # fmt: skip
    assert (await rig.edma_bell(), rig.edma) == (bell, line)
