"""The backends side by side: as the gateway sees them, as they see themselves, and how right their answers are."""

from dashboard import Row, dashboard
from panels import COUNT, PER_SECOND, SECONDS, SHARE, Json, Query, graph

_BACKEND = 'backend=~"$backend"'
_OWN = 'backend=~"$backend", model=~"$model"'
_SPENT = f'gateway_attempt_duration_seconds_sum{{job="gateway", {_BACKEND}}}'
_TRIED = f'gateway_attempt_duration_seconds_count{{job="gateway", {_BACKEND}}}'
_SEEN_MEAN = (
    f"sum by (backend) (rate({_SPENT}[$__rate_interval])) / (sum by (backend) (rate({_TRIED}[$__rate_interval])) > 0)"
)
_OWN_MEAN = (
    f"sum by (backend) (backend:latency_seconds:mean{{{_OWN}}} * backend:requests:rate1m{{{_OWN}}})"
    f" / (sum by (backend) (backend:requests:rate1m{{{_OWN}}}) > 0)"
)


def stacks() -> Json:
    """Which server does what, how fast, and where its time goes."""
    return dashboard(
        "stacks",
        "Stacks side by side",
        "TorchServe, TensorFlow Serving, the ONNX Runtime server and any other, measured alike and compared.",
        [
            Row(
                "As the gateway sees them, next to the wire",
                [
                    graph(
                        "Attempts",
                        "Requests that were sent to each backend.",
                        PER_SECOND,
                        Query(f"sum by (backend) (gateway:attempts:rate1m{{{_BACKEND}}})", "{{backend}}"),
                    ),
                    graph(
                        "p50",
                        "Half of the attempts took no longer.",
                        SECONDS,
                        Query(f"gateway:attempt_seconds:p50{{{_BACKEND}}}", "{{backend}}"),
                    ),
                    graph(
                        "p99",
                        "99 of 100 attempts took no longer.",
                        SECONDS,
                        Query(f"gateway:attempt_seconds:p99{{{_BACKEND}}}", "{{backend}}"),
                    ),
                    graph(
                        "Not ok",
                        "Share of attempts with another outcome than ok.",
                        SHARE,
                        Query(
                            f'sum by (backend) (gateway:attempts:rate1m{{outcome!="ok", {_BACKEND}}})'
                            f" / (sum by (backend) (gateway:attempts:rate1m{{{_BACKEND}}}) > 0)",
                            "{{backend}}",
                        ),
                    ),
                ],
            ),
            Row(
                "As they see themselves",
                [
                    graph(
                        "Requests",
                        "What each server has answered; TorchServe counts good answers alone.",
                        PER_SECOND,
                        Query(f"backend:requests:rate1m{{{_OWN}}}", "{{backend}}: {{model}}"),
                    ),
                    graph(
                        "Mean duration",
                        "In the server. TorchServe times no request that came over gRPC.",
                        SECONDS,
                        Query(f"backend:latency_seconds:mean{{{_OWN}}}", "{{backend}}: {{model}}"),
                    ),
                    graph(
                        "p99",
                        "Of the servers that have a histogram: TorchServe, Triton and MLServer have none.",
                        SECONDS,
                        Query(f"backend:latency_seconds:p99{{{_OWN}}}", "{{backend}}: {{model}}"),
                    ),
                    graph(
                        "Failures",
                        "Requests that each server says it has failed.",
                        PER_SECOND,
                        Query(f"backend:failures:rate1m{{{_BACKEND}}}", "{{backend}}"),
                    ),
                ],
            ),
            Row(
                "Where the time goes",
                [
                    graph(
                        "In the engine",
                        "Mean time in the engine; TorchServe's includes its handler.",
                        SECONDS,
                        Query(f"backend:compute_seconds:mean{{{_OWN}}}", "{{backend}}: {{model}}"),
                    ),
                    graph(
                        "In the server's queue",
                        "Mean wait for an engine.",
                        SECONDS,
                        Query(f"backend:queue_seconds:mean{{{_BACKEND}}}", "{{backend}}"),
                    ),
                    graph(
                        "On the way",
                        "Mean duration of an attempt less the server's own: network, protocol, waiting to be read.",
                        SECONDS,
                        Query(f"{_SEEN_MEAN} - ({_OWN_MEAN})", "{{backend}}"),
                    ),
                ],
            ),
            Row(
                "How right the answers are",
                [
                    graph(
                        "Largest difference from the source's answer",
                        "Of the last check, against what is allowed.",
                        COUNT,
                        Query(
                            f'max by (backend, model) (gateway_parity_max_abs_diff{{job="gateway", {_OWN}}})',
                            "{{backend}}: {{model}}",
                        ),
                        Query(
                            f'min by (backend, model) (gateway_parity_tolerance{{job="gateway", {_OWN}}})',
                            "allowed: {{backend}}: {{model}}",
                        ),
                    ),
                    graph(
                        "Checks",
                        "Answers held against the source's, in five minutes.",
                        COUNT,
                        Query(
                            f'sum by (backend, outcome) (increase(gateway_parity_checks_total{{job="gateway", {_OWN}}}'
                            "[5m]))",
                            "{{backend}} {{outcome}}",
                        ),
                    ),
                ],
            ),
        ],
        variables=("model", "backend"),
    )
