"""What `make regs` writes: every file, headers that compile and have the documented offsets, Markdown, HTML."""

import shutil
import subprocess

import pytest

import epbell_regs
from epbell_regs import generate, python_object
from epbell_regs.configurations import CONFIGURATIONS

# Typed in from the public descriptions, as in the tables of the register maps: C expression -> value.
LITERALS = {
    "mu_imx6sx": {
        "offsetof(mu_imx6sx_t, TR)": 0x00,
        "offsetof(mu_imx6sx_t, RR)": 0x10,
        "offsetof(mu_imx6sx_t, SR)": 0x20,
        "offsetof(mu_imx6sx_t, CR)": 0x24,
        "MU_IMX6SX__SR__RF0_bm": 1 << 27,
        "MU_IMX6SX__SR__TE3_bp": 20,
        "MU_IMX6SX__CR__GIE0_bm": 0x8000_0000,
        "MU_IMX6SX__CR__MUR_bm": 0x20,
    },
    "mu_imx7ulp": {
        "offsetof(mu_imx7ulp_t, TR)": 0x20,
        "offsetof(mu_imx7ulp_t, RR)": 0x40,
        "offsetof(mu_imx7ulp_t, SR)": 0x60,
        "offsetof(mu_imx7ulp_t, CR)": 0x64,
        "MU_IMX7ULP__SR__GIP3_bp": 28,
        "MU_IMX7ULP__CR__RIE0_bp": 27,
    },
    "mu_imx8ulp": {
        "offsetof(mu_imx8ulp_t, PAR)": 0x004,
        "offsetof(mu_imx8ulp_t, SR)": 0x00C,
        "offsetof(mu_imx8ulp_t, GIER)": 0x110,
        "offsetof(mu_imx8ulp_t, GCR)": 0x114,
        "offsetof(mu_imx8ulp_t, GSR)": 0x118,
        "offsetof(mu_imx8ulp_t, TCR)": 0x120,
        "offsetof(mu_imx8ulp_t, TSR)": 0x124,
        "offsetof(mu_imx8ulp_t, RCR)": 0x128,
        "offsetof(mu_imx8ulp_t, RSR)": 0x12C,
        "offsetof(mu_imx8ulp_t, TR)": 0x200,
        "offsetof(mu_imx8ulp_t, RR)": 0x280,
        "MU_IMX8ULP__RSR__RF2_bm": 4,
        "MU_IMX8ULP__PAR__FLAG_WIDTH_reset": 3,
    },
    "iatu": {
        "offsetof(iatu_t, IB)": 0x100,
        "sizeof(((iatu_t *)0)->IB[0])": 0x200,
        "sizeof(((iatu_t *)0)->IB) / sizeof(((iatu_t *)0)->IB[0])": 6,
        "offsetof(iatu__IB__stride200_t, CTRL2)": 0x04,
        "offsetof(iatu__IB__stride200_t, LOWER_TARGET)": 0x14,
        "offsetof(iatu__IB__stride200_t, UPPER_LIMIT)": 0x20,
        "IATU__IB__CTRL2__ENABLE_bm": 0x8000_0000,
        "IATU__IB__CTRL2__BAR_bp": 8,
    },
    "iatu_outbound": {
        "offsetof(iatu_outbound_t, OB)": 0x000,
        "sizeof(((iatu_outbound_t *)0)->OB[0])": 0x200,
        "sizeof(((iatu_outbound_t *)0)->OB) / sizeof(((iatu_outbound_t *)0)->OB[0])": 6,
        "offsetof(iatu_outbound__OB__stride200_t, LOWER_BASE)": 0x08,
        "offsetof(iatu_outbound__OB__stride200_t, LIMIT)": 0x10,
        "offsetof(iatu_outbound__OB__stride200_t, UPPER_LIMIT)": 0x20,
        "IATU_OUTBOUND__OB__CTRL2__ENABLE_bm": 0x8000_0000,
        "IATU_OUTBOUND__OB__CTRL1__INCREASE_REGION_SIZE_bm": 0x2000,
    },
    "edma": {
        "offsetof(edma_t, DMA_CTRL)": 0x008,
        "offsetof(edma_t, WRITE_INT_STATUS)": 0x04C,
        "offsetof(edma_t, WRITE_INT_CLEAR)": 0x058,
        "offsetof(edma_t, READ_INT_STATUS)": 0x0A0,
        "offsetof(edma_t, READ_INT_CLEAR)": 0x0AC,
        "offsetof(edma_t, WRITE_CH0)": 0x200,
        "offsetof(edma_t, READ_CH0)": 0x300,
        "offsetof(edma_t, WRITE_CH1)": 0x400,
        "offsetof(edma_t, READ_CH3)": 0x900,
        "offsetof(edma__channel_t, LLP_HIGH)": 0x20,
        "EDMA__CHANNEL__CONTROL1__LIE_bm": 8,
    },
    "edma_doorbell": {
        "offsetof(edma_doorbell_t, DMA_CTRL)": 0x008,
        "offsetof(edma_doorbell_t, WRITE_INT_STATUS)": 0x04C,
        "offsetof(edma_doorbell_t, WRITE_INT_MASK)": 0x054,
        "offsetof(edma_doorbell_t, WRITE_INT_CLEAR)": 0x058,
        "offsetof(edma_doorbell_t, READ_INT_STATUS)": 0x0A0,
        "offsetof(edma_doorbell_t, READ_INT_MASK)": 0x0A8,
        "offsetof(edma_doorbell_t, READ_INT_CLEAR)": 0x0AC,
        "EDMA_DOORBELL__DMA_CTRL__WRITE_CHANNELS_reset": 4,
        "EDMA_DOORBELL__DMA_CTRL__READ_CHANNELS_bp": 16,
    },
    "hdma": {
        "offsetof(hdma_t, WRITE_CH0)": 0x000,
        "offsetof(hdma_t, READ_CH0)": 0x100,
        "offsetof(hdma_t, READ_CH3)": 0x700,
        "offsetof(hdma__channel_t, INT_STAT)": 0x84,
        "offsetof(hdma__channel_t, INT_CLEAR)": 0x8C,
        "offsetof(hdma__channel_t, MSI_MSGDATA)": 0xA8,
        "HDMA__CHANNEL__INT_SETUP__LOCAL_ABORT_EN_bm": 0x40,
    },
    "controller": {
        "offsetof(controller_t, MSI_RAISE)": 0x010,
        "offsetof(controller_t, MALFORMED)": 0x030,
        "offsetof(controller_t, COUNTERS)": 0x040,
        "offsetof(controller_t, IRQ_LATENCY_MAX)": 0x084,
        "offsetof(controller_t, EDMA_LATENCY_MAX)": 0x08C,
        "offsetof(controller_t, BELL)": 0x100,
        "offsetof(controller_t, EDMA)": 0x140,
        "sizeof(((controller_t *)0)->BELL[0])": 0x10,
        "CONTROLLER__ID__ID_reset": 0x4550_424C,
    },
}
COMPILERS = [("gcc", "-std=c11", "c"), ("g++", "-std=c++17", "c++")]
PYTHON = f"python/{python_object.PACKAGE}"
KINDS = ("include/{}.h", "markdown/{}.md", *(f"{PYTHON}/{{}}{end}" for end in (".py", ".db", "_stubs.pyi")))
KINDS_OF_A_CONFIGURATION = ("svd/{}.svd", "devicetree/{}.dtsi", "devicetree/{}.dts")
ONCE = ("html/index.html", *(f"{PYTHON}/{name}" for name in ("__init__.py", "py.typed")))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regs") / "not" / "there" / "yet"
    return folder, generate.write_all(folder)


def test_everything_named_is_written(written):
    folder, paths = written
    expected = {folder / kind.format(block) for block in epbell_regs.blocks() for kind in KINDS}
    expected |= {folder / kind.format(row.name) for row in CONFIGURATIONS for kind in KINDS_OF_A_CONFIGURATION}
    assert set(paths) == expected | {folder / name for name in ONCE}
    assert len(paths) == len(set(paths))
    for path in paths:
        assert path.stat().st_size > 300 or path.name == "py.typed", path


def test_second_run_writes_the_same(written):
    """All but the start page of the HTML, which has the time of day in it."""
    folder, paths = written
    before = [path.read_bytes() for path in paths[:-1]]
    assert generate.write_all(folder) == paths
    assert [path.read_bytes() for path in paths[:-1]] == before


@pytest.mark.parametrize("block", LITERALS)
def test_markdown_and_html_name_every_register(written, block):
    folder, _ = written
    markdown = (folder / "markdown" / f"{block}.md").read_text()
    html = "".join(path.read_text() for path in (folder / "html" / "content").glob("*.html"))
    for register in epbell_regs.load(block).registers():
        assert register.inst_name in markdown
        assert register.get_property("name") in html
    assert epbell_regs.load(block).get_property("name") in html


@pytest.mark.parametrize(("compiler", "standard", "language"), COMPILERS, ids=[row[0] for row in COMPILERS])
@pytest.mark.parametrize("block", LITERALS)
def test_header_compiles_and_has_the_documented_offsets(written, tmp_path, block, compiler, standard, language):
    program = shutil.which(compiler)
    if program is None:
        pytest.skip(f"{compiler} is not installed")
    checks = [
        f'static_assert({expression} == {value}u, "{expression}");' for expression, value in LITERALS[block].items()
    ]
    source = tmp_path / "check.c"
    source.write_text(
        "\n".join(["#include <stddef.h>", f'#include "{block}.h"', *checks, "int main(void) { return 0; }"])
    )
    include = written[0] / "include"
    command = [program, standard, "-x", language, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{include}"]
    result = subprocess.run([*command, str(source)], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def test_every_block_has_literals():
    assert set(LITERALS) == set(epbell_regs.blocks())
