"""`gateway up` with two versions of a model that answer differently, in an OIP server and in a TensorFlow one."""

import json
import urllib.request

import pytest
import yaml
from support.scaled_store import add_tensorflow, save_scaled
from support.stack import gateway, running_stack

pytestmark = pytest.mark.integration

STACK = """
http: {port: 0}
grpc: {port: 0}
metrics: {port: 0}
admin: {port: 0}
model_store: %s
models: [scaled, scaled/1]
labels: {scaled: {stable: 1}}
backends:
  onnxruntime: {kind: oip, url: "http://127.0.0.1:0", grpc: "127.0.0.1:0", launch: {device: cpu, metrics_port: 0}}
  tensorflow: {kind: tfserving, grpc: "127.0.0.1:0", url: "http://127.0.0.1:0", launch: {device: cpu}}
"""
FACTORS = {"": 3, "/versions/1": 2, "/versions/2": 3}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    for version, factor in (("1", 2), ("2", 3)):
        save_scaled(store, factor, version=version)
        add_tensorflow(store, factor, version=version)
    with running_stack(store, tmp_path_factory.mktemp("stack"), STACK) as running:
        yield running


@pytest.fixture(scope="module")
def post(stack):
    config = yaml.safe_load((stack.run_dir / "gateway.yaml").read_text())

    def ask(path, document, backend):
        request = urllib.request.Request(
            f"http://127.0.0.1:{config['http']['port']}{path}",
            json.dumps(document).encode(),
            {"x-gateway-backend": backend, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return ask


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorflow"])
@pytest.mark.parametrize("path", FACTORS)
def test_each_version_answers_over_oip_and_over_tensorflow_servings_rest(post, backend, path):
    oip = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    answer = post(f"/v2/models/scaled{path}/infer", oip, backend)
    assert answer["outputs"][0]["data"] == [FACTORS[path], 2 * FACTORS[path]]
    answer = post(f"/v1/models/scaled{path}:predict", {"instances": [[1, 2]]}, backend)
    assert answer == {"predictions": [[FACTORS[path], 2 * FACTORS[path]]]}


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorflow"])
def test_a_label_stands_for_its_version(post, backend):
    answer = post("/v1/models/scaled/labels/stable:predict", {"instances": [[1, 2]]}, backend)
    assert answer == {"predictions": [[2, 4]]}


def test_every_version_is_listed_on_every_server(stack):
    listed = json.loads(gateway("models", "--json", "--config", stack.config).stdout)
    ready = {"ready": True, "problem": ""}
    state = {**ready, "versions": {"1": ready, "2": ready}}
    assert listed == {"scaled": {"onnxruntime": state, "tensorflow": state}}
