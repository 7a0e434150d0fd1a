"""Flip-flops behind a block RAM become the RAM's own output registers, in a netlist of an ECP5.

From the clock to the outputs of a block RAM (DP16KD) it takes 5.8 ns, and much less if the RAM's own output register is
used. Yosys does not use it: where each bit that is read goes into a flip-flop and nowhere else, these flip-flops stay
outside. Here they are taken away, ``REGMODE`` becomes ``OUTREG``, and the register's enable (OCE) is theirs, as Lattice
says in FPGA-TN-02204, "ECP5 and ECP5-5G Memory Usage Guide". nextpnr looks for the delays at ``REGMODE``. One that is
an output of the whole design stays: where a module is measured alone, it is not the module's.

An enable is taken over only if the RAM's own (CE) is always on with it, so that nothing depends on what the register
does while the RAM is not enabled.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["fold", "fold_file"]

_Bit = int | str  # the number of a net, or a constant
_Cells = dict[str, dict[str, Any]]

_MOST_INPUTS = 10  # of the logic before an enable, looked at case by case
_LUT_INPUTS = "ABCD"


@dataclass(frozen=True)
class _Nets:
    """Who drives a net, how many look at it, and which are the module's outputs."""

    drivers: dict[_Bit, str]
    loads: Counter[_Bit]
    outputs: set[_Bit]


def fold_file(path: Path) -> int:
    """Fold in a netlist that Yosys has written as JSON; return how many flip-flops are gone."""
    netlist = json.loads(path.read_text(encoding="utf-8"))
    folded = sum(fold(module) for module in netlist["modules"].values())
    path.write_text(json.dumps(netlist), encoding="utf-8")
    return folded


def fold(module: dict[str, Any]) -> int:
    """Fold flip-flops into the block RAMs of a module; return how many.

    Parameters
    ----------
    module : dict
        A module of Yosys' JSON, of cells of the ECP5. It is changed.
    """
    cells: _Cells = module["cells"]
    nets = _nets(module)
    folded = 0
    for ram in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        wide = int(str(ram["parameters"].get("DATA_WIDTH_A", "0")), 2) == 36  # B reads through the outputs of both
        for side, outputs in [("B", ("DOA", "DOB"))] if wide else [("A", ("DOA",)), ("B", ("DOB",))]:
            names = _registers(cells, nets, ram, side, outputs)
            if names:
                _take(cells, ram, side, outputs, names)
                folded += len(names)
    return folded


def _nets(module: dict[str, Any]) -> _Nets:
    drivers: dict[_Bit, str] = {}
    loads: Counter[_Bit] = Counter()
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                drivers |= dict.fromkeys(bits, name)
            else:
                loads.update(bits)
    outputs = {bit for port in module["ports"].values() if port["direction"] != "input" for bit in port["bits"]}
    loads.update(outputs)
    return _Nets(drivers, loads, outputs)


def _registers(cells: _Cells, nets: _Nets, ram: dict[str, Any], side: str, outputs: tuple[str, ...]) -> dict[_Bit, str]:
    """Return the flip-flop of each output bit that is read; none if they cannot be folded."""
    if any(ram["parameters"].get(f"REGMODE_{out[2]}", "NOREG") != "NOREG" for out in outputs):
        return {}
    used = [bit for port, bits in ram["connections"].items() if port[:3] in outputs for bit in bits if nets.loads[bit]]
    behind = {
        cell["connections"]["DI"][0]: name
        for name, cell in cells.items()
        if cell["type"] == "TRELLIS_FF" and cell["connections"].get("DI", ["x"])[0] in set(used)
    }
    if not used or any(bit not in behind or nets.loads[bit] != 1 for bit in used):
        return {}
    enables = {_enable(cells[name]) for name in behind.values()}
    plain = all(_is_plain(cells[name], ram, side) for name in behind.values())
    plain &= not any(cells[name]["connections"]["Q"][0] in nets.outputs for name in behind.values())
    if not plain or len(enables) != 1 or not _implies(cells, nets, enables.pop(), ram["connections"][f"CE{side}"][0]):
        return {}
    return behind


def _is_plain(flop: dict[str, Any], ram: dict[str, Any], side: str) -> bool:
    """Whether a flip-flop has the clock of the RAM's side, and no reset."""
    parameters, pins = flop["parameters"], flop["connections"]
    return (
        pins["CLK"] == ram["connections"][f"CLK{side}"]
        and parameters.get("CLKMUX", "CLK") == "CLK"
        and ram["parameters"].get(f"CLK{side}MUX", f"CLK{side}") == f"CLK{side}"
        and parameters.get("REGSET", "RESET") == "RESET"
        and parameters.get("GSR", "ENABLED") == ram["parameters"].get("GSR") == "DISABLED"
        and pins.get("LSR", ["0"]) == ["0"]
        and parameters.get("LSRMUX", "LSR") == "LSR"
        and ram["connections"][f"RST{side}"] == ["0"]
    )


def _enable(flop: dict[str, Any]) -> _Bit:
    """Return the net that enables a flip-flop, ``"1"`` for always, ``"x"`` for an enable of another kind."""
    kind = flop["parameters"].get("CEMUX", "CE").strip()
    return {"1": "1", "CE": flop["connections"].get("CE", ["1"])[0]}.get(kind, "x")


def _implies(cells: _Cells, nets: _Nets, cause: _Bit, effect: _Bit) -> bool:
    """Whether `effect` is on whenever `cause` is, whatever the flip-flops before their logic hold."""
    if cause == "x":
        return False
    if effect == "1" or cause == effect:
        return True
    inputs: set[_Bit] = set()
    for start in (cause, effect):
        _cone(cells, nets, start, inputs)
    if len(inputs) > _MOST_INPUTS:
        return False
    cases = itertools.product((0, 1), repeat=len(inputs))
    return all(
        _value(cells, nets, effect, given) or not _value(cells, nets, cause, given)
        for given in (dict(zip(inputs, case, strict=True)) for case in cases)
    )


def _lut(cells: _Cells, nets: _Nets, bit: _Bit) -> dict[str, Any] | None:
    cell = cells.get(nets.drivers.get(bit, ""))
    return cell if cell and cell["type"] == "LUT4" else None


def _cone(cells: _Cells, nets: _Nets, bit: _Bit, inputs: set[_Bit]) -> None:
    """Add to `inputs` the nets from which the LUTs before a net compute it."""
    lut = _lut(cells, nets, bit)
    if lut is not None:
        for pin in _LUT_INPUTS:
            _cone(cells, nets, lut["connections"][pin][0], inputs)
    elif not isinstance(bit, str):
        inputs.add(bit)


def _value(cells: _Cells, nets: _Nets, bit: _Bit, given: Mapping[_Bit, int]) -> int:
    lut = _lut(cells, nets, bit)
    if lut is None:
        return given[bit] if bit in given else int(bit == "1")
    pins = [_value(cells, nets, lut["connections"][pin][0], given) for pin in _LUT_INPUTS]
    return int(lut["parameters"]["INIT"][-1 - sum(value << place for place, value in enumerate(pins))])


def _take(cells: _Cells, ram: dict[str, Any], side: str, outputs: tuple[str, ...], behind: dict[_Bit, str]) -> None:
    """Put the outputs of the flip-flops in the place of the RAM's."""
    enable = _enable(cells[next(iter(behind.values()))])
    for port, bits in ram["connections"].items():
        if port[:3] in outputs and bits[0] in behind:
            ram["connections"][port] = cells.pop(behind[bits[0]])["connections"]["Q"]
    ram["connections"][f"OCE{side}"] = [enable]
    ram["parameters"] |= {f"REGMODE_{out[2]}": "OUTREG" for out in outputs}
