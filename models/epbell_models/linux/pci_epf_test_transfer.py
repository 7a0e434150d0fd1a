"""READ, WRITE and COPY of pci-epf-test: the processor copies to and from the host's memory, mapping by mapping.

Follows drivers/pci/endpoint/functions/pci-epf-test.c without DMA. The names are the endpoint's: READ reads the host.
"""

import errno
import random
import zlib

from ..platform import BusError
from .pci_epc import PciEpc
from .pci_epc_mem import EpcMap
from .pci_epf_test_regs import Register, RegisterBlock, Status

__all__ = [
    "EpfTestTransfer",
    "crc32_le",
]

_MOST_BYTES = 4 << 20
"""The largest buffer that kzalloc() has."""

_SETTLE_SECONDS = 1e-3


def crc32_le(data: bytes) -> int:
    """Return the kernel's ``crc32_le(~0, data)``: the usual CRC-32 without its final inversion."""
    return zlib.crc32(data) ^ 0xFFFF_FFFF


class EpfTestTransfer:
    """The transfers of the test function.

    Parameters
    ----------
    epc
        Endpoint controller.
    registers
        The function's register block.
    log
        Receives the driver's messages.
    """

    def __init__(self, epc: PciEpc, registers: RegisterBlock, log: list[str]) -> None:
        self._epc = epc
        self._registers = registers
        self._log = log
        self._random = random.Random("pci-epf-test")

    async def read(self) -> None:
        """Run READ: compare the checksum of SIZE bytes from SRC_ADDR on with CHECKSUM."""
        size, source = await self._registers.read(Register.SIZE), await self._registers.read64(Register.SRC_ADDR)
        error = self._room(size)
        if not error:
            answer = await self._fetch(source, size)
            if isinstance(answer, int):
                error = answer
            elif crc32_le(answer) != await self._registers.read(Register.CHECKSUM):
                error = -errno.EIO
        await self._registers.add_status(Status.READ_FAIL if error else Status.READ_SUCCESS)

    async def write(self) -> None:
        """Run WRITE: put random bytes to DST_ADDR and on, and their checksum into CHECKSUM."""
        size, target = await self._registers.read(Register.SIZE), await self._registers.read64(Register.DST_ADDR)
        error = self._room(size)
        if not error:
            data = self._random.randbytes(size)
            await self._registers.write(Register.CHECKSUM, crc32_le(data))
            error = await self._store(target, data)
        if not error:
            # The kernel gives posted writes that time to arrive.
            await self._epc.platform.sleep(_SETTLE_SECONDS)
        await self._registers.add_status(Status.WRITE_FAIL if error else Status.WRITE_SUCCESS)

    async def copy(self) -> None:
        """Run COPY: SIZE bytes from SRC_ADDR to DST_ADDR."""
        registers = self._registers
        size = await registers.read(Register.SIZE)
        source, target = await registers.read64(Register.SRC_ADDR), await registers.read64(Register.DST_ADDR)
        error = self._room(size)
        done = 0
        while done < size and not error:
            step = await self._copy_some(source + done, target + done, size - done)
            error, done = (step, done) if step < 0 else (0, done + step)
        await self._registers.add_status(Status.COPY_FAIL if error else Status.COPY_SUCCESS)

    async def _fetch(self, source: int, size: int) -> bytes | int:
        """Return bytes of the host, or a negative errno."""
        data = b""
        while len(data) < size:
            mapping = await self._map(source + len(data), size - len(data), Status.SRC_ADDR_INVALID, "address")
            if isinstance(mapping, int):
                return mapping
            piece = await self._from_host(mapping, mapping.pci_size)
            await self._epc.mem_unmap(mapping)
            if isinstance(piece, int):
                return piece
            data += piece
        return data

    async def _store(self, target: int, data: bytes) -> int:
        done = 0
        while done < len(data):
            mapping = await self._map(target + done, len(data) - done, Status.DST_ADDR_INVALID, "address")
            if isinstance(mapping, int):
                return mapping
            error = await self._to_host(mapping, data[done : done + mapping.pci_size])
            await self._epc.mem_unmap(mapping)
            if error:
                return error
            done += mapping.pci_size
        return 0

    async def _copy_some(self, source: int, target: int, size: int) -> int:
        """Copy what a mapping each reaches; return how much that was, or a negative errno."""
        of_source = await self._map(source, size, Status.SRC_ADDR_INVALID, "source address")
        if isinstance(of_source, int):
            return of_source
        of_target = await self._map(target, size, Status.DST_ADDR_INVALID, "destination address")
        if isinstance(of_target, int):
            await self._epc.mem_unmap(of_source)
            return of_target
        count = min(of_source.pci_size, of_target.pci_size)
        data = await self._from_host(of_source, count)
        error = data if isinstance(data, int) else await self._to_host(of_target, data)
        await self._epc.mem_unmap(of_target)
        await self._epc.mem_unmap(of_source)
        return error or count

    async def _map(self, pci_addr: int, size: int, invalid: Status, what: str) -> EpcMap | int:
        mapping = await self._epc.mem_map(pci_addr, size)
        if isinstance(mapping, int):
            self._say(f"Failed to map {what}")
            await self._registers.write(Register.STATUS, invalid)
        return mapping

    async def _from_host(self, mapping: EpcMap, count: int) -> bytes | int:
        try:
            return await self._epc.bus.read(mapping.address, count)
        except BusError as error:
            return self._aborted(error)

    async def _to_host(self, mapping: EpcMap, data: bytes) -> int:
        try:
            await self._epc.bus.write(mapping.address, data)
        except BusError as error:
            return self._aborted(error)
        return 0

    def _aborted(self, error: BusError) -> int:
        """Say what the kernel cannot: it would not have survived the external abort."""
        self._say(f"External abort, {error}: the kernel would crash here")
        return -errno.EIO

    def _room(self, size: int) -> int:
        return -errno.ENOMEM if size > _MOST_BYTES else 0

    def _say(self, message: str) -> None:
        self._log.append(f"pci_epf_test: {message}")
