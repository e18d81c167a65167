"""The sentence under the verdict: what decides, in three lines at most; all reasons stand in full lower on the page."""

from __future__ import annotations

from assay.core.decision import RuleTrace, Verdict
from assay.core.finding import Severity, Status
from assay.core.glossary import GLOSSARY
from assay.render.charts.labels import text_width
from assay.render.page.say import blind_of, findings_of, headline, reader, subject_of, tally
from assay.render.page.view import View, finding_line, grave, is_open
from assay.render.page.words import capital, clip, counted, day, listed, sentence

# Three lines of the sentence at the page's full width, in the units of `text_width`, less what a ragged edge takes.
ROOM = 1230.0
_MOST_OF_ONE = 96
_PLAIN = {
    "recall": "Recall: of the cases that the model should catch, the share that it does.",
    "precision": "Precision: of the cases that it flags, the share that is right.",
    "calibration error": "Calibration error: how far its scores lie from how often they come true.",
    "false alarm rate": "False alarm rate: of the harmless cases, the share that it flags.",
    "under attack": "Under attack: after changes that someone who wants to slip past can make.",
    "champion": f"Champion: {GLOSSARY['Champion'][:1].lower()}{GLOSSARY['Champion'][1:]}",
}


def why(view: View) -> str:
    """The sentence: the gravest reasons that fit, those that deny before those that could not be judged."""
    decision = view.decision
    if decision is None:
        return _without_decision(view)
    if decision.verdict is Verdict.ALLOW:
        return _allowed(view)
    denies = _reasons(view, [t for t in view.blocking if t.verdict is Verdict.DENY])
    opens = _reasons(view, [t for t in view.blocking if t.verdict is Verdict.INDETERMINATE])
    said = "It may not ship." if denies else "It may not ship yet: not everything could be judged."
    left = len(denies) + len(opens)
    for index, forms in enumerate([*denies, *opens]):
        lead = "Besides, " if denies and index == len(denies) else ""
        told = [f"{said} {sentence(lead + (_uncapital(f) if lead else f))}" for f in forms]
        fitting = [t for t in told if text_width(t + _more(left - 1)) <= ROOM]
        if not fitting and index:
            break
        said, left = fitting[0] if fitting else told[-1], left - 1
    return said + _more(left)


def plainly(text: str) -> str:
    """What the sentence's terms mean, for whoever never met them; "" where it uses none."""
    known = text.lower()
    return " ".join(words for term, words in _PLAIN.items() if term in known)


def _more(left: int) -> str:
    return f" {sentence(counted(left, 'more reason') + (' follows' if left == 1 else ' follow'))}" if left else ""


def _reasons(view: View, rules: list[RuleTrace]) -> list[tuple[str, ...]]:
    """Each rule in a few words and, where it can be said shorter, in fewer; without what another rule told."""
    told: set[str] = set()
    checks: set[str] = set()
    said: dict[tuple[str, ...], None] = {}
    for rule in _in_order(view, rules):
        repeats = rule.asks == "findings" and rule.fingerprints and set(rule.fingerprints) <= told
        decided = set(rule.decided_by)
        same = rule.asks == "outcome" and rule.verdict is Verdict.DENY and decided and decided <= checks
        if not repeats and not same:
            fresh = [f for f in findings_of(view, rule) if f.fingerprint not in told]
            few = (f"{tally(fresh)} in {_cut(listed(list(dict.fromkeys(f.subject for f in fresh)), 2))}",)
            said.setdefault((_brief(view, rule, told), *(few if fresh else ())))
        told |= set(rule.fingerprints)
        checks |= {f.check for f in findings_of(view, rule)}
    return list(said)


def _in_order(view: View, rules: list[RuleTrace]) -> list[RuleTrace]:
    """Contradicting evidence and a refusal first, then critical findings, numbers, other findings, the rest."""
    claimed: set[str] = set()
    weights: list[int] = []
    for rule in rules:
        weight = {"evidence": 0, "contract": 2, "measure": 2, "findings": 3, "approvals": 3}.get(rule.asks, 4)
        if rule.asks == "approvals" and rule.verdict is Verdict.DENY:
            weight = 0
        critical = {f.fingerprint for f in findings_of(view, rule) if grave(f) is Severity.CRITICAL}
        if rule.asks == "findings" and critical - claimed:
            weight = 1
        claimed |= critical
        weights.append(weight)
    return [rule for _, rule in sorted(zip(weights, rules, strict=True), key=lambda pair: pair[0])]


def _brief(view: View, rule: RuleTrace, told: set[str]) -> str:
    if rule.asks == "measure":
        return _measure(view, rule)
    if rule.asks == "findings" and rule.verdict is Verdict.DENY:
        found = [f for f in findings_of(view, rule) if f.fingerprint not in told]
        if found:
            more = f", and {counted(len(found) - 1, 'more finding')}" if len(found) > 1 else ""
            return _cut(finding_line(found[0])) + more
    if rule.asks in ("findings", "outcome") and rule.verdict is Verdict.INDETERMINATE:
        subjects = list(dict.fromkeys(o.subject for o in blind_of(view, rule)))
        if subjects:
            return f"{_cut(listed(subjects, 2))} could not be judged"
    if rule.asks == "approvals" and rule.verdict is Verdict.DENY:
        return _cut(f"{rule.saw}: {rule.reason}" if rule.reason else rule.saw)
    if rule.asks == "approvals" and rule.missing:
        return f"{_cut(listed(rule.missing))} {'has' if len(rule.missing) == 1 else 'have'} not approved it"
    return _cut(headline(view, rule))


def _measure(view: View, rule: RuleTrace) -> str:
    read, subject = reader(view, rule), _cut(subject_of(rule))
    if rule.value is None or rule.bound is None:
        return _cut(headline(view, rule))
    most = f"at {'least' if rule.better == 'higher' else 'most'} {read(rule.bound)}"
    if rule.verdict is Verdict.DENY:
        return f"{subject} is {read(rule.value)} and must be {most}"
    if rule.unsure:
        return f"{subject} is {read(rule.value)}, on too few rows to be sure that it is {most}"
    return _cut(headline(view, rule))


def _cut(text: str) -> str:
    return clip(text, _MOST_OF_ONE)


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _allowed(view: View) -> str:
    decision = view.decision
    assert decision is not None
    rules = len(decision.trace)
    which = "The one rule" if rules == 1 else f"All {counted(rules, 'rule')}"
    parts = [f"It may ship. {which} of the policy {'is' if rules == 1 else 'are'} met."]
    for rule in decision.trace:
        if rule.asks == "approvals" and rule.vouched:
            parts.append(sentence(f"{listed(rule.vouched)} approved it"))
    proof = view.dossier.proof
    if proof is not None and proof.expires is not None:
        parts.append(f"The verdict holds until {day(proof.expires)}.")
    return " ".join(parts)


def _without_decision(view: View) -> str:
    outcomes = view.body.outcomes
    if not outcomes:
        return "No check was asked of anything, so nothing is known."
    serious = [f for f in view.findings if grave(f) is not Severity.INFO]
    parts = []
    if serious:
        all_ = f"{tally(serious)}. " if grave(serious[0]) is not grave(serious[-1]) else ""
        parts.append(sentence(f"{all_}{capital(finding_line(serious[0]))}"))
    blind = {o.subject for o in outcomes if is_open(o)}
    if blind:
        parts.append(f"{capital(counted(len(blind), *view.noun))} could not be judged to the end.")
    if view.findings and not serious:
        parts.append(sentence(capital(finding_line(view.findings[0]))))
    elif not serious and not blind:
        looked = sum(o.status is Status.PASS for o in outcomes)
        parts.append(
            f"{capital(counted(looked, 'check'))} looked and found nothing that someone should act on."
            if looked
            else "No check applies to what was given, so nothing is known of it."
        )
    parts.append("No policy was asked, so nothing is decided.")
    return " ".join(parts)
