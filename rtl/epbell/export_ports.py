"""The ports of an exported module, read from its SystemVerilog."""

import re
from dataclasses import dataclass

__all__ = [
    "Port",
    "ports_of",
]

_PORT = re.compile(r"^  (input|output)\s+(?:wire\s+|reg\s+|logic\s+)?(?:\[(\d+):0\]\s+)?(\\?[\w$.]+)\s*;", re.MULTILINE)


@dataclass(frozen=True)
class Port:
    """One port of an exported module: its name, ``input`` or ``output``, and its width in bits."""

    name: str
    direction: str
    width: int


def ports_of(text: str, name: str) -> list[Port]:
    """List the ports of module `name` in the SystemVerilog source `text`, in their order.

    Raises
    ------
    ValueError
        If the text holds no such module.
    """
    start = re.search(rf"^module \\?{re.escape(name)}\s*\(", text, re.MULTILINE)
    if start is None:
        held = re.findall(r"^module \\?([\w$.]+)", text, re.MULTILINE)
        raise ValueError(f"The module must be one that the text holds ({', '.join(held) or 'none'}), not {name!r}")
    body = text[start.start() : text.index("endmodule", start.start())]
    return [Port(port.lstrip("\\"), direction, int(msb or 0) + 1) for direction, msb, port in _PORT.findall(body)]
