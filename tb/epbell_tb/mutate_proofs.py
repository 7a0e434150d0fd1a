"""Whether a mutant that no test has noticed changes anything at all: Yosys's SAT solver compares it with the original.

Both are looked at from any state, in which their flip-flops hold the same: if all outputs, and all that the flip-flops
take over at the next clock edge, are then equal for all inputs, they are equal for all time, whatever the clocks do.
That is shown of the module that holds the mutant, whatever is around it, or of one further out, which restricts what
can come to it.

Where that fails, it is tried again without the flip-flops that keep their initial value whatever comes in: each has it
at its input as long as it has it itself, which the solver shows first. A mutant of what they drive changes nothing.

Where that fails, too, and there is one clock, states that cannot be do not count: by k-induction from the initial
values, and at last within a number of clocks from those, which is no proof and is called bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from epbell.export import ExportError
from epbell_tb.formal_tools import Tools
from epbell_tb.mutate_design import Mutation, yosys

__all__ = ["BOUNDED", "CLOCKS", "DIFFERENT", "EQUIVALENT", "OPEN", "Answer", "compare", "scopes"]

EQUIVALENT, BOUNDED, DIFFERENT, OPEN = "equivalent", "bounded", "different", "open"
"""What can come of it: proven equal, equal for `CLOCKS` clocks, an input sequence tells them apart, undecided."""

CLOCKS = 12
"""Clocks from reset of the bounded comparison."""

_INDUCTION = 4
_COMPARE = """\
read_verilog -sv -lib memories.sv
read_rtlil whole.il
hierarchy -top {scope}
chformal -remove
design -save part
flatten
{settle}rename -top gold
design -stash gold
design -load part
{mutate}
flatten
{settle}rename -top gate
design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
memory_map
opt_clean
{expose}
miter -equiv -make_outputs -flatten gold gate miter
hierarchy -top miter
opt_merge
opt_expr
opt_clean
sat {how} -prove trigger 0 miter
"""
_STATES = "expose -dff -evert-dff", "", ""
#: Bit by bit, for a part of a register may rest; what `expose` finds are flip-flops without enable and reset.
_SETTLE = "opt_dff -sat\nopt_clean\ndffunmap\nsimplemap t:$dff\nsplitnets -ports\nopt_clean\n"
_RESTING = "expose -dff -evert-dff", "", _SETTLE
_INDUCED = "expose -dff", f"-tempinduct -maxsteps {_INDUCTION}", ""
_SEARCHED = "", f"-tempinduct -tempinduct-baseonly -maxsteps {CLOCKS}", ""


@dataclass(frozen=True)
class Answer:
    """What the comparison of a mutant with the original came to.

    Attributes
    ----------
    mutant : int
        Its number.
    verdict : str
        ``equivalent``, ``bounded``, ``different`` or ``open``.
    scope : str
        Path of the module of which that was shown; empty: the top one.
    """

    mutant: int
    verdict: str
    scope: str


def scopes(module: str) -> list[str]:
    """Return the paths of a module and of those around it, the top one (empty) last."""
    parts = module.split(".") if module else []
    return [".".join(parts[:count]) for count in range(len(parts), -1, -1)]


def compare(
    name: str, mutation: Mutation, folder: Path, tools: Tools, *, clocks: int, deepest: int = 9, limit_s: int = 40,
    induction: bool = True,
) -> Answer:  # fmt: skip
    """Compare a mutant with the original.

    Parameters
    ----------
    name : str
        Name of the top module.
    mutation : Mutation
        The mutant.
    folder : Path
        Where ``whole.il`` is.
    tools : Tools
        The prover's Yosys.
    clocks : int
        How many clocks the module has. With more than one only the first two of the four ways are taken.
    deepest : int
        How many modules to try, from the mutant's own outwards.
    limit_s : int
        Seconds of processor time that each question may take.
    induction : bool
        Whether all four ways are taken, and all of the top module is looked at. Without it only the first two are, of
        other modules.
    """

    def ask(scope: str, way: tuple[str, str, str]) -> str:
        return _ask(name, scope, mutation, folder, tools, way, limit_s)

    tried = [scope for scope in scopes(mutation.module)[:deepest] if scope or induction]
    for way in (_STATES, _RESTING):
        for scope in tried:
            if ask(scope, way) == "SUCCESS":
                return Answer(mutation.number, EQUIVALENT, scope)
    if clocks > 1 or not induction:
        return Answer(mutation.number, OPEN, tried[-1] if tried else "")
    if ask(tried[-1], _INDUCED) == "SUCCESS":
        return Answer(mutation.number, EQUIVALENT, tried[-1])
    if tried[-1]:
        return Answer(mutation.number, OPEN, tried[-1])  # what tells them apart there may never come to that module
    said = ask(tried[-1], _SEARCHED)
    return Answer(mutation.number, {"SUCCESS": BOUNDED, "FAIL": DIFFERENT}.get(said, OPEN), tried[-1])


def _ask(
    name: str, scope: str, mutation: Mutation, folder: Path, tools: Tools, way: tuple[str, str, str], limit_s: int
) -> str:
    """Return what the solver says of one way to compare them: SUCCESS, FAIL, or that it does not know."""
    expose, how, settle = way
    whole = f"{name}.{scope}" if scope else name
    script = _COMPARE.format(scope=whole, mutate=mutation.command(name), expose=expose, how=how, settle=settle)
    try:
        said = yosys(script, folder, tools, name=f"compare-{mutation.number}", limit_s=limit_s)
    except ExportError:
        return "TIMEOUT"  # a memory as large as the solver cannot look at, for one
    for line in reversed(said.splitlines()):
        if "SUCCESS!" in line or "reached maximum number of time steps" in line.lower():
            return "SUCCESS" if "SUCCESS!" in line else "BOUND"
        if "FAIL!" in line or "Base case failed" in line:
            return "FAIL"
    return "TIMEOUT"
