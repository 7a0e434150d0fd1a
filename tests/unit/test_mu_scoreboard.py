"""The scoreboards of the two-clock Messaging Unit notice what they are there for."""

import pytest

from epbell_tb.mu_scoreboard import RequestScoreboard, WordScoreboard, pack, unpack


@pytest.fixture
def word():
    board = WordScoreboard("TR0", bound=10)
    board.ring(100)
    return board


def test_a_good_word(word):
    word.empty(False, just_rung=True)
    word.full(True)
    word.take(105, 1)
    word.full(False)
    word.empty(True, just_rung=False)
    word.settle(full=False, empty=True)


def test_lost(word):
    with pytest.raises(AssertionError, match="overdue"):
        word.take(110, 0)
    with pytest.raises(AssertionError, match="RF False"):
        word.settle(full=False, empty=True)


def test_invented(word):
    with pytest.raises(AssertionError, match="never written"):
        word.take(101, 2)
    word.take(105, 1)
    with pytest.raises(AssertionError, match="RF is 1 after the last word"):
        word.full(True)


def test_came_back(word):
    word.ring(101)
    word.take(105, 2)
    with pytest.raises(AssertionError, match="came back"):
        word.take(106, 1)


def test_full_without_a_word(word):
    word.take(103, 1)
    word.ring(104)
    word.full(True)
    with pytest.raises(AssertionError, match="no word after 1"):
        word.take(105, 1)


def test_flags_of_the_writer(word):
    with pytest.raises(AssertionError, match="did not fall at once"):
        word.empty(True, just_rung=True)
    with pytest.raises(AssertionError, match="word 1 is unread"):
        word.empty(True, just_rung=False)


def test_full_fell(word):
    word.full(True)
    with pytest.raises(AssertionError, match="fell without a read"):
        word.full(False)


def test_mixture_of_words():
    assert unpack(pack(300)) == 300
    assert unpack(0) == 0
    with pytest.raises(AssertionError, match="mixture"):
        unpack(pack(300) & 0xFFFF | pack(301) & 0xFFFF_0000)


@pytest.fixture
def request_board():
    board = RequestScoreboard("GIR0", bound=10)
    board.request(100)
    return board


def test_a_good_request(request_board):
    request_board.asked(True, just_requested=True)
    request_board.pending(105, True)
    request_board.acknowledge(106)
    request_board.settle(pending=False, asked=False)


def test_lost_request(request_board):
    with pytest.raises(AssertionError, match="overdue"):
        request_board.pending(110, False)
    with pytest.raises(AssertionError, match="lost"):
        request_board.settle(pending=False, asked=False)
    with pytest.raises(AssertionError, match="without an acknowledge"):
        request_board.asked(False, just_requested=False)
    with pytest.raises(AssertionError, match="right after"):
        request_board.asked(False, just_requested=True)


def test_invented_request(request_board):
    request_board.pending(105, True)
    request_board.acknowledge(120)
    with pytest.raises(AssertionError, match="after the last acknowledge"):
        request_board.settle(pending=True, asked=True)
    with pytest.raises(AssertionError, match="rose 2 times of 1"):
        request_board.pending(130, True)


def test_fell_request(request_board):
    request_board.pending(105, True)
    with pytest.raises(AssertionError, match="fell"):
        request_board.pending(106, False)
    with pytest.raises(AssertionError, match="at rest GIP"):
        request_board.settle(pending=True, asked=False)
