"""The client before servers that redirect, drip, lie, fail, compress and never end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from assay.adapters.remote.access import Access, RemoteError
from assay.adapters.remote.client import Client, Login, refusal
from assay.adapters.remote.url import parse
from assay.adapters.remote.wire import Timing

PRIVATE = Access(private=True)


def words(client: Client, url: str, most: int = 1000, **options: Any) -> str:
    with pytest.raises(RemoteError) as caught:
        client.get(parse(url), **options).body(most)
    return f"{caught.value.strerror} {caught.value.fix}"


def body(client: Client, url: str, **options: Any) -> bytes:
    return client.get(parse(url), **options).body(1000)


def test_one_connection_serves_many_requests(site: Any) -> None:
    site.routes["/x"] = b"hello"
    client = Client(PRIVATE)
    assert [body(client, f"{site.url}/x") for _ in range(20)] == [b"hello"] * 20
    assert site.connections == 1
    sent = site.requests[0][1]
    assert sent["Accept-Encoding"] == "identity"
    assert "Authorization" not in sent
    client.close()


def test_plain_http_and_private_addresses_need_the_users_word(site: Any) -> None:
    assert "not encrypted" in words(Client(Access()), f"{site.url}/x")
    assert "private address" in words(Client(Access()), f"https://127.0.0.1:{site.port}/x")
    assert site.requests == []


def test_a_name_is_resolved_once_and_the_judged_address_is_used(site: Any, names: Callable[..., list[str]]) -> None:
    site.routes["/x"] = lambda handler: handler.answer(200, b"hello", Connection="close")
    asked = names({"models.example": [("127.0.0.1", site.port)]})
    client = Client(PRIVATE)
    assert [body(client, "http://models.example/x") for _ in range(3)] == [b"hello"] * 3
    assert site.connections == 3
    assert asked == ["models.example"]
    assert site.requests[0][1]["Host"] == "models.example"


def test_a_name_that_resolves_to_loopback_is_refused(site: Any, names: Callable[..., list[str]]) -> None:
    names({"models.example": [("127.0.0.1", site.port)]})
    assert "private address" in words(Client(Access()), "https://models.example/x")
    assert site.connections == 0


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("https://other.example/x", "redirected to other.example, which is not allowed"),
        ("http://169.254.169.254/latest/meta-data", "redirected to 169.254.169.254, which is not allowed"),
        ("file:///etc/passwd", "file: is not read from"),
        ("ftp://other.example/x", "ftp: is not read from"),
        ("https://user:word@other.example/", "credentials"),
        ("/elsewhere", "redirected to 127.0.0.1, which is not allowed"),
        ("", "redirected to nowhere"),
        ("https://[", "malformed"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused_unless_allowed(site: Any, target: str, why: str, status: int) -> None:
    site.redirect("/x", target, status)
    assert why in words(Client(PRIVATE), f"{site.url}/x?sig=SECRET")
    assert len(site.requests) == 1


def test_the_refusal_names_the_option(site: Any) -> None:
    site.redirect("/x", "https://cdn.other.example/x?sig=SECRET")
    said = words(Client(PRIVATE), f"{site.url}/x")
    assert "--redirect-to cdn.other.example" in said
    assert "SECRET" not in said


def test_an_allowed_redirect_is_followed_and_judged_afresh(site: Any, serve: Any, names: Callable[..., Any]) -> None:
    other = serve()
    other.routes["/y"] = b"there"
    site.redirect("/x", f"http://cdn.example:{other.port}/y?sig=1")
    names({"cdn.example": [("127.0.0.1", other.port)]})
    access = Access(private=True, redirects=("*.example",))
    assert body(Client(access), f"{site.url}/x") == b"there"
    names({"cdn.example": [("169.254.169.254", 80)]})
    assert "special use or cloud metadata" in words(Client(access), f"{site.url}/x")
    assert len(other.requests) == 1


def test_metadata_services_are_refused_even_where_everything_is_allowed(site: Any) -> None:
    site.redirect("/x", "http://169.254.169.254/latest/meta-data")
    access = Access(private=True, redirects=("169.254.169.254",))
    assert "special use or cloud metadata" in words(Client(access), f"{site.url}/x")


def test_a_login_goes_to_its_origin_only_and_never_on_with_a_redirect(site: Any, serve: Any) -> None:
    other = serve()
    other.routes["/y"] = b"there"
    other.redirect("/back", f"{site.url}/z")
    site.routes["/z"] = b"back"
    site.redirect("/x", f"{other.url}/y")
    site.redirect("/round", f"{other.url}/back")
    site.redirect("/same", "/z")
    client = Client(Access(private=True, redirects=("127.0.0.1",)))
    login = Login("Bearer SECRET", parse(site.url).origin)
    assert body(client, f"{site.url}/x", login=login) == b"there"
    assert body(client, f"{site.url}/round", login=login) == b"back"
    assert body(client, f"{other.url}/y", login=login) == b"there"
    assert all("Authorization" not in headers for _, headers in other.requests)
    assert [headers.get("Authorization") for _, headers in site.requests] == ["Bearer SECRET", "Bearer SECRET", None]
    assert body(client, f"{site.url}/same", login=login) == b"back"
    assert site.requests[-1][1]["Authorization"] == "Bearer SECRET"
    assert "SECRET" not in repr(login)


def test_a_login_is_not_sent_unencrypted_to_another_machine(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.routes["/x"] = b"hello"
    monkeypatch.setattr("assay.adapters.remote.client.is_loopback", lambda places: False)
    assert body(Client(PRIVATE), f"{site.url}/x", login=Login("Bearer SECRET", parse(site.url).origin)) == b"hello"
    assert "Authorization" not in site.requests[0][1]


def test_a_redirect_loop_ends(site: Any) -> None:
    site.redirect("/x", "/x")
    assert "more than 5 times" in words(Client(Access(private=True, redirects=("127.0.0.1",))), f"{site.url}/x")
    assert len(site.requests) == 6


def test_no_redirect_leads_from_https_to_http(tls_site: Any, site: Any) -> None:
    secure = tls_site()
    secure.redirect("/x", f"{site.url}/y")
    said = words(Client(Access(private=True, redirects=("127.0.0.1",))), f"{secure.url}/x")
    assert "from https:// to http://" in said
    assert site.requests == []


def test_the_certificate_must_fit_the_name(tls_site: Any, names: Callable[..., Any]) -> None:
    secure = tls_site()
    secure.routes["/x"] = b"hello"
    names({name: [("127.0.0.1", secure.port)] for name in ("models.example", "forged.example")})
    assert body(Client(PRIVATE), "https://models.example/x") == b"hello"
    assert body(Client(PRIVATE), f"{secure.url}/x") == b"hello"
    assert "certificate" in words(Client(PRIVATE), "https://forged.example/x")


def test_an_unknown_certificate_is_refused(tls_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secure = tls_site()
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "has a certificate that does not hold" in words(Client(PRIVATE), f"{secure.url}/x")
    assert secure.requests == []


@pytest.mark.parametrize("status", [416, 429, 500, 502, 503])
def test_passing_faults_are_tried_twice_more(site: Any, status: int) -> None:
    answers = [status, status, 200]
    site.routes["/x"] = lambda handler: handler.answer(answers.pop(0), b"body")
    pauses: list[float] = []
    client = Client(PRIVATE, timing=Timing(pause=pauses.append))
    assert body(client, f"{site.url}/x") == b"body"
    assert len(pauses) == 2
    site.routes["/x"] = lambda handler: handler.answer(status, b"body")
    assert client.get(parse(f"{site.url}/x")).status == status
    assert len(site.requests) == 6


@pytest.mark.parametrize(("after", "waits"), [("7", [7.0, 7.0]), ("11", []), ("x", [0.2, 0.4])])
def test_retry_after_is_honoured_up_to_ten_seconds(site: Any, after: str, waits: list[float]) -> None:
    site.routes["/x"] = lambda handler: handler.answer(429, b"slow down", Retry_After=after)
    pauses: list[float] = []
    client = Client(PRIVATE, timing=Timing(pause=pauses.append))
    assert client.get(parse(f"{site.url}/x")).status == 429
    assert pauses == waits


def test_statuses_are_told_apart_in_words() -> None:
    assert len({refusal(status).strerror for status in (401, 403, 404, 410, 416, 429, 500)}) == 7
    assert refusal(404).status == 404


@pytest.mark.parametrize("coding", ["gzip", "br", "x-odd", "identity, gzip"])
def test_compressed_answers_are_refused(site: Any, coding: str) -> None:
    site.routes["/x"] = lambda handler: handler.answer(200, b"\x1f\x8b", Content_Encoding=coding)
    assert "was sent compressed" in words(Client(PRIVATE), f"{site.url}/x")


def test_a_torn_body_is_no_body(site: Any) -> None:
    def torn(handler: Any) -> None:
        handler.answer(200, b"half", Content_Length="8")
        handler.close_connection = True

    site.routes["/x"] = torn
    assert "cut off after 4 of 8 bytes" in words(Client(PRIVATE), f"{site.url}/x")


def test_an_end_that_tls_does_not_confirm_is_none(tls_site: Any) -> None:
    secure = tls_site()
    secure.routes["/x"] = lambda handler: handler.answer(200, b"half", Content_Length="-", Connection="close")
    assert "was cut off" in words(Client(PRIVATE), f"{secure.url}/x")


def test_a_torn_chunk_is_no_body(site: Any) -> None:
    def torn(handler: Any) -> None:
        handler.answer(200, b"8\r\nhalf", Content_Length="-", Transfer_Encoding="chunked")
        handler.close_connection = True

    site.routes["/x"] = torn
    assert "was cut off" in words(Client(PRIVATE), f"{site.url}/x")


def test_chunks_make_a_body(site: Any) -> None:
    whole = b"4\r\nhalf\r\n2\r\n!!\r\n0\r\n\r\n"
    site.routes["/x"] = lambda h: h.answer(200, whole, Content_Length="-", Transfer_Encoding="chunked")
    client = Client(PRIVATE)
    assert [body(client, f"{site.url}/x") for _ in range(2)] == [b"half!!"] * 2
    assert site.connections == 1


@pytest.mark.parametrize("chunk", [b"-1\r\n", b"-5\r\n", b"zz\r\n", b"1" * 70_000])
def test_malformed_chunks_are_refused(site: Any, chunk: bytes) -> None:
    def route(handler: Any) -> None:
        handler.answer(200, chunk, Content_Length="-", Transfer_Encoding="chunked")
        while handler.server.site.sent < 50 << 20:
            handler.put(bytes(1 << 16))

    site.routes["/x"] = route
    said = words(Client(PRIVATE), f"{site.url}/x", most=1 << 40)
    assert any(part in said for part in ("malformed chunks", "cut off", "proper HTTP"))
    assert site.sent < 50 << 20


def test_an_end_of_chunks_that_does_not_end(site: Any) -> None:
    def route(handler: Any) -> None:
        handler.answer(200, b"1\r\nx\r\n0\r\n", Content_Length="-", Transfer_Encoding="chunked")
        while handler.server.site.sent < 50 << 20:
            handler.put(b"X-A: b\r\n" * 1000)

    site.routes["/x"] = route
    assert "more than belongs there" in words(Client(PRIVATE), f"{site.url}/x")
    assert site.sent < 50 << 20


def test_a_request_has_a_last_moment_however_much_comes(site: Any) -> None:
    site.routes["/x"] = endless
    client = Client(PRIVATE, timing=Timing(pace=1.0, longest=0.1))
    assert "too slowly" in words(client, f"{site.url}/x", most=1 << 40)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30, "+4"])
def test_malformed_lengths_are_refused(site: Any, length: str) -> None:
    site.routes["/x"] = lambda handler: handler.answer(200, b"half", Content_Length=length)
    assert "malformed length" in words(Client(PRIVATE), f"{site.url}/x")


def test_two_lengths_are_refused(site: Any) -> None:
    def two(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf")

    site.routes["/x"] = two
    assert "malformed length" in words(Client(PRIVATE), f"{site.url}/x")


def endless(handler: Any) -> None:
    handler.answer(200, Content_Length="-", Connection="close")
    piece = bytes(1 << 16)
    while handler.server.site.sent < 1 << 28:
        handler.put(piece)


def test_an_endless_body_is_left(site: Any) -> None:
    site.routes["/x"] = endless
    assert "is longer than 100000 bytes" in words(Client(PRIVATE), f"{site.url}/x", most=100_000)
    client = Client(Access(private=True, most_bytes=200_000))
    assert "more than 200000 bytes in all" in words(client, f"{site.url}/x", most=1 << 30)


def test_the_allowance_is_for_all_answers_together(site: Any) -> None:
    site.routes["/x"] = bytes(600)
    client = Client(Access(private=True, most_bytes=1000))
    assert len(body(client, f"{site.url}/x")) == 600
    assert "more than 1000 bytes in all" in words(client, f"{site.url}/x")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/2.7 200 OK\r\n\r\n",
        b"\0" * 100_000,
        b"HTTP/1.1 999999 OK\r\n\r\n",
    ],
)
def test_headers_are_bounded_and_proper(site: Any, head: bytes) -> None:
    def route(handler: Any) -> None:
        handler.wfile.write(head)
        handler.close_connection = True

    site.routes["/x"] = route
    said = words(Client(PRIVATE), f"{site.url}/x")
    assert any(part in said for part in ("proper HTTP", "more than belongs there", "broke off"))


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_sender_that_drips_is_left(site: Any, where: str) -> None:
    stop = threading.Event()

    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        if where == "body":
            handler.wfile.write(b"Content-Length: 100000\r\n\r\n")
        while not stop.wait(0.02):
            handler.wfile.write(b"a")

    site.routes["/x"] = drip
    client = Client(PRIVATE, timing=Timing(base=0.4, pace=1e9))
    start = time.monotonic()
    assert "too slowly" in words(client, f"{site.url}/x", most=1 << 20)
    assert time.monotonic() - start < 30  # not the hour that the body would take
    stop.set()


def test_silence_is_not_waited_for(site: Any) -> None:
    stop = threading.Event()
    site.routes["/x"] = lambda handler: stop.wait(20)
    client = Client(PRIVATE, timing=Timing(read=0.2))
    assert "did not answer in time" in words(client, f"{site.url}/x")
    stop.set()


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_that_the_server_ended_meanwhile_is_made_anew(serve: Any, tls_site: Any, secure: bool) -> None:
    site = tls_site() if secure else serve()

    def once(handler: Any) -> None:
        handler.answer(200, b"hello")
        handler.close_connection = True

    site.routes["/x"] = once
    client = Client(PRIVATE)
    for _ in range(3):
        assert body(client, f"{site.url}/x") == b"hello"
        time.sleep(0.05)
    assert site.connections == 3


def test_a_body_that_is_not_read_does_not_reach_the_next_answer(site: Any) -> None:
    site.routes["/x"], site.routes["/y"] = b"x" * 900, b"y"
    client = Client(PRIVATE)
    client.get(parse(f"{site.url}/x")).close()
    assert body(client, f"{site.url}/y") == b"y"


def test_a_proxy_in_the_environment_is_not_used_and_said(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", site.url)
    said = words(Client(PRIVATE), "https://127.0.0.1:1/x")
    assert "HTTPS_PROXY is set, but proxies are not used" in said
    assert site.connections == 0
