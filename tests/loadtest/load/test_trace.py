from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.clock import NS
from loadtest.errors import BadSpec
from loadtest.load.trace import read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:04.0781600,110,27
"""
EXPECTED = [0, 52_000_000, 98_200_000]


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes, name: str = "trace.csv") -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}-{name}"  # what was read once is kept
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.mark.parametrize(
    "content",
    [
        AZURE,
        AZURE.replace("\n", "\r\n"),
        "\ufeff" + AZURE,
        "1.5\n1.552\n\n1.5982\n",
        "1700158623.9799600\n1700158624.0319600\n1700158624.0781600",
        "2023-11-16T18:17:03.97996Z\n2023-11-16T19:17:04.03196+01:00\n20231116T181704,0781600\n",
        'id,"timestamp"\n"a,""b",3\nc,3.052\nd,3.0982\n',
        '{"timestamp": 7, "a": [1]}\n{"timestamp": 7.052}\n\n{"timestamp": "7.0982"}\n',
        '{"Timestamp": "2024-05-10T00:00:00.0099300+00:00"}\n{"Timestamp": "2024-05-10T00:00:00.06193"}\n'
        '{"Timestamp": "2024-05-10T00:00:00.10813"}',
    ],
    ids=["Azure", "CRLF", "BOM", "seconds", "epoch", "ISO", "CSV", "JSON", "JSON-ISO"],
)
def test_forms(write, content) -> None:
    assert read_trace(write(content)).tolist() == EXPECTED


def test_gzip(write) -> None:
    assert read_trace(write(gzip.compress(AZURE.encode()), "azure.csv.gz")).tolist() == EXPECTED


def test_times_are_sorted_whatever_the_lines_order(write) -> None:
    assert read_trace(write("5\n4.5\n6\n")).tolist() == [0, NS // 2, 3 * NS // 2]


@given(st.lists(st.integers(0, 10**17), min_size=2, max_size=20).filter(lambda values: len(set(values)) > 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_seconds_since_1970_are_read_to_the_nanosecond(write, values) -> None:
    stamps = [1_700_000_000 * NS + value % (1000 * NS * 1000) for value in values]
    text = [f"{stamp // NS}.{stamp % NS:09}" for stamp in stamps]
    if len(set(stamps)) == 1:
        return
    expected = [stamp - min(stamps) for stamp in sorted(stamps)]
    assert read_trace(write("\n".join(text))).tolist() == expected
    assert read_trace(write("\n".join(f'{{"timestamp": {stamp}}}' for stamp in text))).tolist() == expected


def test_what_was_read_is_kept_and_cannot_be_changed(write) -> None:
    times = read_trace(path := write("1\n2\n"))
    assert read_trace(path) is times
    with pytest.raises(ValueError, match="read-only"):
        times[0] = 5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty: it should have one timestamp a line"),
        ("\n \n", "is empty"),
        ("1\n", "has 1 arrivals at one time"),
        ("1\n1\n", "has 2 arrivals at one time"),
        ("timestamp\n", "has 0 arrivals"),
        ("1\n2\nthree\n", "line 3: 'three' is no timestamp: seconds such as 12.5, or ISO 8601"),
        ("1\n\nnan\n", "line 3: 'nan' is no timestamp"),
        ("1\n1e999999999\n", "line 2: '1e999999999' is no timestamp"),
        ("1\n1e-999999999\n", "line 2: '1e-999999999' is no timestamp"),
        ("1\n2024-13-01 00:00:00\n", "line 2: '2024-13-01 00:00:00' is no timestamp"),
        ("1\n99999999999\n", "spans 99,999,999,998 s"),
        ("start,end\n1,2\n", "line 1: 'start,end' is neither a timestamp"),
        ("a,timestamp\n1,2\n\n3\n", "line 4: 1 columns, but 'timestamp' is number 2"),
        ("a,timestamp\n1,x\n", "line 2: 'x' is no timestamp"),
        ('{"timestamp": 1}\n{"time": 2}\n', """line 2: '{"time": 2}' is no JSON object with a 'timestamp'"""),
        ('{"timestamp": 1}\n{"timestamp": \n', "line 2: not JSON: "),
        ('{"timestamp": 1}\n[1]\n', "line 2: '[1]' is no JSON object"),
        ('{"timestamp": 1}\n{"timestamp": null}\n', "line 2: 'None' is no timestamp"),
        (b"\xff\xfe1\n", "is not a text in UTF-8"),
    ],
)
def test_errors_name_file_and_line(write, content, reason) -> None:
    with pytest.raises(BadSpec) as raised:
        read_trace(path := write(content))
    assert str(raised.value).startswith(f"trace '{path}'")
    assert reason in str(raised.value)


def test_files_that_cannot_be_read(write, tmp_path) -> None:
    with pytest.raises(BadSpec, match=r"nowhere.csv': No such file or directory"):
        read_trace(str(tmp_path / "nowhere.csv"))
    with pytest.raises(BadSpec, match="Is a directory"):
        read_trace(str(tmp_path))
    with pytest.raises(BadSpec, match="Not a gzipped file"):
        read_trace(write("1\n2\n", "plain.gz"))
    with pytest.raises(BadSpec, match="ended before the end-of-stream"):
        read_trace(write(gzip.compress(AZURE.encode())[:-12], "cut.gz"))


def test_a_large_trace(write) -> None:
    stamps = np.cumsum(np.full(20_000, 0.25))
    times = read_trace(write("\n".join(json.dumps({"TIMESTAMP": stamp}) for stamp in stamps.tolist())))
    assert times.tolist() == [number * NS // 4 for number in range(20_000)]
