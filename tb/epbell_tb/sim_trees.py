"""The device trees of a run: the shipped ones, or a user's own with the scenarios of the shipped one it is like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from epbell_models import devicetree
from epbell_models.devicetree import DeviceTree
from epbell_tb.scenarios import Scenario
from epbell_tb.sim_options import Options

__all__ = [
    "Target",
    "kind_of",
    "targets",
]

_MU_VECTORS = 4
_FAULT = "fault_inject.platform_msi"


@dataclass(frozen=True)
class Target:
    """A device tree and what is run on it.

    Attributes
    ----------
    tree : DeviceTree
        The parsed tree.
    scenarios : tuple of Scenario
        What is run, in this order.
    """

    tree: DeviceTree
    scenarios: tuple[Scenario, ...]

    @property
    def name(self) -> str:
        """Name of the tree: that of its file, without folder and suffix."""
        return self.tree.name

    @property
    def path(self) -> Path:
        """Its file."""
        return Path(self.tree.source).absolute()

    def at(self, width: int) -> Target:
        """Return the same device tree with what runs at a width."""
        return replace(self, scenarios=tuple(scenario for scenario in self.scenarios if width in scenario.widths))


def kind_of(tree: DeviceTree) -> str:
    """Return the name of the shipped device tree to whose doorbell a tree leads.

    The same questions in the same order as the endpoint's Linux asks them. With an ``msi-parent`` that a driver
    matches: ``msi-enomem`` if the boot arguments make the allocation fail, ``msi-enospc`` if other devices hold all its
    channels, else ``imx8``. Without one: ``hdma`` if the controller has no eDMA that could ring (a native HDMA, or no
    interrupt that the eDMA driver takes), ``rk3588`` if a BAR shows the eDMA for good, else ``imx8-edma``.
    """
    endpoint = tree.endpoint
    unit = endpoint.msi_parent
    if unit is not None and unit.layout is not None:
        if tree.bootargs.get(_FAULT):
            return "msi-enomem"
        held = sum(consumer.vectors for consumer in tree.msi_consumers if consumer.parent == unit.name)
        return "msi-enospc" if held >= _MU_VECTORS else "imx8"
    if endpoint.edma.personality == "hdma" or not endpoint.edma.interrupts:
        return "hdma"
    return "imx8-edma" if endpoint.fixed_bar is None else "rk3588"


def targets(options: Options) -> tuple[Target, ...]:
    """Return the device trees of a run, each with the scenarios that were asked for and run on it.

    Raises
    ------
    DeviceTreeError
        If the user's own tree is wrong.
    """
    if options.dts is not None:
        own = devicetree.load(options.dts)
        return _with_scenarios([(kind_of(own), own)], options)
    return _with_scenarios([(name, devicetree.load(devicetree.builtin(name))) for name in options.trees], options)


def _with_scenarios(trees: list[tuple[str, DeviceTree]], options: Options) -> tuple[Target, ...]:
    found = [
        Target(tree, tuple(scenario for scenario in options.scenarios if kind in scenario.trees))
        for kind, tree in trees
    ]
    return tuple(target for target in found if target.scenarios)
