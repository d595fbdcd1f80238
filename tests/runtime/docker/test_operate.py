"""What `gateway deploy status` shows."""

import io

from rich.console import Console

from gateway.runtime.docker.operate import problems, table


def row(service, number, **changes):
    told = {
        "service": service,
        "container": f"serving-{service}-{number}",
        "state": "healthy",
        "ready": True,
        "problem": "",
        "image": f"registry.example/a-team/serving-gateway/{service}:0.1.0",
        "addresses": ["172.31.0.3"],
        "published": [],
    }
    return told | changes


ROWS = [
    row("gateway", 1, published=["127.0.0.1:8000 → 8000", "127.0.0.1:8001 → 8001"]),
    row("onnxruntime", 2, state="starting", ready=False, problem="no inference of digits-mlp: connection refused"),
]


def test_every_container_fits_into_80_columns_with_its_address_beside_it():
    output = io.StringIO()
    Console(file=output, width=80).print(table("serving", ROWS))
    lines = [line.split() for line in output.getvalue().splitlines()]
    assert ["gateway-1", "healthy", "gateway:0.1.0", "127.0.0.1:8000", "→", "8000"] in lines
    assert ["127.0.0.1:8001", "→", "8001"] in lines
    assert ["onnxruntime-2", "starting", "onnxruntime:0.1.0", "172.31.0.3"] in lines


def test_a_problem_is_a_sentence_that_names_the_container():
    assert problems(ROWS) == ["serving-onnxruntime-2: no inference of digits-mlp: connection refused"]
