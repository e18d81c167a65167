"""A remote file reads as the same bytes here would, with few requests, and no server's lie becomes its content."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.adapters.remote import ranged
from assay.adapters.remote.access import Access, RemoteError
from assay.adapters.remote.client import Client
from assay.adapters.remote.ranged import HEAD, LEAST, TAIL, Content, RangedFile
from assay.adapters.remote.url import parse
from assay.adapters.remote.wire import Timing

PRIVATE = Access(private=True)
DATA = bytes(range(256)) * 4000  # 1,024,000 bytes


class Memory:
    """What a Content answers, from memory; counts what it was asked."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, list[tuple[int, int]]()

    def read(self, at: int, count: int) -> bytes:
        assert at >= 0
        assert count > 0
        assert at + count <= len(self.data)
        self.asked.append((at, count))
        return self.data[at : at + count]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(-50, 700), st.sampled_from([0, 1, 2])),
        st.tuples(st.just("read"), st.integers(-1, 400), st.just(0)),
        st.tuples(st.just("readinto"), st.integers(0, 100), st.just(0)),
        st.tuples(st.just("readline"), st.integers(-1, 50), st.just(0)),
    ),
    max_size=30,
)


@given(
    data=st.binary(max_size=600),
    steps=STEPS,
    block=st.integers(1, 64),
    kept=st.integers(1, 700),
    window=st.integers(1, 300),
    head=st.integers(0, 200),
    buffered=st.booleans(),
)
def test_a_ranged_file_reads_as_the_bytes_do(
    data: bytes, steps: list[tuple[str, int, int]], block: int, kept: int, window: int, head: int, buffered: bool
) -> None:
    raw = RangedFile(Memory(data), len(data), data[:head], block=block, kept=kept, window=window)
    ours: Any = io.BufferedReader(raw, 16) if buffered else raw
    true = io.BytesIO(data)
    for verb, count, whence in steps:
        if verb == "seek":
            base = (0, true.tell(), len(data))[whence]
            if base + count < 0:
                continue
            assert ours.seek(count, whence) == true.seek(base + count)
        elif verb == "readline":
            assert ours.readline(count) == true.readline(count)
        elif verb == "readinto":
            mine = bytearray(count)
            got = ours.readinto(mine)
            assert mine[:got] == true.read(got)
            assert got == count or true.tell() >= len(data) or (got and not buffered)
        elif buffered or count < 0:
            assert ours.read(count) == true.read(count)
        else:
            part = ours.read(count)  # a raw file may give less, but nothing only at the end
            assert part == true.read(len(part))
            assert part or not count or true.tell() >= len(data)
        assert ours.tell() == true.tell()
        assert len(raw._blocks) <= raw._most


def test_reading_on_and_on_takes_few_requests_and_little_memory() -> None:
    memory = Memory(bytes(40 << 20))
    file = io.BufferedReader(RangedFile(memory, 40 << 20, bytes(HEAD)))
    while file.read(64 << 10):
        pass
    assert len(memory.asked) < 25
    assert sum(count for _, count in memory.asked) == (40 << 20) - HEAD
    assert sum(map(len, file.raw._blocks.values())) <= 16 << 20


def test_reading_here_and_there_takes_little() -> None:
    memory = Memory(bytes(40 << 20))
    file = io.BufferedReader(RangedFile(memory, 40 << 20, bytes(HEAD)))
    for at in range(1 << 20, 30 << 20, 1 << 20):
        file.seek(at)
        file.read(30)
    assert sum(count for _, count in memory.asked) == 29 * LEAST


def test_short_leaps_are_read_over() -> None:
    memory = Memory(bytes(40 << 20))
    file = io.BufferedReader(RangedFile(memory, 40 << 20, bytes(HEAD)))
    for at in range(1 << 20, 30 << 20, 20 << 10):
        file.seek(at)
        file.read(30)
    assert len(memory.asked) < 30


def test_what_is_read_again_and_again_is_kept() -> None:
    memory = Memory(bytes(1000))
    file = RangedFile(memory, 1000, block=10, kept=100, window=10)
    for at in (*range(10, 900, 20), 500):
        for place in (0, at):
            file.seek(place)
            file.read(1)
    assert [at for at, _ in memory.asked].count(0) == 1


def test_the_end_comes_at_once() -> None:
    memory = Memory(bytes(40 << 20))
    file = io.BufferedReader(RangedFile(memory, 40 << 20, bytes(HEAD)))
    for back in (22, 65_557, 100_000):
        file.seek(-back, 2)
        file.read(22)
    assert memory.asked == [((40 << 20) - TAIL, TAIL)]


def content(site: Any, path: str = "/x", *, access: Access = PRIVATE, size: int | None = None) -> Content:
    return Content(Client(access, timing=Timing(pause=lambda seconds: None)), parse(f"{site.url}{path}"), size=size)


def words(target: Content, seek: int = 0) -> str:
    def first() -> None:
        with target.open() as stream:
            stream.seek(seek)
            stream.read(1)

    with pytest.raises(RemoteError) as caught:
        first()
    return str(caught.value.strerror)


def test_a_file_is_read_by_ranges(site: Any) -> None:
    site.routes["/x"] = DATA
    with content(site).open() as stream:
        assert stream.read(4) == DATA[:4]
        assert stream.seek(0, 2) == len(DATA)
        stream.seek(500_001)
        assert stream.read(10) == DATA[500_001:500_011]
    assert site.sent == HEAD + LEAST
    assert b"".join(content(site).stream()) == DATA


@pytest.mark.parametrize("size", [0, 1, HEAD - 1, HEAD, HEAD + 1, HEAD + LEAST])
@pytest.mark.parametrize("listed", [True, False])
def test_files_of_every_size(site: Any, size: int, listed: bool) -> None:
    site.routes["/x"] = DATA[:size]
    target = content(site, size=size if listed else None)
    with target.open() as stream:
        assert stream.read() == DATA[:size]
    assert target.size == size
    assert b"".join(target.stream()) == DATA[:size]


@pytest.mark.parametrize("listed", [0, 10, 1_023_999, 1_024_001, 1 << 40])
def test_a_size_that_the_listing_denies(site: Any, listed: int) -> None:
    site.routes["/x"] = DATA
    assert "is not as it was listed" in words(content(site, size=listed))
    site.routes["/x"] = lambda handler: handler.answer(200, DATA)
    assert "is not as it was listed" in words(content(site, size=listed))


def test_a_version_that_changes_between_ranges(site: Any) -> None:
    versions = iter(("one", "two"))
    site.routes["/x"] = lambda handler: handler.ranged(DATA, ETag=next(versions))
    assert "changed while it was read" in words(content(site), 500_000)


def test_a_time_that_changes_between_ranges(site: Any) -> None:
    times = iter(("Sat, 21 Nov 2026 14:29:00 GMT", "Sat, 21 Nov 2026 14:29:01 GMT"))
    site.routes["/x"] = lambda handler: handler.ranged(DATA, ETag="-", Last_Modified=next(times))
    assert "changed while it was read" in words(content(site), 500_000)


def test_a_size_that_changes_between_ranges(site: Any) -> None:
    datas = iter((DATA, DATA[:-1]))
    site.routes["/x"] = lambda handler: handler.ranged(next(datas))
    assert "changed while it was read" in words(content(site), 500_000)


def test_a_file_that_changes_between_two_readings(site: Any) -> None:
    site.routes["/x"] = DATA
    target = content(site)
    target.open().close()
    site.routes["/x"] = lambda handler: handler.ranged(DATA, ETag='"two"')
    assert "changed while it was read" in words(target)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("bytes 1-65536/1024000", "another part"),
        ("bytes 0-99/1024000", "another part"),
        ("bytes 0-65536/1024000", "another part"),
        ("bytes 0-65535/10", "another part"),
        ("bytes 0-65535/99999999999999999999", "does not say which"),
        ("bytes -5-65535/1024000", "does not say which"),
        ("items 0-65535/1024000", "does not say which"),
        ("-", "does not say which"),
    ],
)
def test_a_part_that_is_not_what_was_asked(site: Any, said: str, why: str) -> None:
    site.routes["/x"] = lambda handler: handler.ranged(DATA, Content_Range=said)
    assert why in words(content(site))


def test_a_part_shorter_or_longer_than_it_says(site: Any) -> None:
    site.routes["/x"] = lambda h: h.answer(206, DATA[:10], Content_Range="bytes 0-65535/1024000")
    assert "of a length that its header denies" in words(content(site))

    def torn(handler: Any) -> None:
        handler.answer(206, DATA[:10], Content_Range="bytes 0-65535/1024000", Content_Length="65536")
        handler.close_connection = True

    site.routes["/x"] = torn
    assert "cut off after 10 of 65536" in words(content(site))
    short = b"3\r\nabc\r\n0\r\n\r\n"
    chunked = {"Content_Length": "-", "Transfer_Encoding": "chunked"}
    site.routes["/x"] = lambda h: h.answer(206, short, Content_Range="bytes 0-65535/1024000", **chunked)
    assert "cut off after 3 of 65536" in words(content(site))
    long = b"20000\r\n" + bytes(0x20000) + b"\r\n0\r\n\r\n"
    site.routes["/x"] = lambda h: h.answer(206, long, Content_Range="bytes 0-65535/1024000", **chunked)
    assert "is longer than 65536 bytes" in words(content(site))


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_server_without_ranges_is_asked_once(site: Any, length: bool, listed: bool) -> None:
    headers = {} if length else {"Content_Length": "-", "Connection": "close"}
    site.routes["/x"] = lambda handler: handler.answer(200, DATA, **headers)
    with content(site, size=len(DATA) if listed else None).open() as stream:
        stream.seek(-10, 2)
        assert stream.read() == DATA[-10:]
        stream.seek(5)
        assert stream.read(5) == DATA[5:10]
        assert stream.readline()[:1] == DATA[10:11]
    assert len(site.requests) == 1
    assert b"".join(content(site).stream()) == DATA


def test_a_body_of_untold_length_never_fills_the_disk(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.routes["/x"] = lambda handler: handler.answer(200, DATA, Content_Length="-", Connection="close")
    monkeypatch.setattr(ranged, "MOST_UNTOLD", len(DATA) - 1)
    assert f"longer than {len(DATA) - 1} bytes" in words(content(site))
    monkeypatch.undo()
    monkeypatch.setattr(ranged, "LEFT_FREE", 1 << 60)
    assert "longer than 0 bytes" in words(content(site))


def test_a_part_of_an_unknown_whole_is_asked_for_whole(site: Any) -> None:
    def unknown(handler: Any) -> None:
        if handler.headers.get("Range"):
            handler.answer(206, DATA[:HEAD], Content_Range=f"bytes 0-{HEAD - 1}/*")
        else:
            handler.answer(200, DATA)

    site.routes["/x"] = unknown
    with content(site).open() as stream:
        assert stream.read() == DATA


def test_a_server_that_stops_serving_ranges(site: Any) -> None:
    site.routes["/x"] = DATA
    with content(site).open() as stream:
        site.routes["/x"] = lambda handler: handler.answer(200, DATA)
        stream.seek(500_000)
        with pytest.raises(RemoteError, match="no longer served by ranges"):
            stream.read(1)


def test_whole_bodies_are_bounded(site: Any) -> None:
    access = Access(private=True, most_bytes=100_000)
    site.routes["/x"] = lambda handler: handler.answer(200, DATA)
    assert "longer than 100000 bytes" in words(content(site, access=access))
    site.routes["/x"] = lambda handler: handler.answer(200, DATA, Content_Length="-", Connection="close")
    assert "100000 bytes" in words(content(site, access=access))
    assert "is longer than 50 bytes" in words(content(site, size=50))


@pytest.mark.parametrize(
    ("status", "why"),
    [(401, "asks for a login"), (403, "may not be read"), (404, "is not there"), (410, "is gone"), (418, "status 418")],
)
def test_refusals_in_words(site: Any, status: int, why: str) -> None:
    site.routes["/x"] = lambda handler: handler.answer(status, b"reasons")
    assert why in words(content(site))
    assert len(site.requests) == 1


def test_faults_in_the_middle_are_tried_again(site: Any) -> None:
    site.routes["/x"] = DATA
    with content(site).open() as stream:
        answers = [503, 429, 0]

        def faulty(handler: Any) -> None:
            status = answers.pop(0)
            handler.answer(status, b"wait") if status else handler.ranged(DATA)

        site.routes["/x"] = faulty
        stream.seek(500_000)
        assert stream.read(3) == DATA[500_000:500_003]


def test_an_address_signed_for_a_while_is_asked_for_anew(site: Any, serve: Any) -> None:
    other = serve()
    signs = iter(("a", "b"))
    site.routes["/x"] = lambda handler: handler.answer(302, Location=f"{other.url}/y?sig={next(signs)}")
    other.routes["/y?sig=a"] = other.routes["/y?sig=b"] = DATA
    target = content(site, access=Access(private=True, redirects=("127.0.0.1",)))
    with target.open() as stream:
        stream.seek(200_000)
        stream.read(1)
        assert len(site.requests) == 1  # the second range went straight to where the first came from
        other.routes["/y?sig=a"] = lambda handler: handler.answer(403, b"expired")
        stream.seek(500_000)
        assert stream.read(1) == DATA[500_000:500_001]
    assert len(site.requests) == 2


def test_a_slow_whole_body_is_left(site: Any) -> None:
    stop = threading.Event()

    def drip(handler: Any) -> None:
        handler.answer(200, Content_Length="1000000")
        while not stop.wait(0.02):
            handler.wfile.write(b"a")

    site.routes["/x"] = drip
    target = Content(Client(PRIVATE, timing=Timing(base=0.3, pace=1e9)), parse(f"{site.url}/x"))
    assert "too slowly" in words(target)
    stop.set()
