"""Who finds, probes, scrapes and may reach whom: Services, ports, policies, monitors and autoscalers fit together."""

import pytest
import yaml
from support.kubernetes import (
    ADAPTER_VALUES,
    BACKENDS,
    KUBERNETES,
    REPOSITORY,
    STACKS,
    needs_kubectl,
    of_kind,
    pod_labels,
    pod_specs,
    ports,
    rendered,
    selects,
)
from support.promql import exposed

from gateway.config.file import load_config

pytestmark = needs_kubectl


@pytest.mark.parametrize("name", STACKS)
def test_services_budgets_and_autoscalers_select_what_is_there(name):
    documents = rendered(name)
    deployments = of_kind(documents, "Deployment")
    assert set(deployments) == {"gateway", *BACKENDS}
    for deployment, document in deployments.items():
        labels = pod_labels(documents, deployment)
        assert selects(document["spec"]["selector"]["matchLabels"], labels)
        service = of_kind(documents, "Service")[deployment]
        assert selects(service["spec"]["selector"], labels)
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports(documents, deployment))
        assert all(ports(documents, deployment)[port["name"]] == port["port"] for port in service["spec"]["ports"])
        assert selects(of_kind(documents, "PodDisruptionBudget")[deployment]["spec"]["selector"]["matchLabels"], labels)
    for autoscaler in of_kind(documents, "HorizontalPodAutoscaler").values():
        assert autoscaler["spec"]["scaleTargetRef"]["name"] in deployments
        assert "replicas" not in deployments[autoscaler["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_backends_have_no_address_of_their_own_so_that_dns_names_every_replica():
    services = of_kind(rendered("base"), "Service")
    assert all(services[name]["spec"]["clusterIP"] == "None" for name in BACKENDS)
    assert "clusterIP" not in services["gateway"]["spec"]


def test_ports_are_those_of_the_stack():
    documents = rendered("base")
    config = load_config(KUBERNETES / "base" / "stack.yaml", {})
    listeners = {"http": config.http.port, "grpc": config.grpc.port, "metrics": config.metrics.port}
    assert ports(documents, "gateway") == listeners
    for name in BACKENDS:
        backend = config.backends[name]
        assert ports(documents, name)["http"] == int(backend.url.rpartition(":")[2]), name
        grpc = backend.launch.grpc_port if name == "torchserve" else int(backend.grpc.rpartition(":")[2])
        assert ports(documents, name)["grpc"] == grpc, name
        if name != "tensorflow":  # whose official image tells its metrics on its HTTP port
            assert ports(documents, name)["metrics"] == backend.launch.metrics_port, name


def health_check(name):
    """The command by which Compose tells whether the server is healthy."""
    service = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"][name]
    return [word.replace("$$", "$") for word in service["healthcheck"]["test"][1:]]


def test_probes_ask_ports_and_programs_that_are_there():
    for name, pod in pod_specs(rendered("base")):
        (container,) = pod["containers"]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            asked = probe.get("httpGet") or probe.get("tcpSocket")
            if asked:
                assert asked["port"] in ports(rendered("base"), name), (name, kind)
            else:
                assert probe["exec"]["command"] == health_check(name), (name, kind)


def test_a_pod_that_ends_has_time_to_drain():
    config = load_config(KUBERNETES / "base" / "stack.yaml", {})
    for name, pod in pod_specs(rendered("base")):
        (container,) = pod["containers"]
        out_of_dns = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        for backend in config.backends.values():
            assert out_of_dns >= 2 * backend.resolve_interval, name
        assert pod["terminationGracePeriodSeconds"] > out_of_dns + config.drain.grace + config.drain.timeout, name


def test_traffic_goes_from_the_gateway_to_the_backends_and_nowhere_else():
    documents = rendered("base")
    policies = of_kind(documents, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    out = {}
    for rule in policies["gateway"]["spec"]["egress"]:
        for peer in rule["to"]:
            if "namespaceSelector" not in peer:
                name = peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
                out[name] = {port["port"] for port in rule["ports"]}
    for name in BACKENDS:
        policy = policies[name]["spec"]
        assert selects(policy["podSelector"]["matchLabels"], pod_labels(documents, name))
        assert "egress" not in policy
        inference, metrics = policy["ingress"]
        (client,) = inference["from"]
        assert selects(client["podSelector"]["matchLabels"], pod_labels(documents, "gateway"))
        named = ports(documents, name)
        assert {named[port["port"]] for port in inference["ports"]} == out[name] == {named["http"], named["grpc"]}
        assert {port["port"] for port in metrics["ports"]} == {"metrics" if "metrics" in named else "http"}


def test_every_server_is_scraped_once_on_a_port_of_its_service():
    documents = rendered("overlays/production")
    services = of_kind(documents, "Service")
    scraped = []
    for monitor in of_kind(documents, "ServiceMonitor").values():
        (endpoint,) = monitor["spec"]["endpoints"]
        for name, service in services.items():
            if _selected(monitor["spec"]["selector"], service["metadata"]["labels"]):
                assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}, name
                assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == name
                scraped.append(name)
    assert sorted(scraped) == sorted(services)


def _selected(selector, labels):
    expressions = selector.get("matchExpressions", [])
    return selects(selector.get("matchLabels", {}), labels) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def test_what_the_autoscalers_ask_for_is_what_the_adapter_serves():
    rules = yaml.safe_load(ADAPTER_VALUES.read_text())["rules"]
    served = {
        "Pods": {rule["seriesQuery"].partition("{")[0] for rule in rules["custom"]},
        "External": {rule["seriesQuery"].partition("{")[0] for rule in rules["external"]},
    }
    assert served["Pods"] | served["External"] <= exposed()
    for autoscaler in of_kind(rendered("overlays/production"), "HorizontalPodAutoscaler").values():
        for metric in autoscaler["spec"]["metrics"]:
            if metric["type"] in served:
                assert metric[metric["type"].lower()]["metric"]["name"] in served[metric["type"]]
