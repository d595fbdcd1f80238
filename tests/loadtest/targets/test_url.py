from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import BadSpec, StackError
from loadtest.targets.target import Target
from loadtest.targets.url import parse_target, parse_targets
from loadtest.targets.wires import FORMS

SCHEMES = [f"{wire}+{protocol.lower()}" for wire, protocol in FORMS]


@given(
    form=st.sampled_from(list(FORMS)),
    name=st.text(st.characters(codec="utf-8", exclude_characters="=:/?#", exclude_categories=["C", "Z"]), max_size=8),
    host=st.sampled_from(["127.0.0.1", "localhost", "a-b.example", "[::1]", "[fe80::1]"]),
    port=st.integers(1, 65535),
    hint=st.sampled_from(["", "onnxruntime"]),
)
def test_what_is_written_is_read(form: tuple[str, str], name: str, host: str, port: int, hint: str) -> None:
    wire, protocol = form
    text = f"{name}={wire}+{protocol.lower()}://{host}:{port}" if name else f"{wire}+{protocol.lower()}://{host}:{port}"
    target = parse_target(text + (f"?backend={hint}" if hint else ""))
    assert (target.wire, target.protocol, target.address) == (wire, protocol, f"{host}:{port}")
    assert (target.hint, target.via) == ((hint, "gateway") if hint else ("", "direct"))
    assert target.backend == (name or hint or f"{host}:{port}")
    label = FORMS[wire, protocol].label  # type: ignore[index]
    assert target.name == (name or f"{host}:{port}{hint and ' '}{hint} {label}")
    assert (target.token, target.problem) == ("", "")


@given(st.one_of(st.text(), st.text().map("oip+http://".__add__), st.text().map("oip+http://h:1?".__add__)))
def test_anything_is_a_target_or_a_bad_spec(text: str) -> None:
    try:
        assert isinstance(parse_target(text), Target)
    except BadSpec as error:
        assert str(error).startswith("target ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "target '' cannot be read"),
        ("127.0.0.1:8000", "target '127.0.0.1:8000' cannot be read"),
        ("http://127.0.0.1:8000", "target 'http://127.0.0.1:8000' cannot be read"),
        ("oip+https://127.0.0.1:8000", "form 'oip+https' is not known"),
        ("oip-json+grpc://127.0.0.1:8000", "form 'oip-json+grpc' is not known"),
        ("oip+http://127.0.0.1", "a host and a port are needed"),
        ("oip+http://:8000", "a host and a port are needed"),
        ("oip+http://h:0", "a host and a port are needed"),
        ("oip+http://h:99999", "Port out of range"),
        ("oip+http://h:x", "Port could not be cast"),
        ("oip+http://u:p@h:1", "a host and a port are needed"),
        ("oip+http://a b:1", "a host and a port are needed"),
        ("oip+http://bücher:1", "a host and a port are needed"),
        ("a\x07b=oip+http://h:1", "cannot be read"),
        ("oip+http://[::1:8000", "Invalid IPv6 URL"),
        ("oip+http://h:1/v2", "a path cannot be given"),
        ("=oip+http://h:1", "cannot be read"),
        ("oip+http://h:1?colour=red", "setting 'colour' is not known"),
        ("oip+http://h:1?backend=a%0d%0ab", "backend must be plain ASCII"),
        ("oip+http://h:1?backend=", "backend must be plain ASCII"),
        ("oip+http://h:1?metrics=h:1", "must begin with oip+http or prometheus+http"),
        ("oip+http://h:1?token-file=/nowhere", "token-file='/nowhere' cannot be read"),
    ],
)
def test_what_cannot_be_read_is_quoted(text: str, reason: str) -> None:
    with pytest.raises(BadSpec) as caught:
        parse_target(text)
    assert reason in str(caught.value)
    assert repr(text.partition("?")[0]) in str(caught.value)


def test_a_token_in_the_command_line_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadSpec, match="token-file=PATH") as caught:
        parse_target("torchserve+http://h:1?token=secret")
    assert "secret" not in str(caught.value)


def test_token_from_a_file(tmp_path: Path) -> None:
    plain, keys, damaged, several = (tmp_path / name for name in ("plain", "keys", "damaged", "several"))
    plain.write_text("secret\n")
    keys.write_text(json.dumps({"inference": {"key": "torch"}}))
    damaged.write_text("{}")
    several.write_text("a\nb")
    assert parse_target(f"torchserve+grpc://h:1?token-file={plain}").token == "secret"
    assert parse_target(f"torchserve+grpc://h:1?token-file={keys}").token == "torch"
    with pytest.raises(StackError, match="no inference token"):
        parse_target(f"torchserve+grpc://h:1?token-file={damaged}")
    with pytest.raises(BadSpec, match="one line of ASCII"):
        parse_target(f"torchserve+grpc://h:1?token-file={several}")


def test_where_the_server_tells_its_times() -> None:
    assert parse_target("oip+http://h:1").metrics == "oip+http://h:1"
    assert parse_target("oip-json+http://h:1").metrics == "oip+http://h:1"
    assert parse_target("oip+grpc://h:1").metrics == ""
    told = parse_target("torchserve+http://h:1?metrics=prometheus+http://h:2/metrics")
    assert told.metrics == "prometheus+http://h:2/metrics"


def test_names_are_unique() -> None:
    assert [each.name for each in parse_targets(["a=oip+http://h:1", "oip+http://h:1"])] == ["a", "h:1 OIP HTTP"]
    with pytest.raises(BadSpec, match=r"two targets are called 'h:1 OIP HTTP'; name one of them"):
        parse_targets(["oip+http://h:1", "oip+http://h:1"])
