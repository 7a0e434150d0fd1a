"""Child process of :mod:`epbell_tb.runner`: the calls of cocotb's runner, whose output goes to the caller's log.

A process of its own, since cocotb's runner changes environment and folder; it imports nothing that it does not need,
because every build and every simulation pays for that.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

__all__ = ["main"]


def main(verb: str, arguments: str) -> None:
    """Build or test, with the arguments that :mod:`epbell_tb.runner` hands on as JSON."""
    from cocotb_tools.runner import get_runner  # not at the top: it warns at import where libpython is missing

    options = json.loads(arguments)
    folder = Path(options["folder"])
    runner = get_runner(options["simulator"])
    common = {"hdl_toplevel": options["top"], "build_dir": folder, "waves": options.get("waves", False)}
    if verb == "build":
        sources = [folder / f"{name}.sv" for name in dict.fromkeys((options["module"], options["top"]))]
        build_args = options.get("build_args", ())
        runner.build(sources=sources, build_args=build_args, timescale=("1ns", "1ps"), **common)
        return
    results = Path(options["results"])
    with contextlib.suppress(SystemExit):
        runner.test(
            test_module=options["bench"], test_filter=options["tests"], seed=options["seed"],
            hdl_toplevel_lang="verilog", test_dir=results, results_xml=str(results / "results.xml"),
            plusargs=["+waves"] if options["waves"] and options["simulator"] == "icarus" else [], **common,
        )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
