"""The environment of the endpoint's benches when its function is pci-epf-vntb and the host's driver ntb_hw_epf."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import cocotb
from cocotb.task import Task

from epbell_models.host.ntb_hw_epf import NtbHwEpf
from epbell_models.host.ntb_hw_epf_ids import BarMap, find_map
from epbell_models.host.pci import PciDevice
from epbell_models.linux.pci_epf_vntb import PciEpfVntb
from epbell_models.linux.pci_epf_vntb_config import CLASS_MEMORY_RAM, MSI_VECTORS, VntbConfig, VntbRelease
from epbell_models.linux.pci_epf_vntb_ntb import VirtualNtb
from epbell_models.ntb import Listener, NtbCosts
from epbell_tb.endpoint.bring_up import BringUp
from epbell_tb.endpoint.env import EndpointEnv
from epbell_tb.endpoint.packets import MEM_WRITE, Request

__all__ = [
    "IMX8",
    "RCAR",
    "VntbBringUp",
    "VntbEnv",
]

T = TypeVar("T")

IMX8 = (0x1957, 0x0809)
"""Identity whose BARs are, to the host's driver: 0 for control block and scratchpads, 2 doorbells, 4 and 5 windows."""

RCAR = (0x1912, 0x0030)
"""Identity with BAR 0 for control block and scratchpads, 4 for doorbells, 2 for the only window."""

_SPADS = 32
_LOOKS = 20
"""How often the host looks for the answer to a command within the endpoint's period; Linux does thousands of times."""

_SENT = 1000
"""Clocks within which a command is sent, whatever pauses."""

_SETTLE = 200
"""Clocks after a period in which the work's run has ended, and what it leads to at either end."""


class VntbEnv(EndpointEnv):
    """The endpoint as one end of a bridge; environment variables as of `EndpointEnv`.

    Parameters
    ----------
    dut
        The design.
    identity
        Vendor and device number of the function, which say what each BAR is for: `IMX8` or `RCAR`.

    Attributes
    ----------
    driver
        The host's ntb_hw_epf.
    near, far
        Clients that only listen: of the endpoint's bridge, and of the host's.
    stores
        Each store of the host to the doorbells' BAR as the endpoint's pins showed it: offset and word.
    """

    def __init__(self, dut: Any, identity: tuple[int, int] = IMX8) -> None:
        super().__init__(dut)
        function = self.block.functions[0]
        function.vendor_id, function.device_id = identity
        function.class_code = CLASS_MEMORY_RAM
        self.offer(MSI_VECTORS)
        self._identity = identity
        self._judge = self.board.request
        self.board.request = self._note  # the reader of the stream asks for it each time
        self.near, self.far = Listener(self.platform), Listener(self.platform)
        self.stores: list[tuple[int, int]] = []
        self.driver = NtbHwEpf(self.device, self.to_host.memory)

    @property
    def map(self) -> BarMap:
        """Which BAR is for what, as the host's driver has it."""
        found = find_map(*self._identity, "newest")
        assert found is not None, "the driver knows all identities that there are here"
        return found

    @property
    def vntb(self) -> PciEpfVntb:
        """The endpoint's function."""
        return self.software.vntb

    @property
    def ntb(self) -> VirtualNtb:
        """The bridge as the endpoint's clients see it."""
        return self.software.vntb.ntb

    def config(self, **changes: Any) -> VntbConfig:
        """Return a configuration for the BARs that there are: four slots, a window for each BAR that may be one."""
        bars = self.map
        windows = tuple(bar for bar in bars.windows if bar >= 0 and self.bar_sizes[bar])
        vendor, device = self._identity
        config = VntbConfig(
            spad_count=_SPADS,
            mw_sizes=tuple(self.bar_sizes[bar] for bar in windows),
            ctrl_bar=bars.config,
            db_bar=bars.db,
            mw_bars=windows,
            vendor=vendor,
            device=device,
        )
        return replace(config, **changes)

    def offer(self, vectors: int) -> None:
        """Let the function's capability offer so many MSIs, a power of two."""
        self.block.functions[0].msi_cap.msi_multiple_message_capable = vectors.bit_length() - 1

    # -- bring-up ------------------------------------------------------------------------------------------------------

    async def boot(self, config: VntbConfig, costs: NtbCosts | None = None) -> None:
        """Boot the endpoint's Linux, which binds its driver; the costs are those of its processor."""
        self.software = self.new_software(vntb=config, vntb_costs=costs)
        error = await self.software.start()
        assert error == 0, f"the endpoint's software must start, not end with {error}: {self.software.log}"
        assert self.ntb.set_ctx(self.near) == 0

    async def probe(self, vectors: int = MSI_VECTORS) -> None:
        """Bind the host's driver, on a host that grants so many MSIs."""
        error = await self.try_to_probe(vectors)
        assert error == 0, f"the host's driver must bind, not end with {error}: {self.driver.log}"

    async def try_to_probe(self, vectors: int) -> int:
        """Bind the host's driver, and return what it returns."""
        self.device = PciDevice(self.platform, self.function, self.msis, vector_limit=vectors, intx=self.to_host.intx)
        await self.device.scan()
        pause = self.vntb.commands.period / _LOOKS
        self.driver = NtbHwEpf(self.device, self.to_host.memory, poll_seconds=pause)
        error = await self.driver.probe()
        if not error:
            assert self.driver.set_ctx(self.far) == 0
        return error

    async def reboot(self, config: VntbConfig) -> None:
        """Boot the endpoint's Linux with another configuration, and a host, too, that has never said goodbye."""
        await self.device.free_irq_vectors()
        await self.software.stop()
        await self.boot(config)
        await self.patiently(cocotb.start_soon(self.probe()))
        self.near.take()
        self.far.take()
        self.stores.clear()

    # -- what happens --------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Let the command work run once more, and what it leads to."""
        await self.platform.sleep(self.vntb.commands.period)
        await self.settle()

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let no stream pause meanwhile, lest a long wait for Linux's clock takes as many steps as clocks."""
        streams = (self.block.cq_source, self.block.cc_sink, self.block.rq_sink, self.block.rc_source)
        for stream in streams:
            stream.set_pause_generator(None)
            stream.pause = False
        yield
        if self.stalls:
            for stream in streams:
                stream.set_pause_generator(self.pauses())

    async def patiently(self, task: Task[T]) -> T:
        """Return what a command of the host returns; streams pause while it is sent, not while it waits."""
        await self.clocks(_SENT)
        with self.flowing():
            return await task

    async def settle(self) -> None:
        """Let everything reach where it goes that does not wait for the command work."""
        await self.block.settle()
        await self.clocks(_SETTLE)

    def _note(self, request: Request) -> None:
        """Remember a store to the doorbells, and have it judged."""
        self._judge(request)
        if request.kind == MEM_WRITE and request.bar == self.map.db:
            offset = request.address & self.bar_sizes[request.bar] - 1
            self.stores.append((offset, int.from_bytes(request.payload, "little")))


@dataclass(frozen=True)
class VntbBringUp(BringUp):
    """How a scenario finds the bridge: both drivers bound, nothing rung, no link; without Linux enumerated only.

    Attributes
    ----------
    identity
        Of the function: `IMX8` or `RCAR`.
    db_count
        Doorbell slots of the endpoint.
    release
        Of the endpoint's function.
    vectors
        How many MSIs the host grants.
    """

    identity: tuple[int, int] = IMX8
    db_count: int = 4
    release: VntbRelease = "newest"
    vectors: int = MSI_VECTORS

    async def environment(self, dut: Any) -> VntbEnv:
        """Return an environment that is up; it has neither name nor stalls yet."""
        env = VntbEnv(dut, self.identity)
        await self.bring_up(env)
        return env

    async def bring_up(self, env: VntbEnv) -> None:
        """Bring an environment up."""
        await env.reset()
        if self.linux:
            await env.boot(env.config(db_count=self.db_count, release=self.release, **self.windows(env)))
        await env.enumerate()
        await env.device.enable()
        if self.linux:
            await env.probe(self.vectors)

    def windows(self, env: VntbEnv) -> dict[str, Any]:
        """Return what the configuration says of memory windows, unless it is the usual."""
        return {}
