"""Progress: bars on a terminal, plain lines anywhere else, whatever the order of a job's steps."""

import io

import pytest
from rich.console import Console

from epbell_tb.progress import display


@pytest.mark.parametrize("terminal", [True, False])
def test_jobs_that_wait_or_have_ended_are_not_shown(terminal):
    out = io.StringIO()
    with display(Console(file=out, force_terminal=terminal, width=80)) as shown:
        shown.advance("a job that waits", 1)
        shown.begin("the job", 3)
        shown.advance("the job", 2)
        shown.end("the job", "3 pass")
        shown.advance("the job", 3)
    assert "the job: 3 pass" in out.getvalue()
    assert "waits" not in out.getvalue()
