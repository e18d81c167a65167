"""The demo's story as a person would see it: it holds, it says where the report is, and a broken step breaks it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("lightgbm")
from assay.core.errors import InputError
from assay.labs import demo

NO_HTML = importlib.util.find_spec("assay.render.html") is None


@pytest.mark.heavy  # `make demo`, which CI runs too, plays it
@pytest.mark.skipif(NO_HTML, reason="assay.render.html is not there yet")
def test_every_step_of_the_story_holds(tmp_path: Path) -> None:
    said: list[str] = []
    assert demo.play(tmp_path / "story", 11, said.append), "\n".join(said[-20:])
    text = "\n".join(said)
    assert "Every step held." in text
    report = tmp_path / "story/compliance/report.html"
    assert f"report: {report}" in text
    assert report.read_text("utf-8").lstrip().lower().startswith("<!doctype html>")
    for word in ("DENY", "INDETERMINATE", "ALLOW", "models/model.txt", "threshold of model"):
        assert word in text, word
    with pytest.raises(InputError, match="earlier demo"):
        demo.play(tmp_path / "story", 11, said.append)


def test_a_step_that_does_not_hold_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def first_step(story: demo.Story) -> None:
        story.run(story.science, "explain no-such-thing", code=0)

    monkeypatch.setattr(demo, "_people", first_step)
    assert not demo.play(tmp_path / "story", 1, said.append)
    assert said[-1].lstrip().startswith("THE STORY BROKE: exit 2, expected 0")
    assert "Every step held." not in said


def test_a_step_must_show_what_it_promises(tmp_path: Path) -> None:
    story = demo.Story(tmp_path, lambda _: None)
    story.science.mkdir(parents=True)
    with pytest.raises(Exception, match="not shown"):
        story.run(story.science, "--version", code=0, shows=("no such text",))
