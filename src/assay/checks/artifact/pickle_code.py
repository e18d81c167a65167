"""artifact.pickle-code: what a pickled file would import and call, read from its opcodes."""

from __future__ import annotations

from collections.abc import Iterator

from assay.checks.noted import MOST_FINDINGS, finding_of, settle, words
from assay.core.artifact import Artifact, File
from assay.core.check import check
from assay.core.finding import Confidence, Finding, Location, Severity
from assay.core.subject import Kind, Stage
from assay.formats.artifact import ArtifactFacts, may_load
from assay.formats.known import current
from assay.formats.pickle.facts import GlobalFact, PickleFacts
from assay.formats.reading import Topic
from assay.formats.survey import survey

FIX = "do not load it; ask for the weights as ONNX, safetensors or skops from a source you trust"

OWN = "if the class is yours, name it in `allow:` of assay.yaml, or as safe in a threat pack; else do not load the file"


@check(
    "artifact.pickle-code",
    on=Kind.ARTIFACT,
    stage=Stage.PACKAGE,
    severity=Severity.CRITICAL,
    cost="instant",
    version=5,
    tags=("owasp-ml-2023:ML06", "atlas:AML.T0011.000"),
)
def pickle_code(artifact: Artifact, *, strict: bool = False) -> Iterator[Finding]:
    """Code that a pickled file would run while it is loaded.

    Why: a pickle is a program. Loading one with pickle, joblib, torch or numpy runs whatever its author put in, with
    your rights, before any model exists. Planted code is the commonest attack on shared models.

    How it decides: the opcodes are run on an abstract machine that keeps the same stack and memo as Python's own
    unpickler but imports and calls nothing. Every name that would be imported is judged by a written list: known-safe
    (ordinary numpy, scipy, pandas, scikit-learn, lightgbm, torch and the like), unknown (noted, not failing unless
    `strict`), dangerous, or impossible to resolve without running it. Several pickles in one file, pickles nested in
    constants, in zip, tar and compressed files are followed. A function that the file carries by value (cloudpickle,
    dill) and that loading does not call is high, as it runs once it is used. What would exhaust memory or never end
    while it is loaded (tuples that hold themselves twice again and again, a range of a billion made a list) is told.
    Nothing is ever loaded. Passwords, tokens and keys in what a call is given are left out of the finding.

    What it cannot say: that a known-safe class of the version you have installed has no defect of its own.

    Fix: do not load the file. Ask its author for weights in a format that holds no code (ONNX, safetensors, skops).
    A class of your own can be allowed in the manifest (`allow:` and `allow_until:` of the model), name by name.
    `strict` also fails on classes the list does not know. A file may take a minute, and the whole of a folder ten.

    References: CPython's pickletools; MITRE ATLAS AML.T0011.000; OWASP ML06:2023.
    """
    gaps: list[str] = []
    pickles = count = 0
    for seen in survey(artifact):
        gaps += [words(seen.file, gap.reason) for gap in seen.gaps if Topic.PICKLE in gap.topics]
        facts = seen.facts
        if facts is None:
            continue
        if facts.streams:
            pickles += 1
            for finding in _findings(seen.file, facts, artifact.allow, strict):
                count += 1
                if count <= MOST_FINDINGS:
                    yield finding
    if count > MOST_FINDINGS:
        gaps.append(f"{count - MOST_FINDINGS} further findings are not listed")
    settle(gaps, bool(pickles), "no pickle in it")


def _findings(file: File, facts: ArtifactFacts, allow: frozenset[str], strict: bool) -> Iterator[Finding]:
    yield from (finding_of(file, note) for note in facts.notes if note.topic is Topic.PICKLE)
    seen: set[tuple[str, str]] = set()
    for stream, fact in facts.globals():
        by_pack = fact.tier == "safe" and current().safe(fact.module, fact.name)
        if (fact.tier == "safe" and not by_pack) or (stream.where, fact.qualified) in seen:
            continue
        seen.add((stream.where, fact.qualified))
        if by_pack:
            yield _listed(file, stream, fact)
            continue
        yield _finding(file, stream, fact, strict, may_load(fact, allow))


def _listed(file: File, stream: PickleFacts, fact: GlobalFact) -> Finding:
    """A name that only the threat pack calls safe: noted, so that everyone sees on whose word it passed."""
    return Finding(
        message=f"names {fact.qualified}, which threat pack {current().name} lists as safe",
        location=Location(uri=file.uri, member=stream.where, offset=fact.offset),
        key=fact.qualified,
        severity=Severity.INFO,
        evidence={"global": fact.qualified, "tier": fact.tier, "why": f"threat pack {current().name}"},
    )


def _finding(file: File, stream: PickleFacts, fact: GlobalFact, strict: bool, allowed: bool) -> Finding:
    what = fact.qualified
    if fact.calls:
        message = f"calls {fact.calls[0]} while loading"
    elif "called" in fact.uses or "result-called" in fact.uses:
        message = f"calls {what} while loading"
    elif "patched" in fact.uses:
        message = f"changes {what} while loading"
    else:
        message = f"imports {what} while loading"
    severity = {"dangerous": Severity.CRITICAL, "unresolvable": Severity.HIGH}.get(fact.tier)
    if severity is Severity.CRITICAL and fact.by_value:
        severity, message = Severity.HIGH, f"carries a function of its own ({what}), which runs once it is used"
    if allowed:
        severity, message = Severity.INFO, f"{message}, which the manifest allows"
    elif severity is None:
        severity = Severity.MEDIUM if strict else Severity.INFO
        message = message.replace(" while loading", ", a class that the list does not know")
    return Finding(
        message=message,
        location=Location(uri=file.uri, member=stream.where, offset=fact.offset),
        key=what,
        severity=severity,
        confidence=Confidence.HIGH if fact.tier != "unresolvable" else Confidence.MEDIUM,
        evidence={
            "global": what,
            "tier": fact.tier,
            "why": fact.why,
            "uses": list(fact.uses),
            "calls": list(fact.calls),
        },
        fix="" if severity is Severity.INFO else OWN if fact.tier == "unknown" else FIX,
    )
