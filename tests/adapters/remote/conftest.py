"""Loopback servers, honest and hostile, that record what they were asked and how much they sent."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.adapters.remote.client import Client

NAMES = ("localhost", "huggingface.co", "*.huggingface.co", "*.hf.co", "models.example")
Route = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Serves the routes of its site: bytes by ranges, or whatever a function does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    def setup(self) -> None:
        super().setup()
        self.server.site.connections += 1

    def do_GET(self) -> None:
        site = self.server.site
        site.requests.append((self.path, dict(self.headers.items())))
        path = unquote(self.path.partition("?")[0])
        route = site.routes.get(self.path, site.routes.get(path, site.otherwise))
        if isinstance(route, bytes):
            self.ranged(route)
        elif route is not None:
            route(self)
        else:
            self.answer(404, b"no")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        if "Content_Length" not in headers:
            headers["Content_Length"] = str(len(body))
        for name, value in headers.items():
            if value != "-":
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.put(body)

    def put(self, body: bytes) -> None:
        self.server.site.sent += len(body)  # before the client can have read it
        self.wfile.write(body)

    def span(self, size: int) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(found[1]), min(int(found[2]), size - 1)) if found else None

    def ranged(self, data: bytes, **headers: str) -> None:
        headers.setdefault("ETag", '"one"')
        span = self.span(len(data))
        if span is None:
            self.answer(200, data, **headers)
        elif span[0] >= len(data):
            self.answer(416, Content_Range=f"bytes */{len(data)}")
        else:
            first, last = span
            headers.setdefault("Content_Range", f"bytes {first}-{last}/{len(data)}")
            self.answer(206, data[first : last + 1], **headers)


class Site:
    """A server on loopback. `routes` by path are bytes or functions; `requests` are (path with query, headers)."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.routes: dict[str, bytes | Route] = {}
        self.otherwise: Route | None = None
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent = self.connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._server.site = self  # type: ignore[attr-defined]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        self.routes[path] = lambda handler: handler.answer(status, Location=target)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for end in ("TRACKING_URI", "REGISTRY_URI", "TRACKING_TOKEN", "TRACKING_USERNAME", "TRACKING_PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_{end}", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture(autouse=True)
def all_clients_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests make clients freely; their connections end with the test."""
    made: list[Client] = []
    real = Client.__init__

    def record(client: Client, *args: Any, **options: Any) -> None:
        made.append(client)
        real(client, *args, **options)

    monkeypatch.setattr(Client, "__init__", record)
    yield
    for client in made:
        client.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Start servers; all end with the test."""
    sites: list[Site] = []

    def start(tls: ssl.SSLContext | None = None) -> Site:
        sites.append(Site(tls))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    return serve()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    others = [x509.DNSName(each) for each in NAMES]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([*others, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls_site(
    serve: Callable[..., Site], certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Site]:
    """Start a server with TLS whose certificate is trusted for this test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    def start() -> Site:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        return serve(context)

    return start


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, list[tuple[str, int]]]], list[str]]:
    """Make host names resolve to given addresses and ports; the names asked for are recorded."""
    real = socket.getaddrinfo

    def install(table: dict[str, list[tuple[str, int]]]) -> list[str]:
        asked: list[str] = []

        def resolve(host: str, port: int, *rest: Any, **more: Any) -> Any:
            asked.append(host)
            if host not in table:
                return real(host, port, *rest, **more)
            return [
                (
                    socket.AF_INET6 if ":" in address else socket.AF_INET,
                    socket.SOCK_STREAM,
                    6,
                    "",
                    (address, at or port),
                )
                for address, at in table[host]
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return asked

    return install
