"""Proofs of the AXI4-Lite bridge in front of every register port, and of what shares one."""

from typing import Any

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from bus import state_responses
from inside import Inside

from epbell import axil
from epbell.share import Share
from epbell_tb.formal_checks import Bench, Checks, Proof

__all__ = ["PROOFS"]


class _Bridge(Bench):
    """Each request is one access at the register port, in its own clock, and has one response."""

    def __init__(self) -> None:
        super().__init__({"s": In(axil.Signature(16)), "r_data": In(32)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = axil.Bridge(16)
        port, bus = self.s, dut.bus
        wiring.connect(m, wiring.flipped(port), dut.axil)
        m.d.comb += bus.r_data.eq(self.r_data)
        state_responses(m, checks, port, "s")
        write = state_writes(checks, port, bus)
        read = port.arvalid & port.arready
        checks.forward("a read that is accepted is a read at the register port", ~read | bus.r_en)
        checks.backward("nothing else is read", ~bus.r_en | read)
        checks.forward("the address of a read is passed on", ~bus.r_en | (bus.r_addr == port.araddr))
        asked = checks.past(read, "asked")
        got = checks.past(self.r_data, "got")
        checks.backward(
            "the answer is what the register port gave in the clock of the read", ~asked | (port.rdata == got)
        )
        checks.cover("a write and a read at once", write & read)


class _RegisteredBridge(Bench):
    """Each read is loaded in its own clock, made once when there is room for its answer, and has one response."""

    def __init__(self) -> None:
        super().__init__({"s": In(axil.Signature(16)), "r_data": In(32)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = axil.Bridge(16, registered=True)
        port, bus = self.s, dut.bus
        wiring.connect(m, wiring.flipped(port), dut.axil)
        m.d.comb += bus.r_data.eq(self.r_data)
        state_responses(m, checks, port, "s", waits=dut._asked)
        write = state_writes(checks, port, bus)
        read = port.arvalid & port.arready
        # What the register port holds, and what it was asked for.
        loaded, wanted, waits = Signal(16, name="loaded"), Signal(16, name="wanted"), Signal(name="waits")
        m.d.sync += waits.eq(read | (waits & ~bus.r_en))
        with m.If(bus.r_load):
            m.d.sync += loaded.eq(bus.r_addr)
        with m.If(read):
            m.d.sync += wanted.eq(port.araddr)
        room = ~port.rvalid | port.rready
        checks.invariant("a read waits that was asked for", dut._asked == waits)
        checks.forward("a read that waits is made as soon as there is room for its answer", ~(waits & room) | bus.r_en)
        checks.backward("each read is made once, and nothing else", ~bus.r_en | waits)
        checks.backward("no read is made while an answer waits", ~bus.r_en | room)
        checks.forward("the read that waits is of the address that was asked for", ~waits | (loaded == wanted))
        checks.backward("a read that waits is not forgotten for another one", ~(read & waits) | bus.r_en)
        made, got = checks.past(bus.r_en, "made"), checks.past(self.r_data, "got")
        checks.forward("a read that was made is answered in the next clock", ~made | port.rvalid)
        checks.backward(
            "the answer is what the register port gave in the clock of the read", ~made | (port.rdata == got)
        )
        checks.cover("a write and a read at once", write & read)
        checks.cover("a read waits behind an answer, and a third one for it", waits & ~room & port.arvalid)


def state_writes(checks: Checks, port: Any, bus: Any) -> Any:
    """State that each write that is accepted is one at the register port, in its clock; return whether one is."""
    write = port.awvalid & port.awready & port.wvalid & port.wready
    checks.forward("a write that is accepted is a write at the register port", ~write | bus.w_en)
    checks.backward("nothing else is written", ~bus.w_en | write)
    sent, arrived = Cat(port.awaddr, port.wdata, port.wstrb), Cat(bus.w_addr, bus.w_data, bus.w_strb)
    checks.forward("address, word and strobes of a write are passed on", ~bus.w_en | (sent == arrived))
    return write


class _Share(Bench):
    """Host and CPU at one port: never both, never neither while one wants it, and the CPU waits a bounded time."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        super().__init__({"host_wants": In(1), "cpu_wants": In(1), "hold": In(1)})

    def check(self, m: Any, checks: Checks) -> None:
        m.submodules.dut = dut = Share(self.patience)
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in ("host_wants", "cpu_wants", "hold")]
        host, cpu = self.host_wants & dut.host_ready, self.cpu_wants & dut.cpu_ready
        waited: Any = Signal(range(self.patience + 1), name="waited")
        with m.If(self.cpu_wants & ~dut.cpu_ready):
            m.d.sync += waited.eq(waited + (waited != self.patience))
        with m.Else():
            m.d.sync += waited.eq(0)
        alone = self.cpu_wants & ~self.host_wants & ~self.hold
        checks.forward("who wants the port alone has it", ~alone | cpu)
        late = checks.past(self.hold, "held")  # not in its first clock
        checks.forward(
            "the port does not stand idle while both want it",
            ~(self.cpu_wants & self.host_wants) | host | cpu | (self.hold & ~late),
        )
        checks.backward("the port is never given to both", ~(host & cpu))
        checks.backward("the CPU may only when it wants", ~dut.cpu_ready | self.cpu_wants)
        # Clocks for which it has been asking, granted or not, since it did not ask or had a turn that it could use.
        asked: Any = Signal(range(self.patience + 1), name="asked")
        with m.If(~self.cpu_wants | (~dut.host_ready & ~self.hold)):
            m.d.sync += asked.eq(0)
        with m.Else():
            m.d.sync += asked.eq(asked + (asked != self.patience))
        inside, last = Inside(dut), self.patience - 1
        counted = Mux(asked < last, asked, last)
        checks.invariant("the clocks in which it asks are counted", inside.signal("waited") == counted)
        checks.invariant("who waits asks", waited <= asked)
        due = checks.past(self.cpu_wants & (asked >= last) & dut.host_ready & ~self.hold, "due")
        checks.invariant("then it has its turn", inside.signal("turn") == due)
        told = checks.past(~dut.host_next, "host_told")
        checks.forward("the host is told a clock before", dut.host_ready == ~told)
        over = self.cpu_wants & (waited == self.patience) & ~self.hold & ~late
        checks.forward("the CPU waits no longer than its patience, or than to the second clock behind what holds it up",
                       ~over | cpu)  # fmt: skip
        checks.backward("nothing of the CPU's while that is so, and from the second clock on all of the host's",
                        ~self.hold | (~dut.cpu_ready & (dut.host_ready | ~late)))  # fmt: skip
        before = checks.past(~dut.host_ready, "host_refused")
        checks.backward("the host is refused only behind a CPU that has asked for its patience", dut.host_ready | due)
        checks.backward("the host is refused one clock at a time", ~(before & self.host_wants) | dut.host_ready)
        checks.cover("the host is refused", self.host_wants & ~dut.host_ready)
        held = checks.past(late & self.cpu_wants, "held_up")
        checks.cover("the CPU is held up, and has its turn then", held & self.host_wants & cpu)


PROOFS = [
    Proof("axil.bridge.16", "each request is one access at the register port and has one response", _Bridge),
    Proof(
        "axil.bridge.registered",
        "each read is loaded in its own clock, made once when there is room, and has one response; writes as without",
        _RegisteredBridge,
    ),
    Proof(
        "axil.share.8",
        "host and CPU at one port: one at a time, the CPU waits no longer than its patience",
        lambda: _Share(8),
        depth=12,
        cover_depth=12,
        mutant_depth=12,
    ),
]
