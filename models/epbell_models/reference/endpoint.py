"""The whole endpoint in plain Python: windows both ways, guard, RAM, Messaging Unit, eDMA, controller page.

Synchronous and without time: every access is done when the call returns. It serves as the endpoint in tests of the
software models (through `epbell_models.reference.link`) and as the predictor of a scoreboard, which feeds it what was
observed and compares.
"""

from typing import cast

from ..devicetree import DeviceTree
from .address_map import DEFAULT_MAP, AddressMap
from .controller import ControllerPage
from .edma import EdmaPage
from .iatu import IatuPage
from .inbound import Guard, InboundWindows, Landing, Refusal
from .mu import Layout, MessagingUnit
from .outbound import OutboundWindows
from .outcome import Ignored, Kick, Outcome, RamWrite, Refused, RegisterWrite, Ring
from .ram import Ram

__all__ = [
    "BOUNDARY",
    "LONGEST_REGISTER_WRITE",
    "ReferenceEndpoint",
]

LONGEST_REGISTER_WRITE = 4
"""Dwords of the longest write that a register page takes; a longer one is refused as a whole."""

BOUNDARY = 4096
"""No request may cross a multiple of this many bytes."""

# TR0 in either side's page.
_TR0 = {"imx6sx": 0x000, "imx7ulp": 0x020, "imx8ulp": 0x200}
_VECTORS = 4
_REMEMBERED = 4096


class ReferenceEndpoint:
    """One endpoint.

    Parameters
    ----------
    bar_sizes
        Sizes in bytes of the six BARs, powers of two, 0 for one that does not exist.
    layout
        Layout of the Messaging Unit: ``"imx6sx"``, ``"imx7ulp"`` or ``"imx8ulp"``.
    windows
        Number of inbound windows, 1 to 16.
    guard
        Whether only RAM and the doorbells can be exposed to the host.
    map
        Address map. Which words of the eDMA's page the host may reach follows from ``edma``.
    edma
        The eDMA; None for the default, a page of the unroll map with four channels either way.
    edma_lines
        Number of the eDMA's interrupt lines, 1 to 16; all carry the same level.
    fixed_bar
        The BAR that shows the eDMA's page whatever the windows say, None when there is none.
    outbound_windows
        Number of outbound windows, 1 to 16.

    Attributes
    ----------
    mu, edma, windows, outbound, controller, ram
        The blocks; ``windows`` are the inbound ones, ``ram`` is the bytes.
    """

    def __init__(
        self,
        bar_sizes: tuple[int, ...],
        *,
        layout: str = "imx8ulp",
        windows: int = 6,
        guard: bool = True,
        map: AddressMap = DEFAULT_MAP,
        edma: EdmaPage | None = None,
        edma_lines: int = 1,
        fixed_bar: int | None = None,
        outbound_windows: int = 6,
    ) -> None:
        if layout not in _TR0:
            raise ValueError(f"The layout of a Messaging Unit is one of {', '.join(_TR0)}, not {layout!r}")
        if not 1 <= edma_lines <= 16:
            raise ValueError(f"An eDMA has 1 to 16 interrupt lines, not {edma_lines!r}")
        if fixed_bar is not None and (not 0 <= fixed_bar < len(bar_sizes) or not bar_sizes[fixed_bar]):
            raise ValueError(f"The fixed BAR is one that exists, not {fixed_bar!r}")
        self.edma = EdmaPage() if edma is None else edma
        self.edma_lines = edma_lines
        self.fixed_bar = fixed_bar
        self.map = map = map.with_words("edma", self.edma.doorbells)
        self.bar_sizes = bar_sizes
        self.mu = MessagingUnit(cast("Layout", layout))
        self.windows = InboundWindows(bar_sizes, windows)
        self.outbound = OutboundWindows(outbound_windows)
        self._ram = Ram(map["ram"].size)
        self.ram = self._ram.data
        self.controller = ControllerPage(self.mu, self.edma, windows, guard, edma_lines, ram=self._ram)
        iatu = IatuPage(self.windows, self.outbound)
        self._pages = {"controller": self.controller, "iatu": iatu, "edma": self.edma}
        self._guard = Guard(map, guard)
        self._tr0 = _TR0[layout]
        self._landings: dict[tuple[int, int, int, int, int | None], Landing | Refusal] = {}
        self._landed_under = self.windows.in_force

    @staticmethod
    def of(tree: DeviceTree, bar_sizes: tuple[int, ...], guard: bool = True) -> "ReferenceEndpoint":
        """Return the endpoint that a device tree describes; ``bar_sizes`` and ``guard`` are as above."""
        node = tree.endpoint.edma
        layout = tree.messaging_units[0].layout if tree.messaging_units else None
        return ReferenceEndpoint(
            bar_sizes,
            layout=layout or "imx8ulp",
            windows=tree.endpoint.inbound_windows,
            guard=guard,
            map=AddressMap.of(tree),
            edma=EdmaPage.of(node),
            edma_lines=node.lines,
            fixed_bar=tree.endpoint.fixed_bar,
            outbound_windows=tree.endpoint.outbound_windows,
        )

    @property
    def irq_mu(self) -> bool:
        """Level of the Messaging Unit's interrupt line."""
        return self.mu.a_irq

    @property
    def irq_edma(self) -> bool:
        """Level of each of the eDMA's interrupt lines."""
        return self.edma.irq

    def reset(self) -> None:
        """Reset everything but the contents of the RAM."""
        self.mu = MessagingUnit(self.mu.layout)
        self.edma.reset()
        self.windows.reset()
        self.outbound.reset()
        self.controller.reset(self.mu)

    def flr(self) -> None:
        """Do a function-level reset: forget what the host was to be told, keep what is the processor's, and tell it."""
        self.controller.function_reset()
        self.controller.flr = True
        self.controller.counts["flrs"] += 1

    def power(self, d3hot: bool) -> None:
        """Enter D3hot or D0; in D3hot nothing leaves, and the host reaches nothing but configuration space."""
        self.controller.d3hot = d3hot

    # -- host ----------------------------------------------------------------------------------------------------------

    def predict_write(
        self,
        bar: int,
        offset: int,
        data: bytes,
        enables: int | None = None,
        function: int = 0,
        address: int | None = None,
    ) -> list[Outcome]:
        """Say what one write request of the host must lead to, without doing it.

        Parameters
        ----------
        bar, offset
            BAR number and byte offset of the first byte of ``data``.
        data
            The bytes.
        enables
            Which bytes count, bit n for byte n; None for all.
        function
            Function number.
        address
            PCI address of the first byte; without it no window claims the request by its address.
        """
        if enables is None:
            enables = (1 << len(data)) - 1
        target = self._land(bar, function, offset, len(data), address)
        if isinstance(target, Refusal):
            return [Refused(target.reason)]
        if target.place.name == "ram":
            return [RamWrite(target.address, bytes(data), enables)] if enables else []
        return self._predict_registers(target, data, enables)

    def host_write(
        self,
        bar: int,
        offset: int,
        data: bytes,
        enables: int | None = None,
        function: int = 0,
        address: int | None = None,
    ) -> list[Outcome]:
        """Do a write of the host; parameters and result as of `predict_write`."""
        outcomes = self.predict_write(bar, offset, data, enables, function, address)
        for outcome in outcomes:
            self._do(outcome)
        return outcomes

    def host_read(
        self,
        bar: int,
        offset: int,
        length: int,
        function: int = 0,
        address: int | None = None,
        enables: int | None = None,
    ) -> bytes | Refusal:
        """Do one read request of the host. Reading registers of side B has their side effects, dword by dword.

        Parameters are as of `predict_write`. A dword of a register page of which no byte counts is not read; what comes
        instead is anything, here zeros (PCI Express, 2.2.5).
        """
        target = self._land(bar, function, offset, length, address)
        if isinstance(target, Refusal):
            self.controller.counts["reads_refused"] += 1
            return target
        if target.place.name == "ram":
            start = target.address - target.place.base
            return bytes(self.ram[start : start + length])
        first = target.address & ~3
        skip = target.address - first
        counts = -1 if enables is None else enables << skip
        words = [
            self.cpu_read32(word) if counts >> word - first & 0xF else 0
            for word in range(first, target.address + length, 4)
        ]
        return b"".join(word.to_bytes(4, "little") for word in words)[skip : skip + length]

    def _land(
        self, bar: int, function: int, offset: int, length: int, address: int | None
    ) -> Landing | Refusal:
        """Return where a request lands; what has been asked before under the same windows is remembered."""
        if self._landed_under is not self.windows.in_force or len(self._landings) == _REMEMBERED:
            self._landings.clear()
            self._landed_under = self.windows.in_force
        request = bar, function, offset, length, address
        found = self._landings.get(request)
        if found is None:
            found = self._landings[request] = self._find_landing(*request)
        return found

    def _find_landing(
        self, bar: int, function: int, offset: int, length: int, address: int | None
    ) -> Landing | Refusal:
        length = max(1, length)
        if function:
            return Refusal(f"there is no function {function}")
        if not 0 <= offset <= self.bar_sizes[bar] - length:
            return Refusal("it does not end within its BAR")
        if offset // BOUNDARY != (offset + length - 1) // BOUNDARY:
            return Refusal("it crosses a multiple of 4 KiB")
        local = self.translate(bar, function, offset, address, length)
        return local if isinstance(local, Refusal) else self._guard.check(local, length)

    def translate(
        self, bar: int, function: int, offset: int, address: int | None = None, length: int = 1
    ) -> int | Refusal:
        """Return the local address of a request, whatever is there; the fixed BAR goes before every window."""
        if bar != self.fixed_bar:
            return self.windows.translate(bar, function, offset, address, length)
        page = self.map["edma"]
        return page.base + offset if offset < page.size else Refusal("it is beyond the page that the fixed BAR shows")

    def _predict_registers(self, target: Landing, data: bytes, enables: int) -> list[Outcome]:
        skip = target.address & 3
        if len(data) == 4 and not skip:
            word = int.from_bytes(data, "little")
            return [self._predict_word(target, target.address, word, enables)] if enables else []
        padded = bytes(skip) + data + bytes(-(skip + len(data)) % 4)
        if len(padded) > 4 * LONGEST_REGISTER_WRITE:
            return [Refused(f"a write of {len(padded) // 4} dwords is too long for a register page")]
        enables <<= skip
        outcomes: list[Outcome] = []
        for at in range(0, len(padded), 4):
            strobes = enables >> at & 0xF
            if strobes:
                word = int.from_bytes(padded[at : at + 4], "little")
                outcomes.append(self._predict_word(target, target.address - skip + at, word, strobes))
        return outcomes

    def _predict_word(self, target: Landing, address: int, word: int, strobes: int) -> Outcome:
        offset = address - target.place.base
        if target.place.name == "edma" and offset in self.edma.doorbells:
            return Kick(offset, word, strobes)
        vector = (offset - self._tr0) // 4
        if target.place.name != "mu_b" or not 0 <= vector < _VECTORS:
            return RegisterWrite(target.place.name, offset, word, strobes)
        return Ring(vector, word) if strobes == 0xF else Ignored(vector, strobes)

    def _do(self, outcome: Outcome) -> None:
        if isinstance(outcome, Ring):
            self.mu.write32("b", self._tr0 + 4 * outcome.vector, outcome.data)
        elif isinstance(outcome, Kick):
            self.edma.write32(outcome.offset, outcome.data, outcome.strobes)
        elif isinstance(outcome, RamWrite):
            self._write_ram(outcome.address, outcome.data, outcome.enables)
        elif isinstance(outcome, RegisterWrite):
            self.cpu_write32(self.map[outcome.place].base + outcome.offset, outcome.data, outcome.strobes)
        elif isinstance(outcome, Refused):
            self.controller.counts["writes_refused"] += 1

    # -- the endpoint's processor --------------------------------------------------------------------------------------

    def cpu_read32(self, address: int) -> int:
        """Read an aligned dword as the processor does; where nothing is, zero."""
        place = self.map.find(address)
        if place is None:
            return 0
        offset = address - place.base
        if place.name == "ram":
            return int.from_bytes(self.ram[offset : offset + 4], "little")
        if place.name in ("mu_a", "mu_b"):
            return self.mu.read32("a" if place.name == "mu_a" else "b", offset)
        return self._pages[place.name].read32(offset)

    def cpu_write32(self, address: int, value: int, strobes: int = 0xF) -> None:
        """Write an aligned dword as the processor does."""
        place = self.map.find(address)
        if place is None:
            return
        offset = address - place.base
        if place.name == "ram":
            self._write_ram(address, value.to_bytes(4, "little"), strobes)
        elif place.name in ("mu_a", "mu_b"):
            self.mu.write32("a" if place.name == "mu_a" else "b", offset, value, strobes)
        else:
            self._pages[place.name].write32(offset, value, strobes)

    def cpu_finds_ram(self, address: int) -> bool:
        """Return whether the processor finds RAM at ``address``."""
        place = self.map.find(address)
        return place is not None and place.name == "ram"

    def cpu_read_ram(self, address: int, length: int) -> bytes:
        """Read bytes of RAM as the processor does."""
        start = address - self.map["ram"].base
        return bytes(self.ram[start : start + length])

    def cpu_write_ram(self, address: int, data: bytes) -> None:
        """Write bytes of RAM as the processor does."""
        self._write_ram(address, data, (1 << len(data)) - 1)

    def cpu_responds(self, address: int) -> bool:
        """Return whether anything answers the processor at ``address``."""
        return self.map.find(address) is not None

    def _write_ram(self, address: int, data: bytes, enables: int) -> None:
        self._ram.write(address - self.map["ram"].base, data, enables)
        if self.controller.msix.pending:
            # It may have unmasked a vector.
            self.controller.msix.update()
