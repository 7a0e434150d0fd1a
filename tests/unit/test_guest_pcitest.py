"""The selftest's list for a guest: what its shell is told to do, and what its console is taken for."""

import subprocess

import pytest

from epbell_models.selftest.tap import TapWriter
from epbell_models.selftest.tests import all_tests
from epbell_tb.guest.pcitest import REFUSED, Listener, Plan, plan, script

BARS = (4096, 4096, 4096, 0, 4096, 8192)
OLD = "Linux 6.1's driver has no such test"
TESTS = [Plan("first", ("pcitest -b 0",)), Plan("second", skip="no such thing"), Plan("third", ("pcitest -l", "ring"))]
GOOD = """
@@ booted
# Linux 6.1
@@ bound
@@ begin 0
BAR0:\t\tOKAY
@@ end 0
@@ begin 2
LEGACY IRQ:\tOKAY
ok 1 - rung
@@ end 2
@@ ended
"""


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def listen(text, plans=TESTS):
    out = []
    tap = TapWriter(out.append)
    tap.begin(len(plans), len(plans))
    listener = Listener(plans, tap, Clock())
    for line in text.strip().splitlines():
        listener.line(line)
    return listener, tap, [line for line in out if line.startswith(("ok", "not ok"))], out


def planned(name, **options):
    given = {"sizes": (1, 1025), "bar_sizes": BARS, **options}
    (found,) = [one for one in plan(all_tests(), **given) if one.name.endswith(name)]
    return found


def test_every_test_of_the_list_has_its_place():
    assert [one.name for one in plan(all_tests(), sizes=(1,), bar_sizes=BARS)] == [test.name for test in all_tests()]


def test_bars():
    assert planned("BAR0.BAR_TEST") == Plan("pci_ep_bar.BAR0.BAR_TEST", ("pcitest -b 0",), accesses=2)
    assert planned("BAR5.BAR_TEST") == Plan("pci_ep_bar.BAR5.BAR_TEST", ("pcitest -b 5",), accesses=4096)
    assert planned("BAR3.BAR_TEST").skip == "BAR is disabled"
    assert planned("BAR4.BAR_TEST", reserved=4).skip == "BAR is reserved, which Linux 6.1's driver does not know"
    assert planned("BAR4.BAR_SUBRANGE_TEST").skip == planned("CONSECUTIVE_BAR_TEST").skip == OLD


def test_interrupts_and_transfers():
    assert planned("LEGACY_IRQ_TEST").commands == ("pcitest -i 0", "pcitest -l")
    assert planned("MSI_TEST").commands == ("pcitest -i 1", "vectors 1", "pcitest -m 1")
    assert planned("MSIX_TEST", msix=2).commands == ("pcitest -i 2", "vectors 2", "pcitest -x 1", "pcitest -x 2")
    assert planned("memcpy.COPY_TEST").commands == ("pcitest -i 1", "pcitest -c -s 1", "pcitest -c -s 1025")
    assert "no DMA engine" in planned("dma.COPY_TEST").skip


def test_doorbell_with_either_kind_of_interrupt():
    test = planned("DOORBELL_TEST", rings=3)
    device = "/sys/bus/pci/devices/0000:00:04.0"
    assert test.commands == ("pcitest -i 1", f"ring {device} 1 3", "pcitest -i 2", f"ring {device} 2 3")


RUNG = """@@ begin 0
SET IRQ TYPE TO MSI:\tOKAY
ok 1 - ENABLE_DOORBELL: STATUS 0x400, 1 interrupts
ok 3 - 3 of 3 rings: STATUS 0x200, 1 interrupts
SET IRQ TYPE TO MSI-X:\tOKAY
ok 1 - ENABLE_DOORBELL: STATUS 0x400, 1 interrupts
ok 3 - 3 of 3 rings: STATUS 0x200, 1 interrupts
@@ end 0
@@ ended"""


@pytest.mark.parametrize(
    ("said", "instead", "verdict"),
    [
        ("", "", "ok"),
        ("ok 3 - 3 of 3 rings: STATUS 0x200, 1 interrupts\nSET", "SET", "not ok"),
        ("ok 3 - 3 of 3 rings: STATUS 0x200, 1 interrupts\n@@", "@@", "not ok"),
        ("ok 3 - 3 of 3 rings", "ok 3 - 3 of 30 rings", "not ok"),
        ("ok 3 - 3 of 3 rings", "not ok 3 - 3 of 3 rings", "not ok"),
        ("ok 3 - 3 of 3 rings", "ok 3 - 2 of 3 rings", "not ok"),
    ],
)
def test_every_ring_has_to_be_told(said, instead, verdict):
    """A program that rings nothing, with either kind of interrupt, and says nothing has not passed."""
    plans = [planned("DOORBELL_TEST", rings=3)]
    assert listen(RUNG.replace(said, instead, 1), plans)[2] == [f"{verdict} 1 pcie_ep_doorbell.DOORBELL_TEST"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_vectors_are_counted(number, tmp_path):
    """The guest has two: the shell's own function says whether that is what was asked for."""
    text = script([Plan("vectors", (f"vectors {number}",))]).replace("/sys/bus/pci/devices", str(tmp_path))
    (tmp_path / "0000:00:04.0" / "msi_irqs").mkdir(parents=True)
    for vector in ("40", "41"):
        (tmp_path / "0000:00:04.0" / "msi_irqs" / vector).touch()
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=20, check=False)
    results = listen(done.stdout, [Plan("vectors", (f"vectors {number}",))])[2]
    assert results == ["ok 1 vectors" if number == 2 else "not ok 1 vectors"]


def test_the_shell_understands_it(tmp_path):
    """A shell runs the script with programs that fail or not; the marks tell which."""
    for name, status in {"pcitest": 0, "ring": 22, "dmesg": 0}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} $*: OKAY\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script(TESTS)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    marks = [line for line in done.stdout.splitlines() if line.startswith(("@@", "pcitest", "ring"))]
    assert marks == [
        "@@ booted",
        "@@ begin 0",
        "pcitest -b 0: OKAY",
        "@@ end 0",
        "@@ begin 2",
        "pcitest -l: OKAY",
        "ring : OKAY",
        "@@ status 22",
        "@@ end 2",
        "@@ ended",
    ]


def test_a_good_run():
    listener, tap, results, out = listen(GOOD)
    assert results == ["ok 1 first", "ok 2 second # SKIP no such thing", "ok 3 third"]
    assert tap.good
    assert (listener.booted, listener.bound, listener.ended) == (1.0, 2.0, 7.0)
    assert "# BAR0: OKAY" in out


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("BAR0:\t\tOKAY", "BAR0:\t\tNOT OKAY"),
        ("BAR0:\t\tOKAY", "BAR0:\t\tTEST FAILED"),
        ("BAR0:\t\tOKAY", "BAR0:\t\tOKAY\n@@ status 1"),
        ("BAR0:\t\tOKAY", ""),
    ],
)
def test_a_test_fails(said, instead):
    _, tap, results, _ = listen(GOOD.replace(said, instead))
    assert results == ["not ok 1 first", "ok 2 second # SKIP no such thing", "ok 3 third"]
    assert not tap.good


@pytest.mark.parametrize("instead", ["not ok 1 - rung", "", "ok 1 - rung\n@@ status 22"])
def test_a_ring_fails(instead):
    _, _, results, _ = listen(GOOD.replace("ok 1 - rung", instead))
    assert results[2] == "not ok 3 third"


REFUSAL = f"""@@ begin 0
SET IRQ TYPE TO MSI:\tOKAY
@@ status {REFUSED}
SET IRQ TYPE TO MSI-X:\tOKAY
@@ status {REFUSED}
@@ end 0
@@ ended"""


@pytest.mark.parametrize(
    ("said", "instead", "verdict"),
    [
        ("", "", "ok"),
        (f"@@ status {REFUSED}\n@@", "@@", "not ok"),
        (f"@@ status {REFUSED}\nSET", "SET", "not ok"),
        (f"@@ status {REFUSED}", "@@ status 22", "not ok"),
        (f"@@ status {REFUSED}", f"not ok 3 - 0 of 10 rings\n@@ status {REFUSED}", "not ok"),
        (f"@@ status {REFUSED}", f"ok 1 - enable\n@@ status {REFUSED}", "not ok"),
        ("SET IRQ TYPE TO MSI:\tOKAY\n", "", "not ok"),
        ("SET IRQ TYPE TO MSI:\tOKAY\n", "SET IRQ TYPE TO MSI:\tNOT OKAY\n", "not ok"),
    ],
)
def test_a_doorbell_that_must_be_refused(said, instead, verdict):
    """With both kinds of interrupt, and nothing else."""
    plans = [planned("DOORBELL_TEST", no_doorbell="no doorbell here")]
    reason = " # XFAIL no doorbell here" if verdict == "ok" else ""
    (result,) = listen(REFUSAL.replace(said, instead, 1), plans)[2]
    assert result == f"{verdict} 1 pcie_ep_doorbell.DOORBELL_TEST{reason}"


def test_a_guest_that_hangs():
    listener, tap, results, _ = listen(GOOD[: GOOD.index("LEGACY")])
    assert results == ["ok 1 first", "ok 2 second # SKIP no such thing"]
    assert listener.ended is None
    listener.give_up("the guest did not come to its end")
    assert not tap.good
    assert [result.good for result in tap.results] == [True, True, False]


def test_a_script_that_leaves_a_test_out():
    _, tap, results, _ = listen(GOOD.replace("@@ begin 0\nBAR0:\t\tOKAY\n@@ end 0\n", ""))
    assert results[0] == "not ok 1 first"
    assert not tap.good


def test_speed_of_whole_bars():
    plans = [Plan("registers", ("a",), accesses=2), Plan("bar", ("b",), accesses=2048)]
    listener, *_ = listen("@@ begin 0\nOKAY\n@@ end 0\n@@ begin 1\nOKAY\n@@ end 1\n@@ ended", plans)
    assert (listener.accesses, listener.seconds) == (2048, 1.0)
