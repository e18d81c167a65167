"""A small world of real keys, files and papers for the flow's tests: one project, four people, one gate."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from assay.attest.keys import PrivateKey, generate
from assay.attest.signature import sign_files, signature_path, write_signature
from assay.config.manifest import load_project
from assay.core.decision import Approval, Waiver
from assay.core.finding import Finding, Location, Measure, Outcome, Severity, Status, fingerprint
from assay.core.release import Release
from assay.core.report import Body, Report, Run
from assay.core.subject import Subject
from assay.engine.registry import load, resolve_parameters
from assay.engine.task import seed_for
from assay.flow.book import open_book
from assay.flow.gate import Gated, gate
from assay.flow.join import expected_for
from assay.flow.papers import sign_document, sign_report, sign_word, trusted_threats
from assay.flow.release import build_release, digest_subjects
from assay.flow.workspace import DigestMemory

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OWNER, GATE, DANA, SAM, SUE, CAROL, STRANGER = (
    generate(name) for name in ("owner", "gate", "dana", "sam", "sue", "carol", "stranger")
)
MANIFEST = """\
system: {name: claims}
subjects:
  train: {dataset: train.csv, label: y}
  model: {model: model.onnx, data: train, threshold: 0.31}
features:
  age: {min: 0, max: 120}
"""
POLICY = """\
policy: release
version: 3
waivers: {roles: [security, compliance], longest: 30d}
require:
  - findings: {severity: high, unwaived_max: 0}
  - outcome: {check: "artifact.*", status: pass}
  - measure: {name: performance.recall, min: 0.6, bound: lower95}
  - approvals: {roles: [security, compliance], distinct: 2, exclude: author}
"""


def roster(**fields: str) -> str:
    """The roster's text; `fields` adds YAML to one person's entry."""
    people = {
        "dana": (DANA, "data-science"),
        "sam": (SAM, "security"),
        "sue": (SUE, "security"),
        "carol": (CAROL, "compliance"),
    }
    lines = [
        f"  - {{name: {name}, roles: [{role}], keys: ['{key.public.text}']{fields.get(name, '')}}}"
        for name, (key, role) in people.items()
    ]
    return "roster: team\nversion: 1\npeople:\n" + "\n".join(lines) + "\n"


def measure(value: float = 0.8) -> Measure:
    return Measure(name="performance.recall", value=value, low=value - 0.05, high=value + 0.05, n=1000)


def finding(check: str, subject: str, severity: Severity = Severity.HIGH) -> Finding:
    bare = Finding(
        message="wrong", location=Location(uri="f"), key="k", severity=severity, check=check, subject=subject
    )
    return replace(bare, fingerprint=fingerprint(check, subject, bare))


class World:
    """A folder with a project, its papers and the gate's own folder. Every method writes real files."""

    def __init__(self, root: Path) -> None:
        self.root, self.project, self.papers = root, root / "project", root / "papers"
        self.project.mkdir()
        self.papers.mkdir()
        (self.project / "assay.yaml").write_text(MANIFEST)
        (self.project / "model.onnx").write_bytes(b"weights")
        (self.project / "train.csv").write_text("age,y\n1,0\n")
        self.policy = self.document("policy.yaml", POLICY)
        self.roster = self.document("roster.yaml", roster())

    def document(self, name: str, text: str, key: PrivateKey = OWNER) -> Path:
        """A signed policy, roster or threat pack."""
        path = self.root / name
        path.write_text(text)
        signature_path(path).unlink(missing_ok=True)
        write_signature(path, sign_document(path, key, NOW - DAY)[1])
        return path

    def release(self) -> Release:
        project, memory = load_project(self.project), DigestMemory(Path(), trust=False)
        release = build_release(project, digest_subjects(project, memory), memory)
        assert release is not None
        return release

    def report(
        self, only: Callable[[str], bool] = lambda check: True, change: dict[str, dict[str, Any]] | None = None
    ) -> Report:
        """A report in which every check that applies passed; `change` bends the outcomes of a check."""
        release = self.release()
        digests = {m.name: m.digest for m in release.materials}
        outcomes = []
        for check, subjects in expected_for(release).items():
            for subject in subjects if only(check) else ():
                said = Outcome(
                    check=check,
                    version=load(check).spec.version,
                    subject=subject,
                    subject_digest=digests[subject],
                    status=Status.PASS,
                    measures=(measure(),) if check == "performance.holdout" else (),
                    parameters=resolve_parameters(load(check), {}),
                    seed=seed_for(0, check),
                )
                outcomes.append(replace(said, **(change or {}).get(check, {})))
        named = tuple(
            Subject(name=m.name, kind="dataset" if m.role == "training-data" else "model", uri=m.uri, digest=m.digest)  # type: ignore[arg-type]
            for m in release.materials
        )
        run = Run(started=NOW - HOUR, seconds=1.0, tool="assay/0", python="3.11", platform="Linux")
        body = Body(release=release, subjects=named, outcomes=tuple(outcomes))
        return Report(body=body, run=run)

    def write(self, name: str, envelope: bytes) -> Path:
        path = self.papers / name
        path.write_bytes(envelope)
        return path

    def evidence(self, report: Report | None = None, key: PrivateKey = DANA, name: str = "evidence.json") -> Path:
        return self.write(name, sign_report(report or self.report(), key))

    def approve(self, role: str, key: PrivateKey, name: str = "", **changes: Any) -> Path:
        given = {"release": self.release().digest, "at": NOW - HOUR, "expires": NOW + 7 * DAY, **changes}
        return self.write(name or f"approval-{role}.json", sign_word(Approval(role=role, **given), key))

    def waive(self, mark: str, role: str, key: PrivateKey, **changes: Any) -> Path:
        given = {"release": self.release().digest, "at": NOW - HOUR, "expires": NOW + 7 * DAY, **changes}
        word = Waiver(fingerprint=mark, role=role, reason="known", **given)
        return self.write(f"waiver-{role}.json", sign_word(word, key))

    def sign_model(self, key: PrivateKey = DANA) -> Path:
        path = self.project / "model.onnx"
        return self.write("model.sig", sign_files(path, key, NOW - HOUR))

    def everything(self) -> list[Path]:
        """All papers of a release that is in order."""
        return [
            self.evidence(),
            self.sign_model(),
            self.approve("security", SAM),
            self.approve("compliance", CAROL),
        ]

    def gate(self, papers: Iterable[Path], now: datetime = NOW, key: PrivateKey | None = None, **changes: Any) -> Gated:
        """Ask the gate; with a key it writes its ledger and signs."""
        given = {"policy": self.policy, "roster": self.roster, "owner": OWNER.public, **changes}
        policy, people, owner = given["policy"], given["roster"], given["owner"]
        pack = given.get("threats")
        held = trusted_threats(pack, OWNER.public) if pack is not None else None
        if key is None:
            return gate(papers, policy, people, owner, OWNER.public, now, threats=held, publisher=OWNER.public)
        with open_book(self.root / "ledger.db", lambda: now) as log:
            return gate(
                papers, policy, people, owner, OWNER.public, now, threats=held, publisher=OWNER.public, log=log, key=key
            )


def opened(path: Path) -> dict[str, Any]:
    """The statement in a paper, unverified."""
    said: dict[str, Any] = json.loads(base64.b64decode(_envelope(json.loads(path.read_bytes()))["payload"]))
    return said


def _envelope(paper: dict[str, Any]) -> dict[str, Any]:
    """The DSSE envelope of a paper: the paper itself, or inside a model's bundle."""
    found: dict[str, Any] = paper.get("dsseEnvelope", paper)
    return found


def forged(path: Path, bend: Callable[[dict[str, Any]], None], name: str = "forged.json") -> Path:
    """The paper with its statement changed and its old signature kept."""
    envelope = json.loads(path.read_bytes())
    said = opened(path)
    bend(said)
    _envelope(envelope)["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    target = path.with_name(name)
    target.write_text(json.dumps(envelope))
    return target


__all__ = [
    "CAROL", "DANA", "DAY", "GATE", "HOUR", "MANIFEST", "NOW", "OWNER", "POLICY", "SAM", "STRANGER", "World",
    "finding", "forged", "measure", "opened", "roster", "signature_path",
]  # fmt: skip
