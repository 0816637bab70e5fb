"""Whether a request comes from this machine, or from another web site by way of somebody's browser."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_stranger(client: str, host: str) -> bool:
    """Whether a request comes from elsewhere, or under a name that is none of this machine's own: a web page
    can make a name point here (DNS rebinding).

    Args:
        client: address of the peer. host: the request's ``Host``.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        name = ""
    return not is_loopback(client) or not is_loopback(name)


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether another web site made a browser send this (Fetch Metadata; RFC 6454 for older browsers)."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None or origin is None:
        return site not in (None, "same-origin", "none")
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # brackets that are no IPv6 address
        return True
