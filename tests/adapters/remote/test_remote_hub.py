"""hf:// before a server with the Hub's interface: pinned, paginated, hostile, and never told more than it should be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from assay.adapters.remote.access import Access
from assay.adapters.remote.hub import parse_hf
from assay.adapters.remote.opened import fetch, open_source, settle
from assay.core.errors import InputError, UsageError

SHA = "0123456789abcdef0123456789abcdef01234567"
PRIVATE = Access(private=True)
FILES = {"config.json": b'{"a": 1}', "sub/weights.bin": bytes(range(256)) * 1000, "sub/deep/x.txt": b"x", "empty": b""}


def item(path: str, data: bytes, **more: Any) -> dict[str, Any]:
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if len(data) > 1000:
        more = {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}} | more
    return {"type": "file", "path": path, "size": len(data), "oid": oid} | more


def as_json(value: Any, **headers: str) -> Any:
    return lambda handler: handler.answer(200, json.dumps(value).encode(), Content_Type="application/json", **headers)


@pytest.fixture
def hub(site: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub with one repository."""
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    api = "/api/models/org/name"
    site.routes[f"{api}/revision/main"] = as_json({"sha": SHA, "id": "org/name"})
    items = [{"type": "directory", "path": "sub", "size": 0, "oid": "x"}]
    items += [item(path, data) for path, data in FILES.items()]
    site.routes[f"{api}/tree/{SHA}"] = as_json(items)
    site.routes[f"{api}/tree/{SHA}/sub"] = as_json([each for each in items if each["path"].startswith("sub/")])
    for path, data in FILES.items():
        site.routes[f"/org/name/resolve/{SHA}/{path}"] = data
    return site


def tree(hub: Any, items: Any) -> None:
    hub.routes[f"/api/models/org/name/tree/{SHA}"] = as_json(items)


def failure(uri: str, access: Access = PRIVATE) -> str:
    with pytest.raises((InputError, UsageError)) as caught:
        open_source(uri, access)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "spot"),
    [
        ("hf://org/name", ("models", "org/name", "main", "")),
        ("hf://name@v1", ("models", "name", "v1", "")),
        ("hf://models/org/name", ("models", "org/name", "main", "")),
        ("hf://org/name@v1/a/b@c.bin", ("models", "org/name", "v1", "a/b@c.bin")),
        ("hf://org/name/a/b@c.bin", ("models", "org/name", "main", "a/b@c.bin")),
        ("hf://datasets/org/name@refs/convert/parquet/x/y", ("datasets", "org/name", "refs/convert/parquet", "x/y")),
        ("hf://org/name@refs/pr/7", ("models", "org/name", "refs/pr/7", "")),
        ("hf://org/name@refs%2Fpr%2F7/x", ("models", "org/name", "refs/pr/7", "x")),
        ("hf://spaces/org/name/", ("spaces", "org/name", "main", "")),
    ],
)
def test_addresses_as_huggingface_hub_spells_them(uri: str, spot: tuple[str, ...]) -> None:
    assert tuple(parse_hf(uri)) == spot
    assert tuple(parse_hf(parse_hf(uri).uri)) == spot


@pytest.mark.parametrize(
    "uri",
    [
        *("hf://", "hf://org/name@", "hf://../name", "hf://org/..", "hf://org/name@../x", "hf://org/name/../../x"),
        *("hf://org/name/a//b", "hf://org/na me", "hf://org/name\n", "hf://org/name@a\0b", "hf://user:pw@host/x"),
        *("hf://org/name?x", "hf://-x/y", "hf://datasets/", "hf://" + "a" * 200 + "/b", "hf://org/name@a%0ab"),
    ],
)
def test_addresses_that_are_none(uri: str) -> None:
    with pytest.raises(UsageError):
        parse_hf(uri)


def test_a_branch_is_settled_as_its_commit(hub: Any) -> None:
    assert settle("hf://org/name", PRIVATE) == f"hf://org/name@{SHA}"
    assert settle("hf://org/name@main/sub", PRIVATE) == f"hf://org/name@{SHA}/sub"
    assert [path for path, _ in hub.requests] == ["/api/models/org/name/revision/main"] * 2
    assert settle(f"hf://org/name@{SHA}", PRIVATE) == f"hf://org/name@{SHA}"
    assert len(hub.requests) == 2


@pytest.mark.parametrize("answer", [{}, {"sha": "main"}, {"sha": None}, [], {"sha": "../" * 13 + "x"}, "[" * 100_000])
def test_a_server_that_names_no_commit(hub: Any, answer: Any) -> None:
    hub.routes["/api/models/org/name/revision/main"] = as_json(answer)
    with pytest.raises(InputError, match="names no commit"):
        settle("hf://org/name", PRIVATE)


def test_a_repository_is_read_where_it_lies(hub: Any) -> None:
    source = open_source("hf://org/name", PRIVATE)
    assert source.uri == f"hf://org/name@{SHA}"
    assert not source.single
    files = list(source.files())
    assert [file.uri for file in files] == [f"{source.uri}/{path}" for path in sorted(FILES)]
    assert [str(file.path) for file in files] == sorted(FILES)
    for file in files:
        with source.open(file) as stream:
            assert stream.read() == FILES[str(file.path)]
    assert hub.connections == 1
    source.close()


def test_a_folder_and_a_file_of_a_repository(hub: Any) -> None:
    folder = open_source("hf://org/name/sub", PRIVATE)
    assert [str(file.path) for file in folder.files()] == ["deep/x.txt", "weights.bin"]
    assert not folder.single
    single = open_source("hf://org/name@main/sub/weights.bin", PRIVATE)
    (file,) = single.files()
    assert single.single
    assert file.uri == single.uri == f"hf://org/name@{SHA}/sub/weights.bin"
    assert single.open(file).read(4) == b"\0\1\2\3"
    assert "is not there" in failure("hf://org/name/sub/nothing")
    assert "is not there" in failure("hf://org/name/nothing/at/all")


def test_other_kinds_and_odd_revisions(hub: Any) -> None:
    hub.routes["/api/datasets/org/d/revision/refs%2Fpr%2F1"] = as_json({"sha": SHA})
    hub.routes[f"/api/datasets/org/d/tree/{SHA}"] = as_json([item("a b#?%.txt", b"odd")])
    hub.routes[f"/datasets/org/d/resolve/{SHA}/a b#?%.txt"] = b"odd"
    source = open_source("hf://datasets/org/d@refs/pr/1", PRIVATE)
    (file,) = source.files()
    assert source.open(file).read() == b"odd"
    assert hub.requests[-1][0] == f"/datasets/org/d/resolve/{SHA}/a%20b%23%3F%25.txt"


def test_a_listing_of_three_pages(hub: Any) -> None:
    path = f"/api/models/org/name/tree/{SHA}"
    more = [item(f"f{n}", b"1") for n in range(3)]
    hub.routes[path] = as_json(more[:1], Link=f'<{hub.url}{path}?recursive=true&cursor=2>; rel="next"')
    hub.routes[f"{path}?recursive=true&cursor=2"] = as_json(more[1:2], Link=f'<{path}?cursor=3>; rel="next"')
    hub.routes[f"{path}?cursor=3"] = as_json(more[2:], Link=f'<{hub.url}{path}>; rel="first"')
    told: list[float] = []
    source = open_source("hf://org/name", PRIVATE, lambda done, total, what="": told.append(done))
    assert [str(file.path) for file in source.files()] == ["f0", "f1", "f2"]
    assert told == [1, 2, 3]


@pytest.mark.parametrize("target", ["https://evil.example/more", "http://169.254.169.254/", "file:///etc/passwd"])
def test_a_listing_does_not_go_on_elsewhere(hub: Any, target: str) -> None:
    path = f"/api/models/org/name/tree/{SHA}"
    hub.routes[path] = as_json([item("a", b"1")], Link=f'<{target}>; rel="next"')
    assert any(part in failure("hf://org/name") for part in ("another server", "file: is not read"))


def test_a_listing_that_goes_in_circles(hub: Any) -> None:
    path = f"/api/models/org/name/tree/{SHA}"
    hub.routes[path] = as_json([item("a", b"1")], Link=f'<{path}?recursive=true>; rel="next"')
    assert "without an end" in failure("hf://org/name")


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "a/../b", "a//b", ".", "", "a/./b", "x\0y", "n/" * 70 + "x", "l" * 2000, "a/"]
)
def test_hostile_names_are_named_and_never_asked_for(hub: Any, name: str, tmp_path: Path) -> None:
    tree(hub, [item("good.txt", b"good"), item(name, b"evil")])
    hub.routes[f"/org/name/resolve/{SHA}/good.txt"] = b"good"
    source = open_source("hf://org/name", PRIVATE)
    files = {file.problem == "": file for file in source.files()}
    bad = files[False]
    assert not bad.path.is_absolute()
    assert ".." not in bad.path.parts
    assert "\0" not in bad.uri
    with pytest.raises(OSError, match=r"has a name|nested deeper"):
        source.open(bad)
    assert source.open(files[True]).read() == b"good"
    with pytest.raises(InputError, match="is not copied"):
        fetch(source, tmp_path / "out")
    assert not [path for path, _ in hub.requests if "resolve" in path and "good" not in path]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_names_with_control_characters_are_shown_escaped_and_read(hub: Any, tmp_path: Path) -> None:
    tree(hub, [item("a\n\x1b[31mb\\c.txt", b"odd")])
    hub.routes[f"/org/name/resolve/{SHA}/a\n\x1b[31mb\\c.txt"] = b"odd"
    source = open_source("hf://org/name", PRIVATE)
    (file,) = source.files()
    assert file.uri == f"hf://org/name@{SHA}/a\\n\\x1b[31mb\\c.txt"
    assert source.open(file).read() == b"odd"
    with pytest.raises(InputError, match="backslash"):
        fetch(source, tmp_path)


def test_a_name_that_is_listed_twice_is_not_chosen_between(hub: Any) -> None:
    tree(hub, [item("a", b"1"), item("a", b"22")])
    (file,) = open_source("hf://org/name", PRIVATE).files()
    assert file.problem == "is listed more than once"


@pytest.mark.parametrize(
    "more", [{"size": -1}, {"size": 1 << 60}, {"lfs": {"oid": "x", "size": 3}}, {"type": "link"}, {"type": "unknown"}]
)
def test_entries_that_make_no_sense_are_said(hub: Any, more: dict[str, Any]) -> None:
    tree(hub, [item("a", b"1") | more])
    (file,) = open_source("hf://org/name", PRIVATE).files()
    assert file.problem


@pytest.mark.parametrize("answer", [{}, [1], [{"path": "x"}], [{"type": "file", "path": 3}], None, "text"])
def test_listings_in_no_known_form(hub: Any, answer: Any) -> None:
    tree(hub, answer)
    assert "in no form that is known" in failure("hf://org/name")


def test_an_empty_repository_is_said(hub: Any) -> None:
    tree(hub, [])
    assert "holds no files" in failure("hf://org/name")


def test_a_size_that_is_not_the_listed_one(hub: Any) -> None:
    hub.routes[f"/org/name/resolve/{SHA}/config.json"] = b'{"a": 1, "b": 2}'
    source = open_source("hf://org/name", PRIVATE)
    file = next(file for file in source.files() if file.path.name == "config.json")
    with pytest.raises(OSError, match="is not as it was listed"):
        source.open(file)


def test_a_lie_about_emptiness_is_found(hub: Any) -> None:
    hub.routes[f"/org/name/resolve/{SHA}/empty"] = b"not so empty"
    source = open_source("hf://org/name", PRIVATE)
    file = next(file for file in source.files() if file.path.name == "empty")
    with pytest.raises(OSError, match="is not as it was listed"):
        source.open(file)


@pytest.mark.parametrize(
    ("status", "why"), [(401, "asks for a login"), (403, "may not be read"), (404, "is not there")]
)
def test_refusals_of_the_whole(hub: Any, status: int, why: str) -> None:
    hub.routes["/api/models/org/name/revision/main"] = lambda handler: handler.answer(status, b"{}")
    assert why in failure("hf://org/name")


def test_a_whole_copy_is_compared_with_the_listing(hub: Any, tmp_path: Path) -> None:
    source = open_source("hf://org/name", PRIVATE)
    told: list[tuple[float, float]] = []
    fetch(source, tmp_path / "out", lambda done, total, what="": told.append((done, total)))
    copied = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*")}
    assert {name: path.read_bytes() for name, path in copied.items() if path.is_file()} == FILES
    assert told[-1] == (sum(map(len, FILES.values())),) * 2
    with pytest.raises(InputError, match="is not empty"):
        fetch(source, tmp_path / "out")


@pytest.mark.parametrize("path", ["config.json", "sub/weights.bin"])
def test_a_copy_whose_digest_is_another(hub: Any, tmp_path: Path, path: str) -> None:
    changed = bytearray(FILES[path])
    changed[-1] ^= 1
    hub.routes[f"/org/name/resolve/{SHA}/{path}"] = bytes(changed)
    with pytest.raises(InputError, match="digest is another"):
        fetch(open_source("hf://org/name", PRIVATE), tmp_path)


def test_a_copy_of_a_name_that_is_a_file_and_a_folder(hub: Any, tmp_path: Path) -> None:
    tree(hub, [item("a", b"1"), item("a/b", b"2")])
    hub.routes[f"/org/name/resolve/{SHA}/a"], hub.routes[f"/org/name/resolve/{SHA}/a/b"] = b"1", b"2"
    with pytest.raises(InputError, match="cannot be copied"):
        fetch(open_source("hf://org/name", PRIVATE), tmp_path)


def test_a_copy_larger_than_the_disk(hub: Any, tmp_path: Path) -> None:
    tree(hub, [item("a", b"1") | {"size": 1 << 52}])
    with pytest.raises(InputError, match="are free"):
        fetch(open_source("hf://org/name", Access(private=True, most_bytes=1 << 60)), tmp_path)
    with pytest.raises(InputError, match="more than the 1000 allowed"):
        fetch(open_source("hf://org/name", Access(private=True, most_bytes=1000)), tmp_path)


@pytest.mark.parametrize("place", ["variable", "file"])
def test_the_token_goes_to_the_endpoint_alone(
    hub: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    if place == "variable":
        monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    else:
        (tmp_path / "token").write_text("hf_SECRET\n")
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    other = serve()
    other.routes["/cdn/weights"] = FILES["sub/weights.bin"]
    hub.redirect(f"/org/name/resolve/{SHA}/sub/weights.bin", f"{other.url}/cdn/weights?sig=1")
    source = open_source("hf://org/name", Access(private=True, redirects=("127.0.0.1",)))
    file = next(file for file in source.files() if file.path.name == "weights.bin")
    with source.open(file) as stream:
        assert stream.read() == FILES["sub/weights.bin"]
    assert {headers.get("Authorization") for _, headers in hub.requests} == {"Bearer hf_SECRET"}
    assert {headers.get("Authorization") for _, headers in other.requests} == {None}
    assert len(other.requests) > 1
    refused = open_source("hf://org/name", PRIVATE)
    with pytest.raises(OSError, match=r"--redirect-to 127\.0\.0\.1") as caught:
        refused.open(file)
    assert "SECRET" not in str(caught.value)
    assert "sig" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "é", "x" * 5000])
def test_a_token_that_is_none_is_not_quoted(hub: Any, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    said = failure("hf://org/name")
    assert "HF_TOKEN" in said
    assert token not in said
    assert hub.requests == []


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://u:p@x", "nonsense", "https://x/?q=SECRET"])
def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "HF_ENDPOINT" in failure("hf://org/name")
    assert "SECRET" not in failure("hf://org/name")


def test_the_public_hub_may_lead_to_its_own_content_hosts(tls_site: Any, names: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    hub, content = tls_site(), tls_site()
    names(
        {
            "huggingface.co": [("127.0.0.1", hub.port)],
            "cdn.hf.co": [("127.0.0.1", content.port)],
            "models.example": [("127.0.0.1", content.port)],
        }
    )
    hub.routes[f"/api/models/org/name/tree/{SHA}"] = as_json([item("a", b"1"), item("b", b"2"), item("c", b"3")])
    content.routes["/a"] = b"1"
    hub.redirect(f"/org/name/resolve/{SHA}/a", "https://cdn.hf.co/a?Signature=1")
    hub.redirect(f"/org/name/resolve/{SHA}/b", "https://models.example/b")
    hub.redirect(f"/org/name/resolve/{SHA}/c", "http://cdn.hf.co/c")
    source = open_source(f"hf://org/name@{SHA}", PRIVATE)
    a, b, c = source.files()
    assert source.open(a).read() == b"1"
    assert [headers.get("Authorization") for _, headers in content.requests] == [None]
    assert hub.requests[0][1]["Authorization"] == "Bearer hf_SECRET"
    with pytest.raises(OSError, match=r"redirected to models\.example, which is not allowed"):
        source.open(b)
    with pytest.raises(OSError, match="from https:// to http://"):
        source.open(c)
    assert "private address" in failure(f"hf://org/name@{SHA}", Access())
