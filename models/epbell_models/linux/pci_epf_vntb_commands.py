"""The command work of pci-epf-vntb: it looks at polled doorbells, then at COMMAND, again and again.

Follows drivers/pci/endpoint/functions/pci-epf-vntb.c: every 5 ms, but every 500 ms when doorbells interrupt.
"""

from collections.abc import Awaitable, Callable

from ..platform import Task
from .pci_epc import PciEpc
from .pci_epf_vntb_config import VntbConfig
from .pci_epf_vntb_control import Command, CommandStatus, Control, ControlBlock
from .pci_epf_vntb_doorbell import VntbDoorbells
from .pci_epf_vntb_peer import VntbPeer
from .pci_epf_vntb_windows import VntbWindows

__all__ = [
    "VntbCommands",
]

_POLLED_MS = 5
_INTERRUPT_MS = 500


class VntbCommands:
    """The work.

    Parameters
    ----------
    epc
        Endpoint controller.
    config
        The function's configuration.
    control
        The control block.
    doorbells, windows, peer
        The parts that commands are about.
    link_event
        Called when the host said that its link is up, or down.
    log
        Receives the driver's messages.

    Attributes
    ----------
    link_up
        What the host said last.
    """

    def __init__(
        self,
        epc: PciEpc,
        config: VntbConfig,
        control: ControlBlock,
        doorbells: VntbDoorbells,
        windows: VntbWindows,
        peer: VntbPeer,
        link_event: Callable[[], None],
        log: list[str],
    ) -> None:
        self._platform = epc.platform
        self._config = config
        self._control = control
        self._doorbells = doorbells
        self._windows = windows
        self._peer = peer
        self._link_event = link_event
        self._log = log
        self._task: Task | None = None
        self._stop = epc.platform.event()
        self._stopped = epc.platform.event()
        self.link_up = False
        self._commands: dict[int, Callable[[int], Awaitable[CommandStatus]]] = {
            Command.CONFIGURE_DOORBELL: self._configure_doorbell,
            Command.TEARDOWN_DOORBELL: self._teardown_doorbell,
            Command.CONFIGURE_MW: self._configure_mw,
            Command.TEARDOWN_MW: self._teardown_mw,
            Command.LINK_UP: lambda _: self._link(True),
            Command.LINK_DOWN: lambda _: self._link(False),
        }

    @property
    def period(self) -> float:
        """Seconds from the end of one run to the next."""
        return self._config.delay(_INTERRUPT_MS if self._doorbells.interrupts else _POLLED_MS)

    def start(self) -> None:
        """Run for the first time at once."""
        self._stop.clear()
        self._stopped.clear()
        self._task = self._platform.spawn(self._run(), "pci-epf-vntb")

    async def stop(self) -> None:
        """End the work; a run is let run to its end."""
        if self._task is not None:
            self._stop.set()
            await self._stopped.wait()
            self._task = None

    async def _run(self) -> None:
        while not self._stop.is_set():
            await self._doorbells.poll()
            await self._look()
            await self._stop.wait(self.period)
        self._stopped.set()

    async def _look(self) -> None:
        """Take a command, if there is one, and answer it; what is unknown gets no answer."""
        control = self._control
        command = await control.read(Control.COMMAND)
        if not command:
            return
        argument = await control.read(Control.ARGUMENT)
        await control.write(Control.COMMAND, 0)
        await control.write(Control.ARGUMENT, 0)
        run = self._commands.get(command)
        if run is None:
            self._log.append(f"pci_epf_vntb: UNKNOWN command: {command}")
            return
        await control.write16(Control.COMMAND_STATUS, await run(argument))

    async def _configure_doorbell(self, argument: int) -> CommandStatus:
        self._peer.choose(argument)
        return CommandStatus.OK

    async def _teardown_doorbell(self, argument: int) -> CommandStatus:
        return CommandStatus.OK

    async def _configure_mw(self, argument: int) -> CommandStatus:
        return CommandStatus.ERROR if await self._windows.configure(argument) else CommandStatus.OK

    async def _teardown_mw(self, argument: int) -> CommandStatus:
        await self._windows.teardown(argument)
        return CommandStatus.OK

    async def _link(self, up: bool) -> CommandStatus:
        self.link_up = up
        await self._control.set_link(up)
        self._link_event()
        return CommandStatus.OK
