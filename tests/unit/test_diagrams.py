"""From a trace to WaveJSON: every edge where it is in the trace, every count as in the trace, gaps marked."""

import dataclasses

import pytest

from epbell_tb.docs.diagrams import DIAGRAMS, Diagram, Event, Lane, Span, spans, wavejson

ASK, ANSWER = Event("ask"), Event("answer")
TWO = Diagram(
    "two", "module", "Two pins", (Lane("ask"), Lane("word", "ask"), Lane("answer")), (Span("wait", ASK, ANSWER),)
)
SHORT = {"ask": [0, 1, 1, 0], "word": [9, 1, 2, 9], "answer": [0, 0, 1, 1]}


def waves(diagram, trace):
    return {line["name"]: line for line in wavejson(diagram, trace)["signal"]}


def test_waves_are_the_trace():
    drawn = waves(TWO, SHORT)
    assert drawn["clk"]["wave"] == "p..."
    assert drawn["ask"] == {"name": "ask", "wave": "01.0", "node": ".a.."}
    assert drawn["word"] == {"name": "word", "wave": "x==x", "data": ["0x1", "0x2"]}
    assert drawn["answer"] == {"name": "answer", "wave": "0.1.", "node": "..b."}
    assert wavejson(TWO, SHORT)["edge"] == ["a~>b 1 clock"]
    assert wavejson(TWO, SHORT)["head"] == {"text": "Two pins"}


def test_words_that_mean_the_same_are_one():
    parity = Lane("word", "ask", lambda value: "odd" if value % 2 else "even")
    labelled = dataclasses.replace(TWO, lanes=(parity,), spans=())
    assert waves(labelled, {"ask": [1, 1, 1], "word": [1, 3, 4]})["word"] == {
        "name": "word", "wave": "=.=", "data": ["odd", "even"],
    }  # fmt: skip


def test_what_pins_hold_is_shown_on():
    held = dataclasses.replace(TWO, lanes=(Lane("word", "ask", held=True),), spans=())
    assert waves(held, {"ask": [0, 1, 0, 0, 1], "word": [9, 1, 1, 2, 2]})["word"] == {
        "name": "word", "wave": "x=.=.", "data": ["0x1", "0x2"],
    }  # fmt: skip


@pytest.mark.parametrize("still", [1, 2, 3, 4, 5, 50])
def test_long_rest_is_cut_and_counted_all_the_same(still):
    trace = {"ask": [0, 1, *[1] * still, 1, 0], "word": [7] * (still + 4), "answer": [0, *[0] * still, 0, 1, 1]}
    drawn = wavejson(TWO, trace)
    assert drawn["edge"] == [f"a~>b {still + 1} clocks"]
    lengths = {len(line["wave"]) for line in drawn["signal"]}
    assert lengths == {still + 4 if still <= 3 else 7}
    assert all(("|" in line["wave"]) == (still > 3) for line in drawn["signal"])
    assert all(len(line["node"]) in lengths for line in drawn["signal"] if "node" in line)


def test_event_after_another_and_beside_another():
    trace = {"ask": [1, 0, 1, 1, 0, 1], "ready": [0, 0, 0, 1, 0, 1]}
    assert Event("ask").clock(trace) == 2  # what is high from the beginning has not changed
    assert Event("ask", 0).clock(trace) == 1
    assert Event("ask", after=Event("ask")).clock(trace) == 5
    assert Event("ask", beside="ready").clock(trace) == 3


def test_event_that_never_happens():
    with pytest.raises(ValueError, match="answer must become 1 in the trace behind clock 0, and does not"):
        wavejson(TWO, SHORT | {"answer": [0] * 4})


@pytest.mark.parametrize("trace", [SHORT | {"word": [1]}, {"ask": [], "word": [], "answer": []}])
def test_trace_of_another_length(trace):
    with pytest.raises(ValueError, match="as many clocks"):
        wavejson(TWO, trace)


def test_counts_by_name():
    assert spans(TWO, SHORT) == {"wait": 1}


def test_every_diagram_has_counts_and_needs_its_pins():
    for name, diagram in DIAGRAMS.items():
        assert diagram.name == name
        assert diagram.spans
        events = [event for span in diagram.spans for event in (span.start, span.end)]
        assert {event.pin for event in events} <= {lane.pin for lane in diagram.lanes}, name
        assert len(set(diagram.pins)) == len(diagram.pins)
