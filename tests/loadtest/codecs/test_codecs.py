from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.core.messages import InferRequest
from gateway.core.tensors import Tensor
from loadtest import cli
from loadtest.codecs import benchmark as codecs
from loadtest.codecs.benchmark import CodecsReport, run_codecs
from loadtest.codecs.calls import codec_calls, decode_oip_json, oip_json_body
from loadtest.report.codecs_table import codecs_table

TENSOR = Tensor.from_numpy("input", np.arange(6, dtype=np.float32).reshape(2, 3))
CALLS = {call.form: call for call in codec_calls(TENSOR)}


def run(**sizes: int) -> CodecsReport:
    return run_codecs(rounds=6, seed=1, progress=lambda _: None, sizes={"small": 30, **sizes})


@pytest.mark.parametrize("form", CALLS)
def test_every_form_carries_the_tensor_that_is_measured(form: str) -> None:
    decoded = CALLS[form].decode()
    while isinstance(decoded, tuple):  # a request comes with the form of its answer, inputs come alone
        decoded = decoded[0]
    tensor = decoded.inputs[0] if isinstance(decoded, InferRequest) else decoded
    assert isinstance(tensor, Tensor)
    assert (tensor.name, tensor.shape, bytes(tensor.data)) == ("input", (2, 3), bytes(TENSOR.data))
    encoded = CALLS[form].encode()
    body = encoded[0] if isinstance(encoded, tuple) else encoded
    assert isinstance(body, bytes)
    assert bytes(TENSOR.data) in body or b"5.0" in body


def test_what_is_compared_with_orjson_is_the_whole_way_to_a_tensor() -> None:
    (tensor,) = decode_oip_json(oip_json_body(TENSOR)).inputs
    assert (tensor.shape, bytes(tensor.data)) == ((2, 3), bytes(TENSOR.data))


def test_binary_bodies_are_read_without_a_copy_and_written_with_one() -> None:
    report = run(large=500_000)
    binary = {one.form: one for one in report.forms}["OIP HTTP, binary"]
    assert binary.decode_heap < 0.01
    assert 1 <= binary.encode_heap < 1.01


def test_the_table_fits_a_terminal_and_names_every_form() -> None:
    report = run(large=300, larger=600)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(codecs_table(report))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    forms = [line for line in lines if line.startswith(("OIP", "TF", "TorchServe"))]
    assert [line.split("  ")[0] for line in forms] == list(CALLS)
    assert report.json_speed.share > 0.1


def test_the_command_prints_the_report_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "PICTURE", (1, 4))
    monkeypatch.setattr(
        "loadtest.commands.codecs.run_codecs", lambda **settings: run_codecs(**settings, sizes={"small": 30})
    )
    result = CliRunner().invoke(cli.app, ["codecs", "--rounds", "6", "--seed", "7", "--json"])
    document = json.loads(result.stdout)
    assert (document["seed"], document["rounds"], document["sizes"]) == (7, 6, {"small": 120})
    for form in document["forms"]:
        low, high = form["decode"]["small"]["interval"]
        assert 0 < low <= form["decode"]["small"]["seconds"] <= high
