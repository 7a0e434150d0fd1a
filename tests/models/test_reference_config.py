"""Configuration space: capabilities as PCI Express lays them out, power states, resets."""

import pytest

from epbell_models.host.pci import PciDevice
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.capabilities import MsiCapability, MsixCapability, PciExpressCapability, PowerCapability
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.reference.endpoint import ReferenceEndpoint
from epbell_models.reference.link import ReferenceLink

SIZES = (0x4000, 0, 0x1000, 0, 0, 0)
ONES = 0xFFFF_FFFF
MEMORY, MASTER, INTX_DISABLE = 0x2, 0x4, 0x400


def full(**options):
    parts = {
        "msi": MsiCapability(5, maskable=True),
        "msix": MsixCapability(2048),
        "power": PowerCapability(),
        "express": PciExpressCapability(),
        "pin": 1,
    }
    return ConfigSpace(SIZES, **(parts | options))


def capabilities(config):
    """Walk the list; return the place of every capability by its number."""
    found, at = {}, config.read32(0x34)
    while at:
        header = config.read32(at)
        found[header & 0xFF] = at
        at = header >> 8 & 0xFF
    return found


def test_the_list():
    assert list(capabilities(full())) == [0x01, 0x05, 0x10, 0x11]
    assert list(capabilities(full(power=None, express=None))) == [0x05, 0x11]
    assert capabilities(ConfigSpace(SIZES)) == {0x05: 0x50}
    assert full().read32(0x04) == 0x0010_0000


@pytest.mark.parametrize(
    ("options", "control", "size"),
    [
        ({"wide": False}, 0x000A, 0x0C),
        ({"wide": True}, 0x008A, 0x10),
        ({"wide": False, "maskable": True}, 0x010A, 0x14),
        ({"wide": True, "maskable": True}, 0x018A, 0x18),
    ],
)
def test_the_four_msi_layouts(options, control, size):
    config = full(msi=MsiCapability(5, **options))
    for at in range(0x50, 0x68, 4):
        config.write32(at, ONES)
    words = [config.read32(0x50 + at) for at in range(4, size, 4)]
    upper = [ONES] if options["wide"] else []
    rest = [0xFFFF, *([ONES, 0] if options.get("maskable") else [])]
    assert (config.read32(0x50) >> 16, words) == (control | 0x71, [0xFFFF_FFFC, *upper, *rest])
    assert [config.read32(0x50 + at) for at in range(size, 0x18, 4)] == [0] * ((0x18 - size) // 4)


def test_msi_messages():
    config = full(msi=MsiCapability(5, wide=False))
    for at, value in ((0x54, 0xFEE0_1000), (0x58, 0x1240), (0x50, 1 << 16 | 3 << 20)):
        config.write32(at, value)
    assert (config.msi_enabled, config.msi_multiple) == (True, 3)
    messages = [config.msi_message(vector) for vector in (0, 7, 8)]
    assert messages == [(0xFEE0_1000, data) for data in (0x1240, 0x1247, 0x1240)]


def test_pending_bits_read_what_the_function_says():
    config = full()
    config.msi.pending = 0x8000_0001
    assert config.read32(0x64) == 0x8000_0001


@pytest.mark.parametrize("log2", [-1, 6])
def test_number_of_msi_vectors(log2):
    with pytest.raises(ValueError, match=f"not {log2}"):
        MsiCapability(log2)


@pytest.mark.parametrize(
    ("options", "table", "pba"),
    [
        ({}, 0x80, 0x8080),
        ({"vectors": 1}, 0x80, 0x90),
        ({"vectors": 33, "table": (2, 0x100)}, 0x102, 0x312),
        ({"table": (1, 0), "pba": (3, 0x8)}, 0x1, 0xB),
    ],
)
def test_msix(options, table, pba):
    config = full(msix=MsixCapability(**options))
    for at in (0xB0, 0xB4, 0xB8):
        config.write32(at, ONES)
    vectors = options.get("vectors", 2048)
    assert [config.read32(at) for at in (0xB0, 0xB4, 0xB8)] == [0xC000_0011 | vectors - 1 << 16, table, pba]
    assert config.msix_enabled
    assert config.msix_masked


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"vectors": 0}, "0"),
        ({"vectors": 2049}, "2049"),
        ({"table": (6, 0)}, r"\(6, 0\)"),
        ({"pba": (0, 4)}, r"\(0, 4\)"),
    ],
)
def test_what_msix_cannot_be(options, wrong):
    with pytest.raises(ValueError, match=f"not {wrong}$"):
        MsixCapability(**options)


@pytest.mark.parametrize(("pin", "read"), [(0, 0x000B), (1, 0x010B), (4, 0x040B)])
def test_interrupt_pin_and_line(pin, read):
    config = full(pin=pin)
    config.write32(0x3C, 0xFFFF_FF0B)
    assert config.read32(0x3C) == read
    assert config.intx_allowed == (pin > 0)


def test_there_are_four_pins():
    with pytest.raises(ValueError, match="not 5"):
        full(pin=5)


def test_what_keeps_intx_quiet():
    for at, value in ((0x04, INTX_DISABLE), (0x50, 1 << 16), (0xB0, 1 << 31), (0x44, 3)):
        config = full()
        config.write32(0x04, 0)
        assert config.intx_allowed
        config.write32(at, value)
        assert not config.intx_allowed


def test_interrupt_status():
    config = full()
    config.interrupt_status = True
    config.write32(0x04, INTX_DISABLE)
    assert config.read32(0x04) == 0x0018_0400


def program(config):
    """Set everything a reset clears."""
    for at, value in ((0x04, 0x546), (0x10, 0x9000_0000), (0x3C, 11), (0x54, 0xFEE0_0000), (0x5C, 4), (0x60, 1)):
        config.write32(at, value)
    for at, value in ((0x50, 0x0051_0000), (0xB0, 0xC000_0000), (0x78, 0x0020)):
        config.write32(at, value)


REGISTERS = (0x04, 0x10, 0x3C, 0x50, 0x54, 0x5C, 0x60, 0xB0)


def test_function_level_reset():
    config, resets, flrs = full(), [], []
    config.on_function_reset = lambda: resets.append(config.master)
    config.on_flr = lambda: flrs.append(len(resets))
    at_reset = [config.read32(at) for at in REGISTERS]
    assert config.read32(0x74) >> 28 & 1, "the function says that it can"
    program(config)
    set_ = [config.read32(at) for at in REGISTERS]
    assert all(now != before for now, before in zip(set_, at_reset, strict=True))
    config.write32(0x78, 0x0020)
    assert not resets
    config.write32(0x78, 0x8020)
    assert [config.read32(at) for at in REGISTERS] == at_reset
    assert resets == [False]
    assert config.read32(0x78) == 0x2830, "the payload size stays; the bit that resets reads zero"
    config.write32(0x78, 0x0000)
    assert (len(resets), flrs) == (1, [1])
    config.reset()
    assert (len(resets), flrs) == (2, [1]), "a hot reset"


def test_power_states():
    config = full()
    program(config)
    before = [config.read32(at) for at in REGISTERS]
    seen = []
    for state in (3, 1, 2, 0, 1):
        config.write32(0x44, state)
        seen.append((config.read32(0x44), config.memory_enabled, config.master, config.decode(0x9000_0000)))
    off, on = (0xB, False, False, None), (0x8, True, True, (0, 0))
    assert seen == [off, off, off, on, on]
    assert [config.read32(at) for at in REGISTERS] == before, "it has no soft reset"
    assert config.read32(0x40) == 0x0003_5001


def test_a_function_that_resets_when_it_wakes_up():
    config, resets = full(power=PowerCapability(no_soft_reset=False)), []
    at_reset = [config.read32(at) for at in REGISTERS]
    config.on_function_reset = lambda: resets.append(1)
    program(config)
    config.write32(0x44, 0)
    config.write32(0x44, 3)
    assert (config.read32(0x44), resets) == (3, [])
    config.write32(0x44, 0)
    assert (config.read32(0x44), resets) == (0, [1])
    assert [config.read32(at) for at in REGISTERS] == at_reset


def test_in_d3hot_nothing_but_configuration_answers():
    platform = VirtualPlatform()
    link = ReferenceLink(platform, ReferenceEndpoint(SIZES), config=full())
    device = PciDevice(platform, link, link.receiver)

    async def main():
        await device.scan()
        await device.assign(0x8000_0000)
        await device.enable()
        link.endpoint.cpu_write32(0x5F31_0114, 0x6000_0000)
        link.endpoint.cpu_write32(0x5F31_0104, 0xC000_0000)
        seen = []
        for state in (0, 3, 0):
            await link.config_write32(0x44, state)
            await device.write32(0, 0, 7)
            seen.append((await device.read32(0, 0), len(link.memory.dropped), await link.config_read32(0)))
        return seen

    identity = 0x0808_1957
    assert platform.run(main()) == [(7, 0, identity), (ONES, 1, identity), (7, 1, identity)]


def test_a_function_without_the_extras():
    """The default is what it always was: MSI alone, 64 bits, no masks."""
    config = ConfigSpace(SIZES)
    for at in (0x40, 0x44, 0x60, 0x70, 0x78, 0xB0):
        config.write32(at, ONES)
        assert config.read32(at) == 0
    assert config.read32(0x50) == 0x008A_0005
    assert not config.intx_allowed
    assert not config.msix_enabled
    assert not config.msix_masked
