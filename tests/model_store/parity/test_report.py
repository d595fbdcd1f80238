from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.parity.chart import MOST_SETS
from model_store.parity.compare import compare
from model_store.parity.figures import figure, percent
from model_store.parity.record import ParityReport
from model_store.parity.report import write_report
from model_store.parity.tolerance import Tolerance

HOSTILE = "<script>alert('x')</script>&\"é"


def measured(output="logits", wrong=1e-6, sets=("sample-a", "samples-batch-7", "random-batch-2")):
    generator = np.random.default_rng(3)
    model = Signature(
        (TensorSpec("x", Datatype.FP32, (-1, 4)),),
        (TensorSpec(output, Datatype.FP32, (-1, 4)), TensorSpec("label", Datatype.INT64, (-1,))),
    )
    clean = {name: generator.random((3, 4), np.float32) for name in sets}
    answers = {
        engine: {name: {output: array + np.float32(shift), "label": array.argmax(-1)} for name, array in clean.items()}
        for engine, shift in (("source", 0), ("pytorch", 0), ("onnxruntime", wrong))
    }
    return compare(answers, model, Tolerance(), output)


def write(folder, differences, **changed):
    arguments = {
        "model": "net",
        "version": "3",
        "differences": differences,
        "participants": {"source": "PyTorch 2.13", "pytorch": "2.13", "onnxruntime": "1.23"},
        "accuracy": {"source": {"accuracy": 0.9722}, "onnxruntime": {"accuracy": 0.9611}},
        "routes": {"onnx": "torch.onnx"},
        "failed": {"tensorflow": [("ONNX → TensorFlow", "no operator Foo")]},
        "latency": {"onnx": {"1": 0.123, "8": 0.789}},
    }
    write_report(folder, **(arguments | changed))
    return (folder / "parity.json").read_bytes(), (folder / "parity.html").read_text("utf-8")


class Page(HTMLParser):
    """Collects text, and checks that tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.tags = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_json_holds_everything(tmp_path):
    differences = measured()
    encoded, _ = write(tmp_path, differences)
    report = msgspec.json.decode(encoded, type=ParityReport)
    assert report.differences == differences
    assert report.passed
    assert [*report.pairs] == ["source-pytorch", "source-onnxruntime", "pytorch-onnxruntime"]
    assert report.failed["tensorflow"][0].reason == "no operator Foo"
    assert report.latency == {"onnx": {"1": 0.123, "8": 0.789}}


def test_every_number_is_in_the_page(tmp_path):
    differences = measured()
    _, html = write(tmp_path, differences)
    text = Page(html).text
    for found in differences:
        for value in (found.max_abs, found.max_rel, found.max_ulp, found.allowed):
            assert figure(value) in text
        assert found.inputs in text
    for expected in ("96.1 %", "0.9722", "0.9611", "0.123", "0.789", "torch.onnx", "PyTorch 2.13"):
        assert expected in text
    assert ": no operator Foo" in text


def test_the_page_says_who_does_not_agree(tmp_path):
    _, html = write(tmp_path, measured(wrong=1.0))
    assert "Not in agreement with the source: onnxruntime." in html
    assert html.count("<details open>") == 1
    assert "Every engine agrees with the source, on 3 sets of inputs." in write(tmp_path, measured())[1]


def test_hostile_names_are_only_text(tmp_path):
    _, html = write(
        tmp_path,
        measured(output=HOSTILE, sets=(HOSTILE,)),
        model=HOSTILE,
        version=HOSTILE,
        participants={HOSTILE: HOSTILE},
        accuracy={HOSTILE: {HOSTILE: 1.0}},
        routes={HOSTILE: HOSTILE},
        failed={HOSTILE: [(HOSTILE, HOSTILE)]},
        latency={HOSTILE: {HOSTILE: 1.0}},
    )
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE not in html
    assert sum(HOSTILE in text for text in page.text) > 10


def test_the_page_needs_no_network(tmp_path):
    _, html = write(tmp_path, measured())
    assert not [attrs for _, attrs in Page(html).tags if {"src", "href"} & attrs.keys()]
    assert "url(" not in html
    assert "@import" not in html
    assert "prefers-color-scheme: dark" in html


def test_infinity_is_drawn_and_written(tmp_path):
    encoded, html = write(tmp_path, measured(wrong=np.nan))
    assert "∞" in Page(html).text
    assert msgspec.json.decode(encoded)["pairs"]["source-onnxruntime"]["max_abs"] is None


def test_the_chart_keeps_to_the_worst_sets(tmp_path):
    sets = [f"sample-{index}" for index in range(MOST_SETS + 5)]
    _, html = write(tmp_path, measured(sets=sets))
    assert f"the {MOST_SETS} worst of {MOST_SETS + 5} sets" in html
    dots = [attrs for tag, attrs in Page(html).tags if tag == "circle" and "cx" in attrs and attrs["cx"] != "5"]
    assert len(dots) == 2 * MOST_SETS
    assert all(0 <= float(attrs["cx"]) <= 940 for attrs in dots)


def test_batches_stand_in_the_order_of_their_size(tmp_path):
    model = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), (TensorSpec("y", Datatype.FP32, (-1, 2)),))
    sets = {f"random-batch-{rows}": {"y": np.ones((rows, 2), np.float32)} for rows in (32, 7, 2)}
    differences = compare({"source": sets, "engine": sets}, model, Tolerance())
    text = Page(write(tmp_path, differences)[1]).text
    assert [item for item in text if item.startswith("random")][-3:] == [f"random-batch-{rows}" for rows in (2, 7, 32)]


def test_a_report_of_nothing(tmp_path):
    nothing = {"participants": {}, "accuracy": {}, "routes": {}, "failed": {}, "latency": {}}
    assert "Nothing was compared." in write(tmp_path, [], **nothing)[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.2345e-7, "1.23e-07"), (2**64 - 1, "18446744073709551615"), (float("inf"), "∞"), (15.44, "15.4")],
)
def test_figures(value, text):
    assert figure(value) == text


@pytest.mark.parametrize(("share", "text"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.95, "95 %"), (0.0, "0 %")])
def test_percent_is_never_rounded_up_to_all(share, text):
    assert percent(share) == text
