"""What the scoreboard says of interrupts that the host does not allow, without a simulator: it can say no."""

from collections import Counter
from dataclasses import replace

import pytest

from epbell_tb.endpoint import msis, permissions
from epbell_tb.endpoint.latencies import AFTER, BEGUN, DECIDED, MASKED, NEXT, ON_RQ, UNMASKED
from epbell_tb.endpoint.msis import Msis, Pulses
from epbell_tb.endpoint.permissions import Allowed, History, Permissions

MSI = Allowed(requests=True, msi=True, granted=32)
MSIX = Allowed(requests=True, msix=True)
INTX = Allowed(requests=True, intx=True)
CHANGE = 100


class Clock:
    now = 0


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    for module in (permissions, msis):
        monkeypatch.setattr(module, "cycle", lambda: clock.now)
    return clock


@pytest.fixture
def changes(clock):
    """Return permissions that change from one state to another in a cycle."""

    def make(*states):
        found = Permissions()
        for number, state in enumerate(states):
            clock.now = number * CHANGE
            found.shown(state)
        return found

    return make


def test_a_history():
    history = History(0)
    for since, state in ((10, 1), (12, 1), (20, 2), (30, 3)):
        history.change(since, state)

    def ever(state, first, last):
        return history.ever(lambda at: at == state, first, last)

    for first, last, states in (
        *((0, 9, {0}), (0, 10, {0, 1}), (10, 10, {0, 1}), (11, 19, {1})),
        *((15, 25, {1, 2}), (0, 99, {0, 1, 2, 3}), (31, 40, {3}), (21, 29, {2})),
    ):
        assert {state for state in range(4) if ever(state, first, last)} == states, (first, last)


@pytest.mark.parametrize(
    ("shut", "late"),
    [
        (replace(MSI, mask=1 << 5), UNMASKED),
        (replace(MSI, msi=False), DECIDED),
        (replace(MSI, requests=False), DECIDED),
    ],
)
def test_an_msi_around_a_change(changes, shut, late):
    closes, opens = changes(MSI, shut), changes(shut, MSI)
    for now in range(CHANGE, CHANGE + late + 1):
        closes.check_msi(1 << 5, now)
        opens.check_msi(1 << 5, now)
    with pytest.raises(AssertionError, match="MSI 5 is sent, which the host does not allow"):
        closes.check_msi(1 << 5, CHANGE + late + 1)
    with pytest.raises(AssertionError, match="does not allow"):
        opens.check_msi(1 << 5, CHANGE - 1)


def test_a_mask_is_of_its_vector():
    found = Permissions()
    found.history.change(0, replace(MSI, mask=1 << 5))
    found.check_msi(1 << 4, CHANGE)
    found.history.change(10, replace(MSI, granted=4))
    with pytest.raises(AssertionError, match="MSI 4 of 4"):
        found.check_msi(1 << 4, CHANGE)
    with pytest.raises(AssertionError, match="at once"):
        found.check_msi(3, CHANGE)
    assert not replace(MSI, granted=4, mask=1 << 1).sends_msi(13)


@pytest.mark.parametrize(
    "shut", [replace(MSIX, function_mask=True), replace(MSIX, msix=False), replace(MSIX, requests=False)]
)
def test_a_message_around_a_change(changes, shut):
    closes = changes(MSIX, shut)
    closes.check_msix(3, False, CHANGE + DECIDED)
    with pytest.raises(AssertionError, match="MSI-X 3 is sent, which the host does not allow"):
        closes.check_msix(3, False, CHANGE + DECIDED + 1)


def test_a_message_on_rq_around_a_change(changes):
    """It is on the stream five clocks after it was taken, if nothing is in its way."""
    closes = changes(MSIX, replace(MSIX, msix=False))
    for at in (CHANGE + ON_RQ, CHANGE + ON_RQ + 1):
        since = closes.queued_since(None, at)
        if at <= CHANGE + ON_RQ:
            closes.check_msix(3, False, at, since)
            continue
        with pytest.raises(AssertionError, match="MSI-X 3 is sent, which the host does not allow"):
            closes.check_msix(3, False, at, since)


def test_a_message_around_a_change_of_its_mask(changes):
    found = changes(MSIX)
    with pytest.raises(AssertionError, match="masked in the table"):
        found.check_msix(3, True, CHANGE)
    found.vector_masked(3, True, CHANGE, CHANGE + 2)
    found.check_msix(3, True, CHANGE + 2 + MASKED)
    found.check_msix(4, False, CHANGE + 2 + MASKED + 1)
    with pytest.raises(AssertionError, match="masked in the table"):
        found.check_msix(3, True, CHANGE + 2 + MASKED + 1)
    found.vector_masked(3, False, 2 * CHANGE, 2 * CHANGE + 2)
    found.check_msix(3, False, 2 * CHANGE)
    with pytest.raises(AssertionError, match="masked in the table"):
        found.check_msix(3, False, 2 * CHANGE - 1)
    found.table_moved()
    found.check_msix(3, False, 2 * CHANGE - 1)


@pytest.fixture
def board(clock):
    """Return MSIs that are due, of a host that allows them; and a way to raise some and let some arrive."""
    found = Permissions()
    found.shown(MSI)

    class Board(Msis):
        def does(self, *events):
            for name, *of in events:
                clock.now += 10
                if name == "shown":
                    found.shown(*of)
                elif name == "raised":
                    self.raised(*of, 0)
                else:
                    self.arrived(*of, found.history.now.granted)

    return Board(found, lambda _: True, Counter())


def test_msis_arrive_in_their_turn(board):
    board.does(("raised", 3), ("raised", 3), ("raised", 7), ("arrived", 3), ("arrived", 3), ("arrived", 7))
    board.check_empty()
    board.check_counters(0, 0, 0)
    with pytest.raises(AssertionError, match="nobody raised"):
        board.does(("arrived", 3))
    with pytest.raises(AssertionError, match="MSI 5, not 4"):
        board.does(("raised", 4), ("raised", 5), ("arrived", 5))


def test_a_second_raise_that_is_lost(board):
    """Only what the host has held back may be merged."""
    board.does(("shown", replace(MSI, mask=1 << 3)), ("shown", MSI), ("raised", 3), ("raised", 3), ("arrived", 3))
    with pytest.raises(AssertionError, match="never came"):
        board.check_empty()
    board.does(("arrived", 3))
    board.check_empty()


@pytest.mark.parametrize("shut", [replace(MSI, mask=1 << 3), replace(MSI, msi=False), replace(MSI, requests=False)])
def test_raises_that_are_held_back(board, shut):
    board.does(("shown", shut), ("raised", 3), ("raised", 3), ("raised", 3), ("raised", 6))
    board.does(("shown", MSI), ("arrived", 6), ("arrived", 3))
    board.check_empty()
    board.check_counters(1 if shut.mask else 2, 2, 0)
    for held, merged, pending in ((1, 1, 0), (1, 3, 0), (0, 2, 0), (3, 2, 0), (1, 2, 1)):
        with pytest.raises(AssertionError, match="MSI_MERGED"):
            board.check_counters(held, merged, pending)


def test_another_mask_holds_nothing_back(board):
    board.does(("shown", replace(MSI, mask=1 << 9)), ("raised", 3), ("raised", 3), ("arrived", 3))
    with pytest.raises(AssertionError, match="never came"):
        board.check_empty()


def test_vectors_that_become_one(board):
    """The endpoint does not count two pending ones as merged, of which the host has granted only one."""
    board.does(("shown", replace(MSI, msi=False)), ("raised", 1), ("raised", 5))
    board.does(("shown", replace(MSI, granted=4)), ("arrived", 1))
    board.check_empty()
    for merged in (0, 1):
        board.check_counters(2, merged, 0)
    with pytest.raises(AssertionError, match="MSI_MERGED"):
        board.check_counters(2, 2, 0)


def test_a_function_level_reset_takes_what_is_due(board):
    for vector in (1, 2):
        board.raised(vector, 0)(False)
    board.flr()
    board.check_empty()
    board.check_counters(0, 0, 0)
    with pytest.raises(AssertionError, match="MSI_MERGED"):
        board.check_counters(0, 3, 0)


def test_what_is_raised_at_the_end_of_a_function_level_reset_comes(board):
    ended = board.raised(1, 0)
    board.flr()
    ended(False)
    with pytest.raises(AssertionError, match="never came"):
        board.check_empty()
    board.arrived(1, 4)
    board.check_empty()


@pytest.mark.parametrize("comes", [False, True])
def test_what_is_raised_at_the_edge_of_a_function_level_reset_may_come(board, comes):
    ended = board.raised(1, 0)
    board.flr()
    ended(None)
    if comes:
        board.arrived(1, 4)
    board.check_empty()


def test_what_is_raised_in_a_function_level_reset_does_not_come(board):
    board.raised(1, 0)(True)
    board.check_empty()
    with pytest.raises(AssertionError, match="nobody raised"):
        board.arrived(1, 4)
    ended = board.raised(2, 0)
    board.arrived(2, 4)
    with pytest.raises(AssertionError, match="has been sent"):
        ended(True)


@pytest.mark.parametrize("way", ["nothing", "level", "disabled", "reset"])
def test_pulses(clock, way):
    found = Permissions()
    found.shown(INTX)
    pulses = Pulses(found)
    pulses.check_counter(0, 0)
    for _ in range(3):
        clock.now += 10
        pulses.written(2 | (way == "level"))
        if way == "disabled":
            found.shown(replace(INTX, intx=False))
    found.shown(INTX)
    clock.now += 10
    pulses.written(0)
    if way == "reset":
        pulses.flr()
    pulses.check_counter(0, 3)
    good = way in ("level", "disabled")
    for merged, rises, fits in (
        (1, 3, good),
        (1, 2, good),
        (2, 1, good),
        (1, 1, False),
        (3, 3, False),
        (0, 2, way == "reset"),
    ):
        if fits:
            pulses.check_counter(merged, rises)
        else:
            with pytest.raises(AssertionError, match="INTX_MERGED"):
                pulses.check_counter(merged, rises)


def shown(clock, *states):
    """Return what has seen these states, each from its cycle on."""
    found = Permissions()
    for clock.now, allowed in states:
        found.shown(allowed)
    return found


@pytest.mark.parametrize("late", [0, 1])
def test_requests_around_a_change(clock, late):
    """They begin to leave while the host allows it."""
    found = shown(clock, (100, MSIX), (200, Allowed()))
    assert found.request_allowed(200 + BEGUN + late) == (not late)


BEHIND = 200 + ON_RQ - AFTER


@pytest.mark.parametrize(
    ("behind", "good"), [(None, False), (300, False), (BEHIND + 1, False), (BEHIND, True), (150, True)]
)
def test_messages_behind_other_requests(clock, behind, good):
    """What was taken while it was allowed may be on RQ later, if RQ has stood since, and only then."""
    found = shown(clock, (100, MSIX), (200, replace(MSIX, msix=False)))
    since = found.queued_since(behind, 300)
    if good:
        found.check_msix(3, False, 300, since)
    else:
        with pytest.raises(AssertionError, match="does not allow"):
            found.check_msix(3, False, 300, since)


def test_messages_that_wait_for_bus_mastering(clock):
    """Taken before bus mastering went off, a message goes when it is back, whatever has become of MSI-X."""
    found = shown(clock, (100, MSIX), (200, Allowed()), (400, Allowed(requests=True)))
    found.check_msix(3, False, 402, found.queued_since(None, 402))
    with pytest.raises(AssertionError, match="does not allow"):
        found.check_msix(3, False, 420, found.queued_since(None, 420))


@pytest.mark.parametrize(("left", "good"), [(230, True), (190, False), (None, False)])
def test_messages_behind_a_request_and_then_bus_mastering(clock, left, good):
    """Taken behind a request that stood on RQ when MSI-X and then bus mastering went off, a message goes after both."""
    found = shown(clock, (100, MSIX), (180, replace(MSIX, msix=False)), (200, Allowed()), (400, Allowed(requests=True)))
    if left is not None:
        found.left(150, 160, left)
    since = found.queued_since(None, 402)
    if good:
        found.check_msix(3, False, 402, since)
    else:
        with pytest.raises(AssertionError, match="does not allow"):
            found.check_msix(3, False, 402, since)


@pytest.mark.parametrize("late", [0, 1])
def test_messages_in_the_place_at_the_door(clock, late):
    """It is filled anew every second clock, so that RQ does not look busy all the time."""
    found = shown(clock, (100, MSIX), (180, replace(MSIX, msix=False)))
    found.left(150, 160, 300)
    since = found.queued_since(None, 300 + NEXT + late)
    assert since == (300 + NEXT + late if late else 150 + AFTER)


def test_msis_that_were_moved(clock):
    """Pending while fewer vectors were granted, an MSI goes as the one with the same low bits, merged with others."""
    counts = Counter()
    found = shown(clock, (1, replace(MSI, requests=False)))
    board = Msis(found, lambda writes: True, counts)
    for clock.now, vector in ((10, 20), (11, 4)):
        board.raised(vector, 0)
    for clock.now, allowed in ((20, replace(MSI, granted=8, requests=False)), (30, MSI)):
        found.shown(allowed)
    clock.now = 40
    board.arrived(4, 32)
    board.check_empty()
    with pytest.raises(AssertionError, match="nobody raised"):
        board.arrived(5, 32)


def test_a_moved_msi_overtakes_no_write_that_came_after_it(clock):
    """It may be the one that was raised before a write of the CPU, moved, and not the one after, which has to wait."""
    left = 0
    found = shown(clock, (1, replace(MSI, mask=1, granted=1)))
    board = Msis(found, lambda writes: writes <= left, Counter())
    clock.now = 10
    board.raised(18, 0)
    clock.now = 12
    board.raised(0, 1)
    clock.now = 20
    found.shown(MSI)
    clock.now = 25
    board.arrived(0, 32)
    clock.now = 27
    with pytest.raises(AssertionError, match="has overtaken a write"):
        board.arrived(0, 32)
    left = 1
    board.arrived(0, 32)
    board.check_empty()


def test_a_moved_msi_that_was_taken_for_another(clock):
    """One message while one vector is granted may be either; that it was the first shows when the second comes."""
    found = shown(clock, (1, replace(MSI, msi=False)))
    board = Msis(found, lambda writes: True, Counter())
    clock.now = 10
    board.raised(1, 0)
    clock.now = 20
    found.shown(replace(MSI, granted=1))
    clock.now = 22
    board.raised(20, 0)
    clock.now = 25
    board.arrived(0, 1)
    clock.now = 30
    found.shown(MSI)
    clock.now = 35
    board.arrived(20, 32)
    with pytest.raises(AssertionError, match="MSI 1 that nobody raised"):
        board.arrived(1, 32)
    board.check_empty()


def test_an_msi_after_merged_ones_counts_as_itself(clock):
    """One that is sure is not taken for one that may have been merged, or it would be missed later."""
    found = shown(clock, (1, replace(MSI, mask=4)))
    board = Msis(found, lambda writes: True, Counter())
    for clock.now in (10, 11):
        board.raised(2, 0)
    clock.now = 20
    found.shown(MSI)
    clock.now = 25
    board.arrived(2, 32)
    clock.now = 30
    board.raised(2, 0)
    board.raised(7, 0)
    clock.now = 40
    board.arrived(2, 32)
    board.arrived(7, 32)
    board.check_empty()
