from __future__ import annotations

import pytest
from support.load_reports import make_digest, make_report, make_search, with_invalid, with_target

from loadtest.load.loads import ClosedLoop
from loadtest.report.markdown import escaped, markdown

LOADS = (ClosedLoop(concurrency=1),)


def test_table_is_one_and_has_all_targets() -> None:
    lines = markdown(make_digest(make_report(loads=LOADS))).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert len({line.count(" | ") for line in rows if "---" not in line}) == 1
    assert rows[1].count("|") == rows[0].count("|")
    assert "- p50: onnxruntime gateway HTTP is 1.25 times as fast" in "\n".join(lines)


def test_what_servers_say_cannot_become_markup() -> None:
    report = with_target(make_report(loads=LOADS), 0, problem="<img src=x> | a\n# b `c` [d](e)")
    text = markdown(make_digest(report))
    assert r"\<img src=x\> \| a \# b \`c\` \[d\](e)" in text
    assert r"tensorflow \<2\>" in text


def test_invalid_stands_first_and_has_its_reason() -> None:
    text = markdown(with_invalid(make_digest(make_report(loads=LOADS))))
    assert text.splitlines()[2].startswith("**INVALID")
    assert "| onnxruntime gateway HTTP **INVALID** |" in text
    assert "- INVALID onnxruntime gateway HTTP: sent 4.2 ms late" in text
    assert "INVALID" not in markdown(make_digest(make_report(loads=LOADS)))


def test_too_few_samples_are_in_parentheses() -> None:
    report = make_report(loads=LOADS)
    text = markdown(make_digest(with_target(report, 0, blocks=report.targets[0].blocks[:1])))
    row = next(line for line in text.splitlines() if line.startswith("| onnxruntime gateway"))
    assert row.split(" | ")[6].startswith("(")


def test_search() -> None:
    text = markdown(make_digest(make_report(loads=LOADS, search=make_search())))
    assert (
        "**Highest rate of onnxruntime gateway HTTP with p99\\<50ms,errors\\<0.1%: between 325 and 350 requests/s.**"
        in text
    )


@pytest.mark.parametrize(("text", "shown"), [("a|b", r"a\|b"), ("x\r\ny", "x y"), ("5 % – ok", "5 % – ok")])
def test_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown
