"""Frames: the RTL's against the host's own encoder, and the encoder against a frame that was written down by hand."""

from random import Random

import pytest
from simulate import simulate

from epbell.serial.framing import Deframer, Framer
from epbell_tb.serial.frames import LONGEST, Frame, FrameReader, Kind, encode, joined

HELD = 20
WORDS = (0x7E7E_7E7E, 0x7D7D_7D7D, 0x5E7D_5D7E, 0, 0xFFFF_FFFF)


def frames(count, seed=1):
    source = Random(seed)
    return [
        Frame(
            source.randrange(16),
            tuple(source.choice((*WORDS, source.getrandbits(32))) for _ in range(source.randrange(LONGEST + 1))),
            source.randrange(256),
            source.randrange(16),
            source.randrange(16),
            source.randrange(9),
        )
        for _ in range(count)
    ]


def test_a_frame_by_hand():
    """CRC-32 of 8 bytes, as `crc32` of other tools has it; one byte is escaped."""
    frame = Frame(Kind.CPU, (0x7E,), epoch=1, sequence=2, ack=3, room=8)
    assert encode(frame).hex() == "7e" "8a320101" "7d5e000000" "badff9e5" "7e"
    assert list(FrameReader().feed(encode(frame))) == [frame]


def test_frames_come_back_whatever_is_between():
    reader, source, sent = FrameReader(), Random(2), frames(HELD)
    wire = b"".join(encode(frame) + bytes(source.getrandbits(8) for _ in range(source.randrange(9))) for frame in sent)
    found = []
    while wire:
        piece, wire = wire[:7], wire[7:]
        found += reader.feed(piece)
    assert found == sent
    assert reader.bad


@pytest.mark.parametrize("bit", range(0, 8 * 12, 5))
def test_no_frame_with_a_wrong_bit(bit):
    wire = bytearray(encode(Frame(Kind.CPU, (0x1234_5678,), 9, 1, 2, 3)))
    wire[1 + bit // 8] ^= 1 << bit % 8
    assert not [frame for frame in FrameReader().feed(bytes(wire)) if frame.words]


def test_too_long():
    with pytest.raises(ValueError, match="must have 63 dwords or fewer behind its first one, not 64"):
        encode(Frame(Kind.CPU, (0,) * (LONGEST + 1)))


def dwords_of(frame):
    """The dwords of a frame without its CRC, by way of the host's decoder's own header."""
    head = frame.kind | frame.room << 4 | frame.sequence << 8 | frame.ack << 12 | len(frame.words) << 16
    return [head | frame.epoch << 24, *frame.words]


def test_framer():
    """What the RTL sends is what the host's encoder makes, whenever the wire takes it."""
    dut, source, sent = Framer(), Random(3), frames(HELD)
    heard = bytearray()

    async def bench(ctx):
        for frame in sent:
            words = dwords_of(frame)
            for index, word in enumerate(words):
                ctx.set(dut.word, word)
                ctx.set(dut.last, index == len(words) - 1)
                ctx.set(dut.valid, 1)
                while True:
                    ready = source.random() < 0.7
                    ctx.set(dut.bytes.ready, ready)
                    *_, taken, valid, byte = await ctx.tick().sample(dut.ready, dut.bytes.valid, dut.bytes.payload)
                    if valid and ready:
                        heard.append(byte)
                    if taken:
                        break
            ctx.set(dut.valid, 0)
        ctx.set(dut.bytes.ready, 1)
        for _ in range(20):
            *_, valid, byte = await ctx.tick().sample(dut.bytes.valid, dut.bytes.payload)
            if valid:
                heard.append(byte)

    simulate(dut, bench)
    assert bytes(heard) == b"".join(map(encode, sent))


def deframed(wire):
    """What the RTL finds in bytes: of each stretch its dwords, and whether it is good."""
    dut, found, words = Deframer(), [], []

    async def bench(ctx):
        ctx.set(dut.valid, 1)
        for byte in wire:
            ctx.set(dut.data, byte)
            *_, word, valid, end, good = await ctx.tick().sample(dut.word, dut.word_valid, dut.end, dut.good)
            if valid:
                words.append(word)
            if end:
                found.append((joined(words), bool(good)))
                words.clear()

    simulate(dut, bench)
    return found


def test_deframer():
    sent = frames(HELD, 4)
    assert deframed(b"".join(map(encode, sent))) == [(joined(dwords_of(frame)), True) for frame in sent]


def test_deframer_after_garbage():
    sent, source = frames(8, 5), Random(6)
    wire = b"".join(bytes(source.getrandbits(8) for _ in range(30)) + encode(frame) for frame in sent)
    assert [data for data, good in deframed(wire) if good] == [joined(dwords_of(frame)) for frame in sent]


@pytest.mark.parametrize("bit", range(0, 8 * 12, 7))
def test_deframer_with_a_wrong_bit(bit):
    wire = bytearray(encode(Frame(Kind.CPU, (0x1234_5678,), 9, 1, 2, 3)))
    wire[1 + bit // 8] ^= 1 << bit % 8
    assert not any(good for _, good in deframed(bytes(wire)))


@pytest.mark.parametrize("wire", ["7e01020304", "7e010203047d", "7e0102030405", "7e7d7e", "7e00000000"])
def test_deframer_with_a_frame_cut_off(wire):
    """Within a dword, after an escape, with nothing but what could be a CRC: none is good."""
    assert not any(good for _, good in deframed(bytes.fromhex(wire + "7e")))
