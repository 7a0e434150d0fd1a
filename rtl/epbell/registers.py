"""From the two masters, host and CPU, to the register pages."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import csr
from epbell.csr_register import any_of
from epbell.share import Share, check_patience

__all__ = ["RegisterPages"]


class RegisterPages(wiring.Component):
    """Connects the host and the CPU to the register ports of the pages.

    The CPU reaches every page, the host those that are meant for it; only these need an arbiter, one for writing and
    one for reading (:class:`Share`). Masters that access different pages, or the same page in different directions, do
    not notice each other. What is granted happens in the same cycle.

    Where a write of the host is no more than an event, the block may have an input for it beside its register port.
    Such a write goes that way: it never waits for the CPU, and may meet the CPU's write of the same clock.

    Parameters
    ----------
    names : sequence of str
        Names of the pages.
    host_names : sequence of str
        Those that the host reaches.
    aside : sequence of str
        Those of them where the host's writes go beside the register port.
    patience : int
        Clocks that the CPU waits at most, 1 or more.

    Attributes
    ----------
    host_w_valid, host_w_ready, host_w_pages, host_w_addr, host_w_data, host_w_strb
        Write of the host. ``host_w_pages`` is one-hot over `host_names`.
    host_r_valid, host_r_ready, host_r_pages, host_r_addr, host_r_data
        Read of the host; ``host_r_data`` belongs to the same cycle.
    cpu_w_valid, cpu_w_ready, cpu_w_pages, cpu_w_addr, cpu_w_data, cpu_w_strb
        Write of the CPU, pages one-hot over `names`. Hold ``valid`` until ``ready``.
    cpu_r_valid, cpu_r_ready, cpu_r_pages, cpu_r_addr, cpu_r_data
        Read of the CPU.
    <name> : Out(csr.Signature(16))
        Register port of each page.
    <name>_aside : Out(1)
        For each page of `aside`: the host writes to it in this cycle.

    Raises
    ------
    ValueError
        If a page for the host is none of the pages, one of `aside` none of the host's, or `patience` is less than 1.
    """

    host_w_valid: Any
    host_w_ready: Any
    host_w_pages: Any
    host_w_addr: Any
    host_w_data: Any
    host_w_strb: Any
    host_r_valid: Any
    host_r_ready: Any
    host_r_pages: Any
    host_r_addr: Any
    host_r_data: Any
    cpu_w_valid: Any
    cpu_w_ready: Any
    cpu_w_pages: Any
    cpu_w_addr: Any
    cpu_w_data: Any
    cpu_w_strb: Any
    cpu_r_valid: Any
    cpu_r_ready: Any
    cpu_r_pages: Any
    cpu_r_addr: Any
    cpu_r_data: Any

    def __init__(
        self, names: Sequence[str], host_names: Sequence[str], *, aside: Sequence[str] = (), patience: int = 8
    ) -> None:
        for name in host_names:
            if name not in names:
                raise ValueError(f"A page for the host must be one of {', '.join(names)}, not {name!r}")
        for name in aside:
            if name not in host_names:
                raise ValueError(f"A page with a way aside must be one of {', '.join(host_names)}, not {name!r}")
        self._names, self._host_names, self._aside = tuple(names), tuple(host_names), tuple(aside)
        self._patience = check_patience(patience)
        members: dict[str, Any] = {}
        for master, pages in (("host", len(host_names)), ("cpu", len(names))):
            members |= {
                f"{master}_w_valid": In(1),
                f"{master}_w_ready": Out(1),
                f"{master}_w_pages": In(pages),
                f"{master}_w_addr": In(16),
                f"{master}_w_data": In(32),
                f"{master}_w_strb": In(4),
                f"{master}_r_valid": In(1),
                f"{master}_r_ready": Out(1),
                f"{master}_r_pages": In(pages),
                f"{master}_r_addr": In(16),
                f"{master}_r_data": Out(32),
            }
        members |= {f"{name}_aside": Out(1) for name in aside}
        super().__init__(members | {name: Out(csr.Signature(16)) for name in names})

    def elaborate(self, platform: object) -> Module:
        """Merge the two masters for each page and direction."""
        m: Any = Module()
        host_ready: dict[str, list[Value]] = {"w": [self._go_aside(m, name) for name in self._aside], "r": []}
        cpu_ready: dict[str, list[Value]] = {"w": [], "r": []}
        host_data: list[Any] = []
        cpu_data: list[Any] = []
        for index, name in enumerate(self._names):
            port = getattr(self, name)
            for way in ("w", "r"):
                host, cpu = self._grants(m, name, index, way)
                host_ready[way].append(host)
                cpu_ready[way].append(cpu)
                m.d.comb += [
                    getattr(port, f"{way}_en").eq(host | cpu),
                    getattr(port, f"{way}_addr").eq(
                        Mux(cpu, getattr(self, f"cpu_{way}_addr"), getattr(self, f"host_{way}_addr"))
                    ),
                ]
                if way == "w":
                    m.d.comb += [
                        port.w_data.eq(Mux(cpu, self.cpu_w_data, self.host_w_data)),
                        port.w_strb.eq(Mux(cpu, self.cpu_w_strb, self.host_w_strb)),
                    ]
            cpu_data.append(port.r_data & self.cpu_r_pages[index].replicate(32))
            if name in self._host_names:
                host_data.append(port.r_data & self.host_r_pages[self._host_names.index(name)].replicate(32))
        for way in ("w", "r"):
            m.d.comb += [
                getattr(self, f"host_{way}_ready").eq(any_of(host_ready[way])),
                getattr(self, f"cpu_{way}_ready").eq(any_of(cpu_ready[way])),
            ]
        m.d.comb += [self.cpu_r_data.eq(any_of(cpu_data)), self.host_r_data.eq(any_of(host_data))]
        return m

    def _go_aside(self, m: Any, name: str) -> Any:
        """Let the host's write go beside the register port; return "there is one"."""
        event = getattr(self, f"{name}_aside")
        m.d.comb += event.eq(self._host_wants(name, "w"))
        return event

    def _host_wants(self, name: str, way: str) -> Any:
        return getattr(self, f"host_{way}_valid") & getattr(self, f"host_{way}_pages")[self._host_names.index(name)]

    def _grants(self, m: Any, name: str, index: int, way: str) -> tuple[Any, Any]:
        """Return which accesses happen to one page in this cycle: the host's, the CPU's."""
        cpu_wants = getattr(self, f"cpu_{way}_valid") & getattr(self, f"cpu_{way}_pages")[index]
        if name not in self._host_names or (way == "w" and name in self._aside):
            return Value.cast(0), cpu_wants
        host_wants = self._host_wants(name, way)
        m.submodules[f"{name}_{way}"] = share = Share(self._patience)
        m.d.comb += [share.host_wants.eq(host_wants), share.cpu_wants.eq(cpu_wants)]
        return host_wants & share.host_ready, share.cpu_ready
