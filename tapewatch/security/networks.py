"""Which addresses a connection on somebody else's word may reach: public ones, and networks that a setting names."""

import ipaddress
from collections.abc import Iterable

from tapewatch.errors import SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA's special-purpose registries (RFC 6890 and later), so that what is refused is not a matter of the Python version.
_INSIDE_4 = tuple(
    (ipaddress.IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_INSIDE_6 = tuple(
    (ipaddress.IPv6Network(network), kind)
    for network, kind in (
        ("::1/128", "loopback"),
        ("::/128", "unspecified"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AllowedAddresses:
    """The addresses that may be connected to: public ones, and those of `allowed` networks (CIDR).

    SettingsError where one of those is no network.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        try:
            self._allowed: tuple[Network, ...] = tuple(ipaddress.ip_network(network) for network in allowed)
        except ValueError as error:
            raise SettingsError(f"no network: {error}", "Write networks as in 10.1.0.0/16.") from error

    def refusal(self, address: str) -> str:
        """Why the IP address may not be reached; empty where it may. What is no IP address may not.

        An IPv4 address inside an IPv6 one (mapped, or translated by NAT64) is judged as itself.
        """
        try:
            found = _plain(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return f"{address[:60]!r} is no IP address"
        if any(found.version == network.version and found in network for network in self._allowed):
            return ""
        kind = _inside(found)
        return f"{found} is {kind}: inside the operator's network" if kind else ""


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else itself without a zone."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _inside(address: Address) -> str:
    """What kind of address it is that no stranger may reach; empty for a public one."""
    known: tuple[tuple[Network, str], ...] = _INSIDE_4 if address.version == 4 else _INSIDE_6
    for network, kind in known:
        if address in network:
            return kind
    return "reserved" if address.version == 6 and address not in _GLOBAL_UNICAST else ""
