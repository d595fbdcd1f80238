from pathlib import Path

import pytest

from gateway.config.file import ConfigError, dump_config, load_config

MINIMAL = "backends: {o: {kind: oip, url: 'http://127.0.0.1:9000'}}\n"


@pytest.fixture
def load(tmp_path):
    path = tmp_path / "gateway.yaml"

    def load(text, environ=None):
        path.write_text(text)
        return load_config(path, environ or {})

    return load


def test_the_default_stack_has_the_documented_ports():
    config = load_config(None, {})
    assert [config.http.port, config.grpc.port, config.metrics.port, config.admin.port] == [8000, 8001, 8002, 8003]
    assert all(listener.host == "127.0.0.1" for listener in (config.http, config.grpc, config.metrics, config.admin))
    assert dict(config.listening_ports()) == {
        "http.port": 8000,
        "grpc.port": 8001,
        "metrics.port": 8002,
        "admin.port": 8003,
        "backends.torchserve.url": 8080,
        "backends.torchserve.launch.management_port": 8081,
        "backends.torchserve.launch.metrics_port": 8082,
        "backends.torchserve.launch.grpc_port": 7070,
        "backends.torchserve.launch.grpc_management_port": 7071,
        "backends.tensorflow.url": 8501,
        "backends.tensorflow.grpc": 8500,
        "backends.tensorflow.launch.metrics_port": 0,  # any, of the stand-in: the real server has none of its own
        "backends.onnxruntime.url": 9000,
        "backends.onnxruntime.grpc": 9001,
        "backends.onnxruntime.launch.metrics_port": 9002,
    }


def test_dump_and_load_are_inverse(load):
    config = load_config(None, {})
    assert load(dump_config(config)) == config
    without_admin = load("admin: null\n" + MINIMAL)
    assert load(dump_config(without_admin)).admin is None


def test_port_0_is_no_port_yet_and_may_repeat(load):
    text = "http: {port: 0}\ngrpc: {port: 0}\nbackends: {o: {kind: oip, url: 'http://127.0.0.1:0', launch: {}}}"
    assert dict(load(text).listening_ports())["backends.o.url"] == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("htp: 1\n" + MINIMAL, "htp: unknown key (got 1)"),
        ("http: {port: eighty}\n" + MINIMAL, "http.port: Input should be a valid integer"),
        ("http: {port: 70000}\n" + MINIMAL, "http.port: Input should be less than or equal to 65535 (got 70000)"),
        ("grpc: {port: 8000}\n" + MINIMAL, "grpc.port: port 8000 is already used by http.port"),
        (
            "logs: {access_sample: 2}\n" + MINIMAL,
            "logs.access_sample: Input should be less than or equal to 1 (got 2)",
        ),
        (
            "protocols: [soap]\n" + MINIMAL,
            "protocols.0: Input should be 'oip', 'tfserving' or 'torchserve' (got 'soap')",
        ),
        ("http: {port: 1}\n", "backends: Field required"),
        ("backends: {a: {kind: foo}}", "backends.a: Input tag 'foo'"),
        ("backends: {a: {url: 'http://h:1'}}", "backends.a: Unable to extract tag using discriminator 'kind'"),
        ("backends: {a: {kind: oip, url: 'h:1'}}", "backends.a.url: must be a URL"),
        ("backends: {a: {kind: oip, url: 'http://h:1/v2'}}", "without a path (got 'http://h:1/v2')"),
        ("backends: {a: {kind: tfserving, grpc: h}}", "backends.a.grpc: must be an address"),
        ("backends: {oip: {kind: oip, url: 'http://h:1', foo: 2}}", "backends.oip.foo: unknown key (got 2)"),
        ("backends: {a: {kind: embedded, engine: onnxruntime, device: tpu}}", "backends.a.device: must be auto"),
        ("backends: {a: {kind: embedded, engine: onnxruntime, threads: 0}}", "backends.a.threads"),
        ("backends: {a: {kind: oip, url: 'http://h:8002', launch: {}}}", "port 8002 is already used by metrics.port"),
        ("backends: {a/b: {kind: oip, url: 'http://h:1'}}", "a name of letters"),
        ("backends: {gateway: {kind: oip, url: 'http://h:1'}}", "a name of letters"),
        ("[1]", "a mapping of settings is expected, got list"),
        ("", "a mapping of settings is expected, got NoneType"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_key_and_value(load, tmp_path, text, problem):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(tmp_path / "gateway.yaml") in str(caught.value)
    assert problem in str(caught.value)


def test_every_problem_is_told_at_once(load):
    with pytest.raises(ConfigError) as caught:
        load("htp: 1\nhttp: {port: x}\n" + MINIMAL)
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_and_a_binary_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "no.yaml", {})
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "b.yaml", {})


def test_the_environment_overrides_the_file(load):
    config = load(MINIMAL, {"GATEWAY_HTTP__PORT": "0", "GATEWAY_BACKENDS__O__URL": "http://h:2", "OTHER": "x"})
    assert config.http.port == 0
    assert config.backends["o"].url == "http://h:2"


def test_a_wrong_variable_is_named(load):
    with pytest.raises(ConfigError, match=r"environment variable GATEWAY_HTTP__PORT: http\.port.*got 'x'"):
        load(MINIMAL, {"GATEWAY_HTTP__PORT": "x"})
    with pytest.raises(ConfigError, match="GATEWAY_PORT: no setting is called 'port'"):
        load(MINIMAL, {"GATEWAY_PORT": "1"})


def test_the_model_stores_own_variable_moves_the_default_store():
    assert load_config(None, {"GATEWAY_MODEL_STORE": "/elsewhere"}).model_store == Path("/elsewhere")
