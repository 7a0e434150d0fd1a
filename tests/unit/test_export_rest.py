"""What `add_at_rest` refuses: a design of which it cannot say whether it rests."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib.memory import Memory

from epbell import export
from epbell.export_rest import add_at_rest


def converted(m, *ports):
    return rtlil.convert(m, name="top", ports=ports)


def counter():
    m, count = Module(), Signal(4, name="count")
    m.d.sync += count.eq(count + 1)
    return converted(m, count)


def test_text_is_kept():
    text = counter()
    added = add_at_rest(text, "top")
    assert set(text.splitlines()) < set(added.splitlines())
    assert "wire width 1 output 3 \\at_rest" in added


def test_registers_that_may_change():
    text = counter().replace("module \\top", "module \\a.b")
    assert add_at_rest(text, "a").count("cell $eq") == 1
    assert add_at_rest(text, "a", {"b": ["count"]}).count("cell $eq") == 0


@pytest.mark.parametrize("besides", [{"": ["count"]}, {"b": ["count"]}, {"b": []}])
def test_module_that_is_not_there(besides):
    text = counter()
    if not any(besides.values()):
        assert add_at_rest(text, "top", besides) == add_at_rest(text, "top")
        return
    with pytest.raises(ValueError, match=r"must be the design's, not top\.\w*\.count"):
        add_at_rest(text, "top", besides)


def test_register_that_is_not_there():
    text = counter().replace("module \\top", "module \\a.b")
    with pytest.raises(ValueError, match=r"must be the design's, not a\.b\.counts"):
        add_at_rest(text, "a", {"b": ["counts", "count"]})


@pytest.mark.parametrize("ports", [1, 2])
def test_word_that_is_written_again(ports):
    """It rests if nothing else can have been written there in between: with one port."""
    m = Module()
    m.submodules.memory = memory = Memory(shape=8, depth=4, init=[])
    together = []
    for _ in range(ports):
        write = memory.write_port()
        together += [write.en, write.addr, write.data]
    read = memory.read_port(domain="comb")
    added = add_at_rest(converted(m, *together, read.addr, read.data), "top")
    assert added.count("cell $logic_not") == ports
    assert added.count("cell $eq") == added.count("cell $or") == (ports == 1)


def test_cell_that_is_not_known():
    m, q = Module(), Signal()
    m.submodules.pad = Instance("PAD", i_clk=ClockSignal(), o_q=q)
    with pytest.raises(ValueError, match=r"must be known, not as of \\PAD in top"):
        add_at_rest(converted(m, q), "top")


def test_register_with_another_reset():
    with pytest.raises(ValueError, match=r"must be known, not as of \$adff in top"):
        add_at_rest(counter().replace("cell $dff", "cell $adff"), "top")


def test_process_with_a_state():
    text = counter().replace("  cell $dff", "  process $p\n    sync posedge \\clk\n  end\n  cell $dff")
    with pytest.raises(ValueError, match="No process may have a state, not as 'sync posedge"):
        add_at_rest(text, "top")


def test_export_edits_the_design():
    class Blinker(export.wiring.Component):
        o: export.wiring.Out(1)

        def elaborate(self, platform):
            m = Module()
            m.d.sync += self.o.eq(~self.o)
            return m

    text = export.to_systemverilog(Blinker(), "blinker", lambda text: add_at_rest(text, "blinker"))
    assert {port.name for port in export.ports_of(text, "blinker")} == {"clk", "rst", "o", "at_rest"}
