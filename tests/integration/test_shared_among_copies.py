"""What the front door makes of several copies of a service: each gets as much to do, and nothing is carried out by two of them."""

import http.client
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from payments.cli.front_door import FrontDoor
from payments.runtime.topology import SERVICES
from tests.integration.test_front_door import CHUNKED, SENT_ONCE, get, post, running, send
from tests.support.recording_upstream import Upstreams, recording_upstreams
from tests.support.running_tap import free_port

COPIES = ("first", "second", "third")


@pytest.fixture(scope="module")
def upstreams() -> Generator[Upstreams]:
    with recording_upstreams(*COPIES) as recording:
        yield recording


@pytest.fixture(scope="module")
def door(upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Generator[FrontDoor]:
    """The last of four copies isn't there."""
    directory = tmp_path_factory.mktemp("door")
    copies = [*upstreams.urls.values(), f"http://127.0.0.1:{free_port()}"]
    made = FrontDoor(
        host="127.0.0.1", port=free_port(), upstreams=dict.fromkeys(SERVICES, copies), directory=directory / "kept", https=False
    )
    with running(made, directory / "caddy.log") as running_door:
        yield running_door


@pytest.fixture(autouse=True)
def forgotten(upstreams: Upstreams) -> None:
    upstreams.whole.clear()
    upstreams.mute = False


@pytest.mark.parametrize("connections", [1, 2])
def test_requests_are_shared_out_evenly_however_connections_are_kept(door: FrontDoor, upstreams: Upstreams, connections: int) -> None:
    for _ in range(connections):
        with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=120)) as connection:
            for _ in range(90 // connections):
                connection.request("POST", "/v1/payment_intents", body=b"amount=1")
                assert connection.getresponse().read()
    shares = Counter(asked.service for asked in upstreams.whole)
    assert shares.keys() == set(COPIES)
    assert sum(shares.values()) == 90
    assert max(shares.values()) - min(shares.values()) <= 30, "the turn of the one that isn't there is another's"


@pytest.mark.parametrize("fields", [b"Content-Length: 8\r\n", b"Idempotency-Key: k\r\nContent-Length: 8\r\n"])
def test_a_copy_that_is_away_costs_no_request(door: FrontDoor, upstreams: Upstreams, fields: bytes) -> None:
    for number in range(12):
        body = f"number={number % 10}".encode()
        status, _, answer = send(door, post(b"/v1/payment_intents", fields, body))
        assert (status, answer["body"]) == (200, body.decode())
    assert len(upstreams.whole) == 12


@pytest.mark.parametrize("request_", [*SENT_ONCE.values(), get(b"/v1/a", b"Content-Length: 3\r\n") + b"a=b"])
def test_what_may_have_reached_one_copy_is_sent_to_no_other(door: FrontDoor, upstreams: Upstreams, request_: bytes) -> None:
    upstreams.mute = True
    status, fields, _ = send(door, request_)
    assert upstreams.targets() == ["/v1/a"]
    assert (status, fields["retry-after"]) == (503, "1")


def test_no_client_takes_the_copies_away_from_others_by_what_it_breaks_off(door: FrontDoor, upstreams: Upstreams) -> None:
    for _ in range(12):
        assert send(door, post(b"/v1/a", CHUNKED, b"3\r\na=b\r\nzz\r\n"))[0] == 400
        assert send(door, post(b"/v1/b", b"Content-Length: 3\r\n", b"a=b"))[0] == 200
    assert upstreams.targets() == ["/v1/b"] * 12


def test_one_copy_is_asked_without_turns(tmp_path: Path) -> None:
    door = FrontDoor(host="127.0.0.1", port=1, upstreams=dict.fromkeys(SERVICES, ("http://127.0.0.1:2",)), directory=tmp_path, https=False)
    assert "load_balancing" not in str(door.configuration())
