"""The Compose files without an engine: what they promise of security and health, and that both programs take them."""

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from support.compose import BASE, OVERLAYS, REPOSITORY, load, program
from support.tiny_store import make_store

import gateway
from gateway.config.file import load_config
from gateway.runtime.probe import SUFFIX, saved_in
from model_store.store import ModelStore

FILES = {"base": [BASE]} | {name: [BASE, overlay] for name, overlay in OVERLAYS.items()}
SERVICES = [(stack, service) for stack, files in FILES.items() for service in load(*files)["services"]]


@pytest.fixture(params=SERVICES, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def service(request):
    """Each service of each stack."""
    stack, name = request.param
    return load(*FILES[stack])["services"][name] | {"name": name}


@pytest.fixture(params=FILES)
def stack(request):
    return load(*FILES[request.param])


def default(text):
    """The text with every variable at its default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def test_nobody_is_root_or_may_become_it(service):
    user, _, _ = service["user"].partition(":")
    assert int(user) > 0
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "devices", "userns_mode"} & service.keys()


def test_nothing_is_written_but_memory_and_named_volumes(service):
    assert service["read_only"] is True
    for volume in service["volumes"]:
        source, _, rest = default(volume).partition(":")
        assert rest.endswith(":ro") or re.fullmatch(r"\w+", source), volume
        assert "docker.sock" not in volume
    assert all("size=" in mount or mount == "/tmp" for mount in service["tmpfs"])


def test_only_the_builder_writes_to_the_store(stack):
    for name, service in stack["services"].items():
        for volume in service["volumes"]:
            if ":/models" in volume:
                assert volume.endswith(":ro") is (name != "models"), name


def test_everything_is_bounded(service):
    assert service["pids_limit"] <= 1024
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert float(default(service["cpus"])) > 0
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_every_image_has_a_version(service):
    image = default(service["image"])
    name, _, tag = image.rpartition(":")
    assert name
    assert tag != "latest"
    assert re.search(r"\d", tag)
    if name.startswith("serving-gateway/"):
        assert tag == gateway.__version__


def test_every_server_has_a_health_check_and_is_started_again(service):
    if service["restart"] == "no":  # it runs once
        assert "healthcheck" not in service
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()


def test_only_the_gateway_and_grafana_are_published_and_only_here(stack):
    published = {name: service["ports"] for name, service in stack["services"].items() if "ports" in service}
    assert published.keys() == {"gateway", "grafana"}
    for port in (default(port) for ports in published.values() for port in ports):
        assert port.startswith("127.0.0.1:")


def test_backends_are_on_the_private_network_alone(stack):
    assert stack["networks"]["internal"] == {"internal": True}
    for name, service in stack["services"].items():
        if name not in ("gateway", "grafana"):
            assert service.get("networks", []) == ([] if service.get("network_mode") == "none" else ["internal"]), name


def test_each_starts_when_what_it_needs_is_there(stack):
    services = stack["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            once = services[needed]["restart"] == "no"
            expected = "service_completed_successfully" if once else "service_healthy"
            assert how == {"condition": expected}, (name, needed)
    launched = {name for name, backend in load_config(REPOSITORY / "deploy/compose/stack.yaml", {}).backends.items()}
    assert launched <= services["gateway"]["depends_on"].keys()


def test_the_servers_have_time_to_drain(stack):
    drain = load_config(REPOSITORY / "deploy/compose/stack.yaml", {}).drain
    for name in ("gateway", "onnxruntime", "tensorflow", "torchserve"):
        assert int(stack["services"][name]["stop_grace_period"].removesuffix("s")) > drain.grace + drain.timeout


def test_services_carry_their_name_for_gateway_deploy(service):
    assert service["labels"] == {"com.serving-gateway.service": service["name"]}


def test_a_variable_has_one_default():
    found = {}
    for file in (BASE, *OVERLAYS.values()):
        for name, value in re.findall(r"\$\{(\w+)(?::-([^}]*))?\}", (REPOSITORY / file).read_text()):
            found.setdefault(name, set()).add(value)
    assert {name: values for name, values in found.items() if len(values) > 1} == {}
    documented = (REPOSITORY / "docs/containers.md").read_text()
    assert [name for name in found if f"`{name}`" not in documented] == []


def test_the_services_listen_where_the_configuration_says():
    services = load(BASE)["services"]
    config = load_config(REPOSITORY / "deploy/compose/stack.yaml", {})
    assert (config.http.port, config.grpc.port) == tuple(
        int(port.rpartition(":")[2]) for port in services["gateway"]["ports"]
    )
    assert config.admin.host == "127.0.0.1"
    tensorflow = config.backends["tensorflow"]
    command = services["tensorflow"]["command"]
    assert f"--port={tensorflow.grpc.rpartition(':')[2]}" in command
    assert f"--rest_api_port={tensorflow.url.rpartition(':')[2]}" in command


@pytest.mark.parametrize("status", [200, 500])
def test_the_health_check_of_tensorflow_serving_is_an_inference(tmp_path, status):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever).start()
        directory = saved_in(tmp_path, "tensorflow")
        directory.mkdir()
        for model in ("a", "b"):
            request = f"POST /v1/models/{model}:predict HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
            (directory / f"{model}{SUFFIX}").write_text(request)
        *command, script = load(BASE)["services"]["tensorflow"]["healthcheck"]["test"][1:]
        script = script.replace("$$", "$").replace("/run/gateway", str(tmp_path))
        script = script.replace("/127.0.0.1/8501", f"/127.0.0.1/{server.server_port}")
        done = subprocess.run([*command, script], check=False, timeout=30)
        server.shutdown()
    assert done.returncode == (status != 200)
    paths = [f"/v1/models/{model}:predict" for model in ("a", "b")]
    assert asked == [(path, b"{}") for path in (paths if status == 200 else paths[:1])]


def test_triton_gets_the_onnx_models_of_the_store(tmp_path):
    store, repository = make_store(tmp_path / "models"), tmp_path / "repository"
    (store / "no-onnx" / "1").mkdir(parents=True)
    (repository / "gone").mkdir(parents=True)
    service = load(*FILES["triton"])["services"]["triton-models"]
    (script,) = service["command"]
    script = script.replace("$$", "$").replace("/models/", f"{store}/").replace("/run/gateway", str(repository))
    subprocess.run([*service["entrypoint"], script], check=True)
    assert sorted(path.name for path in repository.iterdir()) == sorted({*ModelStore(store).names()})
    assert (repository / "pair" / "1" / "model.onnx").is_file()


@pytest.mark.parametrize("words", ["docker-compose", "docker compose"])
@pytest.mark.parametrize("stack", FILES)
def test_both_programs_take_the_files(words, stack):
    if not program(words):
        pytest.skip(f"needs `{words}`")
    files = [argument for file in FILES[stack] for argument in ("-f", file)]
    done = subprocess.run(
        [*words.split(), *files, "config"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services["gateway"]["user"] == "10001:10001"
    if stack == "airgap":
        assert "build" not in services["tensorflow"]
        assert "prometheus.airgap.yml" in str(services["prometheus"]["volumes"])
        assert services.get("grafana", {"profiles": ["grafana"]})["profiles"] == ["grafana"]


@pytest.mark.parametrize("words", ["docker-compose", "docker compose"])
def test_several_gateways_share_a_range_of_ports(words):
    if not program(words):
        pytest.skip(f"needs `{words}`")
    command = [*words.split(), "--env-file", "deploy/compose/scale.env", "config"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "8100-8109" in done.stdout
    assert "8200-8209" in done.stdout
