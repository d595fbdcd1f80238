"""Who finds, probes, scrapes and may reach whom: Services, ports, policies, monitors and autoscalers fit together."""

import asyncio
import re

import aiohttp
import pytest
import yaml
from support.echo import Echo, model_name
from support.gateways import ENGINE, running, settings
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

from gateway import app as app_module
from gateway.config.file import load_config
from gateway.core.datatypes import Datatype
from gateway.core.errors import ModelNotFound

pytestmark = needs_kubectl

BUSY_MODEL, LOST_MODEL = (model_name(datatype, 1) for datatype in (Datatype.FP32, Datatype.INT32))


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
    (rule,) = yaml.safe_load(ADAPTER_VALUES.read_text())["rules"]["external"]
    asked = rule["seriesQuery"].partition("{")[0]
    summed = set(re.search(r'__name__=~"([^"]+)"', rule["metricsQuery"])[1].split("|"))
    assert {asked} < summed <= exposed()
    for name, autoscaler in of_kind(rendered("overlays/production"), "HorizontalPodAutoscaler").items():
        (metric,) = autoscaler["spec"]["metrics"]
        if metric["type"] == "External":
            assert metric["external"]["metric"] == {
                "name": rule["name"]["as"],
                "selector": {"matchLabels": {"job": "gateway", "backend": name}},
            }
        else:
            assert (name, metric["resource"]["name"]) == ("gateway", "cpu")


def test_a_gpu_has_more_to_do_at_once():
    def demanded(stack):
        autoscalers = of_kind(rendered(stack), "HorizontalPodAutoscaler")
        targets = (autoscalers[name]["spec"]["metrics"][0]["external"]["target"] for name in BACKENDS)
        return {int(target["averageValue"]) for target in targets}

    assert demanded("overlays/production") == {1}
    assert demanded("overlays/gpu") == {16}


class Busy(Echo):
    """Serves one model, and is never done with a request for it; what it does not serve, it has lost."""

    async def __call__(self, message):
        await asyncio.Event().wait()

    async def check(self, model, version):
        if model != BUSY_MODEL:
            raise ModelNotFound(model)


def test_a_gateway_that_refuses_requests_and_has_lost_a_model_stays_in_service(tmp_path, monkeypatch):
    monkeypatch.setattr(app_module, "_build_backend", lambda name, *_: Busy(name))
    (container,) = dict(pod_specs(rendered("base")))["gateway"]["containers"]
    paths = {container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    backend = ENGINE | {"models": [BUSY_MODEL, LOST_MODEL]}
    admission = {"limit": {"min": 1, "max": 1}, "wait": 0.001}
    configuration = settings(tmp_path, {"b": backend}, admission=admission, drain={"grace": 0, "timeout": 0.01})

    async def run():
        async with running(configuration) as (_, addresses), aiohttp.ClientSession() as session:
            url = f"http://{addresses['http']}"
            body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}

            async def ask():
                async with session.post(f"{url}/v2/models/{BUSY_MODEL}/infer", json=body) as answer:
                    return answer.status

            admitted, refused = (asyncio.create_task(ask()) for _ in range(2))
            assert await refused == 503
            for path in paths:
                async with session.get(f"{url}{path}") as answer:
                    assert answer.status == 200, path
            async with session.get(f"{url}/v2/health/ready") as answer:
                assert answer.status == 400  # which all gateways would say at once
            admitted.cancel()

    asyncio.run(run())
