"""The host's end of what the endpoint asks for: its memory, in any order that PCI Express allows, and INTx."""

from collections.abc import Callable, Iterable
from typing import Any

import cocotb
from cocotb.triggers import Timer
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId

from epbell_models.platform import DrivenIrqLine, Platform
from epbell_models.reference.host_memory import HostMemory
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.upstream.no_intx import ASSERT_INTA, DEASSERT_INTA
from epbell_tb.endpoint.upstream.silent_errors import ERR_COR, ERR_FATAL, ERR_NONFATAL

__all__ = [
    "HostPort",
]

_HOST = PcieId(0, 0, 0)
_DWORD = 4


class HostPort:
    """Does what the endpoint's requests say, instead of the stock root complex.

    Reads of a dword of which some byte was granted are answered: what the host grants are bytes, what it maps pages.

    Parameters
    ----------
    root
        The root complex.
    port
        The root port that the endpoint is behind.
    platform
        Time.

    Attributes
    ----------
    memory
        The host's memory, with what is to fail.
    intx
        The endpoint's INTx line; ``rises`` counts its assertions.
    delay
        Nanoseconds from a read to its completion. Another one for each read lets completions overtake each other.
    spoil
        What is sent instead of a completion; None: the completion.
    judge
        Called with every packet of the endpoint; raises if it must not be like that.
    on_intx
        Called with the level when a message says that INTx has another one.
    peers
        Who gets the completions for requesters other than the root complex.
    errors
        Codes of the error messages that the endpoint has sent.
    """

    def __init__(self, root: Any, port: Any, platform: Platform) -> None:
        self.memory = HostMemory()
        self.intx = DrivenIrqLine(platform)
        self.delay: Callable[[], int] = lambda: 0
        self.spoil: Callable[[Tlp], Iterable[Tlp]] | None = None
        self.judge: Callable[[Tlp], None] = lambda _: None
        self.on_intx: Callable[[bool], None] = lambda _: None
        self.peers: dict[PcieId, Callable[[Tlp], None]] = {}
        self.errors: list[int] = []
        self._root = root
        for kind in (TlpType.MEM_READ, TlpType.MEM_READ_64):
            root.register_rx_tlp_handler(kind, self._read)
        for kind in (TlpType.MEM_WRITE, TlpType.MEM_WRITE_64):
            root.register_rx_tlp_handler(kind, self._write)
        self._pass_on = port.downstream_port.rx_handler
        port.downstream_port.rx_handler = self._receive

    async def _receive(self, tlp: Tlp) -> None:
        """Take what ends at the root port, and pass on the rest."""
        self.judge(tlp)
        kind = tlp.fmt_type
        if kind == TlpType.MSG_TO_RC:
            code = _message(tlp)
            assert code in (ERR_COR, ERR_NONFATAL, ERR_FATAL), f"a message with code {code:#x} to the root complex"
            self.errors.append(code)
        elif kind == TlpType.MSG_LOCAL:
            code = _message(tlp)
            assert code in (ASSERT_INTA, DEASSERT_INTA), f"a message with code {code:#x}"
            self.on_intx(code == ASSERT_INTA)
            self.intx.drive(code == ASSERT_INTA)
        elif tlp.is_completion() and tlp.requester_id in self.peers:
            self.peers[tlp.requester_id](tlp)
        else:
            await self._pass_on(tlp)

    async def _write(self, tlp: Tlp) -> None:
        data = bytes(tlp.get_data())
        enables = tlp.first_be
        if tlp.length > 1:
            last = _DWORD * (tlp.length - 1)
            enables |= (1 << last) - (1 << _DWORD) | tlp.last_be << last
        start = 0
        while start < len(data):
            end = start
            while end < len(data) and enables >> end & 1:
                end += 1
            if end > start:
                self.memory.write(tlp.address + start, data[start:end])
            start = end + 1

    async def _read(self, tlp: Tlp) -> None:
        answer = self._look(tlp.address, _DWORD * tlp.length)
        if answer is Cause.TIMEOUT:
            return
        if answer is Cause.ABORTED:
            completion = Tlp.create_ca_completion_for_tlp(tlp, _HOST)
        elif answer is Cause.UNSUPPORTED:
            completion = Tlp.create_ur_completion_for_tlp(tlp, _HOST)
        else:
            completion = Tlp.create_completion_data_for_tlp(tlp, _HOST)
            completion.set_data(bytes(_DWORD * tlp.length) if isinstance(answer, Cause) else answer)
            completion.byte_count = tlp.get_be_byte_count()
            completion.lower_address = tlp.address + tlp.get_first_be_offset() & 0x7F
            completion.ep = answer is Cause.POISONED
        delay = self.delay()
        if delay:
            cocotb.start_soon(self._answer_later(completion, delay))
        else:
            await self._send(completion)

    async def _answer_later(self, completion: Tlp, delay: int) -> None:
        await Timer(delay, unit="ns")
        await self._send(completion)

    async def _send(self, completion: Tlp) -> None:
        for one in self.spoil(completion) if self.spoil else (completion,):
            await self._root.send(one)

    def _look(self, address: int, length: int) -> bytes | Cause:
        answer = self.memory.read(address, length)
        if answer is not Cause.UNSUPPORTED:
            return answer
        some = any(isinstance(self.memory.read(at, 1), bytes) for at in range(address, address + length))
        return self.memory.peek(address, length) if some else answer


def _message(tlp: Tlp) -> int:
    """Return the code of a message, which is in the byte that has the byte enables of other requests."""
    return tlp.last_be << 4 | tlp.first_be
