"""A stock kernel resets the RTL, lets its driver go, takes the device out and places it elsewhere; all goes on then."""

import pytest

from epbell_models import devicetree
from epbell_tb.guest import initramfs, packages, programs
from epbell_tb.guest.machine import Boot, Guest
from epbell_tb.guest.rtl_sim import RtlGuest, RtlSetup

pytestmark = pytest.mark.guest

MODULE = "pci_endpoint_test.ko"
LIMIT = 120.0
SCRIPT = r"""
device=/sys/bus/pci/devices/0000:00:04.0
driver=/sys/bus/pci/drivers/pci-endpoint-test
step() { "$@" > /said 2>&1 && echo "@ good" || { echo "@ bad: $*"; cat /said; }; }
name() { echo "1957 0808" > $driver/new_id; }
place() { head -n 1 $device/resource | cut -d ' ' -f 1; }
all() {
    step pcitest -i 0; step pcitest -l
    step pcitest -i 1; step pcitest -m 1
    step pcitest -r -s 101; step pcitest -w -s 101
    step ring $device 1 3
    step pcitest -i 2; step pcitest -x 4
    step pcitest -b 0
}
echo "@ start $(place)"
name; all
echo flr > $device/reset_method; echo 1 > $device/reset && echo "@ function-level reset"
step pcitest -x 3
all
echo 0000:00:04.0 > $driver/unbind; echo 0000:00:04.0 > $driver/bind && echo "@ bound again"
all
echo 1 > $device/remove; echo 1 > /sys/bus/pci/rescan; echo "@ found again $(place)"
all
"""
STEPS = 10


@pytest.mark.parametrize("tree", ["imx8", "imx8-edma"])
def test_resets_and_another_place(provided, tmp_path, tree):
    ring = programs.compiled("ring", packages.folder() / "programs")
    initrd = tmp_path / "initrd.gz"
    initramfs.write(
        initrd, busybox=provided.busybox, modules=[provided.modules / MODULE], programs=[provided.pcitest, ring],
        script=SCRIPT,
    )  # fmt: skip
    with RtlGuest(RtlSetup(devicetree.builtin(tree), stalls=True, msix=4), print) as endpoint:
        endpoint.start()
        with Guest(Boot(provided.qemu, provided.kernel, initrd), tmp_path / "log", LIMIT, slow=True) as guest:
            endpoint.attach(guest.link, guest.qtest)
            lines = list(guest.lines(lambda: not endpoint.failed()))
            assert not guest.timed_out, lines
            assert not guest.complaints
        figures = endpoint.finish()
    print("\n".join(lines))
    said = [line.removeprefix("@ ") for line in lines if line.startswith("@ ")]
    (start, first), (again, second) = (line.rsplit(" ", 1) for line in said if "0x" in line)
    good = ["good"]
    expected = [start, *good * STEPS, "function-level reset", "good", *good * STEPS]
    expected += ["bound again", *good * STEPS, again, *good * STEPS]
    assert [line.partition(" 0x")[0] for line in said] == expected
    assert first != second, "its BARs are elsewhere"
    assert (figures.resets, figures.function_resets) == (1, 1), "the machine, when it was switched on; the kernel"
