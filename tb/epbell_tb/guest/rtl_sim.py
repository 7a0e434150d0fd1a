"""The RTL as a guest's PCI device: builds it, simulates it in a process of its own, and hands the guest over to that.

cocotb's runner hands no descriptors on: the simulator takes the socket of the guest's requests from another socket, of
which it knows the path.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from epbell_models import devicetree
from epbell_tb import runner
from epbell_tb.guest.figures import Figures
from epbell_tb.sim_variant import VariantError, build_variant, variant_of

__all__ = [
    "RtlGuest",
    "RtlSetup",
    "RtlSimulation",
]

_START_LIMIT_S = 120.0
T = TypeVar("T", bound="RtlSimulation")
_LOOK_S = 0.1


@dataclass(frozen=True)
class RtlSetup:
    """What to build, and how to run it.

    Attributes
    ----------
    dts : Path
        The device tree.
    width, stalls, seed : int, bool, int
        Width of the streams in bits, whether they pause at random, and the seed of everything random.
    bars : str
        Name of a set of BARs.
    msix : int
        How many MSI-X vectors the function offers, 1 to 2048.
    windows : int or None
        How many inbound windows there are; None for as many as the device tree says.
    msix_way : str
        How MSI-X messages leave, as of `epbell.endpoint.Endpoint`.
    limit : float
        Wall-clock seconds that the simulation may take, the guest included.
    """

    dts: Path
    width: int = 256
    stalls: bool = False
    seed: int = 1
    bars: str = "guest"
    msix: int = 32
    windows: int | None = None
    msix_way: str = "rq"
    limit: float = 600.0


class RtlSimulation:
    """A simulation of the RTL that waits for guests; to be used in a ``with``, which ends it.

    Parameters
    ----------
    setup
        What to simulate.
    say
        Takes a sentence when something takes long.

    Attributes
    ----------
    setup
        What is simulated.

    Raises
    ------
    RuntimeError
        From `start`, if the endpoint cannot be built, or the simulation does not come up; from `figures`, if it ends
        early or one of its checks complains.
    """

    bench = "epbell_tb.benches.endpoint_guest"
    """The module of the bench that serves the guests."""

    def __init__(self, setup: RtlSetup, say: Callable[[str], None]) -> None:
        self.setup = setup
        self._say = say
        self._pool = ThreadPoolExecutor(1)
        self._sockets = tempfile.TemporaryDirectory(prefix="epbell-")  # a socket's path is at most 107 bytes long
        self._run: Future[list[runner.Result]] | None = None
        self._figures = Path(self._sockets.name) / "figures.json"
        self._simulator: socket.socket | None = None

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: object) -> None:
        if self._simulator is not None:
            self._simulator.close()
        if self._run is not None and not self._run.done():
            runner.cancel()
        self._pool.shutdown()
        self._sockets.cleanup()

    def start(self) -> None:
        """Build the endpoint, start the simulation, and wait until it can take a guest."""
        setup = self.setup
        tree = devicetree.load(setup.dts)
        if setup.windows is not None:
            tree = replace(tree, endpoint=replace(tree.endpoint, inbound_windows=setup.windows))
        try:
            variant = variant_of(tree, setup.width, setup.bars, setup.msix_way)
            build = build_variant(variant, say=self._say)
        except (VariantError, runner.SimulationError) as error:
            raise RuntimeError(str(error)) from error
        path = Path(self._sockets.name) / "guest"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(_LOOK_S)
            self._run = self._simulate(build, path)
            self._simulator = self._accept(listener, self._run)

    def hand_over(self, message: str, *links: socket.socket) -> None:
        """Send the simulator our ends of guests' sockets, which are then closed here, with a message."""
        assert self._simulator is not None, "a guest is attached to a simulation that was started"
        socket.send_fds(self._simulator, [message.encode()], [link.fileno() for link in links])
        for link in links:
            link.close()

    def figures(self) -> dict[str, Any]:
        """Wait until the simulation has seen the guests go, and return its figures if all its checks are content."""
        assert self._run is not None, "a simulation ends after it was started"
        result = self._results(self._run)[0]
        if not result.passed:
            raise RuntimeError(f"the checks of the bench complain: {result.message}")
        return json.loads(self._figures.read_text(encoding="utf-8"))

    def failed(self) -> bool:
        """Whether the simulation has ended: no guest gets an answer from it any more."""
        return self._run is not None and self._run.done()

    def _simulate(self, build: runner.Build, path: Path) -> Future[list[runner.Result]]:
        setup = self.setup
        bench = self.bench.rpartition(".")[2]
        folder = build.folder / f"{bench}-{setup.dts.stem}-stalls-{'on' if setup.stalls else 'off'}"
        folder.mkdir(exist_ok=True)
        given = {"socket": str(path), "figures": str(self._figures), "msix": setup.msix}
        # Two runs at a time keep out of each other's way.
        folder = folder / str(os.getpid())
        env = {
            "EPBELL_GUEST": json.dumps(given),
            "EPBELL_STALLS": str(int(setup.stalls)),
            "EPBELL_BARS": setup.bars,
            "EPBELL_MSIX": setup.msix_way,
            "EPBELL_DTS": str(setup.dts.absolute()),
            **({} if setup.windows is None else {"EPBELL_WINDOWS": str(setup.windows)}),
        }
        return self._pool.submit(
            runner.run, build, self.bench,
            seed=setup.seed, env=env, expected=1, results=folder, time_limit_s=setup.limit,
        )  # fmt: skip

    def _accept(self, listener: socket.socket, run: Future[list[runner.Result]]) -> socket.socket:
        """Wait for the simulator."""
        end = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < end:
            try:
                return listener.accept()[0]
            except TimeoutError:
                if run.done():
                    self._results(run)
                    raise RuntimeError("the simulation has ended before a guest was there") from None
        raise RuntimeError(f"the simulation does not come up within {_START_LIMIT_S:.0f} s")

    @staticmethod
    def _results(run: Future[list[runner.Result]]) -> list[runner.Result]:
        try:
            return run.result()
        except runner.SimulationError as error:
            raise RuntimeError(str(error)) from error


class RtlGuest(RtlSimulation):
    """A simulation of the RTL that waits for a guest: `epbell_tb.guest.run.Device`."""

    def attach(self, link: socket.socket, qtest: Path) -> None:
        """Hand a guest over: our end of its device's socket, and the path of QEMU's test socket."""
        self.hand_over(str(qtest), link)

    def finish(self) -> Figures:
        """Wait until the simulation has seen the guest go, and return its figures if all its checks are content."""
        return Figures(**self.figures())
