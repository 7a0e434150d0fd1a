"""`epbell mutate`: mutants as Yosys lists them, the order of the tests, survivors and their reasons, the verdict."""

import json
from pathlib import Path

import pytest

from epbell.export import MODULES
from epbell_tb import cli, mutate, mutate_survivors
from epbell_tb.mutate_design import Mutation, own_modules, parse
from epbell_tb.mutate_modules import clocks_of, prepare, stages_of
from epbell_tb.mutate_plan import Plan, Stage, Verdict, in_order
from epbell_tb.mutate_proofs import DIFFERENT, EQUIVALENT, Answer, scopes
from epbell_tb.mutate_run import Outcome
from epbell_tb.mutate_survivors import Reason
from epbell_tb.random_place import Drawn

LISTED = [
    r"mutate -mode inv -module top.unit -cell $3 -port A -portbit 2 -wire word -wirebit 2 -src a.py:1 -src b.py:2",
    r"mutate -mode cnot1 -module top -cell \unit -port \w_en -portbit 0 -ctrlbit 5",
    r"mutate -mode const0 -module top.unit -cell $4 -port CLK -portbit 0 -wire clk -wirebit 0",
    r"mutate -mode inv -module top.unit -cell $4 -port Q -portbit 7 -wire word -wirebit 7",
]


def mutation(number=1, place="unit", source=()):
    return Mutation(number, "inv", place, "$3", "A", 2, wire="word[2]", source=tuple(source))


def outcomes(killed, equivalent=0, survived=0):
    kinds = [("t", None)] * killed + [("", EQUIVALENT)] * equivalent + [("", DIFFERENT)] * survived
    return [
        Outcome(mutation(number), stage, "", Answer(number, verdict, "unit") if verdict else None)
        for number, (stage, verdict) in enumerate(kinds, 1)
    ]


def test_list_without_clocks_and_outputs_of_registers():
    first, second = parse(LISTED, "top")
    assert first == Mutation(1, "inv", "unit", "$3", "A", 2, -1, "word[2]", ("a.py:1", "b.py:2"))
    assert first.place == "unit: $3.A[2] (word[2]) inverted"
    assert (second.number, second.module, second.ctrlbit) == (2, "", 5)
    assert second.place.startswith("top: ")
    assert second.place.endswith("[0] inverted while \\w_en[5] is 1")


def test_command_is_what_was_listed():
    (listed,) = parse(LISTED[:1], "top")
    assert listed.command("top") == LISTED[0].partition(" -wire")[0]
    (top,) = parse(LISTED[1:2], "top")
    assert top.command("top") == LISTED[1]


def test_modules_from_the_mutant_outwards():
    assert scopes("unit.side_a.registers") == ["unit.side_a.registers", "unit.side_a", "unit", ""]
    assert scopes("") == [""]


def rtlil(top, width=4, number=7, priority="1111"):
    return f"""
module \\{top}
  cell \\{top}.part \\part
end
module \\{top}.part
  wire width {width} ${number}
  cell $check $9
    parameter signed \\PRIORITY 32'{priority}
  end
end
""", top


@pytest.mark.parametrize(
    ("different", "own"), [({}, []), ({"number": 8}, []), ({"priority": "1101"}, []), ({"width": 5}, ["part"])]
)
def test_modules_of_its_own_differ_in_more_than_numbers(different, own):
    assert own_modules(rtlil("wide", **different), rtlil("narrow")) == own


def test_test_that_notices_most_comes_first(tmp_path):
    stages = tuple(Stage("bench", name) for name in "abc")
    plan = Plan(tmp_path, (1, 2, 3), stages)
    for number, stage in enumerate(("b", "b", "c", ""), 1):
        plan.tell(Verdict(number, stage, "why", 0.1))
    assert [stage.name for stage in in_order(stages, plan.verdicts().values())] == ["b", "c", "a"]
    assert [verdict.killed for verdict in plan.verdicts().values()] == [True, True, True, False]


def test_plan_goes_through_the_environment(tmp_path, monkeypatch):
    plan = Plan(tmp_path, (0, 7), (Stage("bench", "a", environment={"X": "1"}, late=True),), 3.5)
    for name, value in plan.environment().items():
        monkeypatch.setenv(name, value)
    assert Plan.from_environment() == plan


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_tests_with_different_names(module):
    names = [stage.name for stage in stages_of(module)]
    assert len(names) == len(set(names)) > 0
    assert not all(stage.late for stage in stages_of(module))
    assert clocks_of(module) == 1 + module.endswith("_async")


def test_random_traffic_of_an_endpoint_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    prepare("epbell_edma")
    assert not list(tmp_path.iterdir())
    prepare("epbell_endpoint_usp64")
    first = next(stage for stage in stages_of("epbell_endpoint_usp64") if stage.test == "endpoint_random")
    drawn = Drawn.load(Path(first.environment["EPBELL_RANDOM"]))
    assert (drawn.place.width, drawn.place.stalls) == (64, first.environment["EPBELL_STALLS"] == "1")
    assert len(drawn.operations) == 500


def test_unknown_module_is_named():
    with pytest.raises(ValueError, match="not 'epbell_nothing'"):
        stages_of("epbell_nothing")


def test_reason_fits_place_line_and_module():
    reason = Reason(("epbell_mu_*",), "unit: *.A[2] *inverted", "nobody sees it")
    assert reason.fits("epbell_mu_imx6sx", mutation())
    assert not reason.fits("epbell_edma", mutation())
    assert not reason.fits("epbell_mu_imx6sx", mutation(place="other"))
    source = "epbell_tb/mutate_survivors.py:1"
    line = Reason(("*",), "*", "nobody sees it", line="Why mutants survive")
    assert line.fits("epbell_edma", mutation(source=[source]))
    assert not line.fits("epbell_edma", mutation(source=[source.replace(":1", ":2")]))


def test_reasons_that_nothing_needs():
    used, idle, elsewhere = (Reason((name,), "*", "why") for name in ("epbell_mu_*", "epbell_ed*", "epbell_end*"))
    tried = ["epbell_mu_imx6sx", "epbell_edma"]
    assert mutate_survivors.stale([used, idle, elsewhere], tried, [used]) == [idle]


@pytest.mark.parametrize(
    "row",
    ['place = "x"\nreason = "y"', 'modules = ["m"]\nplace = "x"\nreason = " "', 'modules = []\nplace = 1\nno = 2'],
)
def test_entry_without_a_reason_is_refused(row, tmp_path):
    (tmp_path / "list.toml").write_text(f"[[survivor]]\n{row}\n")
    with pytest.raises(ValueError, match="A survivor"):
        mutate_survivors.load(tmp_path / "list.toml")


def test_reviewed_list_can_be_read():
    assert all(reason.modules and reason.reason for reason in mutate_survivors.load())


def test_score_leaves_out_what_changes_nothing():
    assert mutate.score(outcomes(9, 10, 1)) == 90.0
    assert mutate.score(outcomes(0, 3)) == 100.0


@pytest.fixture
def ran(monkeypatch, capsys, tmp_path):
    """Run the command on outcomes and reasons that are made up."""

    def run(found, reasons=(), *arguments):
        monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
        monkeypatch.setattr(mutate.formal_tools, "install", lambda: mutate.formal_tools.Tools(tmp_path))
        monkeypatch.setattr(mutate.formal_tools.Tools, "prepare", lambda self: None)
        monkeypatch.setattr(mutate.mutate_survivors, "load", lambda: list(reasons))
        monkeypatch.setattr(mutate, "_module", lambda *_: found)
        return mutate.main(["--only", "epbell_edma", *arguments]), capsys.readouterr()

    return run


REASON = Reason(("epbell_edma",), "unit*", "it is a spare bit")


def test_below_its_goal(ran):
    status, said = ran(outcomes(8, 0, 2), [REASON])
    assert status == 1
    assert "epbell_edma: 80.0 % are noticed, less than 90 %" in said.out


def test_survivors_with_reasons(ran):
    status, said = ran(outcomes(19, 5, 1), [REASON])
    assert status == 0
    assert "epbell_edma 25: unit: $3.A[2] (word[2]) inverted; different" in said.out
    assert "it is a spare bit" in said.out


def test_survivor_without_a_reason_fails_a_run_with_the_usual_mutants_only(ran):
    status, said = ran(outcomes(19, 0, 1))
    assert status == 1
    assert "1 survivors need a reason" in said.out
    assert ran(outcomes(19, 0, 1), (), "--seed", "2")[0] == 0
    assert ran(outcomes(19, 0, 1), (), "--first", "20")[0] == 0


def test_reason_without_a_survivor_fails(ran):
    status, said = ran(outcomes(20), [REASON])
    assert status == 1
    assert "nothing survives that fits 'unit*'" in said.out


def test_everything_as_json(ran):
    status, said = ran(outcomes(19, 1, 1), [REASON], "--json")
    assert status == 0
    told = json.loads(said.out)["epbell_edma"]
    assert told["score"] == 95.0
    assert [row["verdict"] for row in told["mutants"][-2:]] == ["equivalent", "survived"]
    assert told["mutants"][-1]["reason"] == "it is a spare bit"


def test_test_that_fails_without_a_mutant(ran, monkeypatch):
    def fails(*_):
        raise mutate.SimulationError("epbell_edma fails without any mutant")

    ran(outcomes(1))
    monkeypatch.setattr(mutate, "_module", fails)
    assert mutate.main(["--only", "epbell_edma"]) == 1


def test_wrong_pattern_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        mutate.main(["--only", "epbell_nothing"])
    assert "not 'epbell_nothing'" in capsys.readouterr().err


def test_both_commands_tell_of_each_other(capsys):
    for verb, other in (("mutate", "epbell mutants"), ("mutants", "make mutate")):
        with pytest.raises(SystemExit):
            cli.main([verb, "--help"])
        assert other in capsys.readouterr().out
