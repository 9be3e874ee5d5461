# ruff: noqa: RUF001 - letters that look like others are what this is about
"""A merchant's URL never reaches into our own network, however it is written."""

import contextlib
import ipaddress
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.errors import InvalidRequest
from payments.notification_service.targets import InvalidTargetError, check_url, is_public, parse_target
from payments.runtime.topology import WEBHOOK_PORTS

# IANA IPv4 and IPv6 Special-Purpose Address Registries: what isn't globally reachable, first and last address of each block.
IPV4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private use",
    "100.64.0.0/10": "shared address space",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private use",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "deprecated 6to4 relay anycast",
    "192.168.0.0/16": "private use",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved, limited broadcast",
    "168.63.129.16/32": "the platform's services in a virtual network of Azure",
}
IPV6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "IPv4-compatible",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b:1::/48": "local-use NAT64",
    "64:ff9b::7f00:0/104": "NAT64 of loopback",
    "64:ff9b::a00:0/104": "NAT64 of private use",
    "64:ff9b::a9fe:0/112": "NAT64 of link-local",
    "100::/64": "discard-only",
    "2001::/32": "Teredo",
    "2001:2::/48": "benchmarking",
    "2001:10::/28": "ORCHID",
    "2001:20::/28": "ORCHIDv2",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "unique-local",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"]


@pytest.mark.parametrize("block", [*IPV4, *IPV6])
def test_special_purpose_blocks_are_not_public(block: str) -> None:
    network = ipaddress.ip_network(block)
    for address in (network[0], network[-1], network[network.num_addresses // 2]):
        assert not is_public(str(address))


@pytest.mark.parametrize(
    "address", [*METADATA, "fe80::1%eth0", "2606:4700::1111%eth0", "::127.0.0.1", "not an address", "", "1.1.1", "0x08.8.8.8"]
)
def test_what_is_no_address_of_others_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "198.20.0.0",
        "2606:4700::1111",
        "2a00:1450::1",
        "2001:4860::8888",
        "2001:200::1",
        "64:ff9b::808:808",
    ],
)
def test_other_peoples_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "read"),
    [
        ("１２７.０.０.１", "127.0.0.1"),  # full-width digits
        ("127。0。0。1", "127.0.0.1"),  # ideographic full stops
        ("127．0．0．1", "127.0.0.1"),  # full-width ones
        ("127｡0｡0｡1", "127.0.0.1"),  # half-width ones
        ("①②⑦.⓪.0.①", "127.0.0.1"),  # circled digits
        ("𝟏𝟐𝟕.𝟎.𝟎.𝟏", "127.0.0.1"),  # bold ones
        ("¹²⁷.⁰.⁰.¹", "127.0.0.1"),  # superscripts
        ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhost"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0x7F000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("10.0x0.1", "10.0.0.1"),
        ("0", "0.0.0.0"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[FE80::1]", "fe80::1"),
        ("Bücher.Example", "xn--bcher-kva.example"),
        ("EXAMPLE.com.", "example.com"),
    ],
)
def test_a_host_is_read_in_one_way(host: str, read: str) -> None:
    found = parse_target(f"http://{host}/hook").host
    assert ipaddress.ip_address(found) == ipaddress.ip_address(read) if ":" in read else found == read
    if read[0] in "0123456789:l":
        with pytest.raises(InvalidRequest, match="publicly accessible"):
            check_url(f"https://{host}/hook", livemode=True, allow_private=False)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "a.localhost.",
        "localhost.localdomain",
        "printer.local",
        "api.tap.internal",
        "router.home.arpa",
        "payment-api",
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::808:808]",
        "[2002:7f00:1::]",
    ],
)
def test_what_is_plainly_ours_is_refused_at_once(host: str) -> None:
    with pytest.raises(InvalidRequest, match="publicly accessible") as refused:
        check_url(f"https://{host}/x", livemode=True, allow_private=False)
    assert (refused.value.code, refused.value.param) == ("url_invalid", "url")
    check_url(f"https://{host}/x", livemode=True, allow_private=True)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.com/x", True),
        ("http://example.com/x", True),
        ("https://example.com:8443/x", True),
        ("https://example.com:443/x", True),
        ("http://example.com:8080/x", False),
        ("https://example.com:5432/x", False),
        ("https://example.com:0/x", False),
    ],
)
def test_a_port_that_the_network_does_not_let_out_is_refused_at_once(url: str, *, allowed: bool) -> None:
    check_url(url, livemode=False, allow_private=False)
    with contextlib.nullcontext() if allowed else pytest.raises(InvalidRequest, match="ports 80, 443, 8443"):
        check_url(url, livemode=False, allow_private=False, ports=WEBHOOK_PORTS)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "file:///etc/passwd",
        "//example.com",
        "example.com",
        "",
        "http://",
        "http://user:password@example.com/",
        "http://user@example.com/",
        "http://@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nX-Injected: 1",
        "http://example.com/\t",
        "http://example.com/\x00",
        "http://example..com/",
        "http://.example.com/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://08.1.1.1/",
        "http://0x/",
        "http://a_b!.com/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 130 + "com/",
        "http://example.com/" + "x" * 3000,
        "http://\ud800.com/",
        "http://example.com/\ud800",
    ],
)
def test_such_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, livemode=False, allow_private=False)
    assert (refused.value.code, refused.value.param) == ("url_invalid", "url")


@given(st.one_of(st.text(), st.text().map(lambda text: f"http://{text}"), st.from_regex(r"https?://[^/]*/.*", fullmatch=True)))
def test_whatever_a_url_holds_a_request_stays_one_line(url: str) -> None:
    try:
        target = parse_target(url)
    except InvalidTargetError:
        return
    assert re.fullmatch(r"/[\x21-\x7e]*", target.path)
    assert re.fullmatch(r"[a-z0-9._:-]+", target.host)
    assert re.fullmatch(r"[\x21-\x7e]+", target.authority)
    assert 0 <= target.port <= 65535


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com:443/a?b=c", "example.com", "/a?b=c"),
        ("https://example.com:8443/a%20b/é?q=ü", "example.com:8443", "/a%20b/%C3%A9?q=%C3%BC"),
        ("http://example.com:443/#fragment", "example.com:443", "/"),
        ("http://[2606:4700::1111]:81/x", "[2606:4700::1111]:81", "/x"),
    ],
)
def test_a_url_is_sent_as_it_was_meant(url: str, authority: str, path: str) -> None:
    target = parse_target(url)
    assert (target.authority, target.path, target.tls) == (authority, path, urlsplit(url).scheme == "https")


def test_live_mode_wants_https() -> None:
    check_url("https://example.com/hook", livemode=True, allow_private=False)
    check_url("http://example.com/hook", livemode=False, allow_private=False)
    with pytest.raises(InvalidRequest):
        check_url("http://example.com/hook", livemode=True, allow_private=False)


def test_a_local_run_delivers_to_this_machine() -> None:
    check_url("http://127.0.0.1:4242/hook", livemode=False, allow_private=True)
    check_url("http://localhost:4242/hook", livemode=False, allow_private=True)
