"""Which ports of an exported module belong together: AXI4-Lite, AXI4-Stream, clock, reset, interrupt.

The names of the ports tell, as they tell it to other tools; they are public and stable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from epbell.export_ports import Port

__all__ = [
    "AXIL",
    "AXIS",
    "CLOCK",
    "INTERRUPT",
    "RESET",
    "Interface",
    "interfaces_of",
]

AXIL, AXIS, CLOCK, RESET, INTERRUPT = "axi4-lite", "axi4-stream", "clock", "reset", "interrupt"

_AXIL = {
    *("awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid", "bready"),
    *("araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready"),
}
_AXIS = {"tdata", "tkeep", "tuser", "tlast", "tvalid", "tready"}


@dataclass(frozen=True)
class Interface:
    """Ports that belong together.

    Attributes
    ----------
    name : str
        What their names begin with; of a single port its name.
    kind : str
        `AXIL`, `AXIS`, `CLOCK`, `RESET` or `INTERRUPT`.
    initiator : bool
        Whether the module drives it: a stream that leaves, an interrupt.
    ports : dict
        Logical name, as the bus's standard has it (``"AWADDR"``) -> port.
    clock, reset : str
        Names of the clock and the reset that it goes with; empty for an interrupt's, which is a level.
    """

    name: str
    kind: str
    initiator: bool
    ports: dict[str, Port]
    clock: str = ""
    reset: str = ""


def interfaces_of(ports: Iterable[Port]) -> list[Interface]:
    """Group the ports of a module, in their order; ports of no standard interface are left out.

    Parameters
    ----------
    ports : iterable of Port
        All ports of the module.

    Raises
    ------
    ValueError
        If an interface lacks a port that it must have.
    """
    by_name = {port.name: port for port in ports}
    found: list[Interface] = []
    for port in by_name.values():
        prefix, _, last = port.name.rpartition("_")
        if last == "awvalid":
            found.append(_bus(AXIL, prefix, _AXIL, by_name, initiator=port.direction == "output"))
        elif last == "tvalid":
            found.append(_bus(AXIS, prefix, _AXIS, by_name, initiator=port.direction == "output"))
        elif last == "clk":
            found.append(Interface(port.name, CLOCK, False, {"CLK": port}, reset=_beside(port.name, "rst")))
        elif last == "rst":
            found.append(Interface(port.name, RESET, False, {"RST": port}, clock=_beside(port.name, "clk")))
        elif "irq" in port.name.split("_") and port.direction == "output":
            found.append(Interface(port.name, INTERRUPT, True, {"INTERRUPT": port}))
    return found


def _bus(kind: str, prefix: str, logical: set[str], by_name: dict[str, Port], *, initiator: bool) -> Interface:
    missing = sorted(name for name in logical if f"{prefix}_{name}" not in by_name)
    if missing:
        raise ValueError(f"The {kind} interface {prefix!r} must have all its ports, and lacks {', '.join(missing)}")
    own = {port.name: port for port in by_name.values() if port.name.startswith(f"{prefix}_")}
    ports = {name.removeprefix(f"{prefix}_").upper(): port for name, port in own.items()}
    side = f"{prefix.partition('_')[0]}_"
    domain = side if f"{side}clk" in by_name else ""
    return Interface(prefix, kind, initiator, ports, f"{domain}clk", f"{domain}rst")


def _beside(name: str, other: str) -> str:
    return name[:-3] + other
