"""From the two masters, host and CPU, to the register pages."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import csr
from epbell.csr_register import any_of
from epbell.share import Share, check_patience

__all__ = [
    "READ_CLOCKS",
    "WRITE_CLOCKS",
    "RegisterPages",
]

WRITE_CLOCKS = 2
"""Clocks from the handshake of a write to the one in which it is made; what it changes is seen from the next one on."""

READ_CLOCKS = 4
"""Clocks from the handshake of a read to the one in which its data are there. It is made together with the writes whose
handshake is in the same clock: :data:`WRITE_CLOCKS` later."""


class RegisterPages(wiring.Component):
    """Connects the host and the CPU to the register ports of the pages.

    The CPU reaches every page, the host those that are meant for it. They meet where both want the same of these in the
    same direction; an arbiter for each direction (:class:`Share`) sees to that. Masters that access different pages, or
    the same page in different directions, do not notice each other, but that the host waits in the clock that becomes
    the CPU's, whatever it wants in it.

    The handshakes define the order: a read finds what the writes whose handshake was in an earlier clock have left, and
    nothing of the others. Behind them is a pipeline that never stands, the same for all pages: the access is at the
    page's port in the next clock, where it is decoded, and made in the one after that. What a page reads as comes two
    clocks later, out of flip-flops; each master has the word of the page that it has read.

    While ``hold`` is high the CPU is granted nothing, at no page (:mod:`epbell.express`).

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
        Clocks that the CPU waits at most, those of ``hold`` aside, 1 or more.

    Attributes
    ----------
    host_w_valid, host_w_ready, host_w_pages, host_w_addr, host_w_data, host_w_strb
        Write of the host. ``host_w_pages`` is one-hot over `host_names`. ``host_w_ready``, a flip-flop, is of no
        account to a page of `aside`: such a write is always taken.
    host_r_valid, host_r_ready, host_r_pages, host_r_addr, host_r_data
        Read of the host; ``host_r_ready`` is a flip-flop. ``host_r_data`` is valid :data:`READ_CLOCKS` clocks after the
        handshake, for that clock only.
    host_w_next, host_r_next : Out(1)
        ``host_w_ready`` and ``host_r_ready`` of the next clock.
    cpu_w_valid, cpu_w_ready, cpu_w_pages, cpu_w_addr, cpu_w_data, cpu_w_strb
        Write of the CPU, pages one-hot over `names`. Hold ``valid`` until ``ready``, which is low without it.
    cpu_r_valid, cpu_r_ready, cpu_r_pages, cpu_r_addr, cpu_r_data
        Read of the CPU; its data as the host's.
    hold : In(1)
        No access of the CPU is granted in this clock. Out of a flip-flop.
    <name> : Out(csr.PAGE)
        Register port of each page.
    <name>_aside : Out(1)
        For each page of `aside`: a write of the host is made in this cycle.
    host_made : Out(len(host_names))
        A write of the host is made in this cycle, one-hot.

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
    host_w_next: Any
    host_r_next: Any
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
    hold: Any
    host_made: Any

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
        members |= {"host_w_next": Out(1), "host_r_next": Out(1), "hold": In(1), "host_made": Out(len(host_names))}
        super().__init__(members | {name: Out(csr.PAGE) for name in names})

    def elaborate(self, platform: object) -> Module:
        """Merge the two masters for each page and direction."""
        m: Any = Module()
        for way in ("w", "r"):
            self._merge(m, way)
        self._tell(m)
        self._join(m)
        return m

    def _merge(self, m: Any, way: str) -> None:
        """Grant one direction of every page, and put what is granted at its port in the next clock."""
        m.submodules[f"{way}_share"] = share = Share(self._patience)
        cpu_valid, host_valid = getattr(self, f"cpu_{way}_valid"), getattr(self, f"host_{way}_valid")
        meets: list[Value] = []
        for index, name in enumerate(self._names):
            cpu_wants = cpu_valid & getattr(self, f"cpu_{way}_pages")[index]
            host_wants: Any = Const(0)
            if name in self._host_names and (way == "r" or name not in self._aside):
                page = getattr(self, f"host_{way}_pages")[self._host_names.index(name)]
                host_wants = host_valid & page
                meets.append(page & getattr(self, f"cpu_{way}_pages")[index])
            host = host_wants & share.host_ready
            self._access(m, name, way, host, host | (cpu_wants & ~self.hold), host_wants | cpu_wants)
        m.d.comb += [
            share.host_wants.eq(host_valid & any_of(meets)),
            share.cpu_wants.eq(cpu_valid),
            share.hold.eq(self.hold),
            getattr(self, f"host_{way}_ready").eq(share.host_ready),
            getattr(self, f"host_{way}_next").eq(share.host_next),
            getattr(self, f"cpu_{way}_ready").eq(share.cpu_ready),
        ]

    def _access(self, m: Any, name: str, way: str, host: Any, granted: Any, wanted: Any) -> None:
        """Put what is granted into the stage in front of a page's port: the host's access, or else the CPU's."""
        port = getattr(self, name)
        m.d.sync += getattr(port, "w_en" if way == "w" else "r_load").eq(granted)
        # Who is granted comes late; what is there without a grant does no harm. Where nobody asks, nothing changes: the
        # ports of the pages that only the CPU reaches stay flip-flops of their own.
        with m.If(wanted):
            for member in ("addr", "data", "strb") if way == "w" else ("addr",):
                of_host, of_cpu = (getattr(self, f"{master}_{way}_{member}") for master in ("host", "cpu"))
                m.d.sync += getattr(port, f"{way}_{member}").eq(Mux(host, of_host, of_cpu))
        if way == "r":
            m.d.sync += port.r_en.eq(port.r_load)

    def _tell(self, m: Any) -> None:
        """Delay what is to be known of the host's writes by as much as the writes."""
        taken = [self.host_w_valid & (self.host_w_ready | (name in self._aside)) for name in self._host_names]
        made: Any = self.host_w_pages & Cat(taken)
        for clock in range(WRITE_CLOCKS):
            made = _held(m, made, f"host_made{clock}")
        m.d.comb += self.host_made.eq(made)
        for name in self._aside:
            m.d.comb += getattr(self, f"{name}_aside").eq(made[self._host_names.index(name)])

    def _join(self, m: Any) -> None:
        """Give each master what the page which it has read reads as."""
        for master, names in (("host", self._host_names), ("cpu", self._names)):
            read: Any = getattr(self, f"{master}_r_pages")
            for clock in range(READ_CLOCKS):
                read = _held(m, read, f"{master}_read{clock}")
            chosen = [getattr(self, name).r_data & read[index].replicate(32) for index, name in enumerate(names)]
            m.d.comb += getattr(self, f"{master}_r_data").eq(any_of(chosen))


def _held(m: Any, value: Any, name: str) -> Any:
    """Value of the clock before."""
    held: Any = Signal(len(value), name=name)
    m.d.sync += held.eq(value)
    return held
