"""The register block of pci-epf-test, at the start of its first BAR: offsets, bits, and access by the processor."""

from enum import IntFlag

from .bar_block import BarBlock

__all__ = [
    "BLOCK_SIZE",
    "MSIX_OFFSET",
    "Capability",
    "Command",
    "Register",
    "RegisterBlock",
    "Status",
]

BLOCK_SIZE = 0x40
"""Bytes."""

MSIX_OFFSET = 0x80
"""Where the table of MSI-X is in the same BAR; the pending bits follow it."""


class Register:
    """Byte offsets."""

    COMMAND = 0x04
    STATUS = 0x08
    SRC_ADDR = 0x0C
    DST_ADDR = 0x14
    SIZE = 0x1C
    CHECKSUM = 0x20
    IRQ_TYPE = 0x24
    IRQ_NUMBER = 0x28
    FLAGS = 0x2C
    CAPS = 0x30
    DB_BAR = 0x34
    DB_OFFSET = 0x38
    DB_DATA = 0x3C


class Capability(IntFlag):
    """Bits of CAPS; those of reserved BARs start at bit 6."""

    UNALIGNED_ACCESS = 1 << 0
    MSI = 1 << 1
    MSIX = 1 << 2
    INTX = 1 << 3
    SUBRANGE_MAPPING = 1 << 4
    DYNAMIC_INBOUND = 1 << 5
    BAR0_RESERVED = 1 << 6


class Command(IntFlag):
    """Bits of COMMAND, one at a time."""

    RAISE_INTX = 1 << 0
    RAISE_MSI = 1 << 1
    RAISE_MSIX = 1 << 2
    READ = 1 << 3
    WRITE = 1 << 4
    COPY = 1 << 5
    ENABLE_DOORBELL = 1 << 6
    DISABLE_DOORBELL = 1 << 7
    BAR_SUBRANGE_SETUP = 1 << 8
    BAR_SUBRANGE_CLEAR = 1 << 9


class Status(IntFlag):
    """Bits of STATUS."""

    READ_SUCCESS = 1 << 0
    READ_FAIL = 1 << 1
    WRITE_SUCCESS = 1 << 2
    WRITE_FAIL = 1 << 3
    COPY_SUCCESS = 1 << 4
    COPY_FAIL = 1 << 5
    IRQ_RAISED = 1 << 6
    SRC_ADDR_INVALID = 1 << 7
    DST_ADDR_INVALID = 1 << 8
    DOORBELL_SUCCESS = 1 << 9
    ENABLE_SUCCESS = 1 << 10
    ENABLE_FAIL = 1 << 11
    DISABLE_SUCCESS = 1 << 12
    DISABLE_FAIL = 1 << 13
    SUBRANGE_SETUP_SUCCESS = 1 << 14
    SUBRANGE_SETUP_FAIL = 1 << 15
    SUBRANGE_CLEAR_SUCCESS = 1 << 16
    SUBRANGE_CLEAR_FAIL = 1 << 17
    NO_RESOURCE = 1 << 18


class RegisterBlock(BarBlock):
    """The block in memory."""

    async def add_status(self, bits: int) -> None:
        """Set bits of STATUS; reading and writing back are two accesses, and nothing keeps others out between."""
        await self.write(Register.STATUS, await self.read(Register.STATUS) | bits)
