"""Model signatures made and judged without Assay: `cryptography` and json, from the published formats alone."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
GIT = [".git", ".gitattributes", ".github", ".gitignore"]
HASH = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
Bend = Callable[[dict[str, Any]], None]


def keep(value: dict[str, Any]) -> None:
    """Bends nothing."""


def hint(key: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def pae(payload: bytes, kind: str = IN_TOTO) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def statement(root: Path) -> dict[str, Any]:
    """The statement over a file or folder, as the format says: names sorted by their parts."""
    found = {"."} if root.is_file() else {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    names = sorted((n for n in found if n.split("/")[0] not in GIT), key=lambda n: n.split("/"))
    digests = [hashlib.sha256((root / n).read_bytes()).hexdigest() for n in names]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": root.name, "digest": {"sha256": root_of(digests)}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": GIT,
            },
            "resources": [
                {"name": n, "algorithm": "sha256", "digest": d} for n, d in zip(names, digests, strict=True)
            ],
        },
    }  # fmt: skip


def root_of(digests: list[str]) -> str:
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def rooted(said: dict[str, Any]) -> None:
    """Make the subject's digest right again for changed resources."""
    said["subject"][0]["digest"]["sha256"] = root_of([r["digest"] for r in said["predicate"]["resources"]])


def write(
    root: Path, key: ec.EllipticCurvePrivateKey, bend: Bend = keep, *, wrap: Bend = keep, again: bool = False
) -> bytes:
    """A bundle over `root`; `bend` changes the statement before it is signed (`again`: and its root), `wrap` the rest
    afterwards."""
    said = statement(root)
    bend(said)
    if again:
        rooted(said)
    return wrapped(json.dumps(said, indent=2).encode(), key, wrap)


def wrapped(payload: bytes, key: ec.EllipticCurvePrivateKey, wrap: Bend = keep, message: bytes = b"") -> bytes:
    signature = key.sign(message or pae(payload), ec.ECDSA(HASH[key.curve.key_size]))
    bundle: dict[str, Any] = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": b64encode(payload).decode(),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": b64encode(signature).decode(), "keyid": ""}],
        },
    }
    wrap(bundle)
    return json.dumps(bundle).encode()


def check(data: bytes, root: Path, key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    """The predicate of a bundle that holds for `root` under `key`; AssertionError or InvalidSignature otherwise."""
    bundle = json.loads(data)
    assert set(bundle) == {"mediaType", "verificationMaterial", "dsseEnvelope"}
    assert bundle["mediaType"] == BUNDLE
    assert bundle["verificationMaterial"] == {"publicKey": {"hint": hint(key)}, "tlogEntries": []}
    envelope = bundle["dsseEnvelope"]
    assert envelope["payloadType"] == IN_TOTO
    (signature,) = envelope["signatures"]
    payload = b64decode(envelope["payload"], validate=True)
    key.verify(b64decode(signature["sig"], validate=True), pae(payload), ec.ECDSA(HASH[key.curve.key_size]))
    said, wanted = json.loads(payload), statement(root)
    assert (said["subject"], said["predicate"]["resources"]) == (wanted["subject"], wanted["predicate"]["resources"])
    return dict(said["predicate"])
