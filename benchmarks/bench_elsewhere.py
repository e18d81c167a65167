"""Reading where a model lies, and converting it: bytes and requests of a remote scan, cost of `assay harden`.

python benchmarks/bench_elsewhere.py

The server is this process, on loopback, and counts what it sends; picklescan reads whole files, over TLS only.
CPU seconds and peak memory are those of whole processes. The tensors of the torch archive are real ones, by name.
"""

from __future__ import annotations

import pickle
import struct
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench_scan import run
from common import ASSAY

TENSORS, ELEMENTS = 100, 1_250_000


def checkpoint(path: Path) -> None:
    """A torch archive of 500 MB as torch writes a state_dict: a hundred float32 tensors of 5 MB each."""
    body = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for number in range(TENSORS):
        storage = f"U\x07storagectorch\nFloatStorage\nU{chr(len(str(number)))}{number}U\x03cpuJ".encode("latin-1")
        body.append(f"U{chr(len(f'w{number}'))}w{number}ctorch._utils\n_rebuild_tensor_v2\n((".encode("latin-1"))
        body.append(storage + struct.pack("<i", ELEMENTS) + b"tQK\x00J" + struct.pack("<i", ELEMENTS))
        body.append(b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"".join([*body, b"u."]))
        archive.writestr("archive/byteorder", "little")
        for number in range(TENSORS):
            archive.writestr(f"archive/data/{number}", struct.pack("<f", number) * ELEMENTS)
        archive.writestr("archive/version", "3\n")


class Served(BaseHTTPRequestHandler):
    """Files of one folder, by ranges."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    sent = requests = 0

    def do_GET(self) -> None:
        """Answer with a part or the whole."""
        path = self.folder / Path(self.path).name
        size = path.stat().st_size
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, size) if last else size
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        Served.requests += 1
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                block = file.read(min(1 << 20, stop - start))
                Served.sent += len(block)
                start += len(block)
                self.wfile.write(block)

    def log_message(self, *words: object) -> None:
        """Nothing."""


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint(folder / "model.pt")
        Served.folder = folder
        server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/model.pt"
        print("| torch archive of 500 MB on a server | CPU s | peak MB | MB sent | requests |")
        print("| --- | --- | --- | --- | --- |")
        seconds, peak, ended = run([*ASSAY, "scan", "--private-addresses", address])
        counted = f"{Served.sent / 1e6:.1f} | {Served.requests}"
        print(f"| assay scan ({ended}) | {seconds:.2f} | {peak:.0f} | {counted} |", flush=True)
        server.shutdown()
        convert(folder)


def convert(folder: Path) -> None:
    """Print the table of conversions."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(2_000, 20)), rng.integers(0, 2, 2_000)
    (folder / "forest.pkl").write_bytes(pickle.dumps(RandomForestClassifier(50, random_state=0).fit(rows, target)))
    names = [f"x{i}" for i in range(20)]
    lines = [",".join([*names, "y"]), *(",".join(map(str, [*row, y])) for row, y in zip(rows, target, strict=True))]
    (folder / "rows.csv").write_text("\n".join(lines))
    table = ["--rows", str(folder / "rows.csv"), "--label", "y"]
    print("\n| assay harden | CPU s | peak MB |\n| --- | --- | --- |")
    for title, words in {
        "torch archive of 500 MB → safetensors": ["model.pt"],
        "random forest, 50 trees → skops, on 2,000 rows": ["forest.pkl", "--to", "skops", *table],
        "the same → ONNX": ["forest.pkl", "--to", "onnx", *table],
    }.items():
        seconds, peak, ended = run([*ASSAY, "harden", str(folder / words[0]), *words[1:]])
        print(f"| {title} ({ended}) | {seconds:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
