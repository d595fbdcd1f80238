"""Just enough of PromQL to say which metrics an expression names, and which metrics there are."""

import re
from functools import cache
from importlib import util
from pathlib import Path

import yaml

from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.parity_metrics import ParityMetrics
from gateway.telemetry.reload_metrics import ReloadMetrics
from gateway.telemetry.worker_metrics import WorkerMetrics

REPOSITORY = Path(__file__).parent.parent.parent
RULES = REPOSITORY / "deploy" / "prometheus" / "rules"

# What Prometheus itself adds to every scrape, and makes of alerts.
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "ALERTS"}
# tensorflow/serving: servables/tensorflow/util.cc and batching/batching_session.cc, as util/prometheus_exporter.cc
# writes them (a slash becomes a colon).
OF_TENSORFLOW_SERVING = {
    ":tensorflow:serving:request_count",
    *(
        f":tensorflow:serving:{name}_{part}"
        for name in ("request_latency", "runtime_latency", "batching_session:queuing_latency")
        for part in ("bucket", "sum", "count")
    ),
}
# triton-inference-server/server: docs/user_guide/metrics.md.
OF_TRITON = {
    "nv_inference_request_success", "nv_inference_request_failure", "nv_inference_count", "nv_inference_exec_count",
    "nv_inference_pending_request_count", "nv_inference_request_duration_us", "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us", "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
}  # fmt: skip
# SeldonIO/MLServer: mlserver/handlers/dataplane.py, by prometheus_client.
OF_MLSERVER = {
    "model_infer_request_success_total", "model_infer_request_failure_total", "model_infer_request_duration_sum",
    "model_infer_request_duration_count",
}  # fmt: skip

_PARTS = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
    "info": ("_info",),
    "unknown": ("",),
}
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
_NO_NAMES = re.compile(
    r"""#.*|"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)""",
)
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*+(?!\s*\()")


def names_in(expression):
    """The metrics that ``expression`` names."""
    bare = _NO_NAMES.sub(" ", expression)
    return {name for name in _NAME.findall(bare) if name not in _WORDS}


def rules(file):
    """Every rule of a file of RULES, in order."""
    groups = yaml.safe_load((RULES / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def recorded():
    """The names that the recording rules make."""
    return {rule["record"] for rule in rules("recording.yml")}


@cache
def exposed():
    """Every metric that one of the scraped servers has."""
    return OF_PROMETHEUS | OF_TENSORFLOW_SERVING | OF_TRITON | OF_MLSERVER | _of_torchserve() | of_gateway()


def of_gateway():
    """What the code registers."""
    registry = GatewayMetrics(["backend"]).registry
    ParityMetrics(registry)
    ReloadMetrics(registry)
    families = [*registry.collect(), *WorkerMetrics(states=(), reasons=(), count=lambda _: 0).registry.collect()]
    return {f"{family.name}{part}" for family in families for part in _PARTS[family.type]}


def _of_torchserve():
    found = util.find_spec("ts")  # not imported: it brings all of PyTorch
    assert found is not None
    assert found.origin is not None
    known = yaml.safe_load((Path(found.origin).parent / "configs" / "metrics.yaml").read_text())
    return {metric["name"] for kind in ("counter", "gauge") for metric in known["ts_metrics"][kind]}
