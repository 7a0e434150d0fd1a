"""The pictures of ``epbell vntb``: how long the pings took, and where the time of one of them went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from epbell_tb.endpoint.ping_steps import STEPS
from epbell_tb.vntb_result import Pings

__all__ = ["draw"]

_NAMES = {"polling": "polled", "mu": "Messaging Unit", "edma": "eDMA"}
_COLOURS = {"polling": "#b5482f", "mu": "#2f6db5", "edma": "#3d8f5a"}
_PLACES = {"host": "#2f6db5", "link": "#8a8a8a", "endpoint": "#b5482f"}
_BINS = 80
_BACKGROUND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def draw(found: Sequence[Pings], folder: Path) -> list[Path]:
    """Write ``vntb-pings.svg`` and ``vntb-timeline.svg``; return their paths.

    Parameters
    ----------
    found : sequence of Pings
        What was measured, one for each doorbell.
    folder : Path
        Where the pictures go.
    """
    with mpl.rc_context({"svg.hashsalt": "epbell", "svg.fonttype": "none"}):
        pictures = {"vntb-pings.svg": _histogram(found), "vntb-timeline.svg": _timelines(found)}
        for name, picture in pictures.items():
            picture.savefig(folder / name, format="svg", metadata={"Date": None})
    return [folder / name for name in pictures]


def _histogram(found: Sequence[Pings]) -> Figure:
    """Draw a row for each doorbell, so that none hides another."""
    picture = Figure(figsize=(9, 1 + 1.5 * len(found)), layout="constrained")
    low = min(min(pings.times) for pings in found)
    high = max(max(pings.times) for pings in found)
    bins = np.geomspace(low * 0.8, high * 1.25, _BINS)
    rows = picture.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for axes, pings in zip(rows, found, strict=True):
        axes.hist(pings.times, bins=bins, color=_COLOURS[pings.backend])
        axes.axvline(pings.median, color="black", linestyle="--", linewidth=1)
        axes.set_xscale("log")
        axes.set_ylabel("pings")
        axes.set_title(f"{_NAMES[pings.backend]}: median {pings.median:,.0f} us", loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    rows[-1].set_xlabel("microseconds of simulated time, there and back")
    return picture


def _timelines(found: Sequence[Pings]) -> Figure:
    """Draw one ping for each doorbell, step by step: the time to the step before stands beside its name."""
    picture = Figure(figsize=(9, 3.3 * len(found)), layout="constrained")
    for axes, pings in zip(picture.subplots(len(found), 1, squeeze=False)[:, 0], found, strict=True):
        _timeline(axes, pings)
    picture.axes[-1].set_xlabel("microseconds since the host's first store")
    return picture


def _timeline(axes: Any, pings: Pings) -> None:
    steps = pings.typical()
    names = [name for name in STEPS if name in steps]
    times = [steps[name] for name in names]
    rows = range(len(names))
    axes.step(times, rows, where="post", color="#c8c8c8", linewidth=1, zorder=1)
    axes.scatter(times, rows, c=[_PLACES[STEPS[name]] for name in names], zorder=2)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.05, max(times) * 4)
    axes.set_yticks(rows, names)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(_PLACES[STEPS[name]])
    before = 0.0
    for row, at in zip(rows, times, strict=True):
        text = f"{at:.2f}  (+{at - before:.2f})"
        axes.annotate(text, (at, row), (8, -3), textcoords="offset points", fontsize=8, bbox=_BACKGROUND)
        before = at
    axes.invert_yaxis()
    axes.set_title(f"{_NAMES[pings.backend]}: the ping nearest to the median", loc="left")
    axes.grid(axis="x", color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
