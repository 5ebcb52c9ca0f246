"""The port of a test's server: nobody else gets it before the server is there, nor after it has gone."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.server import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
def test_a_port_is_a_servers_and_nobody_elses(host: str):
    port = free_port(host)
    for _ in range(2):
        with socket.socket() as another, pytest.raises(OSError, match="in use"):
            another.bind((host, port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=10)
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((host, port))
            server.listen()
            with socket.create_connection((host, port), timeout=10), server.accept()[0]:
                pass


def test_no_two_are_the_same():
    assert len({free_port() for _ in range(50)}) == 50
