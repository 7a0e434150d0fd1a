"""Both ends of the requester streams: what is sent bit by bit, and how each kind of completion is understood."""

import random
from collections import deque
from typing import Any

import pytest
import requester_packets
from amaranth.hdl import ClockDomain, Module
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.xilinx.us.interface import UsPcieFrame
from cocotbext.pcie.xilinx.us.tlp import ErrorCode, Tlp_us
from quick_engine import Simulator
from requester_packets import CA, CRS, SC, UR, WIDTHS, Reply, Sent, bad, good, notice, rc_beats, rq_packet

from epbell.pcie.requester import Cause, CompletionParser, RequestSender
from epbell.pcie.usp_requester import RequesterCompletion, RequesterRequest

CLOCKS = {64: (3, 2), 128: (2, 1), 256: (1, 1), 512: (1, 1)}  # of a write, of a read


def simulate(dut: Any, bench: Any) -> None:
    ended = False

    async def testbench(ctx: Any) -> None:
        nonlocal ended
        await bench(ctx)
        ended = True

    top: Any = Module()
    top.domains.sync = ClockDomain()  # some of the parsers are combinational
    top.submodules.dut = dut
    sim = Simulator(top)
    sim.add_clock(4e-9)
    sim.add_testbench(testbench)
    sim.run()
    assert ended


def random_request(rng: random.Random) -> Sent:
    write = rng.random() < 0.5
    return Sent(
        write=write,
        address=rng.getrandbits(rng.choice((32, 64))) & ~3,
        first_be=rng.randrange(16),
        data=rng.getrandbits(32) if write else None,
        tag=rng.randrange(256),
        tc=rng.randrange(8),
        attr=rng.randrange(8),
        ecrc=rng.randrange(2),
    )


def offer(ctx: Any, dut: RequestSender, request: Sent | None) -> None:
    ctx.set(dut.valid, request is not None)
    if request is None:
        return
    for name in ("write", "address", "first_be", "data", "tag", "tc", "attr", "ecrc"):
        ctx.set(getattr(dut.request, name), getattr(request, name) if getattr(request, name) is not None else 0xDEAD)


def shown(ctx: Any, rq: Any) -> tuple[int, int, int, int]:
    return ctx.get(rq.tdata), ctx.get(rq.tkeep), ctx.get(rq.tuser), ctx.get(rq.tlast)


async def send_all(ctx: Any, dut: RequestSender, width: int, requests: list[Sent], offers: Any, accepts: Any) -> tuple:
    """Drive the sender; return what came out, and how many clocks it took."""
    waiting, beats, came, cycle = deque(requests), [], [], 0
    stalled = None
    while len(came) < len(requests):
        cycle += 1
        assert cycle < 40 * len(requests) + 40, "the stream is stuck"
        request = waiting[0] if waiting and offers() else None
        offer(ctx, dut, request)
        accepting = accepts()
        ctx.set(dut.rq.tready, accepting)
        if ctx.get(dut.rq.tvalid):
            beat = shown(ctx, dut.rq)
            assert stalled in (None, beat), "a beat has changed while it was waiting"
            stalled = None if accepting else beat
            if accepting:
                beats.append(beat)
                if beat[3]:
                    came.append(rq_packet(beats, width))
                    beats = []
        else:
            assert stalled is None, "a beat has been withdrawn"
        if request is not None and ctx.get(dut.ready):
            waiting.popleft()
        await ctx.tick()
    return came, cycle


@pytest.mark.parametrize("width", WIDTHS)
def test_random_requests_with_stalls(width: int) -> None:
    rng = random.Random(width)
    requests = [random_request(rng) for _ in range(300)]

    async def bench(ctx: Any) -> None:
        came, _ = await send_all(ctx, dut, width, requests, lambda: rng.random() < 0.7, lambda: int(rng.random() < 0.6))
        assert came == requests

    dut = RequestSender(width)
    simulate(dut, bench)


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_back_to_back(width: int, write: bool) -> None:
    requests = [Sent(write, 0x1_0000_0000 + 4 * n, 0xF, n if write else None, tag=n) for n in range(20)]

    async def bench(ctx: Any) -> None:
        came, cycles = await send_all(ctx, dut, width, requests, lambda: True, lambda: 1)
        assert came == requests
        assert cycles == 1 + 20 * CLOCKS[width][not write]

    dut = RequestSender(width)
    simulate(dut, bench)


@pytest.mark.parametrize("width", WIDTHS)
def test_requests_as_the_hard_block_model_reads_them(width: int) -> None:
    """A second opinion on the positions of the bits: the unpacking of cocotbext-pcie."""
    rng = random.Random(width + 1)
    requests = [random_request(rng) for _ in range(60)]
    frames: list[UsPcieFrame] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.rq.tready, 1)
        for request in requests:
            offer(ctx, dut, request)
            await ctx.tick().until(dut.ready)
            offer(ctx, dut, None)
            frame = UsPcieFrame()
            last = 0
            while not last:
                data, keep, user, last = shown(ctx, dut.rq)
                if not frame.data:
                    frame.first_be, frame.last_be = user & 15, user >> (8 if width == 512 else 4) & 15
                frame.data += [data >> 32 * lane & 0xFFFFFFFF for lane in range(keep.bit_count())]
                await ctx.tick()
            frames.append(frame)

    dut = RequestSender(width)
    simulate(dut, bench)
    for request, frame in zip(requests, frames, strict=True):
        tlp = Tlp_us.unpack_us_rq(frame)
        wide = request.address >> 32 != 0
        kinds = {
            (True, False): TlpType.MEM_WRITE,
            (True, True): TlpType.MEM_WRITE_64,
            (False, False): TlpType.MEM_READ,
            (False, True): TlpType.MEM_READ_64,
        }
        assert tlp.fmt_type == kinds[request.write, wide]
        assert (tlp.address, tlp.length) == (request.address, 1)
        assert (tlp.first_be, tlp.last_be) == (request.first_be, 0)
        assert (tlp.tag, int(tlp.tc), int(tlp.attr)) == (request.tag, request.tc, request.attr)
        assert not tlp.ep
        assert not tlp.discontinue
        assert not tlp.requester_id_enable
        assert bytes(tlp.data) == (request.data.to_bytes(4, "little") if request.data is not None else b"")


def understood(width: int, packets: list[Any], pause: float = 0.0) -> list[tuple]:
    """Send packets, each a Reply or a list of beats; return (tag, ends, notice, cause, data) or "broken"."""
    rng = random.Random(width)
    reports: list[Any] = []

    async def clock(ctx: Any, expected: bool) -> None:
        await ctx.tick()
        if ctx.get(dut.valid):
            c = dut.completion
            reports.append(tuple(ctx.get(x) for x in (c.tag, c.ends, c.notice, c.cause, c.data)))
        if ctx.get(dut.broken):
            assert not ctx.get(dut.valid)
            assert not ctx.get(dut.completion.ends)
            reports.append("broken")
        assert expected or not (ctx.get(dut.valid) or ctx.get(dut.broken) or ctx.get(dut.completion.ends))

    async def bench(ctx: Any) -> None:
        for packet in packets:
            for data, keep, user, last in packet if isinstance(packet, list) else rc_beats(packet, width):
                while rng.random() < pause:
                    ctx.set(dut.rc.tvalid, 0)
                    for port in (dut.rc.tdata, dut.rc.tuser, dut.rc.tkeep, dut.rc.tlast):
                        ctx.set(port, rng.getrandbits(len(port)))
                    await clock(ctx, expected=False)
                for port, value in ((dut.rc.tdata, data), (dut.rc.tkeep, keep), (dut.rc.tuser, user)):
                    ctx.set(port, value)
                ctx.set(dut.rc.tlast, last)
                ctx.set(dut.rc.tvalid, 1)
                assert ctx.get(dut.rc.tready), "completions are never held up"
                await clock(ctx, expected=True)
        ctx.set(dut.rc.tvalid, 0)
        await clock(ctx, expected=False)

    dut = CompletionParser(width)
    simulate(dut, bench)
    return reports


CAUSES = [
    (good(3, 0x12345678), 1, 0, Cause.NONE),
    (good(31, 0, lower=0xFFC, tc=7, attr=7, completer=0xFFFF, requester=0xFFFF), 1, 0, Cause.NONE),
    (bad(255, UR), 1, 0, Cause.UNSUPPORTED_REQUEST),
    (bad(4, 7), 1, 0, Cause.UNSUPPORTED_REQUEST),  # reserved status
    (bad(5, CA), 1, 0, Cause.COMPLETER_ABORT),
    (bad(6, CRS), 1, 0, Cause.MALFORMED),
    (bad(6, SC), 1, 0, Cause.MALFORMED),
    (Reply(7, status=UR), 1, 0, Cause.UNSUPPORTED_REQUEST),  # even where the error code does not say so
    (good(8, 1, error=requester_packets.POISONED, poisoned=1), 1, 0, Cause.POISONED),
    (good(8, 1, error=requester_packets.POISONED), 1, 0, Cause.POISONED),
    (good(8, 1, poisoned=1), 1, 0, Cause.POISONED),
    (good(9, 1, error=requester_packets.BAD_LENGTH), 1, 0, Cause.MALFORMED),
    (good(9, 1, error=requester_packets.BAD_ADDRESS), 1, 0, Cause.MALFORMED),
    (good(9, 1, error=requester_packets.MISMATCH, completed=0), 0, 0, Cause.MALFORMED),
    (good(9, 1, error=requester_packets.INVALID_TAG), 0, 0, Cause.MALFORMED),
    (good(9, 1, error=7), 1, 0, Cause.MALFORMED),
    (good(9, 1, error=15), 1, 0, Cause.MALFORMED),
    (good(9, 1, completed=0), 0, 0, Cause.NONE),
    (notice(10), 1, 1, Cause.TIMEOUT),
    (notice(10, requester_packets.FUNCTION_RESET), 1, 1, Cause.TIMEOUT),
    (Reply(11), 1, 0, Cause.MALFORMED),  # success without data
    (Reply(11, (1, 2)), 1, 0, Cause.MALFORMED),
    (Reply(11, tuple(range(20))), 1, 0, Cause.MALFORMED),
    (Reply(11, (1,), length=2), 1, 0, Cause.MALFORMED),
    (Reply(11, (1, 2), length=1), 1, 0, Cause.MALFORMED),
    (Reply(11, (1,), length=0), 1, 0, Cause.MALFORMED),
    (Reply(11, (1,), length=1025), 1, 0, Cause.MALFORMED),
    (good(12, 1, discontinue=0), 1, 0, Cause.MALFORMED),
]


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_kind_of_completion(width: int, pause: float) -> None:
    cases = CAUSES + [(good(13, 1, discontinue=1), 1, 0, Cause.MALFORMED)] * (width == 64)
    mixed = [case for case in cases for _ in range(2)]
    random.Random(5).shuffle(mixed)
    reports = understood(width, [case[0] for case in mixed], pause)
    assert len(reports) == len(mixed)
    for (reply, ends, is_notice, cause), report in zip(mixed, reports, strict=True):
        assert report[:4] == (reply.tag, ends, is_notice, cause), reply
        if cause == Cause.NONE:
            assert report[4] == reply.payload[0]


@pytest.mark.parametrize("status", range(8))
@pytest.mark.parametrize("width", WIDTHS)
def test_completions_as_the_hard_block_model_packs_them(width: int, status: int) -> None:
    """A second opinion on the positions of the bits: the packing of cocotbext-pcie."""
    tlp = Tlp_us()
    tlp.fmt_type = TlpType.CPL_DATA if status == SC else TlpType.CPL
    tlp.status = CplStatus(status) if status in (SC, UR, CRS, CA) else status
    tlp.tag, tlp.lower_address, tlp.byte_count, tlp.request_completed = 0xA5, 0x7C, 4, True
    tlp.error_code = ErrorCode.NORMAL_TERMINATION if status == SC else ErrorCode.BAD_STATUS
    if status == SC:
        tlp.set_data(bytes.fromhex("78563412"))
    frame = tlp.pack_us_rc()
    mine = Reply(0xA5, tuple(frame.data[3:]), status, int(tlp.error_code), lower=0x7C, requester=0)
    assert mine.words == frame.data
    ((tag, ends, is_notice, cause, value),) = understood(width, [mine])
    assert (tag, ends, is_notice) == (0xA5, 1, 0)
    assert cause == {SC: Cause.NONE, CA: Cause.COMPLETER_ABORT, CRS: Cause.MALFORMED}.get(
        status, Cause.UNSUPPORTED_REQUEST
    )
    if status == SC:
        assert value == 0x12345678


@pytest.mark.parametrize("width", WIDTHS)
def test_packets_that_are_cut_short(width: int) -> None:
    fine, fine_report = good(1, 0xCAFE), (1, 1, 0, Cause.NONE, 0xCAFE)
    whole = rc_beats(fine, width)
    data, keep, user, _ = whole[0]
    if width == 64:
        # The descriptor is cut by tlast, by the next packet, and by both; beats that belong to nothing are passed over.
        stray = [(0xFFFF_FFFF_FFFF_FFFF, 3, 0, 1), (0, 3, 0, 0)]
        cut = [(data, keep, user, 1)]
        packets = [fine, cut, fine, whole[:1], fine, whole[:1], cut, stray, fine]
        expected = [fine_report, "broken", fine_report, "broken", fine_report, "broken", fine_report]
    else:
        stray = [(data, keep, 0, 0), (data, keep, 0, 1)]
        packets = [fine, [(data, 0x7, user, 1)], stray, [(data, keep, user, 0)], fine]
        expected = [fine_report, (1, 1, 0, Cause.MALFORMED, 0xCAFE), (1, 1, 0, Cause.MALFORMED, 0xCAFE), fine_report]
    assert understood(width, packets) == expected


@pytest.mark.parametrize("signature", [RequesterRequest, RequesterCompletion])
def test_signatures(signature: Any) -> None:
    users = {RequesterRequest: requester_packets.RQ_USER, RequesterCompletion: requester_packets.RC_USER}[signature]
    for width in WIDTHS:
        stream = signature(width)
        assert stream == signature(width)
        assert stream != signature(64 if width != 64 else 128)
        assert repr(stream) == f"usp_requester.{signature.__name__}(width={width})"
        assert stream.members["tuser"].shape == users[width]
    assert RequesterRequest(64) != RequesterCompletion(64)


@pytest.mark.parametrize("build", [RequestSender, CompletionParser, RequesterRequest, RequesterCompletion])
@pytest.mark.parametrize("width", [0, 32, 1024, "64"])
def test_widths_that_do_not_exist(build: Any, width: Any) -> None:
    with pytest.raises(ValueError, match=rf"must be 64, 128, 256 or 512 bits, not {width!r}$"):
        build(width)
