"""Which windows a request has met, without a simulator: those of its clock, once that is known."""

from types import SimpleNamespace
from typing import Any

import pytest

from epbell_tb.endpoint.aims import Aims
from epbell_tb.endpoint.latencies import AIMED, ANSWERED, MADE, PAGE_WRITE

STARTED = 100
WAITS = (0, 1, 9)
"""Clocks for which the CPU's write has waited."""


class Windows:
    """Windows that are told apart by a name."""

    def __init__(self):
        self.in_force = SimpleNamespace(name="old")


def written(waits=None):
    """Return windows that the CPU has written, and that are answered unless it is unknown for how long it waits."""
    windows: Any = Windows()
    aims = Aims(windows)
    windows.in_force = SimpleNamespace(name="new")
    aims.written(STARTED)
    if waits is not None:
        aims.answered(STARTED + PAGE_WRITE + waits)
    return windows, aims


def met(windows, aims, decided):
    """Return the name of what a request has met that was decided in a cycle."""
    if aims.settled(decided):
        return windows.in_force.name
    with aims.at(decided, decided):
        return windows.in_force.name


@pytest.mark.parametrize("waits", WAITS)
def test_the_answer_tells_the_clock(waits):
    windows, aims = written(waits)
    first = STARTED + waits + AIMED
    assert met(windows, aims, first - 1) == "old"
    assert met(windows, aims, first) == "new"
    assert aims.known(first, first)


def test_before_the_answer_the_old_ones_are_met():
    windows, aims = written()
    assert met(windows, aims, STARTED + AIMED) == "old"


def test_what_was_met_may_not_be_known_yet():
    _, aims = written()
    early, late = STARTED + AIMED - 1, STARTED + AIMED
    assert aims.known(early, early)
    for now in range(late, late + ANSWERED + 1):
        assert not aims.known(late, now), "the answer may still come that says otherwise"
    assert aims.known(late, late + ANSWERED + 1)


def test_an_answer_that_may_still_come_says_the_new_ones():
    """The latest clock in which it is not known is that of an answer from which it would have been met."""
    windows, aims = written()
    late = STARTED + AIMED
    aims.answered(late + ANSWERED - AIMED + MADE)
    assert met(windows, aims, late) == "new"


def test_a_change_of_nothing_is_none():
    windows: Any = Windows()
    aims = Aims(windows)
    aims.written(STARTED)
    aims.answered(STARTED + PAGE_WRITE)
    assert aims.changes == 0
    assert met(windows, aims, STARTED + AIMED) == "old"


def test_a_reset_forgets_what_was_on_its_way():
    windows, aims = written()
    aims.reset()
    assert aims.known(STARTED + AIMED, STARTED + AIMED)
    assert met(windows, aims, 1) == "new"
