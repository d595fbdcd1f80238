"""deploy/swarm/stack.yml says the same as docker-compose.yml, in Swarm's words."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
SWARM = REPOSITORY / "deploy" / "swarm"
BACKENDS = ("onnxruntime", "tensorflow", "torchserve")
SAME = (
    "cap_drop",
    "command",
    "entrypoint",
    "environment",
    "healthcheck",
    "image",
    "init",
    "labels",
    "logging",
    "networks",
    "read_only",
    "stop_grace_period",
    "user",
)
# Keys of Compose that Swarm ignores or refuses.
FOREIGN = {"build", "cpus", "depends_on", "mem_limit", "pids_limit", "privileged", "restart", "security_opt", "tmpfs"}


def read(path):
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module")
def compose():
    return read(REPOSITORY / "docker-compose.yml")


@pytest.fixture(scope="module")
def stack():
    return read(SWARM / "stack.yml")


def shared(compose, stack):
    """Both forms of every service but the builder of models, which a Swarm does not run."""
    assert compose["services"].keys() == stack["services"].keys()
    return [
        (name, compose["services"][name], stack["services"][name]) for name in stack["services"] if name != "models"
    ]


def mebibytes(text):
    number, unit = re.fullmatch(r"(\d+)([mg])", text.lower()).groups()
    return int(number) * {"m": 1, "g": 1024}[unit]


@pytest.mark.parametrize("key", SAME)
def test_services_are_those_of_compose(compose, stack, key):
    for name, here, there in shared(compose, stack):
        assert here.get(key) == there.get(key), name


def test_no_service_uses_what_swarm_would_ignore(stack):
    for name, service in stack["services"].items():
        assert not service.keys() & FOREIGN, name


def test_limits_are_those_of_compose(compose, stack):
    for name, here, there in shared(compose, stack):
        limits = there["deploy"]["resources"]["limits"]
        assert mebibytes(limits["memory"]) == mebibytes(here["mem_limit"]), name
        assert limits["pids"] == here["pids_limit"], name
        assert limits["cpus"] == here["cpus"], name


def test_the_same_is_mounted_at_the_same_places(compose, stack):
    for name, here, there in shared(compose, stack):
        mounted = {volume.split(":")[-2 if volume.endswith(":ro") else -1] for volume in here.get("volumes", [])}
        mounted |= {entry.partition(":")[0] for entry in here.get("tmpfs", [])}
        configs = {config["target"] for config in there.get("configs", [])}
        targets = {volume["target"] for volume in there["volumes"]}
        # Compose mounts folders where Swarm has a config for each file.
        folders = {folder for folder in mounted if any(config.startswith(f"{folder}/") for config in configs)}
        alone = {config for config in configs if not any(config.startswith(f"{folder}/") for folder in folders)}
        assert targets | alone | folders == mounted, name


def test_every_file_of_prometheus_and_grafana_is_a_config(stack):
    listed = {(SWARM / config["file"]).resolve() for config in stack["configs"].values()}
    deploy = REPOSITORY / "deploy"
    grafana = deploy / "grafana"
    there = {
        deploy / "compose" / "stack.yaml",
        deploy / "prometheus" / "prometheus.yml",
        *(deploy / "prometheus" / "rules").iterdir(),
        *(grafana / "dashboards").iterdir(),
        *(grafana / "provisioning").glob("*/*"),
    }
    assert listed == there
    used = {config["source"] for service in stack["services"].values() for config in service.get("configs", [])}
    assert used == stack["configs"].keys()


def test_a_changed_config_gets_a_new_name(stack):
    assert all(config["name"].endswith("-${REVISION:-1}") for config in stack["configs"].values())


def test_names_resolve_to_every_replica(stack):
    for name, service in stack["services"].items():
        if name != "models":  # which nobody asks
            assert service["deploy"]["endpoint_mode"] == "dnsrr", name


def test_backends_have_two_replicas_and_are_replaced_without_a_gap(stack):
    for name in BACKENDS:
        deploy = stack["services"][name]["deploy"]
        assert deploy["replicas"] == 2, name
        assert deploy["update_config"]["order"] == "start-first", name
        assert deploy["update_config"]["failure_action"] == "rollback", name


def test_only_the_gateway_and_grafana_are_published(compose, stack):
    published = {name: service["ports"] for name, service in stack["services"].items() if "ports" in service}
    assert published.keys() == {name for name, service in compose["services"].items() if "ports" in service}
    for name, ports in published.items():
        inside = [int(port.rpartition(":")[2]) for port in compose["services"][name]["ports"]]
        assert [port["target"] for port in ports] == inside


def test_backends_and_prometheus_have_no_way_out(stack):
    assert stack["networks"]["internal"]["internal"] is True
    outside = {name for name, service in stack["services"].items() if "edge" in service["networks"]}
    assert outside == {"gateway", "grafana"}


@pytest.mark.skipif(shutil.which("docker") is None, reason="needs docker")
@pytest.mark.parametrize("files", [["stack.yml"], ["stack.yml", "mesh.yml"]])
def test_docker_accepts_it(files):
    command = ["docker", "stack", "config", *(f"--compose-file={SWARM / file}" for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unknown" in done.stderr:
        pytest.skip("this docker has no `stack config`")
    assert done.returncode == 0, done.stderr
    gateway = yaml.safe_load(done.stdout)["services"]["gateway"]
    meshed = "mesh.yml" in files
    assert {port["mode"] for port in gateway["ports"]} == {"ingress" if meshed else "host"}
    assert gateway["deploy"]["endpoint_mode"] == ("vip" if meshed else "dnsrr")
