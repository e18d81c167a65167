"""mlflow: before a server with MLflow's interface, and before a folder as MLflow writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.adapters.remote.access import Access
from assay.adapters.remote.mlflow import parse_mlflow
from assay.adapters.remote.opened import fetch, open_source, settle
from assay.core.errors import InputError, UsageError

PRIVATE = Access(private=True)
FILES = {"MLmodel": b"flavors: {}\n", "data/model.pkl": bytes(range(256)) * 500, "data/in/x y.txt": b"x"}
RUN, LOGGED = "a" * 32, "m-" + "b" * 32
API, PROXY = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"


def as_json(value: Any) -> Any:
    return lambda handler: handler.answer(200, json.dumps(value).encode())


def listing(site: Any, root: str) -> None:
    """The proxy's answers for FILES under `root`."""

    def list_or_none(handler: Any) -> None:
        from urllib.parse import parse_qs, urlsplit

        asked = parse_qs(urlsplit(handler.path).query)["path"][0]
        inside = "" if asked == root else asked.removeprefix(f"{root}/") + "/"
        found: dict[str, Any] = {}
        for name, data in FILES.items():
            if name.startswith(inside):
                head, more, _ = name.removeprefix(inside).partition("/")
                found[head] = {"path": head, "is_dir": bool(more)} | ({} if more else {"file_size": str(len(data))})
        handler.answer(200, json.dumps({"files": list(found.values())} if found else {}).encode())

    site.routes[PROXY] = list_or_none
    for name, data in FILES.items():
        site.routes[f"{PROXY}/{root}/{name}"] = data


@pytest.fixture
def server(site: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", site.url)
    root = f"0/models/{LOGGED}/artifacts"
    location = {"artifact_uri": f"mlflow-artifacts:/{root}"}
    site.routes[f"{API}/model-versions/get-download-uri"] = as_json(location)
    site.routes[f"{API}/registered-models/alias"] = as_json({"model_version": {"name": "demo", "version": "3"}})
    site.routes[f"{API}/runs/get"] = as_json({"run": {"info": location | {"run_id": RUN}, "data": {}}})
    site.routes[f"{API}/logged-models/{LOGGED}"] = as_json({"model": {"info": location}})
    listing(site, root)
    return site


def located(site: Any, where: str) -> None:
    site.routes[f"{API}/model-versions/get-download-uri"] = as_json({"artifact_uri": where})


def failure(uri: str, access: Access = PRIVATE) -> str:
    with pytest.raises((InputError, UsageError)) as caught:
        open_source(uri, access)
    return str(caught.value)


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("mlflow:models:/my model/3", ("version", "my model", "3", "", "")),
        ("mlflow:models:/demo@champion", ("alias", "demo", "", "champion", "")),
        (f"mlflow:models:/{LOGGED}", ("logged", LOGGED, "", "", "")),
        (f"mlflow:runs:/{RUN}", ("run", RUN, "", "", "")),
        (f"mlflow:runs:/{RUN}/a/b", ("run", RUN, "", "", "a/b")),
    ],
)
def test_addresses(uri: str, wanted: tuple[str, ...]) -> None:
    assert tuple(parse_mlflow(uri)) == wanted
    assert parse_mlflow(uri).uri == uri


@pytest.mark.parametrize(
    "rest",
    [
        *("", "models:/", "models:/demo", "models:/demo/Production", "models:/demo/latest", "models:/../3", "runs:/"),
        *("models:/demo@a/b", "models:/demo@", "models:/@a", "models:/demo/3/x", "models:/demo@..", "runs:/../x"),
        *(f"runs:/{RUN}/../x", f"runs:/{RUN}//x", "models:/a\nb/3", "s3://bucket/x", "models:/demo/³", "x"),
    ],
)
def test_addresses_that_are_none(rest: str) -> None:
    with pytest.raises(UsageError):
        parse_mlflow(f"mlflow:{rest}")


def test_an_alias_is_settled_as_its_version(server: Any) -> None:
    assert settle("mlflow:models:/demo@champion", PRIVATE) == "mlflow:models:/demo/3"
    assert server.requests[0][0] == f"{API}/registered-models/alias?name=demo&alias=champion"
    assert settle("mlflow:models:/demo/3", PRIVATE) == "mlflow:models:/demo/3"
    assert len(server.requests) == 1


@pytest.mark.parametrize("address", ["models:/demo/3", "models:/demo@champion", f"models:/{LOGGED}", f"runs:/{RUN}"])
def test_a_server_is_read_through_its_proxy(server: Any, tmp_path: Path, address: str) -> None:
    source = open_source(f"mlflow:{address}", PRIVATE)
    files = list(source.files())
    assert [str(file.path) for file in files] == sorted(FILES)
    assert files[0].uri == f"{source.uri}/MLmodel"
    assert "@" not in source.uri
    with source.open(files[2]) as stream:
        stream.seek(100_000)
        assert stream.read(2) == FILES["data/model.pkl"][100_000:100_002]
    fetch(source, tmp_path)
    assert (tmp_path / "data/in/x y.txt").read_bytes() == b"x"
    assert server.connections == 1


def test_one_file_of_a_run(server: Any) -> None:
    source = open_source(f"mlflow:runs:/{RUN}/data/model.pkl", PRIVATE)
    (file,) = source.files()
    assert source.single
    assert source.open(file).read() == FILES["data/model.pkl"]
    assert [str(file.path) for file in open_source(f"mlflow:runs:/{RUN}/data", PRIVATE).files()] == [
        "in/x y.txt",
        "model.pkl",
    ]
    assert "holds no files" in failure(f"mlflow:runs:/{RUN}/data/nothing")


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("s3://bucket/models", "keeps its artifacts in s3:"),
        ("gs://bucket/models", "mlflow artifacts download"),
        ("file:///srv/models", "keeps its artifacts in file:"),
        ("/srv/models", "keeps its artifacts in file:"),
        ("dbfs:/x", "keeps its artifacts in dbfs:"),
        ("mlflow-artifacts://evil.example/x", "another server"),
        ("https://evil.example/api/2.0/mlflow-artifacts/artifacts/x", "another server"),
        ("mlflow-artifacts:/../../etc", "cannot be asked for"),
        ("mlflow-artifacts:/a%2f..%2fb", "cannot be asked for"),
        ("mlflow-artifacts:/", "cannot be asked for"),
        ("", "keeps its artifacts in file:"),
    ],
)
def test_artifacts_elsewhere_are_refused_in_words(server: Any, where: str, why: str) -> None:
    located(server, where)
    assert why in failure("mlflow:models:/demo/3")
    assert len(server.requests) == 1


def test_artifacts_named_by_the_servers_own_address(server: Any) -> None:
    located(server, f"{server.url}{PROXY}/0/models/{LOGGED}/artifacts")
    assert len(list(open_source("mlflow:models:/demo/3", PRIVATE).files())) == 3


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "..", "", "a\0b"])
def test_hostile_names_are_named_and_never_asked_for(server: Any, name: str) -> None:
    server.routes[PROXY] = as_json({"files": [{"path": name, "file_size": 3}, {"path": name + "/..", "is_dir": True}]})
    source = open_source("mlflow:models:/demo/3", PRIVATE)
    files = list(source.files())
    assert files
    assert all(file.problem for file in files)
    with pytest.raises(OSError, match=r"has a name|more than once"):
        source.open(files[0])
    assert len(server.requests) == 2


def test_folders_without_end_are_left(server: Any) -> None:
    server.routes[PROXY] = as_json({"files": [{"path": "again", "is_dir": True}]})
    files = list(open_source("mlflow:models:/demo/3", PRIVATE).files())
    assert ["nested deeper" in file.problem for file in files] == [True]
    assert len(server.requests) < 80


@pytest.mark.parametrize("answer", [[], {"files": 3}, {"files": [{"is_dir": True}]}, "x"])
def test_listings_in_no_known_form(server: Any, answer: Any) -> None:
    server.routes[PROXY] = as_json(answer)
    assert "in no form that is known" in failure("mlflow:models:/demo/3")


@pytest.mark.parametrize(("status", "why"), [(400, "is not there"), (401, "asks for a login"), (404, "is not there")])
def test_refusals_in_words(server: Any, status: int, why: str) -> None:
    server.routes[f"{API}/registered-models/alias"] = lambda handler: handler.answer(status, b"{}")
    assert why in failure("mlflow:models:/demo@champion")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "SECRET"}, "Bearer SECRET"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pw"}, "Basic bWU6cHc="),
        ({"MLFLOW_TRACKING_USERNAME": "me"}, None),
    ],
)
def test_logins(server: Any, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sent: str | None) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    source = open_source("mlflow:models:/demo/3", PRIVATE)
    source.open(next(source.files())).read()
    assert {headers.get("Authorization") for _, headers in server.requests} == {sent}


@pytest.mark.parametrize(
    "named",
    ["sqlite:///mlflow.db", "postgresql://me:SECRET@h/db", "databricks", "databricks://p", "https://u:SECRET@h"],
)
def test_places_that_are_not_read(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    said = failure("mlflow:models:/demo/3")
    assert "MLFLOW_TRACKING_URI" in said
    assert "SECRET" not in said


def test_a_registry_elsewhere_is_not_overlooked(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "https://registry.example")
    assert "MLFLOW_REGISTRY_URI" in failure("mlflow:models:/demo/3")


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as MLflow 3 writes one, with a run, a logged model and two versions."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "mlruns"
    for folder, key in ((f"0/{RUN}", "artifact_uri"), (f"0/models/{LOGGED}", "artifact_location")):
        write(root / folder / "meta.yaml", f"{key}: file://{root}/{folder}/artifacts\nstatus: 2\n")
        for name, data in FILES.items():
            write(root / folder / "artifacts" / name, data)
    write(
        root / "models/demo/version-1/meta.yaml",
        f"source: models:/{LOGGED}\nstorage_location: file://{root}/0/models/{LOGGED}/artifacts\nversion: 1\n",
    )
    write(root / "models/demo/version-2/meta.yaml", f"source: models:/{LOGGED}\nversion: 2\n")
    write(root / "models/demo/aliases/champion", "2")
    return root


@pytest.mark.parametrize(
    "address", ["models:/demo/1", "models:/demo/2", "models:/demo@champion", f"models:/{LOGGED}", f"runs:/{RUN}"]
)
@pytest.mark.parametrize("named", ["", "file", "path"])
def test_a_folder_is_read(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, named: str
) -> None:
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{store}" if named == "file" else str(store))
    source = open_source(settle(f"mlflow:{address}", Access()), Access())
    files = list(source.files())
    assert [str(file.path) for file in files] == ["MLmodel", "data/in/x y.txt", "data/model.pkl"]
    assert files[0].uri == f"{source.uri}/MLmodel"
    with source.open(files[2]) as stream:
        assert stream.read() == FILES["data/model.pkl"]
    fetch(source, tmp_path / "out")
    assert (tmp_path / "out/MLmodel").read_bytes() == FILES["MLmodel"]
    source.close()


def test_one_file_of_a_run_in_a_folder(store: Path) -> None:
    source = open_source(f"mlflow:runs:/{RUN}/data/model.pkl", Access())
    (file,) = source.files()
    assert (source.single, str(file.path), file.uri) == (True, "model.pkl", source.uri)
    with source.open(file) as stream:
        assert stream.read(2) == b"\0\1"


def test_a_store_that_was_moved_is_understood(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store.rename(tmp_path / "moved")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "moved"))
    assert len(list(open_source("mlflow:models:/demo/1", Access()).files())) == 3


@pytest.mark.parametrize(
    ("papers", "why"),
    [
        ("storage_location: file:///etc\n", "leaves the folder"),
        ("storage_location: /etc/ssl/certs\n", "leaves the folder"),
        ("storage_location: ../../../etc\n", "leaves the folder"),
        ("storage_location: s3://bucket/x\n", "mlflow artifacts download"),
        ("storage_location: file://other.example/x\n", "mlflow artifacts download"),
        ("source: 3\n", "do not say where"),
        ("- x\n", "do not say where"),
        ("source: [\n", "papers cannot be read"),
        ("a: &a [1]\nb: *a\n", "papers cannot be read"),
        (f"source: models:/m-{'c' * 32}\n", "is not there"),
        ("source: models:/m-../../x\n", "mlflow artifacts download"),
    ],
)
def test_papers_that_lead_astray(store: Path, papers: str, why: str) -> None:
    write(store / "models/demo/version-1/meta.yaml", papers)
    assert why in failure("mlflow:models:/demo/1", Access())


def test_links_that_leave_the_folder_are_not_followed(store: Path, tmp_path: Path) -> None:
    write(tmp_path / "secret", b"secret")
    place = store / f"0/{RUN}/artifacts"
    (place / "link").symlink_to(tmp_path / "secret")
    source = open_source(f"mlflow:runs:/{RUN}", Access())
    link = next(file for file in source.files() if file.path.name == "link")
    assert link.problem.startswith("is a symbolic link that leaves the folder")
    with pytest.raises(OSError, match="leaves the folder"):
        source.open(link)
    assert "leaves the folder" in failure(f"mlflow:runs:/{RUN}/link", Access())
    (store / "models/demo/aliases/out").symlink_to(tmp_path / "secret")
    assert "is not there" in failure("mlflow:models:/demo@out", Access())


@pytest.mark.parametrize("address", ["models:/demo/9", "models:/demo@nobody", "models:/other/1", f"runs:/{'c' * 32}"])
def test_what_is_not_in_the_folder(store: Path, address: str) -> None:
    assert "is not there" in failure(f"mlflow:{address}", Access())


def test_an_alias_that_names_no_version(store: Path) -> None:
    write(store / "models/demo/aliases/champion", "../../x")
    assert "names no version" in failure("mlflow:models:/demo@champion", Access())


def test_no_folder_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "MLFLOW_TRACKING_URI" in failure("mlflow:models:/demo/1", Access())
