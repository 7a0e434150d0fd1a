"""What a host can and cannot reach: the table of docs/endpoint.md, the reference model and the RTL, place by place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from usp_packets import BAR_BASE, MEM_WRITE, Request, read
from usp_rig import CONTROLLER, EDMA, IATU, MU_A, MU_B, RAM, TR, Rig

from epbell.bar import Bar
from epbell.edma import EdmaShape
from epbell_models.reference.address_map import DEFAULT_MAP, AddressMap, Place
from epbell_models.reference.edma import EdmaPage
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.iatu import Refusal
from epbell_models.reference.outcome import Refused

DOC = Path(__file__).parents[2] / "docs" / "endpoint.md"
FIXED = 4
SIZES = (1 << 30, 0, 0, 0, 128 << 10, 0)
"""One window shows everything that there is; BAR 4 shows the eDMA."""
STARTS = tuple(-base % size if size else 0 for base, size in zip(BAR_BASE, SIZES, strict=False))
"""What to add to the address of a BAR in these packets for one that is aligned to the size that it has here."""
FIRST = 0x4000_0000
RAM_SIZE = 4096
APERTURE = 0x7000_0000
PAGE = 0x1_0000
WORDS = {"unroll": (0x04C, 0x0A0), "legacy": (0x9BC, 0xA10), "hdma": ()}
AROUND = {"unroll": (0x054, 0x058, 0x0A8, 0x0AC), "legacy": (0x04C, 0x0A0, 0xA1C), "hdma": (0x04C, 0x084, 0x08C, 0x0A0)}
"""Words of the eDMA that are something else: masks, INT_CLEAR, where another personality has its doorbells."""


def table() -> dict[str, tuple[str, str]]:
    """The rows of the table: what, with and without guard."""
    section = DOC.read_text(encoding="utf-8").split("\n## The guard\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {what: (guarded, bare) for what, guarded, bare in rows}


TABLE = table()


@dataclass(frozen=True)
class Probe:
    """A dword, and what the table says of it."""

    row: str
    bar: int
    offset: int
    cell: str
    word: bool = False  # a doorbell word of the eDMA

    @property
    def single(self) -> bool:
        """Whether a request for this dword alone is done."""
        return self.cell.startswith("all") or (self.word and "INT_STATUS" in self.cell)

    def pair(self, length: int) -> bool:
        """Whether one for more is."""
        return self.cell.startswith("all") and self.offset % 4096 + 4 * length <= 4096


def probes(personality: str, guard: bool) -> list[Probe]:
    """Every place, with its first and its last dword and whatever is particular."""
    words = WORDS[personality]
    neighbours = {word + step for word in words for step in (-4, 4)}
    edma_row = f'eDMA, `"{personality}"`'
    edma = sorted({0, PAGE - 4, *words, *neighbours, *AROUND[personality]})
    places = {
        "RAM": (RAM, (0, 0x200, RAM_SIZE - 4)),
        "MU side B": (MU_B, (0, TR, 0x7F8, PAGE - 4)),
        "MU side A": (MU_A, (0, 0x128, TR, PAGE - 4)),
        "controller": (CONTROLLER, (0, 0x10, 0x20, PAGE - 4)),
        "iATU": (IATU, (0x100, 0x104, 0x004, PAGE - 4)),
        "the CPU's aperture": (APERTURE, (0, TR, 0xFFF_FFFC)),
        "elsewhere, other functions": (FIRST, [page - FIRST + k for page in (MU_A, MU_B, EDMA, RAM) for k in (-4,)]),
        edma_row: (EDMA, edma),
    }
    found = [
        Probe(row, 0, base - FIRST + offset, TABLE[row][not guard], base == EDMA and offset in words)
        for row, (base, offsets) in places.items()
        for offset in offsets
    ]
    ends = [base + PAGE for base in (MU_A, MU_B, CONTROLLER, EDMA, IATU)] + [RAM + RAM_SIZE]
    row = "elsewhere, other functions"
    found += [Probe(row, 0, end - FIRST, TABLE[row][not guard]) for end in ends]
    shown = TABLE[edma_row][not guard]
    assert TABLE["fixed BAR, the first 64 KiB"] == ("as the eDMA behind a window",) * 2
    found += [Probe("fixed BAR", FIXED, offset, shown, offset in words) for offset in edma]
    rest = TABLE["fixed BAR, the rest"][not guard]
    return found + [Probe("fixed BAR", FIXED, PAGE + offset, rest) for offset in (0, *words, PAGE - 4)]


def reference(personality: str, guard: bool) -> ReferenceEndpoint:
    small = tuple(
        Place("ram", RAM, RAM_SIZE, True) if place.name == "ram" else place for place in DEFAULT_MAP.places
    )
    endpoint = ReferenceEndpoint(
        SIZES, windows=1, guard=guard, map=AddressMap(small), edma=EdmaPage(personality), fixed_bar=FIXED
    )
    for register, value in ((0x14, FIRST), (0x04, 3 << 30)):
        endpoint.cpu_write32(IATU + 0x100 + register, value)
    return endpoint


def requests_of(probe: Probe) -> list[tuple[Request, bool]]:
    """Requests for a dword, none of which changes anything but RAM, and whether each is done."""
    bar, offset = probe.bar, STARTS[probe.bar] + probe.offset
    return [
        (Request(MEM_WRITE, bar, offset, 1, first_be=0, payload=(0,)), probe.single),
        (Request(MEM_WRITE, bar, offset, 5, payload=(1, 2, 3, 4, 5)), probe.row == "RAM" and probe.pair(5)),
        (read(bar, offset), probe.single),
        (read(bar, offset, 2), probe.pair(2)),
        (read(bar, offset, function=1), False),
    ]


def predicted(endpoint: ReferenceEndpoint, request: Request) -> bool:
    """Whether the reference model does it."""
    length, offset = 4 * request.length, request.offset - STARTS[request.bar]
    if not request.payload:
        answer = endpoint.host_read(request.bar, offset, length, request.function)
        return not isinstance(answer, Refusal)
    enables = sum(be << 4 * dword for dword, be in enumerate(request.enables))
    outcomes = endpoint.predict_write(request.bar, offset, bytes(length), enables, request.function)
    return not any(isinstance(outcome, Refused) for outcome in outcomes)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("personality", WORDS)
def test_the_reference_does_as_the_table_says(personality: str, guard: bool) -> None:
    endpoint = reference(personality, guard)
    for probe in probes(personality, guard):
        for request, wanted in requests_of(probe):
            assert predicted(endpoint, request) == wanted, (probe, request)


@pytest.mark.parametrize(
    ("personality", "guard", "width"),
    [
        ("unroll", True, 64),
        ("unroll", False, 128),
        ("legacy", True, 128),
        pytest.param("hdma", True, 64, marks=pytest.mark.long),
        pytest.param("legacy", False, 256, marks=pytest.mark.long),
        pytest.param("hdma", False, 512, marks=pytest.mark.long),
    ],
)
def test_the_endpoint_does_as_the_table_says(personality: str, guard: bool, width: int) -> None:
    """Every write is done or counted, every read answered with data or with Unsupported Request."""
    wanted = [pair for probe in probes(personality, guard) for pair in requests_of(probe)]
    asked = [(request, done) for request, done in wanted if not request.payload]

    async def bench(rig: Rig) -> None:
        await rig.map(0, 0, FIRST)
        before = await rig.counters()
        rig.send(*(request for request, _ in wanted))
        for (request, done), answer in zip(asked, await rig.answers(len(asked)), strict=True):
            assert (answer.status == 0) == done, f"{request.length} dwords at {request.bar}:{request.offset:#x}"
            assert answer.length == (request.length if done else 0)
        await rig.drain()
        refused = sum(not done for request, done in wanted if request.payload)
        assert (await rig.counters())["writes"] - before["writes"] == refused
        assert not rig.edma_rises
        assert not rig.irq_rises

    bars = tuple(Bar(size) if size else None for size in SIZES)
    shape = EdmaShape(personality)
    Rig(width, bars=bars, windows=1, ram_size=RAM_SIZE, edma=shape, guard=guard, fixed_bar=FIXED).run(bench)


def test_the_table_is_complete() -> None:
    """There is a row for every place that the address map knows, and for every personality."""
    rows = " ".join(TABLE)
    names = {"mu_a": "MU side A", "mu_b": "MU side B", "ram": "RAM", "edma": "eDMA", "iatu": "iATU"}
    for place in DEFAULT_MAP.places:
        assert names.get(place.name, place.name) in rows
    for personality in WORDS:
        assert f'`"{personality}"`' in rows
    cells = [cell for row in TABLE.values() for cell in row]
    assert all(cell.startswith(("all", "nothing", "WRITE_INT_STATUS", "as the eDMA")) for cell in cells)
    for personality, words in WORDS.items():
        guarded, _ = TABLE[f'eDMA, `"{personality}"`']
        assert all(f"0x{word:03x}" in guarded for word in words)
