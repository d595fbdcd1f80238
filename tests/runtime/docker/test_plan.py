"""The containers of a stack before any of them is made; and that they may do just what compose's may."""

import re

import pytest
from support.compose import BASE, OVERLAYS, load

from gateway import __version__
from gateway.config.file import load_config
from gateway.config.settings import GatewayConfig
from gateway.runtime.docker.plan import CONFIG, STACK_FILE, plan_containers, project_name
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.state import RunDirectory

SERVICES = ("gateway", "torchserve", "tensorflow", "onnxruntime")
BACKENDS = {
    "torchserve": {"kind": "torchserve", "url": "http://127.0.0.1:8080", "launch": {}},
    "tensorflow": {"kind": "tfserving", "grpc": "127.0.0.1:0", "launch": {"threads": 2}},
    "onnxruntime": {"kind": "oip", "url": "http://127.0.0.1:9100", "launch": {"device": "cpu"}},
}
UNITS = {"m": 2**20, "g": 2**30}


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    return directory


@pytest.fixture
def plan(run, model_store):
    """Plans the stack with the given settings laid over the default ones."""

    def make(**settings):
        free = {key: {"port": 0} for key in ("http", "grpc", "metrics")}
        config = GatewayConfig.model_validate({**free, "model_store": model_store, "backends": BACKENDS, **settings})
        return plan_containers(config, run, "serving-gateway")

    return make


@pytest.fixture
def containers(plan):
    """The planned containers by service."""
    made = plan()
    return {container.service: container for container in (made.gateway, *made.backends)}


def size(text):
    """The bytes of compose's ``512m``."""
    return int(text[:-1]) * UNITS[text[-1]]


def seconds(text):
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_may_do_just_what_compose_lets_it(containers, service):
    compose = load(BASE, OVERLAYS["airgap"])["services"][service]
    body = containers[service].body
    host = body["HostConfig"]
    assert body["User"] == compose["user"]
    assert host["ReadonlyRootfs"] is compose["read_only"]
    assert host["CapDrop"] == compose["cap_drop"]
    assert host["SecurityOpt"] == compose["security_opt"]
    assert host["Init"] is compose["init"]
    assert host["PidsLimit"] == compose["pids_limit"]
    assert host["Memory"] == size(compose["mem_limit"])
    assert host["NanoCpus"] == int(re.search(r":-(\d+)", compose["cpus"])[1]) * 10**9
    assert host["LogConfig"] == {"Type": compose["logging"]["driver"], "Config": compose["logging"]["options"]}


@pytest.mark.parametrize("service", ["gateway", "torchserve", "onnxruntime"])  # tensorflow's come from a volume there
def test_only_memory_is_written_to_and_as_much_of_it_as_in_compose(containers, service):
    compose = dict(mount.split(":") for mount in load(BASE, OVERLAYS["airgap"])["services"][service]["tmpfs"])
    planned = containers[service].body["HostConfig"]["Tmpfs"]
    assert {path: set(options.split(",")) for path, options in planned.items()} == {
        path: set(options.split(",")) for path, options in compose.items()
    }
    assert all(mount["ReadOnly"] for mount in containers[service].body["HostConfig"]["Mounts"])


@pytest.mark.parametrize("service", SERVICES)
def test_health_is_the_same_inference_as_often(containers, service):
    compose = load(BASE, OVERLAYS["airgap"])["services"][service]["healthcheck"]
    planned = containers[service].body["Healthcheck"]
    command = planned["Test"][1:]
    # An overlay's comes last; its run directory may be elsewhere, where compose has a volume on ours.
    assert compose["test"][-len(command) : -1] == command[:-1]
    assert planned["Retries"] == compose["retries"]
    for key, theirs in (("Interval", "interval"), ("Timeout", "timeout"), ("StartPeriod", "start_period")):
        assert planned[key] == seconds(compose[theirs]) * 10**9


def test_only_the_gateway_is_published_and_only_where_it_is_configured(containers):
    bindings = {name: one.body["HostConfig"].get("PortBindings", {}) for name, one in containers.items()}
    published = bindings.pop("gateway")
    assert not any(bindings.values())
    assert {bound["HostIp"] for (bound,) in published.values()} == {"127.0.0.1"}
    assert len(published) == 3
    assert all(bound["HostPort"] != "0" for (bound,) in published.values())


def test_the_backends_have_no_way_out(containers, run):
    project = project_name(run)
    assert containers["onnxruntime"].networks == [f"{project}-internal"]
    assert containers["gateway"].networks == [f"{project}-internal", f"{project}-edge"]


def test_the_servers_find_each_other_by_name(containers, run):
    config = load_config(run.path / STACK_FILE, environ={})
    assert config.http.host == "0.0.0.0"
    assert config.admin.host == "127.0.0.1"
    assert str(config.model_store) == "/models"
    backends = config.backends
    assert backends["torchserve"].url == "http://torchserve:8080"
    assert backends["torchserve"].launch.authorization is False
    assert (backends["tensorflow"].grpc, backends["tensorflow"].url) == ("tensorflow:8500", "http://tensorflow:8501")
    assert backends["tensorflow"].launch.threads == 2
    assert (backends["onnxruntime"].url, backends["onnxruntime"].grpc) == (
        "http://onnxruntime:9100",
        "onnxruntime:9001",
    )
    assert (run.path / STACK_FILE).stat().st_mode & 0o777 == 0o644
    command = containers["tensorflow"].body["Cmd"]
    assert command[:4] == ["launch", "tensorflow", "--config", CONFIG]


def test_the_images_are_of_this_version(containers):
    assert containers["tensorflow"].image == f"serving-gateway/tensorflow:{__version__}"


def test_a_gpu_is_asked_for_where_the_configuration_does(plan):
    launch = {"onnxruntime": BACKENDS["onnxruntime"] | {"launch": {"device": "cuda:1"}}}
    (backend,) = plan(backends=launch).backends
    assert backend.body["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
    ]
    assert backend.image == f"serving-gateway/onnxruntime-gpu:{__version__}"
    gpu = load(BASE, OVERLAYS["gpu"])["services"]["onnxruntime"]
    assert backend.body["HostConfig"]["Memory"] == size(gpu["mem_limit"])


def test_what_changes_in_the_configuration_is_seen_in_the_containers(plan, run):
    made = plan()
    (source,) = [
        mount["Source"] for mount in made.gateway.body["HostConfig"]["Mounts"] if mount["Target"] == "/etc/gateway"
    ]
    target = run.path / STACK_FILE
    assert (source, CONFIG) == (str(target.parent), f"/etc/gateway/{target.name}")
    assert (target.parent.stat().st_mode & 0o777, target.stat().st_mode & 0o777) == (0o755, 0o644)


def test_secrets_of_the_gateway_are_the_gateways_alone(plan, tmp_path):
    token = tmp_path / "token"
    made = plan(control={"token_file": str(token)})
    mounted = [
        {mount["Source"] for mount in one.body["HostConfig"]["Mounts"]} for one in (made.gateway, *made.backends)
    ]
    assert [str(token) in sources for sources in mounted] == [True, False, False, False]


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ({"kind": "embedded", "engine": "onnxruntime"}, "the gateway's image has no engine in it"),
        ({"kind": "oip", "url": "http://127.0.0.1:9000"}, "is the container itself"),
    ],
)
def test_what_cannot_be_in_a_container_is_refused(plan, backend, message):
    with pytest.raises(RuntimeFailure, match=rf"^backends\.x.*{message}"):
        plan(backends={"x": backend})


def test_a_model_that_is_missing_is_named(plan):
    with pytest.raises(RuntimeFailure, match="'letters' is not in the store"):
        plan(models=["letters"])


def test_each_run_directory_has_a_project_of_its_own(run, tmp_path):
    assert project_name(run) != project_name(RunDirectory(tmp_path / "other"))
    assert re.fullmatch(r"gateway-[0-9a-f]{8}", project_name(run))
