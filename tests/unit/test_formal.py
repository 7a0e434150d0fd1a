"""The command `epbell formal`, and what a proof is made of."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Signal
from amaranth.lib.wiring import In, Out

from epbell_tb import formal, formal_job, formal_proofs, formal_tools
from epbell_tb.formal_checks import Bench, Proof, Statement
from epbell_tb.formal_job import BMC, COVER, INDUCTION, Job, Result

PROJECT = Path(__file__).parents[2]
PROOFS = formal_proofs.load()
TOOLS = formal_tools.find()
needs_prover = pytest.mark.skipif(TOOLS is None, reason="the prover is not installed; `make formal` installs it")


class Sticky(Bench):
    """A bit that stays set; `hole` is a way to lose it."""

    def __init__(self, *, hole=False, cover=True):
        self.hole, self.cover = hole, cover
        super().__init__({"set": In(1), "clear": In(1), "bit": Out(1)})

    def check(self, m, checks):
        stuck = Signal(4)
        m.d.sync += self.bit.eq(self.set | self.bit & ~self.clear if self.hole else self.set | self.bit)
        m.d.sync += stuck.eq(stuck + self.bit)
        checks.forward("what is set stays", ~checks.past(self.set | self.bit, "was") | self.bit)
        checks.backward("nothing else sets it", ~self.bit | checks.past(self.set | self.bit, "had"))
        checks.invariant("a bit is a bit", self.bit | ~self.bit)
        if self.cover:
            checks.cover("it is set", self.bit)


def sticky(**parameters):
    return Proof("sticky", "a bit that stays", lambda: Sticky(**parameters), cover_depth=3, mutant_depth=4)


def result(kind, verdict, **more):
    return Result("mu.x", kind, more.pop("mutant", ""), 2, 3, 1.0, verdict, **more)


def test_statements_are_named_by_their_lines():
    text, statements = sticky().convert()
    assert [one.kind for one in statements] == ["forward", "backward", "invariant", "cover"]
    lines = Path(__file__).read_text().splitlines()
    for one in statements:
        file, _, number = one.line.partition(":")
        assert file == Path(__file__).name
        assert one.name in lines[int(number) - 1]
        assert f"{file}:{number}" in text  # so that the prover's answer can be looked up
    assert text.count('\\FLAVOR "assert"') == 3
    assert sticky().convert(invariants=False)[0].count('\\FLAVOR "assert"') == 2


def test_proof_that_covers_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has nothing 'cover'"):
        formal_job.convert(sticky(cover=False), tmp_path, invariants=True)


@pytest.mark.parametrize("name", {name.rpartition(".")[0]: name for name in PROOFS}.values())
def test_proof_states_both_ways_and_covers(name):
    statements = PROOFS[name].convert()[1]
    kinds = [one.kind for one in statements]
    assert {"forward", "backward", "cover"} <= set(kinds)


@pytest.mark.parametrize("name", sorted({mutant.name for mutant, _ in formal_proofs.mutants(list(PROOFS))}))
def test_defect_can_be_made(name):
    mutant = next(mutant for mutant, _ in formal_proofs.mutants(list(PROOFS)) if mutant.name == name)
    assert mutant.file.startswith("rtl/")
    assert (PROJECT / mutant.file).read_text().count(mutant.old) == 1


def test_every_proof_has_its_defects():
    pairs = formal_proofs.mutants(list(PROOFS))
    assert all(sum(name == proof for _, name in pairs) >= formal.FEWEST_MUTANTS for proof in PROOFS)


@pytest.mark.parametrize(
    ("kind", "status", "log", "wanted"),
    [
        (INDUCTION, "PASS", "", ("proven", "")),
        (INDUCTION, "FAIL", "summary:   failed assertion top.check_1 at /a/mu.py:7 step 3", ("REFUTED", "no loss")),
        (INDUCTION, "UNKNOWN", "Assert failed in top: /a/mu.py:7 (check_1)", ("induction failed", "no loss")),
        (INDUCTION, "TIMEOUT", "", ("gave up", "")),
        (INDUCTION, "ERROR", "", ("no verdict", "")),
        (COVER, "PASS", "", ("reached", "")),
        (COVER, "FAIL", "Unreached cover statement at top: /a/mu.py:9 (check_2)", ("not reached", "a ring")),
        (BMC, "PASS", "", ("SURVIVED", "")),
        (BMC, "FAIL", "Assert failed in top: /a/mu.py:7 (check_1)\n" * 2, ("refuted", "no loss")),
    ],
)
def test_verdicts(kind, status, log, wanted):
    statements = {
        "mu.py:7": Statement("forward", "no loss", "mu.py:7"),
        "mu.py:9": Statement("cover", "a ring", "mu.py:9"),
    }
    assert formal_job._judge(kind, status, log, statements) == wanted


def test_only_the_wanted_verdict_is_good():
    assert result(INDUCTION, "proven").good
    assert result(COVER, "reached").good
    assert result(BMC, "refuted").good
    assert not any(result(kind, "gave up").good for kind in (INDUCTION, COVER, BMC))
    assert not result(BMC, "proven").good


def test_choice_of_proofs():
    names = list(PROOFS)
    assert formal_proofs.chosen(names, "mu.doorbell.imx6sx") == ["mu.doorbell.imx6sx"]
    assert formal_proofs.chosen(names, "mu.doorbell") == formal_proofs.chosen(names, "mu.doorbell.*")
    assert set(formal_proofs.chosen(names, "mu.ports.*,mu.reset.imx8ulp")) > {"mu.reset.imx8ulp"}
    with pytest.raises(ValueError, match="not 'nothing'"):
        formal_proofs.chosen(names, "mu,nothing")


@pytest.mark.parametrize("subject", sorted({re.sub(r"\.[^.]+(\.direct|\.ahead)?$", "", name) for name in PROOFS}))
def test_documentation_says_what_is_proven(subject):
    assert f"| `{subject}` |" in (PROJECT / "docs" / "formal.md").read_text()


def epbell(*arguments):
    command = [sys.executable, "-m", "epbell_tb.cli", "formal", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)


def test_list_names_every_proof_and_its_defects():
    done = epbell("--list", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["proof"] for row in rows] == list(PROOFS)
    assert all(len(row["mutants"]) >= 2 and row["summary"] for row in rows)
    assert re.search(r"^mu\.doorbell\.imx6sx: ", epbell("--list").stdout, re.MULTILINE)


def test_wrong_pattern_is_named():
    done = epbell("--only", "nu.*")
    assert done.returncode == 2
    assert "not 'nu.*'" in done.stderr


@pytest.fixture
def ran(monkeypatch, capsys):
    """Run the command on results that are made up."""

    def run(results, *arguments):
        monkeypatch.setattr(formal_tools, "install", lambda: formal_tools.Tools(Path("nowhere")))
        monkeypatch.setattr(formal_tools.Tools, "prepare", lambda self: None)
        monkeypatch.setattr(formal, "_run", lambda *_: results)
        return formal.main(list(arguments)), capsys.readouterr()

    return run


def test_what_fails_is_said_and_where_its_trace_is(ran):
    bad = result(INDUCTION, "REFUTED", detail="no doorbell is lost", trace="sim_build/formal/mu.x/prove/trace.vcd")
    status, said = ran([result(COVER, "reached"), bad])
    assert status == 1
    assert "mu.x: k-induction: REFUTED: no doorbell is lost" in said.out
    assert "counterexample: " in said.out
    assert "trace.vcd" in said.out
    assert "1 of 1 cover all, 0 of 1 proofs hold" in said.out


def test_surviving_defect_fails(ran):
    status, said = ran([result(INDUCTION, "proven"), result(BMC, "SURVIVED", mutant="left")])
    assert status == 1
    assert "mu.x / left: bmc: SURVIVED" in said.out


def test_all_good_as_json(ran):
    status, said = ran([result(INDUCTION, "proven"), result(BMC, "refuted", mutant="left")], "--json")
    assert status == 0
    assert [row["verdict"] for row in json.loads(said.out)] == ["proven", "refuted"]
    assert "1 of 1 proofs hold, 1 of 1 defects refuted" in said.err


def test_proof_with_one_defect_is_refused(ran, monkeypatch):
    both = formal_proofs.mutants(["mu.ports.imx6sx"])
    monkeypatch.setattr(formal_proofs, "mutants", lambda names: both[:1])
    status, said = ran([], "--only", "mu.ports.imx6sx")
    assert status == 1
    assert "mu.ports.imx6sx needs 2 defects or more" in said.err


@needs_prover
def test_proof_holds_and_is_not_true_of_a_hole(tmp_path):
    for hole, verdicts in ((False, ["proven", "reached"]), (True, ["REFUTED", "reached"])):
        folder = tmp_path / str(hole)
        proof = sticky(hole=hole)
        formal_job.convert(proof, folder, invariants=True)
        runs = formal_job._runs(Job(proof), folder, TOOLS, 0)
        assert [one.verdict for one in runs] == verdicts
        if hole:
            assert runs[0].detail == "what is set stays"
            assert Path(runs[0].trace).is_file()
            assert "induct" not in runs[0].trace


@needs_prover
def test_defect_in_the_rtl_is_refuted(tmp_path):
    (mutant,) = (one for one, _ in formal_proofs.mutants(["mu.ports.imx6sx"]) if one.name == "response-dropped")
    (ended,) = formal_job.run(Job(PROOFS["mu.ports.imx6sx"], mutant), PROJECT, tmp_path, TOOLS)
    assert (ended.verdict, ended.mutant) == ("refuted", "response-dropped")
    assert "a write that is complete is answered in the next clock" in ended.detail
    assert Path(ended.trace).suffix == ".vcd"
