"""Access control: API keys, JWTs, and without either only callers on this machine."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from lidloop.web.api_keys import AccessError, add_key, read_keys, revoke_key
from serving.access import Tokens
from serving.settings import SettingError, Settings
from tests.properties import examples
from tests.serving.conftest import ClientFactory

ISSUER, AUDIENCE = "https://login.hospital.example", "lidloop"
PNG = {"Content-Type": "image/png"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def ask(client: TestClient, blank: bytes, **headers: str) -> Any:
    return client.post("/v1/screen", content=blank, headers=PNG | headers)


def test_a_key_is_accepted_until_it_is_revoked(make_client: ClientFactory, keys: Path, blank: bytes) -> None:
    key = add_key(keys, "ward 3")
    client = make_client(keys=str(keys))
    assert ask(client, blank, Authorization=f"Bearer {key}").status_code == 200
    assert ask(client, blank, **{"X-API-Key": key}).status_code == 200
    other = add_key(keys, "ward 4")
    assert ask(client, blank, Authorization=f"Bearer {other}").status_code == 200
    revoke_key(keys, read_keys(keys)[0]["id"])
    assert ask(client, blank, Authorization=f"Bearer {key}").status_code == 401
    assert ask(client, blank, Authorization=f"Bearer {other}").status_code == 200
    keys.unlink()
    assert ask(client, blank, Authorization=f"Bearer {other}").status_code == 503


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda key: "", "empty"),
        (lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"), "a wrong secret"),
        (lambda key: key.replace("_", "-"), "not in the shape of a key"),
        (lambda key: "lidloop_" + "0" * 12 + "_" + "A" * 43, "an unknown id"),
        (lambda key: "eyJhbGciOiJub25lIn0.e30.", "a token where only keys are taken"),
        (lambda key: "x" * 100_000, "very long"),
    ],
)
def test_a_wrong_key_is_refused(
    make_client: ClientFactory, keys: Path, blank: bytes, change: Any, reason: str
) -> None:
    key = add_key(keys, "ward 3")
    client = make_client(keys=str(keys))
    response = ask(client, blank, Authorization=f"Bearer {change(key)}".strip())
    assert response.status_code == 401
    assert response.json()["type"] == "/problems/credentials"
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_expired_key_and_one_without_the_scope_are_refused(
    make_client: ClientFactory, keys: Path, blank: bytes
) -> None:
    late, other = add_key(keys, "late", days=1), add_key(keys, "metrics only", scopes=("metrics",))
    entries = json.loads(keys.read_text())
    entries["keys"][0]["expires"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    keys.write_text(json.dumps(entries))
    client = make_client(keys=str(keys))
    assert ask(client, blank, Authorization=f"Bearer {late}").status_code == 401
    refused = ask(client, blank, Authorization=f"Bearer {other}")
    assert refused.status_code == 403
    assert "insufficient_scope" in refused.headers["www-authenticate"]


def test_routes_with_and_without_credentials(make_client: ClientFactory, keys: Path) -> None:
    add_key(keys, "ward 3")
    client = make_client(keys=str(keys))
    for path in (
        "/",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/v2/health/live",
        "/v2/models/lidloop",
    ):
        assert client.get(path).status_code == 200, path
    assert client.post("/v1/screen").status_code == 401
    assert client.post("/v2/models/lidloop/infer").status_code == 401
    assert client.get("/metrics").status_code == 401
    document = client.get("/openapi.json").json()
    assert document["paths"]["/v1/screen"]["post"]["security"] == [{"bearer": []}]


def test_metrics_need_the_scope_metrics(make_client: ClientFactory, keys: Path) -> None:
    screening = add_key(keys, "ward 3")
    watching = add_key(keys, "Prometheus", scopes=("metrics",))
    client = make_client(keys=str(keys))
    assert client.get("/metrics", headers={"Authorization": f"Bearer {screening}"}).status_code == 403
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {watching}"})
    assert answer.status_code == 200
    assert "lidloop_serving_requests" in answer.text
    document = client.get("/openapi.json").json()
    assert document["paths"]["/metrics"]["get"]["security"] == [{"bearer": []}]


def test_metrics_on_a_separate_port(make_client: ClientFactory, keys: Path) -> None:
    add_key(keys, "ward 3")
    app = make_client(keys=str(keys), metrics_port=9109).app
    here, there = (TestClient(app, base_url=f"http://127.0.0.1:{port}") for port in (8000, 9109))
    assert here.get("/livez").status_code == 200
    assert here.get("/metrics").status_code == 404
    assert "/metrics" not in here.get("/openapi.json").json()["paths"]
    assert there.get("/metrics").status_code == 200
    for path in ("/", "/livez", "/v1/screen", "/openapi.json", "/metrics/"):
        assert there.get(path).status_code == 404, path
    assert there.post("/v1/screen").status_code == 404


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("[]", "a list"),
        ('{"keys": [{"id": "a"}]}', "incomplete"),
        ('{"keys": [{"id": "a", "name": "b", "sha256": "plain", "scopes": []}]}', "a hash that is none"),
    ],
)
def test_a_damaged_key_file_is_an_error_at_start_up(
    make_client: ClientFactory, keys: Path, content: str, reason: str
) -> None:
    keys.write_text(content)
    with pytest.raises(AccessError, match="not a key file"):
        make_client(keys=str(keys))


# Tokens


@pytest.fixture(scope="module")
def signing() -> dict[str, Any]:
    return {
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "stranger": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    }


def jwk(key: Any, kid: str, algorithm: str) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if algorithm.startswith("R") else jwt.algorithms.ECAlgorithm
    return json.loads(kind.to_jwk(key.public_key())) | {"kid": kid, "alg": algorithm, "use": "sig"}


@pytest.fixture
def jwks(signing: dict[str, Any], tmp_path: Path) -> Path:
    shared = {
        "kty": "oct",
        "kid": "shared",
        "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA",
        "alg": "HS256",
    }
    keys = [jwk(signing["rsa"], "one", "RS256"), jwk(signing["ec"], "two", "ES256"), shared]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    return path


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "dr-who", "exp": now + 300, "scope": "openid screen",
    } | changes  # fmt: skip


def jwt_settings(jwks: Path | str) -> dict[str, str]:
    return {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwks": str(jwks)}


@pytest.mark.parametrize(("name", "kid", "algorithm"), [("rsa", "one", "RS256"), ("ec", "two", "ES256")])
def test_a_valid_token_is_accepted(
    make_client: ClientFactory,
    signing: dict[str, Any],
    jwks: Path,
    blank: bytes,
    name: str,
    kid: str,
    algorithm: str,
) -> None:
    client = make_client(**jwt_settings(jwks))
    token = jwt.encode(claims(), signing[name], algorithm=algorithm, headers={"kid": kid})
    assert ask(client, blank, Authorization=f"Bearer {token}").status_code == 200
    listed = jwt.encode(
        claims(scope=None, scp=["screen", 1]), signing[name], algorithm=algorithm, headers={"kid": kid}
    )
    assert ask(client, blank, Authorization=f"bearer {listed}").status_code == 200


BAD_TOKENS = [
    ("expired", {"exp": int(time.time()) - 60}, "rsa", "RS256", "one", 401),
    ("of another issuer", {"iss": "https://elsewhere.example"}, "rsa", "RS256", "one", 401),
    ("of an issuer that begins alike", {"iss": ISSUER + ".evil"}, "rsa", "RS256", "one", 401),
    ("for another audience", {"aud": "mail"}, "rsa", "RS256", "one", 401),
    ("without an end", {"exp": None}, "rsa", "RS256", "one", 401),
    ("of nobody", {"sub": None}, "rsa", "RS256", "one", 401),
    ("not valid yet", {"nbf": int(time.time()) + 86_400}, "rsa", "RS256", "one", 401),
    ("signed by a stranger", {}, "stranger", "RS256", "one", 401),
    ("of an unknown key", {}, "rsa", "RS256", "three", 401),
    ("of no named key, where there are several", {}, "rsa", "RS256", None, 401),
    ("in another algorithm than its key's", {}, "rsa", "PS256", "one", 401),
    ("signed with a shared secret of the key set", {}, "shared", "HS256", "shared", 401),
    ("without the scope", {"scope": "openid"}, "rsa", "RS256", "one", 403),
    ("with scopes that are none", {"scope": {"screen": 1}}, "rsa", "RS256", "one", 403),
    ("with the scope as part of a word", {"scope": "screening"}, "rsa", "RS256", "one", 403),
]


@pytest.mark.parametrize(
    ("reason", "changes", "name", "algorithm", "kid", "status"), BAD_TOKENS, ids=[b[0] for b in BAD_TOKENS]
)
def test_invalid_tokens_are_rejected(
    make_client: ClientFactory, signing: dict[str, Any], jwks: Path, blank: bytes, reason: str,
    changes: dict[str, Any], name: str, algorithm: str, kid: str | None, status: int,
) -> None:  # fmt: skip
    content = {k: v for k, v in claims(**changes).items() if v is not None}
    key = "secret-secret-secret-secret-secret" if name == "shared" else signing[name]
    token = jwt.encode(content, key, algorithm=algorithm, headers={"kid": kid} if kid else None)
    client = make_client(**jwt_settings(jwks))
    assert ask(client, blank, Authorization=f"Bearer {token}").status_code == status


def test_a_key_removed_from_the_key_set_is_rejected(
    make_client: ClientFactory, signing: dict[str, Any], jwks: Path, blank: bytes
) -> None:
    client = make_client(**jwt_settings(jwks))
    token = jwt.encode(claims(), signing["rsa"], algorithm="RS256", headers={"kid": "one"})
    headers = {"Authorization": f"Bearer {token}"}
    assert ask(client, blank, **headers).status_code == 200
    whole = jwks.read_text()
    jwks.write_text('{"keys": []}')
    assert ask(client, blank, **headers).status_code in (401, 503)
    jwks.write_text(whole)
    assert ask(client, blank, **headers).status_code == 200


def test_an_unsigned_token_is_rejected(make_client: ClientFactory, jwks: Path, blank: bytes) -> None:
    token = jwt.encode(claims(), None, algorithm="none", headers={"kid": "one"})
    client = make_client(**jwt_settings(jwks))
    assert ask(client, blank, Authorization=f"Bearer {token}").status_code == 401
    assert ask(client, blank, Authorization="Bearer a.b.c").status_code == 401


@given(st.text(max_size=200) | st.lists(st.binary(max_size=60), min_size=3, max_size=3))
@examples(200)
def test_arbitrary_text_is_not_a_token(tokens: Tokens, content: str | list[bytes]) -> None:
    text = (
        content
        if isinstance(content, str)
        else ".".join(base64.urlsafe_b64encode(c).decode() for c in content)
    )
    assert tokens.verify(text) is None


@pytest.fixture(scope="module")
def tokens(signing: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    path = tmp_path_factory.mktemp("jwks") / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk(signing["rsa"], "one", "RS256")]}))
    return Tokens(Settings(**jwt_settings(path)))


class KeyServer:
    """Serves a key set over HTTP on this machine and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(200 if outer.keys else 500)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.stop()


def test_a_key_set_from_a_server_is_cached_and_refreshed(
    signing: dict[str, Any], key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("serving.access.time.monotonic", lambda: now[0])
    key_server.keys = [jwk(signing["rsa"], "one", "RS256")]
    tokens = Tokens(Settings(**jwt_settings(key_server.url)))
    first = jwt.encode(claims(), signing["rsa"], algorithm="RS256", headers={"kid": "one"})
    second = jwt.encode(claims(), signing["ec"], algorithm="ES256", headers={"kid": "two"})
    for _ in range(5):
        assert tokens.verify(first) is not None
    assert key_server.asked == 1
    for _ in range(50):  # unknown keys must not become requests to the login server
        assert tokens.verify(second) is None
    assert key_server.asked == 1
    key_server.keys.append(jwk(signing["ec"], "two", "ES256"))
    now[0] += 31
    assert tokens.verify(second) is not None
    assert key_server.asked == 2
    key_server.keys = []  # out of order: what is known goes on
    now[0] += 1000
    assert tokens.verify(first) is not None
    assert key_server.asked == 3


def test_a_key_set_out_of_reach_is_503(
    make_client: ClientFactory, key_server: KeyServer, blank: bytes
) -> None:
    client = make_client(**jwt_settings(key_server.url))
    token = jwt.encode(claims(), "x" * 40, algorithm="HS256", headers={"kid": "one"})
    assert ask(client, blank, Authorization=f"Bearer {token}").status_code == 503


def test_a_key_set_over_plain_http_is_an_error() -> None:
    with pytest.raises(AccessError, match="https"):
        Tokens(Settings(**jwt_settings("http://login.hospital.example/jwks")))
    with pytest.raises(AccessError, match="cannot be read"):
        Tokens(Settings(**jwt_settings("/nowhere/jwks.json")))


# Without access control


@pytest.mark.parametrize(
    ("client_host", "host", "status", "reason"),
    [
        ("127.0.0.1", "localhost:8000", 200, "this machine"),
        ("127.0.0.1", "127.0.0.1", 200, "this machine by its address"),
        ("::1", "[::1]:8000", 200, "this machine over IPv6"),
        ("::ffff:127.0.0.1", "localhost", 200, "this machine on a socket of both kinds"),
        ("192.0.2.7", "localhost:8000", 403, "another machine that claims to ask for this one"),
        ("127.0.0.1", "evil.example", 403, "a web page that made its name point here (DNS rebinding)"),
        ("127.0.0.1", "localhost.evil.example", 403, "a name that begins like this machine's"),
        ("127.0.0.1", "", 403, "no name at all"),
    ],
)
def test_without_keys_only_local_requests_are_answered(
    make_client: ClientFactory, client_host: str, host: str, status: int, reason: str
) -> None:
    app = make_client().app
    client = TestClient(app, client=(client_host, 1234), raise_server_exceptions=False)
    for path in ("/", "/metrics", "/openapi.json"):
        assert client.get(path, headers={"Host": host}).status_code == status, path
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):  # probes tell nothing
        assert client.get(path, headers={"Host": host}).status_code == 200, path


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}, 200, "our own page"),
        ({"Sec-Fetch-Site": "none"}, 200, "typed by a person"),
        ({"Origin": "http://127.0.0.1:8000"}, 200, "our own page in an older browser"),
        ({}, 200, "a program"),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "another port of this machine"),
        ({"Origin": "https://evil.example"}, 403, "another site in an older browser"),
        ({"Origin": "null"}, 403, "a sandboxed frame"),
    ],
)
def test_other_sites_cannot_send_pictures(
    client: TestClient, blank: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    assert ask(client, blank, **headers).status_code == status


FORWARDED = {"X-Forwarded-For": "198.51.100.9, 203.0.113.5"}


@pytest.mark.parametrize(
    "headers",
    [
        FORWARDED,
        FORWARDED | {"Host": "ptosis.example.org"},
        {"Host": "ptosis.example.org"},
        {"Forwarded": "for=203.0.113.5;host=ptosis.example.org"},
        {"X-Real-IP": "203.0.113.5"},
        {"Via": "1.1 gateway"},
        {"X-Forwarded-Proto": "https"},
    ],
)
def test_without_keys_forwarded_requests_are_rejected(
    make_client: ClientFactory, blank: bytes, headers: dict[str, str]
) -> None:
    for changes in ({}, {"trusted_proxies": "127.0.0.1"}):
        client = make_client(**changes)
        assert ask(client, blank, **headers).status_code == 403
        assert client.get("/", headers=headers).status_code == 403
        assert client.get("/readyz", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("changes", "headers", "address"),
    [
        ({}, FORWARDED, "127.0.0.1"),
        ({"trusted_proxies": "127.0.0.1"}, FORWARDED, "203.0.113.5"),
        ({"trusted_proxies": "10.0.0.0/8"}, FORWARDED, "127.0.0.1"),
        ({"trusted_proxies": "127.0.0.1,203.0.113.0/24"}, FORWARDED, "198.51.100.9"),
        ({"trusted_proxies": "127.0.0.1", "proxy_header": "Forwarded"}, FORWARDED, "127.0.0.1"),
        (
            {"trusted_proxies": "127.0.0.1", "proxy_header": "Forwarded"},
            FORWARDED | {"Forwarded": 'for="[2001:db8::5]:80"'},
            "2001:db8::5",
        ),
        ({"trusted_proxies": "127.0.0.1"}, {}, "127.0.0.1"),
    ],
)
def test_the_audit_log_has_the_callers_address_from_trusted_proxies_only(
    make_client: ClientFactory, keys: Path, blank: bytes, tmp_path: Path, changes: dict[str, str],
    headers: dict[str, str], address: str,
) -> None:  # fmt: skip
    key, audit = add_key(keys, "ward 3"), tmp_path / "audit"
    client = make_client(keys=str(keys), audit=str(audit), **changes)
    assert ask(client, blank, Authorization=f"Bearer {key}", **headers).status_code == 200
    (line,) = audit.read_text().splitlines()
    assert json.loads(line)["agent"][0]["network"]["address"] == address


def test_malformed_proxies_are_an_error() -> None:
    for changes in ({"trusted_proxies": "gateway.example"}, {"proxy_header": "X-Custom"}):
        with pytest.raises(SettingError, match="trusted_proxies or proxy_header"):
            Settings(**changes)
