"""Flip-flops behind a block RAM: which become its output registers, and which must not."""

import json
from typing import Any

import pytest

from epbell_tb.ram_registers import fold, fold_file

CLOCK, OTHER_CLOCK = 2, 3
READ, ENABLE = 10, 11  # the RAM's enable; that of the flip-flops
FIRST, AFTER = 100, 200  # nets from the RAM, and from the flip-flops
BITS = 3


def cell(kind: str, parameters: dict[str, str], inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    directions = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
    pins = {name: [bit] for name, bit in (inputs | outputs).items()}
    return {"type": kind, "parameters": parameters, "port_directions": directions, "connections": pins}


def lut(init: str, out: int, *pins: Any) -> dict[str, Any]:
    given = dict(zip("ABCD", (*pins, *"0000"), strict=False))
    return cell("LUT4", {"INIT": init}, given, {"Z": out})


def flop(index: int, *, enable: Any = None, **changed: Any) -> dict[str, Any]:
    parameters = {"CLKMUX": "CLK", "CEMUX": "1 " if enable is None else "CE", "LSRMUX": "LSR", "REGSET": "RESET"}
    parameters["GSR"] = "DISABLED"
    pins = {"CLK": CLOCK, "DI": FIRST + index, "LSR": "0"} | ({} if enable is None else {"CE": enable})
    parameters |= {name: value for name, value in changed.items() if name in parameters}
    pins |= {name: value for name, value in changed.items() if name in pins}
    return cell("TRELLIS_FF", parameters, pins, {"Q": AFTER + index})


def module(*, wide: bool = False, ram_enable: Any = "1", flops: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A RAM of which three bits are read, each into a flip-flop; wide: one of them at the other side's outputs."""
    width = f"{36 if wide else 9:032b}"
    parameters = {"DATA_WIDTH_A": width, "DATA_WIDTH_B": width, "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"}
    parameters |= {"CLKAMUX": "CLKA", "CLKBMUX": "CLKB", "GSR": "DISABLED"}
    inputs = {"CLKA": CLOCK, "CLKB": CLOCK, "CEB": ram_enable, "OCEA": "1", "OCEB": "1", "RSTA": "0", "RSTB": "0"}
    outputs = {"DOA0" if wide and n == 2 else f"DOB{n}": FIRST + n for n in range(BITS)} | {"DOB9": FIRST + 9}
    cells = {"ram": cell("DP16KD", parameters, inputs, outputs)}
    cells |= {f"flop{n}": one for n, one in enumerate(flops or [flop(n) for n in range(BITS)])}
    # Enables: READ is "either", ENABLE is "the first of them", so with ENABLE there is READ, and not the other way.
    cells |= {"either": lut("1110111011101110", READ, 20, 21), "first": lut("1010101010101010", ENABLE, 20, 21)}
    cells["look"] = lut("1010101010101010", 90, AFTER, AFTER + 1, AFTER + 2)
    return {"cells": cells, "ports": {"out": {"direction": "output", "bits": [90]}}}


def state(made: dict[str, Any]) -> tuple[str, str]:
    parameters = made["cells"]["ram"]["parameters"]
    return parameters["REGMODE_A"], parameters["REGMODE_B"]


def test_registers_are_folded():
    made = module()
    assert fold(made) == BITS
    assert state(made) == ("NOREG", "OUTREG")
    pins = made["cells"]["ram"]["connections"]
    assert [pins[f"DOB{n}"] for n in range(BITS)] == [[AFTER + n] for n in range(BITS)]
    assert pins["OCEB"] == ["1"]
    assert not [name for name in made["cells"] if name.startswith("flop")]
    assert fold(made) == 0, "once"


def test_a_wide_ram_has_one_register_for_both_halves():
    made = module(wide=True)
    assert fold(made) == BITS
    assert state(made) == ("OUTREG", "OUTREG")
    assert made["cells"]["ram"]["connections"]["DOA0"] == [AFTER + 2]


@pytest.mark.parametrize(
    ("ram_enable", "enable", "folds"),
    [
        ("1", ENABLE, True),
        (READ, READ, True),
        (READ, ENABLE, True),
        (ENABLE, READ, False),
        (READ, None, False),
        ("0", ENABLE, False),
    ],
)
def test_an_enable_goes_along_if_the_ram_has_one_with_it(ram_enable: Any, enable: Any, folds: bool):
    made = module(ram_enable=ram_enable, flops=[flop(n, enable=enable) for n in range(BITS)])
    assert fold(made) == (BITS if folds else 0)
    assert made["cells"]["ram"]["connections"]["OCEB"] == [enable if folds else "1"]


@pytest.mark.parametrize(
    "changed",
    [
        {"LSR": 50},
        {"LSR": "1"},
        {"LSRMUX": "INV"},
        {"CLK": OTHER_CLOCK},
        {"CLKMUX": "INV"},
        {"REGSET": "SET"},
        {"GSR": "ENABLED"},
        {"CEMUX": "INV"},
        {"enable": ENABLE},
    ],
)
def test_one_that_is_different_keeps_all_outside(changed: dict[str, Any]):
    made = module(flops=[flop(0), flop(1, **changed), flop(2)])
    before = json.dumps(made)
    assert fold(made) == 0
    assert json.dumps(made) == before


def test_a_bit_that_something_else_looks_at_keeps_all_outside():
    made = module()
    made["cells"]["too"] = lut("1010101010101010", 60, FIRST + 1)
    assert fold(made) == 0
    made = module()
    made["ports"]["out"]["bits"].append(FIRST + 1)
    assert fold(made) == 0


def test_flip_flops_of_the_ports_stay():
    made = module()
    made["ports"]["out"]["bits"].append(AFTER + 1)
    assert fold(made) == 0


def test_a_ram_with_a_reset_stays():
    made = module()
    made["cells"]["ram"]["connections"]["RSTB"] = [70]
    assert fold(made) == 0


def test_a_file(tmp_path):
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"top": module(), "empty": {"cells": {}, "ports": {}}}}))
    assert fold_file(path) == BITS
    assert state(json.loads(path.read_text())["modules"]["top"]) == ("NOREG", "OUTREG")
