"""Where requests wait, how many of them, and how many rows run at once."""

from dashboard import Row, dashboard
from panels import COUNT, PER_SECOND, SECONDS, SHARE, Json, Query, graph, heatmap

_BACKEND = 'backend=~"$backend"'
_WAITED = "gateway_queue_wait_seconds_bucket"


def _wait(share: float) -> str:
    return f"histogram_quantile({share}, sum by (job, le) (rate({_WAITED}[$__rate_interval])))"


def _batches(part: str) -> str:
    return f'sum by (backend) (rate(gateway_batch_size_{part}{{job="gateway", {_BACKEND}}}[$__rate_interval]))'


def batching() -> Json:
    """Queues of our servers with their limits; queues and batches of the others as they tell them."""
    return dashboard(
        "batching",
        "Batching and queues",
        "Waiting for a lane or an engine, the batches that the gateways make, and those that the servers make.",
        [
            Row(
                "Gateways, and servers that are one with an engine inside",
                [
                    graph(
                        "Waiting now",
                        "Requests that wait for a lane or an engine, and how many may.",
                        COUNT,
                        Query("sum by (job, instance) (gateway_queue_depth)", "{{job}} {{instance}}"),
                        Query("sum by (job, instance) (gateway_queue_limit)", "limit of {{job}} {{instance}}"),
                    ),
                    graph(
                        "Queue, share of its limit",
                        "Requests are refused at 100 %. The red line is the alert's.",
                        SHARE,
                        Query("instance:queue:ratio", "{{job}} {{instance}}"),
                        limit=0.8,
                    ),
                    graph(
                        "Waited",
                        "For a lane to a backend, or an engine in the same process.",
                        SECONDS,
                        Query(_wait(0.5), "{{job}} p50"),
                        Query(_wait(0.99), "{{job}} p99"),
                    ),
                    heatmap(
                        "Waits",
                        "Darker where more requests lie.",
                        SECONDS,
                        f"sum by (le) (increase({_WAITED}[$__rate_interval]))",
                    ),
                ],
            ),
            Row(
                "What the gateways join",
                [
                    graph(
                        "Rows in a call, mean",
                        "1 while nobody has to wait: requests are joined only while all lanes are busy.",
                        COUNT,
                        Query(
                            f"{_batches('sum')} / {_batches('count')}",
                            "{{backend}}",
                        ),
                    ),
                    graph(
                        "Lanes",
                        "Calls that may be under way at once, as the gateways have found them best.",
                        COUNT,
                        Query(f'sum by (backend) (gateway_batch_lanes{{job="gateway", {_BACKEND}}})', "{{backend}}"),
                    ),
                ],
            ),
            Row(
                "Every server, in its own words",
                [
                    graph(
                        "Mean wait",
                        "For all requests. TensorFlow Serving tells it when it batches, MLServer does not.",
                        SECONDS,
                        Query(f"backend:queue_seconds:mean{{{_BACKEND}}}", "{{backend}}"),
                    ),
                    graph(
                        "Waiting now",
                        "TorchServe and TensorFlow Serving do not tell.",
                        COUNT,
                        Query(f"backend:queue_depth:sum{{{_BACKEND}}}", "{{backend}}"),
                    ),
                    graph(
                        "Rows in a batch, mean",
                        "That an engine ran at once; Triton alone tells.",
                        COUNT,
                        Query(f"backend:batch_rows:mean{{{_BACKEND}}}", "{{backend}}: {{model}}"),
                    ),
                ],
            ),
            Row(
                "In flight",
                [
                    graph(
                        "Attempts in flight",
                        "That the gateways have under way on each backend.",
                        COUNT,
                        Query(
                            f'sum by (backend) (gateway_inflight_requests{{job="gateway", {_BACKEND}}})', "{{backend}}"
                        ),
                    ),
                    graph(
                        "Turned away for want of room",
                        "Requests that found a full queue, or whose time was over before their turn.",
                        PER_SECOND,
                        Query(
                            "sum by (job, outcome) (rate(gateway_request_duration_seconds_count"
                            '{outcome=~"overloaded|queue_timeout"}[$__rate_interval]))',
                            "{{job}} {{outcome}}",
                        ),
                    ),
                ],
            ),
        ],
        variables=("backend",),
    )
