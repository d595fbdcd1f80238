import socket

import pytest

from gateway.config.settings import GatewayConfig
from gateway.frontends.listening import ListenError
from gateway.workers.ports import SharedPorts


def config(http=0, grpc=0, host="127.0.0.1"):
    return GatewayConfig.model_validate(
        {"backends": {}, "http": {"host": host, "port": http}, "grpc": {"host": host, "port": grpc}}
    )


def listener(port, **options):
    bound = socket.socket()
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
    bound.bind(("127.0.0.1", port))
    bound.listen()
    return bound


def test_port_0_becomes_one_number_for_all():
    ports = SharedPorts(config())
    assert ports.listeners.keys() == {"http", "grpc"}
    assert all(listener.port > 0 for listener in ports.listeners.values())
    assert ports.listeners["http"] != ports.listeners["grpc"]
    ports.close()


def test_workers_listen_there_and_strangers_do_not():
    ports = SharedPorts(config())
    port = ports.listeners["http"].port
    workers = [listener(port, SO_REUSEADDR=1, SO_REUSEPORT=1) for _ in range(2)]
    with pytest.raises(OSError, match="in use"):
        listener(port, SO_REUSEADDR=1)
    for _ in range(20):  # none ends at the parent, which would never answer
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    for worker in workers:
        worker.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    ports.close()
    listener(port).close()


@pytest.mark.parametrize("options", [{}, {"SO_REUSEADDR": 1}, {"SO_REUSEADDR": 1, "SO_REUSEPORT": 1}])
@pytest.mark.parametrize("key", ["http", "grpc"])
def test_a_taken_port_names_its_key_even_when_its_holder_would_share_it(key, options):
    with listener(0, **options) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenError, match=rf"^{key}\.port: cannot listen on 127\.0\.0\.1:{port}: Address already in use"
        ):
            SharedPorts(config(**{key: port}))


def test_what_was_taken_before_a_failure_is_given_up():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with listener(0) as taken, pytest.raises(ListenError, match=r"grpc\.port"):
        SharedPorts(config(port, taken.getsockname()[1]))
    listener(port).close()


def test_a_host_that_is_not_ours_is_named():
    with pytest.raises(ListenError, match=r"http\.port: cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        SharedPorts(config(host="192.0.2.1"))
