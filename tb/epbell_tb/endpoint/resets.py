"""Hot reset in the scenarios: the root port's Bridge Control, and what comes of it at the endpoint."""

from typing import Any

import cocotb
from cocotb.triggers import Timer

__all__ = [
    "HotReset",
    "RootPort",
]


class RootPort:
    """The root port's configuration space: `epbell_models.host.resets.PciBridge`.

    Parameters
    ----------
    root
        The root complex.
    port
        The port.
    """

    def __init__(self, root: Any, port: Any) -> None:
        self._root = root
        self._port = port

    async def config_read32(self, offset: int) -> int:
        """Read one dword of configuration space."""
        return await self._root.config_read_dword(self._port.pcie_id, offset)

    async def config_write32(self, offset: int, value: int) -> None:
        """Write one dword of configuration space."""
        await self._root.config_write_dword(self._port.pcie_id, offset, value)


class HotReset:
    """What a hot reset or a lost link does: the hard block resets its user, and the endpoint's Linux sets up again.

    Until then the CPU stands still, between two accesses or, for those to the host, after one that failed.

    Parameters
    ----------
    env
        The environment.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self._set_up: Any = None

    async def over(self) -> None:
        """Wait until the endpoint's Linux has set everything up again, if it had to."""
        if self._set_up is not None:
            await self._set_up

    async def follow(self, asserted: bool) -> None:
        """Begin or end it."""
        env = self._env
        if asserted:
            env.cpu.hold()
            await env.block.lose_link()
            while env.completions.open_since is not None or env.sent.open_since is not None:
                await env.clock
                await Timer(1, unit="ns")
            env.to_host.intx.drive(False)
            env.begin_reset()
            return
        env.dut.rst.value = 0
        await env.clocks(2)
        env.block.regain_link()
        env.cpu.release()
        if env.software.epc.init_complete:
            self._set_up = cocotb.start_soon(self._set_up_again(), name="set up again")

    async def _set_up_again(self) -> None:
        software = self._env.software
        error = await software.after_reset()
        assert error == 0, f"the endpoint's software must get over a reset, not end with {error}: {software.log}"
