"""The chain Data → Training → Model → Package → Approval → Live: how each link stands, and who vouches for it."""

from __future__ import annotations

import msgspec

from assay.core.canonical import short
from assay.core.decision import RuleTrace, Standing, Verdict
from assay.core.finding import Finding, Measure, Outcome, Severity, Status, measure_key
from assay.core.release import Role
from assay.core.subject import Stage
from assay.render.page.escape import code, esc, split_command
from assay.render.page.evidence import anchor, shown
from assay.render.page.parts import Tone, age, digest, sign, vouched
from assay.render.page.say import findings_of, headline, measure_value, reader, tally
from assay.render.page.view import View, grave, is_open
from assay.render.page.words import counted, listed, name_words, plural, span

_SHORT = 120
_SIGN = "its author signs it: <code>assay sign MODEL</code>"
_LEGEND = (
    '<p class="note legend-chain">Vouched by: who signed what was seen. Digest: the fingerprint of the bytes; another '
    "file has another. What begins with <code>assay</code> is a command for whoever is asked to act.</p>"
)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link. The fields are HTML except `name`, `word` and `note`, which are plain."""

    name: str
    tone: Tone
    word: str
    note: str = ""
    vouched: str = "nobody"
    sure: str = "–"
    age: str = "–"
    digest: str = "–"
    next: str = "–"
    href: str = ""


def chain(view: View) -> str:
    """The chain as HTML, or "" where nothing speaks of a release."""
    if view.body.release is None and view.decision is None:
        return ""
    links = [
        _stage(view, "Data", Stage.DATA),
        _training(view),
        _stage(view, "Model", Stage.MODEL),
        _stage(view, "Package", Stage.PACKAGE),
        _approval(view),
        _live(view),
    ]
    return f'<ol class="chain" aria-label="Chain of trust">{"".join(_html(link) for link in links)}</ol>{_LEGEND}'


def _html(link: Link) -> str:
    # A grey ring in the chain is "not looked at": the open sign without the open colour.
    node = (
        sign(link.tone, "node")
        if link.tone != "na"
        else '<svg class="node na" aria-hidden="true"><use href="#open"/></svg>'
    )
    title = f'<a href="#{link.href}">{link.name}</a>' if link.href else link.name
    note = f'<span class="m"> · {esc(link.note, 90)}</span>' if link.note else ""
    tone = "na" if link.tone == "declared" else link.tone
    rows = (
        ("Vouched by", link.vouched), ("How sure", link.sure), ("Age", link.age), ("Digest", link.digest),
        ("Next", link.next),
    )  # fmt: skip
    facts = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in rows)
    return (
        f'<li class="{"ok" if link.tone == "pass" else "broke"}">{node}<h3>{title}</h3>'
        f'<div class="st {tone}">{esc(link.word)}{note}</div><dl>{facts}</dl></li>'
    )


def _next(fix: str) -> str:
    before, command = split_command(fix)
    if command:
        return f"{esc(before, _SHORT)}{': ' if before else ''}{code(command, _SHORT)}"
    if len(before) > _SHORT:
        before = before[:_SHORT].rpartition(" ")[0].rstrip(",;:(") + " …"
    return esc(before) if before else "nothing to do"


def _stage(view: View, name: str, stage: Stage) -> Link:
    checks = [c.id for c in view.body.checks if c.stage is stage]
    outcomes = [o for o in view.body.outcomes if o.check in checks]
    if not [o for o in outcomes if o.status is not Status.NOT_APPLICABLE]:
        return Link(
            name=name, tone="na", word="not looked at", sure="no check looked", digest=_digest(view, stage),
            next=code("assay run"),
        )  # fmt: skip
    tone, word, note, rule = _standing(view, stage, checks, outcomes)
    findings = [f for f in view.findings if f.check in checks and grave(f) is not Severity.INFO]
    return Link(
        name=name, tone=tone, word=word, note=note, vouched=esc(vouched(view, checks)),
        sure=esc(_sure(view, tone, rule, outcomes, findings), 140), age=esc(age(view, checks)),
        digest=_digest(view, stage), next=_next(_step(view, tone, rule, outcomes, findings)),
        href=_href(view, checks),
    )  # fmt: skip


def _standing(
    view: View, stage: Stage, checks: list[str], outcomes: list[Outcome]
) -> tuple[Tone, str, str, RuleTrace | None]:
    """The link's sign, word, note and the rule that decided it."""
    blind = [o for o in outcomes if is_open(o)]
    serious = [f for o in outcomes for f in o.findings if grave(f) is not Severity.INFO]
    if view.decision is None:
        if serious:
            return "fail", "fails", tally(serious), None
        if blind:
            return "open", "open", _blind(blind, outcomes), None
        if noted := sum(o.noted for o in outcomes):
            return "na", "noted", f"{counted(noted, 'check')} of {len(outcomes)} noted something", None
        return "pass", "holds", counted(len(outcomes), "check") + " passed", None
    conflict = next((r for r in view.trace if r.asks == "evidence" and r.verdict is Verdict.DENY), None)
    if conflict is not None:
        return "fail", "fails", headline(view, conflict), conflict
    rules = [r for r in view.trace if r.asks not in ("approvals", "evidence")]
    # What a model is judged on belongs to the model, though no check decides a contract rule.
    stopping = [
        r for r in rules if not set(checks).isdisjoint(r.decided_by) or (r.asks == "contract" and stage is Stage.MODEL)
    ]
    denied = next((r for r in stopping if r.verdict is Verdict.DENY), None)
    if denied is not None:
        here = [f for f in findings_of(view, denied) if f.check in checks]
        return "fail", "fails", tally(here) if here else headline(view, denied), denied
    unsure = next((r for r in stopping if r.verdict is Verdict.INDETERMINATE), None)
    if blind or unsure is not None:
        note = _blind(blind, outcomes) if blind or unsure is None else headline(view, unsure)
        return "open", "open", note, unsure
    reading = [r for r in rules if any(r in view.reading(c) for c in checks)]
    if not reading:
        return "open", "not judged", "no rule of the policy reads it", None
    measured = next((r for r in reading if r.asks == "measure"), reading[0])
    return "pass", "holds", _kept(view, serious, sum(r.verdict is Verdict.ALLOW for r in reading)), measured


def _kept(view: View, serious: list[Finding], met: int) -> str:
    waived = sum(f.fingerprint in view.waived for f in serious)
    left = len(serious) - waived
    words = [f"{waived} waived" if waived else "", f"{plural(left, 'finding')} within the policy" if left else ""]
    return ", ".join(w for w in words if w) or (f"{plural(met, 'rule')} met" if met else "nothing found")


def _blind(blind: list[Outcome], outcomes: list[Outcome]) -> str:
    torn, whole = len({o.subject for o in blind}), len({o.subject for o in outcomes})
    return f"{torn} of {plural(whole, 'subject')} not read to the end"


def _sure(view: View, tone: Tone, rule: RuleTrace | None, outcomes: list[Outcome], findings: list[Finding]) -> str:
    if rule is not None and rule.asks == "measure" and rule.value is not None:
        found = _measure(outcomes, rule)
        if found is not None:
            return f"{name_words(found.name)} {measure_value(found)}; {_certainty(view, rule, found)}"
    if rule is not None and rule.asks == "findings" and rule.fingerprints and tone == "fail":
        first = next((f for f in findings_of(view, rule) if f in findings), None)
        return f"confidence {first.confidence.value}: {first.message}" if first is not None else "–"
    if tone == "open":
        blind = next((o for o in outcomes if is_open(o) and o.reason), None)
        why = blind.reason if blind is not None else rule.reason if rule is not None else ""
        return f"unknown: {why}" if why else "unknown"
    if tone == "fail" and findings:
        return f"confidence {findings[0].confidence.value}"
    looked = sum(o.status in (Status.PASS, Status.FAIL) and o.complete for o in outcomes)
    return f"{counted(looked, 'check')} read all that {'it was' if looked == 1 else 'they were'} asked"


def _certainty(view: View, rule: RuleTrace, found: Measure) -> str:
    interval = reader(view, rule).interval(found.low, found.high)
    rows = f", on {plural(found.n, 'row')}" if found.n is not None else ""
    return (f"with 95% certainty {interval}" if interval else "no interval") + rows


def _measure(outcomes: list[Outcome], rule: RuleTrace) -> Measure | None:
    return next(
        (
            m
            for o in outcomes
            for m in o.measures
            if o.check == rule.check and m.key == measure_key(rule.measure, rule.versus) and m.value == rule.value
        ),
        None,
    )


def _step(view: View, tone: Tone, rule: RuleTrace | None, outcomes: list[Outcome], findings: list[Finding]) -> str:
    if tone == "pass":
        return ""
    if rule is not None and rule.fix:
        return rule.fix
    told = next(
        (fix for c in (rule.decided_by if rule else ()) if c in view.checks and (fix := view.checks[c].fix)), ""
    )
    if tone == "fail":
        # What the rule itself counted says best how to mend it; another check's finding is about something else.
        counted_ = findings_of(view, rule) if rule is not None else findings
        own = next((f.fix for f in counted_ if f.fix), "")
        if own or told:
            return own or told.partition(";")[0]
        if other := next((f.fix for f in findings if f.fix), ""):
            return other
    blind = next((o for o in outcomes if is_open(o)), None)
    if blind is not None:
        return f"assay explain {blind.check}"
    if told:
        return told.partition(";")[0]
    return f"assay explain {rule.check}" if rule is not None and rule.check else "see what blocks it"


def _href(view: View, checks: list[str]) -> str:
    """The first section about the link: its pictures, else its findings, else what was read."""
    drawn = next((check for check, _ in shown(view) if check in checks), None)
    if drawn is not None:
        return anchor(drawn)
    return "findings" if any(f.check in checks for f in view.findings) else "files"


def _digest(view: View, stage: Stage) -> str:
    release = view.body.release
    if release is None:
        return "–"
    if stage is Stage.PACKAGE:
        files = len(release.shipped())
        return f"{plural(files, 'file')}, {digest(release.digest)}" if files else digest(release.digest)
    role = Role.TRAINING_DATA if stage is Stage.DATA else Role.MODEL
    return next((digest(m.digest) for m in release.materials if m.role is role), "–")


def _training(view: View) -> Link:
    signed = view.dossier.signatures
    commit = view.body.release.code if view.body.release is not None else ""
    if signed:
        models = dict.fromkeys(s.material for s in signed)
        people = list(dict.fromkeys(s.person for s in signed))
        return Link(
            name="Training", tone="declared", word="declared", note=f"{listed(list(models), 2)} signed",
            vouched=esc(f"{listed(people, 2)} · key {short(signed[0].key, 4)}…"),
            sure="the signature holds; how it was trained is not recorded",
            age=esc(span(view.now - min(s.at for s in signed))), digest=_commit(commit),
            next="nothing to do", href="proof",
        )  # fmt: skip
    if commit:
        return Link(
            name="Training", tone="declared", word="declared", note="commit named, not proved",
            sure="the manifest says so; nobody signed the model", digest=_commit(commit), next=_SIGN,
            href="proof",
        )  # fmt: skip
    return Link(
        name="Training",
        tone="na",
        word="not looked at",
        sure="nobody signed the model",
        next=_SIGN,
    )


def _commit(commit: str) -> str:
    return f"commit {code(commit[:10])}" if commit else "–"


def _approval(view: View) -> Link:
    rule = next((r for r in view.trace if r.asks == "approvals" and r.verdict is not Verdict.ALLOW), None)
    rule = rule or next((r for r in view.trace if r.asks == "approvals"), None)
    if rule is None:
        asked = "no rule asks for one" if view.decision is not None else "no policy was asked"
        return Link(name="Approval", tone="na", word="not looked at", sure=asked)
    decision = view.decision
    assert decision is not None
    given = [a for a in decision.approvals if a.approval.release == decision.release]
    ages = esc(span(view.now - min(a.approval.at for a in given))) if given else "–"
    binds = f"Release {digest(decision.release)}"
    roles = rule.roles
    if rule.verdict is Verdict.ALLOW:
        return Link(
            name="Approval", tone="pass", word="holds", note=f"{listed(roles)} signed",
            vouched=esc(listed(rule.vouched)), sure="signed with keys of the roster", age=ages, digest=binds,
            next="nothing to do", href="people",
        )  # fmt: skip
    denied = rule.verdict is Verdict.DENY
    refused = "talk to whoever refused" if denied else ""
    people = list(dict.fromkeys(a.signer.person for a in given if a.standing is Standing.COUNTS))
    return Link(
        name="Approval", tone="fail" if denied else "open", word="fails" if denied else "open",
        note="refused" if denied else _signed(rule), vouched=esc(listed(people)), sure=esc(rule.reason, 140),
        age=ages, digest=binds, next=_asked(rule) + _next(rule.fix or refused), href="people",
    )  # fmt: skip


def _asked(rule: RuleTrace) -> str:
    return f"{esc(listed(rule.missing), 80)} {'signs' if len(rule.missing) == 1 else 'sign'}: " if rule.missing else ""


def _signed(rule: RuleTrace) -> str:
    """`1 of 2 signed`: how many of the asked roles have spoken."""
    have, asked = len(rule.roles) - len(rule.missing), len(rule.roles)
    return f"{have} of {asked} signed" if rule.missing else "not complete"


def _live(view: View) -> Link:
    allowed = view.decision is not None and view.decision.verdict is Verdict.ALLOW
    waits = "deploy what the verdict names" if allowed else "waits until it is allowed"
    return Link(name="Live", tone="na", word="not looked at", sure="nothing is watched in this report", next=waits)
