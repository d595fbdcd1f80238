"""How full every process is: CPU, memory, event loop, requests in flight, queue, files."""

from dashboard import Row, dashboard
from panels import BYTES, COUNT, GREEN, PER_SECOND, RED, SECONDS, SHARE, Json, Query, State, graph, states


def saturation() -> Json:
    """What runs out first."""
    each = "{{job}} {{instance}}"
    return dashboard(
        "saturation",
        "Saturation",
        "How full every process is. TorchServe and TensorFlow Serving publish neither CPU nor memory.",
        [
            Row(
                "CPU and memory",
                [
                    graph(
                        "CPU",
                        "Cores in use; a gateway's event loop has one, and so has each worker's.",
                        COUNT,
                        Query("instance:cpu_cores:rate1m", each),
                    ),
                    graph(
                        "Memory",
                        "Resident memory, of all workers together.",
                        BYTES,
                        Query("sum by (job, instance) (process_resident_memory_bytes)", each),
                    ),
                    graph(
                        "Open files and connections",
                        "Share of what the process may have open; of workers, the one that has most.",
                        SHARE,
                        Query("max by (job, instance) (process_open_fds / process_max_fds)", each),
                    ),
                ],
            ),
            Row(
                "Event loop",
                [
                    graph(
                        "Lag, p99",
                        "How late what is due runs. The red line is the alert's.",
                        SECONDS,
                        Query("instance:event_loop_lag_seconds:p99", each),
                        limit=0.1,
                    ),
                    graph(
                        "Turned away",
                        "Share of requests that a process with too much to do refused. The red line is the alert's.",
                        SHARE,
                        Query("instance:turned_away:ratio1m", each),
                        limit=0.01,
                    ),
                    graph(
                        "Limit of those that turn away",
                        "Requests that may be under way on a port, of all workers that limit them; none is no limit.",
                        COUNT,
                        Query("sum by (job, instance) (gateway_crowd_limit)", each),
                    ),
                    graph(
                        "Garbage collections",
                        "Of each generation; the oldest one stops everything for longest.",
                        PER_SECOND,
                        Query(
                            "sum by (job, instance, generation) (rate(python_gc_collections_total[$__rate_interval]))",
                            "{{job}} {{instance}} generation {{generation}}",
                        ),
                    ),
                ],
            ),
            Row(
                "Work",
                [
                    graph(
                        "In flight",
                        "Attempts under way, by gateway and backend.",
                        COUNT,
                        Query(
                            'sum by (instance, backend) (gateway_inflight_requests{job="gateway"})',
                            "{{instance}} to {{backend}}",
                        ),
                    ),
                    graph(
                        "Queue, share of its limit",
                        "Of the servers that are a gateway with an engine inside. The red line is the alert's.",
                        SHARE,
                        Query("instance:queue:ratio", each),
                        limit=0.8,
                    ),
                ],
            ),
            Row(
                "Response cache",
                [
                    graph(
                        "Requests without a call of their own",
                        "Share of the requests of a model: answered from memory, or with an equal one under way.",
                        SHARE,
                        Query(
                            "sum by (model) "
                            '(rate(gateway_cache_requests_total{result=~"hit|joined"}[$__rate_interval]))'
                            " / sum by (model) (rate(gateway_cache_requests_total[$__rate_interval]))",
                            "{{model}}",
                        ),
                    ),
                    graph(
                        "Kept answers, share of their memory",
                        "A full cache is as it should be; whether it is too small shows beside it.",
                        SHARE,
                        Query(
                            "sum by (job, instance) (gateway_cache_bytes)"
                            " / (sum by (job, instance) (gateway_cache_limit_bytes) > 0)",
                            each,
                        ),
                    ),
                    graph(
                        "Pushed out",
                        "Answers that newer ones pushed out. With few hits, the cache is too small or nothing repeats.",
                        PER_SECOND,
                        Query("sum by (job, instance) (rate(gateway_cache_evictions_total[$__rate_interval]))", each),
                    ),
                ],
            ),
            Row(
                "Watching",
                [
                    states(
                        "Scraped",
                        "Whether Prometheus reaches the server.",
                        Query("up", each),
                        {1: State("up", GREEN), 0: State("down", RED)},
                    ),
                    graph(
                        "Time of a scrape",
                        "What it takes to read all metrics.",
                        SECONDS,
                        Query("scrape_duration_seconds", each),
                    ),
                    graph(
                        "Series",
                        "Samples that each scrape brings: what Prometheus has to store.",
                        COUNT,
                        Query("scrape_samples_post_metric_relabeling", each),
                    ),
                ],
            ),
        ],
    )
