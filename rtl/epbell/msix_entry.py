"""An entry of the MSI-X table, read from the RAM."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "ENTRY",
    "EntryReader",
]

ENTRY = data.StructLayout({"low": 32, "high": 32, "data": 32, "control": 32})
"""An entry of the table, as it is in the RAM: message address, message data, vector control."""

_DWORDS = ENTRY.size // 32


class EntryReader(wiring.Component):
    """Reads the four dwords of an entry, one per clock if nothing is in the way.

    The first request comes in the clock after `run`, with the address of the clock before `run`. `done` comes two
    clocks after the last data, and no earlier than ``late + 2`` clocks after the last request.

    Parameters
    ----------
    address_width : int
        Width of a dword address of the RAM.
    late : int
        Clocks after a request in which something may turn out that the request did not see, 1 or more.

    Attributes
    ----------
    run : In(1)
        Read; high until `done`, then low for a clock at least. If it falls earlier, nothing more is asked for from
        the next clock on, and what comes is not used; keep it low until ``under_way`` is.
    address : In(address_width)
        Dword address of the entry.
    mem_valid, mem_ready, mem_addr : Out(1), In(1), Out(address_width)
        Request to read a dword.
    mem_rvalid, mem_rdata : In(1), In(32)
        Read data, in order.
    fresh : Out(1)
        Nothing has been asked for in an earlier clock.
    under_way : Out(1)
        Data are still to come.
    done, entry : Out(1), Out(ENTRY)
        The entry is there: until `run` falls, and the entry until the next `run`.
    """

    run: Any
    address: Any
    mem_valid: Any
    mem_ready: Any
    mem_addr: Any
    mem_rvalid: Any
    mem_rdata: Any
    fresh: Any
    under_way: Any
    done: Any
    entry: Any

    def __init__(self, address_width: int, late: int = 1) -> None:
        self._late = late
        super().__init__({
            "run": In(1),
            "address": In(address_width),
            "mem_valid": Out(1),
            "mem_ready": In(1),
            "mem_addr": Out(address_width),
            "mem_rvalid": In(1),
            "mem_rdata": In(32),
            "fresh": Out(1),
            "under_way": Out(1),
            "done": Out(1),
            "entry": Out(ENTRY),
        })

    def elaborate(self, platform: object) -> Module:
        """Count what has been asked for, and what has not come yet."""
        m: Any = Module()
        asked: Any = Signal(range(_DWORDS + 1))
        missing: Any = Signal(range(_DWORDS + 1))
        since: Any = Signal(self._late)  # the last request, in clocks
        request = self.mem_valid & self.mem_ready
        last = asked == _DWORDS - 1
        m.d.comb += self.fresh.eq(asked == 0)
        m.d.sync += [
            self.mem_valid.eq(self.run & (self.fresh | self.mem_valid) & ~(request & last)),
            missing.eq(missing + request - self.mem_rvalid),
            self.under_way.eq((missing != self.mem_rvalid) | request),
            since.eq(Cat(self.run & (asked == _DWORDS), since[:-1] & self.run.replicate(self._late - 1))),
            self.done.eq(self.run & since[-1] & ~missing.any()),
        ]
        with m.If(~self.run):
            m.d.sync += [asked.eq(0), self.mem_addr.eq(self.address)]
        with m.Elif(request):
            m.d.sync += [asked.eq(asked + 1), self.mem_addr.eq(self.mem_addr + 1)]
        with m.If(self.mem_rvalid):
            m.d.sync += self.entry.as_value().eq(Cat(self.entry.as_value()[32:], self.mem_rdata))
        return m
