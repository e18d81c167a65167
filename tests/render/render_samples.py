"""Dossiers as real ones look: a denial, an undecided one, an allowed one with proof, a bare scan, and an empty one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from render_pictures import (
    calibration,
    champion_intervals,
    duplicates,
    evasion_curve,
    holdout_curve,
    scores,
    suspicious_rows,
    waterfall,
    weeks,
    wilson,
)

from assay.config.policy_file import policy_from
from assay.core.decision import (
    Approval,
    ApprovalFact,
    Decision,
    Facts,
    OutcomeFact,
    Signer,
    Waiver,
    WaiverFact,
)
from assay.core.dossier import Coverage, Dossier, Entry, Proof, SignedMaterial
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Outcome, Severity, Status
from assay.core.release import Material, Release, Role, Terms
from assay.core.report import Body, CheckInfo, Report, Run, SystemInfo, TagInfo
from assay.core.subject import Kind, Stage, Subject
from assay.flow.join import vouches_of
from assay.policy.decide import decide

TORN = "the stream breaks off at byte 1,048,576; nothing is known of the rest"
NOW = datetime(2026, 11, 20, 14, 32, 8, tzinfo=UTC)
A, B, C, D = ("sha256:" + c * 64 for c in ("4f1c9be0", "9a2e51c4", "d41f08b2", "77a0c1e4"))
A, B, C, D = (x[:71] for x in (A, B, C, D))

RELEASE = Release(
    system="claims-fraud",
    materials=(
        Material(name="model", role=Role.MODEL, uri="models/claims.onnx", digest=C),
        Material(name="preprocess", role=Role.PREPROCESSING, uri="models/preprocess.pkl", digest=B),
        Material(name="train", role=Role.TRAINING_DATA, uri="data/train.parquet", digest=D),
    ),
    threshold={"model": 0.31},
    terms=Terms(),
    code="8d1f02c77e",
)

SUBJECTS = (
    Subject(name="train", kind=Kind.DATASET, uri="data/train.parquet", digest=D),
    Subject(name="model", kind=Kind.MODEL, uri="models/claims.onnx", digest=C),
    Subject(name="models/preprocess.pkl", kind=Kind.ARTIFACT, uri="models/preprocess.pkl", digest=B),
    Subject(name="models/calibrator.joblib", kind=Kind.ARTIFACT, uri="models/calibrator.joblib", digest=A),
)


def info(
    id_: str, kind: Kind, stage: Stage, severity: Severity, tags: tuple[str, ...], summary: str, fix: str = ""
) -> CheckInfo:
    """A check's words."""
    help_ = f"{summary}\n\nWhy: it matters.\n\nFix: {fix}\n\nReferences: none." if fix else summary
    return CheckInfo(
        id=id_, version=2, kind=kind, stage=stage, severity=severity, tags=tags, summary=summary, help=help_, fix=fix
    )


CHECKS = (
    info(
        "artifact.pickle-code",
        Kind.ARTIFACT,
        Stage.PACKAGE,
        Severity.CRITICAL,
        ("atlas:AML.T0011.000", "owasp-ml-2023:ML06", "eu-ai-act:Art.15"),
        "Pickle files that call code while they load.",
    ),
    info(
        "data.duplicates",
        Kind.DATASET,
        Stage.DATA,
        Severity.LOW,
        ("nist-ai-rmf:MEASURE 2.5",),
        "Rows that stand in the data more than once.",
    ),
    info(
        "data.label-flips",
        Kind.DATASET,
        Stage.DATA,
        Severity.HIGH,
        ("atlas:AML.T0020", "owasp-ml-2023:ML02", "eu-ai-act:Art.10"),
        "Labels that contradict what the rest of the data says.",
    ),
    info(
        "performance.holdout",
        Kind.MODEL,
        Stage.MODEL,
        Severity.INFO,
        ("nist-ai-rmf:MEASURE 2.5", "eu-ai-act:Art.15"),
        "How good the model is on rows it has not seen, with intervals.",
        "if a bound is missed, more or cleaner labels help more often than another model.",
    ),
    info(
        "performance.versus-champion",
        Kind.MODEL,
        Stage.MODEL,
        Severity.INFO,
        ("nist-ai-rmf:MEASURE 2.5",),
        "Whether the model is better or worse than the one in use, row by row on the same holdout.",
        "compare which rows the champion caught and this model does not.",
    ),
    info(
        "robustness.evasion",
        Kind.MODEL,
        Stage.MODEL,
        Severity.HIGH,
        ("atlas:AML.T0015", "owasp-ml-2023:ML01", "eu-ai-act:Art.15"),
        "How much of what the model catches still is caught when an attacker changes what he can.",
        "assay harden models/claims.onnx --against robustness.evasion",
    ),
)

TAGS = (
    TagInfo(
        tag="atlas:AML.T0011.000",
        framework="MITRE ATLAS",
        edition="5.6.0",
        id="AML.T0011.000",
        name="Unsafe AI Artifacts",
        url="https://atlas.mitre.org/",
    ),
    TagInfo(
        tag="atlas:AML.T0015",
        framework="MITRE ATLAS",
        edition="5.6.0",
        id="AML.T0015",
        name="Evade AI Model",
        url="https://atlas.mitre.org/",
    ),
    TagInfo(
        tag="atlas:AML.T0020",
        framework="MITRE ATLAS",
        edition="5.6.0",
        id="AML.T0020",
        name="Poison Training Data",
        url="https://atlas.mitre.org/",
    ),
    TagInfo(
        tag="eu-ai-act:Art.10",
        framework="EU AI Act",
        edition="2024/1689",
        id="Art.10",
        name="Data and data governance",
        url="https://eur-lex.europa.eu/",
    ),
    TagInfo(
        tag="eu-ai-act:Art.15",
        framework="EU AI Act",
        edition="2024/1689",
        id="Art.15",
        name="Accuracy, robustness and cybersecurity",
        url="https://eur-lex.europa.eu/",
    ),
    TagInfo(
        tag="nist-ai-rmf:MEASURE 2.5",
        framework="NIST AI RMF (AI 100-1)",
        edition="1.0",
        id="MEASURE 2.5",
        name="Validity and reliability",
        url="https://www.nist.gov/",
    ),
    TagInfo(
        tag="owasp-ml-2023:ML01",
        framework="OWASP Machine Learning Security Top 10",
        edition="2023 (draft v0.3)",
        id="ML01:2023",
        name="Input Manipulation Attack",
        url="https://owasp.org/",
        verified=False,
    ),
    TagInfo(
        tag="owasp-ml-2023:ML02",
        framework="OWASP Machine Learning Security Top 10",
        edition="2023 (draft v0.3)",
        id="ML02:2023",
        name="Data Poisoning Attack",
        url="https://owasp.org/",
        verified=False,
    ),
    TagInfo(
        tag="owasp-ml-2023:ML06",
        framework="OWASP Machine Learning Security Top 10",
        edition="2023 (draft v0.3)",
        id="ML06:2023",
        name="AI Supply Chain Attacks",
        url="https://owasp.org/",
        verified=False,
    ),
)

RUN = Run(
    started=NOW - timedelta(hours=2), seconds=41.3, tool="assay/0.1.0", python="3.11.9", platform="linux-x86_64", seed=7
)


def finding(
    check: str, subject: str, message: str, uri: str, severity: Severity, mark: str, fix: str = "", **where: object
) -> Finding:
    """One finding with a made-up fingerprint."""
    return Finding(
        message=message,
        location=Location(uri=uri, **where),
        severity=severity,
        confidence=Confidence.HIGH,
        fix=fix,  # type: ignore[arg-type]
        tags=("atlas:AML.T0011.000",) if check.startswith("artifact") else (),
        check=check,
        subject=subject,
        fingerprint=(mark * 32)[:32],
    )


PICKLE = finding(
    "artifact.pickle-code",
    "models/preprocess.pkl",
    "calls os.system while loading",
    "models/preprocess.pkl",
    Severity.CRITICAL,
    "3fe2",
    "convert it: assay harden models/preprocess.pkl",
    offset=28,
)
FLIPS = finding(
    "data.label-flips",
    "train",
    "212 labels look flipped on purpose, all from fraud to not fraud",
    "data/train.parquet",
    Severity.HIGH,
    "5d02",
    "look at the rows, correct or drop them, and train again",
    column="FraudFound_P",
)
TWINS = finding(
    "data.duplicates",
    "train",
    "667 rows stand in the data more than once",
    "data/train.parquet",
    Severity.LOW,
    "a1b2",
    "drop all but one of each",
)


def outcome(check: str, subject: str, digest: str, status: Status, **more: object) -> Outcome:
    """One outcome."""
    return Outcome(check=check, version=2, subject=subject, subject_digest=digest, status=status, **more)  # type: ignore[arg-type]


def recall(value: int = 509) -> Measure:
    """Recall on the holdout."""
    low, high = wilson(value, 723)
    return Measure(
        name="performance.recall",
        value=value / 723,
        low=low,
        high=high,
        n=723,
        direction=Direction.HIGHER,
        method="Wilson",
    )


def outcomes(*, bad: bool = True, torn: bool = True) -> tuple[Outcome, ...]:
    """What the checks said, with or without the planted harm."""
    low, high = wilson(102, 300)
    attacked = Measure(
        name="robustness.evasion.recall_under_attack",
        value=0.34,
        low=low,
        high=high,
        n=300,
        seed=7,
        direction=Direction.HIGHER,
        method="replayed on the real model",
    )
    found = [
        outcome(
            "artifact.pickle-code",
            "models/preprocess.pkl",
            B,
            Status.FAIL if bad else Status.PASS,
            findings=(PICKLE,) if bad else (),
        ),
        outcome("data.duplicates", "train", D, Status.FAIL, findings=(TWINS,), exhibits=(duplicates(),)),
        outcome(
            "data.label-flips",
            "train",
            D,
            Status.FAIL if bad else Status.PASS,
            findings=(FLIPS,) if bad else (),
            exhibits=(suspicious_rows(), weeks()) if bad else (),
        ),
        outcome(
            "performance.holdout",
            "model",
            C,
            Status.PASS,
            measures=(
                recall(),
                Measure(
                    name="performance.pr_auc",
                    value=0.528,
                    low=0.49,
                    high=0.56,
                    n=12053,
                    seed=7,
                    method="average precision, class-wise bootstrap",
                ),
                Measure(
                    name="performance.false_alarm_rate", value=0.062, low=0.058, high=0.067, n=11330, method="Wilson"
                ),
            ),
            exhibits=(holdout_curve(), calibration(), scores()),
        ),
        outcome(
            "performance.versus-champion",
            "model",
            C,
            Status.PASS,
            measures=(
                Measure(
                    name="performance.recall",
                    versus="champion",
                    value=0.018,
                    low=-0.004,
                    high=0.040,
                    n=723,
                    direction=Direction.HIGHER,
                    method="paired, Agresti-Min",
                ),
            ),
            exhibits=(champion_intervals(),),
        ),
        outcome(
            "robustness.evasion",
            "model",
            C,
            Status.PASS,
            measures=(attacked, Measure(name="robustness.evasion.queries", value=1912.0, n=300)),
            exhibits=(evasion_curve(), waterfall()),
        ),
    ]
    if torn:
        found.insert(
            1,
            outcome(
                "artifact.pickle-code",
                "models/calibrator.joblib",
                A,
                Status.OPEN,
                complete=False,
                reason=TORN,
            ),
        )
    return tuple(found)


def body(said: tuple[Outcome, ...], **more: object) -> Body:
    """A body about the sample system."""
    return Body(
        system=SystemInfo(
            name="claims-fraud",
            owner="risk-ml@example.com",
            purpose="Flags motor claims for review",
            role="deployer",
            risk="high",
        ),
        release=RELEASE,
        subjects=SUBJECTS,
        outcomes=said,
        checks=CHECKS,
        tags=TAGS,
        **more,
    )  # type: ignore[arg-type]


def person(name: str, role: str, key: str) -> Signer:
    """A signer."""
    return Signer(person=name, key=f"ed25519:{key * 8}", roles=(role,))


HADDAD = person("R. Haddad", "security", "b1c4")
OKAFOR = person("M. Okafor", "compliance", "f3a8")
LINDQVIST = person("A. Lindqvist", "data-science", "e07c")
MOREAU = person("J. Moreau", "data-science", "6b21")


def approval(signer: Signer, hours: float, decision: str = "approve", comment: str = "") -> ApprovalFact:
    """An approval of the sample release."""
    at = NOW - timedelta(hours=hours)
    return ApprovalFact(
        approval=Approval(
            release=RELEASE.digest,
            role=signer.roles[0],
            decision=decision,
            comment=comment,
            at=at,
            expires=at + timedelta(days=30),
        ),  # type: ignore[arg-type]
        signer=signer,
    )


def waiver(signer: Signer, mark: str, days: float, ends: float, reason: str) -> WaiverFact:
    """A waiver of one finding."""
    return WaiverFact(
        waiver=Waiver(
            release=RELEASE.digest,
            fingerprint=(mark * 32)[:32],
            role=signer.roles[0],
            reason=reason,
            at=NOW - timedelta(days=days),
            expires=NOW + timedelta(days=ends),
        ),
        signer=signer,
    )


POLICY = """policy: release
version: 7
mode: enforce
waivers: {roles: [data-science], longest: 90d}
require:
  - findings: {severity: critical, unwaived_max: 0}
  - findings: {severity: high, unwaived_max: 0}
  - measure: {name: performance.recall, min: 0.6, bound: lower95}
  - measure: {name: performance.recall, versus: champion, min_change: -0.01, bound: lower95}
  - measure: {name: robustness.evasion.recall_under_attack, min: %g, bound: lower95}

  # what is shipped
  - outcome: {check: "artifact.*", status: pass}

  # who signs
  - approvals: {roles: [security, compliance], distinct: 2, exclude: author}
"""
VOUCHED = {"artifact": ("release-ci", 2, "release.json"), "robustness": ("red-team", 5, "attack.json")}
CI = ("ds-ci", 3, "data.json")


def vouched_facts(said: tuple[Outcome, ...]) -> tuple[OutcomeFact, ...]:
    """The outcomes as the gate reads them, each vouched for by who runs such checks."""
    found = []
    for one in said:
        who, hours, bundle = VOUCHED.get(one.check.partition(".")[0], CI)
        signer = Signer(person=who, key=f"ed25519:{who}", roles=("ci",))
        found.append(OutcomeFact(outcome=one, signer=signer, at=NOW - timedelta(hours=hours), bundle=bundle))
    return tuple(found)


def decision(said: tuple[Outcome, ...], least: float, *, preview_reason: str = "", **words: Any) -> Decision:
    """What the gate says of the sample release: `least` is the recall under attack that the policy asks for."""
    facts = Facts(
        release=RELEASE.digest,
        terms=RELEASE.terms,
        outcomes=vouched_facts(said),
        authors=(LINDQVIST,),
        severities={c.id: c.severity for c in CHECKS},
        **words,
    )
    policy = policy_from((POLICY % least).encode(), "policy.yaml")
    return decide(facts, policy, NOW, signed_by="f3a8c1d2e4", preview_reason=preview_reason)


VOUCHES = vouches_of(f for f in vouched_facts(outcomes()) if f.outcome.status is not Status.OPEN)
SIGNED = (SignedMaterial(material="model", person="A. Lindqvist", key="e07c99ab21", at=NOW - timedelta(days=3)),)


def coverage() -> tuple[Coverage, ...]:
    """Three frameworks; one of them has an unverified list."""

    def entries(names: tuple[tuple[str, str, str, str], ...]) -> tuple[Entry, ...]:
        return tuple(Entry(id=i, name=n, state=s, checks=(c,)) for i, n, s, c in names)  # type: ignore[arg-type]

    return (
        Coverage(
            framework="EU AI Act",
            edition="Regulation (EU) 2024/1689",
            url="https://eur-lex.europa.eu/",
            verified=True,
            entries=entries(
                (
                    ("Art.10", "Data and data governance", "evidenced", "data.label-flips"),
                    ("Art.12", "Record-keeping", "evidenced", "gate.evidence"),
                    ("Art.14", "Human oversight", "missing", "gate.approvals"),
                    ("Art.15", "Accuracy, robustness and cybersecurity", "evidenced", "robustness.evasion"),
                )
            ),
        ),
        Coverage(
            framework="NIST AI RMF (AI 100-1)",
            edition="1.0 (2023-01)",
            url="https://www.nist.gov/",
            verified=True,
            entries=entries(
                tuple(
                    (
                        f"MEASURE 2.{i}",
                        "Measure",
                        ("evidenced", "declared", "outside", "evidenced")[i % 4],
                        "performance.holdout",
                    )
                    for i in range(1, 14)
                )
            ),
        ),
        Coverage(
            framework="OWASP Machine Learning Security Top 10",
            edition="2023 (draft v0.3)",
            url="https://owasp.org/",
            verified=False,
            entries=entries(
                (
                    ("ML01:2023", "Input Manipulation Attack", "evidenced", "robustness.evasion"),
                    ("ML02:2023", "Data Poisoning Attack", "evidenced", "data.label-flips"),
                    ("ML03:2023", "Model Inversion Attack", "missing", "privacy.inversion"),
                    ("ML06:2023", "AI Supply Chain Attacks", "evidenced", "artifact.pickle-code"),
                )
            ),
        ),
    )


def deny() -> Dossier:
    """A denial: planted code, flipped labels, a fragile model, one torn file, one missing approval."""
    return Dossier(
        report=Report(body=body(outcomes()), run=RUN),
        decision=decision(
            outcomes(),
            0.4,
            approvals=(approval(HADDAD, 1),),
            waivers=(
                waiver(MOREAU, "a1b2", 8, 22, "known twins of the hotline import, harmless"),
                waiver(MOREAU, "ffff", 80, -10, "fixed since"),
            ),
        ),
        vouches=VOUCHES,
        signatures=SIGNED,
        coverage=coverage(),
    )


def indeterminate() -> Dossier:
    """A preview of a run alone: nothing denies, but not everything could be judged."""
    return Dossier(
        report=Report(body=body(outcomes(bad=False)), run=RUN),
        decision=decision(
            outcomes(bad=False),
            0.3,
            preview_reason="unsigned: this run only, on this machine",
        ),
    )


def allow() -> Dossier:
    """Allowed, signed and logged."""
    return Dossier(
        report=Report(body=body(outcomes(bad=False, torn=False)), run=RUN),
        decision=decision(
            outcomes(bad=False, torn=False),
            0.25,
            approvals=(approval(HADDAD, 1), approval(OKAFOR, 0.5)),
            waivers=(waiver(MOREAU, "a1b2", 8, 22, "known twins of the hotline import, harmless"),),
        ),
        vouches=VOUCHES,
        signatures=SIGNED,
        coverage=coverage(),
        proof=Proof(
            verdict=f"urn:assay:release:{RELEASE.digest}",
            key="f3a8c1d2e4b5a697",
            expires=NOW + timedelta(days=30),
            origin="log.example.com/claims",
            size=18442,
            root="9c7d25e0b4f81a63d07e5b92ac4418f6372ed0915fbc86a4e13b70d85529cf4a",
            checkpoint="log.example.com/claims\n18442\nnH0l4LT4GmPQfluSrEQY9jcu0JFfvIak4TtwCFUpz0o=\n\n"
            "— log.example.com/claims AbCd1234\n",
            inputs=(("data.json", A), ("attack.json", B), ("release.json", C)),
            commands=(
                "assay verify verdict.json --key gate.pub --at .",
                "assay log verify --ledger ledger.db --against checkpoint.txt",
            ),
        ),
    )


def scan() -> Dossier:
    """Three files, no release, no policy."""
    files = tuple(
        Subject(name=n, kind=Kind.ARTIFACT, uri=n, digest=d)
        for n, d in (("evil.pkl", A), ("good.safetensors", B), ("torn.pkl", C))
    )
    said = (
        outcome(
            "artifact.pickle-code",
            "evil.pkl",
            A,
            Status.FAIL,
            findings=(
                finding(
                    "artifact.pickle-code",
                    "evil.pkl",
                    "calls os.system while loading",
                    "evil.pkl",
                    Severity.CRITICAL,
                    "77aa",
                    "do not load it: assay harden evil.pkl",
                    offset=28,
                ),
            ),
        ),
        outcome("artifact.pickle-code", "good.safetensors", B, Status.PASS),
        outcome(
            "artifact.pickle-code",
            "torn.pkl",
            C,
            Status.OPEN,
            complete=False,
            reason="the stream ends inside an opcode at byte 812",
        ),
    )
    return Dossier(
        report=Report(body=Body(subjects=files, outcomes=said, checks=CHECKS[:1], tags=TAGS), run=RUN),
    )


def empty() -> Dossier:
    """Nothing was examined."""
    return Dossier(report=Report(body=Body(), run=RUN))


SAMPLES = {"deny": deny, "indeterminate": indeterminate, "allow": allow, "scan": scan, "empty": empty}
