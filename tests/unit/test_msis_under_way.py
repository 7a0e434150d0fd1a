"""MSIs between the endpoint and the host, when everything is reset: without a simulator."""

from collections import deque
from types import SimpleNamespace

import pytest

from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.function_state import StatefulBlock
from epbell_tb.endpoint.hard_block import HardBlock
from epbell_tb.endpoint.interrupt_ports import SentMsi

SENT = SentMsi(0xA000_0000, 0x40, 4)


def reset(*msis):
    """Return who judges, and the vectors that were counted, after a reset behind some MSIs."""
    block = SimpleNamespace(offer_nothing=lambda: None, forget_reads=lambda: None, msis_under_way=deque(msis))
    arrived = []
    board = SimpleNamespace(msis=SimpleNamespace(arrived=lambda vector, granted: arrived.append((vector, granted))))
    HardBlock.drop_everything(block)
    return SimpleNamespace(block=block, board=board), arrived


def test_an_msi_that_left_before_a_reset_arrives_and_is_nobodys():
    env, arrived = reset(SENT)
    EndpointEnv.judge_msi(env, 0x42)
    assert (arrived, len(env.block.msis_under_way)) == ([], 0)
    env.block.msis_under_way.append(SENT)
    EndpointEnv.judge_msi(env, 0x43)
    assert arrived == [(3, 4)]


def test_one_that_no_message_fits_is_refused_all_the_same():
    env, _ = reset(SENT)
    with pytest.raises(AssertionError, match="none of"):
        EndpointEnv.judge_msi(env, 0x44)


@pytest.mark.parametrize("absent", [False, True])
def test_an_msi_without_a_link_is_not_under_way(absent):
    block = StatefulBlock.__new__(StatefulBlock)
    block.absent = absent
    assert block.linked == (not absent)
