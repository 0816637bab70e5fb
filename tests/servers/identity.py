"""An OpenID Connect provider on loopback: what signs the identity tokens of a cluster's pods."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


class Identity:
    """Serves its certificate under ``issuer`` and signs tokens with its key."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = self._certificate()
        self.thumbprint = hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper()
        keys = [{"kid": "1", "kty": "RSA", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}]
        identity = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path.endswith("/.well-known/openid-configuration")
                body = json.dumps(
                    {"jwks_uri": f"{identity.issuer}/certs"} if known else {"keys": keys}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.http.server_port}/cluster"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def token(self, *, audience: str = "lidloop", seconds: int = 3600) -> str:
        """A token for a pod; with negative seconds one that has ended."""
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "pod", "aud": audience, "client_id": audience, "azp": audience}
        return jwt.encode(
            claims | {"iat": now, "exp": now + seconds}, self._key, algorithm="RS256", headers={"kid": "1"}
        )

    def _certificate(self) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lidloop test identity")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.DER)


@contextmanager
def identity() -> Iterator[Identity]:
    """Start a provider and stop it."""
    one = Identity()
    try:
        yield one
    finally:
        one.http.shutdown()
        one.http.server_close()
