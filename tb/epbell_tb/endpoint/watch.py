"""Who looks on while the scoreboard judges: nobody, unless bins of function or records of the run are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from epbell_models.reference.inbound import Refusal
from epbell_models.reference.outcome import Outcome
from epbell_tb.endpoint.packets import CpuAccess, Request, SentCompletion
from epbell_tb.endpoint.to_host_packets import Answer

__all__ = [
    "Watch",
    "looking_on",
]


class Watch:
    """Is told what has been observed, after it was judged; this one forgets it."""

    def written(self, request: Request, outcomes: Sequence[Outcome]) -> None:
        """Take a write of the host, and what must follow from it."""

    def asked(self, request: Request, refused: Refusal | None) -> None:
        """Take a read of memory, and why it lands nowhere, None if it does."""

    def bad(self, request: Request) -> None:
        """Take a request that is damaged, or of a kind that the endpoint does not serve."""

    def completed(self, request: Request, completion: SentCompletion, pieces: int) -> None:
        """Take the last completion of a request."""

    def cpu_wrote(self, place: str, offset: int, data: int, strobes: int) -> None:
        """Take a write that the CPU handed over, as soon as the model has it."""

    def cpu_ended(self, access: CpuAccess) -> None:
        """Take an access of the CPU that was answered."""

    def pulsed(self, bits: dict[str, int]) -> None:
        """Take inputs of the DMA."""

    def msi(self, vector: int, since: int, *, several: bool) -> None:
        """Take an MSI, when it was raised, and whether several were due that go as this one."""

    def msix(self, vector: int, since: int, way: str) -> None:
        """Take an MSI-X message, when it was raised, and the way it went."""

    def answered(self, answer: Answer, *, oldest: bool, late: bool) -> None:
        """Take an answer of the host: whether the oldest read is the one, and whether that was given up before."""

    def reset(self, what: str) -> None:
        """Take a reset, before what is under way is forgotten."""


class _Several(Watch):
    """Several, each told in its turn."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        for name in [name for name in vars(Watch) if not name.startswith("_")]:
            setattr(self, name, _each([getattr(watch, name) for watch in watches]))


def _each(told: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*args: Any, **kwargs: Any) -> None:
        for one in told:
            one(*args, **kwargs)

    return tell


def looking_on(*watches: Watch) -> Watch:
    """Return one that tells all of these; of none, one that forgets everything."""
    match watches:
        case ():
            return Watch()
        case (watch,):
            return watch
        case _:
            return _Several(watches)
