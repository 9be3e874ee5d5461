"""Which port the front door gets, and what is said when it doesn't."""

import errno
import socket
from pathlib import Path
from typing import Self

import pytest

from payments.cli import ports
from payments.cli.data_directory import DataDirectory, UsageError


class FakeSocket:
    """Ports below 1024 are the administrator's, as for a normal user, and some are taken."""

    taken: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def setsockopt(self, *_: object) -> None:
        pass

    def bind(self, address: tuple[str, int]) -> None:
        if address[1] < 1024:
            raise PermissionError(errno.EACCES, "Permission denied")
        if address[1] in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")


@pytest.mark.parametrize(
    ("port", "taken", "reason", "other"),
    [
        (80, (), "Port 80 is not allowed: the system keeps low ports for its administrator", 8080),
        (443, (8080, 8081), "Port 443 is not allowed: the system keeps low ports for its administrator", 8082),
        (8080, (8080,), "Port 8080 is busy", 8081),
        (9000, (9000, 9001, 9002), "Port 9000 is busy", 9003),
        (65_535, (65_535,), "Port 65535 is busy", 8080),
    ],
)
def test_a_port_that_cant_be_had_is_told_from_one_that_is_busy(
    monkeypatch: pytest.MonkeyPatch, port: int, taken: tuple[int, ...], reason: str, other: int
) -> None:
    monkeypatch.setattr(FakeSocket, "taken", frozenset(taken))
    monkeypatch.setattr(ports.socket, "socket", FakeSocket)
    with pytest.raises(UsageError) as refused:
        ports.check_port(port, DataDirectory(Path("a b")))
    assert str(refused.value) == f"{reason}. Choose another: tap up --port {other} --data-dir 'a b'"


def test_a_free_port_is_taken_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.socket, "socket", FakeSocket)
    ports.check_port(8080, DataDirectory(Path(".tap")))


def test_services_get_ports_that_nobody_listens_on() -> None:
    with socket.create_server((ports.LOOPBACK, 0)):
        chosen = ports.free_ports(3)
    assert len(set(chosen)) == 3
    for port in chosen:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((ports.LOOPBACK, port))
