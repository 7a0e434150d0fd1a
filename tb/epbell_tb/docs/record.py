"""``epbell diagrams``: record the timing diagrams on the RTL as it is, and write them as WaveJSON.

`epbell docs` does the same and renders them. A file can also be opened in WaveDrom's editor.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from epbell_tb import figures, runner, toolchain
from epbell_tb.docs.diagrams import DIAGRAMS, ENDPOINT, MU, Trace, wavejson

__all__ = ["main", "record", "write"]

_BENCHES = {
    ENDPOINT: ("epbell_tb.benches.endpoint_diagrams", {}),
    MU: ("epbell_tb.benches.mu_diagrams", {"EPBELL_MU_LAYOUT": "imx8ulp"}),
}


def record(say: Callable[[str], None] | None = None) -> dict[str, Trace]:
    """Simulate, and return the trace of each diagram by name.

    Parameters
    ----------
    say : callable, optional
        Told what is under way.

    Raises
    ------
    SimulationError
        If a build or a simulation fails, or a trace is missing.
    """
    found: dict[str, Trace] = {}
    for module, (bench, env) in _BENCHES.items():
        names = [name for name, diagram in DIAGRAMS.items() if diagram.module == module]
        build = runner.build(module, say=say)
        if say is not None:
            say(f"recording {', '.join(names)} on {module}")
        with tempfile.TemporaryDirectory(dir=build.folder, prefix="run-diagrams-") as folder:
            report = Path(folder) / "traces.jsonl"
            results = runner.run(
                build, bench, env={figures.VARIABLE: str(report), **env}, expected=len(names), results=Path(folder)
            )
            failed = [f"{result.name}: {result.message}" for result in results if not result.passed]
            if failed:
                raise runner.SimulationError(f"{module} has no diagrams: {'; '.join(failed)}")
            found |= {line["diagram"]: line["trace"] for line in figures.read(report)}
    missing = sorted(set(DIAGRAMS) - set(found))
    if missing:
        raise runner.SimulationError(f"nothing recorded {', '.join(missing)}")
    return found


def write(folder: Path, traces: dict[str, Trace]) -> list[Path]:
    """Write each trace as WaveJSON to ``<folder>/<name>.json``; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, diagram in DIAGRAMS.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(wavejson(diagram, traces[name]), indent=1) + "\n", encoding="utf-8")
        written.append(path)
    return written


def main(argv: Sequence[str]) -> int:
    """Record the diagrams and write them.

    Parameters
    ----------
    argv : sequence of str
        Arguments of ``epbell diagrams``.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(
        prog="epbell diagrams", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/diagrams"), metavar="FOLDER", help="default: build/diagrams"
    )
    options: Any = parser.parse_args(argv)
    try:
        written = write(options.out, record(lambda text: print(text, flush=True)))
    except runner.SimulationError as error:
        raise toolchain.ToolError(str(error)) from error
    print("\n".join(map(str, written)))
    return 0
