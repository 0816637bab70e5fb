"""A network that can be cut: a TCP proxy on loopback, with or without TLS, and certificates for it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Proxy:
    """Passes bytes on to a port, and cuts connections as it is told to.

    After ``cut_up`` bytes from clients (or ``cut_down`` bytes to them) since the last cut, the connection
    that they came on is reset, ``cuts`` times in all. ``refuse`` connections are reset before anything is
    passed on. After ``stall`` bytes to clients nothing more is passed on.
    """

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.cuts = 0
        self.cut_up = self.cut_down = self.stall = 1 << 60
        self.refuse = 0
        self.up = self.down = 0
        self.done_cuts = 0
        self._since_cut = {"up": 0, "down": 0}
        self._target, self._tls = target, tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse > 0:
                self.refuse -= 1
                _reset(client)
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass, args=(client, server, "up"), daemon=True).start()
            self._pass(server, client, "down")

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._is_cut(way, len(data)):
                    _reset(source)
                    _reset(sink)
                    return
                if way == "down" and self.down > self.stall:
                    threading.Event().wait()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _is_cut(self, way: str, size: int) -> bool:
        with self._lock:
            self.up += size * (way == "up")
            self.down += size * (way == "down")
            self._since_cut[way] += size
            if self.cuts == 0 or self._since_cut[way] < (self.cut_up if way == "up" else self.cut_down):
                return False
            self.cuts -= 1
            self.done_cuts += 1
            self._since_cut = {"up": 0, "down": 0}
            return True


def _reset(one: socket.socket) -> None:
    """Close at once with a reset, as a network that breaks does."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


class Authority:
    """A certificate authority of one's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lidloop test CA")])
        certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = "127.0.0.1", *, days: int = 1) -> ssl.SSLContext:
        """A TLS context with a certificate for a host name or address; with negative days an old one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        certificate = (
            self._builder(subject, key, days)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        place = self._folder / "server.pem"
        place.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
