"""`assay scan` of what lies elsewhere: a real server on loopback, from the command line as a user would."""

from __future__ import annotations

import io
import json
import pickle
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cli_tools import assay, one_line

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ALLOWED = "--private-addresses"


class Gadget:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("echo assay-test",)


def torch_like() -> bytes:
    """8 MB of raw tensor, stored, beside a small pickle."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({"epoch": 3}, 2))
        archive.writestr("m/data/0", bytes(8 << 20))
        archive.writestr("m/version", "3\n")
    return made.getvalue()


class Server:
    """Files by path, read by ranges; `redirects` lead elsewhere. Counts what it sends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.sent = 0
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                path = self.path.partition("?")[0]
                if path in outer.redirects:
                    self._answer(302, b"", {"Location": outer.redirects[path]})
                elif path not in outer.files:
                    self._answer(404, b"", {})
                elif span := self.headers.get("Range"):
                    data = outer.files[path]
                    first, _, last = span.removeprefix("bytes=").partition("-")
                    start = int(first) if first else max(0, len(data) - int(last))
                    stop = min(int(last) + 1, len(data)) if first and last else len(data)
                    if start >= len(data):
                        self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                        return
                    self._answer(206, data[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})
                else:
                    self._answer(200, outer.files[path], {})

            def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(data)), "ETag": '"1"'}.items():
                    self.send_header(key, value)
                self.end_headers()
                outer.sent += len(data)
                self.wfile.write(data)

            def log_message(self, *words: object) -> None:
                """Nothing: the test's output is its own."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that ends with the test."""
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_a_file_is_judged_where_it_lies(server: Server, tmp_path: Path) -> None:
    server.files["/a.pkl"] = pickle.dumps(Gadget())
    server.files["/good.pkl"] = pickle.dumps([1, 2])
    found = assay("scan", f"{server.address}/a.pkl", ALLOWED, cwd=tmp_path)
    assert found.code == 1
    assert f"--> {server.address}/a.pkl @ byte" in found.out
    assert assay("scan", f"{server.address}/good.pkl", ALLOWED, cwd=tmp_path).code == 0


def test_little_of_a_large_archive_is_fetched(server: Server, tmp_path: Path) -> None:
    server.files["/model.pt"] = torch_like()
    assert assay("scan", f"{server.address}/model.pt", ALLOWED, cwd=tmp_path).code == 0
    assert server.sent < 1 << 20


def test_private_addresses_are_refused_by_default(server: Server, tmp_path: Path) -> None:
    server.files["/a.pkl"] = b"."
    refused = assay("scan", f"{server.address}/a.pkl", cwd=tmp_path)
    assert refused.code == 3
    assert "--private-addresses" in refused.out
    assert server.asked == []


def test_redirects_are_refused_by_default_and_never_to_the_clouds_own_addresses(server: Server, tmp_path: Path) -> None:
    server.files["/b.pkl"] = pickle.dumps([1])
    server.redirects = {"/a.pkl": f"{server.address.replace('127.0.0.1', 'localhost')}/b.pkl"}
    server.redirects["/meta.pkl"] = "http://169.254.169.254/latest"
    refused = assay("scan", f"{server.address}/a.pkl", ALLOWED, cwd=tmp_path)
    assert refused.code == 3
    assert "was redirected to localhost" in refused.out
    assert "--redirect-to localhost" in refused.out
    assert assay("scan", f"{server.address}/a.pkl", ALLOWED, "--redirect-to", "localhost", cwd=tmp_path).code == 0
    away = assay("scan", f"{server.address}/meta.pkl", ALLOWED, "--redirect-to", "169.254.169.254", cwd=tmp_path)
    assert away.code == 3


def test_a_query_is_never_shown(server: Server, tmp_path: Path) -> None:
    server.files["/a.pkl"] = pickle.dumps(Gadget())
    for extra in ((), ("--full",), ("--format", "json")):
        done = assay("scan", f"{server.address}/a.pkl?X-Amz-Signature=sesame", ALLOWED, *extra, cwd=tmp_path)
        assert done.code == 1, done.err
        assert "sesame" not in done.out + done.err
    assert any("sesame" in path for path in server.asked)
    missing = assay("scan", f"{server.address}/none?sig=sesame", ALLOWED, cwd=tmp_path)
    assert missing.code == 3
    assert "sesame" not in missing.out + missing.err


def test_full_hashes_what_lies_elsewhere(server: Server, tmp_path: Path) -> None:
    server.files["/model.pt"] = torch_like()
    done = assay("scan", f"{server.address}/model.pt", ALLOWED, "--full", "--format", "json", cwd=tmp_path)
    assert done.code == 0, done.err
    [subject] = json.loads(done.out)["body"]["subjects"]
    assert subject["digest"].startswith("sha256:")
    assert subject["uri"] == f"{server.address}/model.pt"


def test_a_repository_of_a_hub(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_sesame")
    tree = [
        {"type": "file", "path": "config.json", "size": 2, "oid": "0" * 40},
        {"type": "file", "path": "sub/a.pkl", "size": len(pickle.dumps(Gadget())), "oid": "1" * 40},
        {"type": "directory", "path": "sub", "size": 0, "oid": "2" * 40},
        {"type": "file", "path": "../../climbs", "size": 1, "oid": "3" * 40},
    ]
    server.files |= {
        "/api/models/org/name/revision/main": json.dumps({"sha": COMMIT}).encode(),
        f"/api/models/org/name/tree/{COMMIT}": json.dumps(tree).encode(),
        f"/org/name/resolve/{COMMIT}/config.json": b"{}",
        f"/org/name/resolve/{COMMIT}/sub/a.pkl": pickle.dumps(Gadget()),
    }
    for extra in ((), ("--format", "json")):
        done = assay("scan", "hf://org/name", ALLOWED, *extra, cwd=tmp_path)
        assert done.code == 1, done.err
        assert f"hf://org/name@{COMMIT}/sub/a.pkl" in done.out
        assert "climbs" in done.out, "what could not be asked for stays open, and is named"
        assert "sesame" not in done.out + done.err
    other = assay("scan", "hf://org/other", "hf://org/name", ALLOWED, cwd=tmp_path)
    assert other.code == 1, "one that is not there does not hide the other"
    assert "hf://org/other" in other.out
    assert one_line(assay("scan", "hf://a b", cwd=tmp_path), "is no address", code=2)


def test_a_pack_from_an_address(server: Server, tmp_path: Path) -> None:
    assert assay("key", "new", "pub", cwd=tmp_path).code == 0
    key = assay("key", "show", "pub.pub", cwd=tmp_path).out.splitlines()[0]
    (tmp_path / "new").mkdir()
    (tmp_path / "new/threats.yaml").write_text("threats: org\nversion: 1\nissued: 2026-11-20\n")
    assert assay("sign", "new/threats.yaml", "--key", "pub.key", cwd=tmp_path).code == 0
    (tmp_path / "assay.yaml").write_text(f'system: {{name: s}}\nthreats: {{pack: threats.yaml, key: "{key}"}}\n')
    for name in ("threats.yaml", "threats.yaml.sig"):
        server.files[f"/{name}"] = (tmp_path / "new" / name).read_bytes()
    update = ("threats", "update", f"{server.address}/threats.yaml")
    assert one_line(assay(*update, cwd=tmp_path), "--private-addresses", code=2)
    done = assay(*update, ALLOWED, cwd=tmp_path)
    assert (done.code, "took threat pack org 1" in done.out) == (0, True), done.err
    assert (tmp_path / "threats.yaml").read_bytes() == server.files["/threats.yaml"]
    server.files["/threats.yaml"] += b"# changed\n"
    assert assay(*update, ALLOWED, cwd=tmp_path).code == 1


def test_local_folders_named_like_addresses_are_no_way_out(tmp_path: Path) -> None:
    """A manifest names files of its project, whatever they are called."""
    (tmp_path / "https:/x").mkdir(parents=True)
    (tmp_path / "https:/x/a.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "assay.yaml").write_text("system: {name: s}\nsubjects: {a: {artifact: 'https://x/a.pkl'}}\n")
    assert assay("run", cwd=tmp_path).code == 0


@pytest.mark.parametrize("address", ["s3://key:sesame@bucket/x", "ftp://me:sesame@host/a", "https:/me:sesame@host/a"])
def test_other_addresses_are_refused_and_not_shown(address: str, tmp_path: Path) -> None:
    done = assay("scan", address, cwd=tmp_path)
    assert one_line(done, "are not read", code=2)
    assert "sesame" not in done.err
