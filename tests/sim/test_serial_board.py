"""A board in simulation, its UART and all, at a pseudo-terminal: Linux's selftest over the serial port."""

import pytest

from epbell_tb import cli
from epbell_tb.serial import simulation
from epbell_tb.serial.host import SerialHost
from epbell_tb.serial.port import opened
from epbell_tb.serial.shapes import LARGE

DOORBELL = "pcie_ep_doorbell.DOORBELL_TEST"
SOME = ("*.BAR1.*", "*.LEGACY_IRQ_TEST", "*.MSI_TEST", "*memcpy.COPY_TEST", DOORBELL)


def only(patterns):
    return [word for pattern in patterns for word in ("--only", pattern)]


@pytest.mark.parametrize("trouble", [(), ("--flip", "3000", "--drop", "3000")], ids=["good", "bad"])
def test_selftest(trouble, capfd):
    """Interrupts of each kind but MSI-X, data both ways, doorbells; on a bad wire, too."""
    assert cli.main(["selftest", "--target", "serial", "--sizes", "1,1025", *only(SOME), *trouble]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sum(line.startswith("ok ") for line in lines) == 6
    assert not any(line.startswith("not ok") for line in lines)
    assert "# doorbell mu" in lines
    repeated = not any("0 bad frames, 0 asked for" in line for line in lines)
    assert repeated == bool(trouble)


@pytest.mark.long
def test_the_whole_list(capfd):
    assert cli.main(["selftest", "--target", "serial"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sum(line.startswith("ok ") for line in lines) == 23


def test_a_board_by_its_port(capfd):
    """`epbell board`, as for one on the table; a session after another one begins anew."""
    with simulation.simulated(simulation.compiled(LARGE)) as name:
        for _ in range(2):
            assert cli.main(["board", "--port", name, "info"]) == 0
        assert cli.main(["board", "--port", name, "selftest", *only([DOORBELL])]) == 0
    said = capfd.readouterr().out
    assert "BARs             64 KiB, 8 KiB, 8 KiB, 8 KiB, 8 KiB, 8 KiB" in said
    assert f"ok 1 {DOORBELL}" in said


def test_a_reset_loses_what_was_set():
    with simulation.simulated(simulation.compiled(LARGE)) as name, opened(name) as port:
        host = SerialHost(port)
        for value in (0x1234_0000, 0x5678_0000):
            host.open()
            places = host.found.tree.endpoint

            async def body(value=value, base=places.regs.address):
                assert await host.cpu.read32(base) == 0x4550_424C
                assert await host.cpu.read32(base + 0x50) == 0
                await host.cpu.write32(base + 0x50, value)
                assert await host.cpu.read32(base + 0x50) == value

            host.platform.run(body(), 10)
