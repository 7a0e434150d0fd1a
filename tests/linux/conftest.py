"""Every test here boots a guest: it is skipped where a guest cannot be had."""

import signal

import pytest

from epbell_tb.guest import newest, packages
from epbell_tb.guest.commands import MissingError


@pytest.fixture(scope="session", autouse=True)
def ended_like_ctrl_c():
    """Whoever ends this session by SIGTERM has the guests ended, too."""

    def end(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session", autouse=True)
def provided():
    """What a guest needs."""
    try:
        return packages.provide(print)
    except MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def newest_kernel():
    """The newest kernel and its selftest."""
    try:
        return newest.provide(print)
    except MissingError as error:
        pytest.skip(str(error))
