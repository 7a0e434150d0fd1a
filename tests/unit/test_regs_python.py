# amaranth: UnusedElaboratable=no

"""The registers as Python objects: names, offsets and fields of the maps; on the models and on the RTL."""

import importlib
import re
import sys
from pathlib import Path

import pytest
from peakrdl_pyral_runtime.hwio.callback import CallbackHWIO
from peakrdl_pyral_runtime.model import RALArray, RALGroup, RALRegister
from quick_engine import Simulator
from regs_pages import Port, registers

import epbell_regs
from epbell.mu import MuAxil
from epbell_models.reference.mu import MessagingUnit
from epbell_regs import python_object

LAYOUTS = ("imx6sx", "imx7ulp", "imx8ulp")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The package, as somebody imports it who has put it on the search path."""
    folder = tmp_path_factory.mktemp("python")
    python_object.write(folder)
    sys.path.insert(0, str(folder))
    yield lambda block: importlib.import_module(f"{python_object.PACKAGE}.{block}")
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == python_object.PACKAGE]:
        del sys.modules[name]


def all_registers(node, prefix=""):
    """Every register below a node: flat name -> object."""
    found = {}
    for child in node.children():
        for part in child if isinstance(child, RALArray) else [child]:
            name = prefix + re.sub(r"\[(\d+)\]", r"\1", part.name)
            found |= {name: part} if isinstance(part, RALRegister) else all_registers(part, f"{name}_")
    return found


@pytest.mark.parametrize("block", epbell_regs.blocks())
def test_registers_and_fields_are_those_of_the_map(package, block):
    found, expected = all_registers(package(block).get_ral()), registers(block)
    assert {name: register.address for name, register in found.items()} == {
        name: register.address for name, register in expected.items()
    }
    for name, register in found.items():
        bits = {field.name: (field.offset, field.width) for field in register.children()}
        assert bits == {field.name: (field.low, field.width) for field in expected[name].fields}


def test_annotations_name_what_is_there(package):
    """A class of the stubs that no line declares would leave editors and type checkers without a word."""
    folder = Path(package("iatu").__file__).parent
    for path in sorted(folder.glob("*.pyi")):
        text = path.read_text()
        named = set(re.findall(r"\b\w+_(?:Reg|Register|RV|Group)\b", text))
        assert named == set(re.findall(r"class (\w+)\(", text)) & named, path.name


def test_offset_moves_a_block(package):
    ral = package("controller").get_ral(offset=0x5F01_0000)
    assert ral.MSI_RAISE.address == 0x5F01_0010
    assert ral.BELL[3].MERGED.address == 0x5F01_0134
    assert isinstance(ral.BELL[3], RALGroup)


def test_every_access_is_one_of_32_bits(package):
    """In the maps byte strobes count; an object that wrote MSIX_RAISE byte by byte would raise two vectors."""
    for block in epbell_regs.blocks():
        sizes = {register.access_size for register in all_registers(package(block).get_ral()).values()}
        assert sizes == {4}, block


class ModelSide(CallbackHWIO):
    """One side of the model of a Messaging Unit."""

    def __init__(self, unit, side):
        super().__init__(lambda at, size: unit.read32(side, at), lambda at, value, size: unit.write32(side, at, value))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_doorbell_through_the_model(package, layout):
    unit, module = MessagingUnit(layout), package(f"mu_{layout}")
    sides = {}
    for side in "ab":
        sides[side] = module.get_ral()
        sides[side].attach_hwio(ModelSide(unit, side))
    a, b = sides["a"], sides["b"]
    control, status = (a.RCR, a.RSR) if layout == "imx8ulp" else (a.CR, a.SR)
    with control.change_fields() as fields:
        fields.RIE2 = 1
    assert not unit.a_irq
    b.TR[2].write(0xCAFE_0002)
    assert unit.a_irq
    assert [getattr(status.read_fields(), f"RF{n}") for n in range(4)] == [0, 0, 1, 0]
    assert a.RR[2].read() == 0xCAFE_0002
    assert not unit.a_irq
    with pytest.raises(ValueError, match="out of range"), control.change_fields() as fields:
        fields.RIE2 = 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_doorbell_through_the_rtl(package, layout):
    dut, module = MuAxil(layout=layout), package(f"mu_{layout}")
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    lines = []

    async def testbench(ctx):
        def attached(bus):
            port = Port(bus, "sync")
            ral = module.get_ral()
            ral.attach_hwio(
                CallbackHWIO(
                    aread_cb=lambda at, size: port.read(ctx, at),
                    awrite_cb=lambda at, value, size: port.write(ctx, at, value),
                )
            )
            return ral

        a, b = attached(dut.a_axil), attached(dut.b_axil)
        control, status = (a.RCR, a.RSR) if layout == "imx8ulp" else (a.CR, a.SR)
        async with control.achange_fields() as fields:
            fields.RIE1 = 1
        lines.append(ctx.get(dut.a_irq))
        await b.TR[1].awrite(0x1234_5678)
        lines.append(ctx.get(dut.a_irq))
        seen = await status.aread_fields()
        assert [getattr(seen, f"RF{n}") for n in range(4)] == [0, 1, 0, 0]
        assert await a.RR[1].aread() == 0x1234_5678
        lines.append(ctx.get(dut.a_irq))

    sim.add_testbench(testbench)
    sim.run()
    assert lines == [0, 1, 0]
