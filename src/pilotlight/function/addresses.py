"""Which addresses are public: none of this machine, of a network around it, or that stands for one of those.

The networks are written out, since `ipaddress.is_global` has answered differently from one version of Python to the
next (CPython issues 65056, 113171). Sources, as read in November 2026: [v4] iana.org/assignments/
iana-ipv4-special-registry, [v6] iana.org/assignments/iana-ipv6-special-registry, [space] iana.org/assignments/
ipv6-address-space.
"""

from __future__ import annotations

import socket

_NOT_PUBLIC_V4 = (
    "0.0.0.0/8",  # [v4] this network; Linux takes it for this machine
    "10.0.0.0/8",  # [v4] private use
    "100.64.0.0/10",  # [v4] shared address space of carriers; the metadata service of Alibaba Cloud
    "127.0.0.0/8",  # [v4] loopback
    "168.63.129.16/32",  # learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16: Azure's host
    "169.254.0.0/16",  # [v4] link-local; the metadata services of AWS and most others
    "172.16.0.0/12",  # [v4] private use
    "192.0.0.0/24",  # [v4] protocol assignments; the metadata service of Oracle Cloud
    "192.0.2.0/24",  # [v4] documentation
    "192.31.196.0/24",  # [v4] AS112: answered by whatever is near
    "192.52.193.0/24",  # [v4] AMT: relays
    "192.88.99.0/24",  # [v4] relays of 6to4
    "192.168.0.0/16",  # [v4] private use
    "192.175.48.0/24",  # [v4] AS112
    "198.18.0.0/15",  # [v4] benchmarks
    "198.51.100.0/24",  # [v4] documentation
    "203.0.113.0/24",  # [v4] documentation
    "224.0.0.0/4",  # iana.org/assignments/multicast-addresses
    "240.0.0.0/4",  # [v4] reserved, and limited broadcast
)
# [space]: of IPv6 this alone is global unicast. It leaves out ::, ::1, IPv4-mapped and -compatible addresses, NAT64
# (64:ff9b::/96, 64:ff9b:1::/48), unique local (fd00:ec2::254), link-local, site-local and multicast ones.
_UNICAST_V6 = ("2000::/3",)
_NOT_PUBLIC_V6 = (
    "2001::/23",  # [v6] protocol assignments: Teredo, benchmarks, ORCHID, AMT, AS112
    "2001:db8::/32",  # [v6] documentation
    "2002::/16",  # [v6] 6to4: stands for an IPv4 address
    "2620:4f:8000::/48",  # [v6] AS112
    "3fff::/20",  # [v6] documentation
)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214, 6.1: an interface of this name stands for the IPv4 address behind it


def is_public(address: str) -> bool:
    """Whether `address` is one, in the form that getaddrinfo gives, and public. One with a zone (%eth0) is not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        number = int.from_bytes(socket.inet_pton(family, address), "big")
    except (OSError, ValueError):  # ValueError: a NUL, or no ASCII
        return False
    if family == socket.AF_INET:
        return not _within(number, family, _NOT_PUBLIC_V4)
    is_isatap = number >> 32 & 0xFFFF_FFFF in _ISATAP
    return _within(number, family, _UNICAST_V6) and not _within(number, family, _NOT_PUBLIC_V6) and not is_isatap


def _within(number: int, family: int, networks: tuple[str, ...]) -> bool:
    bits = 32 if family == socket.AF_INET else 128
    for network in networks:
        first, _, length = network.partition("/")
        free = bits - int(length)
        if number >> free == int.from_bytes(socket.inet_pton(family, first), "big") >> free:
            return True
    return False
