"""What must follow from one request of the host."""

from dataclasses import dataclass

__all__ = [
    "Ignored",
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
class RamWrite:
    """Bytes went to RAM: local address of the first, the bytes, and which of them count (bit n: byte n)."""

    address: int
    data: bytes
    enables: int


@dataclass(frozen=True)
class RegisterWrite:
    """A register other than TRn of side B was written: block, byte offset, word, byte strobes."""

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


Outcome = Ring | RamWrite | RegisterWrite | Ignored | Refused
