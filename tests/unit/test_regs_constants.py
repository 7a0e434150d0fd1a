# amaranth: UnusedElaboratable=no

"""C header, RTL and models agree on every constant: offset, position, width and reset value of each field.

A small C program prints every constant of a header as the compiler has it. What it prints is compared with the register
map; then RTL (behind AXI4-Lite) and reference model are read and written at the printed offsets, and must show the
printed fields. The numbers in the drivers' models are compared with the printed ones by a table.
"""

import functools
import re
import shutil
import subprocess

import pytest
from quick_engine import Simulator
from regs_pages import ENDPOINT, ONES, Port, registers
from systemrdl.node import RegNode

import epbell_regs
from epbell.edma import EdmaAxil
from epbell.endpoint import Endpoint
from epbell.mu import MuAxil
from epbell_models.linux import dw_edma_core, dw_ep_irq, dw_iatu, imx_mu_msi, pcie_dw_ep
from epbell_models.linux.dw_edma_core import Happened
from epbell_models.reference.controller import ControllerPage
from epbell_models.reference.edma import EdmaPage
from epbell_models.reference.iatu import IatuPage
from epbell_models.reference.inbound import InboundWindows
from epbell_models.reference.mu import MessagingUnit
from epbell_models.reference.outbound import OutboundWindows
from epbell_regs import generate

LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")
BARS = (0x1_0000,) * 6
COMPILERS = {"gcc": ("-std=c11", "c"), "g++": ("-std=c++17", "c++")}
MACRO = re.compile(r"^#define (\w+_(?:bm|bp|bw|reset)) ", re.MULTILINE)


def register_nodes(block):
    nodes = epbell_regs.load(block).descendants(unroll=True)
    return {epbell_regs.flat_name(node): node for node in nodes if isinstance(node, RegNode)}


def member(node):
    """A register as C names it inside its page's structure: ``BELL[2].RUNG``."""
    return ".".join(node.get_path_segments(array_suffix="[{index:d}]")[1:])


def macros_of(node):
    """What the names of a register's macros begin with: where its type was declared, and the type's name."""
    return node.get_global_type_name("__").upper()


@pytest.fixture(scope="module")
def include(tmp_path_factory):
    folder = tmp_path_factory.mktemp("constants")
    generate.write_headers(folder)
    return folder / "include"


@functools.cache
def printed(include, block, compiler):
    """Every constant of a header: name of the macro, or of a register behind ``offset`` or ``size`` -> value."""
    standard, language = COMPILERS[compiler]
    program = shutil.which(compiler)
    if program is None:
        pytest.skip(f"{compiler} is not installed")
    shown = {name: name for name in MACRO.findall((include / f"{block}.h").read_text())}
    for name, node in register_nodes(block).items():
        shown[f"offset {name}"] = f"offsetof({block}_t, {member(node)})"
        shown[f"size {name}"] = f"sizeof((({block}_t *)0)->{member(node)})"
    lines = [f'    printf("%s=%llu\\n", "{name}", (unsigned long long)({text}));' for name, text in shown.items()]
    source = include.parent / f"{block}-{language}.c"
    head = ["#include <stddef.h>", "#include <stdio.h>", f'#include "{block}.h"', "int main(void)", "{"]
    source.write_text("\n".join([*head, *lines, "    return 0;", "}", ""]))
    binary = source.with_suffix("")
    command = [program, standard, "-x", language, "-Wall", "-Wextra", "-Werror", f"-I{include}", str(source)]
    compiled = subprocess.run([*command, "-o", str(binary)], capture_output=True, text=True, timeout=120, check=False)
    assert compiled.returncode == 0, compiled.stderr
    out = subprocess.run([str(binary)], capture_output=True, text=True, timeout=60, check=True).stdout
    found = dict(line.split("=") for line in out.splitlines())
    assert len(found) == len(shown)
    return {name: int(value) for name, value in found.items()}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("block", epbell_regs.blocks())
def test_header_agrees_with_the_map(include, block, compiler):
    constants, compared = dict(printed(include, block, compiler)), set()
    nodes = register_nodes(block)
    for name, register in registers(block).items():
        assert constants[f"offset {name}"] == register.address
        assert constants[f"size {name}"] == 4
        for bits in register.fields:
            prefix = f"{macros_of(nodes[name])}__{bits.name.upper()}"
            expected = {"bm": bits.mask, "bp": bits.low, "bw": bits.width, "reset": bits.reset}
            expected = {f"{prefix}_{end}": value for end, value in expected.items() if value is not None}
            assert {macro: constants[macro] for macro in expected} == expected
            compared |= set(expected)
    assert compared == {name for name in constants if " " not in name}
    assert len(compared) > 20


# -- RTL and reference models ---------------------------------------------------------------------------------------


class CField:
    """A field, with the numbers that the C program printed and with what software may do to it."""

    def __init__(self, constants, prefix, bits):
        self.kind = bits.kind
        self.mask = constants[f"{prefix}_bm"]
        self.reset = constants.get(f"{prefix}_reset")
        if self.reset is not None:
            self.reset <<= constants[f"{prefix}_bp"]


def fields_of(include, block):
    """Offset of each register -> its fields, all from the C program."""
    constants, nodes = printed(include, block, "gcc"), register_nodes(block)
    return {
        constants[f"offset {name}"]: [
            CField(constants, f"{macros_of(nodes[name])}__{bits.name.upper()}", bits) for bits in register.fields
        ]
        for name, register in registers(block).items()
    }


def masks(fields, *kinds):
    return sum(field.mask for field in fields if field.kind in kinds)


def script(pages):
    """Accesses to all registers: (what it is, offset, data to write or None, expected bits, which of them count)."""
    steps = []
    for offset, fields in sorted(pages.items()):
        unknown = sum(field.mask for field in fields if field.reset is None and field.kind == "status")
        reset = sum(field.reset or 0 for field in fields if field.kind != "action")
        steps.append((f"{offset:#x} after reset", offset, None, reset, ONES & ~unknown))
    for offset, fields in sorted(pages.items()):
        if not masks(fields, "storage", "constant"):
            continue
        constant = sum(field.reset for field in fields if field.kind == "constant")
        counted = ONES & ~masks(fields, "status", "w1c", "w1s", "action")
        for data in (ONES, 0):
            data &= ~masks(fields, "w1s", "action")
            steps.append(("", offset, data, 0, 0))
            kept = data & masks(fields, "storage")
            steps.append((f"{offset:#x} after {data:#x} was written", offset, None, kept | constant, counted))
    return steps


def on_model(page, steps):
    results = []
    for _, offset, data, _, _ in steps:
        results.append(page.read32(offset) if data is None else page.write32(offset, data))
    return results


def on_rtl(dut, bus, base, steps):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    results = []

    async def testbench(ctx):
        port = Port(bus, "sync", base)
        await port.wait(ctx, 2)
        for _, offset, data, _, _ in steps:
            results.append(
                await port.read(ctx, offset) if data is None else await port.write(ctx, offset, data)
            )

    sim.add_testbench(testbench)
    sim.run()
    return results


class SideA:
    """Side A of the model of a Messaging Unit, as a page."""

    def __init__(self, layout):
        self.unit = MessagingUnit(layout)

    def read32(self, offset):
        return self.unit.read32("a", offset)

    def write32(self, offset, data):
        self.unit.write32("a", offset, data)


def rtl_of(page):
    if page.startswith("mu_"):
        dut = MuAxil(layout=page.removeprefix("mu_"))
        return dut, dut.a_axil, 0
    if page in ("edma", "hdma", "edma_doorbell"):
        dut = EdmaAxil(personality="hdma" if page == "hdma" else "unroll", doorbell_only=page == "edma_doorbell")
        return dut, dut.s_axil, 0
    dut = Endpoint(64, ram_size=4096)
    return dut, dut.cpu_axil, ENDPOINT[page]


def model_of(page):
    if page.startswith("mu_"):
        return SideA(page.removeprefix("mu_"))
    if page == "edma_doorbell":
        return EdmaPage("unroll", doorbell_only=True)
    if page in ("edma", "hdma"):
        return EdmaPage("hdma" if page == "hdma" else "unroll")
    if page == "iatu":
        return IatuPage(InboundWindows(BARS), OutboundWindows())
    return ControllerPage(MessagingUnit("imx8ulp"), EdmaPage(), 6, True)


PAGES = {
    **{f"mu_{layout}": (f"mu_{layout}",) for layout in LAYOUTS},
    "edma": ("edma",),
    "hdma": ("hdma",),
    "edma_doorbell": ("edma_doorbell",),
    "iatu": ("iatu", "iatu_outbound"),
    "controller": ("controller",),
}


def test_every_block_is_on_a_page():
    assert sorted(block for blocks in PAGES.values() for block in blocks) == sorted(epbell_regs.blocks())


@pytest.mark.parametrize("side", ["rtl", "model"])
@pytest.mark.parametrize("page", PAGES)
def test_hardware_shows_the_constants_of_the_header(include, page, side):
    steps = script({offset: fields for block in PAGES[page] for offset, fields in fields_of(include, block).items()})
    results = on_model(model_of(page), steps) if side == "model" else on_rtl(*rtl_of(page), steps)
    assert len(results) == len(steps) > 20
    wrong = [
        f"{what}: {found:#010x}, expected {expected:#010x}"
        for (what, _, data, expected, counted), found in zip(steps, results, strict=True)
        if data is None and (found ^ expected) & counted
    ]
    assert not wrong


# -- the drivers' models --------------------------------------------------------------------------------------------

# Number in the model -> the header that has it, and its name there. The rest are no registers' numbers.
IB, IB_CTRL2 = "offset IB0_", "IATU__IB__CTRL2__"
MODELS = {
    dw_iatu: {
        **{f"_{name}": ("iatu", f"{IB}{name}", -0x100) for name in (
            "CTRL1", "CTRL2", "LOWER_BASE", "UPPER_BASE", "LIMIT", "UPPER_LIMIT", "LOWER_TARGET", "UPPER_TARGET")},
        "_STRIDE": ("iatu_outbound", "offset OB1_CTRL1", 0),
        "_INCREASE_REGION_SIZE": ("iatu", "IATU__IB__CTRL1__INCREASE_REGION_SIZE_bm", 0),
        "_ENABLE": ("iatu", f"{IB_CTRL2}ENABLE_bm", 0),
        "_BAR_MODE": ("iatu", f"{IB_CTRL2}BAR_MATCH_bm", 0),
        "_FUNC_MATCH": ("iatu", f"{IB_CTRL2}FUNCTION_MATCH_bm", 0),
    },
    dw_ep_irq: {
        **{f"_{name}": ("controller", f"offset {name}", 0) for name in (
            "MSI_RAISE", "MSI_STATUS", "INTX", "MSIX_RAISE", "MSIX_STATUS", "MSIX_TABLE", "MSIX_PBA", "MSIX_SIZE")},
        "_INTX_PULSE": ("controller", "CONTROLLER__INTX__PULSE_bm", 0),
        "_MSIX_ON": ("controller", "CONTROLLER__MSIX_SIZE__ON_bm", 0),
        "_ENABLED": ("controller", "CONTROLLER__MSI_STATUS__ENABLED_bm", 0),
        "_ROOM": ("controller", "CONTROLLER__MSI_STATUS__ROOM_bm", 0),
    },
    pcie_dw_ep: {"_BARS": ("controller", "offset BAR0", 0)},
    dw_edma_core: {
        "_DMA_CTRL": ("edma", "offset DMA_CTRL", 0),
        "_BLOCK": ("edma", "offset WRITE_CH0_CONTROL1", 0),
        "_LIE": ("edma", "EDMA__CHANNEL__CONTROL1__LIE_bm", 0),
        "_CCS": ("edma", "EDMA__CHANNEL__CONTROL1__CCS_bm", 0),
        "_LLE": ("edma", "EDMA__CHANNEL__CONTROL1__LLE_bm", 0),
        **{f"_H_{name}": ("hdma", f"offset WRITE_CH0_{register}", 0) for name, register in (
            ("ENABLE", "CH_EN"), ("START", "DOORBELL"), ("STATUS", "INT_STAT"), ("SETUP", "INT_SETUP"),
            ("CLEAR", "INT_CLEAR"))},
    },
}  # fmt: skip
# Of the eDMA: one number for the write channels, one for the read channels.
PAIRS = {"_ENGINE_EN": "ENGINE_EN", "_START": "DOORBELL", "_INT_STATUS": "INT_STATUS", "_INT_MASK": "INT_MASK",
         "_INT_CLEAR": "INT_CLEAR", "_LL_ERR_EN": "LINKED_LIST_ERR_EN"}  # fmt: skip
NO_CONSTANT = {
    dw_iatu: {"_TYPE_MEM", "_PROBE", "_MOST_REGIONS", "_ENABLE_RETRIES", "_LOW"},
    dw_ep_irq: {"_MSIX_ENTRY", "_MSI_VECTORS", "_QUEUE_RETRIES"},
    pcie_dw_ep: {"_BAR_ADDRESS", "_DOORBELL_BYTES"},
    # The viewport is in the legacy map alone, for which there is no header; _H_BOTH and _H_LOCAL have a test below.
    dw_edma_core: {"_MOST_CHANNELS", "_VIEWPORT", "_VIEWPORT_READ", "_BANK", "_ALL", "_H_BOTH", "_H_LOCAL"},
}


def numbers_of(module):
    """The numbers that a module has by a private name."""
    return {name for name, value in vars(module).items() if re.match(r"_[A-Z]", name) and type(value) is int}


@pytest.mark.parametrize("module", MODELS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_numbers_of_the_drivers_are_those_of_the_header(include, module):
    assert numbers_of(module) == set(MODELS[module]) | NO_CONSTANT[module]
    for name, (block, constant, difference) in MODELS[module].items():
        assert getattr(module, name) == printed(include, block, "gcc")[constant] + difference, name


def test_numbers_of_the_edma_driver_come_in_pairs(include):
    constants = printed(include, "edma", "gcc")
    for name, register in PAIRS.items():
        pair = tuple(constants[f"offset {way}_{register}"] for way in ("WRITE", "READ"))
        assert getattr(dw_edma_core, name) == pair, name


def test_bits_of_the_hdma_driver(include):
    constants = printed(include, "hdma", "gcc")
    ends = {Happened.DONE: "STOP", Happened.ABORT: "ABORT"}
    for end, name in ends.items():
        assert dw_edma_core._H_BIT[end] == constants[f"HDMA__CHANNEL__INT_STAT__{name}_bm"]
    setup = "HDMA__CHANNEL__INT_SETUP__"
    assert sum(constants[f"{setup}LOCAL_{name}_EN_bm"] for name in ends.values()) == dw_edma_core._H_LOCAL
    assert sum(dw_edma_core._H_BIT.values()) == dw_edma_core._H_BOTH


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_of_the_messaging_units_driver(include, layout):
    block = f"mu_{layout}"
    constants, driver = printed(include, block, "gcc"), imx_mu_msi._LAYOUTS[layout]
    status, control = ("RSR", "RCR") if layout == "imx8ulp" else ("SR", "CR")
    assert driver.tr == constants["offset TR0"]
    assert driver.rr == constants["offset RR0"]
    assert driver.status == constants[f"offset {status}"]
    assert driver.receive_control == constants[f"offset {control}"]
    for channel in range(4):
        assert driver.bit(channel) == constants[f"{block.upper()}__{status}__RF{channel}_bm"]
        assert driver.bit(channel) == constants[f"{block.upper()}__{control}__RIE{channel}_bm"]
    assert set(imx_mu_msi._LAYOUTS) == set(LAYOUTS)
