"""The lines that say which doorbell each device tree got."""

import errno

from epbell_tb.backends import Backend, backends, lines

WHY = "Can't find MSI domain for EPC; Using embedded (DMA) doorbell fallback"


def test_words_and_result_come_from_the_accounts():
    accounts = [
        ("board", {"name": "other"}),
        ("board", {"name": "asks", "backend": "edma", "reason": WHY, "result": 0}),
        ("board", {"name": "asks", "backend": "edma", "reason": WHY, "result": 0}),
    ]
    found = backends(["board"], accounts)
    assert found == [Backend("board", True, "edma", WHY, 0)]
    assert lines(found) == [f'board   embedded eDMA doorbell   "{WHY}"   DOORBELL test: 0']


def test_columns_stand_below_each_other():
    accounts = [
        ("imx8", {"backend": "mu", "reason": "", "result": 0}),
        ("msi-enospc", {"backend": None, "reason": "-ENOSPC", "result": -errno.EINVAL}),
        ("hdma", {"backend": "polling", "reason": "why"}),
    ]
    assert lines(backends(["imx8", "msi-enospc", "hdma", "rk3588"], accounts)) == [
        "imx8         Messaging Unit   -           DOORBELL test: 0",
        'msi-enospc   no doorbell      "-ENOSPC"   DOORBELL test: -EINVAL',
        'hdma         polling          "why"       DOORBELL test: not run',
        "rk3588       -                -           no scenario that ran here tells",
    ]


def test_runs_that_disagree_are_shown_both():
    accounts = [("board", {"backend": "mu", "result": 0}), ("board", {"backend": "mu", "result": -errno.ETIMEDOUT})]
    assert [item.outcome for item in backends(["board"], accounts)] == ["DOORBELL test: 0", "DOORBELL test: -ETIMEDOUT"]


def test_no_trees_no_lines():
    assert lines(backends([], [])) == []
