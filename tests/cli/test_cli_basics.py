"""The command line itself: help, typos, streams, formats, exit codes, and errors that are one line each."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import msgspec
import pytest
from cli_tools import Done, assay, one_line, outcomes, report, shell, start

from assay.cli import main as entry
from assay.cli.common import progress_bar
from assay.cli.main import GROUPS, VERBS

SUBVERBS = {"data": ("check",), "key": ("new", "show")}
SUBVERBS["log"] = ("list", "verify", "prove", "check-proof", "checkpoint", "export", "audit", "erase")


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_helps(verb: str) -> None:
    for words in ((verb,), *((verb, sub) for sub in SUBVERBS.get(verb, ()))):
        done = assay(*words, "--help")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Usage: assay {' '.join(words)} ") or "Usage:" in done.out
        assert "--help" in done.out


def test_the_help_lists_every_verb_under_its_group() -> None:
    done = assay("--help")
    assert done.code == 0
    for group, verbs in GROUPS.items():
        assert f"{group}:" in done.out
        assert all(verb in done.out for verb in verbs)
    assert sorted(VERBS) == sorted({*VERBS})


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("scna", "x"), "Did you mean scan?"),
        (("raport",), "Did you mean report?"),
        (("xyzzy",), "`assay --help` lists the verbs"),
        (("explain", "artifact.pickle-cod"), "did you mean artifact.pickle-code?"),
        (("scan", "x", "--only", "artifact.pickle-cod"), "did you mean artifact.pickle-code?"),
        (("data", "chek", "x"), "check"),
        (("scan", "x", "--frmat", "json"), "--format"),
    ],
)
def test_a_typo_suggests_the_nearest(words: tuple[str, ...], hint: str) -> None:
    done = assay(*words)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("scan",),
        ("gate",),
        ("scan", ""),
        ("scan", "x", "--format", "yaml"),
        ("run", "--jobs", "0"),
        ("scan", "x", "--timeout", "nan"),
    ],
)
def test_bad_usage_exits_2(words: tuple[str, ...]) -> None:
    done = assay(*words)
    assert done.code == 2
    assert "Usage:" in done.out + done.err


def test_the_version() -> None:
    done = assay("--version")
    assert (done.code, done.out.split()[0]) == (0, "assay")


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("plain",), 0),
        (("evil",), 1),
        (("gone",), 3),
        (("plain", "gone"), 3),
        (("gone", "evil", "plain"), 1),
    ],
)
def test_findings_win_over_open_and_open_over_fine(
    tmp_path: Path, evil: Path, plain: Path, files: tuple[str, ...], code: int
) -> None:
    paths = {"plain": plain, "evil": evil, "gone": tmp_path / "gone.pkl"}
    assert assay("scan", *(paths[f] for f in files)).code == code
    assert assay("scan", *(paths[f] for f in files), "--only", "no-such-check").code == 2


@pytest.mark.parametrize(("level", "code"), [("info", 1), ("low", 1), ("medium", 0), ("critical", 0)])
def test_the_fail_level_decides(tmp_path: Path, level: str, code: int) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x04N.")
    done = assay("scan", path, "--fail-level", level)
    assert done.code == code
    assert ("exit 0: nothing found" in done.err) is (code == 0), "findings beside exit 0 are explained"


def test_a_file_is_the_same_however_its_path_is_typed(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(evil.parent)
    told = [assay("scan", p, "--format", "json").out for p in (evil, evil.name, f"./{evil.name}")]
    bodies = [json.loads(text)["body"] for text in told]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["subjects"][0]["uri"] == evil.name


def test_exit_codes_are_the_same_in_every_format(evil: Path, plain: Path) -> None:
    for format_ in ("text", "json", "sarif"):
        assert [assay("scan", p, "--format", format_).code for p in (evil, plain)] == [1, 0]


def test_findings_on_stdout_and_nothing_else(evil: Path) -> None:
    done = assay("scan", evil)
    assert done.err == ""
    assert "critical[artifact.pickle-code]" in done.out
    assert "1 subject" in done.out.splitlines()[-1]
    assert "\x1b[" not in done.out


def test_the_json_says_check_subject_status_and_findings(evil: Path, plain: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    gone = tmp_path / "gone.pkl"
    done = assay("scan", evil, plain, gone, "--format", "json", "--output", file)
    assert done.code == 1
    assert "critical[artifact.pickle-code]" in done.out
    assert done.err.strip() == f"wrote {file}"
    saved = Done(0, file.read_text("utf-8"), "")
    found = outcomes(saved)
    assert len(found) == 3 * 11
    for (_, subject), outcome in found.items():
        assert subject in {str(evil), str(plain), str(gone)}
        assert outcome["status"] in {"pass", "fail", "open", "not-applicable"}
        assert isinstance(outcome["findings"], list)
    status = {(c, Path(s).name): o["status"] for (c, s), o in found.items()}
    told = ("artifact.pickle-code", "artifact.unsafe-format")
    assert {key: state for key, state in status.items() if key[0] in told} == {
        ("artifact.pickle-code", "evil.pkl"): "fail",
        ("artifact.unsafe-format", "evil.pkl"): "fail",
        ("artifact.pickle-code", "plain.safetensors"): "not-applicable",
        ("artifact.unsafe-format", "plain.safetensors"): "pass",
        ("artifact.pickle-code", "gone.pkl"): "open",
        ("artifact.unsafe-format", "gone.pkl"): "open",
    }
    (planted,) = found["artifact.pickle-code", str(evil)]["findings"]
    assert (planted["check"], planted["subject"], planted["severity"]) == (
        "artifact.pickle-code",
        str(evil),
        "critical",
    )


def test_sarif_goes_to_the_file_and_text_to_the_terminal(evil: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.sarif"
    done = assay("scan", evil, "-f", "sarif", "-o", file)
    sarif = msgspec.json.decode(file.read_bytes())
    assert sarif["version"] == "2.1.0"
    assert {r["ruleId"] for r in sarif["runs"][0]["results"]} == {"artifact.pickle-code", "artifact.unsafe-format"}
    assert "critical[artifact.pickle-code]" in done.out
    assert msgspec.json.decode(assay("scan", evil, "-f", "sarif").out)["runs"][0]["results"]


def test_one_scan_one_body_whatever_the_clock(evil: Path) -> None:
    first, second = (report(assay("scan", evil, "-f", "json")) for _ in range(2))
    assert first["body"] == second["body"]


def test_a_selection_that_asks_nothing_is_an_error(evil: Path) -> None:
    assert one_line(assay("scan", evil, "--only", "data.*"), "none of the checks chosen", code=2)
    assert one_line(assay("scan", evil, "--skip", "*"), "none of the checks chosen", code=2)


def test_output_that_cannot_be_written_is_one_line(evil: Path, tmp_path: Path) -> None:
    done = assay("scan", evil, "-f", "json", "-o", tmp_path / "no/such/folder.json")
    assert one_line(done, "folder.json", "cannot be written", code=2)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RuntimeError("a customer's name"), 70, "a defect of Assay: RuntimeError"),
        (KeyError("a customer's name"), 70, "a defect of Assay: KeyError"),
        (OSError(errno.ENOENT, "no"), 70, "a defect of Assay: FileNotFoundError"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "no space left on device"),
        (MemoryError(), 70, "a defect of Assay: MemoryError"),
        (RecursionError(), 70, "a defect of Assay: RecursionError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_nobody_foresaw_is_told_as_ours(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    from assay.cli import schema

    monkeypatch.setattr(schema.command, "callback", broken)
    monkeypatch.setattr(entry, "_quieten", lambda: None)
    done = assay("schema")
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert "customer" not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_with_the_debug_switch_the_whole_story_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("inside")

    from assay.cli import schema

    monkeypatch.setattr(schema.command, "callback", broken)
    monkeypatch.setenv("ASSAY_DEBUG", "1")
    with pytest.raises(RuntimeError, match="inside"):
        assay("schema")


@pytest.mark.parametrize("words", [("schema",), ("explain",), ("--help",)])
def test_a_reader_that_leaves_early_is_told_apart_from_a_verdict(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start(*words, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("schema",), ("--help",)])
def test_a_full_disk_behind_stdout_is_one_line(words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = shell(*words, stdout=full)
    assert one_line(done, "no space left on device", code=2)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_change_nothing(evil: Path, closed: str) -> None:
    command = f'"$0" -P -m assay.cli.main scan "$1" {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable, str(evil)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if ">&-" not in closed.split():
        assert "critical[" in done.stdout


def test_a_terminal_that_knows_no_signs_gets_escapes(evil: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "iso8859-2", "PYTHONUTF8": "0"}
    done = shell("scan", evil, env=environment)
    assert done.code == 1
    assert "critical[artifact.pickle-code]" in done.out
    assert "\\xb7" in done.out


def test_hostile_file_names_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "m\x1b[2J\nok.pkl"
    path.write_bytes(b"\x80\x04N.")
    done = assay("scan", path)
    assert "\x1b" not in done.out + done.err
    assert one_line(assay("data", "check", tmp_path / "x\x1b[31m\n.csv"), code=2)


def test_the_usage_of_an_unknown_verb_cannot_draw_either() -> None:
    done = assay("x\x1b[2Jy")
    assert done.code == 2
    assert "\x1b" not in done.err


def test_no_home_is_no_trouble(evil: Path) -> None:
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if k not in ("HOME", "USER", "LOGNAME")}
    assert shell("scan", evil, env=environment).code == 1


def test_click_is_what_it_is_made_of() -> None:
    assert isinstance(entry.assay, click.Group)
    assert set(entry.assay.list_commands(click.Context(entry.assay))) == set(VERBS)


def test_a_pipe_or_device_is_written_to_and_never_replaced(evil: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    done = assay("scan", evil, "-f", "json", "-o", pipe)
    out, _ = reader.communicate(timeout=30)
    assert done.code == 1
    assert msgspec.json.decode(out)["body"]["outcomes"]
    assert pipe.is_fifo()
    assert one_line(assay("scan", evil, "-f", "json", "-o", tmp_path), "cannot be written", code=2)


def test_what_is_read_and_what_is_something_else_is_never_written_over(evil: Path, tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text("a,y\n1,0\n")
    model = tmp_path / "model.json"
    model.write_text('{"learner": {"attributes": {}}}')
    before = {path: path.read_bytes() for path in (evil, table, model)}
    done = assay("scan", evil, "-f", "json", "-o", evil)
    assert (done.code, "would be written over" in done.err) == (2, True)
    done = assay("scan", evil, "-f", "html", "-o", table)
    assert (done.code, "is something else" in done.err) == (2, True)
    done = assay("scan", evil, "-f", "json", "-o", model)
    assert (done.code, "is something else" in done.err, done.out) == (2, True, ""), "it is said before the work"
    manifest = tmp_path / "assay.yaml"
    manifest.write_text("system: {name: x}\n")
    done = assay("scan", evil, "-o", manifest)
    assert (done.code, "is something else" in done.err, manifest.read_text()) == (2, True, "system: {name: x}\n")
    assert {path: path.read_bytes() for path in before} == before
    text = tmp_path / "out.txt"
    assert [assay("scan", evil, "-o", text).code for _ in range(2)] == [1, 1], "a report replaces one"


def test_a_file_that_is_there_is_replaced_whole(evil: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text('{"schema": "assay/1", "torn": "' + "x" * 100_000)
    assert assay("scan", evil, "-f", "json", "-o", file).code == 1
    assert msgspec.json.decode(file.read_bytes())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.pkl", "out.json"]


def test_the_bar_of_a_terminal_keeps_its_total_and_so_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.progress import Progress

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(Progress, "update", lambda _, __, **said: told.append(said))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    moments = iter(range(1, 100))
    monkeypatch.setattr("assay.cli.common.time", SimpleNamespace(monotonic=lambda: next(moments)))
    with progress_bar() as show:
        show(1, 4, "rows")
        show(6, 8, "queries")
    assert [(said["completed"], said.get("total")) for said in told] == [(0.25, None), (0.75, None)]
