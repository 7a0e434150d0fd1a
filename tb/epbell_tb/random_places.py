"""Where random traffic runs: device tree, width, stalls, the way of MSI-X, BARs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Place", "places"]


@dataclass(frozen=True)
class Place:
    """Where a run happens.

    Attributes
    ----------
    tree : str
        Name of a shipped device tree.
    width : int
        Of the streams in bits.
    stalls : bool
        Whether the streams pause at random.
    msix : str
        The way of MSI-X, ``"rq"`` or ``"port"``.
    bars : str
        Name of a set of BARs.
    about : str
        What most operations are about, one of `epbell_tb.traffic.draw.ABOUT`.
    """

    tree: str
    width: int
    stalls: bool = False
    msix: str = "rq"
    bars: str = "everyday"
    about: str = "all"

    @property
    def name(self) -> str:
        """Its name, such as ``random.rk3588.256.stalls``."""
        more = ["port"] * (self.msix == "port") + [self.bars] * (self.bars != "everyday") + ["stalls"] * self.stalls
        more += [self.about] * (self.about != "all")
        return ".".join(["random", self.tree, str(self.width), *more])


def places() -> list[Place]:
    """Return the places of the regression: every width, with and without stalls, each kind of eDMA, wide BARs."""
    return [
        Place("imx8", 64),
        Place("imx8", 128, stalls=True, msix="port"),
        Place("imx8", 256, stalls=True),
        Place("imx8", 512, bars="wide"),
        Place("rk3588", 64, stalls=True),
        Place("rk3588", 256),
        Place("hdma", 128),
        Place("hdma", 512, stalls=True),
        Place("imx8", 64, about="interrupts"),
    ]
