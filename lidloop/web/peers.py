"""Origin of a request: this machine, a trusted proxy, or another web site by way of somebody's browser.

A reverse proxy on the same machine makes every caller look local. So a request that carries forwarding
headers, or another ``Host`` than this machine's own, does not count as local; and only proxies that the
operator named may say which address they forward for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:  # the command line imports this module, also where starlette is not installed
    from starlette.datastructures import Headers

UNKNOWN: Final = "unknown"
"""Address of a caller that a trusted proxy forwards for without saying an IP address."""
PROXY_HEADERS: Final = ("x-forwarded-for", "forwarded", "x-real-ip")
"""Headers in which a trusted proxy may name the caller's address."""

_FORWARDING: Final = frozenset(
    {
        "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for",
        "x-original-host", "x-envoy-external-address", "x-proxyuser-ip", "true-client-ip", "client-ip",
        "cf-connecting-ip", "cf-connecting-ipv6", "fastly-client-ip", "fly-client-ip",
        "x-azure-clientip", "x-azure-socketip", "x-appengine-user-ip", "x-remote-ip", "x-remote-addr",
        "wl-proxy-client-ip", "proxy-client-ip",
    }
)  # fmt: skip
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@\\]+)(:[0-9]*)?")
_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:\\.|[^"\\])*"|[^;\s"]*)', re.IGNORECASE)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Reverse proxies that may name the address of the caller they forward for.

    Attributes:
        networks: their addresses; without any, nobody is trusted.
        header: one of ``PROXY_HEADERS``. One only: a proxy that sets one header passes on what a caller
            wrote into the others.
    """

    networks: tuple[Network, ...] = ()
    header: str = PROXY_HEADERS[0]

    @classmethod
    def parse(cls, text: str, header: str = PROXY_HEADERS[0]) -> TrustedProxies:
        """Read addresses and networks in CIDR notation, separated by commas: ``127.0.0.1, 10.0.0.0/8``.

        Raises:
            ValueError: for text that is not an address or a network, or an unknown header.
        """
        if header.lower() not in PROXY_HEADERS:
            raise ValueError(f"{header!r} is none of {', '.join(PROXY_HEADERS)}")
        parts = [part.strip() for part in text.split(",")]
        return cls(tuple(ipaddress.ip_network(part) for part in parts if part), header.lower())

    def __contains__(self, address: str) -> bool:
        known = _address(address)
        return known is not None and any(known in network for network in self.networks)

    def caller(self, peer: str, headers: Headers) -> str:
        """Return the address of the caller.

        It is the last address in the proxy's header that is not itself a trusted proxy: whatever stands
        before it may have been written by the caller.

        Args:
            peer: address of the TCP connection's other end.
            headers: of the request.

        Returns:
            An IP address; ``peer`` without a trusted proxy; ``UNKNOWN`` where the proxy names no address.
        """
        entries = list(self._entries(headers)) if peer in self else []
        for entry in reversed(entries):
            address = _address(_without_port(entry))
            if address is None:
                return UNKNOWN
            peer = str(address)
            if peer not in self:
                break
        return peer

    def _entries(self, headers: Headers) -> Iterator[str]:
        for line in headers.getlist(self.header):
            for element in _ELEMENT.findall(line):
                if self.header != "forwarded":
                    yield element.strip()
                else:
                    found = _FOR.search(element.strip())
                    yield re.sub(r"\\(.)", r"\1", found[1].strip('"')) if found else ""


NO_PROXIES: Final = TrustedProxies()
"""No proxy is trusted."""


def is_loopback(host: str) -> bool:
    """True if an address or name is this machine's loopback."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_local(peer: str, headers: Headers, proxies: TrustedProxies) -> bool:
    """True if a request comes from this machine itself, under one of its own names.

    A ``Host`` that is not a loopback name is refused since a web page can make any name point to this
    machine (DNS rebinding).

    Args:
        peer: address of the TCP connection's other end.
        headers: of the request.
        proxies: proxies that are believed.
    """
    named = peer in proxies and proxies.header in headers
    if not named and is_forwarded(headers):
        return False
    hosts = headers.getlist("host")
    name = _host_name(hosts[0]) if len(hosts) == 1 else ""
    return is_loopback(proxies.caller(peer, headers)) and is_loopback(name)


def is_forwarded(names: Iterable[str]) -> bool:
    """True if one of these header names is one that proxies add."""
    return any(n.lower() in _FORWARDING or n.lower().startswith("x-forwarded") for n in names)


def is_cross_site(headers: Headers) -> bool:
    """True if another web site made a browser send this (Fetch Metadata; RFC 6454 for older browsers)."""
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if sites:
        return any(site not in ("same-origin", "none") for site in sites)
    try:
        return any(urlsplit(origin).netloc != headers.get("host", "").lower() for origin in origins)
    except ValueError:  # brackets without an IPv6 address
        return True


def _host_name(host: str) -> str:
    """Name or address in a ``Host`` header, without port and brackets; empty for a malformed one."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]") if match else ""


def _without_port(text: str) -> str:
    """Address of ``ADDRESS``, ``ADDRESS:PORT``, ``[ADDRESS]`` or ``[ADDRESS]:PORT``."""
    if text.startswith("[") or text.count(":") == 1:
        return _host_name(text)
    return text


def _address(text: str) -> Address | None:
    """Parse an IP address; an IPv4 address that is mapped into IPv6 becomes the IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
