"""Coverage: records of a simulation in words of Python, and what is kept of several runs."""

from pathlib import Path

import pytest

from epbell_tb.coverage import CoverageError, Point, merge, of_simulation, read, write
from epbell_tb.coverage_source import Listing, only_named

_MODULE = """\
(* src = "epbell/counter.py:40" *)
module {name}(event_, count);
  wire \\$1 ;
  (* src = "epbell/counter.py:20" *)
  input event_;
  wire event_;
  (* src = "epbell/counter.py:21" *)
  reg [1:0] count{number} = 2'h0;
  (* src = "epbell/counter.py:22" *)
  reg [1:0] \\count$9 ;
  (* src = "epbell/counter.py:44" *)
  always @* begin
    count = 0; if (\\$1 ) count = 1;
  end
endmodule
"""
_TEXT = "// head\n" + _MODULE.format(name="\\top.one ", number="") + "\n" + _MODULE.format(name="two", number="")


def _record(line, page, name, module, count):
    fields = {"f": "x.sv", "l": str(line), "n": "5", "page": f"{page}/{module}", "o": name, "h": module}
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in fields.items()) + f"' {count}"


def _simulation(folder, *records, text=_TEXT):
    (folder / "coverage.dat").write_text("\n".join(["# SystemC::Coverage-3", *records]) + "\n", encoding="latin-1")
    (folder / "top.sv").write_text(text, encoding="utf-8")
    return folder / "coverage.dat", folder / "top.sv"


def test_two_instances_share_their_points(tmp_path):
    hits = of_simulation(
        *_simulation(
            tmp_path,
            _record(9, "v_toggle", "count[1]:0->1", "top.one", 2),
            _record(25, "v_toggle", "count[1]:0->1", "two", 3),
            _record(14, "v_branch", "if", "top.one", 0),
            _record(30, "v_branch", "if", "two", 7),
        )
    )
    assert sorted((point.kind, point.source, point.module, point.name, count) for point, count in hits.items()) == [
        ("branch", "epbell/counter.py:21", "epbell/counter.py:40", "count 11.5 if", 7),
        ("toggle", "epbell/counter.py:21", "epbell/counter.py:40", "count[1]:0->1", 5),
    ]


def test_modules_of_another_text_share_toggles_only(tmp_path):
    text = _TEXT.replace("count = 1", "count = 2", 1)
    hits = of_simulation(
        *_simulation(
            tmp_path,
            _record(14, "v_branch", "if", "top.one", 0),
            _record(30, "v_branch", "if", "two", 7),
            _record(9, "v_toggle", "count[0]:1->0", "top.one", 1),
            _record(25, "v_toggle", "count[0]:1->0", "two", 1),
            text=text,
        )
    )
    assert sorted((point.kind, count) for point, count in hits.items()) == [("branch", 0), ("branch", 7), ("toggle", 2)]


def test_signals_of_one_name_stay_apart():
    listing = Listing(_TEXT.replace("counter.py:22", "counter.py:21"))
    assert [listing.signal(line) for line in (6, 7, 9, 11)] == ["event_", "event_", "count", "count#2"]


def test_numbers_of_temporary_signals_are_no_difference():
    renamed = _TEXT.replace("$1 ", "$317 ", 2).replace("$9", "$44", 1)
    first, second = (Listing(renamed).place(line).variant for line in (5, 20))
    assert first == second
    assert Listing(_TEXT.replace("$1 ) count", "$2 ) count", 1)).place(5).variant != first


def test_temporary_signals_are_not_counted():
    assert only_named(_TEXT).splitlines()[3] == "  /*verilator coverage_off*/ wire \\$1 ; /*verilator coverage_on*/"
    assert only_named(_TEXT).count("coverage_off") == 2
    assert len(only_named(_TEXT).splitlines()) == len(_TEXT.splitlines())


def test_inversions_are_no_expressions():
    text = '  assign a = ~ (* src = "epbell/mu.py:7" *) b[2];\n  assign a = ~ b & c;\n'
    assert [line.startswith("  /*verilator coverage_off*/") for line in only_named(text).splitlines()] == [True, False]


def test_assertions_are_not_counted():
    text = """\
  always @(posedge clk) begin
    if (1'h1) begin
      if (!\\$13 )
        $write("no room");
      assert (\\$13 );
    end
  end
  always @(posedge clk) begin
    if (go) count <= 1;
  end
"""
    lines = only_named(text).splitlines()
    assert (lines[0][:26], lines[6]) == ("  /*verilator coverage_off", "  end /*verilator coverage_on*/")
    assert lines[7:] == text.splitlines()[7:]


def test_counters_can_be_set():
    assert "count /*verilator public_flat_rw*/ = " in only_named("  reg [31:0] count = 32'd0;\n")


def test_other_kinds_of_records_are_left_out(tmp_path):
    assert of_simulation(*_simulation(tmp_path, _record(14, "v_user", "cover", "two", 1))) == {}


def test_files_are_joined(tmp_path):
    one = Point("line", "epbell/mu.py:1", "epbell/mu.py:1", "12ab", "3.4 block")
    other = one._replace(kind="branch")
    write(tmp_path / "a", {one: 1, other: 0})
    write(tmp_path / "b", {one: 2})
    assert read([tmp_path / "a", tmp_path / "b"]) == {one: 3, other: 0} == merge({one: 1, other: 0}, {one: 2})
    assert read(tmp_path / "b") == {one: 2}
    assert read([]) == {}


def test_counts_end_at_the_largest():
    point = Point("line", "", "", "", "")
    assert merge({point: 2**32 - 1}, {point: 5}) == {point: 2**32 - 1}


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"else")
    with pytest.raises(CoverageError, match="a must be a file of coverage"):
        read(tmp_path / "a")
    with pytest.raises(CoverageError, match="missing must be a file of coverage"):
        read(tmp_path / "missing")
    with pytest.raises(CoverageError, match=r"coverage\.dat must be there after a run with coverage"):
        of_simulation(tmp_path / "coverage.dat", Path(__file__))
    with pytest.raises(CoverageError, match=r"coverage\.dat:2 must be a record"):
        of_simulation(*_simulation(tmp_path, "nonsense"))
