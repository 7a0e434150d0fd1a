"""The reference endpoint as a guest's PCI device, in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from epbell_models import devicetree
from epbell_models.platform import VirtualPlatform
from epbell_tb.guest.attachment import Attachment
from epbell_tb.guest.figures import Figures
from epbell_tb.guest.model_endpoint import ModelEndpoint
from epbell_tb.guest.port import serve

__all__ = [
    "ModelGuest",
    "ModelSetup",
]

_TICK = 1e-3
# It advances by less than the wall clock, and the guest has a watchdog.
_LIMIT_S = 1e5


@dataclass(frozen=True)
class ModelSetup:
    """What to model.

    Attributes
    ----------
    dts
        The device tree.
    bar_sizes
        Bytes of each BAR, 0 for one that does not exist.
    wide_bars
        BARs that are the lower half of a 64-bit pair.
    msix
        How many MSI-X vectors the function offers, 1 to 2048.
    windows
        How many inbound windows there are; None for as many as the device tree says.
    change
        What is to be different from a good endpoint.
    """

    dts: Path
    bar_sizes: tuple[int, ...]
    wide_bars: tuple[int, ...] = ()
    msix: int = 32
    windows: int | None = None
    change: Callable[[ModelEndpoint], None] = lambda endpoint: None


class ModelGuest:
    """The endpoint of one guest; to be used in a ``with``.

    The endpoint's Linux keeps the time of day: its millisecond is not shorter than one of the wall clock.

    Parameters
    ----------
    setup
        What to model.
    """

    def __init__(self, setup: ModelSetup) -> None:
        self._setup = setup
        self._tree = devicetree.load(setup.dts)
        self._pool = ThreadPoolExecutor(1, "endpoint")
        self._run: Future[Figures] | None = None

    def __enter__(self) -> ModelGuest:
        return self

    def __exit__(self, *_: object) -> None:
        # The guest has gone before, and with it the thread ends.
        self._pool.shutdown()

    def start(self) -> None:
        """Do nothing: a model is there at once."""

    def attach(self, link: socket.socket, qtest: Path) -> None:
        """Take a guest: our end of its device's socket, which is no longer the caller's, and QEMU's test socket."""
        ours = socket.socket(fileno=link.detach())
        self._run = self._pool.submit(self._serve, ours, qtest)

    def failed(self) -> bool:
        """Whether the endpoint has ended: no guest gets an answer from it any more."""
        return self._run is not None and self._run.done()

    def finish(self) -> Figures:
        """Wait until it has seen the guest go, and return its figures; RuntimeError when it raised anything."""
        assert self._run is not None, "an endpoint ends after a guest was there"
        error = self._run.exception()
        if error is not None:
            raise RuntimeError(f"the endpoint has failed: {type(error).__name__}: {error}") from error
        return self._run.result()

    def _serve(self, link: socket.socket, qtest: Path) -> Figures:
        setup, platform = self._setup, VirtualPlatform()
        began = time.monotonic()
        with link:
            guest = Attachment(link, qtest)
            endpoint = ModelEndpoint(
                platform, guest, self._tree, setup.bar_sizes,
                wide_bars=setup.wide_bars, msix_vectors=setup.msix, windows=setup.windows,
            )  # fmt: skip
            setup.change(endpoint)

            async def rest() -> None:
                endpoint.forget()
                if not guest.wait(_TICK):
                    await platform.sleep(_TICK)

            async def run() -> None:
                await endpoint.board.start()
                await serve(guest, endpoint, rest)

            try:
                platform.run(run(), limit=_LIMIT_S)
            finally:
                guest.close()
        software = endpoint.board.software
        return Figures(
            **endpoint.accesses,
            seconds=time.monotonic() - began,
            clocks=0,
            interrupts=software.function.irqs_raised,
            doorbell=software.function.backend,
            reason=software.function.reason,
            log=software.log,
        )
