"""Envoy's configuration as a plain proxy: one listener for HTTP/1.1 and one for gRPC, each to the same server."""

from __future__ import annotations

from typing import Any

_TYPES = "type.googleapis.com/envoy.extensions"
_CONNECTION_MANAGER = f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPES}.filters.http.router.v3.Router"
_HTTP_OPTIONS = f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions"
_NO_LIMIT = 1_000_000  # of what may be under way: the load sets it

Json = dict[str, Any]


def envoy_config(http: str, grpc: str, http_port: int, grpc_port: int) -> Json:
    """Forward from the loopback ports to the servers at ``http`` and ``grpc`` (``host:port``), and do nothing else.

    There is no admin port, no access log, no retry, and no time limit.
    """
    return {
        "static_resources": {
            "listeners": [
                _listener("http", http_port, "HTTP1"),
                _listener("grpc", grpc_port, "HTTP2"),
            ],
            "clusters": [
                _cluster("http", http, "http_protocol_options"),
                _cluster("grpc", grpc, "http2_protocol_options"),
            ],
        }
    }


def _listener(name: str, port: int, codec: str) -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}
    manager = {
        "@type": _CONNECTION_MANAGER,
        "stat_prefix": name,
        "codec_type": codec,
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
    }
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {"name": name, "address": _address("127.0.0.1", port), "filter_chains": [{"filters": [network_filter]}]}


def _cluster(name: str, address: str, protocol: str) -> Json:
    host, _, port = address.rpartition(":")
    bounds = ("max_connections", "max_pending_requests", "max_requests")
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [dict.fromkeys(bounds, _NO_LIMIT)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP_OPTIONS,
                "explicit_http_config": {protocol: {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(host, int(port))}}]}],
        },
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}
