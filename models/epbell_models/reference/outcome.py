"""What must follow from one request of the host."""

from dataclasses import dataclass

__all__ = [
    "Ignored",
    "Kick",
    "Outcome",
    "RamWrite",
    "Refused",
    "RegisterWrite",
    "Ring",
]


@dataclass(frozen=True)
class Ring:
    """A whole word was stored to TRn of side B: vector ``vector`` rings with ``data``."""

    vector: int
    data: int


@dataclass(frozen=True)
class Kick:
    """INT_STATUS of the eDMA was stored to, which sets its latch: byte offset in the page, word, byte strobes."""

    offset: int
    data: int
    strobes: int


@dataclass(frozen=True)
class RamWrite:
    """Bytes went to RAM: local address of the first, the bytes, and which of them count (bit n: byte n)."""

    address: int
    data: bytes
    enables: int


@dataclass(frozen=True)
class RegisterWrite:
    """A register that is no doorbell was written: block, byte offset, word, byte strobes."""

    place: str
    offset: int
    data: int
    strobes: int


@dataclass(frozen=True)
class Ignored:
    """Part of a word was stored to TRn of side B, which never rings."""

    vector: int
    strobes: int


@dataclass(frozen=True)
class Refused:
    """The request reached nothing."""

    reason: str


Outcome = Ring | Kick | RamWrite | RegisterWrite | Ignored | Refused
