"""Two local users of the RAM's port: the endpoint's CPU, and the MSI-X engine."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell.ram import READ_CLOCKS

__all__ = ["RamShare"]


class RamShare(wiring.Component):
    """Lets the CPU and an engine take turns at one port for writing and one for reading, a dword at a time.

    Where both want a port, the one that was not served last goes first. An access is chosen in the clock in which it is
    first there, or after the one before was done, and asked for from the next clock on, until the RAM is ready: that is
    when it is done. All that the RAM and the engine see comes out of flip-flops.

    Parameters
    ----------
    address_width : int
        Width of a dword address.

    Attributes
    ----------
    cpu_w_valid, cpu_w_ready, cpu_w_addr, cpu_w_data, cpu_w_strb, cpu_r_valid, cpu_r_ready, cpu_r_addr
        Accesses of the CPU.
    mem_valid, mem_ready, mem_write, mem_addr, mem_data : In(1), Out(1), In(1), In, In(32)
        Access of the engine, whole dwords. ``mem_ready`` comes in the clock after a read has been chosen, in which it
        is done at the earliest, and in the clock after a write has been done.
    mem_cancel : In(1)
        The engine takes its access back, and offers none in the next clock. From then on it is not asked for, unless it
        is a read that has been chosen before: that is done.
    mem_rvalid : Out(1)
        The data of the engine's read are there: ``READ_CLOCKS`` clocks (:mod:`epbell.ram`) after it was done.
    w_valid, w_ready, w_addr, w_data, w_strb, r_valid, r_ready, r_addr
        The RAM's ports.
    """

    cpu_w_valid: Any
    cpu_w_ready: Any
    cpu_w_addr: Any
    cpu_w_data: Any
    cpu_w_strb: Any
    cpu_r_valid: Any
    cpu_r_ready: Any
    cpu_r_addr: Any
    mem_valid: Any
    mem_ready: Any
    mem_write: Any
    mem_addr: Any
    mem_data: Any
    mem_cancel: Any
    mem_rvalid: Any
    w_valid: Any
    w_ready: Any
    w_addr: Any
    w_data: Any
    w_strb: Any
    r_valid: Any
    r_ready: Any
    r_addr: Any

    def __init__(self, address_width: int) -> None:
        members: dict[str, Any] = {
            "mem_valid": In(1),
            "mem_ready": Out(1),
            "mem_write": In(1),
            "mem_addr": In(address_width),
            "mem_data": In(32),
            "mem_cancel": In(1),
            "mem_rvalid": Out(1),
        }
        for prefix, flow, back in (("cpu_", In, Out), ("", Out, In)):
            for way in ("w", "r"):
                members |= {
                    f"{prefix}{way}_valid": flow(1),
                    f"{prefix}{way}_ready": back(1),
                    f"{prefix}{way}_addr": flow(address_width),
                }
            members |= {f"{prefix}w_data": flow(32), f"{prefix}w_strb": flow(4)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Choose for each port."""
        m: Any = Module()
        wants = self.mem_valid & ~self.mem_ready
        writes, _ = self._choose(m, "w", wants & self.mem_write, self.mem_cancel, ("data", "strb"))
        reads, chosen = self._choose(m, "r", wants & ~self.mem_write, 0, ())
        m.d.sync += self.mem_ready.eq((writes & self.w_ready) | chosen)
        under_way: Any = Signal(READ_CLOCKS)
        m.d.sync += under_way.eq(Cat(reads & self.r_ready, under_way))
        m.d.comb += self.mem_rvalid.eq(under_way[-1])
        return m

    def _choose(self, m: Any, way: str, wants: Any, withdraws: Any, more: tuple[str, ...]) -> tuple[Any, Any]:
        """Connect one direction; return "the engine's is asked for" and "the engine's is chosen"."""
        served: Any = Signal(name=f"{way}_served")  # the engine was, last
        engine: Any = Signal(name=f"{way}_engine")  # whose access is asked for
        first: Any = Signal(name=f"{way}_first")  # the engine, if there is no other
        valid, ready = getattr(self, f"{way}_valid"), getattr(self, f"{way}_ready")
        cpu_wants = getattr(self, f"cpu_{way}_valid")
        cpu = valid & ~engine
        chosen = ~valid & first & ~self.mem_cancel
        m.d.comb += [
            first.eq(wants & ~(cpu_wants & served)),
            getattr(self, f"cpu_{way}_ready").eq(cpu & ready),
        ]
        m.d.sync += valid.eq(Mux(valid, ~ready & ~(engine & withdraws), Mux(first, ~self.mem_cancel, cpu_wants)))
        with m.If(valid & ready):
            m.d.sync += served.eq(engine)
        with m.If(~valid):
            m.d.sync += [
                engine.eq(first),
                getattr(self, f"{way}_addr").eq(Mux(first, self.mem_addr, getattr(self, f"cpu_{way}_addr"))),
            ]
            for name in more:
                of_engine = self.mem_data if name == "data" else 0xF
                m.d.sync += getattr(self, f"w_{name}").eq(Mux(first, of_engine, getattr(self, f"cpu_w_{name}")))
        return valid & engine, chosen
