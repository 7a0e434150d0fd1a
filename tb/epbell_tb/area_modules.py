"""What `make area` measures: the exported modules, one configuration more, and the goals that are set for some."""

from __future__ import annotations

from dataclasses import dataclass, replace

from epbell.export import MODULES, Recipe

__all__ = ["TARGETS", "Goal", "Target"]

_RAM = 64 << 10
"""Bytes of RAM behind the BARs of a measured endpoint: the 2 MiB that it has otherwise are five times what is in the
FPGA. How much there is makes no difference to the logic but some bits of addresses."""

_FANNED = 9
"""Flip-flops for which a clock enable is worth keeping in an endpoint. It has a thousand enables, most of them those of
a byte of a register or fewer bits. Flip-flops of different enables cannot share a slice: to see to that, nextpnr tears
apart what its placer has put together."""


@dataclass(frozen=True)
class Goal:
    """What a module has to reach: LUT4 at most, 0 where any number will do, and MHz at least, as the seeds' median."""

    mhz: float
    lut4: int = 0


@dataclass(frozen=True)
class Target:
    """Something to measure.

    Attributes
    ----------
    name : str
        Name of its row: that of the module, and of the configuration behind a dot where it is not the exported one.
    recipe : Recipe
        How to build it.
    note : str
        Configuration, where it is not the exported one.
    goal : Goal or None
        What it has to reach.
    fanned : int
        Fewest flip-flops that have a clock enable; fewer of one enable have a LUT each that holds what they have.
    """

    name: str
    recipe: Recipe
    note: str = ""
    goal: Goal | None = None
    fanned: int = 1

    @property
    def module(self) -> str:
        """Name of the module in Verilog."""
        return self.name.partition(".")[0]


_GOALS = {
    "epbell_mu_imx8ulp": Goal(200, 700),
    "epbell_edma.doorbell": Goal(220, 350),
    "epbell_endpoint_usp256": Goal(160),
}


def _targets() -> dict[str, Target]:
    targets: list[Target] = []
    for name, recipe in MODULES.items():
        assert isinstance(recipe, Recipe), name
        if "ram_size" not in recipe.parameters and recipe.factory.endswith(":Endpoint"):
            sized = replace(recipe, parameters={**recipe.parameters, "ram_size": _RAM})
            targets.append(Target(name, sized, f"{_RAM >> 10} KiB of RAM, 6 windows", fanned=_FANNED))
        else:
            targets.append(Target(name, recipe))
        if name == "epbell_edma":
            doorbell = replace(recipe, parameters={**recipe.parameters, "doorbell_only": True})
            targets.append(Target(f"{name}.doorbell", doorbell, "doorbell_only"))
    return {target.name: replace(target, goal=_GOALS.get(target.name)) for target in targets}


TARGETS: dict[str, Target] = _targets()
"""Name of the row -> what it is of, in the order of the table."""
