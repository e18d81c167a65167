"""The entry: what is remote, one file on a web server, and a model judged from a few of its bytes."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assay.adapters.remote.access import Access
from assay.adapters.remote.opened import fetch, is_remote, open_source, settle
from assay.core.artifact import Artifact, File, Source
from assay.core.errors import InputError, UsageError
from assay.formats.survey import survey

PRIVATE = Access(private=True)
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("uri", ["https://h/x", "http://h/x", "HTTPS://h/x", "hf://a/b", "mlflow:models:/a/1"])
def test_what_is_remote(uri: str) -> None:
    assert is_remote(uri)


@pytest.mark.parametrize(
    "uri", ["", "model.pkl", "./https:", "https:/x", "hf:x", "mlflow", "/mlflow:", "s3://b/x", "-"]
)
def test_what_is_not(uri: str) -> None:
    assert not is_remote(uri)


def test_the_entry_imports_nothing_of_the_network() -> None:
    code = (
        "import sys; import assay.adapters.remote.opened as o; o.is_remote('hf://x/y');"
        "bad = {'ssl', '_ssl', 'socket', 'http', 'http.client', 'email', 'urllib.request', 'yaml', 'tempfile'};"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "uri",
    [
        "https://",
        "https://h",
        "https://h/",
        "https://h/folder/",
        "https://u:SECRET@h/x",
        "http://h /x",
        "https://h\\x/y",
    ],
)
def test_web_addresses_that_name_no_file(uri: str) -> None:
    for call in (settle, open_source):
        with pytest.raises(UsageError) as caught:
            call(uri, PRIVATE)
        assert "SECRET" not in str(caught.value)


def only(source: Source) -> File:
    (file,) = source.files()
    return file


def test_one_file_on_a_web_server(tls_site: Any, tmp_path: Path) -> None:
    site = tls_site()
    site.routes["/models/my model.pkl"] = pickle.dumps([1, 2, 3])
    uri = f"{site.url}/models/my%20model.pkl?sig=SECRET"
    assert settle(uri, PRIVATE) == uri
    source = open_source(uri, PRIVATE)
    file = only(source)
    assert source.single
    assert file.uri == source.uri == f"{site.url}/models/my%20model.pkl"
    assert file.path == Path("my model.pkl")
    assert source.open(file).read() == pickle.dumps([1, 2, 3])
    assert all(path.endswith("?sig=SECRET") for path, _ in site.requests)
    fetch(source, tmp_path / "out")
    assert (tmp_path / "out/my model.pkl").read_bytes() == pickle.dumps([1, 2, 3])
    source.close()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_file_that_is_not_given(site: Any, status: int) -> None:
    site.routes["/x"] = lambda handler: handler.answer(status, b"no", Retry_After="60")
    with pytest.raises(InputError) as caught:
        open_source(f"{site.url}/x?sig=SECRET", PRIVATE)
    assert f"{site.url}/x: cannot be read" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_the_users_word_is_needed(site: Any) -> None:
    site.routes["/x"] = b"x"
    with pytest.raises(InputError, match="--private-addresses"):
        open_source(f"{site.url}/x", Access())
    site.redirect("/y", "https://cdn.example/x")
    with pytest.raises(InputError, match=r"--redirect-to cdn\.example"):
        open_source(f"{site.url}/y", PRIVATE)
    assert [path for path, _ in site.requests] == ["/y"]


@pytest.mark.parametrize("name", ["%2e%2e", "a%00b", "a%2Fb", "%ff%fe", "x%0ay"])
def test_hostile_names_of_one_file(site: Any, name: str, tmp_path: Path) -> None:
    site.otherwise = lambda handler: handler.ranged(b"data")
    source = open_source(f"{site.url}/{name}", PRIVATE)
    file = only(source)
    assert file.uri.isprintable()
    assert ".." not in file.path.parts
    assert len(file.path.parts) == 1
    if file.problem:
        with pytest.raises(OSError, match="has a name"):
            source.open(file)
    else:
        fetch(source, tmp_path / "out")
        assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [b"data"]


def torch_like(members: int, size: int, payload: bytes) -> bytes:
    """The layout of torch.save, its tensors stored and not compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", b"3\n")
        for number in range(members):
            archive.writestr(f"archive/data/{number}", (b"\x12\x34\x56\x78\x9a\xbc" * size)[:size])
    return out.getvalue()


EVIL = b"cos\nsystem\n(S'true'\ntR."


def test_a_large_torch_file_is_judged_from_a_few_of_its_bytes(site: Any) -> None:
    data = torch_like(30, 1 << 20, EVIL)
    site.routes["/model.pt"] = data
    source = open_source(f"{site.url}/model.pt", PRIVATE)
    artifact = Artifact(name="m", path=Path("m"), uri=source.uri, source=source)
    (seen,) = survey(artifact)
    local = Artifact(name="m", path=Path("m"), uri="m", source=Memory({"model.pt": data}))
    (here,) = survey(local)
    assert len(data) > 30_000_000
    assert site.sent < 1_000_000
    assert len(site.requests) < 60
    assert site.connections == 1
    assert seen.facts is not None
    assert here.facts is not None
    assert seen.gaps == here.gaps
    assert seen.facts.format == here.facts.format
    assert [note.key for note in seen.facts.notes] == [note.key for note in here.facts.notes]
    assert "system" in repr(seen.facts)


class Memory:
    """A source that is no server's: what `fetch` must copy all the same."""

    uri, single = "memory:", False

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def files(self) -> Any:
        for name in sorted(self._files):
            yield File(Path(name), name)

    def open(self, file: File) -> Any:
        return io.BytesIO(self._files[file.uri])

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "a\\b", "C:x", "a\0b"])
def test_a_copy_stays_in_its_folder_whatever_the_source(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not copied"):
        fetch(Memory({name: b"x", "good": b"y"}), tmp_path / "in/out")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_copy_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is not empty"):
        fetch(Memory({"a/x": b"x"}), tmp_path / "out")
    fetch(Memory({"a/x": b"x"}), tmp_path / "new/out")
    assert (tmp_path / "new/out/a/x").read_bytes() == b"x"


def test_one_file_that_fails_leaves_a_gap_and_the_others(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    files = {"a.pkl": EVIL, "b.pkl": pickle.dumps({"x": 1}), "c.pkl": pickle.dumps([1])}
    items = [{"type": "file", "path": path, "size": len(data), "oid": ""} for path, data in files.items()]
    items.append({"type": "file", "path": "../evil", "size": 1, "oid": ""})
    site.routes[f"/api/models/o/n/tree/{SHA}"] = lambda h: h.answer(200, json.dumps(items).encode())
    for path, data in files.items():
        site.routes[f"/o/n/resolve/{SHA}/{path}"] = data
    site.routes[f"/o/n/resolve/{SHA}/b.pkl"] = lambda h: h.answer(
        200, bytes(len(files["b.pkl"])), Content_Encoding="gzip"
    )
    source = open_source(f"hf://o/n@{SHA}", PRIVATE)
    seen = list(survey(Artifact(name="m", path=Path("m"), uri=source.uri, source=source)))
    told = {each.file.uri.removeprefix(f"{source.uri}/"): " ".join(gap.reason for gap in each.gaps) for each in seen}
    assert told["../evil"].startswith("has a name that leaves its folder")
    assert told["b.pkl"].startswith("cannot be read: was sent compressed")
    assert (told["a.pkl"], told["c.pkl"]) == ("", "")
    assert "system" in repr(seen[1].facts)


def test_many_small_files_share_a_connection(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    count = 300
    data = b'{"a": 1}'
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    items = [{"type": "file", "path": f"f{n:03}.json", "size": len(data), "oid": oid} for n in range(count)]
    site.routes[f"/api/models/o/n/tree/{SHA}"] = lambda h: h.answer(200, json.dumps(items).encode())
    site.otherwise = lambda handler: handler.ranged(data)
    source = open_source(f"hf://o/n@{SHA}", PRIVATE)
    seen = list(survey(Artifact(name="m", path=Path("m"), uri=source.uri, source=source)))
    assert len(seen) == count
    assert not [each for each in seen if each.gaps]
    assert site.connections == 1
    assert len(site.requests) == count + 1
