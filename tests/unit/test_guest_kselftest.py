"""The kernel's own selftest in a guest: its TAP is handed on; and how its kernel is had."""

import subprocess

import pytest

from epbell_models.selftest.tap import TapWriter
from epbell_models.selftest.tests import all_tests
from epbell_tb.guest import newest, packages
from epbell_tb.guest.commands import MissingError
from epbell_tb.guest.kselftest import Relay, plan, script
from epbell_tb.guest.pcitest import Plan

PLANS = [
    Plan("pci_ep_bar.BAR0.BAR_TEST"),
    Plan("pci_ep_basic.MSI_TEST", skips=("MSI2 is disabled",)),
    Plan("pci_ep_data_transfer.dma.READ_TEST", skip="no DMA"),
    Plan("pcie_ep_doorbell.DOORBELL_TEST"),
]
SAID = """
@@ booted
# Linux 7.2
@@ bound
TAP version 13
1..3
# Starting 3 tests from 3 test cases.
#  RUN           pci_ep_bar.BAR0.BAR_TEST ...
#            OK  pci_ep_bar.BAR0.BAR_TEST
ok 1 pci_ep_bar.BAR0.BAR_TEST
#  RUN           pci_ep_basic.MSI_TEST ...
#      SKIP      MSI2 is disabled
#            OK  pci_ep_basic.MSI_TEST
ok 2 pci_ep_basic.MSI_TEST # SKIP MSI2 is disabled
#  RUN           pcie_ep_doorbell.DOORBELL_TEST ...
# pci_endpoint_test.c:260:DOORBELL_TEST:Expected 0 (0) == ret (-22)
# DOORBELL_TEST: Test failed
#          FAIL  pcie_ep_doorbell.DOORBELL_TEST
not ok 3 pcie_ep_doorbell.DOORBELL_TEST
# FAILED: 2 / 3 tests passed.
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
@@ ended
"""
GOOD = SAID.replace("not ok 3", "ok 3")


def relay(said, plans=PLANS):
    out = []
    tap = TapWriter(out.append)
    tap.begin(len(plans), len(plans))
    listener = Relay(plans, tap, iter(range(100)).__next__)
    for line in said.strip().splitlines():
        listener.line(line)
    return listener, tap, [line for line in out if line.startswith(("ok", "not ok"))], out


def test_results_keep_their_names_and_reasons():
    listener, tap, results, out = relay(GOOD)
    assert results == [
        "ok 1 pci_ep_bar.BAR0.BAR_TEST",
        "ok 2 pci_ep_basic.MSI_TEST # SKIP MSI2 is disabled",
        "ok 3 pci_ep_data_transfer.dma.READ_TEST # SKIP no DMA",
        "ok 4 pcie_ep_doorbell.DOORBELL_TEST",
    ]
    assert tap.good
    assert (listener.booted, listener.bound, listener.ended) == (0, 1, 2)
    assert "# Linux 7.2" in out
    assert sum("Starting" in line or "Totals" in line for line in out) == 1, "its own totals are not ours"


def test_a_failure_and_what_is_said_about_it():
    _, tap, results, out = relay(SAID)
    assert results[3] == "not ok 4 pcie_ep_doorbell.DOORBELL_TEST"
    assert not tap.good
    assert "# pci_endpoint_test.c:260:DOORBELL_TEST:Expected 0 (0) == ret (-22)" in out


def test_a_test_that_must_fail():
    plans = [*PLANS[:3], Plan(PLANS[3].name, expected="no doorbell")]
    assert relay(SAID, plans)[2][3] == "ok 4 pcie_ep_doorbell.DOORBELL_TEST # XFAIL no doorbell"
    assert relay(GOOD, plans)[2][3] == "not ok 4 pcie_ep_doorbell.DOORBELL_TEST"
    assert relay(SAID.replace("(-22)", "(-5)"), plans)[2][3] == "not ok 4 pcie_ep_doorbell.DOORBELL_TEST"
    early = SAID.replace("#  RUN           pci_ep_basic", "# x.c:1:DOORBELL_TEST:Expected 0 (0) == ret (-22)\n# RUN", 1)
    assert relay(early.replace("(-22)\n# DOORB", "(-5)\n# DOORB"), plans)[2][3].startswith("not ok"), "of another test"


@pytest.mark.parametrize(
    ("number", "said", "instead"),
    [
        (1, "ok 2 pci_ep_basic.MSI_TEST # SKIP MSI2 is disabled", "ok 2 pci_ep_basic.MSI_TEST # SKIP MSI1 is disabled"),
        (1, "ok 2 pci_ep_basic.MSI_TEST # SKIP MSI2 is disabled", "ok 2 pci_ep_basic.MSI_TEST"),
        (1, "ok 2 pci_ep_basic.MSI_TEST # SKIP MSI2", "ok 2 pci_ep_basic.MSI_TEST # XFAIL MSI2"),
        (3, "DOORBELL_TEST\n# FAILED", "DOORBELL_TEST # SKIP Doorbell test is not supported\n# FAILED"),
        (3, "DOORBELL_TEST\n# FAILED", "DOORBELL_TEST # XFAIL whatever\n# FAILED"),
    ],
)
def test_only_what_is_foreseen_is_skipped(number, said, instead):
    assert said in GOOD
    _, tap, results, _ = relay(GOOD.replace(said, instead))
    assert results[number] == f"not ok {number + 1} {PLANS[number].name}"
    assert [result.good for result in tap.results].count(False) == 1


def test_what_is_foreseen():
    def skips(**options):
        given = {"bar_sizes": (4096, 4096, 4096, 0, 4096, 4096), "msix": 32, "windows": 8, **options}
        return {one.name.partition(".")[2]: one.skips for one in plan(all_tests(), {}, **given) if one.skips != ("",)}

    expected = {
        "BAR0.BAR_SUBRANGE_TEST": ("BAR is test register space",),
        "BAR3.BAR_TEST": ("BAR is disabled",),
        "BAR3.BAR_SUBRANGE_TEST": ("BAR is disabled",),
        "MSI_TEST": ("MSI2 is disabled",),
        "MSIX_TEST": ("MSI-X33 is disabled",),
    }
    reserved = {"BAR4.BAR_TEST": ("BAR is reserved",), "BAR4.BAR_SUBRANGE_TEST": ("BAR is reserved",)}
    assert skips() == expected
    assert skips(reserved=4) == expected | reserved
    assert skips(msix=2) == expected | {"MSIX_TEST": ("MSI-X3 is disabled",)}
    assert "MSIX_TEST" not in skips(msix=2048)
    assert skips(windows=7)["BAR5.BAR_SUBRANGE_TEST"] == ("", "Not enough inbound windows")


def test_why_something_is_not_run():
    plans = plan(
        all_tests(), {"dma": "no DMA", "BAR_SUBRANGE_TEST": "slow"}, bar_sizes=(64,) * 6, msix=1, windows=8,
        no_doorbell="no doorbell",
    )  # fmt: skip
    assert {one.name.rpartition(".")[2] for one in plans if one.skip == "slow"} == {"BAR_SUBRANGE_TEST"}
    assert sum(one.skip == "no DMA" for one in plans) == 3
    assert [one.name for one in plans if one.expected == "no doorbell"] == ["pcie_ep_doorbell.DOORBELL_TEST"]


def test_a_test_that_did_not_run_has_failed():
    assert relay(GOOD.replace("ok 1 pci", "").replace("ok 3 pcie", ""))[2] == [
        "not ok 1 pci_ep_bar.BAR0.BAR_TEST",
        "ok 2 pci_ep_basic.MSI_TEST # SKIP MSI2 is disabled",
        "ok 3 pci_ep_data_transfer.dma.READ_TEST # SKIP no DMA",
        "not ok 4 pcie_ep_doorbell.DOORBELL_TEST",
    ]


def test_a_guest_that_hangs():
    listener, tap, _, _ = relay(GOOD[: GOOD.index("ok 2")])
    listener.give_up("it hangs")
    assert [result.good for result in tap.results] == [True, False, False, False]


def test_a_test_that_is_not_in_the_list_is_told():
    _, _, results, out = relay(GOOD.replace("# Totals", "ok 4 pci_ep_new.TEST\n# Totals"))
    assert len(results) == 4
    assert "# the selftest has a test more, or twice: pci_ep_new.TEST" in out


def test_what_is_left_out():
    assert "\nselftest -V dma -V memcpy\n" in script(("dma", "memcpy"))
    assert "\nselftest -V dma -T SLOW_TEST\n" in script(("dma",), ("SLOW_TEST",))
    assert subprocess.run(["sh", "-n", "-c", script(())], check=False).returncode == 0


def test_a_compiler_without_the_options_that_it_does_not_know(tmp_path, monkeypatch):
    gcc = tmp_path / "gcc"
    gcc.write_text('#!/bin/sh\necho "$*"\n')
    gcc.chmod(0o755)
    compiler = newest._compiler(tmp_path, ["-fmin-function-alignment=16", "-fnew"])
    said = subprocess.run(
        [str(compiler), "-O2", "-fnew", "-fmin-function-alignment=16", "-DX=a b", "x.c"],
        env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "-O2 -falign-functions=16 -DX=a b x.c\n"


def test_no_apt(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    with pytest.raises(MissingError, match="no apt with Debian's keys"):
        newest.provide(print)
    assert (packages.folder() / "newest").is_dir()
    assert not (packages.folder() / "newest" / "stamp.json").exists()


@pytest.mark.parametrize(
    ("places", "after", "mirror"),
    [
        (["file:/else/", "http://mirror.example/debian/", "http://other.example/debian"], None, "http://mirror.example/debian/"),
        ([], ["http://mirror.example/pub/debian"], "http://mirror.example/pub/debian"),
        (["http://mirror.example/debian-security/"], [], None),
    ],
)  # fmt: skip
def test_the_archive_is_the_one_of_this_machine(tmp_path, monkeypatch, places, after, mirror):
    """Where apt has no lists yet, they are fetched first."""
    listed = tmp_path / "listed"
    listed.write_text("\n".join(places) + "\n")
    monkeypatch.setattr(newest, "output", lambda command: listed.read_text() if command[1] == "indextargets" else "")
    updates = []

    def update(say):
        updates.append(say)
        listed.write_text("\n".join(after) + "\n")

    monkeypatch.setattr(newest, "apt_update", update)
    if mirror is None:
        with pytest.raises(MissingError, match="apt has no archive of Debian"):
            newest._mirror(print)
    else:
        assert newest._mirror(print) == mirror
    assert updates == ([] if after is None else [print])
