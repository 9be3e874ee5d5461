"""A merchant's URL never reaches into our own network."""

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from payments.domain.errors import InvalidRequest
from payments.notification_service.targets import PublicResolver, TargetRefusedError, check_url, is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "not an address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_our_own_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_other_peoples_addresses_are_public(address: str) -> None:
    assert is_public(address)


class Names(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        return [{"hostname": host, "host": each, "port": port, "family": family, "proto": 0, "flags": 0} for each in self.addresses]

    async def close(self) -> None:
        """There is nothing to close."""


async def test_a_name_is_refused_when_any_of_its_addresses_is_ours() -> None:
    assert len(await PublicResolver(Names("8.8.8.8", "1.1.1.1")).resolve("example.com")) == 2
    with pytest.raises(TargetRefusedError):
        await PublicResolver(Names("8.8.8.8", "10.0.0.1")).resolve("rebound.example")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://localhost/x",
        "http://a.localhost./x",
        "http://169.254.169.254/latest/meta-data",
        "ftp://example.com",
        "//example.com",
        "example.com",
        "http://",
        "http://user:password@example.com/",
        "http://example.com:99999/",
        "https://example.com/" + "x" * 3000,
    ],
)
def test_such_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, livemode=False, allow_private=False)
    assert (refused.value.code, refused.value.param) == ("url_invalid", "url")


def test_live_mode_wants_https() -> None:
    check_url("https://example.com/hook", livemode=True, allow_private=False)
    check_url("http://example.com/hook", livemode=False, allow_private=False)
    with pytest.raises(InvalidRequest):
        check_url("http://example.com/hook", livemode=True, allow_private=False)


def test_a_local_run_delivers_to_this_machine() -> None:
    check_url("http://127.0.0.1:4242/hook", livemode=False, allow_private=True)
