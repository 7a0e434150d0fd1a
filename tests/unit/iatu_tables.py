"""The maps of the inbound and outbound windows, typed in by hand, in the form of the tables of ``test_regs_maps``.

The unroll layout of the DesignWare iATU as Linux's ``pcie-designware`` uses it.
"""

BYTES = 8

CTRL1 = {"TYPE": (4, 0, "rw"), "TD": (8, 8, "rw"), "INCREASE_REGION_SIZE": (13, 13, "rw"), "FUNCTION": (24, 20, "rw")}
CTRL2 = {"INHIBIT_PAYLOAD": (22, 22, "rw"), "CFG_SHIFT": (28, 28, "rw"), "ENABLE": (31, 31, "rw")}
INBOUND = {
    "CTRL1": CTRL1,
    "CTRL2": {**CTRL2, "BAR": (10, 8, "rw"), "FUNCTION_MATCH": (19, 19, "rw"), "BAR_MATCH": (30, 30, "rw")},
}
OUTBOUND = {
    "CTRL1": {**CTRL1, "TC": (7, 5, "rw"), "ATTR": (10, 9, "rw")},
    "CTRL2": {**CTRL2, "MESSAGE_CODE": (7, 0, "rw")},
}


def window(name, base, controls):
    return {
        f"{name}_CTRL1": (base + 0x00, 0, BYTES, controls["CTRL1"]),
        f"{name}_CTRL2": (base + 0x04, 0, BYTES, controls["CTRL2"]),
        f"{name}_LOWER_BASE": (base + 0x08, 0, BYTES, {"BASE": (31, 12, "rw")}),
        f"{name}_UPPER_BASE": (base + 0x0C, 0, BYTES, {"BASE": (31, 0, "rw")}),
        f"{name}_LIMIT": (base + 0x10, 0xFFF, BYTES, {"GRANULE": (11, 0, "const"), "LIMIT": (31, 12, "rw")}),
        f"{name}_LOWER_TARGET": (base + 0x14, 0, BYTES, {"TARGET": (31, 12, "rw")}),
        f"{name}_UPPER_TARGET": (base + 0x18, 0, BYTES, {"TARGET": (31, 0, "rw")}),
        f"{name}_UPPER_LIMIT": (base + 0x20, 0, BYTES, {"LIMIT": (31, 0, "rw")}),
    }


def inbound(count):
    """A block of 0x200 for each pair of windows, the inbound one in its upper half."""
    return {key: row for n in range(count) for key, row in window(f"IB{n}", 0x200 * n + 0x100, INBOUND).items()}


def outbound(count):
    return {key: row for n in range(count) for key, row in window(f"OB{n}", 0x200 * n, OUTBOUND).items()}
