"""A threat pack's file: what is written is what is read, and what is odd is refused with its line."""

from __future__ import annotations

import pytest

from assay.config.threats_file import threats_at, threats_from
from assay.core.errors import InputError, UsageError

HEAD = "threats: org\nversion: 4\nissued: 2026-11-20\n"


def test_a_whole_pack_is_read() -> None:
    text = HEAD + (
        "names:\n  dangerous: {pkg.mod: runs code}\n  safe: {lib.models: [Scaler]}\n"
        "packages: {popular: [acme-ml], real: [acme], malicious: {acme-m1: steals keys}}\n"
        "advisories: [{id: MAL-1, modified: '2026-11-01T00:00:00Z', affected: []}]\n"
        "supersedes: [{check: artifact.*, since: 3, why: a gadget}]\n"
    )
    pack = threats_from(text.encode(), "t.yaml")
    assert (pack.ref.name, pack.ref.version) == ("org", 4)
    assert pack.content.names.safe == {"lib.models": ("Scaler",)}
    assert pack.content.supersedes[0].since == 3
    assert pack.alone.known == {pack.digest: pack.ref}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threats: org\nissued: 2026-11-20\n", "version"),
        (HEAD.replace("4", "0"), "version"),
        (HEAD.replace("2026-11-20", "soon"), "issued"),
        (HEAD + "surprise: 1\n", "surprise"),
        (HEAD + "schema: assay/2\n", "not known"),
        (HEAD + "names: {dangerous: {'': x}}\n", "names"),
        (HEAD + "names: {safe: {m: Scaler}}\n", "safe"),
        (HEAD + "supersedes: [{check: a.b, since: 5, why: x}]\n", "this pack is version 4"),
        (HEAD + "supersedes: [{check: a.b, since: 1}]\n", "why"),
        (HEAD + "advisories: [{name: x}]\n", "no OSV record"),
        ("- 1\n", "t.yaml"),
        ("threats: [", "t.yaml"),
        ("\x00", "t.yaml"),
    ],
)
def test_what_is_odd_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        threats_from(text.encode(), "t.yaml")
    assert said in str(caught.value)
    assert "t.yaml" in str(caught.value)


def test_a_pack_that_changed_since_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("packs") / "t.yaml"
    path.write_text(HEAD)
    digest = threats_from(HEAD.encode(), "").digest
    assert threats_at(str(path), digest).content.version == 4
    path.write_text(HEAD.replace("4", "5"))
    with pytest.raises(InputError, match="changed since"):
        threats_at(str(path), digest)
    path.unlink()
    with pytest.raises(InputError):
        threats_at(str(path), digest)
