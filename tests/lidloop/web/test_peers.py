"""Which requests count as local, which proxies are believed, and what other web sites may not send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from lidloop.web.peers import (
    NO_PROXIES,
    UNKNOWN,
    TrustedProxies,
    is_cross_site,
    is_forwarded,
    is_local,
    is_loopback,
)

TRUSTED = TrustedProxies.parse("127.0.0.1, 10.0.0.0/8, ::1")


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


def test_loopback_addresses_and_names() -> None:
    assert all(
        map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "::ffff:127.0.0.1"))
    )
    assert not any(
        map(
            is_loopback,
            ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "2130706433"),
        )
    )


@pytest.mark.parametrize(
    ("peer", "host", "local"),
    [
        ("127.0.0.1", "localhost:8000", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "LocalHost", True),
        ("::1", "[::1]:8000", True),
        ("::ffff:127.0.0.1", "localhost", True),
        ("192.0.2.7", "localhost:8000", False),
        ("127.0.0.1", "ptosis.example.org", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "evil.example@localhost", False),
        ("127.0.0.1", "localhost@evil.example", False),
        ("127.0.0.1", "localhost/evil.example", False),
        ("127.0.0.1", "localhost#.evil.example", False),
        ("127.0.0.1", "localhost, evil.example", False),
        ("127.0.0.1", "[::1", False),
        ("127.0.0.1", "a[b]", False),
        ("127.0.0.1", "", False),
        ("", "localhost", False),
    ],
)
def test_a_local_request_comes_from_loopback_under_a_loopback_name(peer: str, host: str, local: bool) -> None:
    assert is_local(peer, headers(("Host", host)), NO_PROXIES) is local


def test_two_hosts_or_none_are_not_local() -> None:
    assert not is_local("127.0.0.1", headers(("Host", "localhost"), ("Host", "localhost")), NO_PROXIES)
    assert not is_local("127.0.0.1", headers(("Accept", "*/*")), NO_PROXIES)


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
        "X-Forwarded", "Forwarded", "Via", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP",
        "X-Envoy-External-Address", "X-Original-Forwarded-For", "x-cluster-client-ip",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["203.0.113.5", "127.0.0.1", ""])
def test_a_request_with_forwarding_headers_is_not_local(name: str, value: str) -> None:
    found = headers(("Host", "localhost"), (name, value))
    assert is_forwarded(found)
    assert not is_local("127.0.0.1", found, NO_PROXIES)


def test_headers_of_browsers_and_programs_are_not_forwarding_headers() -> None:
    usual = ("Host", "Accept", "User-Agent", "Origin", "Referer", "Cookie", "X-Requested-With", "Traceparent")
    assert not is_forwarded(usual)


@pytest.mark.parametrize(
    ("peer", "lines", "caller"),
    [
        ("192.0.2.7", ["203.0.113.5"], "192.0.2.7"),  # not a proxy: anybody can write a header
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.1.2.3", ["203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.5"], "203.0.113.5"),  # the first was written by the caller
        ("127.0.0.1", ["127.0.0.1, 203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["198.51.100.1", "203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["203.0.113.5, 10.0.0.9"], "203.0.113.5"),  # two trusted proxies
        ("127.0.0.1", ["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        ("127.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("127.0.0.1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("127.0.0.1", ["2001:db8::5"], "2001:db8::5"),
        ("127.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("::1", ["203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["unknown"], UNKNOWN),
        ("127.0.0.1", ["203.0.113.5, _hidden"], UNKNOWN),
        ("127.0.0.1", ["203.0.113.5; rm -rf"], UNKNOWN),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("", ["203.0.113.5"], ""),
    ],
)
def test_a_trusted_proxy_names_the_caller(peer: str, lines: list[str], caller: str) -> None:
    found = headers(*(("X-Forwarded-For", line) for line in lines))
    assert TRUSTED.caller(peer, found) == caller


@pytest.mark.parametrize(
    ("line", "caller"),
    [
        ("for=203.0.113.5", "203.0.113.5"),
        ('For="[2001:db8::5]:4711";proto=https;by=10.0.0.1', "2001:db8::5"),
        ("proto=https;for=203.0.113.5", "203.0.113.5"),
        ("for=198.51.100.1, for=203.0.113.5;by=10.0.0.1", "203.0.113.5"),
        ('for="a,b", for=203.0.113.5', "203.0.113.5"),
        ('host="for=198.51.100.1";for=203.0.113.5', "203.0.113.5"),
        ("for=unknown", UNKNOWN),
        ("proto=https", UNKNOWN),
        ('for="_obfuscated"', UNKNOWN),
    ],
)
def test_the_forwarded_header_is_read(line: str, caller: str) -> None:
    proxies = TrustedProxies.parse("127.0.0.1", "Forwarded")
    assert proxies.caller("127.0.0.1", headers(("Forwarded", line))) == caller


def test_only_the_chosen_header_is_believed() -> None:
    found = headers(("X-Forwarded-For", "198.51.100.1"), ("X-Real-IP", "203.0.113.5"))
    assert TrustedProxies.parse("127.0.0.1", "X-Real-IP").caller("127.0.0.1", found) == "203.0.113.5"
    assert TrustedProxies.parse("127.0.0.1").caller("127.0.0.1", found) == "198.51.100.1"


def test_a_caller_behind_a_trusted_proxy_is_local_only_on_this_machine() -> None:
    def local(address: str, *more: tuple[str, str]) -> bool:
        return is_local(
            "127.0.0.1", headers(("Host", "localhost"), ("X-Forwarded-For", address), *more), TRUSTED
        )

    assert local("127.0.0.1")
    assert not local("203.0.113.5")
    assert not local("unknown")
    other = headers(("Host", "localhost"), ("X-Real-IP", "127.0.0.1"))
    assert not is_local("127.0.0.1", other, TRUSTED), "the proxy does not set the header that is believed"


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "1.2.3"])
def test_what_is_not_an_address_or_network_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("/")[0]):
        TrustedProxies.parse(text)
    with pytest.raises(ValueError, match="X-Custom"):
        TrustedProxies.parse("10.0.0.1", "X-Custom")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["host", "forwarded", "x-forwarded-for", "origin", "sec-fetch-site", "via"]),
            st.text(st.characters(max_codepoint=255), max_size=60)
            | st.sampled_from(["for=", '"', "[", "for=[::1", "::1", "127.0.0.1", "localhost", "\\"]),
        ),
        max_size=5,
    ),
    st.sampled_from(["x-forwarded-for", "forwarded", "x-real-ip"]),
)
def test_no_header_is_an_error(pairs: list[tuple[str, str]], header: str) -> None:
    proxies = TrustedProxies.parse("127.0.0.1", header)
    found = headers(*pairs)
    assert proxies.caller("127.0.0.1", found)
    is_local("127.0.0.1", found, proxies)
    is_cross_site(found)


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://127.0.0.1:8000"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://["}, True),
    ],
)
def test_requests_from_other_web_sites(given: dict[str, str], other: bool) -> None:
    assert is_cross_site(headers(("Host", "127.0.0.1:8000"), *given.items())) is other
