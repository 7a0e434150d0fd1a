"""The link over a serial port: the host's end in Python against the board's in RTL, and what may happen on the wire."""

from random import Random

import pytest
from serial_rig import HELLO, PATIENCE, Board, opened, until

from epbell_tb.serial.frames import LONGEST, WINDOW, Frame, FrameReader, Kind, encode
from epbell_tb.serial.link import Link, SerialError

KINDS = [kind for kind in Kind if kind >= Kind.CQ_CC]


def messages(count, seed=1, longest=LONGEST):
    """Random messages, many of bytes that have to be escaped; the longest and the shortest among them."""
    source = Random(seed)
    words = (0x7E7E_7E7E, 0x7D7D_7D7D, 0x5E7D_7E5D, 0)
    lengths = [0, longest, *(source.randrange(longest + 1) for _ in range(count - 2))]
    return [
        (source.choice(KINDS), tuple(source.choice((*words, source.getrandbits(32))) for _ in range(length)))
        for length in lengths
    ]


def exchange(link, received, sent):
    for message in sent:
        link.send(*message)
    until(link, lambda: len(received) >= len(sent) and link.idle)
    assert received == sent


def test_messages_come_back():
    board = Board()
    link, received = opened(board)
    assert link.identity[1:] == HELLO
    exchange(link, received, messages(40))
    assert link.counts == {"sent": 40, "received": 40, "repeated": 0, "bad": 0, "missing": 0}


@pytest.mark.parametrize(("flip", "drop"), [(150, 0), (0, 150), (200, 200)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_wire(flip, drop, seed):
    """Each message arrives once and in its order, whatever is spoilt or lost in either direction."""
    board = Board(seed=seed, flip=flip, drop=drop)
    link, received = opened(board)
    exchange(link, received, messages(40, seed, 20))
    assert link.counts["bad"] or link.counts["missing"]


def test_garbage_before_and_between():
    board = Board()
    source = Random(3)
    garbage = bytes(source.choice((0x7E, 0x7D, source.getrandbits(8))) for _ in range(300))
    board.write(garbage)
    board.from_board.extend(garbage)
    link, received = opened(board)
    sent = messages(12, 5, 10)
    for message in sent:
        link.send(*message)
        board.write(garbage[: source.randrange(40)])
    until(link, lambda: len(received) >= len(sent) and link.idle)
    assert received == sent


def test_no_more_than_there_are_places_for():
    """While the board takes nothing out, it acknowledges as many messages as it has places for; none is lost."""
    board = Board()
    link, received = opened(board)
    board.enabled = False
    sent = messages(3 * WINDOW, longest=4)
    for message in sent:
        link.send(*message)
    for _ in range(PATIENCE // 100):
        link.pump()
    assert link.counts["sent"] == WINDOW
    assert not received
    board.enabled = True
    until(link, lambda: len(received) == len(sent) and link.idle)
    assert received == sent


def test_the_board_sends_no_more_than_the_host_has_places_for():
    board = Board()
    link, received = opened(board)
    board.write(encode(Frame(Kind.STATE, epoch=link._epoch, room=2)))
    board.run(100)
    for sequence in range(4):
        board.write(encode(Frame(Kind.CPU, (sequence,), link._epoch, sequence, room=2)))
    board.run(PATIENCE // 2)
    frames = [stretch for stretch in bytes(board.heard).split(b"\x7e") if stretch and stretch[0] & 0xF == Kind.CPU]
    assert len(frames) == 2
    assert not received


def test_what_is_not_acknowledged_is_sent_again():
    """The board repeats by itself; a message that has been heard is not taken twice."""
    board = Board()
    link, received = opened(board)
    link.send(Kind.CPU, (1, 2))
    board.run(PATIENCE // 2)
    board.from_board.clear()  # the answer is lost, and nobody tells the board
    board.run(4 * PATIENCE)
    until(link, lambda: bool(received) and link.idle)
    for _ in range(100):
        link.pump()
    assert received == [(Kind.CPU, (1, 2))]


def test_lost_acknowledgements():
    board = Board()
    link, received = opened(board)
    for number in range(20):
        link.send(Kind.CPU, (number,))
        board.run(1000)
        board.from_board.clear()
    until(link, lambda: len(received) == 20 and link.idle)
    assert received == [(Kind.CPU, (number,)) for number in range(20)]
    assert link.counts["repeated"]


@pytest.mark.parametrize("at", [1, 3, 7, 20, 45])
def test_reset_in_the_middle_of_a_frame(at):
    """A new session begins with number 0 in both directions, and nothing of the old one comes."""
    board = Board()
    link, received = opened(board)
    board.enabled = False
    for number in range(5):
        link.send(Kind.CPU, (number,) * 8)
    board.run(400)
    board.enabled = True
    board.run(30)  # the board is in the middle of an answer
    board.to_board.clear()
    board.write(encode(Frame(Kind.CPU, tuple(range(10)), link._epoch, 5))[:at])
    received.clear()
    link.open()
    sent = messages(10, at, 6)
    exchange(link, received, sent)


def test_reset_while_a_message_is_given():
    """In whichever clock: nothing stays of it."""
    board = Board()
    link, received = opened(board)
    for late in range(6):
        board.enabled = False
        link.send(Kind.CPU, (late,) * 30)
        board.run(300)
        board.enabled = True
        board.run(late)
        received.clear()
        link.open()
        exchange(link, received, [(Kind.PINS, ()), (Kind.CONFIG, (1, 2, 3))])


def test_another_session_is_told():
    """Frames of a session that the board does not know change nothing, and the host hears which one it is."""
    board = Board()
    link, received = opened(board)
    board.write(encode(Frame(Kind.CPU, (1,), link._epoch ^ 1, 0)))
    board.run(1000)
    assert not received
    assert bytes(board.heard).count(b"SBPE") == 2  # of `open`, and this one
    link._epoch ^= 1  # as after a power cycle of the board
    with pytest.raises(SerialError, match="has been reset in the middle of a session"):
        until(link, lambda: False, 20)


@pytest.mark.parametrize(
    "change", [lambda data: data[:-6] + data[-1:], lambda data: data[:5] + data[9:], lambda data: b"\x7e" + data[2:]]
)
def test_frames_of_another_length(change):
    board = Board()
    link, received = opened(board)
    board.write(change(encode(Frame(Kind.CPU, (1, 2, 3), link._epoch, 0))))
    board.run(500)
    exchange(link, received, messages(4, longest=3))


def test_a_frame_that_never_ends():
    """Longer than any frame, of dwords that would be good ones: nothing is overwritten, the next frame is taken."""
    board = Board()
    link, received = opened(board)
    board.enabled = False
    link.send(Kind.CPU, (1, 2, 3))
    board.run(200)
    board.write(b"\x7e" + bytes(range(100)) * 9 + b"\x7e")
    board.run(1200)
    board.enabled = True
    until(link, lambda: bool(received))
    assert received == [(Kind.CPU, (1, 2, 3))]


class Scripted:
    """A port at which a test says what the board answers, and when; HELLO comes by itself, with so many places."""

    def __init__(self, room=None):
        self.timeout = None
        self.in_waiting = 0
        self.now = 0.0
        self.answers = b""
        self.heard = []
        self.epoch = 0
        self._reader, self._room = FrameReader(), room

    def time(self):
        return self.now

    def read(self, size=1):
        found, self.answers = self.answers, b""
        self.now += 0.01
        return found

    def write(self, data):
        for frame in self._reader.feed(data):
            self.heard.append(frame)
            if frame.kind == Kind.RESET and self._room is not None:
                self.epoch = frame.epoch
                self.answers += encode(Frame(Kind.HELLO, HELLO, frame.epoch, room=self._room))
        return len(data)


def scripted(room):
    """Return a session with a board that has so many places, patient for a second."""
    port = Scripted(room)
    link = Link(port, lambda kind, words: None, clock=port.time)
    link.open()
    port.heard.clear()
    return port, link


def said(port):
    """Return the numbers of the messages that the board has heard since it was asked last."""
    found = [frame.sequence for frame in port.heard if frame.kind >= Kind.CQ_CC]
    port.heard.clear()
    return found


def test_only_the_oldest_is_sent_at_a_guess():
    """Until that turns out to have been right: then what went behind it was dropped, too."""
    port, link = scripted(WINDOW)
    for number in range(3):
        link.send(Kind.CPU, (number,))
    assert said(port) == [0, 1, 2]
    for _ in range(3):
        port.now += 1
        link.pump()
        link.pump()
        assert said(port) == [0]
    port.answers = encode(Frame(Kind.STATE, epoch=port.epoch, ack=1))
    link.pump()
    assert said(port) == [1, 2]
    port.answers = encode(Frame(Kind.STATE, epoch=port.epoch, ack=2))
    link.pump()
    assert said(port) == []


def test_places_that_nobody_heard_of():
    """A board that had none says in a STATE when it has some again: if that is lost, neither waits for the other."""
    port, link = scripted(0)
    link.send(Kind.CPU, (1,))
    link.send(Kind.CPU, (2,))
    link.pump()
    assert said(port) == []
    port.now += 1
    link.pump()
    assert said(port) == [0]
    port.answers = encode(Frame(Kind.STATE, epoch=port.epoch, ack=1))
    link.pump()
    assert said(port) == [1]


def test_a_clock_that_jumps():
    """A PC that was asleep does not give up its board: it has asked only once."""
    port, link = scripted(WINDOW)
    link.send(Kind.CPU, (1,))
    port.now += 1000
    link.pump()
    assert said(port) == [0, 0]
    with pytest.raises(SerialError, match="has acknowledged nothing for 20 s: was it unplugged"):
        until(link, lambda: False)
    assert 1019 < port.now < 1022


def test_nobody_answers():
    port = Scripted()
    with pytest.raises(SerialError, match=r"no board answers within 0\.2 s"):
        Link(port, lambda kind, words: None, clock=port.time).open(0.2)
    assert [frame.kind for frame in port.heard] == [Kind.RESET]
