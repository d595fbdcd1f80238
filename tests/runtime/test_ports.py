from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.config.settings import GatewayConfig
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.ports import (
    ListeningPort,
    check_free,
    client_host,
    join_address,
    listening_ports,
    resolve_ports,
    split_address,
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def config(**backends: Any) -> GatewayConfig:
    ports = {name: {"port": 0} for name in ("http", "grpc", "metrics", "admin")}
    return GatewayConfig.model_validate({**ports, "backends": backends})


def test_a_zero_becomes_a_free_port_and_every_port_differs() -> None:
    resolved = resolve_ports(
        config(
            torchserve={
                "kind": "torchserve",
                "url": "http://127.0.0.1:18080",
                "launch": {"management_port": 0, "metrics_port": 0, "grpc_port": 0, "grpc_management_port": 0},
            },
            tensorflow={"kind": "tfserving", "grpc": "127.0.0.1:0", "launch": {}},
            onnxruntime={"kind": "oip", "url": "http://127.0.0.1:19000", "launch": {"metrics_port": 0}},
        )
    )
    ports = list(listening_ports(resolved))
    assert all(port.port > 0 for port in ports)
    assert len({port.port for port in ports}) == len(ports)
    assert {port.key for port in ports} >= {
        "http.port",
        "backends.torchserve.launch.grpc_management_port",
        "backends.tensorflow.grpc",
        "backends.tensorflow.url",  # left out: readiness is asked for over REST
        "backends.onnxruntime.grpc",  # left out: the server always has one
        "backends.onnxruntime.launch.metrics_port",
    }
    assert [port.port for port in ports if port.key.endswith("torchserve.url")] == [18080]


def test_the_ports_of_somebody_elses_server_are_left_alone() -> None:
    resolved = resolve_ports(config(remote={"kind": "oip", "url": "http://inference.example:9000"}))
    assert resolved.backends["remote"].url == "http://inference.example:9000"  # type: ignore[union-attr]
    assert {port.path[0] for port in listening_ports(resolved)} == {"http", "grpc", "metrics", "admin"}


def test_a_taken_port_is_named_with_its_setting_and_its_owner(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(RuntimeFailure) as failure:
        check_free([ListeningPort(("backends", "torchserve", "url"), "127.0.0.1", port)])
    assert str(failure.value).startswith(f"backends.torchserve.url: port {port} is taken by pid {os.getpid()} (")


def test_a_port_taken_on_all_addresses_counts() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as server,
        pytest.raises(RuntimeFailure, match="is taken"),
    ):
        check_free([ListeningPort(("http", "port"), "127.0.0.1", server.getsockname()[1])])


def test_a_port_in_time_wait_does_not_count(listener: socket.socket) -> None:
    address = listener.getsockname()
    with socket.create_connection(address) as client:
        server_side, _ = listener.accept()
        server_side.close()  # the side that closes first keeps TIME_WAIT
        assert client.recv(1) == b""
    listener.close()
    check_free([ListeningPort(("http", "port"), *address)])


def test_an_address_of_another_machine_cannot_be_launched_on() -> None:
    with pytest.raises(RuntimeFailure, match=r"^backends\.a\.url: 192\.0\.2\.1 is no address of this machine"):
        check_free([ListeningPort(("backends", "a", "url"), "192.0.2.1", 8080)])


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:8500", "127.0.0.1", 8500),
        ("http://127.0.0.1:8080", "127.0.0.1", 8080),
        ("http://127.0.0.1:0", "127.0.0.1", 0),
        ("http://localhost", "localhost", 80),
        ("[::1]:8500", "::1", 8500),
    ],
)
def test_addresses_split(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


def test_addresses_join() -> None:
    assert join_address("127.0.0.1", 80) == "127.0.0.1:80"
    assert join_address("::1", 80) == "[::1]:80"


def test_a_server_on_all_addresses_is_reached_on_loopback() -> None:
    assert client_host("0.0.0.0") == "127.0.0.1"
    assert client_host("::") == "::1"
    assert client_host("192.0.2.1") == "192.0.2.1"
