"""Rate, errors and duration of what clients ask for, and the state of the backends."""

from dashboard import Row, dashboard
from panels import (
    AMBER,
    BYTES_PER_SECOND,
    COUNT,
    GREEN,
    PER_SECOND,
    RED,
    SECONDS,
    SHARE,
    Json,
    Query,
    State,
    graph,
    number,
    states,
)

_CHOSEN = 'protocol=~"$protocol", model=~"$model", backend=~"$backend"'
_ENDPOINT = 'job="gateway", model=~"$model", backend=~"$backend"'
_REQUESTS = f"gateway:requests:rate1m{{{_CHOSEN}}}"
_FAILURES = f"gateway:failures:rate1m{{{_CHOSEN}}}"
_BUCKETS = f'gateway_request_duration_seconds_bucket{{job="gateway", {_CHOSEN}}}'
_SLOWEST = 0.99


def _share_failed(by: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum"
    return f"({grouped}({_FAILURES}) or 0 * {grouped}({_REQUESTS})) / ({grouped}({_REQUESTS}) > 0)"


def _quantile(share: float, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({_BUCKETS}[$__rate_interval])))"


def overview() -> Json:
    """The page to begin with."""
    return dashboard(
        "overview",
        "Overview",
        "Rate, errors and duration (RED) of what clients ask the gateway for, and the state of its backends.",
        [
            Row(
                "Now",
                [
                    number("Requests", "Finished requests.", PER_SECOND, Query(f"sum({_REQUESTS})", "")),
                    number(
                        "Failed",
                        "Share of requests that the gateway or a backend failed; clients' mistakes are none.",
                        SHARE,
                        Query(_share_failed(), ""),
                        {0.001: AMBER, 0.0144: RED},
                    ),
                    number("p50", "Half of the requests took no longer.", SECONDS, Query(_quantile(0.5), "")),
                    number("p99", "99 of 100 requests took no longer.", SECONDS, Query(_quantile(0.99), "")),
                    number(
                        "Error budget burn",
                        "How many times faster than the objective allows the last hour has used its failures up.",
                        COUNT,
                        Query("gateway:failures:ratio1h / gateway:error_budget:ratio", ""),
                        {1: AMBER, 14.4: RED},
                    ),
                    number("Gateways", "Gateways that Prometheus reaches.", COUNT, Query('sum(up{job="gateway"})', "")),
                ],
                height=4,
            ),
            Row(
                "By protocol",
                [
                    graph(
                        "Requests",
                        "Finished requests by front door.",
                        PER_SECOND,
                        Query(f"sum by (protocol) ({_REQUESTS})", "{{protocol}}"),
                        stacked=True,
                    ),
                    graph(
                        "Failed",
                        "Share that the gateway or a backend failed.",
                        SHARE,
                        Query(_share_failed("protocol"), "{{protocol}}"),
                    ),
                    graph(
                        "Duration",
                        "From the moment the front door had the whole request.",
                        SECONDS,
                        *(
                            Query(_quantile(share, "protocol"), f"{{{{protocol}}}} {name}", exemplars=share == _SLOWEST)
                            for share, name in ((0.5, "p50"), (0.9, "p90"), (_SLOWEST, "p99"))
                        ),
                    ),
                ],
            ),
            Row(
                "By model and backend",
                [
                    graph(
                        "Requests by model",
                        "Models that the gateway does not know are _OTHER.",
                        PER_SECOND,
                        Query(f"sum by (model) ({_REQUESTS})", "{{model}}"),
                        stacked=True,
                    ),
                    graph(
                        "Failed by model",
                        "Share that the gateway or a backend failed.",
                        SHARE,
                        Query(_share_failed("model"), "{{model}}"),
                    ),
                    graph(
                        "p99 by model and backend",
                        "Over all front doors that are chosen above.",
                        SECONDS,
                        Query(_quantile(0.99, "model, backend"), "{{model}} on {{backend}}"),
                    ),
                ],
            ),
            Row(
                "Outcomes",
                [
                    graph(
                        "Outcomes other than ok",
                        "By reason, those included that are the client's doing.",
                        PER_SECOND,
                        Query(
                            "sum by (outcome) (rate(gateway_request_duration_seconds_count"
                            f'{{job="gateway", outcome!="ok", {_CHOSEN}}}[$__rate_interval]))',
                            "{{outcome}}",
                        ),
                    ),
                    graph(
                        "Refused and retried",
                        "Refused before a backend saw them; sent to a second backend.",
                        PER_SECOND,
                        Query(
                            'sum by (reason) (rate(gateway_rejected_total{job="gateway"}[$__rate_interval]))',
                            "refused: {{reason}}",
                        ),
                        Query(
                            'sum by (reason) (rate(gateway_retries_total{job="gateway"}[$__rate_interval]))',
                            "retried: {{reason}}",
                        ),
                    ),
                    graph(
                        "Tensors carried",
                        "Bytes of tensors in and out, a second.",
                        BYTES_PER_SECOND,
                        Query(
                            "sum by (protocol, direction) (rate(gateway_payload_bytes_sum"
                            '{job="gateway", protocol=~"$protocol"}[$__rate_interval]))',
                            "{{protocol}} {{direction}}",
                        ),
                    ),
                ],
            ),
            Row(
                "Backends",
                [
                    states(
                        "Ready",
                        "The last health check of each model, in the eyes of the gateway that is worst off.",
                        Query(
                            f"min by (backend, model) (gateway_backend_ready{{{_ENDPOINT}}})",
                            "{{backend}}: {{model}}",
                        ),
                        {1: State("ready", GREEN), 0: State("not ready", RED)},
                    ),
                    states(
                        "Circuit",
                        "Whether a backend gets its share of the requests.",
                        Query(
                            'max by (backend) (gateway_circuit_state{job="gateway", backend=~"$backend"})',
                            "{{backend}}",
                        ),
                        {0: State("closed", GREEN), 1: State("suspect", AMBER), 2: State("open", RED)},
                    ),
                    graph(
                        "Replicas",
                        "Servers behind each backend's name, in the eyes of each gateway.",
                        COUNT,
                        Query(
                            'max by (backend, state) (gateway_backend_replicas{job="gateway", backend=~"$backend"})',
                            "{{backend}} {{state}}",
                        ),
                    ),
                ],
            ),
        ],
        variables=("protocol", "model", "backend"),
    )
