"""The RTL behind a guest's PCI slot: what the guest asks reaches it as packets, what it asks reaches the guest."""

import zlib

import pytest
from fake_machine import FakeMachine

from epbell_models import devicetree
from epbell_tb.guest.rtl_sim import RtlGuest, RtlSetup

COMMAND, BAR0 = 0x04, 0x10
MEMORY, MASTER, NO_INTX = 1 << 1, 1 << 2, 1 << 10
BASE, KIB = 0xC010_0000, 1 << 10
SIZES = [16 * KIB] * 5 + [64 * KIB]
MSI, MSIX = 0x05, 0x11
APIC, WORD = 0xFEE0_1000, 0x4021
CMD, STATUS, SOURCE, TARGET, SIZE, CHECKSUM, IRQ_TYPE, IRQ_NUMBER, CAPS = 4, 8, 0xC, 0x14, 0x1C, 0x20, 0x24, 0x28, 0x30
DB_BAR, DB_OFFSET, DB_DATA = 0x34, 0x38, 0x3C
RAISE_INTX, RAISE_MSI, RAISE_MSIX, DO_READ, DO_WRITE, ENABLE, DISABLE = (1 << n for n in (0, 1, 2, 3, 4, 6, 7))
RAISED, READ_OK, READ_FAIL, WRITE_OK, RANG, ENABLED, DISABLED = (1 << n for n in (6, 0, 1, 2, 9, 10, 12))
INTX_TYPE, MSI_TYPE, MSIX_TYPE = range(3)


SETUP = RtlSetup(devicetree.builtin("imx8"), bars="everyday", msix=8)


@pytest.fixture
def guest(tmp_path):
    """The RTL behind a machine that has just been switched on."""
    machine = FakeMachine(tmp_path / "qtest")
    with RtlGuest(SETUP, print) as guest:
        guest.start()
        guest.attach(machine.slot, tmp_path / "qtest")
        machine.start()
        yield guest, machine


def assign(machine):
    """Size and place the BARs as a kernel does; let the function decode and ask."""
    command = machine.config(COMMAND, 2)
    machine.configure(COMMAND, command & ~MEMORY, 2)
    addresses = []
    free = BASE
    for number, size in enumerate(SIZES):
        at = BAR0 + 4 * number
        assert machine.config(at) == 0
        machine.configure(at, 0xFFFF_FFFF)
        assert -machine.config(at) & 0xFFFF_FFFF == size
        free = -(-free // size) * size
        machine.configure(at, free)
        assert machine.config(at) == free
        addresses.append(free)
        free += size
    machine.configure(COMMAND, command | MEMORY | MASTER, 2)
    assert machine.config(COMMAND, 2) & (MEMORY | MASTER) == MEMORY | MASTER
    return addresses


def whole_config_space(machine):
    return b"".join(machine.config(at).to_bytes(4, "little") for at in range(0, 256, 4))


def command(machine, registers, word, irq_type, **values):
    for offset, value in values.items():
        machine.write(registers + int(offset[1:], 16), value)
    machine.write(registers + IRQ_TYPE, irq_type)
    machine.write(registers + IRQ_NUMBER, 0 if irq_type == INTX_TYPE else 1)
    machine.write(registers + CMD, word)


def test_a_kernel_and_its_driver(guest):
    endpoint, machine = guest
    drive(machine)
    machine.unplug()
    figures = endpoint.finish()
    assert (figures.resets, figures.interrupts, figures.doorbell) == (2, 9, "mu")


def test_a_write_to_where_the_guest_has_nothing_is_an_error(guest):
    endpoint, machine = guest
    registers = assign(machine)[0]
    command(machine, registers, DO_WRITE, INTX_TYPE, o14=0x4000_0000, o18=0, o1c=4)
    assert machine.until_heard(2) == [1, 0]
    assert machine.read(registers + STATUS) & WRITE_OK, "posted, so nobody is told"
    machine.unplug()
    with pytest.raises(RuntimeError, match="wrote to the guest where nothing is: 0x40000000"):
        endpoint.finish()


def test_a_check_that_complains_is_an_error(guest):
    """Here the one at the end: nothing was seen that could have been checked."""
    endpoint, machine = guest
    machine.unplug()
    with pytest.raises(RuntimeError, match="no request has been checked"):
        endpoint.finish()


def drive(machine):
    """Do what a kernel and pci_endpoint_test do: find, place, switch on, and use everything once."""
    assert machine.read(BASE) == 0xFFFF_FFFF, "nobody is there"
    space = whole_config_space(machine)
    assert space[:4] == bytes.fromhex("57190808")
    assert bytes(machine.config(at, 1) for at in range(256)) == space
    assert b"".join(machine.config(at, 2).to_bytes(2, "little") for at in range(0, 256, 2)) == space
    for at in (0x00, 0x08, 0x28, 0x2C, 0x30, 0x34, 0x38, 0x3D):  # read-only, or not there
        machine.configure(at, 0xFF, 1)
        assert machine.config(at, 1) == space[at]
    machine.configure(0x3C, 11, 1)
    assert machine.config(0x3C, 2) == 0x010B, "line, and pin INTA"

    registers, second, *_, last = assign(machine)
    assert machine.read(registers + CAPS) & 0x2E == 0x2E, "MSI, MSI-X, INTx, dynamic inbound mapping"
    accesses(machine, second)
    for bar in (second, last):
        machine.write(bar, bar)
    assert [machine.read(bar) for bar in (second, last)] == [second, last]

    command(machine, registers, RAISE_INTX, INTX_TYPE)
    assert machine.until_heard(2) == [1, 0]
    assert machine.read(registers + STATUS) == RAISED

    msi = machine.capability(MSI)
    machine.configure(msi + 4, APIC)
    machine.configure(msi + 8, 0)
    machine.configure(msi + 12, WORD, 2)
    machine.configure(msi + 2, machine.config(msi + 2, 2) & ~0x70 | 1, 2)
    command(machine, registers, RAISE_MSI, MSI_TYPE)
    assert machine.until_heard(1) == [(APIC, WORD)]
    transfers(machine, registers)
    doorbell(machine, registers)
    machine.configure(msi + 2, machine.config(msi + 2, 2) & ~1, 2)

    msix = machine.capability(MSIX)
    assert machine.config(msix + 2, 2) == 8 - 1
    assert machine.config(msix + 4) == 0x80, "the table is in BAR 0"
    for offset, value in ((0, APIC), (4, 0), (8, WORD + 1), (12, 0)):
        machine.write(registers + 0x80 + offset, value)
    machine.configure(msix + 2, 1 << 15, 2)
    command(machine, registers, RAISE_MSIX, MSIX_TYPE)
    assert machine.until_heard(1) == [(APIC, WORD + 1)]
    machine.configure(COMMAND, machine.config(COMMAND, 2) & ~MASTER, 2)

    assert machine.config(BAR0) == registers
    machine.reset()
    assert [machine.config(BAR0 + 4 * number) for number in range(6)] == [0] * 6
    assert not machine.config(COMMAND, 2) & MEMORY
    assert machine.read(registers) == 0xFFFF_FFFF, "nobody is there again"


def accesses(machine, address):
    """Bytes, words, dwords and quadwords, also such as cross a multiple of 4 KiB."""
    machine.write(address, 0x1122_3344_5566_7788, 8)
    machine.write(address + 3, 0xAA, 1)
    machine.write(address + 4, 0xBBCC, 2)
    assert machine.read(address, 8) == 0x1122_BBCC_AA66_7788
    assert machine.read(address + 1, 4) == 0xCCAA_6677
    assert machine.read(address + 3, 1) == 0xAA
    edge = address + 4 * KIB - 4
    machine.write(edge, 0x0123_4567_89AB_CDEF, 8)
    assert machine.read(edge, 8) == 0x0123_4567_89AB_CDEF
    assert machine.read(edge + 4) == 0x0123_4567


def checksum(data):
    return zlib.crc32(data) ^ 0xFFFF_FFFF


def transfers(machine, registers):
    """READ and WRITE, as pci_endpoint_test names them the other way round, and one from where nothing is."""
    data = bytes(range(256)) + b"end"
    machine.memory[0x2001 : 0x2001 + len(data)] = data
    command(machine, registers, DO_READ, MSI_TYPE, o20=checksum(data), o0c=0x2001, o10=0, o1c=len(data))
    assert machine.until_heard(1) == [(APIC, WORD)]
    assert machine.read(registers + STATUS) == RAISED | READ_OK

    command(machine, registers, DO_WRITE, MSI_TYPE, o14=0x3003, o18=0, o1c=100)
    assert machine.until_heard(1) == [(APIC, WORD)]
    assert machine.read(registers + STATUS) == RAISED | WRITE_OK
    written = bytes(machine.memory[0x3003 : 0x3003 + 100])
    assert machine.read(registers + CHECKSUM) == checksum(written)
    assert not any(machine.memory[0x3000:0x3003]), "before it"
    assert not any(machine.memory[0x3003 + 100 : 0x3100]), "behind it"

    command(machine, registers, DO_READ, MSI_TYPE, o20=checksum(bytes(4)), o0c=0x4000_0000, o10=0, o1c=4)
    assert machine.until_heard(1) == [(APIC, WORD)]
    assert machine.read(registers + STATUS) == RAISED | READ_FAIL


def doorbell(machine, registers):
    command(machine, registers, ENABLE, MSI_TYPE)
    assert machine.until_heard(1) == [(APIC, WORD)]
    assert machine.read(registers + STATUS) == RAISED | ENABLED
    word, offset, bar = (machine.read(registers + at) for at in (DB_DATA, DB_OFFSET, DB_BAR))
    machine.write(registers + STATUS, 0)
    machine.write(machine.config(BAR0 + 4 * bar) + offset, word)
    assert machine.until_heard(1) == [(APIC, WORD)]
    assert machine.read(registers + STATUS) == RAISED | RANG
    command(machine, registers, DISABLE, MSI_TYPE)
    assert machine.until_heard(1) == [(APIC, WORD)]
    assert machine.read(registers + STATUS) & DISABLED
