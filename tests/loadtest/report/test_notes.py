from __future__ import annotations

from dataclasses import replace

import msgspec
from support.load_reports import make_digest, make_report, make_search, with_invalid

from loadtest.load.loads import ClosedLoop
from loadtest.measure.summary import Row
from loadtest.report.notes import Note, general_notes, highest_rate, notes, verdict_sentences

DIGEST = make_digest(make_report(loads=(ClosedLoop(concurrency=1),)))


def rows(**changes: object) -> list[Row]:
    first, *others = DIGEST.loads[0].rows
    return [replace(first, **changes), *others]  # type: ignore[arg-type]


def test_the_most_important_comes_first() -> None:
    found = list(notes(with_invalid(make_digest(warnings=("few blocks",))).loads[0].rows))
    kinds = [note.kind for note in found]
    order = ["invalid", "failure", "warning", "information"]
    assert kinds == sorted(kinds, key=order.index)
    assert set(kinds) == set(order)
    assert found[0].text == "INVALID onnxruntime gateway HTTP: sent 4.2 ms late at p99; the limit is 1 ms."


def test_failures_quote_the_server_on_one_line_and_in_short() -> None:
    said = "first line\nsecond\tline " + "x" * 500
    note = next(notes(rows(errors={"HTTP 503": 1200, "timeout": 2}, error_share=0.034, details={"HTTP 503": said})))
    assert note.kind == "failure"
    start = "onnxruntime gateway HTTP: 3.4 % of its requests failed: 1,200 × HTTP 503 (“first line second line xxx"
    assert note.text.startswith(start)
    assert note.text.endswith("x…”), 2 × timeout.")
    assert len(note.text) < 300


def test_problem_is_said() -> None:
    found = list(notes(rows(problem="connect: Connection refused")))
    assert found[0] == Note("failure", "onnxruntime gateway HTTP: connect: Connection refused.")


def settling(**changes: object) -> str:
    return next(note.text for note in notes(rows(**changes)) if "steady" in note.text)


def test_warm_up_and_steadiness() -> None:
    assert settling() == "No warm-up to leave out; times steady: all."
    assert settling(warm_up=1.25) == "Warm-up left out: 0 to 1.2 s; times steady: all."
    assert "No warm-up to leave out; still not settled at the end: onnxruntime gateway HTTP" in settling(warm_up=None)
    assert "times steady: 2 of 3" in settling(steady=False)
    assert "times steady: 2 of 2; too few times to test steadiness: 1" in settling(steady=None)


def test_generator_and_its_lag() -> None:
    last = list(notes(rows(generator_cpu=0.955, send_lag={0.5: 0.0, 0.99: 0.0042, 1.0: 0.1})))[-1]
    assert last.text == (
        "The load generator used up to 96 % of one core (onnxruntime gateway HTTP), "
        "and sent at most 4.20 ms late (p99)."
    )


def test_nothing_is_said_about_what_was_not_measured() -> None:
    targets = tuple(msgspec.structs.replace(target, blocks=()) for target in make_report().targets)
    digest = make_digest(msgspec.structs.replace(make_report(), targets=targets))
    assert list(notes(digest.loads[0].rows)) == []


def test_general_notes() -> None:
    assert list(general_notes(make_report())) == []
    kinds = [note.text.split(maxsplit=1)[0] for note in general_notes(make_report(interrupted=True, stolen_cpu=0.2))]
    assert kinds == ["Interrupted:", "Other"]


def test_verdict_names_who_takes_no_part_and_says_why_where_nothing_else_does() -> None:
    one = with_invalid(make_digest()).loads[0]
    left_out = {one.rows[0].name: "INVALID: sent late", one.rows[1].name: "no good answers"}
    one = replace(one, verdict=msgspec.structs.replace(one.verdict, left_out=left_out))
    _, *reasons = verdict_sentences(one)
    assert reasons == [
        "Not compared: onnxruntime direct HTTP (no good answers).",
        "Not compared, for the reasons that are given: onnxruntime gateway HTTP.",
    ]


def test_answer_of_a_search() -> None:
    found = make_search()
    assert highest_rate(found) == "between 325 and 350 requests/s"
    assert highest_rate(msgspec.structs.replace(found, high=None)) == "at least 325 requests/s"
    assert highest_rate(msgspec.structs.replace(found, low=0.0)) == "no rate that was tried met the SLO"
