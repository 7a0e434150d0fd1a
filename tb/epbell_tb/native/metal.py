"""The metal tier: the endpoint at nearly the speed that its RTL has by itself, driven in batches.

Host, CPU and scoreboard are C++ (``metal.cpp``), called once per clock; Python writes batches of operations and reads
what has been counted. What it exercises: the pins of CQ, CC and of the CPU's bus, windows, doorbells of both kinds,
both interrupt lines. What it does not: a link, enumeration, RQ and RC, interrupts of the host.
"""

from __future__ import annotations

import ctypes
import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from epbell.address_map import AddressMap
from epbell_regs import offsets
from epbell_tb import runner
from epbell_tb.native.build import library
from epbell_tb.window_writes import bar_window

__all__ = ["Counts", "Metal", "rings"]

_MU_BAR, _EDMA_BAR = 1, 2
_BASES = {_MU_BAR: 0x8000_4000, _EDMA_BAR: 0x8000_8000}
_VECTORS = 4
_ENABLE, _BAR_MATCH = 1 << 31, 1 << 30
_SILENT = ("READS_REFUSED", "UNSUPPORTED", "DISCONTINUED", "MALFORMED")
_WORD = ctypes.c_uint32


class _Setup(ctypes.Structure):
    _fields_ = (
        *((name, _WORD) for name in ("mu_bar", "mu_bar_base", "edma_bar", "edma_bar_base")),
        *(("tr", _WORD * 4), ("rr", _WORD * 4), ("rsr", _WORD), ("edma_bell", _WORD * 2), ("edma_clear", _WORD * 2)),
        *(("mu_aim", _WORD * 2), ("edma_aim", _WORD * 2)),
        *((name, _WORD) for name in ("mu_home", "edma_home", "nowhere", "mu_ctrl2", "edma_ctrl2")),
        *((name, _WORD * 4) for name in ("rung", "merged", "delivered")),
        *((name, _WORD) for name in ("edma_rung", "edma_merged", "edma_delivered", "refused")),
        ("silent", _WORD * 4),
        *((name, _WORD) for name in ("read_offset", "seed", "ack_delay", "aim_every", "away_for")),
    )


_COUNTS = (
    *("clocks", "requests", "reads", "rung", "kicked", "refused", "delivered", "acknowledged", "merged"),
    *("edma_merged", "interrupts", "edma_interrupts", "retargets", "moving", "lost", "invented", "late", "wrong"),
)


class _Counts(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _COUNTS)


@dataclass(frozen=True)
class Counts:
    """What has been counted since the beginning.

    Attributes
    ----------
    clocks, requests, reads : int
        Clocks of the endpoint; requests that it accepted; completions of reads.
    rung, kicked, refused : int
        Rings that reached the Messaging Unit and the eDMA, and those that met a window aimed at nothing.
    delivered, acknowledged : int
        Words that the CPU took; eDMA doorbells that it acknowledged.
    merged, edma_merged : int
        Rings that another one followed before the CPU came.
    interrupts, edma_interrupts : int
        Rising edges of ``irq_mu`` and ``irq_edma``.
    retargets, moving : int
        How often a window was re-targeted; rings that were on their way meanwhile.
    lost, invented : int
        Rings that no target has seen; rings and words that nobody has sent.
    late, wrong : int
        Interrupt lines that did not follow in time; anything else that differs.
    complaint : str
        The first thing that went wrong, or an empty text.
    """

    clocks: int
    requests: int
    reads: int
    rung: int
    kicked: int
    refused: int
    delivered: int
    acknowledged: int
    merged: int
    edma_merged: int
    interrupts: int
    edma_interrupts: int
    retargets: int
    moving: int
    lost: int
    invented: int
    late: int
    wrong: int
    complaint: str

    @property
    def good(self) -> bool:
        """Whether nothing was lost, invented, late or otherwise wrong."""
        return not (self.lost or self.invented or self.late or self.wrong or self.complaint)


class Metal:
    """An endpoint with BAR 1 on the Messaging Unit, its four vectors enabled, and BAR 2 on the eDMA's doorbell words.

    Parameters
    ----------
    width : int
        Width of the streams in bits: 64, 128, 256 or 512.
    seed : int
        Of the CPU's delays.
    ack_delay : int
        Most clocks from an interrupt to its handler; each has a random number of them.
    aim_every, away_for : int
        A window is aimed at nothing after so many rings to it, and back after so many more; 0: never.
    lose : int
        A planted defect: one in so many rings is swallowed before it reaches the endpoint.
    say : callable, optional
        Told in a sentence when a compilation starts.

    Raises
    ------
    ValueError
        If there is no endpoint of this width.
    epbell_tb.runner.SimulationError
        If it cannot be compiled, or its clock does not run.
    """

    def __init__(
        self,
        width: int = 256,
        *,
        seed: int = 1,
        ack_delay: int = 0,
        aim_every: int = 0,
        away_for: int = 50,
        lose: int = 0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        path = library(f"epbell_endpoint_usp{width}", lose=lose, say=say)
        self._library = ctypes.CDLL(str(path))
        self._library.metal_new.restype = ctypes.c_void_p
        self._library.metal_complaint.restype = ctypes.c_char_p
        setup = _setup(seed, ack_delay, aim_every, away_for)
        self._metal = ctypes.c_void_p(self._library.metal_new(ctypes.byref(setup)))
        if not self._metal:
            raise runner.SimulationError(f"the clock of {path} does not run")
        self._write(_bring_up(setup))

    def close(self) -> None:
        """End the simulation."""
        if self._metal:
            self._library.metal_free(self._metal)
            self._metal = ctypes.c_void_p()

    def __enter__(self) -> Metal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, batch: array[int]) -> Counts:
        """Run a batch of operations, see `rings`, until everything is quiet, and compare all counters.

        Raises
        ------
        epbell_tb.runner.SimulationError
            If the endpoint has stopped answering.
        """
        address, length = batch.buffer_info()
        self._check(self._library.metal_run(self._metal, ctypes.c_void_p(address), ctypes.c_uint64(length)))
        return self.counts()

    def idle(self, clocks: int) -> None:
        """Let clocks pass in which nothing happens."""
        self._check(self._library.metal_idle(self._metal, ctypes.c_uint64(clocks)))

    def alone(self, clocks: int, *, ring: bool) -> None:
        """Let clocks pass in which the RTL is all that runs: the limit of its speed. No counts are good afterwards.

        Parameters
        ----------
        clocks : int
            How many, up to 2**32 - 1.
        ring : bool
            Ring in each of them; on streams where a ring is one beat, of 256 and 512 bits.
        """
        self._check(self._library.metal_alone(self._metal, ctypes.c_uint64(clocks), ring))

    def counts(self) -> Counts:
        """Return what has been counted so far."""
        found = _Counts()
        self._library.metal_counts(self._metal, ctypes.byref(found))
        complaint = self._library.metal_complaint(self._metal).decode()
        return Counts(**{name: getattr(found, name) for name in _COUNTS}, complaint=complaint)

    def _write(self, pairs: Sequence[tuple[int, int]]) -> None:
        words = array("I", [word for pair in pairs for word in pair])
        address, _ = words.buffer_info()
        self._check(self._library.metal_write(self._metal, ctypes.c_void_p(address), ctypes.c_uint64(len(pairs))))

    def _check(self, status: int) -> None:
        if status:
            raise runner.SimulationError(f"the endpoint has stopped: {self.counts().complaint}")


def rings(count: int, *, seed: int = 1, gap: int = 0, edma: bool = True, reads: bool = False) -> array[int]:
    """Return a batch of rings of random doorbells.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        The same seed gives the same batch.
    gap : int
        Most clocks between two of them, a power of two minus one; half of the rings follow at once.
    edma : bool
        Ring the eDMA, too, not only the Messaging Unit.
    reads : bool
        Read instead; each read waits for its data.

    Raises
    ------
    ValueError
        If `gap` is no power of two minus one, or larger than 255.
    """
    if gap & (gap + 1) or not 0 <= gap <= 255:
        raise ValueError(f"The longest gap must be a power of two minus one, up to 255, not {gap!r}")
    source = random.Random(seed)
    batch = array("I", bytes(4 * count))
    if reads:
        batch[:] = array("I", [8]) * count
        return batch
    # Four bytes for each: the doorbell, a gap, and two that stay zero. The masks go over the whole batch at once.
    noise = int.from_bytes(source.randbytes(4 * count), "little")
    pauses = int.from_bytes(source.randbytes(4 * count), "little") & _repeat(1 << 8, count)
    wanted = _repeat(7 if edma else 3, count) | pauses * gap
    batch = array("I")
    batch.frombytes((noise & wanted).to_bytes(4 * count, "little"))
    return batch


def _repeat(word: int, count: int) -> int:
    return int.from_bytes(word.to_bytes(4, "little") * count, "little")


def _setup(seed: int, ack_delay: int, aim_every: int, away_for: int) -> _Setup:
    addresses = AddressMap()
    mu, edma, iatu, page = (offsets(name) for name in ("mu_imx8ulp", "edma", "iatu", "controller"))
    counter = {name: addresses.controller + offset for name, offset in page.items()}
    four = _WORD * 4
    two = _WORD * 2
    return _Setup(
        mu_bar=_MU_BAR, mu_bar_base=_BASES[_MU_BAR], edma_bar=_EDMA_BAR, edma_bar_base=_BASES[_EDMA_BAR],
        tr=four(*(mu[f"TR{n}"] for n in range(_VECTORS))),
        rr=four(*(addresses.mu_a + mu[f"RR{n}"] for n in range(_VECTORS))),
        rsr=addresses.mu_a + mu["RSR"],
        edma_bell=two(edma["WRITE_INT_STATUS"], edma["READ_INT_STATUS"]),
        edma_clear=two(addresses.edma + edma["WRITE_INT_CLEAR"], addresses.edma + edma["READ_INT_CLEAR"]),
        mu_aim=two(*(addresses.iatu + iatu[f"IB0_{name}"] for name in ("LOWER_TARGET", "CTRL2"))),
        edma_aim=two(*(addresses.iatu + iatu[f"IB1_{name}"] for name in ("LOWER_TARGET", "CTRL2"))),
        mu_home=addresses.mu_b, edma_home=addresses.edma, nowhere=addresses.controller,
        mu_ctrl2=_ENABLE | _BAR_MATCH | _MU_BAR << 8, edma_ctrl2=_ENABLE | _BAR_MATCH | _EDMA_BAR << 8,
        rung=four(*(counter[f"BELL{n}_RUNG"] for n in range(_VECTORS))),
        merged=four(*(counter[f"BELL{n}_MERGED"] for n in range(_VECTORS))),
        delivered=four(*(counter[f"BELL{n}_DELIVERED"] for n in range(_VECTORS))),
        edma_rung=counter["EDMA_RUNG"], edma_merged=counter["EDMA_MERGED"], edma_delivered=counter["EDMA_DELIVERED"],
        refused=counter["WRITES_REFUSED"], silent=four(*(counter[name] for name in _SILENT)),
        read_offset=mu["TSR"], seed=seed, ack_delay=ack_delay, aim_every=aim_every, away_for=away_for,
    )  # fmt: skip


def _bring_up(setup: _Setup) -> list[tuple[int, int]]:
    addresses, mu = AddressMap(), offsets("mu_imx8ulp")
    writes = [
        *bar_window(addresses.iatu, 0, setup.mu_bar, setup.mu_home),
        *bar_window(addresses.iatu, 1, setup.edma_bar, setup.edma_home),
    ]
    writes.append((addresses.mu_a + mu["RCR"], (1 << _VECTORS) - 1))
    return writes
