"""Who drives the endpoint: the host over cocotbext-pcie's root complex, the CPU over AXI4-Lite. No opinions here."""

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import Event
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpAttr, TlpTc, TlpType
from cocotbext.pcie.core.utils import PcieId

from epbell_models.platform import Bus, BusError
from epbell_tb.endpoint.axil_port import AxiLitePort

__all__ = [
    "CpuBus",
    "HostBus",
    "HostFunction",
    "NonPosted",
    "memory_request",
]

_TIMEOUT_NS = 1_000_000
_READ_REQUEST = 512
_UNDER_WAY = 16
_RESPONSES = {0: "", 2: "CA", 3: "UR"}  # OKAY, SLVERR, DECERR


class CpuBus:
    """The endpoint's CPU: `epbell_models.platform.Bus` over the AXI4-Lite port.

    Parameters
    ----------
    dut
        The endpoint.
    once
        Addresses at which no access is made again that a reset has cut off while the CPU was held.
    """

    def __init__(self, dut: Any, once: Container[int]) -> None:
        self._port = AxiLitePort(dut, "cpu_axil")
        self._once = once
        self._runs = Event()
        self._runs.set()

    def hold(self) -> None:
        """Let the CPU stand still before its next access."""
        self._runs.clear()

    def release(self) -> None:
        """Let it go on."""
        self._runs.set()

    def take_answers(self, takes: bool) -> None:
        """Let the CPU take no answers, whatever comes, or go on to take them."""
        self._port.take_answers(takes)

    async def read32(self, address: int) -> int:
        """Read one dword."""
        return int.from_bytes(await self.read(address, 4), "little")

    async def write32(self, address: int, value: int) -> None:
        """Write one dword, and wait until it is done."""
        await self.write(address, value.to_bytes(4, "little"))

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes; `BusError` when the endpoint answers with an error, or in a reset."""
        data = b""

        async def access() -> int | None:
            nonlocal data
            response, data = await self._port.read(address, length)
            return response

        await self._do(access, address)
        return data

    async def write(self, address: int, data: bytes) -> None:
        """Write bytes, with strobes."""
        await self._do(lambda: self._port.write(address, data), address)

    async def _do(self, access: Callable[[], Awaitable[int | None]], address: int) -> None:
        """Make an access, again if a reset cuts it off while the CPU is held."""
        while True:
            if not self._runs.is_set():
                await self._runs.wait()
            response = await access()
            if response is not None or self._runs.is_set() or address in self._once:
                break
        status = "TIMEOUT" if response is None else _RESPONSES[response]
        if status:
            raise BusError(status, address)


@dataclass(frozen=True)
class NonPosted:
    """What became of a non-posted request: status, data of all completions, how many there were."""

    status: CplStatus
    data: bytes
    completions: int


class HostBus:
    """The host's memory bus, request by request; `epbell_models.platform.Bus`.

    Parameters
    ----------
    root
        The root complex.

    Attributes
    ----------
    max_payload
        Bytes that a write carries at most.
    completion_timeout
        Nanoseconds that each completion may take.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self.max_payload = 128
        self.completion_timeout = _TIMEOUT_NS

    async def read32(self, address: int) -> int:
        """Read one dword."""
        return int.from_bytes(await self.read(address, 4), "little")

    async def write32(self, address: int, value: int) -> None:
        """Post one 32-bit store."""
        await self.post(memory_request(address, value.to_bytes(4, "little")))

    async def read(self, address: int, length: int) -> bytes:
        """Read bytes in requests as long as they may be, many under way at a time; `BusError` if one is refused."""
        pieces = _cut(address, length, _READ_REQUEST)
        data = b""
        for first in range(0, len(pieces), _UNDER_WAY):
            tasks = [
                cocotb.start_soon(self.ask(memory_request(at, None, count)))
                for at, count in pieces[first : first + _UNDER_WAY]
            ]
            for task in tasks:
                data += (await task).data
        return data

    async def write(self, address: int, data: bytes) -> None:
        """Post bytes in requests as long as they may be."""
        for at, count in _cut(address, len(data), self.max_payload):
            await self.post(memory_request(at, data[at - address : at - address + count]))

    async def post(self, request: Tlp) -> None:
        """Send a posted request."""
        await self._root.perform_posted_operation(request)

    async def ask(self, request: Tlp) -> NonPosted:
        """Send a read and collect its completions; `BusError` unless all of them are good."""
        address = request.address + request.get_first_be_offset()
        found = await self.complete(request)
        if found.status != CplStatus.SC:
            raise BusError("UR" if found.status == CplStatus.UR else "CA", address)
        return found

    async def complete(self, request: Tlp) -> NonPosted:
        """Send any non-posted request; `BusError` when it is not answered in time."""
        answers = await self._root.perform_nonposted_operation(request, self.completion_timeout, "ns")
        if not answers or not _is_last(request, answers[-1]):
            raise BusError("TIMEOUT", request.address)
        data = b"".join(bytes(answer.get_data())[answer.lower_address & 3 :] for answer in answers)
        last = request.get_be_byte_count() if request.fmt_type in (TlpType.MEM_READ, TlpType.MEM_READ_64) else len(data)
        return NonPosted(answers[-1].status, data[:last], len(answers))


def memory_request(
    address: int, data: bytes | None, length: int | None = None, *, first_be: int | None = None,
    last_be: int | None = None, kind: TlpType | None = None, attr: int = 0, tc: int = 0,
) -> Tlp:  # fmt: skip
    """Make a memory write of ``data``, or a read of ``length`` bytes; other byte enables or another kind on request."""
    tlp = Tlp()
    count = len(data) if data is not None else length or 0
    wide = address > 0xFFFF_FFFF
    if kind is None and data is None:
        kind = TlpType.MEM_READ_64 if wide else TlpType.MEM_READ
    elif kind is None:
        kind = TlpType.MEM_WRITE_64 if wide else TlpType.MEM_WRITE
    tlp.fmt_type = kind
    tlp.requester_id = PcieId(0, 0, 0)
    if attr or tc:
        tlp.attr, tlp.tc = TlpAttr(attr), TlpTc(tc)
    if data is not None:
        tlp.set_addr_be_data(address, data)
    else:
        tlp.set_addr_be(address, max(count, 1))
        if not count:
            tlp.first_be = 0
    tlp.first_be = tlp.first_be if first_be is None else first_be
    tlp.last_be = tlp.last_be if last_be is None else last_be
    return tlp


def _is_last(request: Tlp, completion: Tlp) -> bool:
    """Return whether no further completion of a request is due."""
    if completion.status != CplStatus.SC or request.fmt_type not in (TlpType.MEM_READ, TlpType.MEM_READ_64):
        return True
    return completion.byte_count <= 4 * completion.length - (completion.lower_address & 3)


def _cut(address: int, length: int, most: int) -> Sequence[tuple[int, int]]:
    """Cut an access into naturally aligned pieces of at most ``most`` bytes."""
    pieces = []
    end = address + length
    while address < end:
        stop = min(end, (address // most + 1) * most)
        pieces.append((address, stop - address))
        address = stop
    return pieces


class HostFunction:
    """The endpoint's function at the far end of the link: `epbell_models.host.pci.PciFunction`.

    Parameters
    ----------
    root
        The root complex.
    identity
        Bus, device and function number.
    memory
        The host's memory bus.
    """

    def __init__(self, root: Any, identity: PcieId, memory: Bus) -> None:
        self.memory = memory
        self._root = root
        self._identity = identity

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        return await self._root.config_read_dword(self._identity, offset)

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        await self._root.config_write_dword(self._identity, offset, value)
