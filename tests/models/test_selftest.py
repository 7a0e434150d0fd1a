"""The list of Linux's selftest on a driver that answers as it is told: names, skips, failures, what is printed."""

import errno
import re

import pytest

from epbell_models.platform import VirtualPlatform
from epbell_models.selftest.harness import Options, run, selected
from epbell_models.selftest.tap import Verdict
from epbell_models.selftest.tests import SIZES, all_tests

BARS = [f"pci_ep_bar.BAR{bar}.{test}" for bar in range(6) for test in ("BAR_TEST", "BAR_SUBRANGE_TEST")]
BASIC = [f"pci_ep_basic.{test}_TEST" for test in ("CONSECUTIVE_BAR", "LEGACY_IRQ", "MSI", "MSIX")]
TRANSFERS = [
    f"pci_ep_data_transfer.{variant}.{test}_TEST" for variant in ("memcpy", "dma") for test in ("READ", "WRITE", "COPY")
]
DOORBELL = "pcie_ep_doorbell.DOORBELL_TEST"
NAMES = [*BARS, *BASIC, *TRANSFERS, DOORBELL]


class Driver:
    """Answers 0, or what ``answers`` has for an ioctl or for an ioctl with its first argument; None is for ever."""

    def __init__(self, platform, answers):
        self.platform = platform
        self.answers = answers
        self.calls = []
        self.irq_type = -1

    def __getattr__(self, name):
        async def ioctl(*arguments, dma=False):
            self.calls.append((name, *arguments, *(["dma"] if dma else [])))
            result = self.answers.get((name, *arguments), self.answers.get(name, 0))
            if result is None:
                await self.platform.event().wait()
            return result

        return ioctl

    async def set_irqtype(self, irq_type):
        self.calls.append(("set_irqtype", irq_type))
        self.irq_type = irq_type
        return self.answers.get(("set_irqtype", irq_type), 0)

    async def get_irqtype(self):
        return self.answers.get("get_irqtype", self.irq_type)


class Target:
    def __init__(self, answers, dma):
        self.platform = VirtualPlatform()
        self.driver = Driver(self.platform, answers)
        self.dma = dma

    async def bring_up(self):
        return self.driver

    def heading(self):
        return "a heading"

    def notes(self):
        return ["a note"]


def go(answers=None, *, dma="memcpy", **options):
    """Run; return the results by name, the lines printed, the calls, and whether all is well."""
    target = Target(answers or {}, dma)
    lines = []
    tap = target.platform.run(run(target, Options(**options), lines.append), limit=10000)
    return {result.name: result for result in tap.results}, lines, target.driver.calls, tap.good


def test_names_and_order_are_the_kernels():
    assert [test.name for test in all_tests()] == NAMES
    assert len(NAMES) == 23


def test_everything_passes():
    results, lines, calls, good = go()
    assert good
    assert [line for line in lines if line[:2] == "ok"] == [f"ok {n} {name}" for n, name in enumerate(NAMES, 1)]
    assert lines[:4] == ["TAP version 13", "1..23", "# Starting 23 tests from 10 test cases.", "# a heading"]
    assert lines[4:7] == [f"#  RUN           {NAMES[0]} ...", f"#            OK  {NAMES[0]}", f"ok 1 {NAMES[0]}"]
    assert lines[-3:] == [
        "# a note",
        "# PASSED: 23 / 23 tests passed.",
        "# Totals: pass:23 fail:0 xfail:0 xpass:0 skip:0 error:0",
    ]
    assert {result.verdict for result in results.values()} == {Verdict.PASS}
    assert [call for call in calls if call[0] == "msi_test"] == [("msi_test", n) for n in range(1, 33)]
    assert [call for call in calls if call[0] == "msix_test"] == [("msix_test", n) for n in range(1, 2049)]
    for name in ("read_test", "write_test", "copy_test"):
        expected = [*((name, size) for size in SIZES), *((name, size, "dma") for size in SIZES)]
        assert [call for call in calls if call[0] == name] == expected


def test_vectors_are_set_as_each_test_wants_them():
    _, _, calls, _ = go()
    wanted = [3] * 6 + [0, 1, 2] + [3] * 7
    assert [call[1] for call in calls if call[0] == "set_irqtype"] == wanted


@pytest.mark.parametrize(
    ("ioctl", "name", "codes"),
    [
        ("bar_test", "pci_ep_bar.BAR3.BAR_TEST", {errno.ENODATA, errno.ENOBUFS}),
        (
            "bar_subrange_test",
            "pci_ep_bar.BAR3.BAR_SUBRANGE_TEST",
            {errno.ENODATA, errno.EBUSY, errno.EOPNOTSUPP, errno.ENOBUFS, errno.ENOSPC},
        ),
        ("bars_test", "pci_ep_basic.CONSECUTIVE_BAR_TEST", set()),
        ("intx_test", "pci_ep_basic.LEGACY_IRQ_TEST", set()),
        ("msi_test", "pci_ep_basic.MSI_TEST", {errno.EINVAL}),
        ("msix_test", "pci_ep_basic.MSIX_TEST", {errno.EINVAL}),
        ("read_test", "pci_ep_data_transfer.memcpy.READ_TEST", set()),
        ("write_test", "pci_ep_data_transfer.dma.WRITE_TEST", set()),
        ("copy_test", "pci_ep_data_transfer.memcpy.COPY_TEST", set()),
        ("doorbell_test", DOORBELL, {errno.EOPNOTSUPP}),
    ],
)
def test_which_errors_are_skips(ioctl, name, codes):
    """Each test alone accepts the errors that the kernel's list accepts, and fails with every other one."""
    for code in (*range(1, 134), errno.ETIMEDOUT):
        results, lines, _, good = go({ioctl: -code}, only=(name,))
        verdict = Verdict.SKIP if code in codes else Verdict.FAIL
        assert (results[name].verdict, good) == (verdict, code in codes), code
        found = next(line for line in lines if line.startswith(("ok ", "not ok ")))
        assert found == (f"ok 1 {name} # SKIP {results[name].reason}" if code in codes else f"not ok 1 {name}")
        wanted = f"(-{errno.errorcode[code]})" if code in codes else ""
        assert results[name].reason.partition(" (")[1:] == ((" (", wanted[1:]) if wanted else ("", ""))


def test_a_failure_says_what_and_why():
    _, lines, _, good = go({("msi_test", 7): -errno.EIO}, only=("*.MSI_TEST",))
    assert not good
    assert lines[4:] == [
        "#  RUN           pci_ep_basic.MSI_TEST ...",
        "# MSI_TEST: MSI7: expected 0, got -5 (-EIO)",
        "# MSI_TEST: Test failed",
        "#          FAIL  pci_ep_basic.MSI_TEST",
        "not ok 1 pci_ep_basic.MSI_TEST",
        "# a note",
        "# FAILED: 0 / 1 tests passed.",
        "# Totals: pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0",
    ]


def test_vectors_after_a_failure_are_still_asked_for():
    _, lines, calls, _ = go({("msix_test", n): -errno.ETIMEDOUT for n in (1, 2000)}, only=("*.MSIX_TEST",))
    assert sum("ETIMEDOUT" in line for line in lines) == 2
    assert calls[-1] == ("msix_test", 2048)


def test_the_first_missing_vector_ends_the_test():
    results, lines, calls, good = go({("msi_test", 17): -errno.EINVAL}, only=("*.MSI_TEST",))
    assert good
    assert results["pci_ep_basic.MSI_TEST"].reason == "MSI17 is disabled (-EINVAL)"
    assert "#      SKIP      MSI17 is disabled (-EINVAL)" in lines
    assert lines[-2] == "# 1 skipped test(s) detected."
    assert calls[-1] == ("msi_test", 17)


def test_a_skip_does_not_hide_a_failure():
    answers = {("msix_test", 1): -errno.EIO, ("msix_test", 9): -errno.EINVAL}
    results, _, _, good = go(answers, only=("*.MSIX_TEST",))
    assert (results["pci_ep_basic.MSIX_TEST"].verdict, good) == (Verdict.FAIL, False)


@pytest.mark.parametrize(
    ("name", "irq_type", "ioctl"),
    [
        ("pci_ep_bar.BAR1.BAR_SUBRANGE_TEST", 3, "bar_subrange_test"),
        ("pci_ep_basic.LEGACY_IRQ_TEST", 0, "intx_test"),
        ("pci_ep_basic.MSI_TEST", 1, "msi_test"),
        ("pci_ep_basic.MSIX_TEST", 2, "msix_test"),
        ("pci_ep_data_transfer.memcpy.COPY_TEST", 3, "copy_test"),
        (DOORBELL, 3, "doorbell_test"),
    ],
)
def test_without_vectors_a_test_fails_at_once(name, irq_type, ioctl):
    results, _, calls, _ = go({("set_irqtype", irq_type): -errno.ENOSPC}, only=(name,))
    assert results[name].verdict is Verdict.FAIL
    assert ioctl not in [call[0] for call in calls]


def test_the_wrong_type_fails():
    results, _, calls, _ = go({"get_irqtype": 1}, only=("*.MSI*_TEST",))
    verdicts = [result.verdict for result in results.values()]
    assert verdicts == [Verdict.PASS, Verdict.FAIL]
    assert not [call for call in calls if call[0] == "msix_test"]


def test_a_transfer_without_end_is_given_up():
    answers = {("write_test", 1025): None}
    results, lines, calls, good = go(answers, only=("*.memcpy.*",), limit=5.0)
    assert [result.verdict for result in results.values()] == [Verdict.PASS, Verdict.FAIL, Verdict.PASS]
    assert "# WRITE_TEST: Test terminated by timeout" in lines
    assert not good
    assert ("write_test", 1024000) not in calls


def test_dma():
    dma = [name for name in NAMES if ".dma." in name]
    results, _, calls, good = go(dma="none")
    assert good
    assert [name for name, result in results.items() if result.verdict is Verdict.SKIP] == dma
    assert not [call for call in calls if "dma" in call]


@pytest.mark.parametrize(
    ("engine", "answer", "verdict", "good"),
    [
        ("slave", -errno.EIO, Verdict.XFAIL, True),
        ("slave", 0, Verdict.XPASS, True),
        ("memcpy", -errno.EIO, Verdict.FAIL, False),
        ("none", -errno.EIO, Verdict.XFAIL, True),
        ("none", None, Verdict.XFAIL, True),
    ],
)
def test_expected_failures(engine, answer, verdict, good):
    name = "pci_ep_data_transfer.dma.COPY_TEST"
    results, lines, _, well = go({"copy_test": answer}, dma=engine, force_dma=True, only=(name,))
    assert (results[name].verdict, well) == (verdict, good)
    wanted = f"ok 1 {name} # {verdict.name} " if good else f"not ok 1 {name}"
    assert any(line.startswith(wanted) for line in lines)


def test_only_copying_is_expected_to_fail_with_an_engine_for_the_host():
    results, _, _, good = go({"read_test": -errno.EIO}, dma="slave", only=("*.dma.READ_TEST",))
    assert [result.verdict for result in results.values()] == [Verdict.FAIL]
    assert not good


def test_rounds_sizes_and_patterns():
    target = Target({}, "memcpy")
    lines = []
    options = Options(sizes=(4, 8), only=("*.memcpy.READ_TEST", "*.DOORBELL_TEST"), rounds=3)
    tap = target.platform.run(run(target, options, lines.append))
    assert tap.good
    assert len(tap.results) == 6
    assert lines[1:3] == ["1..6", "# Starting 6 tests from 6 test cases."]
    numbers = [int(re.match(r"ok (\d+)", line)[1]) for line in lines if line.startswith("ok")]
    assert numbers == list(range(1, 7))
    assert [call for call in target.driver.calls if call[0] == "read_test"] == [("read_test", 4), ("read_test", 8)] * 3


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"rounds": 0}, "0"),
        ({"limit": 0.0}, "0.0"),
        ({"sizes": ()}, r"\(\)"),
        ({"sizes": (0,)}, r"\(0,\)"),
        ({"only": ("*.MSY_TEST",)}, r"'\*.MSY_TEST'"),
    ],
)
def test_wrong_options(options, wrong):
    with pytest.raises(ValueError, match=f"not {wrong}"):
        selected(Options(**options))


def test_a_driver_that_breaks_breaks_the_run():
    async def broken():
        raise RuntimeError("no such ioctl")

    target = Target({}, "memcpy")
    target.driver.bars_test = broken
    with pytest.raises(RuntimeError, match="no such ioctl"):
        target.platform.run(run(target, Options(only=("*.CONSECUTIVE_BAR_TEST",)), print))
