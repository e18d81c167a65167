"""Which addresses may be connected to: each one a host has is judged, and the connection goes to a judged one.

Sources: the IANA special-purpose registries (RFC 6890); addresses inside addresses: RFC 4291 2.5.5 (mapped), RFC 6052
(NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP).
"""

from __future__ import annotations

import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from assay.adapters.remote.access import RemoteError
from assay.core.text import visible

MOST_ADDRESSES = 4

_V4_PRIVATE = tuple(
    map(
        IPv4Network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")
    )
)
_V6_PRIVATE = tuple(map(IPv6Network, ("::1/128", "fe80::/10", "fc00::/7")))
_V4_NEVER = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_V6_UNICAST = IPv6Network("2000::/3")
_V6_NEVER = tuple(map(IPv6Network, ("2001::/23", "3fff::/20", "2001:db8::/32")))
_TEREDO = IPv6Network("2001::/32")
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
# Where clouds hand credentials to whoever asks from inside: no model lies there.
_METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "fd00:ec2::254"))
) | {ip_address("fd00:ec2::23")}


class Reach(IntEnum):
    """How far an address reaches. NEVER is no place to read from: unspecified, multicast, reserved, cloud metadata."""

    PUBLIC = 0
    PRIVATE = 1
    NEVER = 2


class Place(NamedTuple):
    """An address as the system connects to it."""

    family: int
    sockaddr: tuple[str | int | bytes, ...]
    reach: Reach


def reach(text: str) -> Reach:
    """How far the address `text` reaches; one that carries another is judged as the worse of both."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return Reach.NEVER
    return _v4(found) if isinstance(found, IPv4Address) else _v6(found)


def _v4(found: IPv4Address) -> Reach:
    if found in _METADATA:
        return Reach.NEVER
    if any(found in network for network in _V4_PRIVATE):
        return Reach.PRIVATE
    odd = found.is_multicast or found.is_reserved or any(found in network for network in _V4_NEVER)
    return Reach.PUBLIC if found.is_global and not odd else Reach.NEVER


def _v6(found: IPv6Address) -> Reach:
    if found in _METADATA:
        return Reach.NEVER
    if any(found in network for network in _V6_PRIVATE):
        return Reach.PRIVATE
    if found.ipv4_mapped is not None:
        return _v4(found.ipv4_mapped)
    low = IPv4Address(int(found) & 0xFFFFFFFF)
    if found in _NAT64:
        return _v4(low)
    if found in _COMPATIBLE or found not in _V6_UNICAST:
        return Reach.NEVER
    inner = Reach.PUBLIC
    if found.sixtofour is not None:
        inner = _v4(found.sixtofour)
    elif int(found) >> 32 & 0xFDFFFFFF == 0x5EFE:  # ISATAP: …:[02]00:5efe:a.b.c.d
        inner = _v4(low)
    if found in _TEREDO or any(found in network for network in _V6_NEVER):
        return Reach.NEVER
    return inner


def resolve(host: str, port: int, *, private: bool, plain: bool) -> tuple[Place, ...]:
    """The addresses of `host`, each judged; one that may not be reached refuses the host. Raises RemoteError.

    `plain` says that nothing would be encrypted: then only private addresses will do.
    """
    shown = visible(host, 100)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RemoteError(f"the host {shown} has no address", fix="check the name and the network") from None
    places = tuple(
        dict.fromkeys(
            Place(family, sockaddr, reach(str(sockaddr[0])))
            for family, _, _, _, sockaddr in found
            if family in (socket.AF_INET, socket.AF_INET6)
        )
    )
    if not places:
        raise RemoteError(f"the host {shown} has no address", fix="check the name and the network")
    worst = max(place.reach for place in places)
    if worst is Reach.NEVER:
        raise RemoteError(f"the host {shown} has an address from which nothing is read (special use or cloud metadata)")
    if worst is Reach.PRIVATE and not private:
        raise RemoteError(
            f"the host {shown} has a private address", fix="if it is meant, allow it with --private-addresses"
        )
    if plain and any(place.reach is not Reach.PRIVATE for place in places):
        raise RemoteError(f"the host {shown} is public and http:// is not encrypted", fix="use https://")
    return places[:MOST_ADDRESSES]


def is_loopback(places: tuple[Place, ...]) -> bool:
    """Whether every address is this machine."""
    found = [ip_address(str(place.sockaddr[0]).partition("%")[0]) for place in places]
    return all(each.is_loopback for each in found)
