"""The manifests of deploy/kubernetes as Kustomize renders them, and what tests ask of them."""

import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
ADAPTER_VALUES = KUBERNETES / "components" / "autoscaling" / "prometheus-adapter.values.yaml"  # of its Helm chart
STACKS = ("base", "overlays/production", "overlays/gpu")
BACKENDS = ("onnxruntime", "tensorflow", "torchserve")

needs_kubectl = pytest.mark.needs_kubectl


@cache
def rendered(kustomization):
    """The documents that ``kubectl kustomize`` makes of a folder of deploy/kubernetes."""
    command = ["kubectl", "kustomize", str(KUBERNETES / kustomization)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents, kind):
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def pod_specs(documents):
    """Name of the Deployment or Job, and its pods' specification."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def pod_labels(documents, name):
    return of_kind(documents, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]


def ports(documents, name):
    """Number by name of the ports of the Deployment's only container."""
    (container,) = of_kind(documents, "Deployment")[name]["spec"]["template"]["spec"]["containers"]
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())
