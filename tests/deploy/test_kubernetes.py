"""The manifests: what `kubectl kustomize` makes of them, held against the API's schemas, Compose and the standards."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from support.kubernetes import (
    ADAPTER_VALUES,
    BACKENDS,
    KUBERNETES,
    REPOSITORY,
    STACKS,
    containers,
    needs_kubectl,
    of_kind,
    pod_specs,
    rendered,
)

import gateway
from gateway.config.file import load_config

SCHEMAS = Path(__file__).parent / "schemas"
KUSTOMIZATIONS = ("store", *STACKS, "kserve")
API_VERSIONS = ("1.30", "1.37")  # the oldest with `preStop: sleep` on by default, and the latest that has a schema here


def kustomization_files():
    return sorted(KUBERNETES.rglob("kustomization.yaml"))


def listed_in(file):
    """Every path that a kustomization names."""
    content = yaml.safe_load(file.read_text())
    entries = [*content.get("resources", []), *content.get("components", [])]
    entries += [patch["path"] for patch in content.get("patches", [])]
    entries += [path for generator in content.get("configMapGenerator", []) for path in generator["files"]]
    return [file.parent / entry for entry in entries]


def test_every_file_is_listed_and_every_listed_file_is_there():
    listed = {path.resolve() for file in kustomization_files() for path in listed_in(file)}
    folders = {path for path in listed if path.is_dir()}
    assert all((folder / "kustomization.yaml").exists() for folder in folders)
    files = {path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"} - {ADAPTER_VALUES}
    assert files == listed - folders


def test_the_copies_are_up_to_date():
    subprocess.run([sys.executable, REPOSITORY / "scripts" / "kubernetes", "--check"], check=True)


def test_the_stack_is_read_by_the_gateway_and_names_the_services():
    config = load_config(KUBERNETES / "base" / "stack.yaml", {})
    assert config.model_store == Path("/models")
    for name in BACKENDS:
        backend = config.backends[name]
        assert backend.launch is not None
        assert backend.url.startswith(f"http://{name}:")


def test_our_images_carry_our_version():
    for file in kustomization_files():
        for image in yaml.safe_load(file.read_text()).get("images", []):
            if image["name"].startswith("serving-gateway/"):
                assert image["newTag"] == gateway.__version__, file


@needs_kubectl
def test_servers_are_those_of_compose():
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    for name, pod in pod_specs(rendered("base")):
        (container,) = pod["containers"]
        service = services[name]
        assert container["image"] == service["image"].replace("${IMAGES:-serving-gateway}", "serving-gateway"), name
        assert container.get("command") == (service.get("entrypoint", []) + service.get("command", []) or None), name
        memory = container["resources"]["limits"]["memory"]
        assert memory.removesuffix("i").lower() == service["mem_limit"], name


@needs_kubectl
@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_the_api_would_accept_it(name, version):
    for document in rendered(name):
        schema = SCHEMAS / f"{document['kind']}.yaml"
        if schema.exists():
            jsonschema.validate(document, yaml.safe_load(schema.read_text()))
        else:
            kubernetes_validate.validate(document, version, strict=True)


@needs_kubectl
@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_runtime_of_kserve_is_made_of_valid_containers(version):
    (runtime,) = of_kind(rendered("kserve"), "ClusterServingRuntime").values()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runtime"}, "spec": runtime["spec"]}
    pod["spec"] = {"containers": runtime["spec"]["containers"]}
    kubernetes_validate.validate(pod, version, strict=True)
    (service,) = of_kind(rendered("kserve"), "InferenceService").values()
    assert service["spec"]["predictor"]["model"]["runtime"] == runtime["metadata"]["name"]


def test_the_schemas_can_fail():
    rules = yaml.safe_load((SCHEMAS / "PrometheusRule.yaml").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"spec": {"groups": [{"name": "a", "rules": [{"expr": "1"}]}]}}, rules)
    wrong = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicaz": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, API_VERSIONS[-1], strict=True)


@needs_kubectl
@pytest.mark.parametrize("name", [*STACKS, "store"])
def test_pods_meet_the_restricted_pod_security_standard(name):
    for workload, pod in pod_specs(rendered(name)):
        assert pod["securityContext"]["runAsNonRoot"] is True, workload
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, workload
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"]), workload
        for container in containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, workload
            assert security["capabilities"] == {"drop": ["ALL"]}, workload
            assert security["readOnlyRootFilesystem"] is True, workload


@needs_kubectl
@pytest.mark.parametrize("name", [*STACKS, "store"])
def test_pods_are_bounded_pinned_and_see_no_foreign_settings(name):
    for workload, pod in pod_specs(rendered(name)):
        # A Service called `gateway` would set GATEWAY_PORT=tcp://…, which our programs take for a setting.
        assert pod["enableServiceLinks"] is False, workload
        assert pod["automountServiceAccountToken"] is False, workload
        for container in containers(pod):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), workload
            assert "memory" in container["resources"]["limits"], workload
            assert container["image"].partition(":")[2] not in ("", "latest"), workload


@needs_kubectl
@pytest.mark.parametrize("name", STACKS)
def test_every_volume_that_is_mounted_is_there_and_models_are_read_only(name):
    config_maps = of_kind(rendered(name), "ConfigMap")
    claims = of_kind(rendered("store"), "PersistentVolumeClaim")
    for workload, pod in pod_specs(rendered(name)):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in containers(pod):
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes.keys(), workload
            assert mounts["models"] == {"name": "models", "mountPath": "/models", "readOnly": True}, workload
        assert list(config_maps[volumes["stack"]["configMap"]["name"]]["data"]) == ["stack.yaml"], workload
        assert volumes["models"]["persistentVolumeClaim"]["claimName"] in claims, workload


@needs_kubectl
def test_gpus_go_to_the_backends_alone():
    overlay = yaml.safe_load((REPOSITORY / "deploy" / "compose" / "gpu.yml").read_text())["services"]
    for name, pod in pod_specs(rendered("overlays/gpu")):
        (container,) = pod["containers"]
        limits = container["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == (1 if name in BACKENDS else None), name
        if name in BACKENDS:
            image = overlay[name]["image"].replace("${IMAGES:-serving-gateway}", "serving-gateway")
            environment = {variable["name"]: variable["value"] for variable in container.get("env", [])}
            assert container["image"] == image, name
            assert environment == overlay[name].get("environment", {}), name
            assert limits["memory"].removesuffix("i").lower() == overlay[name]["mem_limit"], name
