import pytest

from benchmarks.columns import groups, parts_table, texts
from benchmarks.table import WIDTH, table
from loadtest.statistics.estimate import Estimate, Interval


def test_no_line_is_wider_than_the_terminal(make_result):
    text = table(make_result())
    assert max(len(line) for line in text.splitlines()) <= WIDTH


@pytest.mark.parametrize("rate", [0.5, 12.3, 123456.0])
@pytest.mark.parametrize("ratio", [(0.0012, 0.001, 0.0014), (0.5, 0.4, 0.6), (12.34, 10.01, 15.55)])
def test_wide_numbers_fit(make_result, make_cell, rate, ratio):
    value, low, high = ratio
    wide = make_cell(
        "Ray Serve",
        throughput=Estimate(value=rate),
        rate_ratio=Estimate(value=value, interval=Interval(low, high)),
        cpu=0.999999,
        resident=9999 * 2**20,
        peak=9999 * 2**20,
    )
    lines = table(make_result(cells=(wide,))).splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_the_columns_of_a_line(make_cell):
    assert texts(make_cell()) == (
        "gateway", "64", "12.3", "45.6", "12,346", "0.97 (0.91–1.04)", "123", "100, 1,999",
    )  # fmt: skip


def test_a_percentile_of_too_few_is_in_parentheses(make_cell):
    assert texts(make_cell(p99=Estimate(value=0.5, enough=False)))[3] == "(500)"


def test_what_was_not_measured_shows_no_numbers_and_the_reason(make_result, make_cell):
    broken = make_cell("Envoy", problem="no good answer any more")
    assert set(texts(broken)[2:]) == {"–"}
    assert "Envoy, 64: no good answer any more" in table(make_result(cells=(broken,)))


def test_numbers_that_are_not_the_servers_are_called_invalid(make_result, make_cell):
    late = make_cell(invalid=("the load generator had no core left",), warnings=("a little late",))
    text = table(make_result(cells=(late,)))
    assert "gateway, 64: INVALID: the load generator had no core left" in text
    assert "INVALID" not in table(make_result(cells=(make_cell(warnings=("a little late",)),)))


def test_direct_calls_beside_a_peer_are_not_a_second_line(make_cell):
    first, again = make_cell("direct", requests=1), make_cell("direct", requests=2)
    peer = make_cell("Peer")
    ((title, cells),) = groups([first, again, peer])
    assert title == "HTTP, 3 KB (3,136 B)"
    assert cells == [first, peer]


def test_groups_go_by_form_and_then_by_size(make_cell):
    cells = [make_cell(form=form, bytes=size) for size, form in ((1, "HTTP"), (1, "gRPC"), (9, "HTTP"))]
    assert [(group[0].form, group[0].bytes) for _, group in groups(cells)] == [("HTTP", 1), ("HTTP", 9), ("gRPC", 1)]


def test_servers_and_what_was_left_out_are_named_with_the_reason(make_result):
    text = " ".join(table(make_result()).split())
    assert "Other: y 2: one worker; NOT GOOD: has ended" in text
    assert "Left out: Other has ended" in text


def test_parts_are_summed_up(make_result):
    assert parts_table(make_result().parts) == [
        ("", "HTTP", "gRPC"),
        ("gateway.codecs", "30", "1,500"),
        ("kernel: sockets and the clock", "60", "0"),
        ("together", "90", "1,500"),
    ]


def test_the_quick_run_says_so(make_result):
    assert "quick" in table(make_result(quick=True))
    assert "quick" not in table(make_result(quick=False))
