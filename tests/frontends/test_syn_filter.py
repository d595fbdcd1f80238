import socket

import pytest

from gateway.frontends.syn_filter import drop_connection_requests


def test_what_was_open_can_be_accepted_and_nothing_new_can_be_opened():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as before:
            drop_connection_requests(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.1)
            accepted, _ = listener.accept()
            with accepted:
                before.sendall(b"still here")
                assert accepted.recv(10) == b"still here"
                accepted.sendall(b"yes")
            assert before.recv(3) == b"yes"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
