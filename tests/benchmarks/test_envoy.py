import json

import pytest

from benchmarks.envoy import envoy_config


@pytest.fixture
def config():
    return envoy_config("127.0.0.1:9000", "127.0.0.1:9001", 7000, 7001)["static_resources"]


def manager(listener):
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def options(cluster):
    (found,) = cluster["typed_extension_protocol_options"].values()
    return found["explicit_http_config"]


def test_listens_on_the_loopback_interface_alone(config):
    addresses = [listener["address"]["socket_address"] for listener in config["listeners"]]
    assert [(one["address"], one["port_value"]) for one in addresses] == [("127.0.0.1", 7000), ("127.0.0.1", 7001)]


def test_each_listener_leads_to_the_server_of_its_protocol(config):
    targets = {
        cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        for cluster in config["clusters"]
    }
    led = []
    for listener in config["listeners"]:
        (host,) = manager(listener)["route_config"]["virtual_hosts"]
        (route,) = host["routes"]
        led.append(targets[route["route"]["cluster"]]["socket_address"]["port_value"])
    assert led == [9000, 9001]


def test_grpc_is_http2_on_both_sides(config):
    http, grpc = config["listeners"]
    assert (manager(http)["codec_type"], manager(grpc)["codec_type"]) == ("HTTP1", "HTTP2")
    assert [list(options(cluster)) for cluster in config["clusters"]] == [
        ["http_protocol_options"],
        ["http2_protocol_options"],
    ]


def test_no_time_limit_ends_a_long_answer(config):
    for listener in config["listeners"]:
        (host,) = manager(listener)["route_config"]["virtual_hosts"]
        assert host["routes"][0]["route"]["timeout"] == "0s"


def test_there_is_no_admin_port_and_no_access_log():
    text = json.dumps(envoy_config("127.0.0.1:9000", "127.0.0.1:9001", 7000, 7001))
    assert "admin" not in text
    assert "access_log" not in text
