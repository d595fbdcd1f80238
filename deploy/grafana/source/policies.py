"""Rows about what is off by default: admission, versions by weight, shadows and comparisons."""

from dashboard import Row
from panels import COUNT, PER_SECOND, SECONDS, SHARE, Query, graph
from promql import OF_MODEL, legend, quantile, rate


def refusals() -> Row:
    """Are we shedding, whom, and why?"""
    refused = f"gateway_admission_refused_total{{{OF_MODEL}}}"
    over_rate = f'gateway_request_duration_seconds_count{{{OF_MODEL}, outcome="rate_limited"}}'
    return Row(
        "Admission: who is refused, and why",
        [
            graph(
                "Refused, whom",
                "By model and priority. Sheddable ones are there to be refused.",
                PER_SECOND,
                Query(rate(refused, "model, priority"), legend("priority")),
                stacked=True,
            ),
            graph(
                "Refused, why",
                "wait: its turn did not come. full: no room. displaced: it made room. rate_limited: its doing.",
                PER_SECOND,
                Query(rate(refused, "reason"), "{{reason}}"),
                Query(rate(over_rate, "outcome"), "{{outcome}}"),
                stacked=True,
            ),
            graph(
                "Refused, share",
                "Of all requests of the model, over five minutes. The red line is the alert's, but for sheddable ones.",
                SHARE,
                Query('gateway:refused:ratio5m{model=~"$model"}', legend("priority")),
                limit=0.05,
            ),
        ],
        collapsed=True,
    )


def limit() -> Row:
    """How much is let in, and who waits?"""
    return Row(
        "Admission: the limit",
        [
            graph(
                "Under way",
                "Admitted requests, and how many may be. At the limit for long: more is asked for than can be done.",
                COUNT,
                Query(f"sum by (model) (gateway_admission_in_flight{{{OF_MODEL}}})", "{{model}}"),
                Query(f"sum by (model) (gateway_admission_limit{{{OF_MODEL}}})", "limit of {{model}}"),
            ),
            graph(
                "Waiting",
                "Requests that wait to be admitted.",
                COUNT,
                Query(f"sum by (model) (gateway_admission_waiting{{{OF_MODEL}}})", "{{model}}"),
            ),
            graph(
                "Waited",
                "By those that had to, and were admitted.",
                SECONDS,
                Query(quantile(0.5, f"gateway_admission_wait_seconds{{{OF_MODEL}}}", "model"), "{{model}} p50"),
                Query(quantile(0.99, f"gateway_admission_wait_seconds{{{OF_MODEL}}}", "model"), "{{model}} p99"),
            ),
        ],
        collapsed=True,
    )


def versions() -> Row:
    """How does the canary compare with the version that it may replace?"""
    by_weight = f'gateway_routed_total{{{OF_MODEL}, by="versions"}}'
    rules = f'gateway_routed_total{{{OF_MODEL}, by!="versions"}}'
    took = f'gateway_routed_duration_seconds{{{OF_MODEL}, by="versions"}}'
    return Row(
        "Versions by weight: the canary beside the others",
        [
            graph(
                "Share",
                "Of the requests of the model whose version the weights decided.",
                SHARE,
                Query(
                    f"{rate(by_weight, 'model, version')} / on (model) group_left () ({rate(by_weight, 'model')} > 0)",
                    legend("version"),
                ),
                stacked=True,
            ),
            graph(
                "Failed",
                "Share that the gateway or a backend failed, over ten minutes; clients' mistakes are none.",
                SHARE,
                Query('version:failures:ratio10m{model=~"$model"}', legend("version")),
            ),
            graph(
                "p99",
                "99 of 100 answers took no longer.",
                SECONDS,
                Query(quantile(0.99, took, "model, version"), legend("version")),
            ),
            graph(
                "Sent by rules",
                "Requests whose version or backend a rule decided; they are in none of the panels beside.",
                PER_SECOND,
                Query(rate(rules, "model, by, version"), "{{model}} {{by}}: {{version}}"),
            ),
        ],
        collapsed=True,
    )


def shadow_answers() -> Row:
    """Does the shadow say the same?"""
    agree, disagree = (
        rate(f"gateway_shadow_top1_{which}_total{{{OF_MODEL}}}", "model, target")
        for which in ("agreements", "disagreements")
    )
    return Row(
        "Shadows and comparisons: the answers",
        [
            graph(
                "Differs",
                "Share of the copies beyond the tolerance, over ten minutes. The red line is the alert's.",
                SHARE,
                Query('shadow:differs:ratio10m{model=~"$model"}', legend("target")),
                limit=0.01,
            ),
            graph(
                "Same best class",
                "Share of the rows, of models that give a score for each class.",
                SHARE,
                Query(f"{agree} / ({agree} + {disagree} > 0)", legend("target")),
            ),
            graph(
                "Largest relative difference, p99",
                "As a share of the output's largest magnitude; 99 of 100 answers were no further off.",
                COUNT,
                Query(quantile(0.99, f"gateway_shadow_max_rel_diff{{{OF_MODEL}}}", "model, target"), legend("target")),
            ),
        ],
        collapsed=True,
    )


def shadow_copies() -> Row:
    """How many copies does that rest on, and what do they take?"""
    return Row(
        "Shadows and comparisons: the copies",
        [
            graph(
                "Sent",
                "By outcome.",
                PER_SECOND,
                Query(
                    rate(f"gateway_shadow_requests_total{{{OF_MODEL}}}", "model, target, outcome"),
                    "{{model}}: {{target}} {{outcome}}",
                ),
            ),
            graph(
                "Not sent",
                "itself: the target had answered. down: it was away. busy, full: nothing was to spare.",
                PER_SECOND,
                Query(
                    rate(f"gateway_shadow_dropped_total{{{OF_MODEL}}}", "model, target, reason"),
                    "{{model}}: {{target}} {{reason}}",
                ),
            ),
            graph(
                "Duration, p50",
                "What both took for the same requests.",
                SECONDS,
                Query(
                    quantile(0.5, f"gateway_shadow_duration_seconds{{{OF_MODEL}}}", "model, target, side"),
                    "{{model}}: {{target}} {{side}}",
                ),
            ),
        ],
        collapsed=True,
    )
