"""The verdict of `make cover`: blocks, goals, waivers, and what is proven constant."""

import json
from dataclasses import replace
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from epbell import export
from epbell_tb import cover, cover_runs, coverage, coverage_waivers
from epbell_tb.blocks import Block, load
from epbell_tb.cover_runs import RunFailed, Stood, chosen, runs
from epbell_tb.coverage import CoverageError, Point
from epbell_tb.coverage_constants import constants, constants_of
from epbell_tb.coverage_table import LIBRARY, block_names, missed, rows
from epbell_tb.coverage_waivers import LISTING, Waiver, apply
from epbell_tb.installation import PROJECT

_LINE = Point("line", "epbell/mu.py:9", "epbell/mu.py:5", "aa", "full 3.4 block")
_RISE = Point("toggle", "epbell/mu.py:7", "epbell/mu.py:5", "", "full[1]:0->1")
_FALL = _RISE._replace(name="full[1]:1->0")
_NAMES = block_names([Block("mu", ("rtl/epbell/mu.py",), ())])
_WAIVER = Waiver("epbell/mu.py", "toggle", "full[1]:*", 2, "it is wired to nothing")


class Tied(wiring.Component):
    """Has bits that never change."""

    given: Any
    shown: Any

    def __init__(self):
        super().__init__({"given": In(1), "shown": Out(3)})

    def elaborate(self, platform):
        m = Module()
        never = Signal()
        later = Signal(2)
        m.d.comb += never.eq(self.given & 0)
        m.d.sync += later.eq(Cat(never, self.given))
        m.d.comb += self.shown.eq(Cat(later, 1))
        return m


def test_bits_that_never_change_are_found():
    bits = constants(Tied, "tied")
    assert (bits["never"], bits["later"], bits["shown"]) == ("0", "-0", "1-0")
    assert "given" not in bits
    text = export.to_systemverilog(Tied(), "tied")
    never, may, _ = constants_of(text, "tied", bits, ())
    assert {point.name for point in never} == {
        f"{signal}:{edge}" for signal in ("never", "later[0]", "shown[0]", "shown[2]") for edge in ("0->1", "1->0")
    }
    assert {"given:0->1", "later[1]:1->0", "shown[1]:0->1"} < {point.name for point in may}


class Deaf(wiring.Component):
    """Looks at the lower bit of its input only."""

    given: Any
    shown: Any

    def __init__(self):
        super().__init__({"given": In(2), "shown": Out(1)})

    def elaborate(self, platform):
        m = Module()
        kept = Signal(2)
        more = Signal()
        m.d.sync += kept.eq(self.given)
        m.d.comb += [more.eq(kept[1] & kept[0]), self.shown.eq(kept[0])]
        return m


def test_bits_that_nothing_depends_on_are_found():
    bits = constants(Deaf, "deaf")
    assert {name: bits[name] for name in ("given", "kept")} == {"given": "u-", "kept": "u-"}
    never, may, unread = constants_of(export.to_systemverilog(Deaf(), "deaf"), "deaf", bits, ())
    assert not never
    assert {point.name for point in unread} >= {"given[1]:0->1", "kept[1]:1->0"}
    assert {"given[0]:0->1", "shown:1->0"} < {point.name for point in may}
    assert not unread & may


def test_what_nothing_depends_on_is_no_hole_and_counts_if_it_was_seen():
    (row,), _ = verdict_of(Stood({_RISE: 3, _FALL: 0}, set(), set(), {_RISE, _FALL}))
    assert (row.constant, row.points["toggle"], row.reached["toggle"]) == (1, 1, 1)
    (row,), _ = verdict_of(Stood({_RISE: 3, _FALL: 0}, set(), {_FALL}, {_RISE, _FALL}))
    assert (row.constant, row.enough) == (0, False)


def test_a_block_is_the_sum_of_its_files():
    (row,) = rows({_LINE: 3, _RISE: 0, _FALL: 1}, _NAMES, set(), set())
    assert (row.block, row.percent("line"), row.percent("toggle"), row.percent("branch")) == ("mu", 100.0, 50.0, 100.0)
    assert not row.enough
    assert missed(row) == ["mu: toggle epbell/mu.py:7 full[1]:0->1  (in epbell/mu.py:5)"]


def test_what_is_constant_or_waived_does_not_count():
    (row,) = rows({_LINE: 3, _RISE: 0, _FALL: 0}, _NAMES, {_RISE}, {_FALL})
    assert (row.constant, row.waived, row.points["toggle"], row.enough) == (1, 1, 0, True)


def test_one_line_that_is_missing_is_below_the_goal():
    hits = {_LINE._replace(name=str(number)): number for number in range(1000)}
    (row,) = rows(hits, _NAMES, set(), set())
    assert row.percent("line") == 99.9
    assert not row.enough


def test_toggles_need_not_be_complete():
    hits = {_RISE._replace(name=f"full[{number}]:0->1"): int(number > 4) for number in range(100)}
    (row,) = rows(hits, _NAMES, set(), set())
    assert row.enough
    assert missed(row) == []
    hits[_FALL] = 0
    assert not rows(hits, _NAMES, set(), set())[0].enough


def test_no_goal_is_about_the_library_nor_a_row_about_benches():
    library, bench = (_LINE._replace(module=f"{name}:1") for name in ("amaranth/lib/fifo.py", "epbell_tb/mu_probe.py"))
    (row,) = rows({library: 0, bench: 0}, _NAMES, set(), set())
    assert (row.block, row.enough, missed(row)) == (LIBRARY, True, [])


def test_a_file_without_a_block_has_its_own_row():
    assert rows({_LINE._replace(module="epbell/new.py:1"): 0}, _NAMES, set(), set())[0].block == "epbell/new.py"


def test_a_waiver_is_about_names_or_places():
    assert apply([_WAIVER], {_RISE, _FALL, _LINE}) == ({_RISE, _FALL}, [])
    assert apply([Waiver("epbell/mu.py", "line", "epbell/mu.py:9", 1, "")], {_RISE, _LINE}) == ({_LINE}, [])
    other = _RISE._replace(name="full1:0->1")
    assert apply([_WAIVER], {other}) == (set(), [(_WAIVER, 0)])


def test_a_waiver_is_about_as_many_holes_as_it_says_at_most():
    two = replace(_WAIVER, most=2)
    assert apply([two], {_RISE, _FALL}) == ({_RISE, _FALL}, [])
    one = replace(_WAIVER, most=1)
    assert apply([one], {_RISE, _FALL}) == (set(), [(one, 2)])


@pytest.mark.parametrize("change", [{"kind": "bit"}, {"reason": " "}, {"else": "x"}, {"most": 0}])
def test_a_waiver_needs_everything(change, tmp_path):
    row = {"module": "epbell/mu.py", "kind": "line", "name": "*", "most": 3, "reason": "because", **change}
    path = tmp_path / "waivers.toml"
    path.write_text("[[waiver]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items()))
    with pytest.raises(ValueError, match="waiver 1 must have"):
        coverage_waivers.load(path)


def test_the_waivers_of_the_project_can_be_read():
    for waiver in coverage_waivers.load(PROJECT / LISTING):
        assert (PROJECT / "rtl" / waiver.module).is_file()


def test_constant_in_every_instance_or_not_at_all():
    hits = {_LINE: 1, _RISE: 0, _FALL: 0}
    (row,), _ = verdict_of(Stood(hits, {_RISE, _FALL}, set()))
    assert (row.constant, row.enough) == (2, True)
    (row,), _ = verdict_of(Stood(hits, {_RISE, _FALL}, set()), Stood({}, set(), {_RISE}))
    assert (row.constant, row.enough) == (1, False)


def test_a_proof_that_the_simulation_contradicts_is_an_error():
    assert verdict_of(Stood({_RISE: 1, _FALL: 0}, {_RISE, _FALL}, set()))[0][0].constant == 2
    with pytest.raises(CoverageError, match=r"full\[1\]:1->0 is proven constant, and fell 2 times"):
        verdict_of(Stood({_RISE: 1, _FALL: 2}, {_RISE, _FALL}, set()))


def test_a_waiver_of_what_is_covered_is_told():
    assert verdict_of(Stood({_RISE: 1, _FALL: 1}, set(), {_RISE}), waivers=[_WAIVER])[1] == [(_WAIVER, 0)]


def verdict_of(*stood, waivers=()):
    return cover.verdict(stood, waivers)


def test_every_file_of_the_rtl_has_a_block():
    """Else its points would be in a row that nobody looks for."""
    known = block_names(load(PROJECT / "tests" / "blocks.toml").values())
    files = {str(path.relative_to(PROJECT / "rtl")) for path in (PROJECT / "rtl" / "epbell").rglob("*.py")}
    without = {file for file in files - set(known) if "def elaborate" in (PROJECT / "rtl" / file).read_text()}
    assert without == set()


def test_runs_are_chosen_by_the_beginning_of_their_names():
    every = runs(("imx8", "rk3588"), (64, 256))
    assert [run.name for run in chosen(every, ["sim.rk3588", "mu.imx8ulp"])] == [
        *("sim.rk3588.64", "sim.rk3588.64.stalls", "sim.rk3588.256", "sim.rk3588.256.stalls"),
        *("mu.imx8ulp", "mu.imx8ulp.async", "mu.imx8ulp.port"),
    ]
    assert chosen(every, []) == every
    with pytest.raises(ValueError, match="not 'm'"):
        chosen(every, ["m"])


def test_without_trees_and_widths_the_usual_runs_are_taken():
    usual = {run.name for run in runs(None, None)}
    assert {"sim.imx8.64.stalls", "sim.imx8.64.port.stalls", "sim.imx8.256"} < usual
    assert [run.name for run in runs(None, (512,))[:2]] == ["sim.imx8.512", "sim.imx8.512.stalls"]


def test_scenarios_of_the_bridge_are_left_out():
    (first, *_) = runs(("imx8",), (64,))
    assert isinstance(first, cover_runs.Simulated)
    assert "ring_each_vector" in first.scenarios
    assert not any(name.startswith("vntb") for name in first.scenarios)


class Fake:
    """A run that takes no time."""

    def __init__(self, name, hits, fails=""):
        self.name, self.hits, self.fails, self.times = name, hits, fails, 0

    def run(self, folder, seeds, say, *, measure=True):
        self.times += 1
        assert measure
        if self.fails:
            raise RunFailed(self.fails)
        return Stood(self.hits, set(), set(self.hits))


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """Runs in the place of those that are there."""
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path))
    monkeypatch.setattr(cover, "sources", lambda project: "as they are")

    def install(*found):
        monkeypatch.setattr(cover, "runs", lambda trees, widths: found)
        return found

    return install


def test_the_command_says_what_is_missing(fakes, capsys):
    fakes(Fake("one", {_LINE: 0, _RISE: 1}), Fake("two", {_FALL: 1}))
    assert cover.main(["--only", "one"]) == 1
    out = capsys.readouterr().out
    assert "mu: line epbell/mu.py:9 full 3.4 block" in out
    assert "1 of 1 blocks below the goals (line 100 %, branch 100 %, toggle 95 %)" in out


def test_the_command_is_green_when_everything_is_reached(fakes, capsys):
    fakes(Fake("one", {_LINE: 0, _RISE: 1}), Fake("two", {_LINE: 1, _FALL: 1}))
    assert cover.main(["--only", "one,two", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [(row["block"], row["enough"], row["points"]["toggle"]) for row in summary["blocks"]] == [("mu", True, 2)]


def test_resume_keeps_what_was_run_on_the_same_sources(fakes, monkeypatch, capsys):
    (one,) = fakes(Fake("one", {_LINE: 1}))
    assert cover.main(["--only", "one"]) == cover.main(["--only", "one", "--resume"]) == 0
    assert one.times == 1
    assert cover.main(["--only", "one", "--resume", "--seeds", "2"]) == 0
    assert one.times == 2
    monkeypatch.setattr(cover, "sources", lambda project: "changed")
    assert cover.main(["--only", "one", "--resume", "--seeds", "2"]) == 0
    assert one.times == 3
    capsys.readouterr()


def test_a_run_that_fails_is_told_and_red(fakes, capsys):
    fakes(Fake("one", {_LINE: 1}), Fake("two", {}, "two: a scenario failed"))
    assert cover.main(["--only", "one,two"]) == 1
    assert "run: two: two: a scenario failed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--tree", "x"], ["--width", "65"], ["--only", "x"], ["--seeds", "0"]])
def test_a_wrong_command_line_is_explained(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cover.main(arguments)
    assert ended.value.code == 2
    assert repr(arguments[1]) in capsys.readouterr().err


def test_units_keep_what_their_benches_reached(monkeypatch, tmp_path):
    unit = cover_runs.Unit("tied", "tied", Tied, ("one_bench",))

    def run(build, bench, *, tests, seed, env, results):
        results.mkdir(parents=True)
        coverage.write(results / coverage.NAME, {_RISE: seed})
        return [cover_runs.runner.Result("test", seed < 3, 0.0, 0.0, "why")]

    def build(module, **_):
        (tmp_path / "tied.sv").write_text(export.to_systemverilog(Tied(), "tied"))
        return cover_runs.runner.Build("tied", tmp_path, False, 0.0, True)

    monkeypatch.setattr(cover_runs.runner, "run", run)
    monkeypatch.setattr(cover_runs.runner, "build", build)
    stood = unit.run(tmp_path / "a", 2, print)
    assert stood.hits == {_RISE: 3}
    assert any(point.name == "never:0->1" for point in stood.never)
    with pytest.raises(RunFailed, match="tied: test failed with seed 3: why"):
        unit.run(tmp_path / "b", 3, print)
