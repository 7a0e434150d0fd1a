"""The register maps against tables typed in by hand from the public descriptions of the hardware.

The tables are literal: they share nothing with the SystemRDL files, so a wrong map cannot agree with itself.
i.MX MU: the headers and drivers of the three layouts (Linux ``imx-mailbox`` and ``irq-imx-mu-msi`` among them).
Windows: see ``iatu_tables``. eDMA and HDMA: see ``edma_tables``.
"""

import edma_tables
import iatu_tables
import pytest
from systemrdl.node import FieldNode, RegNode
from systemrdl.rdltypes.builtin_enums import AccessType, OnWriteType

import epbell_regs

WHOLE, BYTES = 32, 8


def numbered(name, high, access, step=-1):
    """Four fields of one bit: by default with the reversed order of the older layouts, channel 0 highest."""
    return {f"{name}{n}": (high + step * n, high + step * n, access) for n in range(4)}


def straight(name, access, count=4):
    return {f"{name}{n}": (n, n, access) for n in range(count)}


def words(base, name, reset, access):
    width = WHOLE if name == "TR" else BYTES
    return {f"{name}{n}": (base + 4 * n, reset, width, {"DATA": (31, 0, access)}) for n in range(4)}


FLAGS_RO, FLAGS_RW = straight("F", "ro", 3), straight("F", "rw", 3)
OLD_SR = {
    **FLAGS_RO,
    "EP": (4, 4, "ro"),
    "PM": (6, 5, "const"),
    "RS": (7, 7, "ro"),
    "FUP": (8, 8, "ro"),
    **numbered("TE", 23, "ro"),
    **numbered("RF", 27, "ro"),
    **numbered("GIP", 31, "w1c"),
}
OLD_CR = {
    **FLAGS_RW,
    "BHR": (4, 4, "const"),
    "MUR": (5, 5, "w1s"),
    **numbered("GIR", 19, "w1s"),
    **numbered("TIE", 23, "rw"),
    **numbered("RIE", 27, "rw"),
    **numbered("GIE", 31, "rw"),
}

IMX6SX = {
    **words(0x00, "TR", 0, "rw"),
    **words(0x10, "RR", 0, "pop"),
    "SR": (0x20, 0x00F0_0000, BYTES, {**OLD_SR, "BRDIP": (9, 9, "const")}),
    "CR": (0x24, 0x0000_0000, BYTES, {**OLD_CR, "BRDIE": (6, 6, "const")}),
}

IMX7ULP = {
    "VER": (
        0x00,
        0x0100_0001,
        BYTES,
        {"FEATURE": (15, 0, "const"), "MINOR": (23, 16, "const"), "MAJOR": (31, 24, "const")},
    ),
    "PAR": (0x04, 0, BYTES, {"PARAMETER": (31, 0, "const")}),
    **words(0x20, "TR", 0, "rw"),
    **words(0x40, "RR", 0, "pop"),
    # Silicon adds RS (0x80) until the far core runs; here both sides leave reset together.
    "SR": (
        0x60,
        0x00F0_0000,
        BYTES,
        {**OLD_SR, "NMIC": (3, 3, "const"), "RDIP": (9, 9, "const"), "RAIP": (10, 10, "const")},
    ),
    "CR": (
        0x64,
        0x0000_0100,
        BYTES,
        {
            **OLD_CR,
            "NMI": (3, 3, "const"),
            "RDIE": (6, 6, "const"),
            "RSTH": (7, 7, "const"),
            "CLKE": (8, 8, "const"),
            "BBOOT": (10, 9, "const"),
            "RAIE": (12, 12, "const"),
        },
    ),
}

IMX8ULP = {
    "VER": (
        0x000,
        0x0309_000F,
        BYTES,
        {"FEATURE": (15, 0, "const"), "MINOR": (23, 16, "const"), "MAJOR": (31, 24, "const")},
    ),
    "PAR": (
        0x004,
        0x0304_0404,
        BYTES,
        {
            "TR_NUM": (7, 0, "const"),
            "RR_NUM": (15, 8, "const"),
            "GIR_NUM": (23, 16, "const"),
            "FLAG_WIDTH": (31, 24, "const"),
        },
    ),
    "CR": (0x008, 0, BYTES, {"MUR": (0, 0, "w1s"), "MURIE": (1, 1, "rw")}),
    "SR": (
        0x00C,
        # TEP is TSR and TCR, so it is 0 after reset though all TEn are 1.
        0,
        BYTES,
        {
            "MURS": (0, 0, "ro"),
            "MURIP": (1, 1, "w1c"),
            "EP": (2, 2, "ro"),
            "FUP": (3, 3, "ro"),
            "GIRP": (4, 4, "ro"),
            "TEP": (5, 5, "ro"),
            "RFP": (6, 6, "ro"),
            "CEP": (7, 7, "const"),
        },
    ),
    # Taps into a core that an FPGA does not have: constants.
    "CCR0": (
        0x010,
        0x14,
        BYTES,
        {
            "NMI": (0, 0, "const"),
            "HR": (1, 1, "const"),
            "HRM": (2, 2, "const"),
            "CLKE": (3, 3, "const"),
            "RSTH": (4, 4, "const"),
            "BOOT": (6, 5, "const"),
        },
    ),
    "CIER0": (
        0x014,
        0,
        BYTES,
        {
            "HRIE": (1, 1, "const"),
            "RUNIE": (2, 2, "const"),
            "RAIE": (3, 3, "const"),
            "HALTIE": (4, 4, "const"),
            "WAITIE": (5, 5, "const"),
            "STOPIE": (6, 6, "const"),
            "PDIE": (7, 7, "const"),
        },
    ),
    "CSSR0": (
        0x018,
        0,
        BYTES,
        {
            "NMIC": (0, 0, "const"),
            "HRIP": (1, 1, "const"),
            "RUN": (2, 2, "const"),
            "RAIP": (3, 3, "const"),
            "HALT": (4, 4, "const"),
            "WAIT": (5, 5, "const"),
            "STOP": (6, 6, "const"),
            "PD": (7, 7, "const"),
        },
    ),
    "CSR0": (
        0x01C,
        0,
        BYTES,
        {
            "HRIP": (1, 1, "const"),
            "RUN": (2, 2, "const"),
            "RAIP": (3, 3, "const"),
            "HALT": (4, 4, "const"),
            "WAIT": (5, 5, "const"),
            "STOP": (6, 6, "const"),
            "PD": (7, 7, "const"),
        },
    ),
    "FCR": (0x100, 0, BYTES, FLAGS_RW),
    "FSR": (0x104, 0, BYTES, FLAGS_RO),
    "GIER": (0x110, 0, BYTES, straight("GIE", "rw")),
    "GCR": (0x114, 0, BYTES, straight("GIR", "w1s")),
    "GSR": (0x118, 0, BYTES, straight("GIP", "w1c")),
    "TCR": (0x120, 0, BYTES, straight("TIE", "rw")),
    "TSR": (0x124, 0xF, BYTES, straight("TE", "ro")),
    "RCR": (0x128, 0, BYTES, straight("RIE", "rw")),
    "RSR": (0x12C, 0, BYTES, straight("RF", "ro")),
    **words(0x200, "TR", 0, "rw"),
    **words(0x280, "RR", 0, "pop"),
}


def counters(**offsets):
    return {name: (offset, 0, BYTES, {"COUNT": (31, 0, "ro")}) for name, offset in offsets.items()}


CONTROLLER = {
    "ID": (0x000, 0x4550_424C, BYTES, {"ID": (31, 0, "const")}),
    "VERSION": (
        0x004,
        0x0000_0100,
        BYTES,
        {"PATCH": (7, 0, "const"), "MINOR": (15, 8, "const"), "MAJOR": (31, 16, "const")},
    ),
    "FEATURES": (
        0x008,
        0x0004_0000,
        BYTES,
        {
            "DATA_BYTES": (7, 0, "ro"),
            "WINDOWS": (15, 8, "ro"),
            "VECTORS": (23, 16, "const"),
            "GUARD": (24, 24, "ro"),
            "EDMA": (26, 25, "ro"),
            "EDMA_LINES": (31, 27, "ro"),
        },
    ),
    "MSI_RAISE": (0x010, 0, BYTES, {"VECTOR": (4, 0, "wo")}),
    "MSI_STATUS": (
        0x014,
        0,
        BYTES,
        {
            "ENABLED": (0, 0, "ro"),
            "MULTIPLE": (3, 1, "ro"),
            "ROOM": (13, 8, "ro"),
            "BUSY": (16, 16, "ro"),
            "BUS_MASTER": (17, 17, "ro"),
        },
    ),
    **counters(MSI_SENT=0x18, MSI_REFUSED=0x1C),
    **counters(WRITES_REFUSED=0x20, READS_REFUSED=0x24, UNSUPPORTED=0x28, DISCONTINUED=0x2C, MALFORMED=0x30),
    "COUNTERS": (0x040, 0, BYTES, {"CLEAR": (0, 0, "wo")}),
    "INTX": (
        0x044,
        0,
        BYTES,
        {"LEVEL": (0, 0, "rw"), "PULSE": (1, 1, "wo"), "BUSY": (8, 8, "ro"), "ASSERTED": (9, 9, "ro")},
    ),
    "MSIX_RAISE": (0x048, 0, BYTES, {"VECTOR": (10, 0, "wo")}),
    "MSIX_STATUS": (
        0x04C,
        0,
        BYTES,
        {
            "ENABLED": (0, 0, "ro"),
            "FUNCTION_MASK": (1, 1, "ro"),
            "ROOM": (13, 8, "ro"),
            "BUSY": (16, 16, "ro"),
            "BUS_MASTER": (17, 17, "ro"),
            "PENDING": (18, 18, "ro"),
        },
    ),
    "MSIX_TABLE": (0x050, 0, BYTES, {"ADDRESS": (31, 3, "rw")}),
    "MSIX_PBA": (0x054, 0, BYTES, {"ADDRESS": (31, 3, "rw")}),
    "MSIX_SIZE": (0x058, 0, BYTES, {"LAST": (10, 0, "rw"), "ON": (31, 31, "rw")}),
    "OUTBOUND_CAUSE": (0x060, 0, BYTES, {"CAUSE": (2, 0, "ro")}),
    "OUTBOUND_ADDRESS": (0x064, 0, BYTES, {"ADDRESS": (31, 0, "ro")}),
    **counters(OUTBOUND_FAILED=0x68),
    "MSI_MASK": (0x06C, 0, BYTES, {"MASK": (31, 0, "ro")}),
    "MSI_PENDING": (0x070, 0, BYTES, {"PENDING": (31, 0, "ro")}),
    **counters(MSIX_SENT=0x74, MSIX_HELD=0x78, MSIX_MERGED=0x7C),
    "IRQ_LATENCY_LAST": (0x080, 0, BYTES, {"CYCLES": (31, 0, "ro")}),
    "IRQ_LATENCY_MAX": (0x084, 0, BYTES, {"CYCLES": (31, 0, "ro")}),
    "EDMA_LATENCY_LAST": (0x088, 0, BYTES, {"CYCLES": (31, 0, "ro")}),
    "EDMA_LATENCY_MAX": (0x08C, 0, BYTES, {"CYCLES": (31, 0, "ro")}),
    **{f"BAR{n}": (0x090 + 4 * n, 0, BYTES, {"BAR": (31, 0, "ro")}) for n in range(6)},
    "FUNCTION": (0x0A8, 0, BYTES, {"FLR": (0, 0, "w1c"), "IN_FLR": (1, 1, "ro"), "LOW_POWER": (2, 2, "ro")}),
    **counters(FLRS=0xAC, MSI_HELD=0xB0, MSI_MERGED=0xB4, INTX_MERGED=0xB8, MSIX_REFUSED=0xBC),
    **counters(BELL0_RUNG=0x100, BELL0_MERGED=0x104, BELL0_DELIVERED=0x108),
    **counters(BELL1_RUNG=0x110, BELL1_MERGED=0x114, BELL1_DELIVERED=0x118),
    **counters(BELL2_RUNG=0x120, BELL2_MERGED=0x124, BELL2_DELIVERED=0x128),
    **counters(BELL3_RUNG=0x130, BELL3_MERGED=0x134, BELL3_DELIVERED=0x138),
    **counters(EDMA_RUNG=0x140, EDMA_MERGED=0x144, EDMA_DELIVERED=0x148),
}

TABLES = {
    "mu_imx6sx": IMX6SX,
    "mu_imx7ulp": IMX7ULP,
    "mu_imx8ulp": IMX8ULP,
    "iatu": iatu_tables.inbound(6),
    "iatu_outbound": iatu_tables.outbound(6),
    "edma": edma_tables.edma(),
    "edma_doorbell": edma_tables.edma_doorbell(),
    "hdma": edma_tables.hdma(),
    "controller": CONTROLLER,
}


def access(field):
    """What the tree declares, in the words of the tables."""
    sw, hw, onwrite = (field.get_property(name) for name in ("sw", "hw", "onwrite"))
    if sw is AccessType.r and hw is AccessType.na:
        return "const"
    if sw is AccessType.r and hw is AccessType.w:
        return "pop" if field.get_property("swacc") else "ro"
    if sw is AccessType.w:
        return "wo"
    return {None: "rw", OnWriteType.woclr: "w1c", OnWriteType.woset: "w1s"}[onwrite]


def table_of(top):
    """The elaborated tree in the form of the tables."""
    table = {}
    for register in top.descendants(unroll=True):
        if not isinstance(register, RegNode):
            continue
        fields, reset = {}, 0
        for field in register.children():
            assert isinstance(field, FieldNode)
            fields[field.inst_name] = (field.high, field.low, access(field))
            reset |= (field.get_property("reset") or 0) << field.low
        name = "_".join(register.get_path_segments(array_suffix="{index:d}")[1:])
        table[name] = (register.absolute_address, reset, register.get_property("accesswidth"), fields)
    return table


@pytest.mark.parametrize(
    ("block", "register"), [(block, register) for block, table in TABLES.items() for register in table]
)
def test_register(block, register):
    found = table_of(epbell_regs.load(block))
    assert register in found
    offset, reset, width, fields = TABLES[block][register]
    assert found[register][0] == offset, "offset"
    assert found[register][1] == reset, "reset"
    assert found[register][2] == width, "width of an access"
    assert found[register][3] == fields, "fields"


@pytest.mark.parametrize("block", TABLES)
def test_nothing_else_is_mapped(block):
    assert set(table_of(epbell_regs.load(block))) == set(TABLES[block])


@pytest.mark.parametrize("block", TABLES)
def test_offsets(block):
    offsets = epbell_regs.offsets(block)
    assert offsets == {name: register[0] for name, register in TABLES[block].items()}
    assert list(offsets.values()) == sorted(offsets.values())


@pytest.mark.parametrize("block", TABLES)
def test_every_register_says_what_it_is(block):
    for register in epbell_regs.load(block).descendants(unroll=True):
        if isinstance(register, RegNode):
            assert register.get_property("desc") or register.get_property("name") != register.inst_name, register


def test_every_block_has_a_table():
    assert set(epbell_regs.blocks()) == set(TABLES)


@pytest.mark.parametrize("count", [1, 2, 16])
def test_number_of_windows(count):
    assert table_of(epbell_regs.load("iatu", windows=count)) == iatu_tables.inbound(count)
    assert len(epbell_regs.offsets("iatu", windows=count)) == 8 * count
    assert table_of(epbell_regs.load("iatu_outbound", windows=count)) == iatu_tables.outbound(count)
    assert len(epbell_regs.offsets("iatu_outbound", windows=count)) == 8 * count


def test_inbound_and_outbound_windows_share_a_page():
    inbound, outbound = (epbell_regs.offsets(block, windows=16).values() for block in ("iatu", "iatu_outbound"))
    assert not set(inbound) & set(outbound)


@pytest.mark.parametrize(("write_channels", "read_channels"), [(1, 1), (8, 8), (3, 2), (1, 8), (8, 1), (5, 7)])
def test_number_of_channels(write_channels, read_channels):
    channels = {"write_channels": write_channels, "read_channels": read_channels}
    for legacy in (0, 1):
        expected = edma_tables.edma(write_channels, read_channels, legacy)
        assert table_of(epbell_regs.load("edma", **channels, legacy=legacy)) == expected
    assert table_of(epbell_regs.load("hdma", **channels)) == edma_tables.hdma(write_channels, read_channels)
    found = table_of(epbell_regs.load("edma_doorbell", **channels))
    assert found == edma_tables.edma_doorbell(write_channels, read_channels)


@pytest.mark.parametrize("block", ["edma", "edma_doorbell", "hdma"])
@pytest.mark.parametrize(("parameter", "what"), [("write_channels", "write"), ("read_channels", "read")])
@pytest.mark.parametrize("count", [0, 9, -1])
def test_number_of_channels_out_of_range(block, parameter, what, count):
    with pytest.raises(ValueError, match=rf"The number of {what} channels must be 1 to 8, not {count}$"):
        epbell_regs.load(block, **{parameter: count})


def test_neither_unroll_nor_legacy():
    with pytest.raises(ValueError, match=r"between the unroll map and the legacy map must be 0 to 1, not 2$"):
        epbell_regs.load("edma", legacy=2)


def test_load_compiles_once():
    assert epbell_regs.load("edma", legacy=1, read_channels=2) is epbell_regs.load("edma", read_channels=2, legacy=1)
    assert epbell_regs.load("iatu", windows=3) is epbell_regs.load("iatu", windows=3)
    assert epbell_regs.load("controller") is epbell_regs.load("controller")


@pytest.mark.parametrize("count", [0, 17, -1])
@pytest.mark.parametrize(("block", "way"), [("iatu", "inbound"), ("iatu_outbound", "outbound")])
def test_number_of_windows_out_of_range(block, way, count):
    with pytest.raises(ValueError, match=rf"The number of {way} windows must be 1 to 16, not {count}$"):
        epbell_regs.load(block, windows=count)


@pytest.mark.parametrize(
    ("block", "parameter", "known"),
    [
        ("controller", "windows", "none"),
        ("iatu", "legacy", "windows"),
        ("hdma", "legacy", "write_channels, read_channels"),
        ("edma", "channels", "write_channels, read_channels, legacy"),
        ("edma_doorbell", "legacy", "write_channels, read_channels"),
    ],
)
def test_parameter_of_another_block(block, parameter, known):
    with pytest.raises(ValueError, match=rf"'{block}' must be one that it has \({known}\), not '{parameter}'$"):
        epbell_regs.load(block, **{parameter: 1})


def test_no_such_block():
    names = "mu_imx6sx, .*, edma, edma_doorbell, hdma, controller"
    with pytest.raises(ValueError, match=rf"must be one of {names}, not 'dma'$"):
        epbell_regs.load("dma")
