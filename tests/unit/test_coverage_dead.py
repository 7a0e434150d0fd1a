"""Lines and branches that constants keep from being reached."""

import pytest

from epbell_tb.coverage_dead import Dead, dead

_CHAIN = """\
  always_comb begin
    x  = \\$2 ;
    if (\\$1 ) begin
      x  = 1'h1;
      if (free) begin
        x  = 1'h0;
      end
    end else if (free) begin
      x  = 1'h0;
    end else begin
      if (more) begin
        x  = 1'h1;
      end
    end
    if (free) begin
      x  = 1'h0;
    end
  end
"""
_CASE = """\
  always_comb begin
    if (free) begin
      casez (kind[2:1])
        2'h0:
            x = 1'h1;
        2'h1, 2'h3:
          begin
            if (free) begin
              x = 1'h0;
            end
          end
        default:
            x = 1'h0;
      endcase
    end
  end
"""


def of(text, **fixed):
    return set(dead(text.splitlines(), {name.replace("_1", "$1"): value for name, value in fixed.items()}))


def both(line):
    return {Dead(line, "if"), Dead(line, "elsif"), Dead(line, "else")}


def ways(line, *names):
    return {Dead(line, name) for name in names}


def test_nothing_is_known_of_what_changes():
    assert of(_CHAIN) == of(_CHAIN, other="0") == of(_CASE, kind="---") == of(_CHAIN, free="-0") == set()


def test_a_condition_that_is_never_true():
    assert of(_CHAIN, _1="0") == ways(2, "if", "elsif") | both(4)


def test_a_condition_that_is_always_true_leaves_the_rest_of_its_chain_out():
    assert of(_CHAIN, _1="1") == ways(2, "else") | both(7) | both(10)


def test_the_last_condition_of_a_chain():
    assert of(_CHAIN, free="1") == ways(4, "else") | ways(7, "else") | both(10) | ways(14, "else")


@pytest.mark.parametrize(
    ("kind", "arms"), [("0--", set()), ("-1-", {3}), ("--0", set()), ("10-", {3, 5}), ("01-", {3}), ("00-", {5})]
)
def test_arms_that_no_value_takes(kind, arms):
    inside = both(7) if 5 in arms else set()
    assert of(_CASE, kind=kind) == {Dead(line, "case") for line in arms} | inside


def test_an_inverted_condition():
    assert of(_CHAIN.replace("(free)", "(!free )"), free="1") >= both(4) - ways(4, "else")
