"""A memory that gives wrong bytes for what is written in the clock of the read, as a block RAM may."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib.memory import Memory

__all__ = ["TornMemory"]


class TornMemory(Elaboratable):
    """Stands in for a `Memory` with one port for writing and one for reading, made in this order."""

    def __init__(self, **given: Any) -> None:
        assert "no_rw_check" in given["attrs"]
        self._memory = Memory(**given)

    def write_port(self, **given: Any) -> Any:
        self._write: Any = self._memory.write_port(**given)
        return self._write

    def read_port(self) -> Any:
        self._read: Any = self._memory.read_port()
        self._data: Any = Signal(len(self._read.data))
        return SimpleNamespace(addr=self._read.addr, en=self._read.en, data=self._data)

    def elaborate(self, platform: object) -> Module:
        m: Any = Module()
        m.submodules.memory = self._memory
        write, read = self._write, self._read
        torn: Any = Signal(len(write.en))
        with m.If(read.en):
            m.d.sync += torn.eq(Mux(write.addr == read.addr, write.en, 0))
        granule = len(read.data) // len(torn)
        m.d.comb += self._data.eq(read.data ^ Cat(bit.replicate(granule) for bit in torn))
        return m
