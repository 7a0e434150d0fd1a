"""The quick coroutines of the streams beside the stock ones: the same stimuli, the same pins in every clock."""

from random import Random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb_bus.bus import Bus
from cocotbext.pcie.xilinx.us.interface import UsPcieSink, UsPcieSource, UsPcieTransaction

from epbell_tb.endpoint import streams
from epbell_tb.endpoint.sampling import sampler

PAYLOAD = ("tdata", "tkeep", "tlast", "tuser")
WIDTHS = (64, 2, 1, 60)
BEATS = 300


def beats(rng):
    for _ in range(BEATS):
        yield {name: rng.getrandbits(width) for name, width in zip(PAYLOAD, WIDTHS, strict=True)}


class Source(UsPcieSource):
    """Sends beats, with pauses between some of them."""

    async def _run(self):
        rng = Random("beats")
        for beat in beats(rng):
            await self._drive(UsPcieTransaction(**beat))
            for _ in range(rng.choice([0, 0, 0, 3, 9])):
                await RisingEdge(self.clock)


class Sink(UsPcieSink):
    """Keeps the beats; full with two that nobody has fetched."""

    async def _run(self):
        self.queue_occupancy_limit_frames = 1
        self.taken = []
        while True:
            while not self.sample_obj:
                self.sample_sync.clear()
                await self.sample_sync.wait()
            sample, self.sample_obj = self.sample_obj, None
            self.taken.append({name: int(getattr(sample, name)) for name in PAYLOAD})
            self._sink_frame([0])


class QuickSource(Source):
    discontinue_offset = WIDTHS[PAYLOAD.index("tuser")]  # beyond it: the beats are random bits, and all of them stay
    _run_source = streams._send_beats
    set_pause_generator = streams._set_pauses


class QuickSink(Sink):
    _run_sink = streams._take_beats
    set_pause_generator = streams._set_pauses


def pair(dut, kind, quick, stock):
    """Return both, the quick one first."""
    return [
        make(Bus(dut, f"{name}_{kind}", [*PAYLOAD, "tvalid", "tready"]), dut.clk, dut.rst)
        for name, make in (("quick", quick), ("stock", stock))
    ]


async def begin(dut):
    Clock(dut.clk, 4, unit="ns").start()
    dut.rst.value = 1
    await RisingEdge(dut.clk)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sources(dut):
    await begin(dut)
    both, rng, sent, valid_in_reset = pair(dut, "source", QuickSource, Source), Random(1), 0, 0
    for bus in (source.bus for source in both):
        bus.tready.value = 0
    pins = [getattr(both[0].bus, name) for name in ("tvalid", "tready", *PAYLOAD)]
    samplers = [sampler(pin) for pin in pins]
    for clock in range(20 * BEATS):
        await FallingEdge(dut.clk)
        assert [sample() for sample in samplers] == [int(pin.value) for pin in pins]
        quick, stock = [
            tuple(int(getattr(source.bus, name).value) for name in ("tvalid", "tready", *PAYLOAD)) for source in both
        ]
        assert quick[0] == stock[0], f"clock {clock}: tvalid"
        assert not quick[0] or quick == stock, f"clock {clock}"
        assert both[0].active == both[1].active, f"clock {clock}: active"
        ready, paused, reset = rng.random() < 0.6, rng.random() < 0.3, clock % 97 < 3
        valid_in_reset += quick[0] and reset
        sent += quick[0] and ready and not reset
        dut.rst.value = reset
        for source in both:
            source.bus.tready.value = ready
            source.pause = paused
        if sent > BEATS - 40 and both[0].idle_event.is_set():
            break
    assert sent > BEATS - 40, f"{sent} beats, {clock} clocks"
    assert valid_in_reset, "no beat met a reset"


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sinks(dut):
    await begin(dut)
    both, rng = pair(dut, "sink", QuickSink, Sink), Random(2)
    given, beat, refused, fetched = list(beats(rng)), None, 0, 0
    todo = iter(given)
    for sink in both:
        sink.bus.tvalid.value = 0
    for clock in range(20 * BEATS):
        await FallingEdge(dut.clk)
        quick, stock = (bool(sink.bus.tready.value) for sink in both)
        valid = bool(both[0].bus.tvalid.value)
        if clock > 10:
            assert not valid or quick == stock, f"clock {clock}"
            refused += valid and not quick
        paused, fetch, offer = rng.random() < 0.2, rng.random() < 0.4, rng.random() < 0.7
        await RisingEdge(dut.clk)
        if beat is not None and valid and quick and not dut.rst.value:
            beat = None
        if beat is None and offer:
            beat = next(todo, None)
            if beat is None:
                break
        dut.rst.value = clock < 3
        for sink in both:
            sink.pause = paused
            sink.bus.tvalid.value = beat is not None
            for name in PAYLOAD if beat else ():
                getattr(sink.bus, name).value = beat[name]
            if fetch and not sink.empty():
                sink.recv_nowait()
                fetched += 1
    assert both[0].taken == both[1].taken
    assert len(both[0].taken) > BEATS - 10
    assert both[0].taken == given[: len(both[0].taken)]
    assert refused
    assert fetched


@cocotb.test(timeout_time=100, timeout_unit="us")
async def pauses(dut):
    await begin(dut)
    both = [pair(dut, "source", QuickSource, Source), pair(dut, "sink", QuickSink, Sink)]
    rng, paused, ended = Random(3), 0, 0

    def generator(seed, length):
        own = Random(seed)
        return [own.random() < 0.4 for _ in range(length)]

    for clock in range(2000):
        await FallingEdge(dut.clk)
        for quick, stock in both:
            assert quick.pause == stock.pause, f"clock {clock}"
            paused += quick.pause
        await RisingEdge(dut.clk)
        for quick, stock in both:
            choice = rng.random()
            if choice < 0.02:
                length = rng.choice([1, 5, 300])
                ended += length == 1
                quick.set_pause_generator(generator(clock, length))
                stock.set_pause_generator(generator(clock, length))
            elif choice < 0.03:
                for stream in (quick, stock):
                    stream.clear_pause_generator()
                    stream.pause = bool(clock & 1)
    assert paused > 500
    assert ended > 5


@cocotb.test(timeout_time=1, timeout_unit="us")
async def pauses_end_with_their_test(dut):
    """Nothing is left of the streams of the test before."""
    await begin(dut)
    quick, _ = pair(dut, "source", QuickSource, Source)
    quick.set_pause_generator([True, True, False, True])
    assert list(streams._pauses[dut.clk]._streams) == [quick]
    seen = []
    for _ in range(6):
        await FallingEdge(dut.clk)
        seen.append(quick.pause)
    assert seen == [True, True, False, True, True, True]


@cocotb.test(timeout_time=1, timeout_unit="us")
async def what_has_no_bits(dut):
    for other in (dut, 1, "clk"):
        with pytest.raises(TypeError, match="must be a handle of a bit or of an array of bits, not "):
            sampler(other)
