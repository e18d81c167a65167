"""What archives share: views, guards, budgets, spooling, names, and notes that do not flood."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.finding import Severity
from assay.formats.archives import member
from assay.formats.archives.member import Budget, NoteBook, guarded, spooled
from assay.formats.archives.names import check_name, leaves
from assay.formats.reading import Limits, Note
from assay.formats.stream import Window


class _Broken(io.BytesIO):
    """A file whose library raises what it likes."""

    def read(self, size: int | None = -1) -> bytes:
        raise RuntimeError("bad magic")


class _Endless(io.BytesIO):
    """A file of no known end."""

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            raise OSError("no known end")
        return super().seek(offset, whence)


def test_a_guarded_file_fails_with_oserror_only() -> None:
    with guarded(_Broken(b"abc")) as file:
        assert file.seek(0, 2) == 3
        with pytest.raises(OSError, match="bad magic"):
            file.read()


@given(st.binary(max_size=40), st.integers(0, 50), st.integers(0, 50), st.lists(st.integers(-5, 45), max_size=8))
def test_a_window_is_a_slice(data: bytes, start: int, size: int, moves: list[int]) -> None:
    window, plain = Window(io.BytesIO(data), start, size), io.BytesIO(data[start : start + size])
    for move in moves:
        assert window.seek(max(0, move)) == plain.seek(max(0, move))
        assert window.read(abs(move)) == plain.read(abs(move))
        assert window.tell() == plain.tell() or window.tell() > len(data) - start
    window.seek(0)
    assert window.read() == data[start : start + size]


def test_what_can_be_sought_is_not_copied() -> None:
    file = io.BytesIO(b"abc")
    assert spooled(file, Limits()) is file
    copy = spooled(_Endless(b"abc"), Limits())
    assert copy.seek(0, 2) == 3
    copy.close()
    with pytest.raises(OSError, match="more than 2 bytes"):
        spooled(_Endless(b"abc"), Limits(max_unpacked=2))


def test_a_budget_is_one_for_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(Limits(max_unpacked=100))
    budget.spend(10, 60)
    with pytest.raises(OSError, match="more than 100 bytes"):
        budget.spend(10, 41)
    monkeypatch.setattr(member, "FREE_OUTPUT", 1000)
    ratio = Budget(Limits())
    ratio.spend(5, 1000)
    ratio.spend(10, 400)
    with pytest.raises(OSError, match="bomb"):
        ratio.spend(0, 200)


def test_notes_keep_the_worst_of_what_they_leave_out() -> None:
    notes: list[Note] = []
    book = NoteBook("zip", notes)
    for index in range(40):
        book.add("kind", "says something", Severity.HIGH if index == 33 else Severity.LOW, f"m{index}")
        book.add("kind", "says it again", Severity.LOW, "m0")
    book.finish()
    book.finish()
    assert [note.severity for note in notes[:25]] == [Severity.LOW] * 25
    assert notes[25].severity is Severity.HIGH
    assert len(notes) == 26


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/a", "\\a", "C:\\a", "c:/a", "a\\..\\..\\b", "./../a"])
def test_paths_that_leave(path: str) -> None:
    assert leaves(path)


@pytest.mark.parametrize("path", ["a", "a/../b", "./a", "a..b/c", "..a", "a:b", "a/C:", ""])
def test_paths_that_stay(path: str) -> None:
    assert not leaves(path)
    assert not leaves("../" + path, "folder") or path.startswith("..")


@pytest.mark.parametrize(
    "name", ["a/b.pkl", "übung/模型.bin", "a b (1).txt", "-", "..a/x", "a" * 300, "é/👍.txt", "~$x%&!"]
)
def test_ordinary_names_give_nothing(name: str) -> None:
    notes: list[Note] = []
    check_name(NoteBook("zip", notes), name)
    assert notes == []
