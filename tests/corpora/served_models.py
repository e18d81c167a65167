"""A real server on loopback that serves a small model by both protocols, and every way in which one can go wrong."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Rule = Callable[[dict[str, Any]], Any]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class Site:
    """What is served, and what was asked. `faults` are worked off one a request; `switches` hold throughout.

    `asked` counts every row that came in a whole request, by its values.
    """

    def __init__(self, names: tuple[str, ...], scores: Rule, *, named: bool = False, types: str = "FP64") -> None:
        self.names, self.scores, self.named, self.types = names, scores, named, types
        self.faults: list[Callable[[Handler], bool]] = []
        self.switches: set[str] = set()
        self.asked: Counter[tuple[Any, ...]] = Counter()
        self.requests, self.rows, self.metadata = 0, 0, 0
        self.tokens: list[str] = []
        self.version, self.token, self.shown = "7", "", ""
        self.after: int | None = None  # refuse everything once so many rows were answered
        self.random = np.random.default_rng(0)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.site = self  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def oip(self) -> str:
        return f"{self.root}/v2/models/fraud"

    @property
    def mlflow(self) -> str:
        return f"{self.root}/invocations"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answers(self, columns: dict[str, Any]) -> Any:
        """Scores as the switches bend them."""
        found = np.asarray(self.scores(columns), dtype=float)
        if "noise" in self.switches:
            found = np.clip(found + self.random.normal(0, 1e-3, len(found)), 0, 1)
        if "round" in self.switches:
            found = found.round(2)
        return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Any

    @property
    def site(self) -> Site:
        return self.server.site  # type: ignore[no-any-return]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.site.metadata += 1
        if not self.allowed():
            return
        inputs = (
            [{"name": n, "datatype": self.site.types, "shape": [-1, 1]} for n in self.site.names]
            if self.site.named
            else [{"name": "X", "datatype": self.site.types, "shape": [-1, len(self.site.names)]}]
        )
        kind = "INT64" if "labels" in self.site.switches else "FP32"
        facts = {"name": "fraud", "versions": [self.site.version], "platform": "test", "inputs": inputs,
                 "outputs": [{"name": "probabilities", "datatype": kind, "shape": [-1, 2]}]}  # fmt: skip
        if self.path != "/v2/models/fraud":
            self.reply(404)
        elif "bare" in self.site.switches:
            self.reply(200, json.dumps({"name": "fraud"}).encode())
        else:
            self.reply(200, json.dumps(facts).encode())

    def do_POST(self) -> None:
        site = self.site
        body = self.rfile.read(int(self.headers["Content-Length"]))
        site.requests += 1
        if not self.allowed():
            return
        if site.faults and site.faults.pop(0)(self):
            return
        if site.after is not None and site.rows >= site.after:
            self.reply(503, Retry_After="99999")
            return
        found = json.loads(body)
        rows = self.oip_rows(found) if "/v2/" in self.path else found["dataframe_split"]["data"]
        site.rows += len(rows)
        site.asked.update(tuple(row) for row in rows)
        columns = {n: np.array([r[j] for r in rows]) for j, n in enumerate(site.names)}
        scores = site.answers(columns)
        answer = self.oip_answer(scores) if "/v2/" in self.path else self.mlflow_answer(scores)
        text = json.dumps(answer)
        if "null" in site.switches:
            text = text.replace("0.", "null, 0.", 1) if "short" in site.switches else json.dumps(_nulled(answer))
        self.reply(200, text.encode())

    def allowed(self) -> bool:
        got = self.headers.get("Authorization", "")
        self.site.tokens.append(got)
        if self.site.token and got != f"Bearer {self.site.token}":
            self.reply(401)
            return False
        return True

    def oip_rows(self, found: Any) -> list[Any]:
        inputs = found["inputs"]
        if self.site.named:
            assert [i["name"] for i in inputs] == list(self.site.names)
            return list(zip(*(i["data"] for i in inputs), strict=True))
        (tensor,) = inputs
        n, d = tensor["shape"]
        return [tensor["data"][i * d : (i + 1) * d] for i in range(n)]

    def oip_answer(self, scores: Any) -> Any:
        site, n = self.site, len(scores)
        pair = np.column_stack([1 - scores, scores])
        if "short" in site.switches:
            pair = pair[:-1]
        output = {"name": "probabilities", "datatype": "FP32", "shape": list(pair.shape), "data": pair.ravel().tolist()}
        if "nested" in site.switches:
            output["data"] = pair.tolist()
        if "single" in site.switches:
            output = {**output, "shape": [n, 1], "data": scores.tolist()}
        if "quoted" in site.switches:
            output["data"] = [str(value) for value in output["data"]]
        if "labels" in site.switches:
            output = {"name": "label", "datatype": "INT64", "shape": [n], "data": (scores >= 0.5).astype(int).tolist()}
        return {"model_name": "fraud", "model_version": site.version, "outputs": [output]}

    def mlflow_answer(self, scores: Any) -> Any:
        shown, hits = self.site.shown, (scores >= 0.5).tolist()
        answers: Any = scores.tolist()
        if shown == "pairs":
            answers = [[1 - s, s] for s in answers]
        elif shown == "records":
            answers = [{"0": 1 - s, "1": s} for s in answers]
        elif shown == "named":
            answers = [{"label": int(s > 0.5), "fraud_score": s} for s in answers]
        elif shown == "columns":
            answers = {"p": answers}
        elif shown == "words":
            answers = ["fraud" if h else "fine" for h in hits]
        elif shown == "ints":
            answers = [int(h) for h in hits]
        if "quoted" in self.site.switches:
            answers = [str(value) for value in answers]
        return {"predictions": answers[:-1] if "short" in self.site.switches else answers}


def _nulled(answer: Any) -> Any:
    if "outputs" in answer:
        answer["outputs"][0]["data"][-1] = None
    else:
        answer["predictions"][-1] = None
    return answer


def status(code: int, **headers: str) -> Callable[[Handler], bool]:
    """Refuse one request."""

    def fault(handler: Handler) -> bool:
        handler.reply(code, b"secret of a row: 4711", **headers)
        return True

    return fault


def body(text: bytes, **headers: str) -> Callable[[Handler], bool]:
    """Answer one request with these bytes."""

    def fault(handler: Handler) -> bool:
        handler.reply(200, text, **headers)
        return True

    return fault


def silence(seconds: float) -> Callable[[Handler], bool]:
    """Let one request wait, and end the line."""

    def fault(handler: Handler) -> bool:
        time.sleep(seconds)
        handler.close_connection = True
        return True

    return fault


def reset(handler: Handler) -> bool:
    """Break the line in the middle of a body."""
    handler.send_response_only(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"outputs": [')
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()
    return True
