"""Which addresses may be reached, and what becomes of names that resolve to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from assay.adapters.remote.access import Access, RemoteError, allowed
from assay.adapters.remote.address import Reach, reach, resolve
from assay.adapters.remote.url import parse
from assay.core.errors import UsageError

Names = Callable[[dict[str, list[tuple[str, int]]]], list[str]]


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses(text: str) -> None:
    assert reach(text) is Reach.PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1"),
        *("100.64.0.1", "100.127.255.254", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::1"),
        "2606:4700::5efe:a00:1",
    ],
)
def test_private_addresses_and_those_inside_others(text: str) -> None:
    assert reach(text) is Reach.PRIVATE


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("192.0.0.8", "::", "ff02::1", "fec0::1", "2001::1", "2001:db8::1", "100::1", "64:ff9b:1::7f00:1", "::7f00:1"),
        *("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "::ffff:169.254.169.254"),
        *("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "not an address", ""),
    ],
)
def test_addresses_that_are_never_reached(text: str) -> None:
    assert reach(text) is Reach.NEVER


def told(host: str, **options: Any) -> str:
    with pytest.raises(RemoteError) as caught:
        resolve(host, 443, **({"private": False, "plain": False} | options))
    return f"{caught.value.strerror} {caught.value.fix}"


def test_every_address_of_a_name_is_judged(names: Names) -> None:
    names(
        {
            "good.example": [("8.8.8.8", 0), ("2606:4700::1111", 0)],
            "mixed.example": [("8.8.8.8", 0), ("127.0.0.1", 0)],
            "meta.example": [("8.8.8.8", 0), ("169.254.169.254", 0)],
            "none.example": [],
        }
    )
    assert len(resolve("good.example", 443, private=False, plain=False)) == 2
    assert "--private-addresses" in told("mixed.example")
    assert "special use or cloud metadata" in told("meta.example", private=True)
    assert "has no address" in told("none.example")
    assert "is not encrypted" in told("good.example", private=True, plain=True)
    assert "is not encrypted" in told("mixed.example", private=True, plain=True)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
def test_other_spellings_of_loopback_are_judged_as_what_they_are(host: str) -> None:
    assert "private address" in told(host)


@pytest.mark.parametrize(
    ("host", "patterns", "good"),
    [
        ("cdn.example.com", ("cdn.example.com",), True),
        ("CDN.Example.com.", ("cdn.example.com",), True),
        ("cdn.example.com", ("*.example.com",), True),
        ("example.com", ("*.example.com",), False),
        ("evilexample.com", ("*.example.com",), False),
        ("example.com.evil.net", ("*.example.com", "example.com"), False),
        ("a.b.example.com", ("*.example.com",), True),
        ("anything", (), False),
    ],
)
def test_hosts_that_redirects_may_lead_to(host: str, patterns: tuple[str, ...], good: bool) -> None:
    assert allowed(host, patterns) is good


@pytest.mark.parametrize("host", ["", "*", "*.", "https://x", "a/b", "x*y.com", "a b", "*.*.com", "a\nb"])
def test_a_redirect_target_that_is_no_host(host: str) -> None:
    with pytest.raises(UsageError, match="redirect-to"):
        Access(redirects=(host,))


@pytest.mark.parametrize(
    "text",
    [
        *("file:///etc/passwd", "ftp://h/x", "gopher://h", "//h/x", "https://", "https:///x", "https://h:99999/x"),
        *("https://u:SECRET@h/x", "https://SECRET@h/x", "https://h\\@evil/x", "https://h/x y", "https://h/\r\nA: b"),
        *(
            "https://[::1/x",
            "https://h%0a/x",
            "https://-h/x",
            "https://" + "a" * 300 + "/x",
            "https://h/" + "a" * 20_000,
        ),
    ],
)
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse(text)
    assert "SECRET" not in f"{caught.value} {caught.value.fix}"


def test_an_address_is_shown_without_its_query_and_sent_with_it() -> None:
    url = parse("HTTPS://Bücher.example:443/a%20b/ü?sig=SECRET#frag")
    assert url.shown == "https://xn--bcher-kva.example/a%20b/%C3%BC"
    assert url.target == "/a%20b/%C3%BC?sig=SECRET"
    assert url.joined("../c?d").target == "/c?d"
    assert url.joined("//other.example:8443/x").origin == ("https", "other.example", 8443)
    assert parse("https://[2606:4700::1111]:8443/x").shown == "https://[2606:4700::1111]:8443/x"
