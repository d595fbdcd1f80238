"""What the gateway itself costs: the part of a request that was spent outside any backend."""

from dashboard import Row, dashboard
from panels import PER_SECOND, SECONDS, SHARE, Json, Query, graph, heatmap, number

_CHOSEN = 'protocol=~"$protocol", backend=~"$backend"'
_OF_GATEWAY = f'job="gateway", {_CHOSEN}'
_BUCKETS = f"gateway_overhead_seconds_bucket{{{_OF_GATEWAY}}}"


def _rate(metric: str, by: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}{{{_OF_GATEWAY}}}[$__rate_interval]))"


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_BUCKETS}[$__rate_interval])))"


def overhead() -> Json:
    """Absolute, as a share, and per request."""
    share = "{total} / ({whole} > 0)"
    return dashboard(
        "overhead",
        "Gateway overhead",
        "The part of a request that was spent in the gateway itself: decoding, routing, encoding, waiting a turn.",
        [
            Row(
                "Now",
                [
                    number("p50", "Half of the requests had no more.", SECONDS, Query(_quantile(0.5), "")),
                    number("p99", "99 of 100 requests had no more.", SECONDS, Query(_quantile(0.99), "")),
                    number(
                        "Of the whole",
                        "Overhead as a share of the requests' duration.",
                        SHARE,
                        Query(
                            share.format(
                                total=_rate("gateway_overhead_seconds_sum"),
                                whole=_rate("gateway_request_duration_seconds_sum"),
                            ),
                            "",
                        ),
                    ),
                    number(
                        "CPU per request",
                        "CPU time of the gateways for each request.",
                        SECONDS,
                        Query(
                            'sum(instance:cpu_cores:rate1m{job="gateway"}) / (sum(gateway:requests:rate1m) > 0)',
                            "",
                        ),
                    ),
                ],
                height=4,
            ),
            Row(
                "Overhead",
                [
                    graph(
                        "By protocol, p50",
                        "Medians, of each backend for itself.",
                        SECONDS,
                        Query(f"gateway:overhead_seconds:p50{{{_CHOSEN}}}", "{{protocol}}, {{backend}}"),
                    ),
                    graph(
                        "By protocol, p99",
                        "The red line is the alert's.",
                        SECONDS,
                        Query(f"gateway:overhead_seconds:p99{{{_CHOSEN}}}", "{{protocol}}, {{backend}}"),
                        limit=0.025,
                    ),
                    graph(
                        "By protocol, mean",
                        "What all requests together paid, divided by their number.",
                        SECONDS,
                        Query(f"gateway:overhead_seconds:mean{{{_CHOSEN}}}", "{{protocol}}, {{backend}}"),
                    ),
                ],
            ),
            Row(
                "Distribution",
                [
                    heatmap(
                        "All requests",
                        "Darker where more requests lie.",
                        SECONDS,
                        f"sum by (le) (increase({_BUCKETS}[$__rate_interval]))",
                    ),
                    graph(
                        "Share of the whole, by backend",
                        "Overhead as a share of the requests' duration: large for small models, not for large ones.",
                        SHARE,
                        Query(
                            share.format(
                                total=_rate("gateway_overhead_seconds_sum", "backend"),
                                whole=_rate("gateway_request_duration_seconds_sum", "backend"),
                            ),
                            "{{backend}}",
                        ),
                    ),
                ],
            ),
            Row(
                "What drives it",
                [
                    graph(
                        "Requests",
                        "Finished requests by gateway.",
                        PER_SECOND,
                        Query(_rate("gateway_request_duration_seconds_count", "instance"), "{{instance}}"),
                    ),
                    graph(
                        "CPU per request",
                        "CPU time of each gateway for each of its requests.",
                        SECONDS,
                        Query(
                            'sum by (instance) (instance:cpu_cores:rate1m{job="gateway"}) / '
                            "(sum by (instance) (rate(gateway_request_duration_seconds_count"
                            '{job="gateway"}[$__rate_interval])) > 0)',
                            "{{instance}}",
                        ),
                    ),
                    graph(
                        "Event loop lag, p99",
                        "How late the gateway's event loop runs what is due.",
                        SECONDS,
                        Query('instance:event_loop_lag_seconds:p99{job="gateway"}', "{{instance}}"),
                    ),
                ],
            ),
        ],
        variables=("protocol", "backend"),
    )
