"""Which ports of a module belong together, by name."""

import pytest

from epbell.export_interfaces import interfaces_of
from epbell.export_ports import Port


def one(name, width=1):
    return Port(name, "input", width)


AXIL = [
    one(f"a_axil_{name}")
    for name in (
        *("awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid", "bready"),
        *("araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready"),
    )
]


def test_clock_of_a_side_where_there_is_one():
    (found,) = [each for each in interfaces_of([one("clk"), one("rst"), *AXIL]) if each.kind == "axi4-lite"]
    assert (found.name, found.initiator, found.clock, found.reset) == ("a_axil", False, "clk", "rst")
    assert len(found.ports) == 19
    (found,) = [each for each in interfaces_of([one("a_clk"), one("a_rst"), *AXIL]) if each.kind == "axi4-lite"]
    assert (found.clock, found.reset) == ("a_clk", "a_rst")


def test_an_incomplete_interface_is_refused():
    with pytest.raises(ValueError, match="'a_axil' must have all its ports, and lacks rresp, wstrb"):
        interfaces_of([port for port in AXIL if port.name not in ("a_axil_rresp", "a_axil_wstrb")])


def test_what_is_no_interface_is_left_out():
    assert interfaces_of([one("irq"), one("cfg_interrupt_sent"), Port("wr_done", "output", 4)]) == []
