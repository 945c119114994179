"""Which addresses are public: the edges of each network that is not, and Python's own opinion."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.function.addresses import is_public

PUBLIC = (
    *("1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0"),
    *("192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "168.63.129.15"),
    *("2000::", "2001:200::", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:831::200e"),
    *("2001:db7:ffff::", "2001:db9::", "2001:ffff::", "2003::", "2620:4f:7fff::1", "2620:4f:8001::", "3ffe:ffff::"),
    "3fff:1000::",
    "2606:4700::5efd:7f00:1",
)  # fmt: skip
NOT_PUBLIC = (
    *("0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.0"),
    *("127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0"),
    *("172.31.255.255", "192.0.0.0", "192.0.0.9", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.31.196.1"),
    *("192.52.193.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255"),
    *("198.51.100.7", "203.0.113.7", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255"),
    *("::", "::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::808:808", "100::1", "1fff:ffff::"),
    *("2001::1", "2001:1ff:ffff::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:808:808::1"),
    *("2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "8000::", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "fec0::1", "ff02::1", "ff0e::1", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1"),
)  # fmt: skip
NO_ADDRESSES = (
    "",
    "localhost",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.4 ",
    "fe80::1%eth0",
    "2606:4700::1%1",
    "[::1]",
    "1.2.3.4\0",
    "\u0661.1.1.1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [*NOT_PUBLIC, *NO_ADDRESSES])
def test_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_is_public_is_global_for_python_too(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4, network="0.0.0.0/0"))
def test_an_ipv4_address_in_one_of_ipv6_is_not_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix in (0, 0xFFFF << 32, 0x64_FF9B << 96, 0x64_FF9B_0001 << 80):
        assert not is_public(str(ipaddress.IPv6Address(prefix | number)))
    assert not is_public(str(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1)))
