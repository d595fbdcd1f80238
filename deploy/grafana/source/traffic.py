"""What the gateways decide: who is let in, which version answers, what its shadow says; and how they are changed."""

from dashboard import Row, dashboard
from panels import AMBER, COUNT, GREEN, PER_SECOND, RED, SHARE, Json, Query, State, graph, number, states
from policies import limit, refusals, shadow_answers, shadow_copies, versions
from promql import GATEWAY, OF_MODEL, rate


def traffic() -> Json:
    """One row for each question; those of what is off by default are closed."""
    return dashboard(
        "traffic",
        "Traffic",
        "Who is let in, which version answers, what its shadow says, second tries, changes while it runs, workers.",
        [
            _now(),
            _second_tries(),
            _configuration(),
            refusals(),
            limit(),
            versions(),
            shadow_answers(),
            shadow_copies(),
            _workers(),
        ],
        variables=("model",),
    )


def _now() -> Row:
    return Row(
        "Now; – is what is off",
        [
            number(
                "Not admitted",
                "Share of the requests that admission refused.",
                SHARE,
                Query(
                    f"{rate(f'gateway_admission_refused_total{{{OF_MODEL}}}')}"
                    f" / ({rate(f'gateway_request_duration_seconds_count{{{OF_MODEL}}}')} > 0)",
                    "",
                ),
                {0.001: AMBER, 0.05: RED},
            ),
            number(
                "Wait for admission",
                "Requests that wait to be admitted.",
                COUNT,
                Query(f"sum(gateway_admission_waiting{{{OF_MODEL}}})", ""),
            ),
            number(
                "Worst version fails",
                "Share that the worst version by weight has failed in ten minutes.",
                SHARE,
                Query('max(version:failures:ratio10m{model=~"$model"})', ""),
                {0.001: AMBER, 0.02: RED},
            ),
            number(
                "Shadow differs",
                "Share of copies, in ten minutes, with another answer than the client's; of the target that is worst.",
                SHARE,
                Query('max(shadow:differs:ratio10m{model=~"$model"})', ""),
                {0.01: RED},
            ),
            number(
                "Files refused",
                "Gateways whose configuration file was refused the last time that it was read.",
                COUNT,
                Query(f"sum(1 - gateway_config_last_reload_successful{{{GATEWAY}}})", ""),
                {1: RED},
            ),
            number(
                "Workers missing",
                "Workers of all gateways that do not serve.",
                COUNT,
                Query(f'sum(gateway_workers{{{GATEWAY}, state!="ready"}})', ""),
                {1: AMBER},
            ),
        ],
        height=4,
    )


def _second_tries() -> Row:
    lost = f'gateway_attempt_duration_seconds_count{{{GATEWAY}, outcome=~"connect_failed|connection_lost"}}'
    return Row(
        "Second tries",
        [
            graph(
                "Sent to a second backend",
                "Share of the requests, over five minutes. The red line is the alert's.",
                SHARE,
                Query("gateway:retries:ratio5m", "{{__name__}}"),
                limit=0.1,
            ),
            graph(
                "Connections refused and lost",
                "Attempts that ended so: connection_lost may have run, connect_failed has not.",
                PER_SECOND,
                Query(rate(lost, "backend, outcome"), "{{backend}} {{outcome}}"),
            ),
            graph(
                "Hedges, and retries over budget",
                "Hedges by whether the second backend was first; what failed because no retry was left.",
                PER_SECOND,
                Query(rate(f"gateway_hedges_total{{{GATEWAY}}}", "outcome"), "hedge {{outcome}}"),
                Query(
                    rate(f"gateway_retries_exhausted_total{{{GATEWAY}}}", "instance"),
                    "not retried by {{instance}}",
                ),
            ),
        ],
    )


def _configuration() -> Row:
    return Row(
        "Changes of the configuration",
        [
            states(
                "Last reload",
                "What became of the file when it was last read; what was in force stays when it is refused.",
                Query(
                    f"min by (instance) (gateway_config_last_reload_successful{{{GATEWAY}}})",
                    "{{instance}}",
                ),
                {1: State("obeyed", GREEN), 0: State("refused", RED)},
            ),
            graph(
                "Changes",
                "What was asked for in five minutes, by whom and how it ended.",
                COUNT,
                Query(
                    f"sum by (trigger, outcome) (increase(gateway_config_reloads_total{{{GATEWAY}}}[5m])) > 0",
                    "{{trigger}} {{outcome}}",
                ),
            ),
            graph(
                "Different configurations",
                "That gateways obey now. More than one for long: a patch for one of them, or a file that one refused.",
                COUNT,
                Query(
                    f'count by (job) (count_values by (job) ("hash", gateway_config_hash{{{GATEWAY}}}))',
                    "{{job}}",
                ),
            ),
        ],
    )


def _workers() -> Row:
    ended = f"gateway_worker_restarts_total{{{GATEWAY}}}"
    asked = f'gateway_request_duration_seconds_count{{{GATEWAY}, worker!=""}}'
    return Row(
        "Workers",
        [
            graph(
                "Workers",
                "By what they do.",
                COUNT,
                Query(f"sum by (instance, state) (gateway_workers{{{GATEWAY}}})", "{{instance}} {{state}}"),
                stacked=True,
            ),
            graph(
                "Replaced",
                "Workers that were started in place of others, in ten minutes, by what became of these.",
                COUNT,
                Query(f"sum by (instance, reason) (increase({ended}[10m]))", "{{instance}} {{reason}}"),
            ),
            graph(
                "Requests of each",
                "The kernel spreads connections: clients with few of them may all be with one worker.",
                PER_SECOND,
                Query(rate(asked, "instance, worker"), "{{instance}} worker {{worker}}"),
            ),
        ],
        collapsed=True,
    )
