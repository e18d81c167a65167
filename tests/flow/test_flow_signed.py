"""Model signatures at the gate: whoever signed every file of the model is its author, whichever tool wrote it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from flow_world import CAROL, DANA, HOUR, NOW, SAM, World

from assay.attest import bundle
from assay.attest import statement as st
from assay.attest.signature import sign_files
from assay.core.decision import Verdict
from assay.core.errors import VerificationError
from assay.flow.book import open_book
from assay.flow.memory import opened as opened_entry


def others(world: World, **changes: Any) -> bytes:
    """Dana's signature of the model as another tool writes it: without a time."""
    digest = hashlib.sha256((world.project / "model.onnx").read_bytes()).digest()
    said = {
        "_type": st.STATEMENT_TYPE,
        "subject": [{"name": "model.onnx", "digest": {"sha256": hashlib.sha256(digest).hexdigest()}}],
        "predicateType": st.SIGNATURE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": ".", "algorithm": "sha256", "digest": digest.hex()}],
        },
        **changes,
    }
    return bundle.sign(json.dumps(said, indent=2).encode(), DANA)


def test_another_tools_signature_names_the_author(world: World) -> None:
    papers = world.everything()
    world.write("model.sig", others(world))
    gated = world.gate(papers)
    assert gated.decision.verdict is Verdict.ALLOW
    assert [a.person for a in gated.joined.facts.authors] == ["dana"]
    assert gated.joined.signatures == (), "it does not say when it was made"


def test_a_signature_that_contradicts_itself_is_refused(world: World) -> None:
    papers = world.everything()
    subject = [{"name": "model.onnx", "digest": {"sha256": "0" * 64}}]
    world.write("model.sig", others(world, subject=subject))
    with pytest.raises(VerificationError, match="contradicts itself"):
        world.gate(papers)
    world.write("model.sig", others(world, predicateType="urn:other"))
    with pytest.raises(VerificationError, match="is no evidence"):
        world.gate(papers)


def folder_world(world: World) -> Path:
    """The world's model as a folder of two files and one of git's."""
    model = world.project / "model"
    model.mkdir()
    (world.project / "model.onnx").rename(model / "model.onnx")
    (model / "vocabulary.txt").write_text("a b c")
    (model / ".gitattributes").write_text("*.onnx filter=lfs")
    manifest = world.project / "assay.yaml"
    manifest.write_text(manifest.read_text().replace("model.onnx", "model"))
    return model


@pytest.mark.parametrize(
    ("left_out", "authors"), [((), ["dana"]), (("vocabulary.txt",), []), (("model.onnx",), [])]
)  # fmt: skip
def test_the_author_of_a_folder_signed_all_of_it(world: World, left_out: tuple[str, ...], authors: list[str]) -> None:
    model = folder_world(world)
    papers = [
        world.evidence(),
        world.write("model.sig", sign_files(model, DANA, NOW - HOUR, ignore=left_out)),
        world.approve("security", SAM),
        world.approve("compliance", CAROL),
    ]
    joined = world.gate(papers).joined
    assert [a.person for a in joined.facts.authors] == authors
    assert [s.material for s in joined.signatures] == ["model"] * len(authors)


def test_the_ledger_shows_what_a_signature_says(world: World) -> None:
    gated = world.gate(world.everything(), key=CAROL)
    assert gated.decision.verdict is Verdict.ALLOW
    with open_book(world.root / "ledger.db") as book:
        (entry,) = book.read(kind="signature")
        said = opened_entry(book, entry)
    assert said["predicateType"] == st.SIGNATURE
    assert said["predicate"]["resources"][0]["name"] == "."
